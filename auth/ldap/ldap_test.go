package ldap

import (
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"
	"go.uber.org/goleak"

	"github.com/ftpgate/ftpgate/auth"
)

// What needs a server is in integration/, against OpenLDAP.

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCheck(t *testing.T) {
	good := Options{URLs: []string{"ldaps://a", "ldap://127.0.0.1:1389", "ldapi:///run/slapd.sock"}, Base: "dc=example,dc=org"}
	for _, c := range []struct {
		change func(*Options)
		want   string
	}{
		{func(*Options) {}, ""},
		{func(o *Options) { o.URLs = nil }, "url: there is no server"},
		{func(o *Options) { o.URLs = []string{"http://a"} }, `url: "http://a" is not a server such as ldaps://ldap.example.org`},
		{func(o *Options) { o.URLs = []string{"ldaps:///x"} }, `url: "ldaps:///x" is not a server such as ldaps://ldap.example.org`},
		{func(o *Options) { o.URLs = []string{"ldapi://"} }, `url: "ldapi://" is not a server such as ldaps://ldap.example.org`},
		{func(o *Options) { o.URLs = []string{"ldaps://a/dc=x"} }, `url: "ldaps://a/dc=x" goes on behind the host; write only ldaps://HOST`},
		{func(o *Options) { o.URLs = []string{"ldaps://u:secret@a"} }, "url: the URL holds a user name; write bind_dn"},
		{func(o *Options) { o.URLs = []string{"ldap://a"} }, `url: "ldap://a" would send passwords in clear; write ldaps, or start_tls: true`},
		{func(o *Options) { o.URLs, o.StartTLS = []string{"ldap://a"}, true }, ""},
		{func(o *Options) { o.URLs, o.ClearText = []string{"ldap://a"}, true }, ""},
		{func(o *Options) { o.Base = "" }, "base: it is missing; write where the users are, or user_dn"},
		{func(o *Options) { o.Base = "example.org" }, `base: "example.org" is not a DN such as cn=name,dc=example,dc=org`},
		{func(o *Options) { o.Base, o.UserDN = "", "uid={user},dc=example" }, ""},
		{func(o *Options) { o.Base, o.UserDN = "", "{user}@example.org" }, "base: it is missing; user_dn is no DN, so the entry of the user must be looked for"},
		{func(o *Options) { o.UserDN = "{user}@example.org" }, ""},
		{func(o *Options) { o.UserDN = "uid=user,dc=example" }, `user_dn: "uid=user,dc=example" does not have {user}, the name of who logs in`},
		{func(o *Options) { o.UserDN, o.BindDN = "uid={user},dc=x", "cn=a" }, "bind_dn: user_dn binds as the user; delete one of the two"},
		{func(o *Options) { o.BindDN = "cn=a" }, "bind_dn: the service account has no password; write bind_password_env or bind_password_file"},
		{func(o *Options) { o.BindPassword = "secret" }, "bind_dn: there is a password for it, but it is missing"},
		{func(o *Options) { o.Filter = "(uid={user}" }, `filter: "(uid={user}" is not a filter such as (uid={user}): `},
		{func(o *Options) { o.Filter = "uid" }, `filter: "uid" is not a filter such as (uid={user}): `},
		{func(o *Options) { o.Filter = "(uid=user)" }, `filter: "(uid=user)" does not have {user}, the name of who logs in`},
		{func(o *Options) { o.Base, o.UserDN, o.Filter = "", "uid={user},dc=x", "(uid={user})" }, "filter: it is for a search; write base, too"},
		{func(o *Options) { o.UserAttribute = "u id" }, `user_attribute: "u id" is not the name of an attribute`},
		{func(o *Options) { o.Groups = []string{"ftp"} }, `groups: "ftp" is not a DN such as cn=name,dc=example,dc=org`},
		{func(o *Options) { o.Attributes = map[string]string{"shell": "x"} }, `attributes: key "shell" is unknown; there are `},
		{func(o *Options) { o.Attributes = map[string]string{"home": "a b"} }, `attributes: home: "a b" is not the name of an attribute`},
	} {
		opt := good
		c.change(&opt)
		_, err := New(opt)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}

func TestUserDN(t *testing.T) {
	dn, other := Options{UserDN: "uid={user},dc=x"}, Options{UserDN: "{user}@example.org"}
	for user, want := range map[string]string{"alice": "uid=alice,dc=x", "a,dc=evil": `uid=a\,dc\=evil,dc=x`, "#a+b": `uid=\#a\+b,dc=x`} {
		got, err := dn.userDN(user)
		if parsed, e := ldap.ParseDN(got); err != nil || e != nil || len(parsed.RDNs) != 2 || parsed.RDNs[0].Attributes[0].Value != user {
			t.Errorf("%s: %s, %v, %v; want %s", user, got, err, e, want)
		}
	}
	if got, err := other.userDN("alice"); err != nil || got != "alice@example.org" {
		t.Error(got, err)
	}
	for _, user := range []string{"alice@evil.org", `EVIL\alice`, "a/b"} {
		if got, err := other.userDN(user); err == nil {
			t.Errorf("%s: %s", user, got)
		}
	}
}

func TestAccount(t *testing.T) {
	opt := Options{UserAttribute: "uid", Attributes: map[string]string{"home": "ftpHome", "disabled": "locked", "expires": "until"},
		Defaults: auth.Account{Settings: auth.Settings{Home: "/preset", Rate: auth.Both(7)}}}
	for _, c := range []struct {
		attributes map[string][]string
		want       string
		holds      func(*auth.Account) bool
	}{
		{map[string][]string{"UID": {"alice"}}, "", func(a *auth.Account) bool { return a.Name == "alice" && a.Home == "/preset" && a.Rate == auth.Both(7) }},
		{map[string][]string{"uid": {"first", "Alice"}, "FTPHOME": {"/x"}, "locked": {"TRUE"}}, "", func(a *auth.Account) bool { return a.Name == "Alice" && a.Home == "/x" && a.Disabled }},
		{map[string][]string{"uid": {"a"}, "until": {"20300131120000Z"}}, "", func(a *auth.Account) bool { return a.Expires.Unix() == 1896091200 }},
		{map[string][]string{"uid": {"a"}, "until": {"20300131120000+0100"}}, "", func(a *auth.Account) bool { return a.Expires.Unix() == 1896087600 }},
		{map[string][]string{"uid": {"a"}, "until": {"21945"}}, "", func(a *auth.Account) bool { return a.Expires.Unix() == 1896048000 }},
		{map[string][]string{"uid": {"a"}, "until": {"135405648000000000"}}, "", func(a *auth.Account) bool { return a.Expires.Unix() == 1896091200 }},
		{map[string][]string{"uid": {"a"}, "until": {"9223372036854775807"}}, "", func(a *auth.Account) bool { return a.Expires.IsZero() }},
		{map[string][]string{"uid": {"a"}, "until": {"-1"}}, "", func(a *auth.Account) bool { return a.Expires.IsZero() }},
		{map[string][]string{"uid": {"a"}, "until": {"2030-01-31"}}, "", func(a *auth.Account) bool { return a.Expires.Year() == 2030 }},
		{map[string][]string{"uid": {"a"}, "until": {"soon"}}, `cn=x, attribute until: "soon" is not a date`, nil},
		{map[string][]string{"uid": {"a"}, "ftpHome": {"/x", "/y"}}, "cn=x has several values of ftpHome", nil},
		{map[string][]string{"uid": {"a"}, "ftpHome": {"x"}}, `cn=x, attribute ftpHome: home "x" does not begin with /`, nil},
		{map[string][]string{"uid": {"a:b"}}, `cn=x, attribute uid: user name "a:b" has a colon`, nil},
		{nil, "cn=x has no attribute uid; user_attribute must name the one with the user's name", nil},
	} {
		a, err := opt.account("alice", ldap.NewEntry("cn=x", c.attributes))
		if c.want == "" && (err != nil || !c.holds(a)) || c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)) {
			t.Errorf("%v: %+v, %v", c.attributes, a, err)
		}
	}
}
