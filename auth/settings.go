package auth

import (
	"fmt"
)

// Settings are what an account source may say about a user, beside the name and how
// it is proved.
type Settings struct {
	// Home is the directory that is this user's root, as an absolute path below
	// the served tree; empty means all of it.
	Home string
	// Policy says what the user may do; nil means everything.
	Policy *Policy
	// RequireTLS refuses the login without TLS on the control connection, and
	// transfers without it on the data connection.
	RequireTLS bool
	// FXP lets data connections go to and come from other hosts than the client's,
	// for transfers between two servers.
	FXP bool
	// Rate limits each direction of each session, in bytes a second; 0 means the
	// server's default, a negative rate no limit.
	Rate int64
	// Profile names the device profile of the user's sessions; empty means the
	// server's.
	Profile string
}

// Set reads one of the settings that users files, and directories of other kinds,
// know as text; ParseUsers lists them. hasValue tells "key=" from "key".
func (a *Account) Set(key, value string, hasValue bool) error {
	if on := map[string]*bool{"disabled": &a.Disabled, "require_tls": &a.RequireTLS, "fxp": &a.FXP}[key]; on != nil {
		if hasValue {
			return fmt.Errorf("%s has no value; delete it to take it back", key)
		}
		*on = true
		return nil
	}
	if hasValue && value == "" {
		return fmt.Errorf("%s has no value", key)
	}
	var err error
	switch key {
	case "perm":
		var p Permissions
		p, err = ParsePermissions(value)
		a.Policy = &Policy{Permissions: p}
	case "home":
		a.Home, err = value, CheckHome(value)
	case "rate":
		a.Rate, err = ParseRate(value)
	case "profile":
		a.Profile = value
	case "expires":
		a.Expires, err = ParseExpiry(value)
	default:
		return fmt.Errorf("key %q is unknown; there are perm, home, rate, profile, expires, fxp, require_tls and disabled", key)
	}
	if !hasValue {
		return fmt.Errorf("%s has no value; write %s=VALUE", key, key)
	}
	return err
}
