package auth

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Rates are speeds in bytes a second, from the client's view: Up is what it stores,
// Down what it fetches. 0 says nothing about a direction, a negative rate that it has
// no limit.
type Rates struct{ Up, Down int64 }

// Both is a rate for either direction.
func Both(rate int64) Rates { return Rates{rate, rate} }

// Or is r, with what it does not say taken from other.
func (r Rates) Or(other Rates) Rates {
	if r.Up == 0 {
		r.Up = other.Up
	}
	if r.Down == 0 {
		r.Down = other.Down
	}
	return r
}

// ParseRates reads a rate as ParseRate does, for both directions, or one behind each of
// the words up and down: "2M", "up 500K down 2M", "down 10M".
func ParseRates(s string) (Rates, error) {
	var r Rates
	words := strings.Fields(s)
	if len(words) < 2 {
		v, err := ParseRate(s)
		return Both(v), err
	}
	for len(words) > 0 {
		direction := map[string]*int64{"up": &r.Up, "down": &r.Down}[words[0]]
		if direction == nil || *direction != 0 || len(words) < 2 {
			return Rates{}, fmt.Errorf("rate %q is not one such as 2M, off, or up 500K down 2M", s)
		}
		v, err := ParseRate(words[1])
		if err != nil {
			return Rates{}, err
		}
		*direction, words = v, words[2:]
	}
	return r, nil
}

// String writes r as ParseRates reads it.
func (r Rates) String() string {
	if r.Up == r.Down {
		return FormatRate(r.Up)
	}
	var out []string
	if r.Up != 0 {
		out = append(out, "up "+FormatRate(r.Up))
	}
	if r.Down != 0 {
		out = append(out, "down "+FormatRate(r.Down))
	}
	return strings.Join(out, " ")
}

// ParseSize reads a number of bytes with one of the letters K, M, G, T for powers of
// 1024, or none, such as "500K" or "1.5G"; "off" is -1, no limit.
func ParseSize(s string) (int64, error) {
	v, err := ParseRate(s)
	if err != nil || strings.HasSuffix(s, "/s") {
		return 0, fmt.Errorf("size %q is not a number of bytes above 0 such as 500K or 1.5G, nor off", s)
	}
	return v, nil
}

// ParseCount reads a number above 0, or "off", which is -1.
func ParseCount(s string) (int, error) {
	if s == "off" {
		return -1, nil
	}
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || n <= 0 || n > math.MaxInt32 {
		return 0, fmt.Errorf("%q is not a number above 0; write off for no limit", s)
	}
	return int(n), nil
}

// ParseDirectories reads directories with their permissions, "/inbox elw; /pub elr".
func ParseDirectories(s string) (Directories, error) {
	var d Directories
	for item := range strings.SplitSeq(s, ";") {
		item = strings.TrimSpace(item)
		i := strings.LastIndexByte(item, ' ')
		if i < 0 {
			return d, fmt.Errorf("%q is not a directory and its permissions, such as /inbox elw", item)
		}
		p, err := ParsePermissions(item[i+1:])
		if err != nil {
			return d, err
		}
		if d, err = d.Add(strings.TrimSpace(item[:i]), p); err != nil {
			return d, err
		}
	}
	return d, nil
}

// parseList reads words that semicolons separate.
func parseList(s string) ([]string, error) {
	var out []string
	for item := range strings.SplitSeq(s, ";") {
		if item = strings.TrimSpace(item); item == "" {
			return nil, errors.New("a name is missing; write NAME, or NAME;NAME")
		}
		out = append(out, item)
	}
	return out, nil
}

// onOff reads on or off.
func onOff(s string) (*bool, error) {
	on := s == "on"
	if !on && s != "off" {
		return nil, fmt.Errorf("%q is neither on nor off", s)
	}
	return &on, nil
}

// EditPolicy returns the account's policy to be changed: nobody else has it.
func (a *Account) EditPolicy() *Policy {
	p := &Policy{Permissions: ReadWrite}
	if a.Policy != nil {
		*p = *a.Policy
	}
	a.Policy = p
	return p
}

// limitKeys are those of setLimit.
const limitKeys = "dirs, hide, refuse, only, max_size, commands, no_commands, sessions, user_rate, lenient_tls, control_lost"

// setLimit is Set for the keys of limitKeys; it is false for others.
func (a *Account) setLimit(key, value string) (known bool, err error) {
	patterns := func(to func(*Policy, Patterns)) error {
		list, err := parseList(value)
		if err != nil {
			return err
		}
		p, err := NewPatterns(list...)
		if err == nil {
			to(a.EditPolicy(), p)
		}
		return err
	}
	switch key {
	case "dirs":
		var d Directories
		if d, err = ParseDirectories(value); err == nil {
			a.EditPolicy().Directories = d
		}
	case "hide":
		err = patterns(func(p *Policy, names Patterns) { p.Hidden = names })
	case "refuse":
		err = patterns(func(p *Policy, names Patterns) { p.Refused = names })
	case "only":
		err = patterns(func(p *Policy, names Patterns) { p.Only = names })
	case "max_size":
		var n int64
		if n, err = ParseSize(value); err == nil {
			a.EditPolicy().MaxSize = max(n, 0)
		}
	case "commands", "no_commands":
		var verbs []string
		if verbs, err = parseList(value); err == nil && key == "commands" {
			a.EditPolicy().Commands.Only = verbs
		} else if err == nil {
			a.EditPolicy().Commands.Never = verbs
		}
	case "sessions":
		a.Sessions, err = ParseCount(value)
	case "user_rate":
		a.UserRate, err = ParseRates(value)
	case "lenient_tls":
		a.LenientTLS, err = onOff(value)
	case "control_lost":
		a.CommitOnControlLost, err = parkOrCommit(value)
	default:
		return false, nil
	}
	return true, err
}

func parkOrCommit(s string) (*bool, error) {
	commit := s == "commit"
	if !commit && s != "park" {
		return nil, fmt.Errorf("%q is neither park nor commit", s)
	}
	return &commit, nil
}
