package auth

import (
	"context"
	"strings"
)

// Anonymous lets the users "anonymous" and "ftp", in any case, in with any
// password, as RFC 1635 has it; policy says what they may do (nil: everything).
func Anonymous(policy *Policy) Authenticator { return &anonymous{policy} }

type anonymous struct{ policy *Policy }

var _ Rechecker = (*anonymous)(nil)

func (s *anonymous) Authenticate(_ context.Context, a Attempt) (*Principal, error) {
	if !strings.EqualFold(a.User, "anonymous") && !strings.EqualFold(a.User, "ftp") {
		return nil, ErrUnknownUser
	}
	return &Principal{Name: "anonymous", Anonymous: true, Settings: Settings{Policy: s.policy}}, nil
}

// Recheck knows its own.
func (s *anonymous) Recheck(_ context.Context, p *Principal) error {
	if p.Anonymous {
		return nil
	}
	return ErrUnknownUser
}
