package auth

import (
	"fmt"
	"strconv"
	"strings"
)

// Settings are what an account source may say about a user, beside the name and how
// it is proved.
type Settings struct {
	// Home is the directory that is this user's root, as an absolute path below
	// the served tree; empty means all of it.
	Home string
	// Store is the URL of the store that is served to this user; empty means the
	// server's.
	Store string
	// Quota bounds what the user may store.
	Quota Quota
	// Policy says what the user may do; nil means everything.
	Policy *Policy
	// RequireTLS refuses the login without TLS on the control connection, and
	// transfers without it on the data connection.
	RequireTLS bool
	// FXP lets data connections go to and come from other hosts than the client's,
	// for transfers between two servers.
	FXP bool
	// Rate limits each session, UserRate all sessions of the user together; what they
	// do not say is the server's default.
	Rate, UserRate Rates
	// Sessions is how many the user may have at once; 0 means the server's default, a
	// negative number no limit.
	Sessions int
	// LenientTLS and CommitOnControlLost decide about uploads that end without
	// close_notify, or along with the control connection; nil leaves it to the profile
	// and the server.
	LenientTLS, CommitOnControlLost *bool
	// Profile names the device profile of the user's sessions; empty means the
	// server's.
	Profile string
}

// Quota is in bytes and files; 0 means the server's default, a negative number no
// limit.
type Quota struct{ Bytes, Files int64 }

// toggle is the setting that is on or off, nil if key is another kind.
func (a *Account) toggle(key string) *bool {
	return map[string]*bool{"disabled": &a.Disabled, "require_tls": &a.RequireTLS, "fxp": &a.FXP}[key]
}

// Set reads one of the settings that users files, and directories of other kinds,
// know as text; ParseUsers lists them. hasValue tells "key=" from "key".
func (a *Account) Set(key, value string, hasValue bool) error {
	if on := a.toggle(key); on != nil {
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
		a.EditPolicy().Permissions = p
	case "home":
		a.Home, err = value, CheckHome(value)
	case "url":
		a.Store = value
	case "quota_bytes":
		if a.Quota.Bytes, err = ParseRate(value); err != nil || strings.HasSuffix(value, "/s") {
			err = fmt.Errorf("quota_bytes %q is not a number of bytes such as 500M or 10G, nor off", value)
		}
	case "quota_files":
		a.Quota.Files, err = parseFiles(value)
	case "rate":
		a.Rate, err = ParseRates(value)
	case "profile":
		a.Profile = value
	case "expires":
		a.Expires, err = ParseExpiry(value)
	default:
		var known bool
		if known, err = a.setLimit(key, value); !known {
			return unknownSetting(fmt.Sprintf("key %q is unknown; there are perm, home, url, quota_bytes, quota_files, rate, profile, expires, "+limitKeys+", fxp, require_tls and disabled", key))
		}
	}
	if !hasValue {
		return fmt.Errorf("%s has no value; write %s=VALUE", key, key)
	}
	return err
}

// parseFiles reads a number of files, or off.
func parseFiles(s string) (int64, error) {
	if s == "off" {
		return -1, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("quota_files %q is not a number above 0, nor off", s)
	}
	return n, nil
}
