// Package memory is a store in the memory of the process: complete, fast,
// bounded, and gone with the process. It serves tests and scratch space, and is
// the reference of the contract suite in vfs/vfstest.
//
// The tree is guarded by one lock, which is held for the time of a look-up or a
// change of an entry and never while bytes move. The content of a file is an
// immutable list of chunks. Whoever opens a file keeps the version that he opened; whoever
// writes builds a new list, which shares the chunks that did not change, and
// Commit puts it in place by assigning a pointer.
//
// Symbolic links hold a name of the whole store, so a link keeps its target when it
// is moved, and dangles when the target is.
package memory

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ftpgate/ftpgate/vfs"
)

// Options bound the store.
type Options struct {
	// MaxBytes is how many bytes all files may hold together, with uploads in
	// flight and staged ones; files that share chunks count each in full. Beyond
	// it writes fail with vfs.ErrNoSpace. 0 is DefaultMaxBytes, negative is
	// unlimited, and then Space is not supported.
	MaxBytes int64
	// MaxFiles is how many files, directories, links and staged uploads there may
	// be. 0 is DefaultMaxFiles, negative is unlimited.
	MaxFiles int64
	// StagedExpiry is how long a parked upload waits for its owner. 0 is a day.
	StagedExpiry time.Duration
}

// The limits of a zero Options.
const (
	DefaultMaxBytes     = 1 << 30
	DefaultMaxFiles     = 1_000_000
	DefaultStagedExpiry = 24 * time.Hour
)

// FS is a store, or with Sub a part of one. Its methods may be called
// concurrently.
type FS struct {
	s *store
	// A Sub knows its outer FS and its directory there; prefix is its name in the
	// whole store as the callers wrote it.
	outer       *FS
	dir, prefix string
}

var (
	_ vfs.Copier           = (*FS)(nil)
	_ vfs.ModTimeSetter    = (*FS)(nil)
	_ vfs.CreateTimeSetter = (*FS)(nil)
	_ vfs.ModeSetter       = (*FS)(nil)
	_ vfs.Spacer           = (*FS)(nil)
	_ vfs.Symlinker        = (*FS)(nil)
	_ vfs.Stager           = (*FS)(nil)
	_ vfs.Subber           = (*FS)(nil)
)

// store is what all FS of one New share.
type store struct {
	opt   Options
	bytes atomic.Int64 // charged, see content.go
	pool  sync.Pool    // of *[chunkSize]byte

	mu      sync.RWMutex
	root    *node
	files   int64 // nodes besides the root, and staged uploads
	lastID  uint64
	lastSeq uint64
	live    map[upload]bool // uploads that continue something; see Create
	parked  expiry
}

// New returns an empty store.
func New(opt Options) *FS {
	if opt.MaxBytes == 0 {
		opt.MaxBytes = DefaultMaxBytes
	}
	if opt.MaxFiles == 0 {
		opt.MaxFiles = DefaultMaxFiles
	}
	if opt.StagedExpiry == 0 {
		opt.StagedExpiry = DefaultStagedExpiry
	}
	s := &store{opt: opt, live: map[upload]bool{}}
	s.root = s.newNode(fs.ModeDir|0o755, "")
	return &FS{s: s, prefix: "."}
}

// Caps announces everything but hashes, which are left to reading.
func (f *FS) Caps() vfs.Caps {
	caps := vfs.Facts | vfs.Mutating
	if f.s.opt.MaxBytes > 0 {
		caps |= vfs.CanSpace
	}
	return caps
}

// Sub returns the tree below dir. Links out of it are fs.ErrPermission.
func (f *FS) Sub(dir string) (vfs.FS, error) {
	if err := vfs.CheckName("sub", dir); err != nil {
		return nil, err
	}
	if dir == "." {
		return f, nil
	}
	return &FS{s: f.s, outer: f, dir: dir, prefix: vfs.Join(f.prefix, dir)}, nil
}

// check is the beginning of every method.
func check(ctx context.Context, op, name string) error {
	if err := vfs.CheckName(op, name); err != nil {
		return err
	}
	return vfs.ContextError(ctx, op, name)
}

// change runs do under the lock.
func (f *FS) change(ctx context.Context, op, name string, do func() error) error {
	if err := check(ctx, op, name); err != nil {
		return err
	}
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	return vfs.PathError(op, name, do())
}

// Stat implements vfs.FS.
func (f *FS) Stat(ctx context.Context, name string) (fs.FileInfo, error) {
	if err := check(ctx, "stat", name); err != nil {
		return nil, err
	}
	f.s.mu.RLock()
	defer f.s.mu.RUnlock()
	n, err := f.existing(name)
	if err != nil {
		return nil, vfs.PathError("stat", name, err)
	}
	return f.info(name, n), nil
}

// listBatch is how many entries of a directory are looked at under one hold of
// the lock.
const listBatch = 256

// ReadDir implements vfs.FS. It copies a batch at a time and goes on behind the
// last entry that it saw, in the order in which entries were made; whoever changes
// the directory meanwhile does not wait for the reader of the listing.
func (f *FS) ReadDir(ctx context.Context, name, prefix string) iter.Seq2[fs.FileInfo, error] {
	return func(yield func(fs.FileInfo, error) bool) {
		if err := f.readDir(ctx, name, prefix, yield); err != nil {
			yield(nil, vfs.PathError("readdir", name, err))
		}
	}
}

func (f *FS) readDir(ctx context.Context, name, prefix string, yield func(fs.FileInfo, error) bool) error {
	if err := check(ctx, "readdir", name); err != nil {
		return err
	}
	f.s.mu.RLock()
	dir, err := f.existing(name)
	f.s.mu.RUnlock()
	if err != nil {
		return err
	}
	if !dir.isDir() {
		return vfs.ErrNotDir
	}
	var infos []vfs.Info
	for seq, more := uint64(0), true; more; {
		f.s.mu.RLock()
		if infos == nil {
			infos = make([]vfs.Info, 0, min(listBatch, len(dir.order)+1))
		}
		infos, seq, more = f.nextEntries(infos[:0], dir, prefix, seq)
		f.s.mu.RUnlock()
		for _, info := range infos {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if !yield(info, nil) {
				return nil
			}
		}
	}
	return vfs.ContextError(ctx, "readdir", name)
}

// Open implements vfs.FS.
func (f *FS) Open(ctx context.Context, name string, offset, length int64) (fs.File, error) {
	if err := check(ctx, "open", name); err != nil {
		return nil, err
	}
	f.s.mu.RLock()
	n, err := f.existing(name)
	var c content
	var info vfs.Info
	if err == nil {
		c, info = n.content, f.info(name, n)
	}
	f.s.mu.RUnlock()
	switch {
	case err != nil:
	case info.IsDir():
		err = vfs.ErrIsDir
	case offset < 0:
		err = fs.ErrInvalid
	case offset > c.size:
		err = &vfs.OffsetError{Offset: offset, Accept: c.size}
	}
	if err != nil {
		return nil, vfs.PathError("open", name, err)
	}
	end := c.size
	if length >= 0 && length < end-offset {
		end = offset + length
	}
	return &file{ctx: ctx, name: name, info: info, content: c, pos: offset, end: end}, nil
}

// Mkdir implements vfs.FS.
func (f *FS) Mkdir(ctx context.Context, name string) error {
	return f.change(ctx, "mkdir", name, func() error {
		_, err := f.make(name, fs.ModeDir|0o755, "")
		return err
	})
}

// Remove implements vfs.FS.
func (f *FS) Remove(ctx context.Context, name string) error {
	return f.change(ctx, "remove", name, func() error {
		p, err := f.find(name, false)
		switch {
		case err != nil:
			return err
		case p.node == nil:
			return fs.ErrNotExist
		case p.node.isDir():
			return vfs.ErrIsDir
		}
		f.s.remove(p)
		return nil
	})
}

// Rmdir implements vfs.FS. Uploads that run inside fail at their Commit.
func (f *FS) Rmdir(ctx context.Context, name string) error {
	return f.change(ctx, "rmdir", name, func() error {
		p, err := f.find(name, false)
		switch {
		case err != nil:
			return err
		case p.node == nil:
			return fs.ErrNotExist
		case !p.node.isDir():
			return vfs.ErrNotDir
		case p.dir == nil:
			return fs.ErrPermission
		case len(p.node.entries) > 0:
			return vfs.ErrNotEmpty
		}
		f.s.remove(p)
		return nil
	})
}

// Rename implements vfs.FS. Staged uploads move with the directory that they are
// in.
func (f *FS) Rename(ctx context.Context, oldname, newname string, opt vfs.RenameOptions) error {
	if err := check(ctx, "rename", newname); err != nil {
		return err
	}
	return f.change(ctx, "rename", oldname, func() error {
		from, err := f.find(oldname, false)
		if err != nil {
			return err
		}
		to, err := f.find(newname, false)
		if err != nil {
			return err
		}
		switch {
		case from.dir == nil || to.dir == nil:
			return fs.ErrPermission
		case from.node == nil:
			return fs.ErrNotExist
		case from.node == to.node:
			return nil
		case to.dir.within(from.node):
			return fs.ErrInvalid
		case to.node != nil && (opt.NoReplace || from.node.isDir() || to.node.isDir()):
			return fs.ErrExist
		}
		f.s.move(from, to)
		return nil
	})
}

// Copy implements vfs.Copier; the copy shares the chunks.
func (f *FS) Copy(ctx context.Context, src, dst string, opt vfs.CopyOptions) error {
	if err := check(ctx, "copy", dst); err != nil {
		return err
	}
	return f.change(ctx, "copy", src, func() error {
		from, err := f.existing(src)
		if err != nil {
			return err
		}
		if from.isDir() {
			return vfs.ErrIsDir
		}
		to, err := f.find(dst, true)
		if err != nil {
			return err
		}
		if err := f.s.put(to, from.content, 0, opt.NoReplace); err != nil {
			return err
		}
		return nil
	})
}

// SetModTime implements vfs.ModTimeSetter.
func (f *FS) SetModTime(ctx context.Context, name string, t time.Time) error {
	return f.change(ctx, "settime", name, func() error {
		n, err := f.existing(name)
		if err == nil {
			n.modTime = t
		}
		return err
	})
}

// SetCreateTime implements vfs.CreateTimeSetter. A file is born when its name is new:
// uploads and copies that replace it keep the node, and so the time.
func (f *FS) SetCreateTime(ctx context.Context, name string, t time.Time) error {
	return f.change(ctx, "setcreatetime", name, func() error {
		n, err := f.existing(name)
		if err == nil {
			attr := *n.attr
			attr.Created = t
			n.attr = &attr
		}
		return err
	})
}

// SetMode implements vfs.ModeSetter. The bits are kept and shown; they forbid
// nothing.
func (f *FS) SetMode(ctx context.Context, name string, mode fs.FileMode) error {
	return f.change(ctx, "setmode", name, func() error {
		n, err := f.existing(name)
		if err == nil {
			n.mode = n.mode.Type() | mode.Perm()
		}
		return err
	})
}

// Space implements vfs.Spacer.
func (f *FS) Space(ctx context.Context, name string) (vfs.SpaceInfo, error) {
	if _, err := f.Stat(ctx, name); err != nil {
		return vfs.SpaceInfo{}, vfs.PathError("space", name, err)
	}
	total := f.s.opt.MaxBytes
	if total < 0 {
		return vfs.SpaceInfo{}, vfs.PathError("space", name, errors.ErrUnsupported)
	}
	return vfs.SpaceInfo{Total: total, Free: max(0, total-f.s.bytes.Load())}, nil
}

// Symlink implements vfs.Symlinker.
func (f *FS) Symlink(ctx context.Context, target, name string) error {
	if err := vfs.CheckName("symlink", target); err != nil {
		return err
	}
	return f.change(ctx, "symlink", name, func() error {
		_, err := f.make(name, fs.ModeSymlink|0o777, vfs.Join(f.prefix, target))
		return err
	})
}
