package auth

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// unknownSetting is the error of Set for a key that there is not.
type unknownSetting string

func (e unknownSetting) Error() string { return string(e) }

// CheckSetting returns nil if Account.Set knows key.
func CheckSetting(key string) error {
	if err, unknown := errors.AsType[unknownSetting](new(Account).Set(key, "", false)); unknown {
		return err
	}
	return nil
}

// SetAttribute is Set for sources that have a value for every key, such as columns
// of a table, attributes of a directory or fields of JSON: what is on or off takes true and
// false (also t and f, 1 and 0, yes and no, on and off, in any case), and the empty
// value leaves the setting as it is.
func (a *Account) SetAttribute(key, value string) error {
	on := a.toggle(key)
	switch {
	case value == "":
		return CheckSetting(key)
	case on == nil:
		return a.Set(key, value, true)
	}
	switch strings.ToLower(value) {
	case "true", "t", "1", "yes", "on":
		*on = true
	case "false", "f", "0", "no", "off":
		*on = false
	default:
		return fmt.Errorf("%s is %q, not true or false", key, value)
	}
	return nil
}

// Admit returns the principal of an account whose password somebody else has
// checked; Secret does not matter. Accounts that are disabled or expired get ErrDenied.
func (a *Account) Admit() (*Principal, error) {
	proved := *a
	proved.Secret = NoPassword()
	if reason := proved.refusal(time.Now()); reason != "" {
		return nil, &denial{reason}
	}
	return proved.principal(), nil
}
