package auth

import (
	"context"
	"errors"
	"time"
)

// Vouch logs in the user of that name without a password, because somebody else, such
// as the authority of a client certificate, vouches for who it is. source is an
// Authenticator as for the login with a password. The first source of a chain that
// knows the name decides; ErrUnknownUser says that none does, or that one
// before it can't be asked without a password, because it is no Directory.
// Accounts that are disabled, expired or locked get ErrDenied.
func Vouch(ctx context.Context, source Authenticator, name string) (*Principal, error) {
	sources, now := []Authenticator{source}, time.Now
	if c, ok := source.(*chain); ok {
		sources, now = c.sources, c.now
	}
	for _, s := range sources {
		dir, ok := s.(Directory)
		if !ok {
			return nil, ErrUnknownUser
		}
		account, err := dir.Lookup(ctx, name)
		if errors.Is(err, ErrUnknownUser) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if reason := account.refusal(now()); reason != "" {
			return nil, &denial{reason}
		}
		return account.principal(), nil
	}
	return nil, ErrUnknownUser
}

// Deny is ErrDenied with a reason that only the log shows.
func Deny(reason string) error { return &denial{reason} }
