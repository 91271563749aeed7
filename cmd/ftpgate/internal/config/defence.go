package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ftpgate/ftpgate/auth"
	"github.com/ftpgate/ftpgate/gateway"
)

// Defence keeps out who does no good.
type Defence struct {
	// The networks that may connect, such as `10.0.0.0/8`, `2001:db8::/32` or a single
	// address; without this key all may. Of `allow` and `deny` the most specific
	// network that has the address decides, and `deny` if both have the same.
	Allow []Network `yaml:"allow"`
	// The networks that may not connect.
	Deny []Network `yaml:"deny"`
	// The networks that are never banned, nor counted by `limits.per_address`; loopback
	// is one of them.
	Exempt []Network `yaml:"exempt"`
	// Whether loopback can be banned, too.
	CountLoopback bool `yaml:"count_loopback" default:"false"`
	// Says that a balancer in front does not tell the addresses of clients, so that many
	// share one. Nothing is then held against an address: no bans, no
	// `limits.per_address`.
	BehindBalancer bool `yaml:"behind_balancer" default:"false"`
	// How many points ban an address, or an IPv6 /64; `off` bans nobody. A connection that ends
	// without a login has 1, and 5 for each wrong password, 10 for each user who does
	// not exist, 10 for a command line too long or too many unknown commands, 20 for HTTP.
	BanScore Count `yaml:"ban_score" default:"100"`
	// How long it takes until so many points are forgotten.
	BanWindow Duration `yaml:"ban_window" default:"10m"`
	// How long a ban lasts.
	BanFor Duration `yaml:"ban_for" default:"30m"`
	// How many connections without a login one address may have in a minute, before further
	// ones are turned away for one.
	Fruitless Count `yaml:"fruitless_per_minute" default:"60"`
	// How long the reply to the first failed login of a session is put off; each
	// further one takes twice as long.
	LoginDelay Duration `yaml:"login_delay" default:"500ms"`
	// How long it is put off at most.
	LoginDelayMax Duration `yaml:"login_delay_max" default:"8s"`
}

// Gateway is d for the gateway.
func (d *Defence) Gateway() gateway.Defence {
	return gateway.Defence{
		Allow: prefixes(d.Allow), Deny: prefixes(d.Deny), Exempt: prefixes(d.Exempt),
		CountLoopback: d.CountLoopback, BehindBalancer: d.BehindBalancer,
		NoBans:     d.BanScore < 0,
		BanOptions: auth.BanOptions{Score: int(d.BanScore), Window: forever(d.BanWindow), For: forever(d.BanFor)},
		Fruitless:  int(d.Fruitless), Delay: time.Duration(d.LoginDelay), MaxDelay: forever(d.LoginDelayMax),
	}
}

// forever is d, or for off a very long time.
func forever(d Duration) time.Duration {
	if d < 0 {
		return 100 * 365 * 24 * time.Hour
	}
	return time.Duration(d)
}

// SharedRates are what sessions may transfer together.
type SharedRates struct {
	// All sessions of each user together; a user's own `user_rate` wins.
	User Rates `yaml:"user" default:"off"`
	// All sessions of an IPv4 address or IPv6 /64 together.
	Address Rates `yaml:"address" default:"off"`
	// All sessions.
	Total Rates `yaml:"total" default:"off"`
}

// Rates are in bytes a second, up and down; 0 is not given, -1 no limit.
type Rates struct{ auth.Rates }

// UnmarshalText reads rates as auth.ParseRates does.
func (r *Rates) UnmarshalText(text []byte) (err error) {
	r.Rates, err = auth.ParseRates(string(text))
	return err
}

// Policy says more than permissions. What a user does not say is that of all.
type Policy struct {
	// Directories with permissions of their own, with all that is below them. The most specific one
	// decides, and clients can neither remove nor rename it, or what it is in.
	Directories []Directory `yaml:"directories"`
	// Names that do not exist for the user, as globs for one name such as `.*` or `*.key`:
	// they are in no listing, and can't be made. Case and Unicode normal form make no difference.
	Hide []Pattern `yaml:"hide"`
	// Names that are in listings and refused to every command.
	Refuse []Pattern `yaml:"refuse"`
	// The names that files may have; others can't be read, written, removed or renamed. Directories
	// may have any.
	Only []Pattern `yaml:"only"`
	// How large a file may become, such as `500M`.
	MaxSize Size `yaml:"max_size"`
	// The commands about files that may be used, such as `[LIST, MLSD, RETR, CWD]`; `SITE` stands for all of its
	// commands. What a session needs beside them, such as PASV, is always there.
	Commands []Verb `yaml:"commands"`
	// Commands that may not be used.
	NoCommands []Verb `yaml:"no_commands"`
}

// Directory has permissions of its own.
type Directory struct {
	// The directory as the user sees it, such as `/inbox`.
	Path Home `yaml:"path"`
	// As in `users.permissions`; `none` is nothing at all.
	Permissions Permissions `yaml:"permissions"`

	position
}

// Apply sets in to what p says.
func (p *Policy) Apply(to *auth.Policy) error {
	if p.Directories != nil {
		to.Directories = auth.Directories{}
	}
	for _, d := range p.Directories {
		var err error
		switch {
		case d.Path == "":
			err = fmt.Errorf("directories: the path is missing")
		case !d.Permissions.Given:
			err = fmt.Errorf("directories: %s has no permissions", d.Path)
		default:
			to.Directories, err = to.Directories.Add(string(d.Path), d.Permissions.Permissions)
		}
		if err != nil {
			return d.position.wrap(err)
		}
	}
	for _, names := range []struct {
		given []Pattern
		to    *auth.Patterns
	}{{p.Hide, &to.Hidden}, {p.Refuse, &to.Refused}, {p.Only, &to.Only}} {
		if names.given == nil {
			continue
		}
		var err error
		if *names.to, err = auth.NewPatterns(texts(names.given)...); err != nil {
			return err
		}
	}
	if p.MaxSize != 0 {
		to.MaxSize = max(int64(p.MaxSize), 0)
	}
	if p.Commands != nil {
		to.Commands.Only = texts(p.Commands)
	}
	if p.NoCommands != nil {
		to.Commands.Never = texts(p.NoCommands)
	}
	return nil
}

func (p *Policy) given() bool {
	return p.Directories != nil || p.Hide != nil || p.Refuse != nil || p.Only != nil || p.MaxSize != 0 || p.Commands != nil || p.NoCommands != nil
}

func texts[T ~string](list []T) []string {
	var out []string
	for _, s := range list {
		out = append(out, string(s))
	}
	return out
}

// Pattern is a glob for one name.
type Pattern string

// UnmarshalText checks the pattern.
func (p *Pattern) UnmarshalText(text []byte) error {
	*p = Pattern(text)
	_, err := auth.NewPatterns(string(text))
	return err
}

// Verb is a command.
type Verb string

// UnmarshalText checks that there is such a command.
func (v *Verb) UnmarshalText(text []byte) error {
	*v = Verb(strings.ToUpper(string(text)))
	return CheckVerb(string(*v))
}

// CheckVerb returns nil if verb, in any case, is a command.
func CheckVerb(verb string) error {
	if slices.Contains(gateway.CommandNames(), strings.ToUpper(verb)) {
		return nil
	}
	hint := "HELP and docs/commands.md list them"
	if near := nearest(strings.ToUpper(verb), gateway.CommandNames()); near != "" {
		hint = "is it " + near + "?"
	}
	return fmt.Errorf("there is no command %q; %s", verb, hint)
}

// ResumeScope says who may go on with an interrupted upload.
type ResumeScope string

// UnmarshalText reads user, user+address or session.
func (s *ResumeScope) UnmarshalText(text []byte) error {
	return oneOf(s, text, "user", "user+address", "session")
}

// Gateway is s for the gateway.
func (s ResumeScope) Gateway() gateway.ResumeScope {
	switch s {
	case "user+address":
		return gateway.ResumeAddress
	case "session":
		return gateway.ResumeSession
	}
	return gateway.ResumeUser
}
