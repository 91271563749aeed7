// Package aferofs adapts github.com/spf13/afero both ways: with [New] any afero.Fs
// is a backend, with [ToAfero] any vfs.FS is an afero.Fs.
//
// An afero.Fs knows no upload that is refused after its bytes came, so New writes
// to a hidden temporary name and renames it at Commit. What afero has no word for
// is missing in Caps: parking, copies inside the store, free space, links. Appending
// copies the old content. For a disk, backends/local does all of it better.
//
// afero.OsFs, MemMapFs, BasePathFs, CopyOnWriteFs and sftpfs fulfil the contract of
// package vfs as far as Caps says; ReadOnlyFs, FromIOFS, zipfs and tarfs can be read (the last
// two belong into vfs.ReadOnly). CacheOnReadFs can only be read: it makes a new file in both
// of its layers, and fails at the second.
package aferofs

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ftpgate/ftpgate/vfs"
	"github.com/spf13/afero"
)

// New returns a as a vfs.FS.
//
// The names that a sees are absolute ("/a/b"; afero.FromIOFS gets "a/b"), so an
// afero.OsFs needs an afero.BasePathFs around it. Symbolic links are listed and
// can be removed, but not followed: fs.ErrPermission, since afero can't say whether
// they leave the root. An afero.ReadOnlyFs or FromIOFS becomes a vfs.ReadOnly.
//
// Directories of an afero.OsFs are listed in pages, those of other file systems as a
// whole, in memory that grows with their number.
//
// One New must be the only writer of a: uploads, renames and removals take turns on
// a lock of its own, because some afero file systems (MemMapFs) die of two renames at
// once. Temporary files of a process that died stay hidden until their directory is
// removed.
func New(a afero.Fs) vfs.FS {
	f := &aferoFS{a: a, root: "/", live: map[*writer]bool{}}
	if l, ok := a.(afero.Lstater); ok {
		if _, possible, _ := l.LstatIfPossible("/"); possible {
			f.lstater = l
		}
	}
	switch a.(type) {
	case afero.FromIOFS, *afero.FromIOFS:
		f.root = ""
		return vfs.ReadOnly(f)
	case *afero.ReadOnlyFs:
		return vfs.ReadOnly(f)
	}
	return f
}

// aferoFS is a backend over an afero.Fs.
type aferoFS struct {
	a       afero.Fs
	root    string        // in front of every name
	lstater afero.Lstater // nil: there are no links

	mu   sync.RWMutex // held for every change of the tree
	live map[*writer]bool
}

var (
	_ vfs.ModTimeSetter = (*aferoFS)(nil)
	_ vfs.ModeSetter    = (*aferoFS)(nil)
)

// Caps leaves out CanNoReplace, because others may write to the same afero.Fs; with
// one New as its only writer NoReplace does not race.
func (f *aferoFS) Caps() vfs.Caps {
	return vfs.CanWrite | vfs.CanAppend | vfs.CanWriteAt | vfs.CanRenameDir | vfs.CanSetModTime | vfs.CanSetMode | vfs.RealDirs
}

// path returns name as afero is to see it.
func (f *aferoFS) path(name string) string {
	switch {
	case name != ".":
		return f.root + name
	case f.root == "":
		return "."
	}
	return f.root
}

const (
	tempPrefix = ".ftpgate-"
	tempSuffix = ".part"
)

// isTemp reports whether an element is a temporary name of ours.
func isTemp(elem string) bool {
	return strings.HasPrefix(elem, tempPrefix) && strings.HasSuffix(elem, tempSuffix)
}

// begin is the beginning of every method.
func (f *aferoFS) begin(ctx context.Context, op, name string) error {
	if err := vfs.CheckName(op, name); err != nil {
		return err
	}
	if strings.Contains(name, tempPrefix) {
		for elem := range strings.SplitSeq(name, "/") {
			if isTemp(elem) {
				return &fs.PathError{Op: op, Path: name, Err: fs.ErrPermission}
			}
		}
	}
	return vfs.ContextError(ctx, op, name)
}

// fail turns an error of afero into one of the contract.
func fail(op, name string, err error) error {
	if err == nil {
		return nil
	}
	var link *os.LinkError
	if errors.As(err, &link) { // holds two paths of the store
		err = link.Err
	}
	for _, m := range []struct{ from, to error }{
		{syscall.ENOTDIR, vfs.ErrNotDir}, {syscall.EISDIR, vfs.ErrIsDir}, {syscall.ENOTEMPTY, vfs.ErrNotEmpty},
		{syscall.ENOSPC, vfs.ErrNoSpace}, {syscall.EDQUOT, vfs.ErrQuota}, {syscall.EFBIG, vfs.ErrTooLarge},
		{syscall.ENAMETOOLONG, fs.ErrInvalid}, {syscall.EINVAL, fs.ErrInvalid}, {syscall.EROFS, fs.ErrPermission},
		{syscall.ELOOP, fs.ErrPermission}, {syscall.EBUSY, vfs.ErrBusy}, {syscall.ENOTSUP, errors.ErrUnsupported},
	} {
		if errors.Is(err, m.from) {
			err = m.to
			break
		}
	}
	return vfs.PathError(op, name, err)
}

// lstat describes name and follows no link as its last element; an earlier one is
// fs.ErrPermission.
func (f *aferoFS) lstat(name string) (vfs.Info, error) {
	for i := 0; f.lstater != nil && i < len(name); i++ {
		if name[i] != '/' {
			continue
		}
		info, _, err := f.lstater.LstatIfPossible(f.path(name[:i]))
		if err != nil {
			return vfs.Info{}, err
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			return vfs.Info{}, fs.ErrPermission
		}
	}
	var info fs.FileInfo
	var err error
	if f.lstater != nil {
		info, _, err = f.lstater.LstatIfPossible(f.path(name))
	} else {
		info, err = f.a.Stat(f.path(name))
	}
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) && slices.ContainsFunc(strings.Split(name, "/"), tooLong) {
			err = fs.ErrInvalid // SFTP, for one, has no word of its own for it
		}
		return vfs.Info{}, err
	}
	_, base := vfs.Split(name)
	return snapshot(info, base), nil
}

// tooLong reports whether an element is longer than the disks of today allow.
func tooLong(elem string) bool { return len(elem) > 255 }

// snapshot copies info: afero's may change with the file. Operating system's types
// in it go.
func snapshot(info fs.FileInfo, base string) vfs.Info {
	mode := info.Mode()
	if info.IsDir() {
		mode |= fs.ModeDir
	}
	return vfs.NewInfo(base, info.Size(), mode&(fs.ModeType|fs.ModePerm), info.ModTime(), nil)
}

// stat describes name and refuses a link.
func (f *aferoFS) stat(name string) (vfs.Info, error) {
	info, err := f.lstat(name)
	if err == nil && info.Mode()&fs.ModeSymlink != 0 {
		err = fs.ErrPermission
	}
	return info, err
}

// parent checks that the directory of name is one.
func (f *aferoFS) parent(name string) error {
	dir, _ := vfs.Split(name)
	info, err := f.stat(dir)
	if err == nil && !info.IsDir() {
		err = vfs.ErrNotDir
	}
	return err
}

// Stat implements vfs.FS.
func (f *aferoFS) Stat(ctx context.Context, name string) (fs.FileInfo, error) {
	if err := f.begin(ctx, "stat", name); err != nil {
		return nil, err
	}
	info, err := f.stat(name)
	if err != nil {
		return nil, fail("stat", name, err)
	}
	return info, nil
}

// ReadDir implements vfs.FS.
func (f *aferoFS) ReadDir(ctx context.Context, name, prefix string) iter.Seq2[fs.FileInfo, error] {
	return func(yield func(fs.FileInfo, error) bool) {
		err := f.begin(ctx, "readdir", name)
		if err == nil {
			err = f.entries(name, func(info vfs.Info) error {
				if err := vfs.ContextError(ctx, "readdir", name); err != nil {
					return err
				}
				if !isTemp(info.Name()) && vfs.ValidElement(info.Name()) && strings.HasPrefix(info.Name(), prefix) && !yield(info, nil) {
					return errStop
				}
				return nil
			})
		}
		if err != nil && err != errStop {
			yield(nil, fail("readdir", name, err))
		}
	}
}

// errStop ends a walk over entries.
var errStop = errors.New("stop")

// entries calls do for everything in the directory name, up to an error.
func (f *aferoFS) entries(name string, do func(vfs.Info) error) error {
	info, err := f.stat(name)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return vfs.ErrNotDir
	}
	dir, err := f.a.Open(f.path(name))
	if err != nil {
		return err
	}
	defer dir.Close()
	page := 512
	if !pages(dir) {
		page = -1
	}
	for {
		infos, err := dir.Readdir(page)
		for _, info := range infos {
			if err := do(snapshot(info, info.Name())); err != nil {
				return err
			}
		}
		if err == io.EOF || err == nil && (len(infos) == 0 || page < 0) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// pages reports whether the entries of dir may be read little by little. MemMapFs
// sorts all of them for each page, and panics when some are removed between two; of
// a store that we don't know we expect no better.
func pages(dir afero.File) bool {
	switch d := dir.(type) {
	case *os.File, *toFile:
		return true
	case *afero.BasePathFile:
		return pages(d.File)
	}
	return false
}

// change runs do with the tree to itself.
func (f *aferoFS) change(ctx context.Context, op, name string, do func() error) error {
	if err := f.begin(ctx, op, name); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return fail(op, name, do())
}

// Mkdir implements vfs.FS.
func (f *aferoFS) Mkdir(ctx context.Context, name string) error {
	return f.change(ctx, "mkdir", name, func() error {
		switch _, err := f.lstat(name); {
		case err == nil:
			return fs.ErrExist
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
		if err := f.parent(name); err != nil {
			return err
		}
		return f.a.Mkdir(f.path(name), 0o755)
	})
}

// Remove implements vfs.FS.
func (f *aferoFS) Remove(ctx context.Context, name string) error {
	return f.change(ctx, "remove", name, func() error {
		info, err := f.lstat(name)
		if err != nil {
			return err
		}
		if info.IsDir() {
			return vfs.ErrIsDir
		}
		return f.a.Remove(f.path(name))
	})
}

// Rmdir implements vfs.FS. Uploads that run inside fail at their Commit.
func (f *aferoFS) Rmdir(ctx context.Context, name string) error {
	return f.change(ctx, "rmdir", name, func() error {
		if name == "." {
			return fs.ErrPermission
		}
		if info, err := f.lstat(name); err != nil || !info.IsDir() {
			if err == nil {
				err = vfs.ErrNotDir
			}
			return err
		}
		var temps []string
		if err := f.entries(name, func(info vfs.Info) error {
			if !isTemp(info.Name()) {
				return vfs.ErrNotEmpty
			}
			temps = append(temps, info.Name())
			return nil
		}); err != nil {
			return err
		}
		for w := range f.live {
			w.dead = w.dead || w.dir == name
		}
		for _, temp := range temps {
			if err := f.a.Remove(f.path(vfs.Join(name, temp))); err != nil {
				return err
			}
		}
		return f.a.Remove(f.path(name))
	})
}

// Rename implements vfs.FS.
func (f *aferoFS) Rename(ctx context.Context, oldname, newname string, opt vfs.RenameOptions) error {
	if err := f.begin(ctx, "rename", newname); err != nil {
		return err
	}
	return f.change(ctx, "rename", oldname, func() error {
		if oldname == "." || newname == "." {
			return fs.ErrPermission
		}
		from, err := f.lstat(oldname)
		if err != nil {
			return err
		}
		if oldname == newname {
			return nil
		}
		if err := f.parent(newname); err != nil {
			return err
		}
		if from.IsDir() && vfs.Within(newname, oldname) {
			return fs.ErrInvalid
		}
		to, err := f.lstat(newname)
		switch {
		case err == nil && (opt.NoReplace || from.IsDir() || to.IsDir()):
			return fs.ErrExist
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return err
		}
		if err := f.replace(oldname, newname, err == nil); err != nil {
			return err
		}
		for w := range f.live {
			if vfs.Within(w.dir, oldname) {
				w.dir = newname + w.dir[len(oldname):]
			}
		}
		return nil
	})
}

// replace renames from to to. An afero.Fs that does not replace the file there gets
// it out of the way first, and back if that does not help.
func (f *aferoFS) replace(from, to string, taken bool) error {
	err := f.a.Rename(f.path(from), f.path(to))
	if err == nil || !taken {
		return err
	}
	dir, _ := vfs.Split(to)
	aside := f.path(vfs.Join(dir, newTemp()))
	if f.a.Rename(f.path(to), aside) != nil {
		return err
	}
	if err := f.a.Rename(f.path(from), f.path(to)); err != nil {
		return errors.Join(err, f.a.Rename(aside, f.path(to)))
	}
	return f.a.Remove(aside)
}

// SetModTime implements vfs.ModTimeSetter.
func (f *aferoFS) SetModTime(ctx context.Context, name string, t time.Time) error {
	return f.change(ctx, "settime", name, func() error {
		if _, err := f.stat(name); err != nil {
			return err
		}
		return f.a.Chtimes(f.path(name), t, t)
	})
}

// SetMode implements vfs.ModeSetter.
func (f *aferoFS) SetMode(ctx context.Context, name string, mode fs.FileMode) error {
	return f.change(ctx, "setmode", name, func() error {
		if _, err := f.stat(name); err != nil {
			return err
		}
		return f.a.Chmod(f.path(name), mode.Perm())
	})
}
