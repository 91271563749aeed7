package local

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"strings"
	"time"

	"github.com/ftpgate/ftpgate/vfs"
)

// listBatch is how many names are read from a directory at a time.
const listBatch = 256

// entry is an element that a listing met, whatever its name.
type entry struct {
	*dir
	base string
}

// scan streams the elements of the directory name. Its errors are raw, or the
// cause of ctx.
func (f *FS) scan(ctx context.Context, name string) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		d, err := f.openList(name)
		if err != nil {
			yield(entry{}, err)
			return
		}
		defer d.close()
		for {
			names, err := d.handle.Readdirnames(listBatch)
			for _, base := range names {
				if ctx.Err() != nil {
					yield(entry{}, context.Cause(ctx))
					return
				}
				if !yield(entry{d, base}, nil) {
					return
				}
			}
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(entry{}, err)
				return
			}
		}
	}
}

// ReadDir implements vfs.FS. Names that hold CR or LF are left out, and staged
// uploads that are expired are removed on the way.
func (f *FS) ReadDir(ctx context.Context, name, prefix string) iter.Seq2[fs.FileInfo, error] {
	const op = "readdir"
	return func(yield func(fs.FileInfo, error) bool) {
		if err := begin(ctx, op, name); err != nil {
			yield(nil, err)
			return
		}
		now := time.Now()
		for e, err := range f.scan(ctx, name) {
			if err != nil {
				yield(nil, pathError(op, name, err))
				return
			}
			if hidden(e.base) {
				_, _ = f.expire(e, now) // the next listing meets it again
				continue
			}
			if !strings.HasPrefix(e.base, prefix) || !vfs.ValidElement(e.base) || !legal(e.base) {
				continue
			}
			st, err := e.lstat(e.base)
			if errors.Is(err, fs.ErrNotExist) {
				continue // removed meanwhile
			}
			if err != nil {
				yield(nil, pathError(op, name, err))
				return
			}
			if !yield(f.info(e.base, st, f.linkTarget(e, name, st)), nil) {
				return
			}
		}
	}
}

// linkTarget is empty for what is no link, and for a link out of the root.
func (f *FS) linkTarget(e entry, dir string, st stat) string {
	if st.mode.Type() != fs.ModeSymlink {
		return ""
	}
	text, err := e.readlink(e.base)
	if err != nil {
		return ""
	}
	target, err := f.target(dir, text)
	if err != nil {
		return ""
	}
	return target
}
