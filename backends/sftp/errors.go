package sftp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"
	"time"
	"unicode"

	pkgsftp "github.com/pkg/sftp"

	"github.com/ftpgate/ftpgate/vfs"
)

var (
	// errLost says that the connection broke, so that nobody knows whether what
	// was asked has happened.
	errLost = errors.New("the connection to the SFTP server was lost")
	// errStuck is the reason of a connection that the watchdog closed.
	errStuck = fmt.Errorf("%w: it did not answer in time", errLost)
	// errSilent is the reason of a connection whose keepalives stayed unanswered.
	errSilent = fmt.Errorf("%w: it answers no keepalive", errLost)
	// errClosed says that the FS was closed.
	errClosed = fmt.Errorf("the SFTP store is closed: %w", fs.ErrClosed)
	// errProtocol says that an answer can't be read.
	errProtocol = errors.New("the SFTP server sent an answer that can't be read")
	// errChanged ends the reading of a file whose bytes went away underneath.
	errChanged = errors.New("the file was changed while it was read")
)

// unreachable says that there is no connection, and that none is tried for a
// while.
type unreachable struct {
	address string
	cause   error
	retry   time.Duration // until the next try
}

func (u *unreachable) Error() string {
	text := "the SFTP server " + u.address + " can't be reached: " + u.cause.Error()
	if u.retry > 0 {
		text += fmt.Sprintf(" (next try in %v)", u.retry.Round(100*time.Millisecond))
	}
	return text
}

func (u *unreachable) Unwrap() error { return u.cause }

// passing reports whether err is of the connection, so that the same may work on
// another one.
func passing(err error) bool {
	var u *unreachable
	return errors.Is(err, errLost) || errors.As(err, &u)
}

// The status codes of version 3, and those of later versions that servers send
// none the less.
const (
	statusOK           = 0
	statusEOF          = 1
	statusNoSuchFile   = 2
	statusDenied       = 3
	statusFailure      = 4
	statusBadMessage   = 5
	statusNoConnection = 6
	statusLost         = 7
	statusUnsupported  = 8
)

// status is a refusal by the server.
type status struct {
	code uint32
	text string // the server's own words, if they can be shown
}

func newStatus(code uint32, text string) *status {
	// A text with a path may show where on the server the store lies.
	if len(text) > 200 || strings.ContainsAny(text, `/\`) || strings.ContainsFunc(text, unicode.IsControl) {
		text = ""
	}
	return &status{code, text}
}

func (s *status) Error() string {
	if kind := s.Unwrap(); kind != nil {
		return kind.Error()
	}
	if s.text == "" {
		return fmt.Sprintf("the SFTP server reports the failure %d", s.code)
	}
	return fmt.Sprintf("the SFTP server reports the failure %d (%s)", s.code, s.text)
}

// Unwrap is the meaning that vfs has for the code; nil: none.
func (s *status) Unwrap() error {
	switch s.code {
	case statusNoSuchFile, 10: // no such path
		return fs.ErrNotExist
	case statusDenied, 12, 21: // write protect, link loop
		return fs.ErrPermission
	case statusBadMessage, 20: // OpenSSH's EINVAL and ENAMETOOLONG; invalid file name
		return fs.ErrInvalid
	case statusUnsupported:
		return errors.ErrUnsupported
	case 11:
		return fs.ErrExist
	case 14:
		return vfs.ErrNoSpace
	case 15:
		return vfs.ErrQuota
	case 17: // lock conflict
		return vfs.ErrBusy
	case 18:
		return vfs.ErrNotEmpty
	case 19:
		return vfs.ErrNotDir
	case 24:
		return vfs.ErrIsDir
	}
	return nil
}

// failure reports whether err is the bare refusal that servers give for most
// reasons.
func failure(err error) bool {
	var s *status
	return errors.As(err, &s) && s.Unwrap() == nil
}

// fromLibrary turns an error of pkg/sftp into one of ours.
func fromLibrary(err error) error {
	var s *pkgsftp.StatusError
	switch {
	case err == nil, errors.Is(err, errLost):
		return err
	case errors.As(err, &s):
		if s.Code == statusNoConnection || s.Code == statusLost {
			return errLost
		}
		return newStatus(s.Code, "")
	case errors.Is(err, fs.ErrNotExist):
		return fs.ErrNotExist
	case errors.Is(err, fs.ErrPermission):
		return fs.ErrPermission
	case errors.Is(err, fs.ErrClosed):
		return err
	case errors.Is(err, pkgsftp.ErrSSHFxConnectionLost), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, io.ErrClosedPipe), errors.Is(err, net.ErrClosed):
		return errLost
	}
	return err
}

// pathError gives err the caller's name; nil stays nil.
func pathError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	var s *status
	if errors.As(err, &s) && s.Unwrap() != nil {
		err = s.Unwrap()
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// cancelled returns the cause of ctx if that is done, else err.
func cancelled(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
