package vfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
)

// Errors that io/fs has no name for. The gateway maps each to one reply code.
var (
	ErrNotDir   = errors.New("not a directory")
	ErrIsDir    = errors.New("is a directory")
	ErrNotEmpty = errors.New("directory not empty")
	ErrNoSpace  = errors.New("no space left in the store")
	ErrTooLarge = errors.New("file too large")
	ErrQuota    = errors.New("quota exceeded")
	// ErrBusy: another operation holds the name, or the store asks to come
	// back later.
	ErrBusy = errors.New("busy, try again later")
	// ErrOffline: the content is archived and has to be restored first.
	ErrOffline = errors.New("archived, restore it first")
)

// OffsetError says that an upload can't be continued, or a file can't be read,
// at the offset asked for, and which offset would be accepted.
type OffsetError struct {
	Offset int64 // asked for, in bytes
	Accept int64 // the largest offset not above Offset that works, in bytes
}

func (e *OffsetError) Error() string {
	return fmt.Sprintf("cannot continue at offset %d, %d would work", e.Offset, e.Accept)
}

// PathError wraps err for the operation op on the caller's name. An err that is
// already an *fs.PathError gives up its own op and path, so that a backend's
// path never shows; nil stays nil.
func PathError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	var pe *fs.PathError
	for errors.As(err, &pe) {
		err = pe.Err
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// ContextError returns context.Cause(ctx) as a *fs.PathError if ctx is done, else nil.
func ContextError(ctx context.Context, op, name string) error {
	if ctx.Err() == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: name, Err: context.Cause(ctx)}
}

// kinds are the errors that carry a meaning of their own; see the package comment.
var kinds = []error{
	fs.ErrNotExist, fs.ErrExist, fs.ErrPermission, fs.ErrInvalid, ErrNotDir, ErrIsDir, ErrNotEmpty,
	ErrNoSpace, ErrTooLarge, ErrQuota, ErrBusy, ErrOffline, errors.ErrUnsupported,
	context.Canceled, context.DeadlineExceeded,
}

// Kind returns the error of the package comment's list that err matches, or nil:
// then the store is broken, or err is an *OffsetError or the cause of a context.
func Kind(err error) error {
	for _, k := range kinds {
		if errors.Is(err, k) {
			return k
		}
	}
	return nil
}
