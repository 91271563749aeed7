package local

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/windows"

	"github.com/ftpgate/ftpgate/vfs"
)

// missingCaps: Windows has one permission bit.
const missingCaps = vfs.CanSetMode

// sysDir is a directory. Windows has no calls relative to a descriptor that os.Root
// does not offer, so it is a name below the root.
type sysDir struct {
	root   *os.Root
	name   string
	handle *os.File // of openList
}

func openDir(root *os.Root, name string) (*sysDir, error) {
	info, err := root.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, vfs.ErrNotDir
	}
	return &sysDir{root: root, name: name}, nil
}

func openList(root *os.Root, name string) (*sysDir, error) {
	d, err := openDir(root, name)
	if err != nil {
		return nil, err
	}
	d.handle, err = root.Open(name)
	return d, err
}

func (d *sysDir) path(base string) string { return filepath.FromSlash(vfs.Join(d.name, base)) }

func (d *sysDir) close() { _ = d.release() }

func (d *sysDir) release() error {
	if d.handle == nil {
		return nil
	}
	return d.handle.Close()
}

func (d *sysDir) lstat(base string) (stat, error) {
	info, err := d.root.Lstat(d.path(base))
	return statOf(info, err)
}

func (d *sysDir) stat() (stat, error) { return d.lstat(".") }

func statFile(f *os.File) (stat, error) {
	st, err := statOf(f.Stat())
	if err != nil {
		return st, err
	}
	var info windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(windows.Handle(f.Fd()), &info); err == nil {
		st.links = uint64(info.NumberOfLinks)
		st.id = fileID{uint64(info.VolumeSerialNumber), uint64(info.FileIndexHigh)<<32 | uint64(info.FileIndexLow)}
	}
	return st, nil
}

func statOf(info fs.FileInfo, err error) (stat, error) {
	if err != nil {
		return stat{}, err
	}
	return stat{exists: true, mode: info.Mode(), size: info.Size(), mtime: info.ModTime(), links: 1}, nil
}

func (d *sysDir) open(base string, flag int, perm fs.FileMode) (*os.File, error) {
	info, err := d.root.Lstat(d.path(base))
	if err == nil && !info.Mode().IsRegular() {
		return nil, fs.ErrPermission
	}
	return d.root.OpenFile(d.path(base), flag, perm.Perm())
}

func (d *sysDir) readlink(base string) (string, error) {
	text, err := d.root.Readlink(d.path(base))
	return filepath.ToSlash(text), err
}

func (d *sysDir) mkdir(base string, perm fs.FileMode) error {
	return d.root.Mkdir(d.path(base), perm.Perm())
}

func (d *sysDir) symlink(text, base string) error {
	return d.root.Symlink(filepath.FromSlash(text), d.path(base))
}

func (d *sysDir) unlink(base string) error {
	st, err := d.lstat(base)
	if err == nil && st.mode.IsDir() {
		return vfs.ErrIsDir
	}
	return d.root.Remove(d.path(base))
}

func (d *sysDir) rmdir(base string) error {
	st, err := d.lstat(base)
	if err == nil && !st.mode.IsDir() {
		return vfs.ErrNotDir
	}
	return d.root.Remove(d.path(base))
}

func (d *sysDir) rename(base string, to *sysDir, tobase string, noReplace bool) error {
	if !noReplace {
		return d.root.Rename(d.path(base), to.path(tobase))
	}
	st, err := d.lstat(base)
	if err != nil {
		return err
	}
	if st.mode.IsDir() { // never replaces anything
		return d.root.Rename(d.path(base), to.path(tobase))
	}
	if err := d.root.Link(d.path(base), to.path(tobase)); err != nil {
		return err
	}
	return d.root.Remove(d.path(base))
}

func (d *sysDir) link(base, other string) error { return d.root.Link(d.path(base), d.path(other)) }

func (d *sysDir) writable(base string) error {
	st, err := d.lstat(base)
	if err == nil && st.mode.Perm()&0o200 == 0 {
		return fs.ErrPermission
	}
	return err
}

// sync has nothing to do: NTFS keeps a journal of names.
func (d *sysDir) sync() error { return nil }

func (d *sysDir) space() (total, free int64, err error) {
	path, err := windows.UTF16PtrFromString(filepath.Join(d.root.Name(), d.path(".")))
	if err != nil {
		return 0, 0, err
	}
	var avail, all, unused uint64
	if err := windows.GetDiskFreeSpaceEx(path, &avail, &all, &unused); err != nil {
		return 0, 0, err
	}
	return int64(all), int64(avail), nil
}

func (d *sysDir) probe() disk { return disk{lock: true} }

func own(*os.File, stat) {}

func (d *sysDir) chown(string, ownership) error { return errors.ErrUnsupported }

func (d *sysDir) mayGive(ownership) error { return errors.ErrUnsupported }

// lockedByte lies far behind every file, because locks keep others from reading.
func lockedByte() *windows.Overlapped { return &windows.Overlapped{OffsetHigh: 0x7fffffff} }

func lock(f *os.File) (held bool, err error) {
	err = windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, lockedByte())
	if err == windows.ERROR_LOCK_VIOLATION {
		return true, nil
	}
	return false, err
}

func locked(f *os.File) bool {
	held, err := lock(f)
	if held || err != nil {
		return true
	}
	_ = windows.UnlockFileEx(windows.Handle(f.Fd()), 0, 1, 0, lockedByte())
	return false
}

func clone(dst, src *os.File) error { return errors.ErrUnsupported }

func allocate(f *os.File, offset, size int64) error { return nil }

// Windows has no extended attributes that programs share; see bootTime.

func setAttr(*os.File, string, string) error { return errors.ErrUnsupported }

func attrOf(*os.File, string) string { return "" }

func removeAttr(*os.File, string) error { return nil }

// bootTime is unknown, so that what was parked is resumed also after a reboot.
func bootTime() time.Time { return time.Time{} }

// legal refuses what Windows takes for something else: separators, streams,
// wildcards, and ends that it cuts off.
func legal(elem string) bool {
	return !strings.ContainsAny(elem, `\:*?"<>|`) && (elem == "." || strings.TrimRight(elem, ". ") == elem)
}

func systemMeaning(errno syscall.Errno) error {
	switch windows.Errno(errno) {
	case windows.ERROR_FILE_NOT_FOUND, windows.ERROR_PATH_NOT_FOUND:
		return fs.ErrNotExist
	case windows.ERROR_ALREADY_EXISTS, windows.ERROR_FILE_EXISTS:
		return fs.ErrExist
	case windows.ERROR_ACCESS_DENIED, windows.ERROR_WRITE_PROTECT:
		return fs.ErrPermission
	case windows.ERROR_DIR_NOT_EMPTY:
		return vfs.ErrNotEmpty
	case windows.ERROR_DIRECTORY:
		return vfs.ErrNotDir
	case windows.ERROR_DISK_FULL, windows.ERROR_HANDLE_DISK_FULL:
		return vfs.ErrNoSpace
	case windows.ERROR_DISK_QUOTA_EXCEEDED:
		return vfs.ErrQuota
	case windows.ERROR_SHARING_VIOLATION, windows.ERROR_LOCK_VIOLATION:
		return vfs.ErrBusy
	case windows.ERROR_INVALID_NAME, windows.ERROR_FILENAME_EXCED_RANGE, windows.ERROR_BAD_PATHNAME:
		return fs.ErrInvalid
	}
	return nil
}
