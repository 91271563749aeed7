package sftp

import (
	"context"
	"errors"
	"io/fs"
	"os"

	pkgsftp "github.com/pkg/sftp"

	"github.com/ftpgate/ftpgate/vfs"
)

// Create implements vfs.FS. A link is followed, and the file that it leads to is
// replaced.
func (f *FS) Create(ctx context.Context, name string, opt vfs.CreateOptions) (vfs.Writer, error) {
	const op = "create"
	if err := begin(ctx, op, name); err != nil {
		return nil, err
	}
	if opt.Mode > vfs.WriteAt || opt.Offset < 0 {
		return nil, pathError(op, name, fs.ErrInvalid)
	}
	w, err := f.create(ctx, name, opt)
	if err != nil {
		return nil, pathError(op, name, cancelled(ctx, err))
	}
	return w, nil
}

// create returns raw errors.
func (f *FS) create(ctx context.Context, name string, opt vfs.CreateOptions) (*writer, error) {
	p, st, err := f.look(ctx, name, true)
	if err != nil {
		return nil, err
	}
	w := &writer{fs: f, ctx: ctx, name: name, at: p, old: st, owner: opt.Owner, noReplace: opt.NoReplace}
	if err := w.begin(opt); err != nil {
		w.undo()
		return nil, err
	}
	return w, nil
}

// begin opens the file that takes the bytes.
func (w *writer) begin(opt vfs.CreateOptions) error {
	f := w.fs
	if opt.Mode != vfs.Replace {
		if w.holds = f.runs.hold(w.at.name()); !w.holds {
			return vfs.ErrBusy
		}
		// What another upload did before this one got the name, counts.
		if err := f.pool.ask(w.ctx, true, func(c *wire) (err error) {
			w.old, err = c.lstat(w.ctx, f.path(w.at.name())).attrs(w.ctx)
			return err
		}); err != nil {
			return err
		}
	}
	if err := f.creatable(w.old, opt); err != nil {
		return err
	}
	if err := w.reserve(opt.SizeHint); err != nil {
		return err
	}
	if opt.Mode == vfs.Replace {
		return w.beginFresh()
	}
	return w.beginKept(opt)
}

// creatable decides by what stands there whether an upload may begin.
func (s *shared) creatable(st stat, opt vfs.CreateOptions) error {
	switch {
	case !st.exists:
		return nil
	case st.mode.IsDir():
		return vfs.ErrIsDir
	case opt.NoReplace:
		return fs.ErrExist
	case !st.mode.IsRegular():
		return fs.ErrPermission
	case !s.facts.replace && !s.opt.RemoveFirst:
		return fs.ErrExist
	}
	return nil
}

// reserve makes sure that the server has room for size bytes, as far as it tells.
func (w *writer) reserve(size int64) error {
	if size <= 0 || !w.fs.facts.space {
		return nil
	}
	free, err := w.fs.free(w.ctx, w.at.dir)
	if err == nil && size > free {
		return vfs.ErrNoSpace
	}
	return nil
}

// free is what is free in the plain directory dir, in bytes.
func (s *shared) free(ctx context.Context, dir string) (free int64, err error) {
	err = s.pool.ask(ctx, true, func(c *wire) (err error) {
		_, free, err = c.space(ctx, s.path(dir))
		return err
	})
	return free, err
}

// beginFresh begins an empty upload, which voids a parked one of the owner.
func (w *writer) beginFresh() error {
	if w.owner == "" {
		return w.open(runningName(), true)
	}
	ctx, f := w.ctx, w.fs
	return f.pool.ask(ctx, false, func(c *wire) error {
		parked := c.remove(ctx, f.path(w.parkedAt()))
		link := c.remove(ctx, f.path(w.link()))
		err := w.open(runningName(), true)
		for _, s := range []sent{parked, link} {
			if gone := s.status(ctx); err == nil && gone != nil && !errors.Is(gone, fs.ErrNotExist) {
				err = gone
			}
		}
		return err
	})
}

// open opens the hidden file base, which with fresh is a new one, on one session.
func (w *writer) open(base string, fresh bool) error {
	err := w.tryOpen(base, fresh)
	if errors.Is(err, errLost) && w.ctx.Err() == nil {
		_ = w.closeFile()
		if fresh { // an orphan is left perhaps, which expires
			w.unregister()
			base = runningName()
		}
		err = w.tryOpen(base, fresh)
	}
	return w.full(err)
}

func (w *writer) tryOpen(base string, fresh bool) error {
	w.register(w.at.beside(base))
	s, err := w.fs.pool.transfer(w.ctx)
	if err != nil {
		return err
	}
	flags := os.O_WRONLY
	if fresh {
		flags |= os.O_CREATE | os.O_EXCL
	}
	var file *pkgsftp.File
	w.made = true
	if err := s.call(func() (err error) {
		file, err = s.OpenFile(w.fs.path(w.stage), flags)
		return err
	}); err != nil {
		w.made = !fresh || passing(err)
		s.release()
		return err
	}
	w.session, w.file = s, file
	if fresh && w.old.exists && w.fs.facts.setMode {
		// Not more open than what it replaces, and such that its owner can open it
		// again.
		return s.call(func() error { return file.Chmod(w.old.mode.Perm() | 0o600) })
	}
	return nil
}

// full looks for the reason of a bare failure to write.
func (w *writer) full(err error) error {
	if !failure(err) || !w.fs.facts.space {
		return err
	}
	ctx, cancel := w.fs.detached(w.ctx)
	defer cancel()
	if free, serr := w.fs.free(ctx, w.at.dir); serr == nil && free < packetSize {
		return vfs.ErrNoSpace
	}
	return err
}

// beginKept begins an upload that keeps the beginning of what is there: the
// owner's staged upload, else the complete file.
func (w *writer) beginKept(opt vfs.CreateOptions) error {
	if w.owner != "" {
		if w.fs.runs.runs(w.owner, w.at.name()) {
			return vfs.ErrBusy
		}
		if taken, err := w.resume(opt); taken || err != nil {
			return err
		}
	}
	offset := opt.Offset
	if opt.Mode == vfs.Append {
		offset = w.old.size
	}
	limit := w.fs.opt.CopyLimit
	switch {
	case offset > w.old.size:
		return &vfs.OffsetError{Offset: offset, Accept: w.old.size}
	case offset == 0:
		return w.beginFresh()
	case !w.fs.facts.copyData && limit >= 0 && offset > limit:
		return vfs.ErrTooLarge
	}
	if err := w.open(runningName(), true); err != nil {
		return err
	}
	return w.keep(w.at.name(), offset)
}

// resume goes on with the owner's staged upload, if there is one. What lies behind
// the offset stays until a byte arrives, so that a client that dies at once loses
// nothing.
func (w *writer) resume(opt vfs.CreateOptions) (taken bool, err error) {
	st, err := w.fs.staged(w.ctx, w.at, w.owner)
	if err != nil || st.size == 0 {
		return false, err
	}
	offset := opt.Offset
	if opt.Mode == vfs.Append {
		offset = resumeAt(st.size)
	}
	if offset > st.size {
		return false, &vfs.OffsetError{Offset: offset, Accept: st.size}
	}
	if st.left == "" {
		err = w.claim()
	} else {
		err = w.takeOver(st)
	}
	if err != nil {
		return false, err
	}
	w.resumed, w.had = true, st.size
	w.offset, w.size = offset, offset
	return true, nil
}

// claim takes the parked upload from where it is parked. A link is made first, so
// that it is found also if this process dies.
func (w *writer) claim() error {
	ctx, f := w.ctx, w.fs
	base := runningName()
	stage := w.at.beside(base)
	w.register(stage)
	parked := f.path(w.parkedAt())
	if err := f.pool.ask(ctx, false, func(c *wire) error {
		if f.links() {
			_ = w.pointTo(ctx, c)
		}
		err := f.move(ctx, c, parked, f.path(stage)).status(ctx)
		if errors.Is(err, fs.ErrNotExist) {
			return vfs.ErrBusy // somebody was faster
		}
		return err
	}); err != nil {
		return err
	}
	w.claimed = true
	return w.open(base, false)
}

// takeOver goes on with what a connection left that broke, or a process that died,
// or one that perhaps still runs at another gateway. So what is there is copied: then
// nobody else writes to the copy, and whoever still writes to the original can't
// commit it.
func (w *writer) takeOver(st stagedUpload) error {
	base := runningName()
	if err := w.open(base, true); err != nil {
		return err
	}
	if err := w.keep(w.at.beside(st.left), st.size); err != nil {
		return err
	}
	ctx, f := w.ctx, w.fs
	return f.pool.ask(ctx, false, func(c *wire) error {
		_ = w.pointTo(ctx, c)
		err := c.remove(ctx, f.path(w.at.beside(st.left))).status(ctx)
		if errors.Is(err, fs.ErrNotExist) {
			return vfs.ErrBusy // it was committed, or somebody was faster
		}
		return err
	})
}

// undo is for a Create that fails: what was parked stays. It tries but once: a
// leftover expires, and one that was parked is found by its link.
func (w *writer) undo() {
	ctx, cancel := w.fs.detached(w.ctx)
	defer cancel()
	_ = w.closeFile()
	switch {
	case w.claimed:
		_ = w.fs.pool.ask(ctx, true, w.toParked(ctx))
	case w.made:
		_ = w.fs.pool.ask(ctx, true, w.remove(ctx))
	}
	w.release()
}
