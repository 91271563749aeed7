package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ftpgate/ftpgate/auth"
)

func TestSourceErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"- optional: true", "f:2:3: account_sources: an item is of one kind: write one of ldap, sql, http, exec and pam"},
		{"- pam: {}\n  exec: {command: /x}", "f:2:3: account_sources: an item is of one kind: write one of ldap, sql, http, exec and pam"},
		{"- ldapp: {}", `f:2:3: key "account_sources.ldapp" is unknown; is it ldap?`},
		{"- ldap: {urls: x}", `f:2:10: key "account_sources.ldap.urls" is unknown; is it url?`},
		{"- ldap: {url: 'ldap:/x'}", `f:2:15: account_sources.ldap.url: "ldap:/x" is not a server such as ldaps://ldap.example.org`},
		{"- ldap: {url: ldaps://a}", "f:2:3: account_sources.ldap: base: it is missing; write where the users are, or user_dn"},
		{"- ldap: {url: ldap://a, base: dc=a}", `f:2:3: account_sources.ldap: url: "ldap://a" would send passwords in clear; write ldaps, or start_tls: true`},
		{"- ldap: {url: ldaps://a, base: a.org}", `f:2:32: account_sources.ldap.base: "a.org" is not a DN such as cn=name,dc=example,dc=org`},
		{"- ldap:\n    url: ldaps://a\n    filter: (uid={user}", `f:4:13: account_sources.ldap.filter: "(uid={user}" is not a filter such as (uid={user}): `},
		{"- ldap:\n    user_dn: uid=x,dc=a", `f:3:14: account_sources.ldap.user_dn: "uid=x,dc=a" does not have {user}, the name of who logs in`},
		{"- ldap: {url: ldaps://a, base: dc=a, bind_dn: cn=b}", "f:2:3: account_sources.ldap: bind_dn: the service account has no password; write bind_password_env or bind_password_file"},
		{"- ldap:\n    url: ldaps://a\n    base: dc=a\n    attributes: {shell: x}", `f:5:18: account_sources.ldap.attributes: key "shell" is unknown; there are perm, `},
		{"- ldap:\n    url: ldaps://a\n    base: dc=a\n    attributes: {home: a b}", `f:5:24: account_sources.ldap.attributes: "a b" is not the name of an attribute`},
		{"- ldap:\n    attributes: home", "f:3:17: account_sources.ldap.attributes: keys with values are wanted here"},
		{"- ldap:\n    attributes: {home: [a]}", "f:3:24: account_sources.ldap.attributes.home: one value is wanted here, not a list or keys"},
		{"- pam:\n  defaults:\n    home: x", `f:4:11: account_sources.defaults: home "x" does not begin with / (which is the top of what is served)`},
		{"- pam:\n  defaults:\n    hom: /x", `f:4:5: account_sources.defaults: key "hom" is unknown; there are perm, `},
		{"- pam:\n  defaults:\n    fxp: perhaps", `f:4:10: account_sources.defaults: fxp is "perhaps", not true or false`},
		{"- sql: {query: SELECT 1}", `f:2:16: account_sources.sql.query: the query does not use $1, the name of the user`},
		{"- sql: {database: mysql://x}", `f:2:19: account_sources.sql.database: this is no database; write postgres://USER@HOST/DATABASE?sslmode=verify-full, or sqlite:FILE`},
		{"- sql: {database: 'sqlite:x'}", "f:2:3: account_sources.sql: query is missing"},
		{"- sql: {query: SELECT $1}", "f:2:3: account_sources.sql: database is missing"},
		{"- sql: {timeout: off}", `f:2:18: account_sources.sql.timeout: "off" is not a duration such as 500ms or 5s`},
		{"- sql: {concurrency: 0}", `f:2:22: account_sources.sql.concurrency: "0" is not a number from 1 to 32767`},
		{"- http: {url: http://example.org}", `f:2:15: account_sources.http.url: "http://example.org" would send passwords in clear; write https`},
		{"- http: {}", "f:2:3: account_sources.http: url is missing"},
		{"- http: {url: https://a, key: k}", "f:2:3: account_sources.http: there is a key, but cert is missing"},
		{"- http: {token_env: a=b}", "f:2:21: account_sources.http.token_env: this is not the name of an environment variable, such as FTPGATE_SECRET"},
		{"- exec:", "f:2:3: account_sources.exec: command is missing"},
	} {
		_, err := parse("f", []byte("account_sources:\n"+c.text+"\n"))
		if err == nil || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s\n got %v\nwant %s", c.text, err, c.want)
		}
	}
}

func TestSecrets(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"good": "s3cret\r\n", "bare": "s3cret", "empty": "\n", "two": "a\nb\n", "nul": "a\x00"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "ftpgate.yaml")
	env := map[string]string{"GOOD": "s3cret"}
	for keys, want := range map[string]string{
		"token_env: GOOD":                   "",
		"token_file: good":                  "",
		"token_file: bare":                  "",
		"token_env: BAD":                    "account_sources.http: token_env: the environment variable BAD is not set",
		"token_file: missing":               "account_sources.http: token_file: open " + dir + "/missing: no such file or directory",
		"token_file: empty":                 "account_sources.http: token_file: " + dir + "/empty does not hold one line with the secret",
		"token_file: two":                   "account_sources.http: token_file: " + dir + "/two does not hold one line with the secret",
		"token_file: nul":                   "account_sources.http: token_file: " + dir + "/nul does not hold one line with the secret",
		"token_file: good, token_env: GOOD": "account_sources.http: there are token_env and token_file; delete one of the two",
	} {
		c, err := parse(path, []byte("account_sources:\n- http: {url: https://a, "+keys+"}\n"))
		if err != nil {
			t.Fatal(err)
		}
		err = c.ApplyEnvironment(func(key string) string { return env[key] })
		switch {
		case want != "" && (err == nil || err.Error() != path+":2:3: "+want):
			t.Errorf("%s: %v", keys, err)
		case want == "" && (err != nil || c.AccountSources[0].HTTP.Token != "s3cret"):
			t.Errorf("%s: %v, %q", keys, err, string(c.AccountSources[0].HTTP.Token))
		case want == "" && strings.Contains(fmt.Sprintf("%v %+v %#v", c.AccountSources[0].HTTP, c.AccountSources[0].HTTP, c.AccountSources[0].HTTP), "s3cret"):
			t.Errorf("the secret is printed: %+v", c.AccountSources[0].HTTP)
		}
	}
}

// What a source does not say is that of its defaults, and then that of all.
func TestSourceDefaults(t *testing.T) {
	c, err := parse("f", []byte("account_sources:\n- pam: {}\n  defaults: {home: /x, require_tls: true, perm: elr}\n"))
	if err != nil {
		t.Fatal(err)
	}
	a, err := c.AccountSources[0].Account(auth.Account{Settings: auth.Settings{Rate: auth.Both(7), FXP: true}})
	if err != nil || a.Home != "/x" || !a.RequireTLS || !a.FXP || a.Rate != auth.Both(7) || a.Policy.Permissions != auth.ReadOnly {
		t.Errorf("%+v, %v", a, err)
	}
	if s := c.AccountSources[0].PAM; s.Service != "ftpgate" || s.Concurrency != 16 {
		t.Errorf("%+v", s)
	}
}
