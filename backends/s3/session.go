package s3

import (
	"context"
	"io/fs"
	"iter"
	"sync"
	"time"

	"github.com/ftpgate/ftpgate/vfs"
)

const (
	// remembered is how long a session takes its own listing for true.
	remembered = 5 * time.Second
	// maxRemembered bounds how many entries a session remembers.
	maxRemembered = 10_000
)

// session is the FS of one session. It remembers for a moment what its own listings
// showed, because many clients ask for size and time of each file that they have just
// listed. Every change through this FS, by any session, ends that; changes by others
// show when the moment is over. Only Stat and StatStaged ask it: what is opened,
// continued or replaced is always looked at anew.
type session struct {
	*FS

	mu     sync.Mutex
	age    int64 // of the FS when the first of them was listed
	seen   map[string]memory
	staged map[string]time.Time // directories in which an owner had nothing staged, and since when
}

// memory is an entry of a listing.
type memory struct {
	info fs.FileInfo
	when time.Time
}

// Session returns the FS for one session.
func (f *FS) Session() vfs.FS { return &session{FS: f} }

// changed is called before and after each change, so that no listing that overlaps with
// it is remembered.
func (f *FS) changed() { f.age.Add(1) }

// fresh forgets all if something changed since; called with the lock held.
func (s *session) fresh() {
	if age := s.FS.age.Load(); s.seen == nil || s.age != age || len(s.seen) >= maxRemembered {
		s.age, s.seen, s.staged = age, map[string]memory{}, map[string]time.Time{}
	}
}

func (s *session) ReadDir(ctx context.Context, name, prefix string) iter.Seq2[fs.FileInfo, error] {
	return func(yield func(fs.FileInfo, error) bool) {
		s.mu.Lock()
		s.fresh()
		age := s.age
		s.mu.Unlock()
		for info, err := range s.FS.ReadDir(ctx, name, prefix) {
			if err == nil {
				s.remember(age, vfs.Join(name, info.Name()), info)
			}
			if !yield(info, err) || err != nil {
				return
			}
		}
	}
}

// remember notes an entry of a listing that began at this age.
func (s *session) remember(age int64, name string, info fs.FileInfo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fresh(); s.age == age {
		s.seen[name] = memory{info, time.Now()}
	}
}

func (s *session) Stat(ctx context.Context, name string) (fs.FileInfo, error) {
	s.mu.Lock()
	s.fresh()
	m, ok := s.seen[name]
	s.mu.Unlock()
	// A directory may hide a file, which listings don't tell.
	if ok && !m.info.IsDir() && time.Since(m.when) < remembered && ctx.Err() == nil {
		return m.info, nil
	}
	return s.FS.Stat(ctx, name)
}

// StatStaged asks once for all names of a directory that was just listed.
func (s *session) StatStaged(ctx context.Context, name, owner string) (fs.FileInfo, error) {
	dir, _ := vfs.Split(name)
	place := dir + "\x00" + owner
	s.mu.Lock()
	s.fresh()
	_, listed := s.seen[name]
	since, known := s.staged[place]
	age := s.age
	s.mu.Unlock()
	if known && time.Since(since) >= remembered {
		known = false
	}
	if listed && !known && s.caps.Has(vfs.CanPark) {
		if key, err := s.key("stat", dir); err == nil {
			now := time.Now()
			keys, err := s.keysBelow(ctx, s.ownerPrefix(key, owner), 1)
			if known = err == nil && len(keys) == 0; known {
				s.mu.Lock()
				if s.fresh(); s.age == age {
					s.staged[place] = now
				}
				s.mu.Unlock()
			}
		}
	}
	if listed && known && len(s.running.of(s.prefix+name, owner)) == 0 {
		return nil, vfs.PathError("stat", name, fs.ErrNotExist)
	}
	return s.FS.StatStaged(ctx, name, owner)
}

var (
	_ vfs.Sessioner     = (*FS)(nil)
	_ vfs.FS            = (*session)(nil)
	_ vfs.Stager        = (*session)(nil)
	_ vfs.Copier        = (*session)(nil)
	_ vfs.Hasher        = (*session)(nil)
	_ vfs.ModTimeSetter = (*session)(nil)
)
