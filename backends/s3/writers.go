package s3

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/ftpgate/ftpgate/vfs"
)

// claim is an upload as its owner sees it.
type claim struct{ key, owner string }

// writers are the uploads that run in this process.
type writers struct {
	mu         sync.Mutex
	owned      map[claim][]*upload
	continuing map[string]bool // keys of complete files that an upload continues
}

func (w *writers) add(u *upload) {
	if u.owner == "" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.owned == nil {
		w.owned = map[claim][]*upload{}
	}
	c := claim{u.key, u.owner}
	w.owned[c] = append(w.owned[c], u)
}

// remove forgets u and what it continued.
func (w *writers) remove(u *upload) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := claim{u.key, u.owner}
	if left := slices.DeleteFunc(w.owned[c], func(o *upload) bool { return o == u }); len(left) > 0 {
		w.owned[c] = left
	} else {
		delete(w.owned, c)
	}
	if u.continues {
		u.continues = false
		delete(w.continuing, u.key)
	}
}

// of returns the owner's running uploads of a key.
func (w *writers) of(key, owner string) []*upload {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.owned[claim{key, owner}])
}

// all returns all running uploads that have an owner.
func (w *writers) all() (out []*upload) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, us := range w.owned {
		out = append(out, us...)
	}
	return out
}

// resume makes u the one upload that continues the complete file.
func (w *writers) resume(u *upload) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.continuing[u.key] {
		return vfs.ErrBusy
	}
	if w.continuing == nil {
		w.continuing = map[string]bool{}
	}
	w.continuing[u.key], u.continues = true, true
	return nil
}

// quietFor reports whether the upload has waited for its client so long that it may
// be taken for dead.
func (u *upload) quietFor(d time.Duration) bool {
	since := u.waiting.Load()
	return since != 0 && time.Since(time.Unix(0, since)) >= d
}

// alive reports whether one of the owner's uploads of a key is alive here.
func (f *FS) alive(key, owner string) bool {
	return slices.ContainsFunc(f.running.of(key, owner), func(u *upload) bool { return !u.quietFor(f.tuning.quiet) })
}

// settle waits for the owner's uploads of a key that are just being ended: a client
// that was cut off comes back faster than its old session is parked.
func (f *FS) settle(ctx context.Context, key, owner string) {
	ctx, cancel := context.WithTimeout(ctx, f.tuning.cleanup)
	defer cancel()
	for _, u := range f.running.of(key, owner) {
		if !u.ending.Load() {
			continue
		}
		select {
		case <-u.done:
		case <-ctx.Done():
		}
	}
}

// takeOver parks the owner's uploads of a key that look dead. vfs.ErrBusy says that
// one of them is not.
func (f *FS) takeOver(key, owner string) error {
	for _, u := range f.running.of(key, owner) {
		if !u.quietFor(f.tuning.quiet) || !u.mu.TryLock() {
			return vfs.ErrBusy
		}
		u.yield()
		u.mu.Unlock()
	}
	return nil
}
