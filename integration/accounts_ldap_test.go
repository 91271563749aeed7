package integration

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/ftpgate/ftpgate/auth"
	"github.com/ftpgate/ftpgate/auth/ldap"
	"github.com/ftpgate/ftpgate/integration/internal/daemon"
)

const (
	suffix      = "dc=example,dc=org"
	people      = "ou=people," + suffix
	serviceDN   = "cn=ftpgate,ou=services," + suffix
	servicePass = "s3rvice"
)

// person is an entry; its password is "secret NAME".
func person(name, more string) string {
	return fmt.Sprintf(`dn: uid=%[1]s,%[2]s
objectClass: inetOrgPerson
objectClass: posixAccount
objectClass: shadowAccount
uid: %[1]s
cn: %[1]s
sn: %[1]s
uidNumber: 1000
gidNumber: 1000
homeDirectory: /home
%[3]s
`, name, people, strings.TrimSpace("userPassword: secret "+name+"\n"+more)+"\n")
}

func ldif(entries string) string {
	return `dn: ` + suffix + `
objectClass: domain
dc: example

dn: ` + people + `
objectClass: organizationalUnit
ou: people

dn: cn=policy,` + suffix + `
objectClass: device
objectClass: pwdPolicy
cn: policy
pwdAttribute: userPassword
pwdLockout: TRUE

dn: ou=services,` + suffix + `
objectClass: organizationalUnit
ou: services

dn: ` + serviceDN + `
objectClass: applicationProcess
objectClass: simpleSecurityObject
cn: ftpgate
userPassword: ` + servicePass + `

dn: ou=elsewhere,` + suffix + `
objectClass: referral
objectClass: extensibleObject
ou: elsewhere
ref: ldap://127.0.0.1:1/ou=elsewhere,dc=example,dc=net

dn: ou=secret,` + suffix + `
objectClass: organizationalUnit
ou: secret

dn: uid=hidden,ou=secret,` + suffix + `
objectClass: inetOrgPerson
uid: hidden
cn: hidden
sn: hidden
userPassword: secret hidden

` + entries
}

// everybody are the entries of TestLDAP.
func everybody() string {
	return person("alice", "departmentNumber: 2M\nmail: alice@example.org") + person("bob", "mail: twin@example.org") + person("carol", "mail: twin@example.org") +
		person("o*)(uid=b", "") + person("disabled", "employeeType: TRUE") + person("expired", "shadowExpire: 18262") + person("lasting", "shadowExpire: -1") +
		person("locked", "pwdAccountLockedTime: 000001010000Z") +
		strings.Replace(person("unset", ""), "userPassword: secret unset\n", "", 1) + `
dn: cn=members,` + suffix + `
objectClass: groupOfNames
cn: members
member: uid=alice,` + people + `

dn: cn=unique,` + suffix + `
objectClass: groupOfUniqueNames
cn: unique
uniqueMember: uid=bob,` + people + `

dn: cn=posix,` + suffix + `
objectClass: posixGroup
cn: posix
gidNumber: 7
memberUid: carol
`
}

func startSlapdOfPeople(t *testing.T, files *tlsFiles) *daemon.Slapd {
	t.Helper()
	return startSlapd(t, files, person("right", "")+person("disabled", "employeeType: TRUE")+person("expired", "shadowExpire: 18262")+
		strings.Replace(person("empty", ""), "userPassword: secret empty\n", "", 1))
}

func startSlapd(t *testing.T, files *tlsFiles, entries string) *daemon.Slapd {
	t.Helper()
	s, err := daemon.StartSlapd(daemon.SlapdConfig{Dir: t.TempDir(), Suffix: suffix, LDIF: ldif(entries), Cert: files.server, CA: files.ca, Overlays: "overlay ppolicy\nppolicy_default cn=policy," + suffix})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.Output())
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// reason is what the log tells of a refusal.
func reason(err error) string {
	if v, ok := err.(slog.LogValuer); ok {
		return v.LogValue().String()
	}
	return fmt.Sprint(err)
}

// A session stands or falls with what the directory says by now, as far as the service
// account can ask.
func TestLDAPRecheck(t *testing.T) {
	files := newTLSFiles(t)
	slapd := startSlapd(t, files, everybody())
	search := ldap.Options{URLs: []string{slapd.Socket}, BindDN: serviceDN, BindPassword: servicePass, Base: people, Timeout: time.Minute,
		Attributes: map[string]string{"disabled": "employeeType", "expires": "shadowExpire"}}
	members, byMail, direct, down := search, search, search, search
	members.Groups = []string{"cn=members," + suffix}
	byMail.Filter = "(mail={user})"
	direct.BindDN, direct.BindPassword, direct.UserDN = "", "", "uid={user},"+people
	down.URLs = []string{"ldap://127.0.0.1:1"}
	for _, c := range []struct {
		what string
		opt  ldap.Options
		user string
		want error
	}{
		{"who is there", search, "alice", nil},
		{"who was removed", search, "zoe", auth.ErrUnknownUser},
		{"who was disabled", search, "disabled", auth.ErrDenied},
		{"who has expired", search, "expired", auth.ErrDenied},
		{"a member", members, "alice", nil},
		{"no member any more", members, "bob", auth.ErrDenied},
		{"a filter by another name", byMail, "alice", errors.ErrUnsupported},
		{"removed, with such a filter", byMail, "zoe", auth.ErrUnknownUser},
		{"what only users may ask", direct, "alice", errors.ErrUnsupported},
		{"a server that is down", down, "alice", auth.ErrUnavailable},
	} {
		source, err := ldap.New(c.opt)
		if err != nil {
			t.Fatal(err)
		}
		if err := source.Recheck(t.Context(), &auth.Principal{Name: c.user}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
	}
}

func TestLDAP(t *testing.T) {
	files := newTLSFiles(t)
	slapd := startSlapd(t, files, everybody())
	trusted := &tls.Config{RootCAs: files.pool}
	search := ldap.Options{URLs: []string{slapd.LDAPS}, TLS: trusted, BindDN: serviceDN, BindPassword: servicePass, Base: people, Timeout: time.Minute,
		Attributes: map[string]string{"home": "homeDirectory", "disabled": "employeeType", "expires": "shadowExpire", "rate": "departmentNumber"}}
	direct := search
	direct.BindDN, direct.BindPassword, direct.Base, direct.UserDN = "", "", "", "uid={user},"+people
	with := func(opt ldap.Options, change func(*ldap.Options)) ldap.Options {
		change(&opt)
		return opt
	}
	none := func(*ldap.Options) {}
	for _, c := range []struct {
		what           string
		opt            ldap.Options
		user, password string
		want           error
		says           string // the reason, or for who is let in the name
	}{
		{"search", search, "alice", "secret alice", nil, "alice"},
		{"search", search, "ALICE", "secret alice", nil, "alice"},
		{"search", search, "alice", "wrong", auth.ErrDenied, "Invalid Credentials"},
		{"search", search, "alice", "", auth.ErrDenied, "the password is empty"},
		{"search", search, "nobody", "x", auth.ErrUnknownUser, ""},
		{"search", search, "nobody", "", auth.ErrDenied, "the password is empty"},
		{"search", search, "*", "secret alice", auth.ErrUnknownUser, ""},
		{"search", search, "alic*", "secret alice", auth.ErrUnknownUser, ""},
		{"search", search, "alice)(cn=*", "secret alice", auth.ErrUnknownUser, ""},
		{"search", search, `\61lice`, "secret alice", auth.ErrUnknownUser, ""},
		{"search", search, "al\x00ice", "secret alice", auth.ErrUnknownUser, ""},
		{"search", search, "al\xffice", "secret alice", auth.ErrUnknownUser, ""},
		{"search", search, "o*)(uid=b", "secret o*)(uid=b", nil, "o*)(uid=b"},
		{"search", search, "disabled", "secret disabled", auth.ErrDenied, "the account is disabled"},
		{"search", search, "expired", "secret expired", auth.ErrDenied, "the account expired on 2020-01-01"},
		{"search", search, "lasting", "secret lasting", nil, "lasting"},
		{"search", search, "locked", "secret locked", auth.ErrDenied, "Invalid Credentials"},
		{"search", search, "unset", "", auth.ErrDenied, "the password is empty"},
		{"search", search, "unset", "x", auth.ErrDenied, "Inappropriate Authentication|Invalid Credentials"},
		{"search", search, "hidden", "secret hidden", auth.ErrUnknownUser, ""},

		{"direct", direct, "alice", "secret alice", nil, "alice"},
		{"direct", direct, "ALICE", "secret alice", nil, "alice"},
		{"direct", direct, "alice", "wrong", auth.ErrDenied, "Invalid Credentials"},
		{"direct", direct, "alice", "", auth.ErrDenied, "the password is empty"},
		{"direct", direct, "nobody", "x", auth.ErrDenied, "Invalid Credentials"},
		{"direct", direct, "alice," + people, "secret alice", auth.ErrDenied, "Invalid Credentials"},
		{"direct", direct, "o*)(uid=b", "secret o*)(uid=b", nil, "o*)(uid=b"},
		{"direct", direct, "disabled", "secret disabled", auth.ErrDenied, "the account is disabled"},
		{"direct", direct, "expired", "secret expired", auth.ErrDenied, "the account expired on 2020-01-01"},
		{"direct, unreadable", with(direct, func(o *ldap.Options) { o.UserDN = "uid={user},ou=secret," + suffix }), "hidden", "secret hidden", auth.ErrUnavailable, "may not read their own entry|No Such Object"},
		{"direct, then search", with(direct, func(o *ldap.Options) { o.Base, o.Filter = suffix, "(&(mail=*)(uid={user}))" }), "alice", "secret alice", nil, "alice"},
		{"direct, then search", with(direct, func(o *ldap.Options) { o.Base, o.Filter = suffix, "(&(mail=*)(uid={user}))" }), "lasting", "secret lasting", auth.ErrDenied, "no entry that the filter finds"},

		{"StartTLS", with(search, func(o *ldap.Options) { o.URLs, o.StartTLS = []string{slapd.LDAP}, true }), "alice", "secret alice", nil, "alice"},
		{"clear, on this machine", with(search, func(o *ldap.Options) { o.URLs = []string{slapd.LDAP} }), "alice", "secret alice", nil, "alice"},
		{"socket", with(search, func(o *ldap.Options) { o.URLs = []string{slapd.Socket} }), "alice", "secret alice", nil, "alice"},
		{"unknown authority", with(search, func(o *ldap.Options) { o.TLS = nil }), "alice", "secret alice", auth.ErrUnavailable, "TLS: tls: failed to verify certificate"},
		{"unknown authority", with(search, func(o *ldap.Options) { o.TLS, o.URLs, o.StartTLS = nil, []string{slapd.LDAP}, true }), "alice", "secret alice", auth.ErrUnavailable, "StartTLS: "},
		{"another host", with(search, func(o *ldap.Options) { o.URLs = []string{strings.Replace(slapd.LDAPS, "127.0.0.1", "127.0.0.2", 1)} }), "alice", "secret alice", auth.ErrUnavailable, "refused|not 127.0.0.2"},

		{"member", with(search, func(o *ldap.Options) { o.Groups = []string{"cn=members," + suffix} }), "alice", "secret alice", nil, "alice"},
		{"member", with(search, func(o *ldap.Options) { o.Groups = []string{"cn=members," + suffix} }), "bob", "secret bob", auth.ErrDenied, "the user is in none of the groups"},
		{"member", with(search, func(o *ldap.Options) { o.Groups = []string{"cn=members," + suffix, "cn=unique," + suffix} }), "bob", "secret bob", nil, "bob"},
		{"memberUid", with(search, func(o *ldap.Options) { o.Groups = []string{"cn=posix," + suffix} }), "carol", "secret carol", nil, "carol"},
		{"memberUid", with(direct, func(o *ldap.Options) { o.Groups = []string{"cn=posix," + suffix} }), "carol", "secret carol", nil, "carol"},
		{"no such group", with(search, func(o *ldap.Options) { o.Groups = []string{"cn=missing," + suffix} }), "alice", "secret alice", auth.ErrUnavailable, "group cn=missing,dc=example,dc=org: "},

		{"by mail", with(search, func(o *ldap.Options) { o.Filter = "(mail={user})" }), "alice@example.org", "secret alice", nil, "alice"},
		{"two entries", with(search, func(o *ldap.Options) { o.Filter = "(mail={user})" }), "twin@example.org", "secret bob", auth.ErrUnavailable, `the filter finds several entries for user "twin@example.org"`},
		{"referral", with(search, func(o *ldap.Options) { o.Base = "ou=elsewhere," + suffix }), "alice", "secret alice", auth.ErrUnavailable, "the server refers to another one"},
		{"a reference among the results", with(search, func(o *ldap.Options) { o.Base = suffix }), "alice", "secret alice", nil, "alice"},
		{"no such base", with(search, func(o *ldap.Options) { o.Base = "ou=missing," + suffix }), "alice", "secret alice", auth.ErrUnavailable, "searching ou=missing,dc=example,dc=org: "},
		{"service password", with(search, func(o *ldap.Options) { o.BindPassword = "wrong" }), "alice", "secret alice", auth.ErrUnavailable, "the service account " + serviceDN + " can't log in: "},
		{"no such attribute", with(search, func(o *ldap.Options) { o.UserAttribute, o.Filter = "employeeNumber", "(uid={user})" }), "alice", "secret alice", auth.ErrUnavailable, "has no attribute employeeNumber"},
		{"defaults", with(search, func(o *ldap.Options) { o.Defaults.Disabled = true }), "alice", "secret alice", auth.ErrDenied, "the account is disabled"},
		{"", with(search, none), "", "", auth.ErrUnknownUser, ""},
	} {
		s, err := ldap.New(c.opt)
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		p, err := s.Authenticate(t.Context(), auth.Attempt{User: c.user, Password: c.password})
		if !errors.Is(err, c.want) || (p == nil) != (c.want != nil) || c.want == auth.ErrDenied && errors.Is(err, auth.ErrUnknownUser) {
			t.Errorf("%s: %q/%q: %v, %v", c.what, c.user, c.password, p, reason(err))
			continue
		}
		if err == nil {
			if p.Name != c.says || p.Home != "/home" || c.says == "alice" && p.Rate != auth.Both(2<<20) {
				t.Errorf("%s: %q is %+v", c.what, c.user, p)
			}
			continue
		}
		says := false
		for text := range strings.SplitSeq(c.says, "|") {
			says = says || strings.Contains(reason(err), text)
		}
		if !says || strings.ContainsAny(reason(err), "\n\x00") {
			t.Errorf("%s: %q/%q is logged as %q, not %q", c.what, c.user, c.password, reason(err), c.says)
		}
	}
	// The server would have let in whoever sends no password; it was never asked.
	if out := slapd.Output(); !strings.Contains(out, `BIND dn="uid=alice,`+people+`" mech=SIMPLE`) || strings.Contains(out, "method=128 anonymous") {
		t.Errorf("slapd's log:\n%s", out)
	}
}

// A server that is down, or that does not answer, is passed over, and stays passed over.
func TestLDAPFailover(t *testing.T) {
	files := newTLSFiles(t)
	slapd := startSlapd(t, files, everybody())
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead.Close()
	mute, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts, nobody answers
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	closing, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan struct{}, 16)
	go func() {
		for {
			conn, err := closing.Accept()
			if err != nil {
				close(asked)
				return
			}
			asked <- struct{}{}
			conn.Close()
		}
	}()
	opt := ldap.Options{URLs: []string{"ldap://" + dead.Addr().String(), "ldap://" + closing.Addr().String(), slapd.LDAP},
		BindDN: serviceDN, BindPassword: servicePass, Base: people, Timeout: time.Minute}
	s, err := ldap.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	try := auth.Attempt{User: "alice", Password: "secret alice"}
	for range 3 {
		if _, err := s.Authenticate(t.Context(), try); err != nil {
			t.Error(err)
		}
	}
	if err := s.Probe(t.Context()); err != nil {
		t.Error(err)
	}
	closing.Close()
	n := 0
	for range asked {
		n++
	}
	if n != 1 {
		t.Errorf("the server that hangs up was asked %d times, not once", n)
	}

	opt.URLs = []string{"ldap://" + dead.Addr().String(), "ldap://" + mute.Addr().String()}
	opt.Timeout = 500 * time.Millisecond
	if s, err = ldap.New(opt); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{s.Probe(t.Context()), func() error { _, err := s.Authenticate(t.Context(), try); return err }()} {
		if !errors.Is(err, auth.ErrUnavailable) || !strings.Contains(err.Error(), dead.Addr().String()+": dial tcp") || !strings.Contains(err.Error(), mute.Addr().String()+": no answer within 500ms") {
			t.Error(err)
		}
	}
	hangUp := errors.New("the client hung up")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(hangUp)
	if _, err := s.Authenticate(ctx, try); !errors.Is(err, auth.ErrUnavailable) || !errors.Is(err, hangUp) {
		t.Error(err)
	}
}
