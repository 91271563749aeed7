package vfs

import (
	"context"
	"slices"
	"sync"
	"time"
)

// nameLocks lets changes of one name take turns, and of a directory and what is
// below it.
type nameLocks struct {
	mu   sync.Mutex
	held map[*[]string]bool
	gen  uint64        // goes up with every lock
	free chan struct{} // closed when one is given up
}

// lock waits until nobody holds one of names, or a name above or below one.
func (l *nameLocks) lock(ctx context.Context, names ...string) (unlock func(), err error) {
	for {
		l.mu.Lock()
		if !l.taken(names) {
			if l.held == nil {
				l.held = map[*[]string]bool{}
			}
			l.held[&names] = true
			l.gen++
			l.mu.Unlock()
			return func() { l.unlock(&names) }, nil
		}
		if l.free == nil {
			l.free = make(chan struct{})
		}
		free := l.free
		l.mu.Unlock()
		select {
		case <-free:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (l *nameLocks) taken(names []string) bool {
	for held := range l.held {
		for _, a := range *held {
			for _, b := range names {
				if Within(a, b) || Within(b, a) {
					return true
				}
			}
		}
	}
	return false
}

func (l *nameLocks) unlock(names *[]string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, names)
	if l.free != nil {
		close(l.free)
		l.free = nil
	}
}

// quiet returns how many locks there have been, and whether there is none now.
func (l *nameLocks) quiet() (uint64, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gen, len(l.held) == 0
}

// Recount counts what the tree holds. If somebody changes it meanwhile it begins
// again; at the third time changes wait for it.
func (a *Account) Recount(ctx context.Context) error {
	select {
	case a.counting <- struct{}{}:
		defer func() { <-a.counting }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return a.recount(ctx)
}

func (a *Account) recount(ctx context.Context) error {
	for try := range 3 {
		if try == 2 {
			unlock, err := a.names.lock(ctx, ".")
			if err != nil {
				return err
			}
			defer unlock()
		}
		before, quiet := a.names.quiet()
		if !quiet && try < 2 {
			continue
		}
		c := &count{a: a, ctx: ctx, parked: map[claim]int64{}}
		if err := c.walk("."); err != nil {
			return err
		}
		if c.settle(before) {
			return nil
		}
	}
	panic("vfs: a count under the lock of all names was disturbed")
}

// count is one walk over the tree.
type count struct {
	a      *Account
	ctx    context.Context
	sum    amount
	parked map[claim]int64
	owners []string
}

func (c *count) walk(root string) error {
	c.owners = slices.Clone(c.a.opt.Owners)
	known := c.a.parkedIn(root)
	for _, p := range known {
		if !slices.Contains(c.owners, p.owner) {
			c.owners = append(c.owners, p.owner)
		}
	}
	for dirs := []string{root}; len(dirs) > 0; {
		dir := dirs[len(dirs)-1]
		dirs = dirs[:len(dirs)-1]
		for info, err := range c.a.tree.ReadDir(c.ctx, dir, "") {
			switch {
			case err != nil && dir != root && absent(err): // removed meanwhile, which settle sees
			case err != nil:
				return err
			case info.IsDir():
				dirs = append(dirs, Join(dir, info.Name()))
			case info.Mode().IsRegular():
				c.sum = c.sum.plus(amount{info.Size(), 1})
			default:
				c.sum.files++
			}
		}
		if err := c.staged(dir); err != nil {
			return err
		}
	}
	for _, p := range known { // a listing may leave some out
		if info, err := StatStaged(c.ctx, c.a.tree, p.name, p.owner); err == nil {
			c.parked[p] = info.Size() + 1
		} else if Kind(err) == nil || c.ctx.Err() != nil {
			return err
		}
	}
	return nil
}

// staged finds the parked uploads in dir.
func (c *count) staged(dir string) error {
	if !c.a.tree.Caps().Has(CanPark) {
		return nil
	}
	for _, owner := range c.owners {
		for info, err := range Staged(c.ctx, c.a.tree, dir, owner) {
			if err != nil {
				if absent(err) {
					break
				}
				return err
			}
			c.parked[claim{Join(dir, info.Name()), owner}] = info.Size() + 1 // the least that arrived
		}
	}
	return nil
}

// settle takes the count over, unless a change may have been in its way.
func (c *count) settle(before uint64) bool {
	a := c.a
	a.names.mu.Lock()
	defer a.names.mu.Unlock()
	if a.names.gen != before {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	old := a.parked
	a.parked = make(map[claim]*parkedUpload, len(c.parked))
	for p, bytes := range c.parked {
		if known := old[p]; known != nil {
			bytes = known.bytes
		}
		a.parked[p] = &parkedUpload{bytes: bytes, seen: time.Now()}
		c.sum = c.sum.plus(amount{bytes, 1})
	}
	a.used, a.known, a.exact, a.changed = c.sum, true, true, true
	a.free(amount{})
	return true
}
