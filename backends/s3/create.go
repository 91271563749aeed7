package s3

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sync/errgroup"

	"github.com/ftpgate/ftpgate/vfs"
)

// Create begins an upload. Nothing is sent before the first part is full, nothing
// is visible before Commit.
func (f *FS) Create(ctx context.Context, name string, opt vfs.CreateOptions) (vfs.Writer, error) {
	key, err := f.writable("create", name)
	if err != nil {
		return nil, err
	}
	if opt.Mode == vfs.WriteAt && opt.Offset < 0 {
		return nil, vfs.PathError("create", name, fs.ErrInvalid)
	}
	if err := vfs.ContextError(ctx, "create", name); err != nil {
		return nil, err
	}
	if key == f.prefix {
		return nil, vfs.PathError("create", name, vfs.ErrIsDir)
	}
	u := &upload{f: f, name: name, key: key, owner: opt.Owner, once: opt.NoReplace, first: 1, attrs: f.newObject(key), done: make(chan struct{})}
	what, staged, err := f.before(ctx, u, opt)
	switch {
	case err != nil:
		return nil, f.fail(ctx, "create", name, err)
	case what.dir:
		return nil, vfs.PathError("create", name, vfs.ErrIsDir)
	case what.file != nil && opt.NoReplace:
		return nil, vfs.PathError("create", name, fs.ErrExist)
	}
	u.plan = newPlan(f.tuning.part, f.buffers.total/4, max(opt.SizeHint, u.sizeOf(what.file, opt)), f.profile.equalParts)
	u.ctx, u.cancel = context.WithCancelCause(ctx)
	u.rest()
	if err := u.begin(ctx, opt, what.file, staged); err != nil {
		u.discardFresh()
		u.release()
		if errors.Is(err, fs.ErrNotExist) { // nobody asked for what is missing
			err = fmt.Errorf("%w: what the upload continues has changed", vfs.ErrBusy)
		}
		return nil, f.fail(ctx, "create", name, err)
	}
	f.running.add(u)
	return u, nil
}

// before looks at the place of a new upload: what stands there and what its owner
// has staged. Uploads of the owner's that look dead are parked first.
func (f *FS) before(ctx context.Context, u *upload, opt vfs.CreateOptions) (what found, staged []*record, err error) {
	f.settle(ctx, u.key, u.owner)
	if opt.Mode != vfs.Replace && u.parkable() {
		if err := f.takeOver(u.key, u.owner); err != nil {
			return what, nil, err
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		// What stands there has to be known only where it may be kept or refuse.
		needFile := opt.NoReplace || opt.Mode == vfs.Append || opt.Mode == vfs.WriteAt && opt.Offset > 0
		what, err = f.target(gctx, u.name, u.key, needFile)
		return err
	})
	g.Go(func() (err error) {
		staged, err = f.claimed(gctx, u.key, u.owner)
		return err
	})
	return what, staged, g.Wait()
}

// sizeOf is how much of a file the upload may keep, in bytes.
func (u *upload) sizeOf(file *object, opt vfs.CreateOptions) int64 {
	if file == nil || opt.Mode == vfs.Replace {
		return 0
	}
	return file.size
}

// target looks at the place of a new file: what has its name, and that no file
// stands where a directory would have to be. A missing directory is no obstacle:
// S3 has none.
func (f *FS) target(ctx context.Context, name, key string, needFile bool) (found, error) {
	var what found
	parent, _ := vfs.Split(name)
	parentKey, err := f.key("create", parent)
	if err != nil {
		return what, err
	}
	hasParent := true
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		what.dir, err = f.isDir(gctx, key)
		return err
	})
	g.Go(func() (err error) {
		hasParent, err = f.isDir(gctx, parentKey)
		return err
	})
	if needFile {
		g.Go(func() (err error) {
			what.file, err = f.head(gctx, key)
			return err
		})
	}
	if err := g.Wait(); err != nil || hasParent {
		return what, err
	}
	return what, f.noFileAbove(ctx, parent)
}

// noFileAbove returns vfs.ErrNotDir if dir, or a directory that it lies in, is a
// file.
func (f *FS) noFileAbove(ctx context.Context, dir string) error {
	g, gctx := errgroup.WithContext(ctx)
	for ; dir != "."; dir, _ = vfs.Split(dir) {
		key := f.prefix + dir
		g.Go(func() error {
			o, err := f.head(gctx, key)
			if err == nil && o != nil {
				err = vfs.ErrNotDir
			}
			return err
		})
	}
	return g.Wait()
}
