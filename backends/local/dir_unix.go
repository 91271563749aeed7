//go:build linux || darwin

package local

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// sysDir is an open directory. Its methods work on one element of it, base, relative
// to the descriptor, and never follow a link there. Their errors are raw.
type sysDir struct {
	handle *os.File
	shared bool // of an FS, which closes it
}

func openDir(root *os.Root, name string) (*sysDir, error) {
	h, err := root.OpenFile(name, openDirFlags, 0)
	if err != nil {
		return nil, err
	}
	return &sysDir{handle: h, shared: name == "."}, nil
}

// openList opens a directory that can be listed.
func openList(root *os.Root, name string) (*sysDir, error) {
	h, err := root.OpenFile(name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	return &sysDir{handle: h}, nil
}

func (d *sysDir) fd() int { return int(d.handle.Fd()) }

// close ends the use of d; release closes it whatever it is.
func (d *sysDir) close() {
	if !d.shared {
		d.release()
	}
}

func (d *sysDir) release() error { return d.handle.Close() }

// interrupted repeats call while a signal ends it.
func interrupted(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

// open opens a file without waiting, whatever it turns out to be.
func (d *sysDir) open(base string, flag int, perm fs.FileMode) (*os.File, error) {
	there := flag&os.O_EXCL == 0
	if there {
		flag |= unix.O_NONBLOCK
	}
	var fd int
	err := interrupted(func() (err error) {
		fd, err = unix.Openat(d.fd(), base, flag|unix.O_NOFOLLOW|unix.O_CLOEXEC, uint32(perm.Perm()))
		return err
	})
	if err != nil {
		return nil, err
	}
	if there { // else the poller would take it
		_ = syscall.SetNonblock(fd, false)
	}
	return os.NewFile(uintptr(fd), base), nil
}

func (d *sysDir) readlink(base string) (string, error) {
	for size := 256; ; size *= 2 {
		buf := make([]byte, size)
		n, err := unix.Readlinkat(d.fd(), base, buf)
		if err != nil {
			return "", err
		}
		if n < size {
			return string(buf[:n]), nil
		}
	}
}

func (d *sysDir) mkdir(base string, perm fs.FileMode) error {
	return interrupted(func() error { return unix.Mkdirat(d.fd(), base, uint32(perm.Perm())) })
}

func (d *sysDir) symlink(text, base string) error { return unix.Symlinkat(text, d.fd(), base) }

// unlink removes anything but a directory.
func (d *sysDir) unlink(base string) error {
	err := interrupted(func() error { return unix.Unlinkat(d.fd(), base, 0) })
	if err == unix.EPERM { // POSIX's answer for a directory
		if st, _ := d.lstat(base); st.mode.IsDir() {
			return unix.EISDIR
		}
	}
	return err
}

// rmdir removes an empty directory and nothing else.
func (d *sysDir) rmdir(base string) error {
	return interrupted(func() error { return unix.Unlinkat(d.fd(), base, unix.AT_REMOVEDIR) })
}

// rename moves base; noReplace fails with EEXIST, in one step, where the new name
// is taken.
func (d *sysDir) rename(base string, to *sysDir, tobase string, noReplace bool) error {
	if !noReplace {
		return interrupted(func() error { return unix.Renameat(d.fd(), base, to.fd(), tobase) })
	}
	err := interrupted(func() error { return renameNoReplace(d.fd(), base, to.fd(), tobase) })
	if err != unix.EINVAL && err != unix.ENOSYS && err != unix.ENOTSUP {
		return err
	}
	return d.renameByLink(base, to, tobase)
}

// renameByLink is for disks that can't rename without replacing, such as NFS. A
// directory has no second name, but can't replace more than an empty directory
// either.
func (d *sysDir) renameByLink(base string, to *sysDir, tobase string) error {
	st, err := d.lstat(base)
	if err != nil {
		return err
	}
	if st.mode.IsDir() {
		if _, err := to.lstat(tobase); err == nil {
			return unix.EEXIST
		}
		return unix.Renameat(d.fd(), base, to.fd(), tobase)
	}
	if err := unix.Linkat(d.fd(), base, to.fd(), tobase, 0); err != nil {
		if err == unix.EPERM {
			return errors.ErrUnsupported
		}
		return err
	}
	return unix.Unlinkat(d.fd(), base, 0)
}

// link gives a file a second name.
func (d *sysDir) link(base, other string) error { return unix.Linkat(d.fd(), base, d.fd(), other, 0) }

// writable fails if the process may not write the file.
func (d *sysDir) writable(base string) error {
	return unix.Faccessat(d.fd(), base, unix.W_OK, unix.AT_EACCESS)
}

// sync makes changes of names in d survive a crash of the machine. A directory
// that may not be read can't be synced; then it is left to the system.
func (d *sysDir) sync() error {
	fd, err := unix.Openat(d.fd(), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == unix.EACCES {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	err = interrupted(func() error { return unix.Fsync(fd) })
	if err == unix.EINVAL { // the disk has no such thing
		return nil
	}
	return err
}

// space tells bytes in all and bytes free to this process.
func (d *sysDir) space() (total, free int64, err error) {
	var st unix.Statfs_t
	if err := interrupted(func() error { return unix.Fstatfs(d.fd(), &st) }); err != nil {
		return 0, 0, err
	}
	unit := blockSize(&st)
	return int64(st.Blocks) * unit, int64(st.Bavail) * unit, nil
}

// own gives file the owner and group, as far as the process may.
func own(file *os.File, st stat) {
	_ = file.Chown(-1, int(st.gid))
	_ = file.Chown(int(st.uid), -1)
}

// chown gives what base is, and not what a link leads to, the owner.
func (d *sysDir) chown(base string, o ownership) error {
	return interrupted(func() error { return unix.Fchownat(d.fd(), base, o.uid, o.gid, unix.AT_SYMLINK_NOFOLLOW) })
}

// setAttr keeps a short text with the file, as an extended attribute.
func setAttr(f *os.File, name, text string) error {
	return interrupted(func() error { return unix.Fsetxattr(int(f.Fd()), name, []byte(text), 0) })
}

// attrOf is empty where there is none.
func attrOf(f *os.File, name string) string {
	buf := make([]byte, maxElement)
	n, err := unix.Fgetxattr(int(f.Fd()), name, buf)
	if err != nil {
		return ""
	}
	return string(buf[:n])
}

func removeAttr(f *os.File, name string) error {
	return interrupted(func() error { return unix.Fremovexattr(int(f.Fd()), name) })
}

// modeOf translates a system's mode.
func modeOf(m uint32) fs.FileMode {
	mode := fs.FileMode(m & 0o777)
	switch m & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		mode |= fs.ModeDir
	case unix.S_IFLNK:
		mode |= fs.ModeSymlink
	case unix.S_IFIFO:
		mode |= fs.ModeNamedPipe
	case unix.S_IFSOCK:
		mode |= fs.ModeSocket
	case unix.S_IFCHR:
		mode |= fs.ModeDevice | fs.ModeCharDevice
	case unix.S_IFBLK:
		mode |= fs.ModeDevice
	default:
		mode |= fs.ModeIrregular
	}
	if m&unix.S_ISUID != 0 {
		mode |= fs.ModeSetuid
	}
	if m&unix.S_ISGID != 0 {
		mode |= fs.ModeSetgid
	}
	if m&unix.S_ISVTX != 0 {
		mode |= fs.ModeSticky
	}
	return mode
}

// legal reports whether the system can hold the element as it is.
func legal(string) bool { return true }

func systemMeaning(errno syscall.Errno) error { return nil }
