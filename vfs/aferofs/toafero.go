package aferofs

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/ftpgate/ftpgate/vfs"
	"github.com/spf13/afero"
)

// ToAfero returns fsys as an afero.Fs; ctx governs everything that is done with it.
//
// Names may be relative or absolute and are cleaned; ".." does not leave the root.
//
// What is written becomes visible under its name when the file is closed or synced,
// at once and as a whole, and not before; a Close that fails, or one after a Write
// that failed, leaves what was there. There is no way to give up an upload but to
// cancel ctx.
//
// The flags of OpenFile mean what they mean to package os. A file that is opened for
// writing without O_TRUNC or O_APPEND can be written to at any offset: that which is
// beyond keeps its old content, copied when the file is closed. This needs
// vfs.CanWriteAt, and O_APPEND needs vfs.CanAppend; else writing is
// errors.ErrUnsupported. Writing in offset order is one upload; each jump, and each
// Read in between, ends one and begins another. The mode of a new file or directory is
// set, without the write bits of group and others, where the store has
// vfs.CanSetMode.
//
// Chown is errors.ErrUnsupported, and so are Chmod, Chtimes (which ignores the access
// time) and links where the store has no such ability.
//
// The Fs may be used concurrently, a File by one goroutine at a time.
func ToAfero(ctx context.Context, fsys vfs.FS) afero.Fs { return &toFs{ctx: ctx, fsys: fsys} }

// toFs is an afero.Fs over a vfs.FS.
type toFs struct {
	ctx  context.Context
	fsys vfs.FS
}

var (
	_ afero.Fs        = (*toFs)(nil)
	_ afero.Symlinker = (*toFs)(nil)
)

// local returns the vfs name of an afero name.
func local(name string) string {
	name = strings.TrimPrefix(path.Clean("/"+filepath.ToSlash(name)), "/")
	if name == "" {
		return "."
	}
	return name
}

// told turns an error of the vfs into one for afero's callers: with the name that
// they used, and such that os.IsNotExist and its like know it.
func told(op, name string, err error) error {
	for _, kind := range []error{fs.ErrNotExist, fs.ErrExist, fs.ErrPermission} {
		if errors.Is(err, kind) {
			err = kind
		}
	}
	return vfs.PathError(op, name, err)
}

func (t *toFs) Name() string { return "vfs" }

func (t *toFs) Create(name string) (afero.File, error) {
	return t.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o666)
}

func (t *toFs) Open(name string) (afero.File, error) { return t.OpenFile(name, os.O_RDONLY, 0) }

func (t *toFs) OpenFile(name string, flag int, perm os.FileMode) (afero.File, error) {
	f := &toFile{t: t, name: name, local: local(name), flag: flag}
	if err := f.open(perm); err != nil {
		return nil, told("open", name, err)
	}
	return f, nil
}

// chmod sets the mode of something new as far as the store can.
func (t *toFs) chmod(name string, perm os.FileMode) error {
	if !t.fsys.Caps().Has(vfs.CanSetMode) {
		return nil
	}
	return vfs.SetMode(t.ctx, t.fsys, name, perm.Perm()&^0o022)
}

func (t *toFs) Mkdir(name string, perm os.FileMode) error {
	err := t.fsys.Mkdir(t.ctx, local(name))
	if err == nil {
		err = t.chmod(local(name), perm)
	}
	return told("mkdir", name, err)
}

func (t *toFs) MkdirAll(name string, perm os.FileMode) error {
	full := local(name)
	for i := 0; i <= len(full); i++ {
		if i < len(full) && full[i] != '/' || full == "." {
			continue
		}
		dir := full[:i]
		err := t.fsys.Mkdir(t.ctx, dir)
		if errors.Is(err, fs.ErrExist) {
			var info fs.FileInfo
			if info, err = t.fsys.Stat(t.ctx, dir); err == nil && !info.IsDir() {
				err = vfs.ErrNotDir
			}
		} else if err == nil {
			err = t.chmod(dir, perm)
		}
		if err != nil {
			return told("mkdir", name, err)
		}
	}
	return nil
}

func (t *toFs) Remove(name string) error { return told("remove", name, t.remove(local(name))) }

// remove removes a file or an empty directory.
func (t *toFs) remove(name string) error {
	err := t.fsys.Remove(t.ctx, name)
	if errors.Is(err, vfs.ErrIsDir) {
		return t.fsys.Rmdir(t.ctx, name)
	}
	return err
}

func (t *toFs) RemoveAll(name string) error {
	return told("removeall", name, t.removeAll(local(name)))
}

func (t *toFs) removeAll(name string) error {
	err := t.remove(name)
	for errors.Is(err, vfs.ErrNotEmpty) || name == "." && errors.Is(err, fs.ErrPermission) {
		// In rounds of bounded size: not every store lists well while it changes.
		var names []string
		for info, err := range t.fsys.ReadDir(t.ctx, name, "") {
			if err != nil {
				return err
			}
			if names = append(names, info.Name()); len(names) == 1000 {
				break
			}
		}
		for _, child := range names {
			if err := t.removeAll(vfs.Join(name, child)); err != nil {
				return err
			}
		}
		if name == "." {
			if len(names) == 0 {
				return nil // the root itself stays
			}
			continue
		}
		err = t.remove(name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (t *toFs) Rename(oldname, newname string) error {
	return told("rename", oldname, t.fsys.Rename(t.ctx, local(oldname), local(newname), vfs.RenameOptions{}))
}

func (t *toFs) Stat(name string) (os.FileInfo, error) {
	info, err := t.fsys.Stat(t.ctx, local(name))
	if err != nil {
		return nil, told("stat", name, err)
	}
	return info, nil
}

func (t *toFs) Chmod(name string, mode os.FileMode) error {
	return told("chmod", name, vfs.SetMode(t.ctx, t.fsys, local(name), mode))
}

func (t *toFs) Chown(name string, _, _ int) error {
	return told("chown", name, errors.ErrUnsupported)
}

func (t *toFs) Chtimes(name string, _, mtime time.Time) error {
	return told("chtimes", name, vfs.SetModTime(t.ctx, t.fsys, local(name), mtime))
}

// LstatIfPossible describes a link itself, which a vfs.FS does only in listings.
func (t *toFs) LstatIfPossible(name string) (os.FileInfo, bool, error) {
	if !t.fsys.Caps().Has(vfs.CanSymlink) {
		info, err := t.Stat(name)
		return info, false, err
	}
	full := local(name)
	dir, base := vfs.Split(full)
	if full == "." {
		info, err := t.Stat(name)
		return info, true, err
	}
	for info, err := range t.fsys.ReadDir(t.ctx, dir, base) {
		if err != nil {
			return nil, true, told("lstat", name, err)
		}
		if info.Name() == base {
			return info, true, nil
		}
	}
	return nil, true, told("lstat", name, fs.ErrNotExist)
}

func (t *toFs) SymlinkIfPossible(oldname, newname string) error {
	target := oldname
	if !path.IsAbs(filepath.ToSlash(oldname)) { // relative to where the link is
		dir, _ := vfs.Split(local(newname))
		target = vfs.Join(dir, filepath.ToSlash(oldname))
	}
	if err := vfs.Symlink(t.ctx, t.fsys, local(target), local(newname)); err != nil {
		return &os.LinkError{Op: "symlink", Old: oldname, New: newname, Err: errors.Unwrap(told("symlink", newname, err))}
	}
	return nil
}

func (t *toFs) ReadlinkIfPossible(name string) (string, error) {
	info, possible, err := t.LstatIfPossible(name)
	switch {
	case err != nil:
		return "", err
	case !possible:
		return "", told("readlink", name, afero.ErrNoReadlink)
	case vfs.AttrOf(info).Target == "":
		return "", told("readlink", name, fs.ErrInvalid)
	}
	return "/" + strings.TrimPrefix(vfs.AttrOf(info).Target, "."), nil
}
