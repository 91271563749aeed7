//go:build !pam || !cgo || !(linux || freebsd || darwin)

package pam

import (
	"context"
	"errors"

	"github.com/ftpgate/ftpgate/auth"
)

// Source can't be made in this build.
type Source struct{}

// New is an error.
func New(Options) (*Source, error) {
	return nil, errors.New("this ftpgate was built without PAM; build it with -tags pam and cgo")
}

// Authenticate is not reached.
func (*Source) Authenticate(context.Context, auth.Attempt) (*auth.Principal, error) {
	return nil, auth.ErrUnavailable
}
