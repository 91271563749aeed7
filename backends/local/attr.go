package local

import (
	"context"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ftpgate/ftpgate/vfs"
)

// SetModTime implements vfs.ModTimeSetter.
func (f *FS) SetModTime(ctx context.Context, name string, t time.Time) error {
	const op = "settime"
	if err := begin(ctx, op, name); err != nil {
		return err
	}
	return pathError(op, name, f.root.Chtimes(filepath.FromSlash(name), time.Time{}, t))
}

// SetMode implements vfs.ModeSetter. A directory keeps its set-group-ID and
// sticky bits.
func (f *FS) SetMode(ctx context.Context, name string, mode fs.FileMode) error {
	const op = "setmode"
	if err := begin(ctx, op, name); err != nil {
		return err
	}
	info, err := f.root.Stat(filepath.FromSlash(name))
	if err != nil {
		return pathError(op, name, err)
	}
	mode = mode.Perm()
	if info.IsDir() {
		mode |= info.Mode() & (fs.ModeSetgid | fs.ModeSticky)
	}
	return pathError(op, name, f.root.Chmod(filepath.FromSlash(name), mode))
}

// Space implements vfs.Spacer.
func (f *FS) Space(ctx context.Context, name string) (vfs.SpaceInfo, error) {
	const op = "space"
	if err := begin(ctx, op, name); err != nil {
		return vfs.SpaceInfo{}, err
	}
	total, free, err := f.space(name)
	if err != nil {
		return vfs.SpaceInfo{}, pathError(op, name, err)
	}
	return vfs.SpaceInfo{Total: total, Free: free}, nil
}

// space asks the directory name, or the one that name is in.
func (f *FS) space(name string) (total, free int64, err error) {
	p, st, err := f.find(name, true)
	if err != nil {
		return 0, 0, err
	}
	defer p.close()
	switch {
	case !st.exists:
		return 0, 0, fs.ErrNotExist
	case !st.mode.IsDir():
		return p.space()
	}
	d, err := f.openDir(p.name)
	if err != nil {
		return 0, 0, err
	}
	defer d.release()
	return d.space()
}

// Symlink implements vfs.Symlinker. The link is relative, so that it still holds
// when the root is moved as a whole.
func (f *FS) Symlink(ctx context.Context, target, name string) error {
	const op = "symlink"
	if err := begin(ctx, op, target); err != nil {
		return err
	}
	if err := begin(ctx, op, name); err != nil {
		return err
	}
	p, err := f.place(name)
	if err != nil {
		return pathError(op, name, err)
	}
	defer p.close()
	parent, _ := vfs.Split(name)
	if parent, err = f.real(parent); err == nil {
		err = p.symlink(relative(parent, target), p.base)
	}
	if err == nil && f.owner.given() {
		if err = p.chown(p.base, f.owner); err != nil {
			_ = p.unlink(p.base)
		}
	}
	return pathError(op, name, err)
}

// relative is the way from the directory dir, which leads over no link, to name.
func relative(dir, name string) string {
	from, to := elements(dir), elements(name)
	for len(from) > 0 && len(to) > 0 && from[0] == to[0] {
		from, to = from[1:], to[1:]
	}
	way := append(slices.Repeat([]string{".."}, len(from)), to...)
	if len(way) == 0 {
		return "."
	}
	return strings.Join(way, "/")
}

func elements(name string) []string {
	if name == "." {
		return nil
	}
	return strings.Split(name, "/")
}

// Copy implements vfs.Copier: the bytes are shared where the disk can, else copied
// inside the kernel. It is one step also with Options.Direct.
func (f *FS) Copy(ctx context.Context, src, dst string, opt vfs.CopyOptions) error {
	const op = "copy"
	if err := begin(ctx, op, src); err != nil {
		return err
	}
	if err := begin(ctx, op, dst); err != nil {
		return err
	}
	from, err := f.open(ctx, src, 0, -1)
	if err != nil {
		return pathError(op, src, err)
	}
	defer from.Close()
	w, err := f.create(ctx, dst, vfs.CreateOptions{NoReplace: opt.NoReplace}, false)
	if err != nil {
		return pathError(op, dst, err)
	}
	defer w.Abort()
	if w.file.clone(from.handle.File) != nil {
		err = w.copyFrom(from.handle, from.end)
	}
	if err == nil {
		err = w.Commit()
	}
	return pathError(op, dst, err)
}
