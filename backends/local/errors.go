package local

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"github.com/ftpgate/ftpgate/vfs"
)

// errChanged ends the reading of a file whose bytes went away underneath.
var errChanged = errors.New("the file was changed while it was read")

// pathError gives err the caller's name and the meaning that vfs has for it; nil
// stays nil.
func pathError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: name, Err: meaning(err)}
}

// innermost takes off what the os package wraps around an error, with the paths
// in it.
func innermost(err error) error {
	for {
		switch e := err.(type) {
		case *fs.PathError:
			err = e.Err
		case *os.LinkError:
			err = e.Err
		case *os.SyscallError:
			err = e.Err
		default:
			return err
		}
	}
}

func meaning(err error) error {
	err = innermost(err)
	if errno, ok := err.(syscall.Errno); ok {
		if kind := errnoMeaning(errno); kind != nil {
			return kind
		}
		return errno
	}
	// os.Root has no public name for its refusal; a test pins the text.
	if err.Error() == "path escapes from parent" {
		return fs.ErrPermission
	}
	return err
}

// errnoMeaning leaves out what means that the disk is broken. It can't use
// errors.Is, for which ENOTEMPTY is fs.ErrExist.
func errnoMeaning(errno syscall.Errno) error {
	switch errno {
	case syscall.ENOENT:
		return fs.ErrNotExist
	case syscall.EEXIST:
		return fs.ErrExist
	case syscall.EACCES, syscall.EPERM, syscall.EROFS, syscall.ENXIO, syscall.ENODEV, syscall.ELOOP:
		return fs.ErrPermission
	case syscall.ENOTDIR:
		return vfs.ErrNotDir
	case syscall.EISDIR:
		return vfs.ErrIsDir
	case syscall.ENOTEMPTY:
		return vfs.ErrNotEmpty
	case syscall.ENOSPC:
		return vfs.ErrNoSpace
	case syscall.EDQUOT:
		return vfs.ErrQuota
	case syscall.EFBIG:
		return vfs.ErrTooLarge
	case syscall.EBUSY, syscall.EAGAIN, syscall.ETXTBSY, syscall.EMFILE, syscall.ENFILE:
		return vfs.ErrBusy
	case syscall.EINVAL, syscall.EILSEQ, syscall.ENAMETOOLONG:
		return fs.ErrInvalid
	case syscall.ENOSYS, syscall.EOPNOTSUPP, syscall.EXDEV:
		return errors.ErrUnsupported
	}
	return systemMeaning(errno)
}
