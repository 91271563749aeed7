package sftp

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"strings"
	"time"

	"github.com/ftpgate/ftpgate/vfs"
)

// look finds name on the metadata connection.
func (f *FS) look(ctx context.Context, name string, follow bool) (p place, st stat, err error) {
	err = f.pool.ask(ctx, true, func(w *wire) (err error) {
		p, st, err = f.find(ctx, w, name, follow)
		return err
	})
	return p, st, err
}

// Stat implements vfs.FS.
func (f *FS) Stat(ctx context.Context, name string) (fs.FileInfo, error) {
	const op = "stat"
	if err := begin(ctx, op, name); err != nil {
		return nil, err
	}
	_, st, err := f.look(ctx, name, true)
	if err == nil && !st.exists {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, pathError(op, name, err)
	}
	_, base := vfs.Split(name)
	return info(base, st, ""), nil
}

// ReadDir implements vfs.FS. Entries come as the server sends them, a page at a
// time. Names that hold CR or LF are left out, and staged uploads that are expired
// are removed.
func (f *FS) ReadDir(ctx context.Context, name, prefix string) iter.Seq2[fs.FileInfo, error] {
	const op = "readdir"
	return func(yield func(fs.FileInfo, error) bool) {
		if err := begin(ctx, op, name); err != nil {
			yield(nil, err)
			return
		}
		for e, err := range f.scan(ctx, name) {
			if err != nil {
				yield(nil, pathError(op, name, err))
				return
			}
			if hidden(e.base) {
				e.expire(ctx)
				continue
			}
			if !strings.HasPrefix(e.base, prefix) || !vfs.ValidElement(e.base) || len(e.base) > maxElement {
				continue
			}
			if !yield(info(e.base, e.stat, e.target), nil) {
				return
			}
		}
	}
}

// met is an element that a listing met, whatever its name.
type met struct {
	entry
	target string // of a link
	fs     *FS
	dir    string // plain
	w      *wire
}

// scan streams the elements of the directory name. Its errors are raw, or the
// cause of ctx. Once it yielded an element it does not begin again on another
// connection.
func (f *FS) scan(ctx context.Context, name string) iter.Seq2[met, error] {
	return func(yield func(met, error) bool) {
		begun, left := false, false
		do := func(w *wire) error {
			p, st, err := f.find(ctx, w, name, true)
			switch {
			case err != nil:
				return err
			case !st.exists:
				return fs.ErrNotExist
			case !st.mode.IsDir():
				return vfs.ErrNotDir
			}
			return w.list(ctx, f.path(p.name()), func(page []entry) bool {
				targets := f.targets(ctx, w, p.name(), page)
				for i, e := range page {
					if ctx.Err() != nil {
						return false
					}
					begun = true
					if left = !yield(met{e, targets[i], f, p.name(), w}, nil); left {
						return false
					}
				}
				return true
			})
		}
		err := f.pool.ask(ctx, false, do)
		if errors.Is(err, errLost) && !begun && ctx.Err() == nil {
			err = f.pool.ask(ctx, false, do)
		}
		if err = cancelled(ctx, err); err != nil && !left {
			yield(met{}, err)
		}
	}
}

// targets asks for the texts of all links of a page at once.
func (f *FS) targets(ctx context.Context, w *wire, dir string, page []entry) []string {
	asked := map[int]sent{}
	for i, e := range page {
		if e.mode.Type() == fs.ModeSymlink && !hidden(e.base) {
			asked[i] = w.readlink(ctx, f.path(vfs.Join(dir, e.base)))
		}
	}
	targets := make([]string, len(page))
	for i, s := range asked {
		if text, err := s.text(ctx); err == nil {
			targets[i] = f.target(dir, text)
		}
	}
	return targets
}

// expired reports whether a hidden file of this kind, last changed then, may go. An
// upload that seems to run may really do so, at another gateway.
func (s *shared) expired(kind byte, then time.Time) bool {
	age := s.opt.StagedExpiry
	if kind == kindRunning {
		age = max(age, s.opt.tuning.orphan)
	}
	return age >= 0 && time.Since(then) > age
}

// expire removes e if it is a staged upload that is expired, and reports whether it
// did. The next listing meets again what can't be removed.
func (e met) expire(ctx context.Context) bool {
	kind, ok := hiddenKind(e.base)
	if !ok || !e.fs.expired(kind, e.mtime) {
		return false
	}
	name := vfs.Join(e.dir, e.base)
	path := e.fs.path(name)
	switch {
	case e.mode.IsRegular() && kind == kindRunning:
		return !e.fs.runs.isRunning(name) && e.w.remove(ctx, path).status(ctx) == nil
	case e.mode.Type() == fs.ModeSymlink && (kind == kindLink || kind == kindLinkH):
		st, err := e.w.stat(ctx, path).attrs(ctx)
		if err != nil || st.exists && !e.fs.expired(kind, st.mtime) {
			return false
		}
		return e.w.remove(ctx, path).status(ctx) == nil
	case e.mode.IsRegular() && (kind == kindParked || kind == kindParkedH):
		// Its owner may be about to go on with it: only who gets it under a name of
		// his own may remove it.
		own := e.fs.path(vfs.Join(e.dir, runningName()))
		if e.fs.move(ctx, e.w, path, own).status(ctx) != nil {
			return false
		}
		st, err := e.w.lstat(ctx, own).attrs(ctx)
		if err != nil || !e.fs.expired(kind, st.mtime) {
			_ = e.fs.move(ctx, e.w, own, path).status(ctx)
			return false
		}
		return e.w.remove(ctx, own).status(ctx) == nil
	}
	return false
}

// Sweep removes the staged uploads of the whole tree that are expired and returns
// how many there were. It goes on past directories that it may not read and
// returns the first other error.
func (f *FS) Sweep(ctx context.Context) (removed int, err error) {
	todo := []string{"."}
	for len(todo) > 0 {
		dir := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for e, serr := range f.scan(ctx, dir) {
			switch {
			case serr != nil:
				serr = pathError("sweep", dir, serr)
				if err == nil && !errors.Is(serr, fs.ErrPermission) && !errors.Is(serr, fs.ErrNotExist) {
					err = serr
				}
			case e.expire(ctx):
				removed++
			case e.mode.IsDir() && checkName("sweep", e.base) == nil:
				todo = append(todo, vfs.Join(dir, e.base))
			}
		}
		if ctx.Err() != nil {
			return removed, vfs.ContextError(ctx, "sweep", dir)
		}
	}
	return removed, err
}
