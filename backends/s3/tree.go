package s3

import (
	"context"
	"io/fs"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"

	"github.com/ftpgate/ftpgate/vfs"
)

// Mkdir writes the marker of a directory. The one above must exist.
func (f *FS) Mkdir(ctx context.Context, name string) error {
	defer f.changed()
	key, err := f.writable("mkdir", name)
	if err != nil {
		return err
	}
	if err := vfs.ContextError(ctx, "mkdir", name); err != nil {
		return err
	}
	parent, _ := vfs.Split(name)
	parentKey, err := f.key("mkdir", parent)
	if err != nil {
		return err
	}
	var here, above found
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		here, err = f.look(gctx, key)
		return err
	})
	g.Go(func() (err error) {
		above, err = f.look(gctx, parentKey)
		return err
	})
	err = g.Wait()
	switch {
	case err != nil:
	case here.dir || here.file != nil:
		err = fs.ErrExist
	case above.dir:
		err = f.mark(ctx, key)
		if status(err) == http.StatusPreconditionFailed { // another one was faster
			err = fs.ErrExist
		}
	case above.file != nil:
		err = vfs.ErrNotDir
	default:
		if err = f.noFileAbove(ctx, parent); err == nil {
			err = fs.ErrNotExist
		}
	}
	return f.fail(ctx, "mkdir", name, err)
}

// mark writes the marker of the directory with this key.
func (f *FS) mark(ctx context.Context, key string) error {
	a := markerAttributes()
	f.keepTime(&a, time.Now())
	return f.put(ctx, key+"/", nil, a, onlyIf{absent: f.facts.putOnce})
}

func markerAttributes() attributes {
	return attributes{contentType: aws.String("application/x-directory")}
}

// Remove deletes a file, and keeps the directory that it was the last file of.
func (f *FS) Remove(ctx context.Context, name string) error {
	defer f.changed()
	key, err := f.writable("remove", name)
	if err != nil {
		return err
	}
	if err := vfs.ContextError(ctx, "remove", name); err != nil {
		return err
	}
	return f.fail(ctx, "remove", name, f.removeFile(ctx, name, key))
}

func (f *FS) removeFile(ctx context.Context, name, key string) error {
	if key == f.prefix {
		return vfs.ErrIsDir
	}
	return f.leave(ctx, name, key, func(ctx context.Context) error {
		o, err := f.head(ctx, key)
		if err != nil || o != nil {
			return err
		}
		dir, err := f.isDir(ctx, key)
		switch {
		case err != nil:
			return err
		case dir:
			return vfs.ErrIsDir
		}
		return fs.ErrNotExist
	})
}

// Rmdir deletes the marker of an empty directory, and keeps the one above.
func (f *FS) Rmdir(ctx context.Context, name string) error {
	defer f.changed()
	key, err := f.writable("rmdir", name)
	if err != nil {
		return err
	}
	if err := vfs.ContextError(ctx, "rmdir", name); err != nil {
		return err
	}
	if err := f.removeDir(ctx, name, key); err != nil {
		return f.fail(ctx, "rmdir", name, err)
	}
	if err := f.dropStagedIn(ctx, key); err != nil {
		f.log.Warn("what is staged in a removed directory is left to the sweeper", "dir", key, "error", plainStore(err))
	}
	return nil
}

func (f *FS) removeDir(ctx context.Context, name, key string) error {
	if key == f.prefix {
		return fs.ErrPermission
	}
	return f.leave(ctx, name, key+"/", func(ctx context.Context) error {
		keys, err := f.keysBelow(ctx, key+"/", 2)
		switch {
		case err != nil:
			return err
		case len(keys) == 1 && keys[0] == key+"/":
			return nil
		case len(keys) > 0:
			return vfs.ErrNotEmpty
		}
		o, err := f.head(ctx, key)
		switch {
		case err != nil:
			return err
		case o != nil:
			return vfs.ErrNotDir
		}
		return fs.ErrNotExist
	})
}

// leave deletes the key of name if check, which runs meanwhile, has no objection.
// If nothing else shows that the directory above exists, it writes its marker
// first.
func (f *FS) leave(ctx context.Context, name, key string, check func(context.Context) error) error {
	parent, _ := vfs.Split(name)
	dir := f.prefix + parent
	vanishes := false
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return check(gctx) })
	if parent != "." {
		n := f.leaving.begin(parent)
		defer f.leaving.end(parent)
		g.Go(func() error {
			// All that leave at this moment may be gone in the next one.
			keys, err := f.keysBelow(gctx, dir+"/", int32(min(n+1, 1000)))
			vanishes = len(keys) <= n && (len(keys) == 0 || keys[0] != dir+"/")
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if vanishes {
		if err := f.mark(ctx, dir); err != nil && status(err) != http.StatusPreconditionFailed {
			return err
		}
	}
	_, err := f.client.DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: &f.bucket, Key: &key})
	return err
}

// departures counts the deletions on their way in each directory, so that two that
// delete the last two files do not each rely on the other's.
type departures struct {
	mu sync.Mutex
	n  map[string]int
}

// begin returns how many are on their way in dir, this one included.
func (d *departures) begin(dir string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.n == nil {
		d.n = map[string]int{}
	}
	d.n[dir]++
	return d.n[dir]
}

func (d *departures) end(dir string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.n[dir]--; d.n[dir] == 0 {
		delete(d.n, dir)
	}
}
