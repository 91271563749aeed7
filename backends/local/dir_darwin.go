package local

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ftpgate/ftpgate/vfs"
)

const (
	openDirFlags = unix.O_RDONLY | unix.O_DIRECTORY
	missingCaps  = vfs.Caps(0)
)

func (d *sysDir) lstat(base string) (stat, error) {
	var st unix.Stat_t
	err := interrupted(func() error { return unix.Fstatat(d.fd(), base, &st, unix.AT_SYMLINK_NOFOLLOW) })
	return statOf(&st, err)
}

// stat is of d itself.
func (d *sysDir) stat() (stat, error) { return statFile(d.handle) }

func statFile(f *os.File) (stat, error) {
	var st unix.Stat_t
	err := interrupted(func() error { return unix.Fstat(int(f.Fd()), &st) })
	return statOf(&st, err)
}

func statOf(st *unix.Stat_t, err error) (stat, error) {
	if err != nil {
		return stat{}, err
	}
	return stat{
		exists: true,
		mode:   modeOf(uint32(st.Mode)),
		size:   st.Size,
		mtime:  time.Unix(st.Mtim.Unix()),
		birth:  time.Unix(st.Btim.Unix()),
		id:     fileID{dev: uint64(uint32(st.Dev)), ino: st.Ino},
		links:  uint64(st.Nlink),
		uid:    st.Uid,
		gid:    st.Gid,
	}, nil
}

func renameNoReplace(from int, base string, to int, tobase string) error {
	return unix.RenameatxNp(from, base, to, tobase, unix.RENAME_EXCL)
}

// lock takes the lock of an open file, without waiting; held says that somebody
// else has it.
func lock(f *os.File) (held bool, err error) {
	err = interrupted(func() error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) })
	if err == unix.EWOULDBLOCK {
		return true, nil
	}
	return false, err
}

// locked reports whether somebody else has the lock.
func locked(f *os.File) bool {
	if unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) != nil {
		return true
	}
	_ = unix.Flock(int(f.Fd()), unix.LOCK_UN)
	return false
}

func clone(dst, src *os.File) error { return errors.ErrUnsupported }

func allocate(f *os.File, offset, size int64) error { return nil }

func bootTime() time.Time {
	tv, err := unix.SysctlTimeval("kern.boottime")
	if err != nil {
		return time.Time{}
	}
	return time.Unix(tv.Unix())
}

func blockSize(st *unix.Statfs_t) int64 { return int64(st.Bsize) }

// mayGive can't be tried without leaving a trace.
func (d *sysDir) mayGive(ownership) error { return nil }

func (d *sysDir) probe() disk { return disk{lock: true} }
