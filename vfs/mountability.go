package vfs

import (
	"context"
	"io/fs"
	"iter"
	"time"
)

func (m *mountFS) Copy(ctx context.Context, src, dst string, opt CopyOptions) error {
	if err := CheckName("copy", dst); err != nil {
		return err
	}
	if m.dirs[dst] {
		return &fs.PathError{Op: "copy", Path: dst, Err: ErrIsDir}
	}
	return m.change(ctx, "copy", src, ErrIsDir, func(p *point, inner string) error {
		if to := m.at(dst); to != p {
			return unsupported("copy", inner) // then vfs.Copy streams
		}
		return ServerCopy(ctx, p.fs, inner, p.inner(dst), opt)
	})
}

func (m *mountFS) Hash(ctx context.Context, name string, alg HashAlgorithm, offset, length int64) (sum []byte, err error) {
	err = m.change(ctx, "hash", name, ErrIsDir, func(p *point, inner string) error {
		sum, err = ServerHash(ctx, p.fs, inner, alg, offset, length)
		return err
	})
	return sum, err
}

func (m *mountFS) SetModTime(ctx context.Context, name string, t time.Time) error {
	return m.change(ctx, "settime", name, nil, func(p *point, inner string) error { return SetModTime(ctx, p.fs, inner, t) })
}

func (m *mountFS) SetCreateTime(ctx context.Context, name string, t time.Time) error {
	return m.change(ctx, "setcreatetime", name, nil, func(p *point, inner string) error { return SetCreateTime(ctx, p.fs, inner, t) })
}

func (m *mountFS) SetMode(ctx context.Context, name string, mode fs.FileMode) error {
	return m.change(ctx, "setmode", name, nil, func(p *point, inner string) error { return SetMode(ctx, p.fs, inner, mode) })
}

// Space is that of the tree that name belongs to.
func (m *mountFS) Space(ctx context.Context, name string) (sp SpaceInfo, err error) {
	p, err := m.begin(ctx, "space", name)
	if err != nil {
		return sp, err
	}
	if p == nil {
		if m.dirs[name] {
			return sp, unsupported("space", name)
		}
		return sp, m.nowhere("space", name, false)
	}
	inner := p.inner(name)
	sp, err = Space(ctx, p.fs, inner)
	if m.dirs[name] && inner != "." && Kind(err) == fs.ErrNotExist { // only mounts make it
		sp, err = Space(ctx, p.fs, ".")
	}
	return sp, p.err(err)
}

func (m *mountFS) Symlink(ctx context.Context, target, name string) error {
	if err := CheckName("symlink", target); err != nil {
		return err
	}
	return m.change(ctx, "symlink", name, fs.ErrExist, func(p *point, inner string) error {
		if m.at(target) != p {
			return unsupported("symlink", inner)
		}
		return Symlink(ctx, p.fs, p.inner(target), inner)
	})
}

func (m *mountFS) Staged(ctx context.Context, dir, owner string) iter.Seq2[fs.FileInfo, error] {
	return func(yield func(fs.FileInfo, error) bool) {
		p, err := m.begin(ctx, "readdir", dir)
		if err != nil {
			yield(nil, err)
			return
		}
		if p == nil {
			if !m.dirs[dir] {
				yield(nil, m.nowhere("readdir", dir, false))
			}
			return
		}
		for info, err := range Staged(ctx, p.fs, p.inner(dir), owner) {
			switch {
			case err != nil && m.dirs[dir] && Kind(err) == fs.ErrNotExist:
				return
			case err != nil:
				yield(nil, p.err(err))
				return
			case m.dirs[Join(dir, info.Name())]:
				continue
			}
			if !yield(p.info(info, info.Name()), nil) {
				return
			}
		}
	}
}

// staging runs an operation on a staged upload. In a tree that can't park there is
// none, which is another answer than that of a Mount that can't park at all.
func (m *mountFS) staging(ctx context.Context, op, name string, do func(p *point, inner string) error) error {
	p, err := m.begin(ctx, op, name)
	switch {
	case err != nil:
		return err
	case !m.caps.Has(CanPark):
		return unsupported(op, name)
	case p == nil || m.dirs[name] || !p.fs.Caps().Has(CanPark):
		return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
	}
	return p.err(do(p, p.inner(name)))
}

func (m *mountFS) StatStaged(ctx context.Context, name, owner string) (info fs.FileInfo, err error) {
	err = m.staging(ctx, "stat", name, func(p *point, inner string) error {
		if info, err = StatStaged(ctx, p.fs, inner, owner); err == nil {
			info = p.info(info, info.Name())
		}
		return err
	})
	return info, err
}

func (m *mountFS) Discard(ctx context.Context, name, owner string) error {
	return m.staging(ctx, "remove", name, func(p *point, inner string) error { return Discard(ctx, p.fs, inner, owner) })
}
