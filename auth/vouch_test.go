package auth

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestVouch(t *testing.T) {
	users, err := NewUsers(
		Account{Name: "open", Secret: NoPassword(), Settings: Settings{Home: "/open", RequireTLS: true}},
		Account{Name: "both", Secret: Plaintext("secret")},
		Account{Name: "locked"},
		Account{Name: "disabled", Secret: NoPassword(), Disabled: true},
		Account{Name: "expired", Secret: NoPassword(), Expires: time.Now().Add(-time.Second)},
	)
	if err != nil {
		t.Fatal(err)
	}
	second, err := NewUsers(Account{Name: "both", Settings: Settings{Home: "/second"}, Secret: Plaintext("x")}, Account{Name: "late", Secret: Plaintext("x")})
	if err != nil {
		t.Fatal(err)
	}
	source := Chain(users, second, Anonymous(nil))
	for name, want := range map[string]error{
		"open": nil, "both": nil, "late": nil, "locked": ErrDenied, "disabled": ErrDenied, "expired": ErrDenied,
		"nobody": ErrUnknownUser, "anonymous": ErrUnknownUser, "": ErrUnknownUser,
	} {
		p, err := Vouch(t.Context(), source, name)
		if !errors.Is(err, want) || (err == nil) != (p != nil) || want == ErrDenied && errors.Is(err, ErrUnknownUser) {
			t.Errorf("%q: %v, %v", name, p, err)
		}
		if p != nil && (p.Name != name || p.Home == "/second") {
			t.Errorf("%q is %+v", name, p)
		}
	}
	if p, err := Vouch(t.Context(), users, "open"); err != nil || p.Home != "/open" || !p.RequireTLS {
		t.Errorf("%+v, %v", p, err)
	}
	// Who can't be asked without a password might know another person by the name.
	other := AuthenticatorFunc(func(context.Context, Attempt) (*Principal, error) {
		t.Error("asked without a password")
		return nil, ErrUnknownUser
	})
	if p, err := Vouch(t.Context(), Chain(other, users), "open"); !errors.Is(err, ErrUnknownUser) {
		t.Errorf("behind a source that is no Directory: %v, %v", p, err)
	}
}

// An account without a password can't be entered with any, nor with none.
func TestNoPassword(t *testing.T) {
	users, err := NewUsers(Account{Name: "open", Secret: NoPassword()}, Account{Name: "other", Secret: Plaintext("secret")})
	if err != nil {
		t.Fatal(err)
	}
	for _, password := range []string{"", "secret", "x"} {
		if p, err := users.Authenticate(t.Context(), Attempt{User: "open", Password: password}); !errors.Is(err, ErrDenied) {
			t.Errorf("%q: %v, %v", password, p, err)
		}
	}
}
