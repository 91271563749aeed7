package faultfs

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"time"

	"github.com/ftpgate/ftpgate/vfs"
)

// Without returns fsys with the abilities and facts of missing taken away, as if
// the store never had them: what they stand for answers errors.ErrUnsupported. To
// take away CanWrite is vfs.ReadOnly.
func Without(fsys vfs.FS, missing vfs.Caps) vfs.FS {
	if missing.Has(vfs.CanWrite) {
		return vfs.ReadOnly(fsys)
	}
	return &poorFS{inner: fsys, missing: missing}
}

// poorFS is a store that lacks something.
type poorFS struct {
	inner   vfs.FS
	missing vfs.Caps
}

var (
	_ vfs.Full   = (*poorFS)(nil)
	_ vfs.Subber = (*poorFS)(nil)
)

// need refuses an operation that needs the ability c.
func (p *poorFS) need(c vfs.Caps, op Op, name string) error {
	if err := vfs.CheckName(string(op), name); err != nil || p.missing&c == 0 {
		return err
	}
	return &fs.PathError{Op: string(op), Path: name, Err: errors.ErrUnsupported}
}

func (p *poorFS) Caps() vfs.Caps { return p.inner.Caps() &^ p.missing }

func (p *poorFS) Sub(dir string) (vfs.FS, error) {
	sub, err := vfs.Sub(p.inner, dir)
	if err != nil {
		return nil, err
	}
	return Without(sub, p.missing), nil
}

func (p *poorFS) Stat(ctx context.Context, name string) (fs.FileInfo, error) {
	return p.inner.Stat(ctx, name)
}

func (p *poorFS) ReadDir(ctx context.Context, name, prefix string) iter.Seq2[fs.FileInfo, error] {
	return p.inner.ReadDir(ctx, name, prefix)
}

func (p *poorFS) Open(ctx context.Context, name string, offset, length int64) (fs.File, error) {
	return p.inner.Open(ctx, name, offset, length)
}

// Create lets Append start a new file, and WriteAt one from its beginning or go on
// with a staged upload, whatever is missing.
func (p *poorFS) Create(ctx context.Context, name string, opt vfs.CreateOptions) (vfs.Writer, error) {
	if p.missing.Has(vfs.CanPark) {
		opt.Owner = ""
	}
	if opt.Mode == vfs.Append && p.missing.Has(vfs.CanAppend) ||
		opt.Mode == vfs.WriteAt && opt.Offset > 0 && p.missing.Has(vfs.CanWriteAt) {
		if err := p.continues(ctx, name, opt); err != nil {
			return nil, err
		}
	}
	return p.inner.Create(ctx, name, opt)
}

// continues refuses an upload that would continue a complete file.
func (p *poorFS) continues(ctx context.Context, name string, opt vfs.CreateOptions) error {
	if opt.Owner != "" {
		if _, err := vfs.StatStaged(ctx, p.inner, name, opt.Owner); err == nil {
			return nil
		}
	}
	info, err := p.inner.Stat(ctx, name)
	if err != nil || info.IsDir() {
		return nil // the store says what is wrong, if anything
	}
	return &fs.PathError{Op: string(Create), Path: name, Err: errors.ErrUnsupported}
}

func (p *poorFS) Mkdir(ctx context.Context, name string) error  { return p.inner.Mkdir(ctx, name) }
func (p *poorFS) Remove(ctx context.Context, name string) error { return p.inner.Remove(ctx, name) }
func (p *poorFS) Rmdir(ctx context.Context, name string) error  { return p.inner.Rmdir(ctx, name) }

func (p *poorFS) Rename(ctx context.Context, oldname, newname string, opt vfs.RenameOptions) error {
	if p.missing.Has(vfs.CanRenameDir) && oldname != newname && p.isDir(ctx, oldname) {
		if err := p.need(vfs.CanRenameDir, Rename, newname); err != nil {
			return err
		}
	}
	return p.inner.Rename(ctx, oldname, newname, opt)
}

// isDir asks the listing, which does not follow links as Stat does.
func (p *poorFS) isDir(ctx context.Context, name string) bool {
	dir, base := vfs.Split(name)
	if !vfs.ValidName(name) || name == "." {
		return false
	}
	for info, err := range p.inner.ReadDir(ctx, dir, base) {
		if err == nil && info.Name() == base {
			return info.IsDir()
		}
	}
	return false
}

func (p *poorFS) Copy(ctx context.Context, src, dst string, opt vfs.CopyOptions) error {
	if err := p.need(vfs.CanCopy, Copy, src); err != nil {
		return err
	}
	return vfs.ServerCopy(ctx, p.inner, src, dst, opt)
}

func (p *poorFS) Hash(ctx context.Context, name string, alg vfs.HashAlgorithm, offset, length int64) ([]byte, error) {
	if err := p.need(vfs.CanHash, Hash, name); err != nil {
		return nil, err
	}
	return vfs.ServerHash(ctx, p.inner, name, alg, offset, length)
}

func (p *poorFS) SetModTime(ctx context.Context, name string, t time.Time) error {
	if err := p.need(vfs.CanSetModTime, SetModTime, name); err != nil {
		return err
	}
	return vfs.SetModTime(ctx, p.inner, name, t)
}

func (p *poorFS) SetCreateTime(ctx context.Context, name string, t time.Time) error {
	if err := p.need(vfs.CanSetCreateTime, SetCreateTime, name); err != nil {
		return err
	}
	return vfs.SetCreateTime(ctx, p.inner, name, t)
}

func (p *poorFS) SetMode(ctx context.Context, name string, mode fs.FileMode) error {
	if err := p.need(vfs.CanSetMode, SetMode, name); err != nil {
		return err
	}
	return vfs.SetMode(ctx, p.inner, name, mode)
}

func (p *poorFS) Space(ctx context.Context, name string) (vfs.SpaceInfo, error) {
	if err := p.need(vfs.CanSpace, Space, name); err != nil {
		return vfs.SpaceInfo{}, err
	}
	return vfs.Space(ctx, p.inner, name)
}

func (p *poorFS) Symlink(ctx context.Context, target, name string) error {
	if err := p.need(vfs.CanSymlink, Symlink, name); err != nil {
		return err
	}
	return vfs.Symlink(ctx, p.inner, target, name)
}

func (p *poorFS) Staged(ctx context.Context, dir, owner string) iter.Seq2[fs.FileInfo, error] {
	if p.missing.Has(vfs.CanPark) {
		return func(func(fs.FileInfo, error) bool) {}
	}
	return vfs.Staged(ctx, p.inner, dir, owner)
}

func (p *poorFS) StatStaged(ctx context.Context, name, owner string) (fs.FileInfo, error) {
	if err := p.need(vfs.CanPark, StatStaged, name); err != nil {
		return nil, err
	}
	return vfs.StatStaged(ctx, p.inner, name, owner)
}

func (p *poorFS) Discard(ctx context.Context, name, owner string) error {
	if err := p.need(vfs.CanPark, Discard, name); err != nil {
		return err
	}
	return vfs.Discard(ctx, p.inner, name, owner)
}
