package aferofs

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/ftpgate/ftpgate/vfs"
	"github.com/spf13/afero"
)

func newTemp() string { return tempPrefix + rand.Text() + tempSuffix }

// writer is an upload to a temporary file beside its name.
type writer struct {
	ctx    context.Context
	f      *aferoFS
	name   string // as the caller wrote it, for errors
	opt    vfs.CreateOptions
	base   string
	temp   string // an element of dir
	file   afero.File
	offset int64
	failed error
	done   bool

	// Under aferoFS.mu.
	dir  string // changes when it is renamed
	dead bool   // removed
}

// Create implements vfs.FS. Append and WriteAt copy what they keep of the old
// content first.
func (f *aferoFS) Create(ctx context.Context, name string, opt vfs.CreateOptions) (vfs.Writer, error) {
	w := &writer{ctx: ctx, f: f, name: name, opt: opt, temp: newTemp()}
	w.dir, w.base = vfs.Split(name)
	if err := f.change(ctx, "create", name, w.begin); err != nil {
		return nil, err
	}
	if w.offset > 0 {
		if err := w.keep(); err != nil {
			w.Abort()
			return nil, fail("create", name, err)
		}
	}
	return w, nil
}

// begin makes the temporary file, under the lock.
func (w *writer) begin() error {
	f := w.f
	info, err := f.stat(w.name)
	exists := err == nil
	switch {
	case exists && info.IsDir():
		return vfs.ErrIsDir
	case exists && !info.Mode().IsRegular():
		return fs.ErrPermission
	case exists && w.opt.NoReplace:
		return fs.ErrExist
	case !exists && !errors.Is(err, fs.ErrNotExist):
		return err
	case w.opt.Offset < 0:
		return fs.ErrInvalid
	}
	if err := f.parent(w.name); err != nil {
		return err
	}
	switch w.opt.Mode {
	case vfs.Append:
		w.offset = info.Size()
	case vfs.WriteAt:
		if w.offset = w.opt.Offset; w.offset > info.Size() {
			return &vfs.OffsetError{Offset: w.offset, Accept: info.Size()}
		}
	}
	if w.opt.Mode != vfs.Replace {
		for other := range f.live {
			if other.opt.Mode != vfs.Replace && other.dir == w.dir && other.base == w.base {
				return vfs.ErrBusy
			}
		}
	}
	perm := fs.FileMode(0o644)
	if exists { // what was private stays so
		perm = info.Mode().Perm()
	}
	if w.file, err = f.a.OpenFile(f.path(vfs.Join(w.dir, w.temp)), os.O_RDWR|os.O_CREATE|os.O_EXCL, perm); err != nil {
		return err
	}
	f.live[w] = true
	return nil
}

// keep copies the first offset bytes of the old content.
func (w *writer) keep() error {
	old, err := w.f.open(w.ctx, w.name, 0, w.offset)
	if err != nil {
		return err
	}
	defer old.Close()
	n, err := io.Copy(struct{ io.Writer }{w.file}, old)
	if err == nil && n < w.offset { // it was replaced by a shorter one meanwhile
		err = &vfs.OffsetError{Offset: w.offset, Accept: n}
	}
	return err
}

func (w *writer) Offset() int64 { return w.offset }

func (w *writer) check(op string) error {
	switch {
	case w.done:
		return &fs.PathError{Op: op, Path: w.name, Err: fs.ErrClosed}
	case w.failed != nil:
		return w.failed
	}
	return vfs.ContextError(w.ctx, op, w.name)
}

func (w *writer) Write(p []byte) (int, error) {
	if err := w.check("write"); err != nil {
		return 0, err
	}
	n, err := w.file.Write(p)
	w.failed = fail("write", w.name, err)
	return n, w.failed
}

func (w *writer) ReadFrom(r io.Reader) (int64, error) {
	buf := make([]byte, 64<<10)
	var total int64
	for idle := 0; ; {
		if err := w.check("write"); err != nil {
			return total, err
		}
		n, rerr := r.Read(buf)
		if idle++; n > 0 {
			idle = 0
			n, err := w.Write(buf[:n])
			total += int64(n)
			if err != nil {
				return total, err
			}
		}
		switch {
		case rerr == io.EOF:
			return total, nil
		case rerr != nil:
			return total, rerr
		case idle > 100:
			return total, io.ErrNoProgress
		}
	}
}

func (w *writer) Sync() error {
	if w.done {
		return nil
	}
	if err := w.check("sync"); err != nil {
		return err
	}
	w.failed = fail("sync", w.name, w.file.Sync())
	return w.failed
}

func (w *writer) Commit() error {
	if w.done {
		return nil
	}
	err := w.Sync()
	if cerr := w.file.Close(); err == nil {
		err = fail("commit", w.name, cerr)
	}
	return w.end(func() error {
		if err == nil {
			err = w.check("commit")
		}
		if err == nil {
			err = fail("commit", w.name, w.publish())
		}
		if err != nil {
			w.unlink()
		}
		return err
	})
}

// publish gives the temporary file its name, under the lock.
func (w *writer) publish() error {
	if w.dead {
		return fs.ErrNotExist
	}
	target := vfs.Join(w.dir, w.base)
	if err := w.f.parent(target); err != nil {
		return err
	}
	info, err := w.f.lstat(target)
	switch {
	case err == nil && info.IsDir():
		return vfs.ErrIsDir
	case err == nil && (w.opt.NoReplace || !info.Mode().IsRegular()):
		return fs.ErrExist
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	temp := vfs.Join(w.dir, w.temp)
	if err == nil { // whatever the umask left of it at the beginning
		if err := w.f.a.Chmod(w.f.path(temp), info.Mode().Perm()); err != nil {
			return err
		}
	}
	return w.f.replace(temp, target, err == nil)
}

// Park aborts: afero can't.
func (w *writer) Park() error {
	if w.done {
		return nil
	}
	if err := w.Abort(); err != nil {
		return err
	}
	return fail("park", w.name, errors.ErrUnsupported)
}

func (w *writer) Abort() error {
	if w.done {
		return nil
	}
	w.file.Close()
	return w.end(func() error { return fail("abort", w.name, w.unlink()) })
}

// unlink removes the temporary file, under the lock.
func (w *writer) unlink() error {
	if w.dead {
		return nil
	}
	return w.f.a.Remove(w.f.path(vfs.Join(w.dir, w.temp)))
}

func (w *writer) end(do func() error) error {
	w.f.mu.Lock()
	defer w.f.mu.Unlock()
	err := do()
	w.done = true
	delete(w.f.live, w)
	return err
}
