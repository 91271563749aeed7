package sftp

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ftpgate/ftpgate/vfs"
)

// existing runs do for the path on the server of what name leads to.
func (f *FS) existing(ctx context.Context, op, name string, need vfs.Caps, do func(w *wire, path string, st stat) error) error {
	if err := begin(ctx, op, name); err != nil {
		return err
	}
	if !f.caps.Has(need) {
		return pathError(op, name, errors.ErrUnsupported)
	}
	return pathError(op, name, f.pool.ask(ctx, true, func(w *wire) error {
		p, st, err := f.find(ctx, w, name, true)
		if err != nil {
			return err
		}
		if !st.exists {
			return fs.ErrNotExist
		}
		return do(w, f.path(p.name()), st)
	}))
}

// SetModTime implements vfs.ModTimeSetter. SFTP knows whole seconds from 1970 to
// 2106; other times are fs.ErrInvalid.
func (f *FS) SetModTime(ctx context.Context, name string, t time.Time) error {
	return f.existing(ctx, "settime", name, vfs.CanSetModTime, func(w *wire, path string, _ stat) error {
		if s := t.Unix(); s < 0 || s > math.MaxUint32 {
			return fs.ErrInvalid
		}
		return w.setTimes(ctx, path, t).status(ctx)
	})
}

// SetMode implements vfs.ModeSetter. A directory keeps its set-group-ID and
// sticky bits.
func (f *FS) SetMode(ctx context.Context, name string, mode fs.FileMode) error {
	return f.existing(ctx, "setmode", name, vfs.CanSetMode, func(w *wire, path string, st stat) error {
		mode := mode.Perm()
		if st.mode.IsDir() {
			mode |= st.mode & (fs.ModeSetgid | fs.ModeSticky)
		}
		return w.setMode(ctx, path, mode).status(ctx)
	})
}

// Space implements vfs.Spacer.
func (f *FS) Space(ctx context.Context, name string) (sp vfs.SpaceInfo, err error) {
	err = f.existing(ctx, "space", name, vfs.CanSpace, func(w *wire, path string, _ stat) (err error) {
		sp.Total, sp.Free, err = w.space(ctx, path)
		return err
	})
	return sp, err
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
	if !f.caps.Has(vfs.CanSymlink) {
		return pathError(op, name, errors.ErrUnsupported)
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
		text := relative(p.dir, vfs.Join(f.base, target))
		return unlessGone(ctx, w, path, func() error { return w.symlink(ctx, text, path).status(ctx) })
	}))
}

// relative is the way from the plain directory dir to name.
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

// Copy implements vfs.Copier, by the server's extension copy-data.
func (f *FS) Copy(ctx context.Context, src, dst string, opt vfs.CopyOptions) error {
	const op = "copy"
	if err := begin(ctx, op, src); err != nil {
		return err
	}
	if err := begin(ctx, op, dst); err != nil {
		return err
	}
	if !f.caps.Has(vfs.CanCopy) {
		return pathError(op, src, errors.ErrUnsupported)
	}
	from, st, err := f.look(ctx, src, true)
	if err == nil {
		err = readable(st)
	}
	if err != nil {
		return pathError(op, src, err)
	}
	w, err := f.create(ctx, dst, vfs.CreateOptions{NoReplace: opt.NoReplace})
	if err != nil {
		return pathError(op, dst, err)
	}
	defer w.Abort()
	if err = w.keep(from.name(), st.size); err == nil {
		err = w.Commit()
	}
	return pathError(op, dst, err)
}
