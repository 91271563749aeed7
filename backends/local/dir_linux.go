package local

import (
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ftpgate/ftpgate/vfs"
)

const (
	openDirFlags = unix.O_PATH | unix.O_DIRECTORY // needs no permission to list
	missingCaps  = vfs.Caps(0)
)

func (d *sysDir) lstat(base string) (stat, error) {
	return statx(d.fd(), base, unix.AT_SYMLINK_NOFOLLOW)
}

// stat is of d itself.
func (d *sysDir) stat() (stat, error) { return statx(d.fd(), "", unix.AT_EMPTY_PATH) }

func statFile(f *os.File) (stat, error) { return statx(int(f.Fd()), "", unix.AT_EMPTY_PATH) }

func statx(fd int, base string, flags int) (stat, error) {
	var x unix.Statx_t
	err := interrupted(func() error {
		return unix.Statx(fd, base, flags, unix.STATX_BASIC_STATS|unix.STATX_BTIME, &x)
	})
	if err != nil {
		return stat{}, err
	}
	st := stat{
		exists: true,
		mode:   modeOf(uint32(x.Mode)),
		size:   int64(x.Size),
		mtime:  time.Unix(x.Mtime.Sec, int64(x.Mtime.Nsec)),
		id:     fileID{dev: unix.Mkdev(x.Dev_major, x.Dev_minor), ino: x.Ino},
		links:  uint64(x.Nlink),
		uid:    x.Uid,
		gid:    x.Gid,
	}
	if x.Mask&unix.STATX_BTIME != 0 {
		st.birth = time.Unix(x.Btime.Sec, int64(x.Btime.Nsec))
	}
	return st, nil
}

func renameNoReplace(from int, base string, to int, tobase string) error {
	return unix.Renameat2(from, base, to, tobase, unix.RENAME_NOREPLACE)
}

// lock takes the write lock of an open file, without waiting; held says that
// somebody else has it. Locks of open file descriptions, unlike those of flock, can
// be asked about without taking them, and unlike those of POSIX belong to the
// descriptor and not to the process.
func lock(f *os.File) (held bool, err error) {
	err = fileLock(f, unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
	if err == unix.EAGAIN || err == unix.EACCES {
		return true, nil
	}
	return false, err
}

// locked reports whether somebody else has the write lock.
func locked(f *os.File) bool {
	l := unix.Flock_t{Type: unix.F_WRLCK}
	err := fileLock(f, unix.F_OFD_GETLK, &l)
	return err != nil || l.Type != unix.F_UNLCK
}

func fileLock(f *os.File, cmd int, l *unix.Flock_t) error {
	return interrupted(func() error { return unix.FcntlFlock(f.Fd(), cmd, l) })
}

// clone makes dst share the bytes of src.
func clone(dst, src *os.File) error {
	return interrupted(func() error { return unix.IoctlFileClone(int(dst.Fd()), int(src.Fd())) })
}

// allocate takes space for size bytes from offset, without a change of the file's
// size. A disk that can't is no error.
func allocate(f *os.File, offset, size int64) error {
	err := interrupted(func() error { return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, offset, size) })
	if err == unix.ENOSPC || err == unix.EDQUOT || err == unix.EFBIG {
		return err
	}
	return nil
}

func bootTime() time.Time {
	var up unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &up) != nil {
		return time.Time{}
	}
	return time.Now().Add(-time.Duration(up.Nano()))
}

func blockSize(st *unix.Statfs_t) int64 { return int64(st.Frsize) }

// probe asks the disk of d what it can do, with files that have no name. A disk
// that has none of those, or is read-only, is taken for an ordinary one.
func (d *sysDir) probe() disk {
	ordinary := disk{splice: true, lock: true}
	var files [2]*os.File
	for i := range files {
		fd, err := unix.Openat(d.fd(), ".", unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
		if err != nil {
			return ordinary
		}
		files[i] = os.NewFile(uintptr(fd), "probe")
		defer files[i].Close()
	}
	if _, err := files[0].Write([]byte{0}); err != nil {
		return ordinary
	}
	held, err := lock(files[0])
	return disk{
		clone:  clone(files[1], files[0]) == nil,
		splice: canSplice(files[1]),
		lock:   err == nil && !held,
	}
}

// mayGive fails if the process may not give files away. It is tried on one that has no
// name; where there is no such thing, that shows later.
func (d *sysDir) mayGive(o ownership) error {
	fd, err := unix.Openat(d.fd(), ".", unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	return unix.Fchown(fd, o.uid, o.gid)
}

func canSplice(f *os.File) bool {
	r, w, err := os.Pipe()
	if err != nil {
		return false
	}
	defer r.Close()
	defer w.Close()
	if _, err := w.Write([]byte{0}); err != nil {
		return false
	}
	n, err := unix.Splice(int(r.Fd()), nil, int(f.Fd()), nil, 1, unix.SPLICE_F_NONBLOCK)
	return n == 1 && err == nil
}
