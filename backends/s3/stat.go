package s3

import (
	"context"
	"io/fs"

	"golang.org/x/sync/errgroup"

	"github.com/ftpgate/ftpgate/vfs"
)

// found is what stands under a name; both fields may be set, as S3 allows the keys
// "a" and "a/b".
type found struct {
	file *object // nil: no object
	dir  bool
}

// look asks for both at once: one round trip.
func (f *FS) look(ctx context.Context, key string) (found, error) {
	var what found
	if key == f.prefix {
		return found{dir: true}, nil
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		what.file, err = f.head(gctx, key)
		return err
	})
	g.Go(func() (err error) {
		what.dir, err = f.isDir(gctx, key)
		return err
	})
	return what, g.Wait()
}

// Stat shows the directory where a file has the same name, as listings do, and the
// file as its Attr.File.
func (f *FS) Stat(ctx context.Context, name string) (fs.FileInfo, error) {
	key, err := f.key("stat", name)
	if err != nil {
		return nil, err
	}
	if err := vfs.ContextError(ctx, "stat", name); err != nil {
		return nil, err
	}
	what, err := f.look(ctx, key)
	_, element := vfs.Split(name)
	switch {
	case err != nil:
		return nil, f.fail(ctx, "stat", name, err)
	case what.dir:
		at, err := f.dirTime(ctx, key)
		if err != nil {
			return nil, f.fail(ctx, "stat", name, err)
		}
		info := f.dirInfo(key, element, at)
		if what.file != nil {
			vfs.AttrOf(info).File = f.fileInfo(what.file, element)
		}
		return info, nil
	case what.file != nil:
		return f.fileInfo(what.file, element), nil
	}
	return nil, vfs.PathError("stat", name, fs.ErrNotExist)
}
