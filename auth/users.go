package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ftpgate/ftpgate/vfs"
)

// Account is a user that is known by name.
type Account struct {
	Name   string // as the client spells it; case matters
	Secret Secret
	Settings
	// Disabled accounts, and those at or after Expires (unless it is zero),
	// can't log in.
	Disabled bool
	Expires  time.Time
}

// refusal says why the account can't be used at now; "" if it can.
func (a *Account) refusal(now time.Time) string {
	switch {
	case a.Disabled:
		return "the account is disabled"
	case a.Secret.locked() && !a.Secret.noPassword:
		return "the account is locked"
	case !a.Expires.IsZero() && !now.Before(a.Expires):
		return "the account expired on " + a.Expires.UTC().Format(time.DateOnly)
	}
	return ""
}

func (a *Account) principal() *Principal {
	return &Principal{Name: a.Name, Expires: a.Expires, Settings: a.Settings}
}

// Directory is an Authenticator with accounts whose passwords a Chain checks in
// its place. It may be used concurrently. Authenticate answers what Chain of it
// alone would.
type Directory interface {
	Authenticator
	// Lookup returns the account of that name, ErrUnknownUser, or an error of the
	// source. The account must not be changed any more.
	Lookup(ctx context.Context, name string) (*Account, error)
	// Decoy returns the secret of an account chosen by seed, always the same one
	// for the same seed, or the zero Secret if there are none. A login of an unknown
	// user is checked against it, in vain, to take as long as one of a known user.
	Decoy(seed uint64) Secret
}

// Users is a Directory in memory, and an Authenticator by itself. It does not
// change: to reload, make a new one.
type Users struct {
	byName map[string]*Account
	list   []*Account // in the order given
	decoys []Secret   // of the accounts that aren't locked
	alone  Authenticator
}

var _ Directory = (*Users)(nil)

// NewUsers checks names and homes of the accounts and that no name comes
// twice.
func NewUsers(accounts ...Account) (*Users, error) {
	u := &Users{byName: make(map[string]*Account, len(accounts))}
	for _, a := range accounts {
		if err := CheckUserName(a.Name); err != nil {
			return nil, err
		}
		if err := CheckHome(a.Home); err != nil {
			return nil, fmt.Errorf("user %q: %w", a.Name, err)
		}
		if u.byName[a.Name] != nil {
			return nil, fmt.Errorf("user %q is given twice", a.Name)
		}
		u.byName[a.Name] = &a
		u.list = append(u.list, &a)
		if !a.Secret.locked() {
			u.decoys = append(u.decoys, a.Secret)
		}
	}
	u.alone = Chain(u)
	return u, nil
}

// Len is the number of accounts.
func (u *Users) Len() int { return len(u.list) }

// Accounts calls yield for every account, in the order in which they were given.
func (u *Users) Accounts(yield func(Account) bool) {
	for _, a := range u.list {
		if !yield(*a) {
			return
		}
	}
}

// Lookup returns the account of that name or ErrUnknownUser.
func (u *Users) Lookup(_ context.Context, name string) (*Account, error) {
	if a := u.byName[name]; a != nil {
		return a, nil
	}
	return nil, ErrUnknownUser
}

// Decoy returns the secret of one of the accounts.
func (u *Users) Decoy(seed uint64) Secret {
	if len(u.decoys) == 0 {
		return Secret{}
	}
	return u.decoys[seed%uint64(len(u.decoys))]
}

// Authenticate answers as Chain(u) does.
func (u *Users) Authenticate(ctx context.Context, a Attempt) (*Principal, error) {
	return u.alone.Authenticate(ctx, a)
}

// CheckUserName returns nil if name can be the name of an account: not empty, at
// most 255 bytes, no colon, no control characters, no space at either end.
func CheckUserName(name string) error {
	switch {
	case name == "":
		return errors.New("the user name is empty")
	case len(name) > 255:
		return errors.New("the user name is longer than 255 bytes")
	case strings.TrimSpace(name) != name:
		return fmt.Errorf("user name %q begins or ends with a space", name)
	case strings.ContainsRune(name, ':'):
		return fmt.Errorf("user name %q has a colon", name)
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("user name %q has a control character", name)
	}
	return nil
}

// CheckHome returns nil if home is empty or an absolute path without "." and "..".
func CheckHome(home string) error {
	if home == "" || home == "/" {
		return nil
	}
	if !strings.HasPrefix(home, "/") {
		return fmt.Errorf("home %q does not begin with / (which is the top of what is served)", home)
	}
	if !vfs.ValidName(home[1:]) || home == "/." {
		return fmt.Errorf("home %q is not a plain absolute path such as /home/alice", home)
	}
	return nil
}
