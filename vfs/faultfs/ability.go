package faultfs

import (
	"context"
	"io/fs"
	"iter"
	"time"

	"github.com/ftpgate/ftpgate/vfs"
)

// Copy implements vfs.Copier.
func (f *FS) Copy(ctx context.Context, src, dst string, opt vfs.CopyOptions) error {
	return f.do(ctx, Copy, func() error { return vfs.ServerCopy(ctx, f.inner, src, dst, opt) }, src, dst)
}

// Hash implements vfs.Hasher.
func (f *FS) Hash(ctx context.Context, name string, alg vfs.HashAlgorithm, offset, length int64) ([]byte, error) {
	return value(f, ctx, Hash, name, func() ([]byte, error) { return vfs.ServerHash(ctx, f.inner, name, alg, offset, length) })
}

// SetModTime implements vfs.ModTimeSetter.
func (f *FS) SetModTime(ctx context.Context, name string, t time.Time) error {
	return f.do(ctx, SetModTime, func() error { return vfs.SetModTime(ctx, f.inner, name, t) }, name)
}

// SetCreateTime implements vfs.CreateTimeSetter.
func (f *FS) SetCreateTime(ctx context.Context, name string, t time.Time) error {
	return f.do(ctx, SetCreateTime, func() error { return vfs.SetCreateTime(ctx, f.inner, name, t) }, name)
}

// SetMode implements vfs.ModeSetter.
func (f *FS) SetMode(ctx context.Context, name string, mode fs.FileMode) error {
	return f.do(ctx, SetMode, func() error { return vfs.SetMode(ctx, f.inner, name, mode) }, name)
}

// Space implements vfs.Spacer.
func (f *FS) Space(ctx context.Context, name string) (vfs.SpaceInfo, error) {
	return value(f, ctx, Space, name, func() (vfs.SpaceInfo, error) { return vfs.Space(ctx, f.inner, name) })
}

// Symlink implements vfs.Symlinker.
func (f *FS) Symlink(ctx context.Context, target, name string) error {
	return f.do(ctx, Symlink, func() error { return vfs.Symlink(ctx, f.inner, target, name) }, name)
}

// Staged implements vfs.Stager.
func (f *FS) Staged(ctx context.Context, dir, owner string) iter.Seq2[fs.FileInfo, error] {
	return f.list(ctx, Staged, dir, func() iter.Seq2[fs.FileInfo, error] { return vfs.Staged(ctx, f.inner, dir, owner) })
}

// StatStaged implements vfs.Stager.
func (f *FS) StatStaged(ctx context.Context, name, owner string) (fs.FileInfo, error) {
	return value(f, ctx, StatStaged, name, func() (fs.FileInfo, error) { return vfs.StatStaged(ctx, f.inner, name, owner) })
}

// Discard implements vfs.Stager.
func (f *FS) Discard(ctx context.Context, name, owner string) error {
	return f.do(ctx, Discard, func() error { return vfs.Discard(ctx, f.inner, name, owner) }, name)
}
