package memory

import (
	"container/list"
	"context"
	"io/fs"
	"iter"
	"time"

	"github.com/ftpgate/ftpgate/vfs"
)

// claim is whose upload of which entry.
type claim struct{ name, owner string }

// staged is a parked upload, kept in its directory.
type staged struct {
	content content
	shared  int64 // bytes of it that are charged to a complete file
	dir     *node
	claim   claim
	since   time.Time
	element *list.Element
}

// told is the size that the owner is told: one byte short of what arrived.
func (st *staged) told() int64 { return st.content.size - 1 }

// charged is what it counts in the store's bytes.
func (st *staged) charged() int64 { return st.content.size - st.shared }

// expiry holds the staged uploads of the store, the oldest first.
type expiry struct{ list.List }

// park keeps the writer's bytes for its owner; without one, or when nothing
// arrived, it aborts.
func (w *writer) park() error {
	s, dir := w.f.s, w.place.dir
	st := &staged{shared: w.shared, dir: dir, claim: claim{w.place.base, w.opt.Owner}}
	switch {
	case w.opt.Owner == "" || dir.dead || !w.arrived && w.taken == nil:
		w.abort()
		if dir.dead {
			return fs.ErrNotExist
		}
		return nil
	case !w.arrived: // nothing new: what was there may be longer than the offset
		w.abort()
		st.content, st.shared = w.taken.content, w.taken.shared
		s.bytes.Add(st.charged())
	default:
		st.content = w.seal()
	}
	s.drop(dir, st.claim)
	if err := s.hasInode(); err != nil {
		s.charge(-st.charged())
		return err
	}
	if dir.staged == nil {
		dir.staged = map[claim]*staged{}
	}
	dir.staged[st.claim] = st
	st.since = time.Now()
	st.element = s.parked.PushBack(st)
	s.files++
	return nil
}

// take takes a staged upload out of the store and leaves its charge to the caller.
func (s *store) take(dir *node, c claim) *staged {
	st := dir.staged[c]
	if st != nil {
		delete(dir.staged, c)
		s.parked.Remove(st.element)
		s.files--
	}
	return st
}

// drop discards a staged upload and reports whether there was one.
func (s *store) drop(dir *node, c claim) bool {
	st := s.take(dir, c)
	if st == nil {
		return false
	}
	s.charge(-st.charged())
	return true
}

// sweep drops what waited for too long.
func (s *store) sweep() {
	for e := s.parked.Front(); e != nil; e = s.parked.Front() {
		st := e.Value.(*staged)
		if time.Since(st.since) < s.opt.StagedExpiry {
			return
		}
		s.drop(st.dir, st.claim)
	}
}

func (st *staged) info() vfs.Info {
	return vfs.NewInfo(st.claim.name, st.told(), 0o644, st.since, &vfs.Attr{Staged: true})
}

// Staged implements vfs.Stager.
func (f *FS) Staged(ctx context.Context, dir, owner string) iter.Seq2[fs.FileInfo, error] {
	return func(yield func(fs.FileInfo, error) bool) {
		infos, err := f.stagedIn(ctx, dir, owner)
		if err != nil {
			yield(nil, vfs.PathError("readdir", dir, err))
			return
		}
		for _, info := range infos {
			if err := vfs.ContextError(ctx, "readdir", dir); err != nil {
				yield(nil, err)
				return
			}
			if !yield(info, nil) {
				return
			}
		}
	}
}

func (f *FS) stagedIn(ctx context.Context, dir, owner string) ([]vfs.Info, error) {
	if err := check(ctx, "readdir", dir); err != nil {
		return nil, err
	}
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	f.s.sweep()
	n, err := f.existing(dir)
	if err != nil {
		return nil, err
	}
	if !n.isDir() {
		return nil, vfs.ErrNotDir
	}
	var infos []vfs.Info
	for c, st := range n.staged {
		if c.owner == owner {
			infos = append(infos, st.info())
		}
	}
	return infos, nil
}

// lookup returns the owner's staged upload of name.
func (f *FS) lookup(name, owner string) (*staged, error) {
	f.s.sweep()
	p, err := f.find(name, true)
	if err != nil || p.dir == nil || p.dir.staged[claim{p.base, owner}] == nil {
		return nil, fs.ErrNotExist
	}
	return p.dir.staged[claim{p.base, owner}], nil
}

// StatStaged implements vfs.Stager.
func (f *FS) StatStaged(ctx context.Context, name, owner string) (info fs.FileInfo, err error) {
	err = f.change(ctx, "stat", name, func() error {
		st, err := f.lookup(name, owner)
		if err == nil {
			_, base := vfs.Split(name)
			info = vfs.WithName(st.info(), base)
		}
		return err
	})
	return info, err
}

// Discard implements vfs.Stager.
func (f *FS) Discard(ctx context.Context, name, owner string) error {
	return f.change(ctx, "remove", name, func() error {
		st, err := f.lookup(name, owner)
		if err == nil {
			f.s.drop(st.dir, st.claim)
		}
		return err
	})
}
