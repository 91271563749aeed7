package ldap

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/ftpgate/ftpgate/auth"
)

// userMark stands for the name of the user in templates.
const userMark = "{user}"

// CheckURL returns nil if text is ldaps://HOST[:PORT], ldap://HOST[:PORT] or
// ldapi:///PATH of a socket.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil, u.Scheme != "ldap" && u.Scheme != "ldaps" && u.Scheme != "ldapi", u.Scheme != "ldapi" && u.Hostname() == "",
		u.Scheme == "ldapi" && (u.Host != "" || len(u.Path) < 2):
		return fmt.Errorf("%q is not a server such as ldaps://ldap.example.org", text)
	case u.User != nil:
		return errors.New("the URL holds a user name; write bind_dn")
	case u.Scheme != "ldapi" && strings.Trim(u.Path, "/") != "", u.RawQuery != "", u.Fragment != "":
		return fmt.Errorf("%q goes on behind the host; write only ldaps://HOST", text)
	}
	return nil
}

// isClear reports whether the URL leads to another machine without TLS from the start.
func isClear(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "ldap" || u.Hostname() == "localhost" {
		return false
	}
	addr, err := netip.ParseAddr(u.Hostname())
	return err != nil || !addr.IsLoopback()
}

// CheckDN returns nil if text is a DN.
func CheckDN(text string) error {
	if _, err := ldap.ParseDN(text); err != nil || text == "" {
		return fmt.Errorf("%q is not a DN such as cn=name,dc=example,dc=org", text)
	}
	return nil
}

// CheckFilter returns nil if text is a filter with {user}.
func CheckFilter(text string) error {
	if _, err := ldap.CompileFilter(strings.ReplaceAll(text, userMark, "x")); err != nil {
		var e *ldap.Error
		if errors.As(err, &e) {
			err = errors.New(strings.TrimPrefix(e.Err.Error(), "ldap: "))
		}
		return fmt.Errorf("%q is not a filter such as (uid={user}): %w", text, err)
	}
	return checkMark(text)
}

// CheckUserDN returns nil if text is a template of what to bind as: a DN, or another
// name, with {user}.
func CheckUserDN(text string) error { return checkMark(text) }

func checkMark(text string) error {
	if !strings.Contains(text, userMark) {
		return fmt.Errorf("%q does not have {user}, the name of who logs in", text)
	}
	return nil
}

// CheckAttribute returns nil if text can be the name of an attribute.
func CheckAttribute(text string) error {
	if text == "" || strings.Trim(strings.ToLower(text), "abcdefghijklmnopqrstuvwxyz0123456789-;.") != "" {
		return fmt.Errorf("%q is not the name of an attribute", text)
	}
	return nil
}

// isDN tells DNs from other names that Active Directory lets bind.
func isDN(template string) bool {
	return CheckDN(strings.ReplaceAll(template, userMark, "x")) == nil
}

func (o *Options) check() error {
	if len(o.URLs) == 0 {
		return errors.New("url: there is no server")
	}
	for _, u := range o.URLs {
		if err := CheckURL(u); err != nil {
			return fmt.Errorf("url: %w", err)
		}
		if isClear(u) && !o.StartTLS && !o.ClearText {
			return fmt.Errorf("url: %q would send passwords in clear; write ldaps, or start_tls: true", u)
		}
	}
	switch {
	case o.UserDN == "" && o.Base == "":
		return errors.New("base: it is missing; write where the users are, or user_dn")
	case o.UserDN != "" && o.Base == "" && !isDN(o.UserDN):
		return errors.New("base: it is missing; user_dn is no DN, so the entry of the user must be looked for")
	case o.UserDN != "" && o.BindDN != "":
		return errors.New("bind_dn: user_dn binds as the user; delete one of the two")
	case o.BindDN != "" && o.BindPassword == "":
		return errors.New("bind_dn: the service account has no password; write bind_password_env or bind_password_file")
	case o.BindDN == "" && o.BindPassword != "":
		return errors.New("bind_dn: there is a password for it, but it is missing")
	case o.Filter != "" && o.UserDN != "" && o.Base == "":
		return errors.New("filter: it is for a search; write base, too")
	}
	if err := o.checkTemplates(); err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(o.Attributes)) {
		if err := auth.CheckSetting(key); err != nil {
			return fmt.Errorf("attributes: %w", err)
		}
		if err := CheckAttribute(o.Attributes[key]); err != nil {
			return fmt.Errorf("attributes: %s: %w", key, err)
		}
	}
	return nil
}

func (o *Options) checkTemplates() error {
	for _, c := range []struct {
		key, value string
		check      func(string) error
	}{
		{"bind_dn", o.BindDN, nil}, // Active Directory takes other names, too
		{"user_dn", o.UserDN, CheckUserDN},
		{"base", o.Base, CheckDN},
		{"filter", o.Filter, CheckFilter},
		{"user_attribute", o.UserAttribute, CheckAttribute},
	} {
		if c.value != "" && c.check != nil {
			if err := c.check(c.value); err != nil {
				return fmt.Errorf("%s: %w", c.key, err)
			}
		}
	}
	for _, g := range o.Groups {
		if err := CheckDN(g); err != nil {
			return fmt.Errorf("groups: %w", err)
		}
	}
	return nil
}

// userDN is what to bind as.
func (o *Options) userDN(user string) (string, error) {
	escaped := ldap.EscapeDN(user)
	if !isDN(o.UserDN) {
		// Such names have no escapes.
		if strings.ContainsAny(user, `@\/"`) {
			return "", auth.Deny("the name has a character that user_dn can't take")
		}
		escaped = user
	}
	return strings.ReplaceAll(o.UserDN, userMark, escaped), nil
}

// wanted are the attributes that a search asks for.
func (o *Options) wanted() []string {
	wanted := []string{o.UserAttribute}
	return append(wanted, slices.Sorted(maps.Values(o.Attributes))...)
}

// account is what an entry says of a user.
func (o *Options) account(user string, entry *ldap.Entry) (*auth.Account, error) {
	account := o.Defaults
	names := entry.GetEqualFoldAttributeValues(o.UserAttribute)
	if len(names) == 0 {
		return nil, fmt.Errorf("%s has no attribute %s; user_attribute must name the one with the user's name", entry.DN, o.UserAttribute)
	}
	account.Name = names[0]
	if i := slices.IndexFunc(names, func(n string) bool { return strings.EqualFold(n, user) }); i > 0 {
		account.Name = names[i]
	}
	if err := auth.CheckUserName(account.Name); err != nil {
		return nil, fmt.Errorf("%s, attribute %s: %w", entry.DN, o.UserAttribute, err)
	}
	for _, key := range slices.Sorted(maps.Keys(o.Attributes)) {
		attribute := o.Attributes[key]
		values := entry.GetEqualFoldAttributeValues(attribute)
		if len(values) > 1 {
			return nil, fmt.Errorf("%s has several values of %s", entry.DN, attribute)
		}
		for _, value := range values {
			if key == "expires" {
				value = expiry(value)
			}
			if err := account.SetAttribute(key, value); err != nil {
				return nil, fmt.Errorf("%s, attribute %s: %w", entry.DN, attribute, err)
			}
		}
	}
	return &account, nil
}

// expiry turns the ways in which directories write a moment into one that
// auth.ParseExpiry reads: generalized time (RFC 4517 3.3.13), the days since 1970 of
// shadowExpire, and the 100 ns since 1601 of Active Directory's accountExpires. The
// last two know "never", which is empty.
func expiry(value string) string {
	const epoch = 116444736000000000 // 1970, since 1601
	for _, layout := range []string{"20060102150405Z07", "20060102150405Z0700", "200601021504Z07"} {
		if t, err := time.Parse(layout, value); err == nil {
			return t.Format(time.RFC3339)
		}
	}
	n, err := strconv.ParseInt(value, 10, 64)
	switch {
	case err != nil:
		return value
	case n <= 0 || n == math.MaxInt64:
		return ""
	case n < 10_000_000:
		return time.Unix(n*24*60*60, 0).UTC().Format(time.RFC3339)
	case n < epoch:
		return value
	}
	return time.Unix((n-epoch)/1e7, 0).UTC().Format(time.RFC3339)
}
