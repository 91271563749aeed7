package vfs

import (
	"context"
	"errors"
	"io/fs"
	"sync"
	"time"
)

// Limits are those of a Quota; 0 is no limit.
type Limits struct {
	Bytes int64 // of all files, and of the uploads that run or are parked
	Files int64 // files and links, and uploads of new ones; directories don't count
}

// Usage is what an Account counts.
type Usage struct {
	Bytes int64 // stored and parked
	Files int64 // files, links and parked uploads
	// What running uploads hold besides.
	RunningBytes, RunningFiles int64
}

// AccountState is what an Account keeps over restarts.
type AccountState struct {
	Bytes  int64            `json:"bytes"`
	Files  int64            `json:"files"`
	Parked []ParkedUpload   `json:"parked,omitempty"`
	Clean  bool             `json:"clean"` // nothing has changed since
	Saved  time.Time        `json:"saved"`
	_      noUnkeyedLiteral // so that fields can be added
}

type noUnkeyedLiteral struct{}

// ParkedUpload is one that an Account counts.
type ParkedUpload struct {
	Name  []byte `json:"name"` // need not be UTF-8
	Owner []byte `json:"owner"`
	Bytes int64  `json:"bytes"`
}

// AccountStore keeps the state of one Account. Its methods are not called
// concurrently.
type AccountStore interface {
	// Load returns what was stored last, or fs.ErrNotExist.
	Load() (AccountState, error)
	Store(AccountState) error
}

// AccountOptions are the options of OpenAccount.
type AccountOptions struct {
	// Store keeps the usage over restarts; nil: it is counted anew.
	Store AccountStore
	// Owners are whose parked uploads a recount looks for, besides those that the
	// account knows of.
	Owners []string
}

// Account counts what a tree holds: the files in it, parked uploads, and what
// running uploads have reserved. It sees what goes through the Quotas that share it;
// what others change shows after a Recount. Its methods may be called concurrently.
type Account struct {
	tree  FS
	opt   AccountOptions
	names nameLocks

	counting chan struct{} // holds a token while somebody counts or saves

	mu       sync.Mutex
	known    bool // counted, or loaded
	exact    bool // counted, or loaded from a state that was clean
	clean    bool // the stored state says that it is
	changed  bool // the stored state is old
	used     amount
	reserved amount                  // by running uploads
	granted  int64                   // of reserved, bytes that have not arrived yet
	given    chan struct{}           // closed when something is given back
	parked   map[claim]*parkedUpload // what used holds of parked uploads
	live     map[*quotaWriter]bool   // running uploads
	credits  map[string]*quotaWriter // who may use the size of the file that it replaces
	expired  time.Time               // when expire last looked
}

// amount is of bytes and files.
type amount struct{ bytes, files int64 }

func (a amount) plus(b amount) amount  { return amount{a.bytes + b.bytes, a.files + b.files} }
func (a amount) minus(b amount) amount { return amount{a.bytes - b.bytes, a.files - b.files} }

// within reports whether a keeps the limits.
func (a amount) within(l Limits) bool {
	return (l.Bytes <= 0 || a.bytes <= l.Bytes) && (l.Files <= 0 || a.files <= l.Files)
}

// claim names a staged upload.
type claim struct{ name, owner string }

type parkedUpload struct {
	bytes int64
	seen  time.Time
}

// OpenAccount returns the account of tree, which is what Quotas of it wrap. It knows
// the usage from opt.Store; where that has none, whoever needs the usage first
// waits until the tree is counted. A state that was not closed properly is used
// until the next Recount; Stale tells.
func OpenAccount(tree FS, opt AccountOptions) (*Account, error) {
	a := &Account{tree: tree, opt: opt, counting: make(chan struct{}, 1), given: make(chan struct{}),
		parked: map[claim]*parkedUpload{}, live: map[*quotaWriter]bool{}, credits: map[string]*quotaWriter{}}
	if opt.Store == nil {
		return a, nil
	}
	state, err := opt.Store.Load()
	if errors.Is(err, fs.ErrNotExist) {
		return a, nil
	}
	if err != nil {
		return nil, err
	}
	a.known, a.exact, a.clean, a.used = true, state.Clean, state.Clean, amount{state.Bytes, state.Files}
	for _, p := range state.Parked {
		a.parked[claim{string(p.Name), string(p.Owner)}] = &parkedUpload{bytes: p.Bytes}
	}
	return a, nil
}

// Stale reports whether the usage is unknown, or may be wrong because the process
// that counted last did not end properly.
func (a *Account) Stale() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.exact
}

// Usage returns what is used; it waits for the first count.
func (a *Account) Usage(ctx context.Context) (Usage, error) {
	if err := a.ready(ctx, false); err != nil {
		return Usage{}, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return Usage{a.used.bytes, a.used.files, a.reserved.bytes, a.reserved.files}, nil
}

// Save stores the usage if it has changed. Whoever keeps an Account open calls it
// from time to time, so that little is lost with the process.
func (a *Account) Save() error { return a.save(false) }

// Close stores the usage as complete. Nothing may use the account any more.
func (a *Account) Close() error { return a.save(true) }

func (a *Account) save(last bool) error {
	if a.opt.Store == nil {
		return nil
	}
	a.counting <- struct{}{}
	defer func() { <-a.counting }()
	a.mu.Lock()
	// Uploads that still run would be settled after it.
	state := a.state(last && a.exact && len(a.live) == 0)
	same := !a.known || !a.changed && a.clean == state.Clean
	a.changed = a.changed && same
	a.mu.Unlock()
	if same {
		return nil
	}
	err := a.opt.Store.Store(state)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		a.changed = true
		return err
	}
	a.clean = state.Clean
	return nil
}

// state is what is to be stored, under the lock.
func (a *Account) state(clean bool) AccountState {
	s := AccountState{Bytes: a.used.bytes, Files: a.used.files, Clean: clean, Saved: time.Now().UTC()}
	for c, p := range a.parked {
		s.Parked = append(s.Parked, ParkedUpload{Name: []byte(c.name), Owner: []byte(c.owner), Bytes: p.bytes})
	}
	return s
}

// ready waits until the usage is known. Before the first change it notes that what
// is stored is no longer true.
func (a *Account) ready(ctx context.Context, change bool) error {
	a.mu.Lock()
	known, noted := a.known, !change || !a.clean
	a.changed = a.changed || change
	a.mu.Unlock()
	if known && noted {
		return nil
	}
	select {
	case a.counting <- struct{}{}:
		defer func() { <-a.counting }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.known {
		a.mu.Unlock()
		err := a.recount(ctx)
		a.mu.Lock()
		if err != nil {
			return err
		}
	}
	if !change || !a.clean {
		return nil
	}
	if err := a.opt.Store.Store(a.state(false)); err != nil {
		return err
	}
	a.clean = false
	return nil
}

// patience is how long a reservation waits for what others have reserved and may
// give back.
const patience = 20 * time.Second

// reserve takes n, or fails with ErrQuota.
func (a *Account) reserve(ctx context.Context, l Limits, n amount) error {
	if got, err := a.reserveSome(ctx, l, n); err != nil {
		a.release(got)
		return err
	}
	return nil
}

// reserveSome takes n, or with ErrQuota as many bytes as there are.
func (a *Account) reserveSome(ctx context.Context, l Limits, n amount) (amount, error) {
	var timer *time.Timer
	for {
		a.mu.Lock()
		sum := a.used.plus(a.reserved).plus(n)
		if sum.within(l) || n == (amount{}) {
			a.reserved = a.reserved.plus(n)
			a.mu.Unlock()
			return n, nil
		}
		given := a.given
		hope := sum.minus(amount{bytes: a.granted}).within(l)
		a.mu.Unlock()
		if !hope {
			if a.expire(ctx) {
				continue
			}
			return a.rest(l, n), ErrQuota
		}
		if timer == nil {
			timer = time.NewTimer(patience)
			defer timer.Stop()
		}
		select {
		case <-given:
		case <-timer.C:
			return a.rest(l, n), ErrQuota
		case <-ctx.Done():
			return amount{}, context.Cause(ctx)
		}
	}
}

// rest takes the bytes that are left, if no files are wanted.
func (a *Account) rest(l Limits, n amount) amount {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n.files > 0 {
		return amount{}
	}
	got := amount{bytes: max(0, min(n.bytes, l.Bytes-a.used.bytes-a.reserved.bytes))}
	a.reserved = a.reserved.plus(got)
	return got
}

// grant takes n bytes that may arrive, if then at least spare are left.
func (a *Account) grant(l Limits, n, spare int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if l.Bytes > 0 && a.used.bytes+a.reserved.bytes+n+spare > l.Bytes {
		return false
	}
	a.reserved.bytes += n
	a.granted += n
	return true
}

// arrived settles a grant of n bytes, of which unused are given back.
func (a *Account) arrived(n, unused int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.granted -= n
	a.free(amount{bytes: unused})
}

// release gives back what was reserved.
func (a *Account) release(n amount) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.free(n)
}

// free is release under the lock. It wakes up who waits: a grant that was used up
// may mean that there is no hope any more.
func (a *Account) free(n amount) {
	a.reserved = a.reserved.minus(n)
	close(a.given)
	a.given = make(chan struct{})
}

// change adds n to what is used, for which reserved was held.
func (a *Account) change(n, reserved amount) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.used = a.used.plus(n)
	a.free(reserved)
}

// fits reports whether n more would fit, not counting what may be given back.
func (a *Account) fits(ctx context.Context, l Limits, n amount) bool {
	for {
		a.mu.Lock()
		ok := a.used.plus(a.reserved).plus(n).minus(amount{bytes: a.granted}).within(l)
		a.mu.Unlock()
		if ok || !a.expire(ctx) {
			return ok
		}
	}
}

// expireEvery is how often expire asks the store.
const expireEvery = time.Minute

// expire forgets parked uploads that the store has dropped by itself, and reports
// whether there were any.
func (a *Account) expire(ctx context.Context) bool {
	a.mu.Lock()
	if time.Since(a.expired) < expireEvery {
		a.mu.Unlock()
		return false
	}
	a.expired = time.Now()
	var old []claim
	for c, p := range a.parked {
		if time.Since(p.seen) >= expireEvery {
			old = append(old, c)
		}
	}
	a.mu.Unlock()
	dropped := false
	for _, c := range old {
		dropped = a.look(ctx, c, 0, nil) || dropped
	}
	return dropped
}

// look asks the store whether it holds the parked upload c, of which bytes arrived;
// 0: as many as before. The upload w, which may be nil, holds those bytes no more. It
// reports whether a parked upload is gone.
func (a *Account) look(ctx context.Context, c claim, bytes int64, w *quotaWriter) bool {
	info, err := StatStaged(ctx, a.tree, c.name, c.owner)
	a.mu.Lock()
	defer a.mu.Unlock()
	if w != nil {
		w.release()
		delete(a.live, w)
	}
	p := a.parked[c]
	switch kind := Kind(err); {
	case err == nil && p == nil:
		if bytes == 0 {
			bytes = info.Size() + 1 // the least that arrived
		}
		a.parked[c] = &parkedUpload{bytes: bytes, seen: time.Now()}
		a.used = a.used.plus(amount{bytes, 1})
	case err == nil:
		// After a Commit that failed it may be an older one.
		older := w == nil && p.bytes > info.Size() && (bytes <= info.Size() || p.bytes < bytes)
		if p.seen = time.Now(); bytes > 0 && !older {
			a.used.bytes += bytes - p.bytes
			p.bytes = bytes
		}
	case p != nil && (kind == fs.ErrNotExist || kind == ErrNotDir || kind == errors.ErrUnsupported):
		a.drop(c)
		return true
	}
	return false
}

// holds reports whether the upload c is known as parked.
func (a *Account) holds(c claim) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.parked[c] != nil
}

// drop forgets the parked upload c, under the lock.
func (a *Account) drop(c claim) int64 {
	p := a.parked[c]
	if p == nil {
		return 0
	}
	delete(a.parked, c)
	a.used = a.used.minus(amount{p.bytes, 1})
	a.free(amount{})
	return p.bytes
}

// parkedIn are the parked uploads at and below name.
func (a *Account) parkedIn(name string) (found []claim) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for c := range a.parked {
		if Within(c.name, name) {
			found = append(found, c)
		}
	}
	return found
}
