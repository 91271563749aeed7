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
	truth, isTruth := parseTruth(value)
	on := a.toggle(key)
	switch {
	case value == "":
		return CheckSetting(key)
	case on != nil && !isTruth:
		return fmt.Errorf("%s is %q, not true or false", key, value)
	case on != nil:
		*on = truth
		return nil
	case key == "lenient_tls" && isTruth: // which is on, off, or the server's
		value = map[bool]string{true: "on", false: "off"}[truth]
	}
	return a.Set(key, value, true)
}

func parseTruth(value string) (truth, ok bool) {
	switch strings.ToLower(value) {
	case "true", "t", "1", "yes", "on":
		return true, true
	case "false", "f", "0", "no", "off":
		return false, true
	}
	return false, false
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
