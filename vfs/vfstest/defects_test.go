package vfstest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net"
	"os"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/ftpgate/ftpgate/backends/memory"
	"github.com/ftpgate/ftpgate/vfs"
)

// broken is a sound store of which some methods are replaced.
type broken struct {
	*memory.FS
	caps          func(vfs.Caps) vfs.Caps
	stat          func(ctx context.Context, name string) (fs.FileInfo, error)
	readDir       func(ctx context.Context, name, prefix string) iter.Seq2[fs.FileInfo, error]
	open          func(ctx context.Context, name string, offset, length int64) (fs.File, error)
	create        func(ctx context.Context, name string, opt vfs.CreateOptions) (vfs.Writer, error)
	mkdir         func(ctx context.Context, name string) error
	remove        func(ctx context.Context, name string) error
	rmdir         func(ctx context.Context, name string) error
	rename        func(ctx context.Context, a, b string, opt vfs.RenameOptions) error
	copy          func(ctx context.Context, a, b string, opt vfs.CopyOptions) error
	setModTime    func(ctx context.Context, name string, t time.Time) error
	setCreateTime func(ctx context.Context, name string, t time.Time) error
	statStaged    func(ctx context.Context, name, owner string) (fs.FileInfo, error)
	hash          func(ctx context.Context, name string, alg vfs.HashAlgorithm, offset, length int64) ([]byte, error)
}

func (b *broken) Caps() vfs.Caps {
	if b.caps != nil {
		return b.caps(b.FS.Caps())
	}
	return b.FS.Caps()
}

func (b *broken) Stat(ctx context.Context, name string) (fs.FileInfo, error) {
	if b.stat != nil {
		return b.stat(ctx, name)
	}
	return b.FS.Stat(ctx, name)
}

func (b *broken) ReadDir(ctx context.Context, name, prefix string) iter.Seq2[fs.FileInfo, error] {
	if b.readDir != nil {
		return b.readDir(ctx, name, prefix)
	}
	return b.FS.ReadDir(ctx, name, prefix)
}

func (b *broken) Open(ctx context.Context, name string, offset, length int64) (fs.File, error) {
	if b.open != nil {
		return b.open(ctx, name, offset, length)
	}
	return b.FS.Open(ctx, name, offset, length)
}

func (b *broken) Create(ctx context.Context, name string, opt vfs.CreateOptions) (vfs.Writer, error) {
	if b.create != nil {
		return b.create(ctx, name, opt)
	}
	return b.FS.Create(ctx, name, opt)
}

func (b *broken) Mkdir(ctx context.Context, name string) error {
	if b.mkdir != nil {
		return b.mkdir(ctx, name)
	}
	return b.FS.Mkdir(ctx, name)
}

func (b *broken) Remove(ctx context.Context, name string) error {
	if b.remove != nil {
		return b.remove(ctx, name)
	}
	return b.FS.Remove(ctx, name)
}

func (b *broken) Rmdir(ctx context.Context, name string) error {
	if b.rmdir != nil {
		return b.rmdir(ctx, name)
	}
	return b.FS.Rmdir(ctx, name)
}

func (b *broken) Rename(ctx context.Context, old, to string, opt vfs.RenameOptions) error {
	if b.rename != nil {
		return b.rename(ctx, old, to, opt)
	}
	return b.FS.Rename(ctx, old, to, opt)
}

func (b *broken) Copy(ctx context.Context, src, dst string, opt vfs.CopyOptions) error {
	if b.copy != nil {
		return b.copy(ctx, src, dst, opt)
	}
	return b.FS.Copy(ctx, src, dst, opt)
}

func (b *broken) SetModTime(ctx context.Context, name string, t time.Time) error {
	if b.setModTime != nil {
		return b.setModTime(ctx, name, t)
	}
	return b.FS.SetModTime(ctx, name, t)
}

func (b *broken) SetCreateTime(ctx context.Context, name string, t time.Time) error {
	if b.setCreateTime != nil {
		return b.setCreateTime(ctx, name, t)
	}
	return b.FS.SetCreateTime(ctx, name, t)
}

func (b *broken) StatStaged(ctx context.Context, name, owner string) (fs.FileInfo, error) {
	if b.statStaged != nil {
		return b.statStaged(ctx, name, owner)
	}
	return b.FS.StatStaged(ctx, name, owner)
}

func (b *broken) Hash(ctx context.Context, name string, alg vfs.HashAlgorithm, offset, length int64) ([]byte, error) {
	if b.hash != nil {
		return b.hash(ctx, name, alg, offset, length)
	}
	return nil, &fs.PathError{Op: "hash", Path: name, Err: errors.ErrUnsupported}
}

// brokenWriter is a writer of which some methods are replaced.
type brokenWriter struct {
	vfs.Writer
	write    func(p []byte) (int, error)
	readFrom func(r io.Reader) (int64, error)
	sync     func() error
	commit   func() error
	park     func() error
	abort    func() error
}

func (w *brokenWriter) Write(p []byte) (int, error) {
	if w.write != nil {
		return w.write(p)
	}
	return w.Writer.Write(p)
}

func (w *brokenWriter) ReadFrom(r io.Reader) (int64, error) {
	if w.readFrom != nil {
		return w.readFrom(r)
	}
	return w.Writer.ReadFrom(r)
}

func (w *brokenWriter) Sync() error   { return either(w.sync, w.Writer.Sync) }
func (w *brokenWriter) Commit() error { return either(w.commit, w.Writer.Commit) }
func (w *brokenWriter) Park() error   { return either(w.park, w.Writer.Park) }
func (w *brokenWriter) Abort() error  { return either(w.abort, w.Writer.Abort) }

func either(first, second func() error) error {
	if first != nil {
		return first()
	}
	return second()
}

// writers makes b break the writers that it creates.
func (b *broken) writers(change func(w *brokenWriter, ctx context.Context, name string, opt vfs.CreateOptions)) {
	b.create = func(ctx context.Context, name string, opt vfs.CreateOptions) (vfs.Writer, error) {
		inner, err := b.FS.Create(ctx, name, opt)
		if err != nil {
			return nil, err
		}
		w := &brokenWriter{Writer: inner}
		change(w, ctx, name, opt)
		return w, nil
	}
}

// entries makes b break its listings.
func (b *broken) entries(change func(i int, info fs.FileInfo, yield func(fs.FileInfo, error) bool) bool) {
	b.readDir = func(ctx context.Context, name, prefix string) iter.Seq2[fs.FileInfo, error] {
		return func(yield func(fs.FileInfo, error) bool) {
			i := 0
			for info, err := range b.FS.ReadDir(ctx, name, prefix) {
				if err != nil {
					yield(nil, err)
					return
				}
				if !change(i, info, yield) {
					return
				}
				i++
			}
		}
	}
}

type file struct {
	fs.File
	read func(p []byte) (int, error)
	stat func() (fs.FileInfo, error)
}

func (f *file) Read(p []byte) (int, error) {
	if f.read != nil {
		return f.read(p)
	}
	return f.File.Read(p)
}

func (f *file) Stat() (fs.FileInfo, error) {
	if f.stat != nil {
		return f.stat()
	}
	return f.File.Stat()
}

type defect struct {
	group string // that must find it
	make  func(b *broken)
}

var background = context.Background()

// defects are ways to break the contract, some of them met in other servers.
var defects = map[string]defect{
	"announces what it has not": {"Hash", func(b *broken) {
		b.caps = func(c vfs.Caps) vfs.Caps { return c | vfs.CanHash }
	}},
	"wrong digest": {"Hash", func(b *broken) {
		b.caps = func(c vfs.Caps) vfs.Caps { return c | vfs.CanHash }
		b.hash = func(_ context.Context, name string, alg vfs.HashAlgorithm, _, _ int64) ([]byte, error) {
			return vfs.Hash(background, b.FS, name, alg, 0, -1)
		}
	}},
	"does what it does not announce": {"Caps", func(b *broken) {
		b.caps = func(c vfs.Caps) vfs.Caps { return c &^ vfs.CanSetMode }
	}},
	"copies without the bit": {"Caps", func(b *broken) {
		b.caps = func(c vfs.Caps) vfs.Caps { return c &^ vfs.CanCopy }
	}},
	"caps that change": {"Caps", func(b *broken) {
		n := 0
		b.caps = func(c vfs.Caps) vfs.Caps {
			if n++; n > 1 {
				return c &^ vfs.CanSpace
			}
			return c
		}
	}},
	"cleans names": {"Names", func(b *broken) {
		b.stat = func(ctx context.Context, name string) (fs.FileInfo, error) { return b.FS.Stat(ctx, path.Clean(name)) }
	}},
	"decodes names": {"Names", func(b *broken) {
		b.entries(func(_ int, info fs.FileInfo, yield func(fs.FileInfo, error) bool) bool {
			return yield(vfs.WithName(info, strings.ReplaceAll(info.Name(), "+", " ")), nil)
		})
	}},
	"hides dot files": {"Names", func(b *broken) {
		b.entries(func(_ int, info fs.FileInfo, yield func(fs.FileInfo, error) bool) bool {
			return strings.HasPrefix(info.Name(), ".") || yield(info, nil)
		})
	}},
	"finds the start of a name": {"Stat", func(b *broken) {
		b.stat = func(ctx context.Context, name string) (fs.FileInfo, error) {
			info, err := b.FS.Stat(ctx, name)
			if dir, base := vfs.Split(name); errors.Is(err, fs.ErrNotExist) {
				for e, err := range b.FS.ReadDir(ctx, dir, base) {
					if err == nil {
						return vfs.WithName(e, base), nil
					}
				}
			}
			return info, err
		}
	}},
	"stat and listing disagree": {"Stat", func(b *broken) {
		b.stat = func(ctx context.Context, name string) (fs.FileInfo, error) {
			info, err := b.FS.Stat(ctx, name)
			if err != nil {
				return nil, err
			}
			return vfs.NewInfo(info.Name(), info.Size(), info.Mode(), info.ModTime().Truncate(time.Hour), nil), nil
		}
	}},
	"a path in the error": {"Stat", func(b *broken) {
		b.stat = func(ctx context.Context, name string) (fs.FileInfo, error) {
			info, err := b.FS.Stat(ctx, name)
			return info, vfs.PathError("stat", "/srv/ftp/"+name, err)
		}
	}},
	"a bare error": {"Tree", func(b *broken) {
		b.mkdir = func(ctx context.Context, name string) error {
			if err := b.FS.Mkdir(ctx, name); err != nil {
				return fs.ErrExist
			}
			return nil
		}
	}},
	"loses the entry at a page's end": {"List", func(b *broken) {
		b.entries(func(i int, info fs.FileInfo, yield func(fs.FileInfo, error) bool) bool {
			return i == 1000 || yield(info, nil)
		})
	}},
	"repeats the entry at a page's end": {"List", func(b *broken) {
		b.entries(func(i int, info fs.FileInfo, yield func(fs.FileInfo, error) bool) bool {
			return yield(info, nil) && (i != 1000 || yield(info, nil))
		})
	}},
	"listing goes on when cancelled": {"List", func(b *broken) {
		b.readDir = func(ctx context.Context, name, prefix string) iter.Seq2[fs.FileInfo, error] {
			return b.FS.ReadDir(context.WithoutCancel(ctx), name, prefix)
		}
	}},
	"listing stops short when cancelled": {"List", func(b *broken) {
		b.readDir = func(ctx context.Context, name, prefix string) iter.Seq2[fs.FileInfo, error] {
			return func(yield func(fs.FileInfo, error) bool) {
				for info, err := range b.FS.ReadDir(ctx, name, prefix) {
					if ctx.Err() != nil || !yield(info, err) {
						return
					}
				}
			}
		}
	}},
	"lists a missing directory as empty": {"List", func(b *broken) {
		b.readDir = func(ctx context.Context, name, prefix string) iter.Seq2[fs.FileInfo, error] {
			return func(yield func(fs.FileInfo, error) bool) {
				for info, err := range b.FS.ReadDir(ctx, name, prefix) {
					if errors.Is(err, fs.ErrNotExist) || !yield(info, err) {
						return
					}
				}
			}
		}
	}},
	"prefix without its last letter": {"List", func(b *broken) {
		b.entries(func(_ int, info fs.FileInfo, yield func(fs.FileInfo, error) bool) bool { return yield(info, nil) })
		plain := b.readDir
		b.readDir = func(ctx context.Context, name, prefix string) iter.Seq2[fs.FileInfo, error] {
			if prefix != "" {
				prefix += "1"
			}
			return plain(ctx, name, prefix)
		}
	}},
	"beyond the end is empty": {"Read", func(b *broken) {
		b.open = func(ctx context.Context, name string, offset, length int64) (fs.File, error) {
			if info, err := b.FS.Stat(ctx, name); err == nil {
				offset = min(offset, info.Size())
			}
			return b.FS.Open(ctx, name, offset, length)
		}
	}},
	"ignores the length": {"Read", func(b *broken) {
		b.open = func(ctx context.Context, name string, offset, _ int64) (fs.File, error) {
			return b.FS.Open(ctx, name, offset, -1)
		}
	}},
	"describes the range, not the file": {"Read", func(b *broken) {
		b.open = func(ctx context.Context, name string, offset, length int64) (fs.File, error) {
			f, err := b.FS.Open(ctx, name, offset, length)
			if err != nil {
				return nil, err
			}
			return &file{File: f, stat: func() (fs.FileInfo, error) {
				info, err := f.Stat()
				return vfs.NewInfo(info.Name(), info.Size()-offset, info.Mode(), info.ModTime(), nil), err
			}}, nil
		}
	}},
	"reads mix two versions": {"Read", func(b *broken) {
		b.open = func(ctx context.Context, name string, offset, length int64) (fs.File, error) {
			f, err := b.FS.Open(ctx, name, offset, length)
			if err != nil {
				return nil, err
			}
			at := offset
			return &file{File: f, read: func(p []byte) (int, error) {
				if length >= 0 {
					return f.Read(p)
				}
				now, err := b.FS.Open(ctx, name, at, -1)
				if err != nil {
					return f.Read(p)
				}
				defer now.Close()
				n, err := now.Read(p)
				at += int64(n)
				return n, err
			}}, nil
		}
	}},
	"a cancelled read is an end": {"Read", func(b *broken) {
		b.open = func(ctx context.Context, name string, offset, length int64) (fs.File, error) {
			f, err := b.FS.Open(ctx, name, offset, length)
			if err != nil {
				return nil, err
			}
			return &file{File: f, read: func(p []byte) (int, error) {
				n, err := f.Read(p)
				if ctx.Err() != nil {
					err = io.EOF
				}
				return n, err
			}}, nil
		}
	}},
	"makes missing parents": {"Create", func(b *broken) {
		b.create = func(ctx context.Context, name string, opt vfs.CreateOptions) (vfs.Writer, error) {
			if dir, _ := vfs.Split(name); dir != "." {
				b.FS.Mkdir(ctx, dir)
			}
			return b.FS.Create(ctx, name, opt)
		}
	}},
	"append starts anew": {"Create", func(b *broken) {
		b.create = func(ctx context.Context, name string, opt vfs.CreateOptions) (vfs.Writer, error) {
			if opt.Mode == vfs.Append {
				opt.Mode = vfs.Replace
			}
			return b.FS.Create(ctx, name, opt)
		}
	}},
	"WriteAt keeps the tail": {"Create", func(b *broken) {
		b.writers(func(w *brokenWriter, ctx context.Context, name string, opt vfs.CreateOptions) {
			w.commit = func() error {
				if opt.Mode == vfs.WriteAt {
					if info, err := b.FS.Stat(ctx, name); err == nil && info.Size() > opt.Offset {
						if f, err := b.FS.Open(ctx, name, info.Size()-1, -1); err == nil {
							w.Writer.ReadFrom(f)
							f.Close()
						}
					}
				}
				return w.Writer.Commit()
			}
		})
	}},
	"fills a hole with zeros": {"Create", func(b *broken) {
		b.create = func(ctx context.Context, name string, opt vfs.CreateOptions) (vfs.Writer, error) {
			w, err := b.FS.Create(ctx, name, opt)
			if oe := (*vfs.OffsetError)(nil); errors.As(err, &oe) && oe.Accept > 0 {
				opt.Offset = oe.Accept
				w, err = b.FS.Create(ctx, name, opt)
			}
			return w, err
		}
	}},
	"overwrites in spite of NoReplace": {"NoReplace", func(b *broken) {
		b.create = func(ctx context.Context, name string, opt vfs.CreateOptions) (vfs.Writer, error) {
			opt.NoReplace = false
			return b.FS.Create(ctx, name, opt)
		}
	}},
	"asks for NoReplace only at the beginning": {"NoReplace", func(b *broken) {
		b.create = func(ctx context.Context, name string, opt vfs.CreateOptions) (vfs.Writer, error) {
			if _, err := b.FS.Stat(ctx, name); err == nil && opt.NoReplace {
				return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
			}
			opt.NoReplace = false
			return b.FS.Create(ctx, name, opt)
		}
	}},
	"rename races": {"NoReplace", func(b *broken) {
		b.rename = func(ctx context.Context, old, to string, opt vfs.RenameOptions) error {
			if strings.HasPrefix(old, "d/src-") { // as if nobody had come between
				opt.NoReplace = false
			}
			return b.FS.Rename(ctx, old, to, opt)
		}
	}},
	"truncates at the beginning": {"Visibility", func(b *broken) {
		b.create = func(ctx context.Context, name string, opt vfs.CreateOptions) (vfs.Writer, error) {
			w, err := b.FS.Create(ctx, name, opt)
			if err == nil && opt.Mode == vfs.Replace && !opt.NoReplace {
				if empty, err := b.FS.Create(ctx, name, opt); err == nil {
					empty.Commit()
				}
			}
			return w, err
		}
	}},
	"Sync makes it visible": {"Visibility", func(b *broken) {
		b.writers(func(w *brokenWriter, _ context.Context, _ string, _ vfs.CreateOptions) { w.sync = w.Writer.Commit })
	}},
	"lists its temporary file": {"Visibility", func(b *broken) {
		b.writers(func(w *brokenWriter, ctx context.Context, name string, _ vfs.CreateOptions) {
			dir, base := vfs.Split(name)
			temp := vfs.Join(dir, "."+base+".part")
			b.FS.Symlink(ctx, name, temp)
			w.commit = func() error { b.FS.Remove(ctx, temp); return w.Writer.Commit() }
			w.abort = func() error { b.FS.Remove(ctx, temp); return w.Writer.Abort() }
		})
	}},
	"Abort commits, as Close would": {"Ends", func(b *broken) {
		b.writers(func(w *brokenWriter, _ context.Context, _ string, _ vfs.CreateOptions) { w.abort = w.Writer.Commit })
	}},
	"a second end fails": {"Ends", func(b *broken) {
		b.writers(func(w *brokenWriter, _ context.Context, name string, _ vfs.CreateOptions) {
			ended := false
			w.commit = func() error {
				if ended {
					return &fs.PathError{Op: "commit", Path: name, Err: fs.ErrClosed}
				}
				ended = true
				return w.Writer.Commit()
			}
		})
	}},
	"Park without an owner is silent": {"Ends", func(b *broken) {
		b.writers(func(w *brokenWriter, _ context.Context, _ string, _ vfs.CreateOptions) {
			w.park = func() error { w.Writer.Park(); return nil }
		})
	}},
	"commits what was cancelled": {"Cancel", func(b *broken) {
		b.create = func(ctx context.Context, name string, opt vfs.CreateOptions) (vfs.Writer, error) {
			if err := vfs.ContextError(ctx, "create", name); err != nil {
				return nil, err
			}
			return b.FS.Create(context.WithoutCancel(ctx), name, opt)
		}
	}},
	"hides why it was cancelled": {"Cancel", func(b *broken) {
		b.mkdir = func(ctx context.Context, name string) error {
			if ctx.Err() != nil {
				return &fs.PathError{Op: "mkdir", Path: name, Err: ctx.Err()}
			}
			return b.FS.Mkdir(ctx, name)
		}
	}},
	"wraps the source's error": {"ReadFrom", func(b *broken) {
		b.writers(func(w *brokenWriter, _ context.Context, name string, _ vfs.CreateOptions) {
			w.readFrom = func(r io.Reader) (int64, error) {
				n, err := w.Writer.ReadFrom(r)
				return n, vfs.PathError("write", name, err)
			}
		})
	}},
	"a dead connection looks like a broken disk": {"Sockets", func(b *broken) {
		b.writers(func(w *brokenWriter, _ context.Context, name string, _ vfs.CreateOptions) {
			w.readFrom = func(r io.Reader) (int64, error) {
				n, err := w.Writer.ReadFrom(r)
				if ne := net.Error(nil); errors.As(err, &ne) {
					err = vfs.PathError("write", name, err)
				}
				return n, err
			}
		})
	}},
	"a deadline is the end": {"Sockets", func(b *broken) {
		b.writers(func(w *brokenWriter, _ context.Context, _ string, _ vfs.CreateOptions) {
			w.readFrom = func(r io.Reader) (int64, error) {
				n, err := w.Writer.ReadFrom(r)
				if errors.Is(err, os.ErrDeadlineExceeded) {
					w.Writer.Commit()
				}
				return n, err
			}
		})
	}},
	"takes one chunk only": {"ReadFrom", func(b *broken) {
		b.writers(func(w *brokenWriter, _ context.Context, _ string, _ vfs.CreateOptions) {
			calls := 0
			w.readFrom = func(r io.Reader) (int64, error) {
				if calls++; calls > 1 {
					return io.Copy(io.Discard, r)
				}
				return w.Writer.ReadFrom(r)
			}
		})
	}},
	"reads past the limit": {"ReadFrom", func(b *broken) {
		b.writers(func(w *brokenWriter, _ context.Context, _ string, _ vfs.CreateOptions) {
			w.readFrom = func(r io.Reader) (int64, error) {
				if l, ok := r.(*io.LimitedReader); ok {
					r = l.R
				}
				return w.Writer.ReadFrom(r)
			}
		})
	}},
	"two uploads share a buffer": {"Writers", func(b *broken) {
		open := map[string]vfs.Writer{}
		b.create = func(ctx context.Context, name string, opt vfs.CreateOptions) (vfs.Writer, error) {
			inner, err := b.FS.Create(ctx, name, opt)
			if err != nil {
				return nil, err
			}
			if opt.Mode == vfs.Replace && open[name] != nil {
				inner = open[name]
			}
			open[name] = inner
			done := func(end func() error) func() error {
				return func() error { delete(open, name); return end() }
			}
			return &brokenWriter{Writer: inner, commit: done(inner.Commit), abort: done(inner.Abort)}, nil
		}
	}},
	"appends side by side": {"Writers", func(b *broken) {
		b.create = func(ctx context.Context, name string, opt vfs.CreateOptions) (vfs.Writer, error) {
			w, err := b.FS.Create(ctx, name, opt)
			if errors.Is(err, vfs.ErrBusy) {
				return b.FS.Create(ctx, name, vfs.CreateOptions{})
			}
			return w, err
		}
	}},
	"tells all that arrived": {"Park", func(b *broken) {
		b.statStaged = func(ctx context.Context, name, owner string) (fs.FileInfo, error) {
			info, err := b.FS.StatStaged(ctx, name, owner)
			if err != nil {
				return nil, err
			}
			return vfs.NewInfo(info.Name(), info.Size()+1, info.Mode(), info.ModTime(), vfs.AttrOf(info)), nil
		}
	}},
	"shows a parked upload to everybody": {"Park", func(b *broken) {
		b.create = func(ctx context.Context, name string, opt vfs.CreateOptions) (vfs.Writer, error) {
			if opt.Owner != "" {
				opt.Owner = "all"
			}
			return b.FS.Create(ctx, name, opt)
		}
		b.statStaged = func(ctx context.Context, name, _ string) (fs.FileInfo, error) {
			return b.FS.StatStaged(ctx, name, "all")
		}
	}},
	"parks nothing": {"Park", func(b *broken) {
		b.writers(func(w *brokenWriter, _ context.Context, _ string, _ vfs.CreateOptions) { w.park = w.Writer.Abort })
	}},
	"a parked upload outlives a new one": {"Park", func(b *broken) {
		b.create = func(ctx context.Context, name string, opt vfs.CreateOptions) (vfs.Writer, error) {
			if opt.Mode == vfs.Replace && opt.Owner == "ann" {
				if _, err := b.FS.StatStaged(ctx, name, "ann"); err == nil {
					opt.Owner = ""
				}
			}
			return b.FS.Create(ctx, name, opt)
		}
	}},
	"Rmdir removes what is inside": {"Tree", func(b *broken) {
		b.rmdir = func(ctx context.Context, name string) error {
			err := b.FS.Rmdir(ctx, name)
			if errors.Is(err, vfs.ErrNotEmpty) {
				return b.FS.Rename(ctx, name, "gone", vfs.RenameOptions{})
			}
			return err
		}
	}},
	"Remove takes directories": {"Tree", func(b *broken) {
		b.remove = func(ctx context.Context, name string) error {
			if err := b.FS.Remove(ctx, name); errors.Is(err, vfs.ErrIsDir) {
				return b.FS.Rmdir(ctx, name)
			}
			return b.FS.Remove(ctx, name)
		}
	}},
	"Mkdir makes all levels": {"Tree", func(b *broken) {
		b.mkdir = func(ctx context.Context, name string) error {
			if dir, _ := vfs.Split(name); dir != "." {
				b.FS.Mkdir(ctx, dir)
			}
			return b.FS.Mkdir(ctx, name)
		}
	}},
	"an emptied directory vanishes": {"Tree", func(b *broken) {
		b.remove = func(ctx context.Context, name string) error {
			err := b.FS.Remove(ctx, name)
			if dir, _ := vfs.Split(name); err == nil && dir != "." {
				b.FS.Rmdir(ctx, dir)
			}
			return err
		}
	}},
	"Rename replaces an empty directory": {"Rename", func(b *broken) {
		b.rename = func(ctx context.Context, old, to string, opt vfs.RenameOptions) error {
			err := b.FS.Rename(ctx, old, to, opt)
			if errors.Is(err, fs.ErrExist) && b.FS.Rmdir(ctx, to) == nil {
				return b.FS.Rename(ctx, old, to, opt)
			}
			return err
		}
	}},
	"Rename onto itself removes": {"Rename", func(b *broken) {
		b.rename = func(ctx context.Context, old, to string, opt vfs.RenameOptions) error {
			if old == to {
				b.FS.Remove(ctx, to)
			}
			return b.FS.Rename(ctx, old, to, opt)
		}
	}},
	"Rename into itself succeeds": {"Rename", func(b *broken) {
		b.rename = func(ctx context.Context, old, to string, opt vfs.RenameOptions) error {
			if err := b.FS.Rename(ctx, old, to, opt); !errors.Is(err, fs.ErrInvalid) || !vfs.ValidName(old) {
				return err
			}
			return nil
		}
	}},
	"Rename leaves the deep behind": {"Rename", func(b *broken) {
		b.rename = func(ctx context.Context, old, to string, opt vfs.RenameOptions) error {
			err := b.FS.Rename(ctx, old, to, opt)
			if err == nil {
				b.FS.Remove(ctx, to+"/deep/er/b")
			}
			return err
		}
	}},
	"Copy overwrites": {"Copy", func(b *broken) {
		b.copy = func(ctx context.Context, src, dst string, _ vfs.CopyOptions) error {
			return b.FS.Copy(ctx, src, dst, vfs.CopyOptions{})
		}
	}},
	"Copy is a link": {"Copy", func(b *broken) {
		b.copy = func(ctx context.Context, src, dst string, opt vfs.CopyOptions) error {
			b.FS.Remove(ctx, dst)
			return b.FS.Symlink(ctx, src, dst)
		}
	}},
	"sets no time": {"Attributes", func(b *broken) {
		b.setModTime = func(ctx context.Context, name string, _ time.Time) error {
			_, err := b.FS.Stat(ctx, name)
			return err
		}
	}},
	"sets local time": {"Attributes", func(b *broken) {
		b.setModTime = func(ctx context.Context, name string, t time.Time) error {
			y, m, d := t.Date()
			return b.FS.SetModTime(ctx, name, time.Date(y, m, d, t.Hour(), t.Minute(), t.Second(), 0, time.UTC))
		}
	}},
	"sets no time of birth": {"Attributes", func(b *broken) {
		b.setCreateTime = func(ctx context.Context, name string, _ time.Time) error {
			_, err := b.FS.Stat(ctx, name)
			return err
		}
	}},
	"sets both times": {"Attributes", func(b *broken) {
		b.setCreateTime = func(ctx context.Context, name string, t time.Time) error {
			if err := b.FS.SetModTime(ctx, name, t); err != nil {
				return vfs.PathError("setcreatetime", name, err)
			}
			return b.FS.SetCreateTime(ctx, name, t)
		}
	}},
	"Copy takes the time of birth along": {"Attributes", func(b *broken) {
		b.copy = func(ctx context.Context, src, dst string, opt vfs.CopyOptions) error {
			info, err := b.FS.Stat(ctx, src)
			if err == nil {
				err = b.FS.Copy(ctx, src, dst, opt)
			}
			if err == nil {
				err = b.FS.SetCreateTime(ctx, dst, vfs.AttrOf(info).Created)
			}
			return err
		}
	}},
	"Remove follows links": {"Symlink", func(b *broken) {
		b.remove = func(ctx context.Context, name string) error {
			dir, base := vfs.Split(name)
			for e, err := range b.FS.ReadDir(ctx, dir, base) {
				if err == nil && e.Name() == base && vfs.AttrOf(e).Target != "" {
					name = vfs.AttrOf(e).Target
				}
			}
			return b.FS.Remove(ctx, name)
		}
	}},
	"listing follows links": {"Symlink", func(b *broken) {
		b.readDir = func(ctx context.Context, name, prefix string) iter.Seq2[fs.FileInfo, error] {
			return func(yield func(fs.FileInfo, error) bool) {
				for info, err := range b.FS.ReadDir(ctx, name, prefix) {
					if err == nil {
						if to, err := b.FS.Stat(ctx, vfs.Join(name, info.Name())); err == nil {
							info = to
						}
					}
					if !yield(info, err) {
						return
					}
				}
			}
		}
	}},
	"loses an append among others": {"Concurrency", func(b *broken) {
		var mu sync.Mutex
		n := 0
		b.writers(func(w *brokenWriter, _ context.Context, _ string, opt vfs.CreateOptions) {
			w.commit = func() error {
				mu.Lock()
				defer mu.Unlock()
				if n++; opt.Mode == vfs.Append && n%2 == 0 {
					return w.Writer.Abort()
				}
				return w.Writer.Commit()
			}
		})
	}},
	"internal errors show under load": {"Concurrency", func(b *broken) {
		var mu sync.Mutex
		n := 0
		b.remove = func(ctx context.Context, name string) error {
			mu.Lock()
			defer mu.Unlock()
			if n++; n%5 == 0 {
				return fmt.Errorf("unexpected state of inode %d", n)
			}
			return b.FS.Remove(ctx, name)
		}
	}},
	"the ninth removal does nothing": {"Model", func(b *broken) {
		n := 0
		b.remove = func(ctx context.Context, name string) error {
			if n++; n%9 == 0 {
				_, err := b.FS.Stat(ctx, name)
				return err
			}
			return b.FS.Remove(ctx, name)
		}
	}},
	"a chunk border is lost": {"Model", func(b *broken) {
		b.writers(func(w *brokenWriter, _ context.Context, _ string, opt vfs.CreateOptions) {
			w.write = func(p []byte) (int, error) {
				n := len(p)
				if opt.Mode == vfs.Append && n == 64<<10+1 {
					p = p[:n-1]
				}
				_, err := w.Writer.Write(p)
				return n, err
			}
		})
	}},
}
