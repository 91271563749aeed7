package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	authhttp "github.com/ftpgate/ftpgate/auth/http"
	"github.com/ftpgate/ftpgate/auth/ldap"
	"github.com/ftpgate/ftpgate/auth/sql"
)

// LDAPServer is a URL of a directory server.
type LDAPServer string

// UnmarshalText checks the URL.
func (s *LDAPServer) UnmarshalText(text []byte) error { return checked(s, text, ldap.CheckURL) }

// DN is a distinguished name.
type DN string

// UnmarshalText checks the DN.
func (d *DN) UnmarshalText(text []byte) error { return checked(d, text, ldap.CheckDN) }

// UserDN is a template of what to bind as.
type UserDN string

// UnmarshalText wants {user}.
func (d *UserDN) UnmarshalText(text []byte) error { return checked(d, text, ldap.CheckUserDN) }

// Filter is a template of a filter of LDAP.
type Filter string

// UnmarshalText checks the filter.
func (f *Filter) UnmarshalText(text []byte) error { return checked(f, text, ldap.CheckFilter) }

// Attribute is the name of an attribute of LDAP.
type Attribute string

// UnmarshalText checks the name.
func (a *Attribute) UnmarshalText(text []byte) error { return checked(a, text, ldap.CheckAttribute) }

// Database is a database of accounts.
type Database string

// UnmarshalText checks the URL.
func (d *Database) UnmarshalText(text []byte) error { return checked(d, text, sql.CheckDatabase) }

// Query is SQL.
type Query string

// UnmarshalText wants the one parameter.
func (q *Query) UnmarshalText(text []byte) error { return checked(q, text, sql.CheckQuery) }

// HookURL is that of a web service.
type HookURL string

// UnmarshalText checks the URL.
func (u *HookURL) UnmarshalText(text []byte) error { return checked(u, text, authhttp.CheckURL) }

func checked[T ~string](v *T, text []byte, check func(string) error) error {
	*v = T(text)
	return check(string(text))
}

// EnvName is the name of an environment variable.
type EnvName string

// UnmarshalText checks the name.
func (n *EnvName) UnmarshalText(text []byte) error {
	*n = EnvName(text)
	if len(text) == 0 || strings.ContainsAny(string(text), "=$ ") {
		// It may be the secret itself.
		return errors.New("this is not the name of an environment variable, such as FTPGATE_SECRET")
	}
	return nil
}

// Timeout is a duration that has an end.
type Timeout time.Duration

// UnmarshalText reads a duration above 0.
func (t *Timeout) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	*t = Timeout(d)
	if err != nil || d <= 0 {
		return fmt.Errorf("%q is not a duration such as 500ms or 5s", text)
	}
	return nil
}

// Bound is a limit that there is.
type Bound int

// UnmarshalText reads a number above 0.
func (b *Bound) UnmarshalText(text []byte) error {
	n, err := strconv.ParseInt(string(text), 10, 16)
	*b = Bound(n)
	if err != nil || n <= 0 {
		return fmt.Errorf("%q is not a number from 1 to 32767", text)
	}
	return nil
}

// Pairs are keys and values of a section that has no fixed keys.
type Pairs []Pair

// Pair is one of them.
type Pair struct {
	Key, Value     string
	keyAt, valueAt position
}

// Map are the pairs by key.
func (p Pairs) Map() map[string]string {
	m := map[string]string{}
	for _, x := range p {
		m[x.Key] = x.Value
	}
	return m
}
