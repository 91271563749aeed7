package auth

import (
	"context"
	"errors"
	"time"
)

// Rechecker is an Authenticator that can say whether a login still stands. Every
// Directory can be asked without it.
type Rechecker interface {
	// Recheck returns nil for a principal that could still log in, ErrDenied for one
	// that could not, ErrUnknownUser for one that is not its own,
	// errors.ErrUnsupported if it can't tell, or why it can't be asked right now.
	Recheck(ctx context.Context, p *Principal) error
}

// Recheck answers whether a principal that has logged in could still do so, by what
// source says now, apart from the password: nil, or an error that matches ErrDenied
// for one who was removed, disabled, or whose time is over. A source that is neither a
// Directory nor a Rechecker can't be asked: errors.ErrUnsupported for a principal that
// may be its own. Any other error means that a source can't be asked right now.
func Recheck(ctx context.Context, source Authenticator, p *Principal) error {
	return recheck(ctx, source, p, time.Now)
}

func recheck(ctx context.Context, source Authenticator, p *Principal, now func() time.Time) error {
	switch s := source.(type) {
	case *chain:
		return s.recheck(ctx, p)
	case Rechecker:
		return s.Recheck(ctx, p)
	case Directory:
		if p.Anonymous {
			return ErrUnknownUser
		}
		account, err := s.Lookup(ctx, p.Name)
		if err != nil {
			return err
		}
		if reason := account.refusal(now()); reason != "" {
			return &denial{reason}
		}
		return nil
	}
	return errors.ErrUnsupported
}

// recheck asks the sources in their order, as a login does.
func (c *chain) recheck(ctx context.Context, p *Principal) error {
	silent := false
	for _, s := range c.sources {
		err := recheck(ctx, s, p, c.now)
		switch {
		case errors.Is(err, errors.ErrUnsupported):
			silent = true
		case !errors.Is(err, ErrUnknownUser):
			return err
		}
	}
	if silent {
		return errors.ErrUnsupported
	}
	return ErrUnknownUser
}
