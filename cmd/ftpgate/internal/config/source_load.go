package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ftpgate/ftpgate/auth"
	"github.com/ftpgate/ftpgate/auth/ldap"
	"github.com/ftpgate/ftpgate/auth/sql"
)

// Kind is the key of the source's kind, "" if there is not exactly one.
func (s *AccountSource) Kind() string {
	kind := ""
	for name, given := range map[string]bool{"ldap": s.LDAP != nil, "sql": s.SQL != nil, "http": s.HTTP != nil, "exec": s.Exec != nil, "pam": s.PAM != nil} {
		switch {
		case given && kind != "":
			return ""
		case given:
			kind = name
		}
	}
	return kind
}

// At makes err one of this source.
func (s *AccountSource) At(err error) error {
	return s.wrap(fmt.Errorf("account_sources.%s: %w", s.Kind(), err))
}

// Account is preset with the defaults of the source.
func (s *AccountSource) Account(preset auth.Account) (auth.Account, error) {
	for _, p := range s.Defaults {
		if err := auth.CheckSetting(p.Key); err != nil {
			return preset, p.keyAt.wrap(fmt.Errorf("account_sources.defaults: %w", err))
		}
		if err := preset.SetAttribute(p.Key, p.Value); err != nil {
			return preset, p.valueAt.wrap(fmt.Errorf("account_sources.defaults: %w", err))
		}
	}
	return preset, nil
}

// checkSources is what only shows when all keys have been read.
func (c *Config) checkSources() error {
	for i := range c.AccountSources {
		s := &c.AccountSources[i]
		if s.Kind() == "" {
			return s.wrap(errors.New("account_sources: an item is of one kind: write one of ldap, sql, http, exec and pam"))
		}
		if _, err := s.Account(auth.Account{}); err != nil {
			return err
		}
		if s.LDAP != nil {
			if err := s.LDAP.checkAttributes(); err != nil {
				return err
			}
		}
		if err := s.check(); err != nil {
			return s.At(err)
		}
	}
	return nil
}

// checkAttributes says which setting or attribute can't be.
func (l *LDAP) checkAttributes() error {
	for _, p := range l.Attributes {
		if err := auth.CheckSetting(p.Key); err != nil {
			return p.keyAt.wrap(fmt.Errorf("account_sources.ldap.attributes: %w", err))
		}
		if err := ldap.CheckAttribute(p.Value); err != nil {
			return p.valueAt.wrap(fmt.Errorf("account_sources.ldap.attributes: %w", err))
		}
	}
	return nil
}

// check says which keys are missing or contradict each other.
func (s *AccountSource) check() error {
	switch {
	case s.LDAP != nil:
		return s.LDAP.check()
	case s.SQL != nil && s.SQL.Database == "":
		return errors.New("database is missing")
	case s.SQL != nil && s.SQL.Query == "":
		return errors.New("query is missing")
	case s.HTTP != nil && s.HTTP.URL == "":
		return errors.New("url is missing")
	case s.HTTP != nil && s.HTTP.Key != "" && s.HTTP.Cert == "":
		return errors.New("there is a key, but cert is missing")
	case s.Exec != nil && (len(s.Exec.Command) == 0 || s.Exec.Command[0] == ""):
		return errors.New("command is missing")
	}
	return nil
}

func (l *LDAP) check() error {
	opt := l.Options()
	if l.BindPasswordEnv != "" || l.BindPasswordFile != "" {
		opt.BindPassword = "given later"
	}
	_, err := ldap.New(opt)
	return err
}

// Options are l for auth/ldap, without what is read from files.
func (l *LDAP) Options() ldap.Options {
	opt := ldap.Options{
		StartTLS: l.StartTLS, ClearText: l.ClearText, Timeout: time.Duration(l.Timeout), Concurrency: int(l.Concurrency),
		BindDN: l.BindDN, BindPassword: string(l.BindPassword), UserDN: string(l.UserDN), Base: string(l.Base), Filter: string(l.Filter),
		UserAttribute: string(l.UserAttribute), Attributes: l.Attributes.Map(),
	}
	for _, u := range l.URL {
		opt.URLs = append(opt.URLs, string(u))
	}
	for _, g := range l.Groups {
		opt.Groups = append(opt.Groups, string(g))
	}
	return opt
}

// sourceFiles are the keys of account sources that name files.
func (c *Config) sourceFiles() []*Path {
	var out []*Path
	for i := range c.AccountSources {
		s := &c.AccountSources[i]
		if l := s.LDAP; l != nil {
			out = append(out, &l.CA, &l.BindPasswordFile)
		}
		if p := s.PAM; p != nil {
			out = append(out, &p.ConfDir)
		}
		if q := s.SQL; q != nil {
			out = append(out, &q.PasswordFile)
		}
		if h := s.HTTP; h != nil {
			out = append(out, &h.TokenFile, &h.CA, &h.Cert, &h.Key)
		}
	}
	return out
}

// placeSources lets relative paths that are part of other values begin at dir.
func (c *Config) placeSources(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	for i := range c.AccountSources {
		s := &c.AccountSources[i]
		if s.SQL != nil {
			if path, ok := sql.SQLiteFile(string(s.SQL.Database)); ok {
				s.SQL.Database = Database(sql.SQLite(below(dir, path)))
			}
		}
		if s.Exec != nil {
			s.Exec.Command[0] = below(dir, s.Exec.Command[0])
		}
	}
	return nil
}

// readSecrets reads the passwords and tokens of account sources.
func (c *Config) readSecrets(getenv func(string) string) error {
	for i := range c.AccountSources {
		s := &c.AccountSources[i]
		var err error
		switch {
		case s.LDAP != nil:
			s.LDAP.BindPassword, err = secret("bind_password", s.LDAP.BindPasswordEnv, s.LDAP.BindPasswordFile, getenv)
		case s.SQL != nil:
			s.SQL.Password, err = secret("password", s.SQL.PasswordEnv, s.SQL.PasswordFile, getenv)
		case s.HTTP != nil:
			s.HTTP.Token, err = secret("token", s.HTTP.TokenEnv, s.HTTP.TokenFile, getenv)
		}
		if err != nil {
			return s.At(err)
		}
	}
	return nil
}

// secret is the content of an environment variable, or the first line of a file.
func secret(key string, env EnvName, file Path, getenv func(string) string) (Password, error) {
	const longest = 64 << 10
	switch {
	case env != "" && file != "":
		return "", fmt.Errorf("there are %[1]s_env and %[1]s_file; delete one of the two", key)
	case env != "":
		if v := getenv(string(env)); v != "" {
			return Password(v), nil
		}
		return "", fmt.Errorf("%s_env: the environment variable %s is not set", key, env)
	case file == "":
		return "", nil
	}
	data, err := os.ReadFile(string(file))
	if err != nil {
		return "", fmt.Errorf("%s_file: %w", key, err)
	}
	line, rest, _ := strings.Cut(string(data), "\n")
	line = strings.TrimSuffix(line, "\r")
	if line == "" || strings.TrimSpace(rest) != "" || len(data) > longest || slices.Contains(data, 0) {
		return "", fmt.Errorf("%s_file: %s does not hold one line with the secret", key, file)
	}
	return Password(line), nil
}
