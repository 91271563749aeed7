package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"

	"github.com/ftpgate/ftpgate/gateway"
	"github.com/ftpgate/ftpgate/gateway/wire"
	"github.com/ftpgate/ftpgate/vfs"
)

// Profile is a device profile.
type Profile struct {
	// The name by which `profile` and users choose it. The profiles `camera`, `scanner` and `windows` are
	// there without being written (see [compatibility.md](compatibility.md#device-profiles)); a profile of the same name takes
	// the place of one.
	Name ProfileName `yaml:"name"`
	// Whether missing directories above the name of an upload, of MKD and of RNTO are made, if
	// the user may make directories.
	MakeParents bool `yaml:"make_parents" default:"false"`
	// The character set of names, such as `gbk`, `shift_jis` or `windows-1252`, until the client sends OPTS
	// UTF8 ON, and again after OPTS UTF8 OFF. Names are stored in UTF-8.
	Charset Charset `yaml:"charset" default:"utf-8"`
	// How names are found, as `stores.names` has it.
	Names Names `yaml:"names" default:"exact"`
	// Whether `\` separates directories, as `/` does.
	Backslash bool `yaml:"backslash" default:"false"`
	// Whether TYPE A is taken for TYPE I, for clients that ask for text and send bytes.
	Binary bool `yaml:"binary" default:"false"`
	// The form of times in LIST: `age` as `ls` has it, always the `year`, or always the `hour`.
	ListDate ListDate `yaml:"list_date" default:"age"`
	// As `uploads.control_lost`.
	ControlLost ControlLost `yaml:"control_lost" default:"park"`
	// As `uploads.lenient_tls`.
	LenientTLS bool `yaml:"lenient_tls" default:"false"`

	position
}

// ProfileName is the name of a device profile; empty: none.
type ProfileName struct {
	Name string

	position
}

// UnmarshalText takes anything but the empty text.
func (n *ProfileName) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return errors.New("the name of the profile is empty")
	}
	n.Name = string(text)
	return nil
}

// Charset is a character set; nil is UTF-8.
type Charset struct{ encoding.Encoding }

// UnmarshalText reads a name of the WHATWG's list.
func (c *Charset) UnmarshalText(text []byte) error {
	e, err := htmlindex.Get(string(text))
	if err != nil {
		return fmt.Errorf("the character set %q is unknown; write a name such as utf-8, gbk, shift_jis or windows-1252", text)
	}
	switch name, _ := htmlindex.Name(e); name {
	case "utf-8":
		e = nil
	case "utf-16le", "utf-16be", "replacement", "x-user-defined", "iso-2022-jp":
		return fmt.Errorf("names on an FTP connection can't be in %s", name)
	}
	c.Encoding = e
	return nil
}

// ListDate is the form of times in LIST.
type ListDate string

// UnmarshalText reads age, year or hour.
func (d *ListDate) UnmarshalText(text []byte) error { return oneOf(d, text, "age", "year", "hour") }

// builtinProfiles are there without being written.
func builtinProfiles() map[string]*gateway.Profile {
	return map[string]*gateway.Profile{
		"camera":  {MakeParents: true, Binary: true, CommitOnControlLost: true},
		"scanner": {MakeParents: true, Binary: true, Backslash: true},
		"windows": {Backslash: true, Names: vfs.FoldForm | vfs.FoldCase},
	}
}

// GatewayProfiles are the profiles for the gateway.
func (c *Config) GatewayProfiles() map[string]*gateway.Profile {
	all := builtinProfiles()
	for _, p := range c.Profiles {
		all[p.Name.Name] = &gateway.Profile{
			MakeParents: p.MakeParents, Charset: p.Charset.Encoding, Names: p.Names.Folding(), Backslash: p.Backslash, Binary: p.Binary,
			ListDate:            map[ListDate]wire.DateForm{"age": wire.DateByAge, "year": wire.DateYear, "hour": wire.DateHour}[p.ListDate],
			CommitOnControlLost: p.ControlLost == "commit", LenientTLS: p.LenientTLS,
		}
	}
	return all
}

// checkProfiles is what only shows when all keys have been read.
func (c *Config) checkProfiles() error {
	seen := map[string]bool{}
	for i := range c.Profiles {
		p := &c.Profiles[i]
		if p.Name.Name == "" {
			return p.wrap(errors.New("profiles: the name is missing"))
		}
		if seen[p.Name.Name] {
			return p.wrap(fmt.Errorf("profiles: %q is there twice; delete one of the two", p.Name.Name))
		}
		seen[p.Name.Name] = true
	}
	known := c.GatewayProfiles()
	names := make([]string, 0, len(known))
	for name := range known {
		names = append(names, name)
	}
	slices.Sort(names)
	chosen := []ProfileName{c.Profile}
	for _, u := range c.Users {
		chosen = append(chosen, u.Profile)
	}
	for _, p := range chosen {
		if p.Name != "" && known[p.Name] == nil {
			return p.wrap(fmt.Errorf("there is no device profile %q; there are %s", p.Name, strings.Join(names, ", ")))
		}
	}
	return nil
}
