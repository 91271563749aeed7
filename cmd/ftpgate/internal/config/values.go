package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/ftpgate/ftpgate/auth"
	"github.com/ftpgate/ftpgate/vfs"
)

// The types of values. Each reads its text, from the file or from a flag, in
// UnmarshalText and says in its error what would be right.

// off is the text for no limit.
const off = "off"

// URL names a store.
type URL string

// UnmarshalText takes anything but the empty text; the backends know the rest.
func (u *URL) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return errors.New("the URL is empty; write . for the current directory")
	}
	*u = URL(text)
	return nil
}

// IsPath reports whether u is a plain path.
func (u URL) IsPath() bool {
	scheme, _, found := strings.Cut(string(u), ":")
	if !found || len(scheme) < 2 { // C: is a drive
		return true
	}
	return strings.Trim(strings.ToLower(scheme), "abcdefghijklmnopqrstuvwxyz0123456789+-.") != ""
}

// String is the URL without a password.
func (u URL) String() string {
	if u.IsPath() {
		return string(u)
	}
	parsed, err := url.Parse(string(u))
	if err != nil {
		scheme, _, _ := strings.Cut(string(u), ":")
		return scheme + ":…"
	}
	if query, err := url.ParseQuery(parsed.RawQuery); err == nil && redactQuery(query) {
		parsed.RawQuery = query.Encode()
	}
	return parsed.Redacted()
}

// redactQuery takes the passwords out of URLs that stand in a query, such as
// endpoint=http://user:password@host, and reports whether there were any.
func redactQuery(query url.Values) (found bool) {
	for key, values := range query {
		for i, v := range values {
			scheme, rest, isURL := strings.Cut(v, "://")
			at := strings.LastIndex(rest, "@")
			if isURL && at >= 0 {
				user, _, _ := strings.Cut(rest[:at], ":")
				query[key][i] = scheme + "://" + user + ":xxxxx@" + rest[at+1:]
				found = true
			}
		}
	}
	return found
}

// Path names a file.
type Path string

// UnmarshalText takes anything but the empty text.
func (p *Path) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return errors.New("the path is empty")
	}
	*p = Path(text)
	return nil
}

// Address is HOST:PORT.
type Address string

// UnmarshalText reads HOST:PORT.
func (a *Address) UnmarshalText(text []byte) error {
	s := string(text)
	host, port, err := net.SplitHostPort(s)
	if err != nil || strings.ContainsAny(host, " /") {
		return fmt.Errorf("%q is not HOST:PORT; write 127.0.0.1:2121, [::1]:2121, or :2121 for all addresses", s)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || port != strconv.FormatUint(n, 10) {
		return fmt.Errorf("%q is not a port from 0 to 65535 in %q", port, s)
	}
	*a = Address(s)
	return nil
}

// TimeZone is a place of the time zone database.
type TimeZone struct{ *time.Location }

// UnmarshalText reads a name of the time zone database, UTC or Local.
func (z *TimeZone) UnmarshalText(text []byte) error {
	loc, err := time.LoadLocation(string(text))
	if err != nil || len(text) == 0 {
		return fmt.Errorf("time zone %q is unknown; write UTC, Local, or a name such as Europe/Berlin", text)
	}
	z.Location = loc
	return nil
}

// oneOf sets v to text, which must be one of names.
func oneOf[T ~string](v *T, text []byte, names ...string) error {
	for _, n := range names {
		if string(text) == n {
			*v = T(n)
			return nil
		}
	}
	return fmt.Errorf("%q is not one of %s", text, strings.Join(names, ", "))
}

// Type is a representation type.
type Type string

// UnmarshalText reads ascii or binary.
func (t *Type) UnmarshalText(text []byte) error { return oneOf(t, text, "ascii", "binary") }

// Letter is the argument of TYPE.
func (t Type) Letter() byte {
	if t == "binary" {
		return 'I'
	}
	return 'A'
}

// ShowStaged says where interrupted uploads show.
type ShowStaged string

// UnmarshalText reads exact, listing or off.
func (s *ShowStaged) UnmarshalText(text []byte) error { return oneOf(s, text, "exact", "listing", off) }

// VFS is s for the vfs.
func (s ShowStaged) VFS() vfs.ShowStaged {
	switch s {
	case "listing":
		return vfs.ShowListing
	case off:
		return vfs.ShowNever
	}
	return vfs.ShowExact
}

// ControlLost is park or commit.
type ControlLost string

// UnmarshalText reads park or commit.
func (c *ControlLost) UnmarshalText(text []byte) error { return oneOf(c, text, "park", "commit") }

// LogFormat is text or json.
type LogFormat string

// UnmarshalText reads text or json.
func (f *LogFormat) UnmarshalText(text []byte) error { return oneOf(f, text, "text", "json") }

// LogLevel is debug, info, warn or error.
type LogLevel string

// UnmarshalText reads debug, info, warn or error.
func (l *LogLevel) UnmarshalText(text []byte) error {
	return oneOf(l, text, "debug", "info", "warn", "error")
}

// Slog is l for slog.
func (l LogLevel) Slog() slog.Level {
	var level slog.Level
	_ = level.UnmarshalText([]byte(l)) // the names are slog's own
	return level
}

// Count is a limit; -1 is no limit, 0 the default.
type Count int

// UnmarshalText reads a number above 0, or off.
func (c *Count) UnmarshalText(text []byte) error {
	if string(text) == off {
		*c = -1
		return nil
	}
	n, err := strconv.ParseInt(string(text), 10, 32)
	if err != nil || n <= 0 {
		return fmt.Errorf("%q is not a number above 0; write off for no limit", text)
	}
	*c = Count(n)
	return nil
}

// Size is a number of bytes; -1 is no limit, 0 the default.
type Size int64

// UnmarshalText reads a number with K, M, G or T for powers of 1024, or off.
func (s *Size) UnmarshalText(text []byte) error {
	v, err := auth.ParseRate(string(text))
	if err != nil || strings.HasSuffix(string(text), "/s") {
		return fmt.Errorf("%q is not a number of bytes such as 500M or 64G, nor off", text)
	}
	*s = Size(v)
	return nil
}

// Duration is how long something may take; -1 is for ever.
type Duration time.Duration

// UnmarshalText reads a duration above 0, or off.
func (d *Duration) UnmarshalText(text []byte) error {
	if string(text) == off {
		*d = -1
		return nil
	}
	v, err := time.ParseDuration(string(text))
	if err != nil || v <= 0 {
		return fmt.Errorf("%q is not a duration such as 30s or 5m; write off for no limit", text)
	}
	*d = Duration(v)
	return nil
}

// Grace is a Duration that may be 0.
type Grace time.Duration

// UnmarshalText reads a duration, or off.
func (g *Grace) UnmarshalText(text []byte) error {
	if v, err := time.ParseDuration(string(text)); err == nil && v == 0 {
		*g = 0
		return nil
	}
	return (*Duration)(g).UnmarshalText(text)
}

// Ports is an inclusive range.
type Ports struct{ From, To uint16 }

// UnmarshalText reads FROM-TO.
func (p *Ports) UnmarshalText(text []byte) error {
	from, to, _ := strings.Cut(string(text), "-")
	a, err1 := strconv.ParseUint(strings.TrimSpace(from), 10, 16)
	b, err2 := strconv.ParseUint(strings.TrimSpace(to), 10, 16)
	if err1 != nil || err2 != nil || a == 0 || b < a {
		return fmt.Errorf("%q is not a range of ports FROM-TO such as 50000-50999", text)
	}
	*p = Ports{uint16(a), uint16(b)}
	return nil
}

// UserName is the name of a user.
type UserName string

// UnmarshalText checks the name.
func (n *UserName) UnmarshalText(text []byte) error {
	*n = UserName(text)
	return auth.CheckUserName(string(text))
}

// Password is in clear and never printed.
type Password string

// UnmarshalText takes anything but the empty text.
func (p *Password) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return errors.New("the password is empty; an account without one can't be used")
	}
	*p = Password(text)
	return nil
}

// String hides the password from logs.
func (Password) String() string { return "[secret]" }

// GoString hides the password from %#v.
func (Password) GoString() string { return "[secret]" }

// Hash is the hash of a password.
type Hash struct {
	Secret auth.Secret
	Given  bool
}

// UnmarshalText reads a hash as auth.ParseSecret does.
func (h *Hash) UnmarshalText(text []byte) (err error) {
	h.Given = true
	h.Secret, err = auth.ParseSecret(string(text))
	return err
}

// Home is an absolute path below what is served.
type Home string

// UnmarshalText checks the path.
func (h *Home) UnmarshalText(text []byte) error {
	*h = Home(text)
	if len(text) == 0 {
		return errors.New("home is empty; write / for all of what is served")
	}
	return auth.CheckHome(string(text))
}

// Permissions are letters and parts of letters.
type Permissions struct {
	auth.Permissions
	Given bool
}

// UnmarshalText reads permissions as auth.ParsePermissions does.
func (p *Permissions) UnmarshalText(text []byte) (err error) {
	p.Given = true
	p.Permissions, err = auth.ParsePermissions(string(text))
	return err
}

// Moment is a date or a time.
type Moment struct{ time.Time }

// UnmarshalText reads a date or a time as auth.ParseExpiry does.
func (m *Moment) UnmarshalText(text []byte) (err error) {
	m.Time, err = auth.ParseExpiry(string(text))
	return err
}
