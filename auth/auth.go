package auth

import (
	"context"
	"crypto/tls"
	"errors"
	"net/netip"
	"time"
)

// Errors of an Authenticator. Any other error counts as ErrUnavailable.
var (
	// ErrDenied: the name, the password or both are wrong, or the account is
	// disabled or expired. It never says which.
	ErrDenied = errors.New("login incorrect")
	// ErrUnavailable: the account source can't be asked right now.
	ErrUnavailable = errors.New("account source unavailable")
	// ErrUnknownUser is ErrDenied that lets a Chain ask the next source.
	ErrUnknownUser = &unknownUser{}
)

type unknownUser struct{}

func (*unknownUser) Error() string        { return ErrDenied.Error() }
func (*unknownUser) Is(target error) bool { return target == ErrDenied }

// Attempt is one try to log in.
type Attempt struct {
	User     string
	Password string
	Remote   netip.AddrPort       // the client
	Local    netip.AddrPort       // where it connected to
	Host     string               // virtual host asked for (RFC 7151), or ""
	TLS      *tls.ConnectionState // of the control connection, nil in clear
}

// Authenticator decides who may enter. It may be called concurrently, and may
// take its time: it runs beside the session. A Principal that it returned is not
// changed any more.
type Authenticator interface {
	// Authenticate returns who logged in, or ErrDenied, ErrUnknownUser or an error
	// of the source. It takes equal time for unknown users, wrong passwords and
	// disabled accounts.
	Authenticate(ctx context.Context, a Attempt) (*Principal, error)
}

// Principal is who logged in.
type Principal struct {
	// Name identifies the account; it owns interrupted uploads.
	Name string
	// Anonymous principals never resume uploads of other sessions.
	Anonymous bool
	// Expires is when the session ends, at its next command, unless it is zero.
	Expires time.Time
	Settings
}

// AuthenticatorFunc makes a function an Authenticator.
type AuthenticatorFunc func(ctx context.Context, a Attempt) (*Principal, error)

// Authenticate calls f.
func (f AuthenticatorFunc) Authenticate(ctx context.Context, a Attempt) (*Principal, error) {
	return f(ctx, a)
}
