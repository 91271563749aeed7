package sftp

import (
	"context"
	"errors"
	"io/fs"

	"github.com/ftpgate/ftpgate/vfs"
)

// Mkdir implements vfs.FS.
func (f *FS) Mkdir(ctx context.Context, name string) error {
	const op = "mkdir"
	if err := begin(ctx, op, name); err != nil {
		return err
	}
	return pathError(op, name, f.pool.ask(ctx, false, func(w *wire) error {
		p, st, err := f.find(ctx, w, name, false)
		if err != nil {
			return err
		}
		if st.exists {
			return fs.ErrExist
		}
		path := f.path(p.name())
		return unlessGone(ctx, w, path, func() error { return w.mkdir(ctx, path).status(ctx) })
	}))
}

// Remove implements vfs.FS.
func (f *FS) Remove(ctx context.Context, name string) error {
	const op = "remove"
	if err := begin(ctx, op, name); err != nil {
		return err
	}
	if name == "." {
		return pathError(op, name, vfs.ErrIsDir)
	}
	return pathError(op, name, f.pool.ask(ctx, false, func(w *wire) error {
		p, st, err := f.find(ctx, w, name, false)
		switch {
		case err != nil:
			return err
		case !st.exists:
			return fs.ErrNotExist
		case st.mode.IsDir():
			return vfs.ErrIsDir
		}
		path := f.path(p.name())
		err = w.remove(ctx, path).status(ctx)
		if failure(err) {
			if st, serr := w.lstat(ctx, path).attrs(ctx); serr == nil && st.mode.IsDir() {
				return vfs.ErrIsDir
			}
		}
		return err
	}))
}

// Rmdir implements vfs.FS. While an upload of this process into the directory runs,
// it is vfs.ErrBusy.
func (f *FS) Rmdir(ctx context.Context, name string) error {
	const op = "rmdir"
	if err := begin(ctx, op, name); err != nil {
		return err
	}
	if name == "." {
		return pathError(op, name, fs.ErrPermission)
	}
	return pathError(op, name, f.pool.ask(ctx, false, func(w *wire) error {
		p, st, err := f.find(ctx, w, name, false)
		switch {
		case err != nil:
			return err
		case !st.exists:
			return fs.ErrNotExist
		case !st.mode.IsDir():
			return vfs.ErrNotDir
		}
		path := f.path(p.name())
		err = w.rmdir(ctx, path).status(ctx)
		if !failure(err) && !errors.Is(err, vfs.ErrNotEmpty) {
			return err
		}
		if derr := f.dropStaged(ctx, w, p.name()); derr != nil {
			return derr
		}
		return w.rmdir(ctx, path).status(ctx)
	}))
}

// dropStaged removes what is staged in the directory with this plain name, if
// nothing else is in it.
func (f *FS) dropStaged(ctx context.Context, w *wire, dir string) error {
	var staged []string
	var busy, taken bool
	err := w.list(ctx, f.path(dir), func(page []entry) bool {
		for _, e := range page {
			_, ok := hiddenKind(e.base)
			taken = taken || !ok || e.mode.IsDir()
			name := vfs.Join(dir, e.base)
			busy = busy || f.runs.isRunning(name)
			staged = append(staged, name)
		}
		return !taken && !busy
	})
	switch {
	case err != nil:
		return err
	case taken:
		return vfs.ErrNotEmpty
	case busy:
		return vfs.ErrBusy
	}
	for _, name := range staged {
		if err := w.remove(ctx, f.path(name)).status(ctx); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Rename implements vfs.FS. With NoReplace a file has both names for a moment.
func (f *FS) Rename(ctx context.Context, oldname, newname string, opt vfs.RenameOptions) error {
	const op = "rename"
	if err := begin(ctx, op, oldname); err != nil {
		return err
	}
	if err := begin(ctx, op, newname); err != nil {
		return err
	}
	blamed := oldname
	err := f.pool.ask(ctx, false, func(w *wire) error {
		from, old, err := f.find(ctx, w, oldname, false)
		switch {
		case err != nil:
			return err
		case !old.exists:
			return fs.ErrNotExist
		case oldname == ".":
			return fs.ErrPermission
		case oldname == newname:
			return nil
		}
		blamed = newname
		switch {
		case newname == ".":
			return fs.ErrPermission
		case old.mode.IsDir() && vfs.Within(newname, oldname):
			return fs.ErrInvalid
		}
		to, taken, err := f.find(ctx, w, newname, false)
		switch {
		case err != nil:
			return err
		case from == to:
			return nil
		case old.mode.IsDir() && vfs.Within(to.name(), from.name()):
			return fs.ErrInvalid
		case taken.exists && (opt.NoReplace || old.mode.IsDir() || !replaceable(taken)):
			return fs.ErrExist
		}
		return f.rename(ctx, w, from.name(), to.name(), old, opt.NoReplace)
	})
	return pathError(op, blamed, err)
}

// replaceable reports whether a file may take the place of st.
func replaceable(st stat) bool {
	return st.mode.IsRegular() || st.mode.Type() == fs.ModeSymlink
}

// rename moves what is at the plain name from, old, to the plain name to, where
// there is no directory.
func (s *shared) rename(ctx context.Context, w *wire, from, to string, old stat, noReplace bool) error {
	from, to = s.path(from), s.path(to)
	byLink := noReplace && old.mode.IsRegular() && s.facts.link
	err := unlessGone(ctx, w, to, func() error {
		switch {
		case old.mode.IsDir():
			return w.rename(ctx, from, to).status(ctx)
		case byLink:
			return w.link(ctx, from, to).status(ctx)
		case noReplace:
			if st, lerr := w.lstat(ctx, to).attrs(ctx); lerr != nil || st.exists {
				return exist(lerr)
			}
			return w.rename(ctx, from, to).status(ctx)
		case s.facts.replace:
			return w.replace(ctx, from, to).status(ctx)
		}
		return s.renameSimply(ctx, w, from, to)
	})
	if err == nil && byLink {
		err = w.remove(ctx, from).status(ctx)
	}
	return err
}

// move renames a file to a path on the server where nothing is.
func (s *shared) move(ctx context.Context, w *wire, from, to string) sent {
	if s.facts.replace {
		return w.replace(ctx, from, to)
	}
	return w.rename(ctx, from, to)
}

// exist is err, or fs.ErrExist.
func exist(err error) error {
	if err != nil {
		return err
	}
	return fs.ErrExist
}

// renameSimply replaces a file on a server that has no rename for that, if the
// options allow it.
func (s *shared) renameSimply(ctx context.Context, w *wire, from, to string) error {
	st, err := w.lstat(ctx, to).attrs(ctx)
	if err != nil {
		return err
	}
	if st.exists {
		if !s.opt.RemoveFirst || !replaceable(st) {
			return fs.ErrExist
		}
		if err := w.remove(ctx, to).status(ctx); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return w.rename(ctx, from, to).status(ctx)
}

// unlessGone runs do, which makes something at path, and explains its bare failure by
// what is in the way there. If nothing is, it may have gone in between: then do is
// repeated.
func unlessGone(ctx context.Context, w *wire, path string, do func() error) (err error) {
	for range 4 {
		if err = explain(ctx, w, path, do()); !failure(err) {
			break
		}
	}
	return err
}

// explain looks for the reason of a bare failure to make something at path.
func explain(ctx context.Context, w *wire, path string, err error) error {
	if !failure(err) {
		return err
	}
	if st, lerr := w.lstat(ctx, path).attrs(ctx); lerr == nil && st.exists {
		return fs.ErrExist
	}
	return err
}
