package config

import (
	"encoding"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/ftpgate/ftpgate/auth"
)

// Default is the configuration without a file and flags.
func Default() *Config {
	c := &Config{}
	setDefaults(reflect.ValueOf(c).Elem())
	return c
}

// setDefaults reads the default tags of struct v.
func setDefaults(v reflect.Value) {
	for i := range v.NumField() {
		f, tag := v.Field(i), v.Type().Field(i).Tag
		text, ok := tag.Lookup("default")
		switch {
		case ok:
			setText(f, text)
		case tag.Get("yaml") != "" && f.Kind() == reflect.Struct:
			if _, ok := f.Addr().Interface().(encoding.TextUnmarshaler); !ok {
				setDefaults(f)
			}
		}
	}
}

// setText reads text into v; a default that can't be read is a mistake of ours.
func setText(v reflect.Value, text string) {
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if err := u.UnmarshalText([]byte(text)); err != nil {
			panic(err)
		}
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(text == "true")
	case reflect.String:
		v.SetString(text)
	case reflect.Slice:
		e := reflect.New(v.Type().Elem()).Elem()
		setText(e, text)
		v.Set(reflect.Append(v, e))
	default:
		panic("config: a default for " + v.Type().String())
	}
}

// Load reads the file at path over the defaults. Relative paths in it begin at its
// directory. Errors are *auth.FileError, or tell why the file can't be read.
func Load(path string) (*Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return parse(path, data)
}

func parse(path string, data []byte) (*Config, error) {
	c := Default()
	current := c.URL
	c.URL = ""
	if err := decode(path, data, c); err != nil {
		return nil, err
	}
	if err := c.uniqueUsers(); err != nil {
		return nil, err
	}
	if err := c.checkProfiles(); err != nil {
		return nil, err
	}
	if err := c.checkNetwork(); err != nil {
		return nil, err
	}
	if err := c.checkStores(); err != nil {
		return nil, err
	}
	if err := c.checkSources(); err != nil {
		return nil, err
	}
	for _, cert := range c.TLS.Certificates {
		if cert.Cert == "" {
			return nil, cert.position.wrap(errors.New("tls.certificates: cert is missing"))
		}
	}
	c.File = path
	dir := filepath.Dir(path)
	switch {
	case c.URL == "":
		c.URL = current
	case c.URL.IsPath():
		c.URL = URL(below(dir, string(c.URL)))
	}
	for _, u := range c.urls() {
		if *u != "" && u.IsPath() {
			*u = URL(below(dir, string(*u)))
		}
	}
	for _, f := range c.files() {
		if *f != "" {
			*f = Path(below(dir, string(*f)))
		}
	}
	return c, c.placeSources(dir)
}

// urls are the keys that name stores, apart from the first.
func (c *Config) urls() []*URL {
	var out []*URL
	for i := range c.Mounts {
		out = append(out, &c.Mounts[i].URL)
	}
	for i := range c.Users {
		out = append(out, &c.Users[i].URL)
	}
	return out
}

// files are the keys that name files.
func (c *Config) files() []*Path {
	t := &c.TLS
	out := []*Path{&c.Quota.State, &t.ACME.Cache, &t.ACME.CA, &t.ClientCertificates.CA}
	out = append(out, c.sourceFiles()...)
	for i := range c.UsersFiles {
		out = append(out, &c.UsersFiles[i])
	}
	for i := range t.Certificates {
		out = append(out, &t.Certificates[i].Cert, &t.Certificates[i].Key)
	}
	for i := range t.ClientCertificates.CRL {
		out = append(out, &t.ClientCertificates.CRL[i])
	}
	return out
}

func below(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

func (c *Config) uniqueUsers() error {
	first := map[UserName]position{}
	for i := range c.Users {
		u := &c.Users[i]
		switch at, taken := first[u.Name]; {
		case u.Name == "":
			return u.position.wrap(fmt.Errorf("users: the name is missing"))
		case taken:
			return u.position.wrap(fmt.Errorf("users: %q is already in line %d; delete one of the two", u.Name, at.line))
		case u.Password != "" && u.Hash.Given:
			return u.position.wrap(fmt.Errorf("users: %q has a password and a hash; delete one of the two", u.Name))
		}
		first[u.Name] = u.position
	}
	return nil
}

// Accounts are the users for auth.NewUsers. defaults holds what a user does not
// say.
func (c *Config) Accounts(defaults auth.Account) ([]auth.Account, error) {
	var out []auth.Account
	for i := range c.Users {
		u := &c.Users[i]
		a := defaults
		a.Name = string(u.Name)
		a.Disabled, a.Expires, a.RequireTLS = u.Disabled, u.Expires.Time, u.RequireTLS
		switch {
		case u.Password != "":
			a.Secret = auth.Plaintext(string(u.Password))
		case u.Hash.Given:
			a.Secret = u.Hash.Secret
		case c.TLS.ClientCertificates.Login == "alone":
			a.Secret = auth.NoPassword()
		default:
			return nil, u.position.wrap(fmt.Errorf("users: %q has no password; write password or hash, or give it in FTPGATE_USERS", u.Name))
		}
		if u.Home != "" {
			a.Home = string(u.Home)
		}
		a.Rate, a.UserRate, a.Sessions, a.LenientTLS = u.Rate.Rates, u.UserRate.Rates, int(u.Sessions), u.LenientTLS
		if u.ControlLost != "" {
			commit := u.ControlLost == "commit"
			a.CommitOnControlLost = &commit
		}
		if u.URL != "" {
			a.Store = string(u.URL)
		}
		if u.QuotaBytes != 0 {
			a.Quota.Bytes = int64(u.QuotaBytes)
		}
		if u.QuotaFiles != 0 {
			a.Quota.Files = int64(u.QuotaFiles)
		}
		a.FXP = u.FXP || a.FXP
		if u.Profile.Name != "" {
			a.Profile = u.Profile.Name
		}
		if u.Permissions.Given {
			a.EditPolicy().Permissions = u.Permissions.Permissions
		}
		if u.Policy.given() {
			if err := u.Policy.Apply(a.EditPolicy()); err != nil {
				return nil, err
			}
		}
		out = append(out, a)
	}
	return out, nil
}

// NeedRestart lists the keys in which b differs from c and that only a restart
// changes.
func (c *Config) NeedRestart(b *Config) []string {
	var out []string
	for key, changed := range map[string]bool{
		"url":                 c.URL != b.URL,
		"mounts":              !c.storesEqual(b),
		"stores":              c.Stores != b.Stores,
		"quota":               c.Quota != b.Quota,
		"listen":              !slices.Equal(c.Listen, b.Listen),
		"tls.implicit_listen": !slices.Equal(c.TLS.ImplicitListen, b.TLS.ImplicitListen),
		"tls.self_signed":     c.TLS.SelfSigned != b.TLS.SelfSigned,
		"tls.acme":            !c.TLS.ACME.equal(b.TLS.ACME),
		"data.passive_ports":  c.Data.PassivePorts != b.Data.PassivePorts,
		"log.format":          c.Log.Format != b.Log.Format,
	} {
		if changed {
			out = append(out, key)
		}
	}
	slices.Sort(out)
	return out
}
