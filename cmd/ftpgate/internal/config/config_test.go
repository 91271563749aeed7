package config

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/ftpgate/ftpgate/auth"
)

const hash = "$2b$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2" // of "correct horse"

func TestDefault(t *testing.T) {
	c := Default()
	if c.URL != "." || len(c.Listen) != 1 || c.Listen[0] != "127.0.0.1:2121" || c.Anonymous != nil || c.Write ||
		c.Rate.Rates != auth.Both(-1) || c.Limits.Sessions != 20000 || c.Limits.PerAddress != 0 || c.Timeouts.Idle != Duration(5*time.Minute) ||
		c.Timeouts.Grace != Grace(30*time.Second) || c.Data.PassivePorts != (Ports{61000, 65535}) || !c.Data.Active ||
		!c.Data.Passive || c.TimeZone.Location != time.UTC || c.DefaultType.Letter() != 'A' || c.Log.Level.Slog() != 0 {
		t.Errorf("%+v", c)
	}
}

// forget takes all positions out of v.
func forget(v reflect.Value) {
	if x, ok := v.Addr().Interface().(located); ok {
		x.locate(position{})
	}
	if x, ok := v.Addr().Interface().(*Pair); ok {
		x.keyAt, x.valueAt = position{}, position{}
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			forget(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			forget(v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				forget(v.Field(i))
			}
		}
	}
}

// The file in testdata uses every key; what it says arrives.
func TestLoadEveryKey(t *testing.T) {
	c, err := Load(filepath.Join("testdata", "full.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range c.Users {
		u := &c.Users[i]
		if u.position.line == 0 {
			t.Errorf("user %s has no position", u.Name)
		}
		if u.Hash.Given && reflect.DeepEqual(u.Hash.Secret, auth.Secret{}) {
			t.Errorf("user %s has no secret", u.Name)
		}
		u.Hash.Secret = auth.Secret{}
	}
	for i := range c.TLS.Certificates {
		cert := &c.TLS.Certificates[i]
		if cert.position.line == 0 {
			t.Errorf("certificate %s has no position", cert.Cert)
		}
	}
	forget(reflect.ValueOf(c).Elem())
	// What is about policies and the defence has a test of its own.
	c.Users, c.Policy, c.Defence, c.SharedRates = c.Users[:3], Policy{}, Defence{}, SharedRates{}
	dir, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	yes := true
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		URL: "s3://bucket/prefix?endpoint=http://127.0.0.1:7070&region=eu-central-1",
		Mounts: []Mount{{Path: "/archive", URL: "testdata/archive", ReadOnly: true, Permissions: Permissions{auth.ReadOnly, true}, Names: "insensitive",
			QuotaBytes: 1 << 40, QuotaFiles: 1_000_000}},
		Stores:     Stores{"unicode", true, Duration(time.Minute), false},
		Quota:      Quota{10 << 30, 100, "testdata/quota"},
		Listen:     []Address{":2121", "[::1]:2122"},
		Anonymous:  &yes,
		Write:      true,
		UsersFiles: []Path{"testdata/users", "/etc/ftpgate/htpasswd"},
		AccountSources: []AccountSource{
			{Optional: true, Defaults: Pairs{{Key: "home", Value: "/ldap"}, {Key: "require_tls", Value: "true"}}, LDAP: &LDAP{
				URL: []LDAPServer{"ldap://ldap1.example.org", "ldaps://ldap2.example.org:6360"}, StartTLS: true, ClearText: true, CA: "testdata/ldap-ca.pem",
				BindDN: "cn=ftpgate,dc=example,dc=org", BindPasswordEnv: "LDAP_PASSWORD", BindPasswordFile: "testdata/ldap-password", Base: "ou=people,dc=example,dc=org",
				Filter: "(&(objectClass=person)(uid={user}))", UserAttribute: "cn", Groups: []DN{"cn=ftp,ou=groups,dc=example,dc=org"},
				Attributes: Pairs{{Key: "home", Value: "ftpHome"}, {Key: "disabled", Value: "locked"}}, Timeout: Timeout(time.Second), Concurrency: 2}},
			{LDAP: &LDAP{URL: []LDAPServer{"ldaps://dc.example.org"}, UserDN: "{user}@example.org", Base: "dc=example,dc=org", UserAttribute: "uid", Timeout: Timeout(5 * time.Second), Concurrency: 16}},
			{SQL: &SQL{Database: "postgres://ftpgate@db.example.org/accounts?sslmode=verify-full", PasswordEnv: "DB_PASSWORD", PasswordFile: "testdata/db-password",
				Query: "SELECT hash FROM users WHERE name = $1", Timeout: Timeout(2 * time.Second), Concurrency: 3}},
			{SQL: &SQL{Database: Database("sqlite:" + dir + "/accounts.db"), Query: "SELECT hash FROM users WHERE name = $1", Timeout: Timeout(5 * time.Second), Concurrency: 8}},
			{HTTP: &HTTP{URL: "https://accounts.example.org/login", TokenEnv: "TOKEN", TokenFile: "testdata/token", CA: "testdata/http-ca.pem", Cert: "testdata/http-cert.pem",
				Key: "testdata/http-key.pem", Timeout: Timeout(3 * time.Second), Concurrency: 4}},
			{Exec: &Exec{Command: []string{dir + "/check", "--fast"}, Timeout: Timeout(4 * time.Second), Concurrency: 5}},
			{PAM: &PAM{Service: "ftp", ConfDir: "testdata/pam.d", Timeout: Timeout(6 * time.Second), Concurrency: 6}},
		},
		TLS: TLS{
			Certificates: []Certificate{{Cert: "testdata/cert.pem", Key: "testdata/key.pem"}, {Cert: "/etc/ftpgate/both.pem"}},
			SelfSigned:   true,
			ACME: ACME{[]Domain{"ftp.example.org"}, "admin@example.org", "https://acme.example.org/directory", "testdata/acme", ":8080", ":8443",
				"testdata/acme-ca.pem"},
			Required:           "control",
			ImplicitListen:     []Address{":990"},
			MinVersion:         "1.3",
			Resumption:         "off",
			AllowCCC:           true,
			ClientCertificates: ClientCertificates{"testdata/ca.pem", []Path{"testdata/revoked.pem"}, "email", "alone", true},
		},
		Users: []User{
			{Name: "alice", Hash: Hash{Given: true}, Home: "/alice", URL: "s3://alices/{user}", QuotaBytes: 1 << 30, QuotaFiles: -1, Permissions: Permissions{auth.ReadOnly | auth.Store, true}, Rate: Rates{auth.Both(2 << 20)},
				Expires: Moment{time.Date(2030, 1, 31, 0, 0, 0, 0, time.UTC)}},
			{Name: "John Doe", Password: "0123", Rate: Rates{auth.Both(-1)}, Disabled: true},
			{Name: "carol", RequireTLS: true, Profile: ProfileName{Name: "camera"}, FXP: true},
		},
		Banner: "Welcome\nto the archive\n", TimeZone: TimeZone{berlin}, DefaultType: "binary", Rate: Rates{auth.Both(1536 << 10)},
		Limits:   Limits{100, 10, 4, 50, 20, 1024, 3, -1, 32 << 20, 1000, 16},
		Timeouts: Timeouts{Duration(20 * time.Second), Duration(2 * time.Second), -1, Duration(time.Hour), Duration(time.Second), Duration(2 * time.Minute), Duration(3 * time.Second), Duration(4 * time.Second), Duration(5 * time.Second), 0},
		Data: Data{Ports{50000, 50999}, "203.0.113.7", []ClientAddress{
			{Network{netip.MustParsePrefix("10.0.0.0/8")}, "", position{}}, {Network{netip.MustParsePrefix("192.0.2.7/32")}, "ftp.example.org", position{}},
		}, "network", "offer", false, true},
		Profile:  ProfileName{Name: "old"},
		Profiles: []Profile{{ProfileName{Name: "old"}, true, Charset{simplifiedchinese.GBK}, "insensitive", true, true, "year", "commit", true, position{}}},
		Hosts:    []HostName{"ftp.example.org", "[2001:db8::1]"},
		Proxy:    Proxy{[]Network{{netip.MustParsePrefix("192.0.2.0/24")}}, Duration(time.Second)},
		Uploads:  Uploads{"listing", "user+address", "commit", true},
		Log:      Log{"json", "debug"},
		File:     "testdata/full.yaml",
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
	// No key was forgotten in the file.
	data, err := os.ReadFile(filepath.Join("testdata", "full.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range document(t) {
		for _, key := range row.keys {
			last := key.path[strings.LastIndexByte(key.path, '.')+1:]
			if !strings.Contains(string(data), last+":") {
				t.Errorf("testdata/full.yaml does not use %s", key.path)
			}
		}
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"baner: hi", `f:1:1: key "baner" is unknown; is it banner?`},
		{"limits:\n  sesions: 3\n", `f:2:3: key "limits.sesions" is unknown; is it sessions?`},
		{"tls: {requird: all}", `f:1:7: key "tls.requird" is unknown; is it required?`},
		{"printers: {}", `f:1:1: key "printers" is unknown; known here are ` + strings.Join(keys(reflect.TypeFor[Config]()), ", ")},
		{"users:\n  - nam: x\n", `f:2:5: key "users.nam" is unknown; is it name?`},
		{"banner: a\nbanner: b", `f:2:1: mapping key "banner" already defined at [1:1]`},
		{"<<: {}", "f:1:1: merging keys with << is not supported; write them out"},
		{"write: yes", "f:1:8: write: write true or false"},
		{"write: 1", "f:1:8: write: write true or false"},
		{"rate:", "f:1:7: rate has no value; write one, or delete the line"},
		{"rate: fast", `f:1:7: rate: rate "fast" is not bytes a second such as 500K or 1.5M, nor off`},
		{"rate: 0", "f:1:7: rate: a rate of 0 lets nothing through; write off for no limit"},
		{"rate: [1, 2]", "f:1:7: rate: one value is wanted here, not a list or keys"},
		{"limits: 5", "f:1:9: limits: keys are wanted here, such as sessions: …"},
		{"- a", "f:1:1: keys are wanted here, such as url: …"},
		{"hello", "f:1:1: keys are wanted here, such as url: …"},
		{"limits:\n  sessions: 0", `f:2:13: limits.sessions: "0" is not a number above 0; write off for no limit`},
		{"limits:\n  sessions: -3", `f:2:13: limits.sessions: "-3" is not a number above 0; write off for no limit`},
		{"limits: {sessions: 99999999999}", `f:1:20: limits.sessions: "99999999999" is not a number above 0; write off for no limit`},
		{"timeouts:\n  idle: 30\n", `f:2:9: timeouts.idle: "30" is not a duration such as 30s or 5m; write off for no limit`},
		{"timeouts:\n  login: 0s\n", `f:2:10: timeouts.login: "0s" is not a duration such as 30s or 5m; write off for no limit`},
		{"timeouts:\n  grace: -1s\n", `f:2:10: timeouts.grace: "-1s" is not a duration such as 30s or 5m; write off for no limit`},
		{"listen:\n  - 127.0.0.1:2121\n  - 2121\n", `f:3:5: listen: "2121" is not HOST:PORT; write 127.0.0.1:2121, [::1]:2121, or :2121 for all addresses`},
		{"listen: ::1:2121", `f:1:9: listen: "::1:2121" is not HOST:PORT; write 127.0.0.1:2121, [::1]:2121, or :2121 for all addresses`},
		{"listen: :65536", `f:1:9: listen: "65536" is not a port from 0 to 65535 in ":65536"`},
		{"listen: {a: b}", "f:1:9: listen: a list is wanted here; begin each item with a dash"},
		{"users: alice", "f:1:8: users: keys are wanted here, such as name: …"},
		{"users:\n  - alice", "f:2:5: users: keys are wanted here, such as name: …"},
		{"users:\n  - password: x", "f:2:5: users: the name is missing"},
		{"users:\n  - name: a:b", `f:2:11: users.name: user name "a:b" has a colon`},
		{"users:\n  - {name: a, password: x}\n  - name: b\n  - password: y\n    name: a", `f:4:5: users: "a" is already in line 2; delete one of the two`},
		{"users:\n  - name: a\n    password: x\n    hash: '!'", `f:2:5: users: "a" has a password and a hash; delete one of the two`},
		{"users:\n  - name: a\n    password: ''", "f:3:15: users.password: the password is empty; an account without one can't be used"},
		{"users:\n  - name: a\n    password: ~", "f:3:15: users.password has no value; write one, or delete the line"},
		{"users:\n  - name: a\n    hash: secret", `f:3:11: users.hash: not a password hash; make one with "ftpgate passwd"`},
		{"users:\n  - name: a\n    home: a/b", `f:3:11: users.home: home "a/b" does not begin with / (which is the top of what is served)`},
		{"users:\n  - name: a\n    permissions: rw-", `f:3:18: users.permissions: behind + and - comes a name, as in elrw-overwrite`},
		{"users:\n  - name: a\n    expires: tomorrow", `f:3:14: users.expires: "tomorrow" is not a date such as 2027-01-31, or 2027-01-31T12:00:00Z`},
		{"data:\n  passive_ports: 5000", `f:2:18: data.passive_ports: "5000" is not a range of ports FROM-TO such as 50000-50999`},
		{"data:\n  passive_ports: 5000-4000", `f:2:18: data.passive_ports: "5000-4000" is not a range of ports FROM-TO such as 50000-50999`},
		{"data:\n  public_address: '2001:db8::1'", `f:2:19: data.public_address: "2001:db8::1" is not an IPv4 address such as 203.0.113.7 (PASV can tell no other)`},
		{"data:\n  public_address: 203.0.113", `f:2:19: data.public_address: "203.0.113" is neither an IPv4 address such as 203.0.113.7 nor a host name`},
		{"data:\n  public_addresses:\n    - address: 192.0.2.1", `f:3:7: data.public_addresses: clients is missing`},
		{"data:\n  public_addresses:\n    - clients: 192.0.2.1/24", `f:3:16: data.public_addresses.clients: "192.0.2.1/24" has bits behind its length; is it 192.0.2.0/24?`},
		{"proxy:\n  trusted: [10.0.0.0/33]", `f:2:13: proxy.trusted: "10.0.0.0/33" is not a network such as 192.0.2.0/24 or 2001:db8::/32, nor an address`},
		{"data:\n  peer_check: no", `f:2:15: data.peer_check: "no" is not one of exact, network, any`},
		{"data:\n  deflate: on", `f:2:12: data.deflate: "on" is not one of on_demand, offer, off`},
		{"hosts: a b", `f:1:8: hosts: "a b" is neither a host name nor an address`},
		{"limits: {hash_size: 5X}", `f:1:21: limits.hash_size: "5X" is not a number of bytes such as 500M or 64G, nor off`},
		{"profile: phone", `f:1:10: there is no device profile "phone"; there are camera, scanner, windows`},
		{"users:\n  - {name: a, password: b, profile: phone}", `f:2:37: there is no device profile "phone"; there are camera, scanner, windows`},
		{"profiles:\n  - make_parents: true", `f:2:5: profiles: the name is missing`},
		{"profiles:\n  - name: a\n  - name: a", `f:3:5: profiles: "a" is there twice; delete one of the two`},
		{"profiles:\n  - name: a\n    charset: klingon", `f:3:14: profiles.charset: the character set "klingon" is unknown; write a name such as utf-8, gbk, shift_jis or windows-1252`},
		{"profiles:\n  - name: a\n    charset: utf-16", `f:3:14: profiles.charset: names on an FTP connection can't be in utf-16le`},
		{"time_zone: Mars/Olympus", `f:1:12: time_zone: time zone "Mars/Olympus" is unknown; write UTC, Local, or a name such as Europe/Berlin`},
		{"default_type: I", `f:1:15: default_type: "I" is not one of ascii, binary`},
		{"uploads:\n  show_staged: yes", `f:2:16: uploads.show_staged: "yes" is not one of exact, listing, off`},
		{"tls:\n  required: yes", `f:2:13: tls.required: "yes" is not one of off, control, data, all`},
		{"tls:\n  min_version: 1.4", `f:2:16: tls.min_version: "1.4" is not one of 1.0, 1.1, 1.2, 1.3`},
		{"tls:\n  resumption: always", `f:2:15: tls.resumption: "always" is not one of off, offer, require`},
		{"tls:\n  certificates:\n    - key: k.pem", "f:3:7: tls.certificates: cert is missing"},
		{"tls:\n  certificates: c.pem", "f:2:17: tls.certificates: keys are wanted here, such as cert: …"},
		{"tls:\n  client_certificates: {user: dn}", `f:2:31: tls.client_certificates.user: "dn" is not one of common_name, email, any`},
		{"tls:\n  client_certificates: {login: no}", `f:2:32: tls.client_certificates.login: "no" is not one of with_password, alone`},
		{"tls:\n  acme: {domains: '*.example.org'}", `f:2:19: tls.acme.domains: "*.example.org": ACME has wildcards only by way of the DNS, which is not supported; name each host`},
		{"tls:\n  acme: {domains: [ftp.example.org, 192.0.2.1]}", `f:2:37: tls.acme.domains: "192.0.2.1" is not a host name such as ftp.example.org`},
		{"tls:\n  acme: {domains: bücher.example}", `f:2:19: tls.acme.domains: "bücher.example" is not a host name such as ftp.example.org; write names with other letters in their xn-- form`},
		{"tls:\n  acme: {email: me}", `f:2:17: tls.acme.email: "me" is not an address such as admin@example.org`},
		{"tls:\n  acme: {directory: 'http://x/y'}", `f:2:21: tls.acme.directory: "http://x/y" is not a URL that begins with https://`},
		{"log: {format: xml}", `f:1:15: log.format: "xml" is not one of text, json`},
		{"url: ''", "f:1:6: url: the URL is empty; write . for the current directory"},
		{"users_files: ['']", "f:1:15: users_files: the path is empty"},
		{"a: b: c", "f:1:4: mapping value is not allowed in this context; put a value that has a colon into quotes"},
		{"limits:\n\tsessions: 3", "f:2:1: found character '\\t' that cannot start any token; indent with spaces"},
		{"banner: \"x", "f:1:9: could not find end character of double-quoted text"},
		{"banner: *x", "f:1:9: the anchor &x is not above"},
		{"banner: !!str x", "f:1:9: tags such as !!str are not used here; delete it"},
		{"banner: a\n---\nbanner: b", "f:3:1: a second document begins; write one only"},
		{strings.Repeat("#", 1<<20+1), "f:1:1: the file has more than 1 MiB; is it a configuration at all?"},
	} {
		_, err := parse("f", []byte(c.text))
		var fe *auth.FileError
		if !errors.As(err, &fe) || err.Error() != c.want {
			t.Errorf("%.60q:\n got %v\nwant %s", c.text, err, c.want)
		}
	}
}

func TestAcceptedForms(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "---\n", "limits:\nusers:\n", "{}", "\ufeffbanner: x"} {
		c, err := parse("f", []byte(text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
		} else if c.URL != "." || c.Limits.Sessions != 20000 {
			t.Errorf("%q lost the defaults: %+v", text, c)
		}
	}
	c, err := parse("f", []byte("rate: &r 1M\nlisten: ':21'\nusers:\n- {name: a, password: 1e3, rate: *r}\n- {name: 17, password: true}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Users[0].Rate.Rates != auth.Both(1<<20) || string(c.Users[0].Password) != "1e3" || c.Users[1].Name != "17" || string(c.Users[1].Password) != "true" || c.Listen[0] != ":21" {
		t.Errorf("%+v", c)
	}
	if s := fmt.Sprintf("%v %+v %#v", c.Users, *c, c.Users); strings.Contains(s, "1e3") {
		t.Errorf("the password is printed: %s", s)
	}
}

func TestRelativePaths(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "ftpgate.yaml")
	for text, want := range map[string]string{
		"url: data": filepath.Join(dir, "data"), "url: /data": "/data", "url: 'mem:'": "mem:", "url: s3://b/p": "s3://b/p",
		"write: true": ".", "url: .": dir, "url: ./a:b": filepath.Join(dir, "a:b"),
	} {
		c, err := parse(file, []byte(text))
		if err != nil || string(c.URL) != want {
			t.Errorf("%s: %v, %v", text, c, err)
		}
	}
	if _, err := Load(file); err == nil || err.Error() != "configuration: open "+file+": no such file or directory" {
		t.Errorf("missing file: %v", err)
	}
}

func TestURLString(t *testing.T) {
	for url, want := range map[URL]string{
		"sftp://me:secret@host/dir": "sftp://me:xxxxx@host/dir", "s3://b/p": "s3://b/p",
		"s3://b/p?endpoint=http://me:secret@h:1&region=x":         "s3://b/p?endpoint=http%3A%2F%2Fme%3Axxxxx%40h%3A1&region=x",
		"s3://b/p?endpoint=http%3A%2F%2Fme:sec@ret@h&region=a%2F": "s3://b/p?endpoint=http%3A%2F%2Fme%3Axxxxx%40h&region=a%2F",
		"s3://b/p?endpoint=http://h:1&region=x":                   "s3://b/p?endpoint=http://h:1&region=x",
		"/a b":                                                    "/a b", "mem:": "mem:", "x1://%zz:secret@": "x1:…",
	} {
		if got := url.String(); got != want {
			t.Errorf("%q prints as %q", string(url), got)
		}
	}
}

func TestAccounts(t *testing.T) {
	c, err := parse("f", []byte(strings.Join([]string{
		"users:",
		"- {name: alice, hash: " + hash + ", home: /a, permissions: e, rate: 1K}",
		"- {name: bob, password: b}",
		"- {name: carol, disabled: true}",
	}, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	defaults := auth.Account{Settings: auth.Settings{Policy: &auth.Policy{Permissions: auth.ReadOnly}}}
	if _, err := c.Accounts(defaults); err == nil || err.Error() != `f:4:3: users: "carol" has no password; write password or hash, or give it in FTPGATE_USERS` {
		t.Errorf("a user without a password: %v", err)
	}
	env := map[string]string{"FTPGATE_USERS": "carol:c\r\n\nbob:" + hash + "\n", "FTPGATE_USER": "dan:d:e"}
	if err := c.ApplyEnvironment(func(k string) string { return env[k] }); err != nil {
		t.Fatal(err)
	}
	list, err := c.Accounts(defaults)
	if err != nil {
		t.Fatal(err)
	}
	users, err := auth.NewUsers(list...)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range []struct {
		user, password string
		want           *auth.Principal
	}{
		{"alice", "correct horse", &auth.Principal{Name: "alice", Settings: auth.Settings{Home: "/a", Policy: &auth.Policy{Permissions: auth.Enter}, Rate: auth.Both(1024)}}},
		{"bob", "correct horse", &auth.Principal{Name: "bob", Settings: auth.Settings{Policy: defaults.Policy}}},
		{"bob", "b", nil},
		{"carol", "c", nil}, // disabled
		{"dan", "d:e", &auth.Principal{Name: "dan", Settings: auth.Settings{Policy: defaults.Policy}}},
	} {
		p, err := users.Authenticate(t.Context(), auth.Attempt{User: l.user, Password: l.password})
		if !reflect.DeepEqual(p, l.want) {
			t.Errorf("%s/%s: %+v, %v", l.user, l.password, p, err)
		}
	}
}

func TestEnvironmentErrors(t *testing.T) {
	for _, c := range []struct{ key, value, want string }{
		{"FTPGATE_USER", "secret", "FTPGATE_USER: it must be NAME:PASSWORD, but has no colon"},
		{"FTPGATE_USER", ":secret", "FTPGATE_USER: the user name is empty"},
		{"FTPGATE_USER", "alice:", "FTPGATE_USER: the password is empty; an account without one can't be used"},
		{"FTPGATE_USERS", "alice:a\nsecret", "FTPGATE_USERS, line 2: it must be NAME:PASSWORD, but has no colon"},
		{"FTPGATE_USERS", "alice:a\nalice:b", `FTPGATE_USERS: user "alice" is given twice`},
		{"FTPGATE_USERS", "alice:$2b$31$secret", "FTPGATE_USERS, line 1: bcrypt hash: cost is 31, not between 4 and 17"},
	} {
		err := Default().ApplyEnvironment(func(k string) string {
			if k == c.key {
				return c.value
			}
			return ""
		})
		if err == nil || err.Error() != c.want {
			t.Errorf("%s=%q: %v", c.key, c.value, err)
		}
	}
}

func apply(t *testing.T, c *Config, args ...string) error {
	t.Helper()
	set := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	f := NewFlags(set)
	if err := set.Parse(args); err != nil {
		t.Fatal(err)
	}
	return f.Apply(c)
}

// Every flag overrides the key that it names, and that key exists.
func TestFlags(t *testing.T) {
	values := map[string]string{
		"listen": ":21, [::1]:22", "anonymous": "false", "write": "true", "user": "alice:a", "users-file": "u",
		"passive-ports": "5000-5001", "public-address": "203.0.113.9", "banner": "hi", "max-sessions": "7",
		"tls-cert": "c", "tls-key": "k", "tls-self-signed": "true", "tls-required": "true", "implicit-listen": ":990",
		"acme-domain": "ftp.example.org", "acme-http-listen": "off",
		"max-per-address": "off", "rate": "2M", "grace": "0s", "log-format": "json", "log-level": "warn",
	}
	known := map[string]bool{}
	for _, row := range document(t) {
		for _, key := range row.keys {
			known[key.path] = true
		}
	}
	for _, row := range options() {
		if !known[row.key] {
			t.Errorf("--%s overrides the key %q, which does not exist", row.name, row.key)
		}
		value, ok := values[row.name]
		if !ok {
			t.Errorf("--%s has no test", row.name)
			continue
		}
		before, after := Default(), Default()
		args := []string{"--" + row.name + "=" + value}
		if row.name == "tls-key" {
			args = append(args, "--tls-cert=c")
		}
		if err := apply(t, after, args...); err != nil {
			t.Errorf("--%s: %v", row.name, err)
		}
		if got := differences("", reflect.ValueOf(*before), reflect.ValueOf(*after)); len(got) != 1 || got[0] != row.key {
			t.Errorf("--%s changed %v, not %s", row.name, got, row.key)
		}
	}
	c, err := parse("f", []byte("listen: ':1'\nusers_files: x\nusers:\n- {name: alice, password: x, home: /a}\n- {name: bob, password: b}"))
	if err != nil {
		t.Fatal(err)
	}
	if err := apply(t, c, "--listen", ":2", "--listen=:3,:4", "--users-file", "y", "--users-file", "z", "--user", "alice:a:b", "--user", "carol:"+hash, "--anonymous", "--write"); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(c.Listen, c.UsersFiles, *c.Anonymous, c.Write); got != "[:2 :3 :4] [y z] true true" {
		t.Errorf("flags over the file: %s", got)
	}
	if len(c.Users) != 3 || string(c.Users[0].Password) != "a:b" || c.Users[0].Home != "/a" || !c.Users[2].Hash.Given {
		t.Errorf("users: %+v", c.Users)
	}
}

// differences lists the keys in which two structs differ.
func differences(path string, a, b reflect.Value) []string {
	var out []string
	for i := range a.NumField() {
		key := a.Type().Field(i).Tag.Get("yaml")
		x, y := a.Field(i), b.Field(i)
		if key == "" || reflect.DeepEqual(x.Interface(), y.Interface()) {
			continue
		}
		if x.Kind() == reflect.Struct && x.NumField() > 0 && x.Type().Field(0).Tag.Get("yaml") != "" {
			out = append(out, differences(join(path, key), x, y)...)
		} else {
			out = append(out, join(path, key))
		}
	}
	return out
}

func TestFlagErrors(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--user", "secret"}, "--user: it must be NAME:PASSWORD, but has no colon"},
		{[]string{"--user", ":secret"}, "--user: the user name is empty"},
		{[]string{"--user", "a:x", "--user", "a:y"}, `--user: user "a" is given twice`},
		{[]string{"--rate", "x"}, `--rate: rate "x" is not bytes a second such as 500K or 1.5M, nor off`},
		{[]string{"--listen", ":1,,:2"}, `--listen: "" is not HOST:PORT; write 127.0.0.1:2121, [::1]:2121, or :2121 for all addresses`},
		{[]string{"--tls-key", "k"}, "--tls-key: there are 1 keys for 0 certificates; give --tls-cert and --tls-key equally often"},
		{[]string{"--tls-cert", ""}, "--tls-cert: the path is empty"},
		{[]string{"--implicit-listen", "990"}, `--implicit-listen: "990" is not HOST:PORT; write 127.0.0.1:2121, [::1]:2121, or :2121 for all addresses`},
		{[]string{"--acme-domain", "localhost"}, `--acme-domain: "localhost" is not a host name such as ftp.example.org`},
		{[]string{"--write=maybe"}, "--write: write true or false"},
		{[]string{"--users-file", ""}, "--users-file: the path is empty"},
		{[]string{"--passive-ports", "1"}, `--passive-ports: "1" is not a range of ports FROM-TO such as 50000-50999`},
	} {
		if err := apply(t, Default(), c.args...); err == nil || err.Error() != c.want {
			t.Errorf("%v: %v", c.args, err)
		}
	}
}

func TestNeedRestart(t *testing.T) {
	a, b := Default(), Default()
	if got := a.NeedRestart(b); got != nil {
		t.Errorf("nothing changed, but %v", got)
	}
	b.Mounts, b.Stores.Move, b.Quota.Bytes = []Mount{{Path: "/x"}}, false, 1
	b.URL, b.Listen, b.Data.PassivePorts.To, b.Log.Format, b.Banner = "x", nil, 1, "json", "x"
	b.TLS.ImplicitListen, b.TLS.SelfSigned, b.TLS.ACME.Email, b.TLS.Required = []Address{":990"}, true, "a@b", requireAll
	if got := fmt.Sprint(a.NeedRestart(b)); got != "[data.passive_ports listen log.format mounts quota stores tls.acme tls.implicit_listen tls.self_signed url]" {
		t.Error(got)
	}
}

// FuzzParse: any text is a configuration or an error of one line with a position
// inside of it.
func FuzzParse(f *testing.F) {
	full, err := os.ReadFile(filepath.Join("testdata", "full.yaml"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(full))
	f.Add("users:\n- {name: a, password: &p x}\n- {name: b, password: *p}\n")
	f.Add("a: [b, {c: d}]\n? e\n: f\n")
	f.Add("banner: |\n  x\n--- \nrate: !!int 3\n<<: *x")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parse("f", []byte(text))
		if err == nil {
			if _, err := c.Accounts(auth.Account{}); err != nil && strings.Contains(err.Error(), "\n") {
				t.Fatalf("%q has several lines", err)
			}
			return
		}
		var fe *auth.FileError
		if !errors.As(err, &fe) {
			t.Fatalf("%v has no position", err)
		}
		if fe.Line < 1 || fe.Column < 1 || fe.Line > strings.Count(text, "\n")+strings.Count(text, "\r")+2 {
			t.Fatalf("%v lies outside of the text", err)
		}
		if strings.Contains(err.Error(), "\n") {
			t.Fatalf("%q has several lines", err)
		}
	})
}

// Keys that contradict each other are told wherever they were given.
func TestCheck(t *testing.T) {
	const pair = "certificates: [{cert: c.pem}]"
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"tls: {" + pair + ", required: all, implicit_listen: ':990', resumption: require}", ""},
		{"tls: {" + pair + ", allow_ccc: true, required: data}", ""},
		{"tls: {" + pair + ", required: control, client_certificates: {ca: a, crl: b, required: true, login: alone}}", ""},
		{"listen: []\ntls: {" + pair + ", implicit_listen: ':990'}", ""},
		{"listen: []", "listen: there is no address to listen on; write --listen 127.0.0.1:2121"},
		{"tls: {required: data}", "tls.required: there is no certificate; give --tls-cert and --tls-key, or --tls-self-signed to try it out"},
		{"tls: {implicit_listen: ':990'}", "tls.implicit_listen: there is no certificate; give --tls-cert and --tls-key, or --tls-self-signed to try it out"},
		{"tls: {resumption: require}", "tls.resumption: there is no certificate; give --tls-cert and --tls-key, or --tls-self-signed to try it out"},
		{"tls: {allow_ccc: true}", "tls.allow_ccc: there is no certificate; give --tls-cert and --tls-key, or --tls-self-signed to try it out"},
		{"tls: {client_certificates: {ca: x}}", "tls.client_certificates: there is no certificate; give --tls-cert and --tls-key, or --tls-self-signed to try it out"},
		{"users: [{name: bob, password: x, require_tls: true}]", `users: "bob" has require_tls: there is no certificate; give --tls-cert and --tls-key, or --tls-self-signed to try it out`},
		{"tls: {" + pair + ", self_signed: true}", "tls.self_signed: there is another certificate; take one of the two away"},
		{"tls: {" + pair + ", resumption: require, min_version: 1.3}", "tls.resumption: require works up to TLS 1.2, but tls.min_version is 1.3; change one of the two"},
		{"tls: {" + pair + ", allow_ccc: true, required: all}", "tls.allow_ccc: tls.required is all, which keeps TLS on the control connection; write required: data"},
		{"tls: {" + pair + ", client_certificates: {crl: x}}", "tls.client_certificates: ca is missing"},
		{"tls: {" + pair + ", client_certificates: {ca: x, required: true}}", "tls.client_certificates.required: clients could do without TLS; write tls.required: all, or control"},
		{"tls: {" + pair + ", client_certificates: {ca: x, login: alone, user: any}}", "tls.client_certificates.login: alone needs to know whose the certificate is; write user: common_name, or email"},
		{"tls: {acme: {domains: a.example, http_listen: off}}", "tls.acme: http_listen and tls_listen are both off; the authority must reach one of them"},
	} {
		cfg, err := parse("f", []byte(c.text))
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		got := ""
		if err := cfg.Check(); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.text, got, c.want)
		}
	}
}
