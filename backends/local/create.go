package local

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"github.com/ftpgate/ftpgate/vfs"
)

// Create implements vfs.FS. A link is followed, and the file that it leads to is
// replaced. A file that the process may not write is not replaced either.
func (f *FS) Create(ctx context.Context, name string, opt vfs.CreateOptions) (vfs.Writer, error) {
	const op = "create"
	if err := begin(ctx, op, name); err != nil {
		return nil, err
	}
	if opt.Mode > vfs.WriteAt || opt.Offset < 0 {
		return nil, pathError(op, name, fs.ErrInvalid)
	}
	w, err := f.create(ctx, name, opt, f.opt.Direct)
	if err != nil {
		return nil, pathError(op, name, err)
	}
	return w, nil
}

// create returns raw errors.
func (f *FS) create(ctx context.Context, name string, opt vfs.CreateOptions, direct bool) (*writer, error) {
	p, st, err := f.find(name, true)
	if err != nil {
		return nil, err
	}
	if !f.caps.Has(vfs.CanPark) {
		opt.Owner = ""
	}
	w := &writer{fs: f, ctx: ctx, name: name, at: p}
	if err = w.begin(st, opt, direct); err == nil {
		err = w.reserve(opt.SizeHint)
	}
	if err != nil {
		w.undo()
		return nil, err
	}
	return w, nil
}

// begin opens the file that takes the bytes. st is what stands at w.at.
func (w *writer) begin(st stat, opt vfs.CreateOptions, direct bool) error {
	alone := true
	if direct || opt.Mode != vfs.Replace {
		now, err := w.takeName()
		if alone = err == nil; alone {
			st = now
		} else if err != vfs.ErrBusy || opt.Mode != vfs.Replace {
			return err
		}
	}
	if err := w.at.creatable(st, opt); err != nil {
		return err
	}
	var err error
	if opt.Mode == vfs.Replace {
		err = w.beginFresh(st, opt)
	} else {
		err = w.beginKept(st, opt, direct)
	}
	// Beside another upload of the name, this one can't be seen before its end.
	if s, fresh := w.up.(*staged); err == nil && fresh && direct && alone {
		err = w.show(s, st)
	}
	return err
}

// reserve makes sure that the disk has room for a file of size bytes.
func (w *writer) reserve(size int64) error {
	if size -= w.offset; size <= 0 {
		return nil
	}
	// A disk that has less would first give away all that it has.
	if _, free, err := w.at.space(); err == nil && size > free {
		return vfs.ErrNoSpace
	}
	w.reserved = true
	return w.file.allocate(w.offset, size)
}

// creatable decides by what stands at p whether an upload may begin.
func (p place) creatable(st stat, opt vfs.CreateOptions) error {
	switch {
	case !st.exists:
		return nil
	case st.mode.IsDir():
		return vfs.ErrIsDir
	case opt.NoReplace:
		return fs.ErrExist
	case !st.mode.IsRegular():
		return fs.ErrPermission
	}
	return p.writable(p.base)
}

// takeName makes w the only upload of this process that changes what is at its
// name in place, or continues it, and tells what that is from then on.
func (w *writer) takeName() (stat, error) {
	k, err := w.at.key()
	if err != nil {
		return stat{}, err
	}
	if !w.fs.names.take(k) {
		return stat{}, vfs.ErrBusy
	}
	w.taken = &k
	st, err := w.at.lstat(w.at.base)
	if errors.Is(err, fs.ErrNotExist) {
		return stat{}, nil
	}
	return st, err
}

// permFor is how the hidden file is created: not more open than what it replaces,
// and such that its owner can open it again.
func (f *FS) permFor(st stat) fs.FileMode {
	switch {
	case st.exists:
		return st.mode.Perm() | 0o600
	case f.opt.FileMode != 0:
		return f.opt.FileMode.Perm() | 0o600
	}
	return 0o666
}

// beginFresh begins an empty upload, which voids a parked one of the owner. Beside
// a running one of the same owner and name it can't be the one to be resumed.
func (w *writer) beginFresh(st stat, opt vfs.CreateOptions) error {
	perm := w.fs.permFor(st)
	err := error(errLive)
	var s *staging
	if opt.Owner != "" {
		if err = discard(w.at, opt.Owner); err == nil || errors.Is(err, fs.ErrNotExist) {
			name := stagedName(opt.Owner, w.at.base)
			if s, err = newStaging(w.at.dir, name, perm); err == nil {
				s.label(name, w.at.base)
			}
		}
	}
	if err == errLive {
		s, err = newStaging(w.at.dir, passingName(), perm)
	}
	if err != nil {
		return err
	}
	w.file = s.file
	w.up = &staged{w: w, stage: s, owner: opt.Owner, noReplace: opt.NoReplace}
	return nil
}

// beginKept begins an upload that keeps the beginning of what is there: the
// owner's parked upload, else the complete file.
func (w *writer) beginKept(st stat, opt vfs.CreateOptions, direct bool) error {
	if st.exists {
		file, now, err := hold(w.at.dir, w.at.base)
		if err != nil && err != errNoLock {
			return err
		}
		w.kept, st = file, now
	}
	if opt.Owner != "" {
		if taken, err := w.resume(st, opt); taken || err != nil {
			return err
		}
	}
	w.offset = opt.Offset
	if opt.Mode == vfs.Append {
		w.offset = st.size
	}
	switch {
	case w.offset > st.size:
		return &vfs.OffsetError{Offset: w.offset, Accept: st.size}
	case direct && st.exists && w.offset == st.size:
		return w.grow()
	}
	if w.offset == 0 {
		return w.beginFresh(st, opt)
	}
	owner := opt.Owner
	opt.Owner = "" // with nothing of its own, it must not look like a parked one
	if err := w.beginFresh(st, opt); err != nil {
		return err
	}
	w.up.(*staged).owner = owner
	if w.file.clone(w.kept.File) == nil {
		return w.cut()
	}
	if w.offset == st.size && w.offset > w.fs.opt.CopyLimit && !w.fs.caps.Has(vfs.AtomicCommit) {
		return w.beginTail(st)
	}
	return w.copyFrom(w.kept, w.offset)
}

// resume continues the owner's parked upload, if there is one. What lies behind
// the offset stays until a byte arrives, so that a client that dies at once loses
// nothing. st is of the complete file.
func (w *writer) resume(st stat, opt vfs.CreateOptions) (taken bool, err error) {
	s, err := claim(w.at.dir, stagedName(opt.Owner, w.at.base))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	w.offset = opt.Offset
	if opt.Mode == vfs.Append {
		w.offset = resumeAt(s.st.size)
	}
	mark := attrOf(s.file.File, keptAttr)
	if !w.fs.resumable(s.file, s.st) || mark != "" && (mark != st.mark() || w.offset < st.size) {
		return false, s.drop() // the complete file has all of it that is of use
	}
	if w.offset > s.st.size {
		s.file.Close()
		return false, &vfs.OffsetError{Offset: w.offset, Accept: s.st.size}
	}
	up := &staged{w: w, stage: s, owner: opt.Owner, noReplace: opt.NoReplace}
	w.up, w.file, w.resumed = up, s.file, true
	if mark != "" {
		w.up = &tail{staged: up, kept: st}
	}
	return true, nil
}

// cut drops what lies behind the offset.
func (w *writer) cut() error {
	if err := w.file.Truncate(w.offset); err != nil {
		return err
	}
	_, err := w.file.Seek(w.offset, io.SeekStart)
	return err
}

// undo is for a Create that fails: what was parked stays.
func (w *writer) undo() {
	switch {
	case w.resumed:
		w.file.Close()
	case w.up != nil:
		_ = w.up.drop()
	}
	w.release()
}
