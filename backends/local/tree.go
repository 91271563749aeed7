package local

import (
	"context"
	"errors"
	"io/fs"

	"github.com/ftpgate/ftpgate/vfs"
)

// Stat implements vfs.FS.
func (f *FS) Stat(ctx context.Context, name string) (fs.FileInfo, error) {
	const op = "stat"
	if err := begin(ctx, op, name); err != nil {
		return nil, err
	}
	p, st, err := f.find(name, true)
	if err != nil {
		return nil, pathError(op, name, err)
	}
	defer p.close()
	if !st.exists {
		return nil, pathError(op, name, fs.ErrNotExist)
	}
	_, base := vfs.Split(name)
	return f.info(base, st, ""), nil
}

// Mkdir implements vfs.FS.
func (f *FS) Mkdir(ctx context.Context, name string) error {
	const op = "mkdir"
	if err := begin(ctx, op, name); err != nil {
		return err
	}
	p, err := f.place(name)
	if err != nil {
		return pathError(op, name, err)
	}
	defer p.close()
	perm := f.opt.DirMode
	if perm == 0 {
		perm = 0o777
	}
	if err := p.mkdir(p.base, perm); err != nil {
		return pathError(op, name, err)
	}
	if f.opt.DirMode != 0 {
		err = f.SetMode(ctx, name, perm)
	}
	if err == nil && f.owner.given() {
		err = p.chown(p.base, f.owner)
	}
	if err != nil {
		_ = p.rmdir(p.base)
	}
	if err == nil && !f.opt.NoSync {
		err = p.sync()
	}
	return pathError(op, name, err)
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
	p, err := f.place(name)
	if err != nil {
		return pathError(op, name, err)
	}
	defer p.close()
	return pathError(op, name, p.unlink(p.base))
}

// Rmdir implements vfs.FS. While an upload into the directory runs, it is
// vfs.ErrBusy.
func (f *FS) Rmdir(ctx context.Context, name string) error {
	const op = "rmdir"
	if err := begin(ctx, op, name); err != nil {
		return err
	}
	if name == "." {
		return pathError(op, name, fs.ErrPermission)
	}
	p, err := f.place(name)
	if err != nil {
		return pathError(op, name, err)
	}
	defer p.close()
	err = p.rmdir(p.base)
	if meaning := pathError(op, name, err); !errors.Is(meaning, vfs.ErrNotEmpty) {
		return meaning
	}
	if err := f.dropStaged(ctx, name); err != nil {
		return pathError(op, name, err)
	}
	return pathError(op, name, p.rmdir(p.base))
}

// dropStaged removes what is parked in the directory name, if nothing else is in
// it.
func (f *FS) dropStaged(ctx context.Context, name string) error {
	for e, err := range f.scan(ctx, name) {
		if err != nil {
			return err
		}
		if _, ok := stagedKind(e.base); !ok {
			return vfs.ErrNotEmpty
		}
		if live(e.dir, e.base) {
			return vfs.ErrBusy
		}
	}
	for e, err := range f.scan(ctx, name) {
		if err != nil {
			return err
		}
		if _, ok := stagedKind(e.base); !ok {
			return vfs.ErrNotEmpty
		}
		s, err := claim(e.dir, e.base)
		if err == nil {
			err = s.drop()
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Rename implements vfs.FS. From one disk to another, below the same root, it is
// errors.ErrUnsupported.
func (f *FS) Rename(ctx context.Context, oldname, newname string, opt vfs.RenameOptions) error {
	const op = "rename"
	if err := begin(ctx, op, oldname); err != nil {
		return err
	}
	if err := begin(ctx, op, newname); err != nil {
		return err
	}
	from, old, err := f.find(oldname, false)
	if err != nil {
		return pathError(op, oldname, err)
	}
	defer from.close()
	switch {
	case !old.exists:
		return pathError(op, oldname, fs.ErrNotExist)
	case oldname == ".":
		return pathError(op, oldname, fs.ErrPermission)
	case oldname == newname:
		return nil
	case newname == ".":
		return pathError(op, newname, fs.ErrPermission)
	case old.mode.IsDir() && vfs.Within(newname, oldname):
		return pathError(op, newname, fs.ErrInvalid)
	}
	to, taken, err := f.find(newname, false)
	if err != nil {
		return pathError(op, newname, err)
	}
	defer to.close()
	return pathError(op, newname, rename(from, old, to, taken, opt.NoReplace))
}

// rename moves what is at from; old and taken are what was found there and at to.
func rename(from place, old stat, to place, taken stat, noReplace bool) error {
	if taken.exists && (noReplace || old.mode.IsDir() || !replaceable(taken)) {
		return fs.ErrExist
	}
	if old.same(taken) && old.links > 1 {
		// POSIX leaves two names of one file as they are.
		return from.unlink(from.base)
	}
	err := from.rename(from.base, to.dir, to.base, noReplace || old.mode.IsDir())
	switch kind := pathError("rename", to.name, err); {
	case errors.Is(kind, vfs.ErrIsDir), errors.Is(kind, vfs.ErrNotEmpty):
		return fs.ErrExist // a directory that came in between
	}
	return err
}

// replaceable reports whether a file may take the place of st.
func replaceable(st stat) bool {
	return st.mode.IsRegular() || st.mode.Type() == fs.ModeSymlink
}
