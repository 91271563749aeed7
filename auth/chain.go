package auth

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"runtime"
	"time"
)

// Gate bounds how many passwords are checked at once, so that a storm of logins
// can take neither all CPUs nor all memory. Several chains may share one.
type Gate struct{ slots chan struct{} }

// NewGate lets n checks run at once; 0 or less means one per CPU.
func NewGate(n int) *Gate {
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	return &Gate{slots: make(chan struct{}, n)}
}

// check reports whether password is the one of s. It waits for its turn until ctx
// is done.
func (g *Gate) check(ctx context.Context, s Secret, password string) (bool, error) {
	select {
	case g.slots <- struct{}{}:
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	defer func() { <-g.slots }()
	return !s.locked() && s.match(password) && password != "", nil
}

// Chain is NewGate(0).Chain.
func Chain(sources ...Authenticator) Authenticator { return NewGate(0).Chain(sources...) }

// Chain asks its sources in order. The first one that knows the user decides:
// ErrUnknownUser goes on to the next, every other error ends the login, also that
// of a source that can't be asked, because the next source might know another
// person by the same name.
//
// Unknown users, wrong passwords and disabled accounts of directories take the
// same time: each login checks exactly one password, and this is the one place
// that does. A chain among the sources gives its sources to this one.
func (g *Gate) Chain(sources ...Authenticator) Authenticator {
	c := &chain{seed: maphash.MakeSeed(), gate: g, now: time.Now}
	for _, s := range sources {
		if inner, ok := s.(*chain); ok {
			c.sources = append(c.sources, inner.sources...)
		} else {
			c.sources = append(c.sources, s)
		}
	}
	return c
}

type chain struct {
	sources []Authenticator
	seed    maphash.Seed
	gate    *Gate
	now     func() time.Time
}

func (c *chain) Authenticate(ctx context.Context, a Attempt) (*Principal, error) {
	for _, s := range c.sources {
		dir, ok := s.(Directory)
		if !ok {
			p, err := s.Authenticate(ctx, a)
			if errors.Is(err, ErrUnknownUser) {
				continue
			}
			return p, err
		}
		account, err := dir.Lookup(ctx, a.User)
		if errors.Is(err, ErrUnknownUser) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return c.verdict(ctx, account, a)
	}
	return c.verdict(ctx, nil, a)
}

// verdict decides about an account; nil is a user that no source knows.
func (c *chain) verdict(ctx context.Context, account *Account, a Attempt) (*Principal, error) {
	var secret Secret
	if account != nil {
		secret = account.Secret
	}
	if secret.locked() {
		secret = c.decoy(a.User)
	}
	ok, err := c.gate.check(ctx, secret, a.Password)
	if err != nil {
		return nil, fmt.Errorf("%w: waiting to check the password: %w", ErrUnavailable, err)
	}
	if account == nil {
		return nil, ErrUnknownUser
	}
	if reason := account.refusal(c.now()); reason != "" {
		return nil, &denial{reason}
	}
	switch {
	case account.Secret.locked(): // what matched was the decoy
		return nil, &denial{"the account has no password"}
	case !ok:
		return nil, &denial{"the password is wrong"}
	}
	return account.principal(), nil
}

// decoy chooses a secret that some account has, the same one each time that the
// same name is tried, so that an unknown name costs what a known one may cost.
func (c *chain) decoy(name string) Secret {
	seed := maphash.String(c.seed, name)
	var secrets []Secret
	for _, s := range c.sources {
		if dir, ok := s.(Directory); ok {
			if secret := dir.Decoy(seed); !secret.locked() {
				secrets = append(secrets, secret)
			}
		}
	}
	if len(secrets) == 0 {
		return Secret{}
	}
	return secrets[(seed>>32)%uint64(len(secrets))]
}

// denial is ErrDenied with a reason that only the log shows.
type denial struct{ reason string }

func (d *denial) Error() string        { return ErrDenied.Error() }
func (d *denial) Is(target error) bool { return target == ErrDenied }

// LogValue is the reason.
func (d *denial) LogValue() slog.Value { return slog.StringValue(d.reason) }

// LogValue is the reason.
func (*unknownUser) LogValue() slog.Value { return slog.StringValue("the user is unknown") }
