package vfs

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"time"
)

// Sub returns the tree below dir as an FS of its own (chroot). Names outside of
// dir can't be expressed, and links out of it are fs.ErrPermission.
func Sub(fsys FS, dir string) (FS, error) {
	if err := CheckName("sub", dir); err != nil {
		return nil, err
	}
	if dir == "." {
		return fsys, nil
	}
	if s, ok := fsys.(Subber); ok {
		sub, err := s.Sub(dir)
		if !errors.Is(err, errors.ErrUnsupported) {
			return sub, err
		}
	}
	return &subFS{inner: fsys, dir: dir}, nil
}

// subFS translates names. It is only used over stores without links.
type subFS struct {
	inner FS
	dir   string
}

var _ Full = (*subFS)(nil)

// full returns the inner name. An invalid name must not become valid by the
// prefix, so it is refused here.
func (s *subFS) full(op, name string) (string, error) {
	if err := CheckName(op, name); err != nil {
		return "", err
	}
	return Join(s.dir, name), nil
}

// strip turns an inner name back into ours.
func (s *subFS) strip(name string) string {
	if name == s.dir {
		return "."
	}
	if Within(name, s.dir) {
		return name[len(s.dir)+1:]
	}
	return name
}

// err takes the prefix off the name in an error.
func (s *subFS) err(err error) error {
	var pe *fs.PathError
	if !errors.As(err, &pe) {
		return err
	}
	return &fs.PathError{Op: pe.Op, Path: s.strip(pe.Path), Err: pe.Err}
}

func (s *subFS) info(info fs.FileInfo, name string) fs.FileInfo {
	a, ok := info.Sys().(*Attr)
	if name != "." && (!ok || a.Target == "") {
		return info
	}
	out := WithName(info, info.Name())
	if name == "." {
		out.name = "."
	}
	if ok && a.Target != "" {
		b := *a
		if b.Target = ""; Within(a.Target, s.dir) {
			b.Target = s.strip(a.Target)
		}
		out.attr = &b
	}
	return out
}

func (s *subFS) Caps() Caps { return s.inner.Caps() }

func (s *subFS) Sub(dir string) (FS, error) {
	full, err := s.full("sub", dir)
	if err != nil {
		return nil, err
	}
	return Sub(s.inner, full)
}

func (s *subFS) Stat(ctx context.Context, name string) (fs.FileInfo, error) {
	full, err := s.full("stat", name)
	if err != nil {
		return nil, err
	}
	info, err := s.inner.Stat(ctx, full)
	if err != nil {
		return nil, s.err(err)
	}
	return s.info(info, name), nil
}

func (s *subFS) ReadDir(ctx context.Context, name, prefix string) iter.Seq2[fs.FileInfo, error] {
	return func(yield func(fs.FileInfo, error) bool) {
		full, err := s.full("readdir", name)
		if err != nil {
			yield(nil, err)
			return
		}
		for info, err := range s.inner.ReadDir(ctx, full, prefix) {
			if err != nil {
				yield(nil, s.err(err))
				return
			}
			if !yield(s.info(info, info.Name()), nil) {
				return
			}
		}
	}
}

func (s *subFS) Open(ctx context.Context, name string, offset, length int64) (fs.File, error) {
	full, err := s.full("open", name)
	if err != nil {
		return nil, err
	}
	f, err := s.inner.Open(ctx, full, offset, length)
	if err != nil {
		return nil, s.err(err)
	}
	return renamedFile(f, full, name), nil
}

func (s *subFS) Create(ctx context.Context, name string, opt CreateOptions) (Writer, error) {
	full, err := s.full("create", name)
	if err != nil {
		return nil, err
	}
	w, err := s.inner.Create(ctx, full, opt)
	if err != nil {
		return nil, s.err(err)
	}
	return &tracedWriter{inner: w, fix: callersName(full, name)}, nil
}

// each1 runs an operation on one name.
func (s *subFS) each1(op, name string, do func(full string) error) error {
	full, err := s.full(op, name)
	if err != nil {
		return err
	}
	return s.err(do(full))
}

func (s *subFS) each2(op, a, b string, do func(a, b string) error) error {
	return s.each1(op, a, func(fullA string) error {
		fullB, err := s.full(op, b)
		if err != nil {
			return err
		}
		return do(fullA, fullB)
	})
}

func (s *subFS) Mkdir(ctx context.Context, name string) error {
	if name == "." {
		return &fs.PathError{Op: "mkdir", Path: name, Err: fs.ErrExist}
	}
	return s.each1("mkdir", name, func(full string) error { return s.inner.Mkdir(ctx, full) })
}

func (s *subFS) Remove(ctx context.Context, name string) error {
	return s.each1("remove", name, func(full string) error { return s.inner.Remove(ctx, full) })
}

func (s *subFS) Rmdir(ctx context.Context, name string) error {
	if name == "." {
		return &fs.PathError{Op: "rmdir", Path: name, Err: fs.ErrPermission}
	}
	return s.each1("rmdir", name, func(full string) error { return s.inner.Rmdir(ctx, full) })
}

func (s *subFS) Rename(ctx context.Context, oldname, newname string, opt RenameOptions) error {
	if oldname == "." || newname == "." {
		return &fs.PathError{Op: "rename", Path: ".", Err: fs.ErrPermission}
	}
	return s.each2("rename", oldname, newname, func(a, b string) error { return s.inner.Rename(ctx, a, b, opt) })
}

func (s *subFS) Copy(ctx context.Context, src, dst string, opt CopyOptions) error {
	return s.each2("copy", src, dst, func(a, b string) error { return ServerCopy(ctx, s.inner, a, b, opt) })
}

func (s *subFS) Hash(ctx context.Context, name string, alg HashAlgorithm, offset, length int64) (sum []byte, err error) {
	err = s.each1("hash", name, func(full string) error {
		sum, err = ServerHash(ctx, s.inner, full, alg, offset, length)
		return err
	})
	return sum, err
}

func (s *subFS) SetModTime(ctx context.Context, name string, t time.Time) error {
	return s.each1("settime", name, func(full string) error { return SetModTime(ctx, s.inner, full, t) })
}

func (s *subFS) SetCreateTime(ctx context.Context, name string, t time.Time) error {
	return s.each1("setcreatetime", name, func(full string) error { return SetCreateTime(ctx, s.inner, full, t) })
}

func (s *subFS) SetMode(ctx context.Context, name string, mode fs.FileMode) error {
	return s.each1("setmode", name, func(full string) error { return SetMode(ctx, s.inner, full, mode) })
}

func (s *subFS) Space(ctx context.Context, name string) (sp SpaceInfo, err error) {
	err = s.each1("space", name, func(full string) error {
		sp, err = Space(ctx, s.inner, full)
		return err
	})
	return sp, err
}

func (s *subFS) Symlink(ctx context.Context, target, name string) error {
	return s.each2("symlink", target, name, func(a, b string) error { return Symlink(ctx, s.inner, a, b) })
}

func (s *subFS) Staged(ctx context.Context, dir, owner string) iter.Seq2[fs.FileInfo, error] {
	return func(yield func(fs.FileInfo, error) bool) {
		full, err := s.full("readdir", dir)
		if err != nil {
			yield(nil, err)
			return
		}
		for info, err := range Staged(ctx, s.inner, full, owner) {
			if !yield(info, s.err(err)) {
				return
			}
		}
	}
}

func (s *subFS) StatStaged(ctx context.Context, name, owner string) (info fs.FileInfo, err error) {
	err = s.each1("stat", name, func(full string) error {
		info, err = StatStaged(ctx, s.inner, full, owner)
		return err
	})
	return info, err
}

func (s *subFS) Discard(ctx context.Context, name, owner string) error {
	return s.each1("remove", name, func(full string) error { return Discard(ctx, s.inner, full, owner) })
}
