package auth

import (
	"context"
	"strings"
)

// Anonymous lets the users "anonymous" and "ftp", in any case, in with any
// password, as RFC 1635 has it; policy says what they may do (nil: everything).
func Anonymous(policy *Policy) Authenticator {
	return AuthenticatorFunc(func(_ context.Context, a Attempt) (*Principal, error) {
		if !strings.EqualFold(a.User, "anonymous") && !strings.EqualFold(a.User, "ftp") {
			return nil, ErrUnknownUser
		}
		return &Principal{Name: "anonymous", Anonymous: true, Settings: Settings{Policy: policy}}, nil
	})
}
