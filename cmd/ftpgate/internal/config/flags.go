package config

import (
	"encoding"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/ftpgate/ftpgate/auth"
)

// option is a flag of "ftpgate serve" and the key that it overrides.
type option struct {
	name, value, usage string
	key                string
	// text is what a flag with one value sets; bool is a switch; list, if neither,
	// takes all values of the flag.
	text func(*Config) encoding.TextUnmarshaler
	bool func(*Config, bool)
	list func(*Config, []string) error
}

func options() []option {
	return []option{
		{name: "listen", value: "HOST:PORT", key: "listen", list: setListen,
			usage: "where clients connect, separated by commas; :PORT is all addresses (default 127.0.0.1:2121)"},
		{name: "anonymous", key: "anonymous", bool: func(c *Config, on bool) { c.Anonymous = &on },
			usage: "let anonymous in (default: if there are no users)"},
		{name: "write", key: "write", bool: func(c *Config, on bool) { c.Write = on },
			usage: "let those who may log in also write"},
		{name: "user", value: "NAME:PASSWORD", key: "users", list: setUsers,
			usage: "let this user in, may be given several times; see Passwords above"},
		{name: "users-file", value: "FILE", key: "users_files", list: setUsersFiles,
			usage: "let the users of this file in, may be given several times"},
		{name: "passive-ports", value: "FROM-TO", key: "data.passive_ports", text: func(c *Config) encoding.TextUnmarshaler { return &c.Data.PassivePorts },
			usage: "ports of passive data connections (default 61000-65535)"},
		{name: "public-address", value: "IPV4", key: "data.public_address", text: func(c *Config) encoding.TextUnmarshaler { return &c.Data.PublicAddress },
			usage: "address that PASV tells (default: the one that the client dialled)"},
		{name: "tls-cert", value: "FILE", key: "tls.certificates", list: setTLSCerts,
			usage: "offer TLS with this certificate and its chain (PEM), may be given several times"},
		{name: "tls-key", value: "FILE", key: "tls.certificates", list: setTLSKeys,
			usage: "the private key of each --tls-cert in turn (default: in the file of the certificate)"},
		{name: "tls-self-signed", key: "tls.self_signed", bool: func(c *Config, on bool) { c.TLS.SelfSigned = on },
			usage: "offer TLS with a certificate that nobody trusts, for trying out"},
		{name: "tls-required", key: "tls.required", bool: setTLSRequired,
			usage: "refuse logins and transfers without TLS"},
		{name: "implicit-listen", value: "HOST:PORT", key: "tls.implicit_listen", list: setImplicitListen,
			usage: "where clients connect that begin with TLS, separated by commas; by custom port 990"},
		{name: "acme-domain", value: "NAME", key: "tls.acme.domains", list: setACMEDomains,
			usage: "get a certificate for this name from Let's Encrypt, may be given several times"},
		{name: "acme-http-listen", value: "HOST:PORT", key: "tls.acme.http_listen", text: func(c *Config) encoding.TextUnmarshaler { return &c.TLS.ACME.HTTPListen },
			usage: "where the HTTP requests for --acme-domain arrive, or off (default :80)"},
		{name: "banner", value: "TEXT", key: "banner", list: setBanner,
			usage: "the greeting"},
		{name: "max-sessions", value: "N", key: "limits.sessions", text: func(c *Config) encoding.TextUnmarshaler { return &c.Limits.Sessions },
			usage: "sessions in all, or off (default 20000)"},
		{name: "max-per-address", value: "N", key: "limits.per_address", text: func(c *Config) encoding.TextUnmarshaler { return &c.Limits.PerAddress },
			usage: "sessions of one address or IPv6 /64, or off (default 2048)"},
		{name: "rate", value: "SPEED", key: "rate", text: func(c *Config) encoding.TextUnmarshaler { return &c.Rate },
			usage: "bytes a second of each session each way, such as 500K or 2M (default off)"},
		{name: "grace", value: "DURATION", key: "timeouts.grace", text: func(c *Config) encoding.TextUnmarshaler { return &c.Timeouts.Grace },
			usage: "how long running transfers may go on when told to stop (default 30s)"},
		{name: "log-format", value: "FORMAT", key: "log.format", text: func(c *Config) encoding.TextUnmarshaler { return &c.Log.Format },
			usage: "text or json (default text)"},
		{name: "log-level", value: "LEVEL", key: "log.level", text: func(c *Config) encoding.TextUnmarshaler { return &c.Log.Level },
			usage: "debug, info, warn or error (default info)"},
	}
}

// Flags are the flags of a command line, to be applied to a Config.
type Flags struct{ given []*given }

// given collects the values of one flag. It takes every value, because an error
// of pflag would repeat it, and a value may be a password.
type given struct {
	option
	values []string
}

func (g *given) String() string { return "" }
func (g *given) Set(s string) error {
	g.values = append(g.values, s)
	return nil
}

func (g *given) Type() string {
	if g.bool != nil {
		return "bool"
	}
	return g.value
}

// NewFlags adds the flags to set.
func NewFlags(set *pflag.FlagSet) *Flags {
	f := &Flags{}
	for _, row := range options() {
		g := &given{option: row}
		added := set.VarPF(g, row.name, "", row.usage)
		if row.bool != nil {
			added.NoOptDefVal = "true"
		}
		f.given = append(f.given, g)
	}
	return f
}

// Apply sets what the flags that were given say. Errors name the flag.
func (f *Flags) Apply(c *Config) error {
	for _, g := range f.given {
		if len(g.values) == 0 {
			continue
		}
		if err := g.apply(c); err != nil {
			return fmt.Errorf("--%s: %w", g.name, err)
		}
	}
	return nil
}

func (g *given) apply(c *Config) error {
	last := g.values[len(g.values)-1]
	switch {
	case g.text != nil:
		return g.text(c).UnmarshalText([]byte(last))
	case g.bool != nil:
		on, err := strconv.ParseBool(last)
		if err != nil {
			return errors.New("write true or false")
		}
		g.bool(c, on)
		return nil
	}
	return g.list(c, g.values)
}

func setListen(c *Config, values []string) (err error) {
	c.Listen, err = addresses(values)
	return err
}

func setImplicitListen(c *Config, values []string) (err error) {
	c.TLS.ImplicitListen, err = addresses(values)
	return err
}

func addresses(values []string) ([]Address, error) {
	if values[len(values)-1] == off {
		return nil, nil
	}
	var out []Address
	for part := range strings.SplitSeq(strings.Join(values, ","), ",") {
		var a Address
		if err := a.UnmarshalText([]byte(strings.TrimSpace(part))); err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

func setTLSCerts(c *Config, values []string) error {
	c.TLS.Certificates = nil
	for _, v := range values {
		var cert Certificate
		if err := cert.Cert.UnmarshalText([]byte(v)); err != nil {
			return err
		}
		c.TLS.Certificates = append(c.TLS.Certificates, cert)
	}
	return nil
}

func setTLSKeys(c *Config, values []string) error {
	if len(values) != len(c.TLS.Certificates) {
		return fmt.Errorf("there are %d keys for %d certificates; give --tls-cert and --tls-key equally often", len(values), len(c.TLS.Certificates))
	}
	for i, v := range values {
		if err := c.TLS.Certificates[i].Key.UnmarshalText([]byte(v)); err != nil {
			return err
		}
	}
	return nil
}

func setTLSRequired(c *Config, on bool) {
	c.TLS.Required = off
	if on {
		c.TLS.Required = requireAll
	}
}

func setACMEDomains(c *Config, values []string) error {
	c.TLS.ACME.Domains = nil
	for _, v := range values {
		var d Domain
		if err := d.UnmarshalText([]byte(v)); err != nil {
			return err
		}
		c.TLS.ACME.Domains = append(c.TLS.ACME.Domains, d)
	}
	return nil
}

func setUsersFiles(c *Config, values []string) error {
	c.UsersFiles = nil
	for _, v := range values {
		var p Path
		if err := p.UnmarshalText([]byte(v)); err != nil {
			return err
		}
		c.UsersFiles = append(c.UsersFiles, p)
	}
	return nil
}

func setBanner(c *Config, values []string) error {
	c.Banner = strings.Join(values, "\n")
	return nil
}

// ParseUser reads NAME:PASSWORD, where PASSWORD may be a hash. Errors do not
// repeat the password.
func ParseUser(s string) (User, error) {
	var u User
	name, password, ok := strings.Cut(s, ":")
	if !ok {
		return u, errors.New("it must be NAME:PASSWORD, but has no colon")
	}
	if err := u.Name.UnmarshalText([]byte(name)); err != nil {
		return u, err
	}
	if auth.LooksHashed(password) {
		return u, u.Hash.UnmarshalText([]byte(password))
	}
	return u, u.Password.UnmarshalText([]byte(password))
}

func setUsers(c *Config, values []string) error {
	var users []User
	for _, v := range values {
		u, err := ParseUser(v)
		if err != nil {
			return err
		}
		users = append(users, u)
	}
	return c.override(users)
}

// override adds users, or gives those that exist another password.
func (c *Config) override(users []User) error {
	seen := map[UserName]bool{}
	for _, u := range users {
		if seen[u.Name] {
			return fmt.Errorf("user %q is given twice", u.Name)
		}
		seen[u.Name] = true
		at := -1
		for i := range c.Users {
			if c.Users[i].Name == u.Name {
				at = i
			}
		}
		if at < 0 {
			c.Users = append(c.Users, u)
			continue
		}
		c.Users[at].Password, c.Users[at].Hash = u.Password, u.Hash
	}
	return nil
}

// ApplyEnvironment adds the users of FTPGATE_USER (one NAME:PASSWORD) and
// FTPGATE_USERS (one a line), and the secrets of account sources.
func (c *Config) ApplyEnvironment(getenv func(string) string) error {
	if err := c.readSecrets(getenv); err != nil {
		return err
	}
	if v := getenv("FTPGATE_USERS"); v != "" {
		var users []User
		number := 0
		for line := range strings.Lines(v) {
			number++
			if line = strings.TrimRight(line, "\r\n"); strings.TrimSpace(line) == "" {
				continue
			}
			u, err := ParseUser(line)
			if err != nil {
				return fmt.Errorf("FTPGATE_USERS, line %d: %w", number, err)
			}
			users = append(users, u)
		}
		if err := c.override(users); err != nil {
			return fmt.Errorf("FTPGATE_USERS: %w", err)
		}
	}
	if v := getenv("FTPGATE_USER"); v != "" {
		u, err := ParseUser(v)
		if err != nil {
			return fmt.Errorf("FTPGATE_USER: %w", err)
		}
		return c.override([]User{u})
	}
	return nil
}
