package main

import (
	"crypto/tls"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ftpgate/ftpgate/cmd/ftpgate/internal/certs/certtest"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// Users files are read again when they change; a broken one changes nothing, is told
// once with its place, and again when it is broken in another way.
func TestUsersFilePolling(t *testing.T) {
	dir := tree(t, "users", "htpasswd", "ftpgate.yaml")
	// The command looks every few milliseconds, and might find a file that is just being
	// written empty twice: here, as for an operator, a rename changes it at one stroke.
	write := func(name, text string) {
		t.Helper()
		certtest.Write(t, dir, name, []byte(text))
	}
	write("users", "alice:"+bcryptHash+"\n")
	write("htpasswd", "web:"+bcryptHash+"\n")
	write("ftpgate.yaml", "url: 'mem:'\nlisten: 127.0.0.1:0\nusers_files: [users, htpasswd]\n")
	c := startPolling(t, "serve", "--config", filepath.Join(dir, "ftpgate.yaml"))
	reloaded := func(n string) {
		t.Helper()
		c.stderr.wait(t, `(?s)(msg="users files reloaded".*){`+n+`}`)
	}
	old := dial(t, c.addr()).login(230, "alice", "correct horse")
	dial(t, c.addr()).login(230, "web", "correct horse")
	dial(t, c.addr()).login(530, "bob", "correct horse")

	write("users", "bob:"+bcryptHash+"\n")
	reloaded("1")
	dial(t, c.addr()).login(230, "bob", "correct horse")
	dial(t, c.addr()).login(530, "alice", "correct horse")
	dial(t, c.addr()).login(230, "web", "correct horse")
	old.do(421, "PWD") // alice was removed

	write("users", "carol:"+bcryptHash+"\nbob:hunter2\n")
	line := c.stderr.wait(t, `.*the users files can't be reloaded, the old users stay.*`)[0]
	if !strings.Contains(line, "users:2:5: not a password hash") || strings.Contains(line, "hunter2") {
		t.Error(line)
	}
	dial(t, c.addr()).login(230, "bob", "correct horse")
	dial(t, c.addr()).login(530, "carol", "correct horse")
	write("htpasswd", "broken\n")
	c.stderr.wait(t, `(?s)can't be reloaded.*can't be reloaded`)
	if n := strings.Count(c.stderr.String(), "can't be reloaded"); n != 2 {
		t.Errorf("the log tells %d times:\n%s", n, c.stderr)
	}

	write("htpasswd", "")
	write("users", "carol:"+bcryptHash+"\n")
	reloaded("2")
	dial(t, c.addr()).login(230, "carol", "correct horse")
	dial(t, c.addr()).login(530, "web", "correct horse")

	// A reload watches the files of the new configuration.
	write("others", "dave:"+bcryptHash+"\n")
	write("ftpgate.yaml", "url: 'mem:'\nlisten: 127.0.0.1:0\nusers_files: others\nwrite: true\n")
	c.signals <- syscall.SIGHUP
	c.stderr.wait(t, `msg="configuration reloaded"`)
	write("others", "erin:"+bcryptHash+"\n")
	reloaded("3")
	cl := dial(t, c.addr()).login(230, "erin", "correct horse")
	cl.do(257, "MKD dir") // write: true of the same reload
	dial(t, c.addr()).login(530, "dave", "correct horse")
	dial(t, c.addr()).login(530, "carol", "correct horse")
}

// accountsDB makes a database of accounts.
func accountsDB(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("CREATE TABLE users (name TEXT, hash TEXT, disabled BOOLEAN, require_tls BOOLEAN); INSERT INTO users VALUES ('alice', '" + bcryptHash +
		"', false, true), ('closed', '" + bcryptHash + "', true, false)"); err != nil {
		t.Fatal(err)
	}
}

const sqliteSource = "account_sources: [{sql: {database: 'sqlite:accounts.db', query: SELECT * FROM users WHERE name = $1}}]\n"

// A source that can't be asked at a reload sends nobody away, also if it is optional.
func TestReloadWithoutSource(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "accounts.db")
	accountsDB(t, path)
	file := certtest.Write(t, dir, "ftpgate.yaml", []byte("listen: 127.0.0.1:0\nurl: 'mem:'\nusers: [{name: local, password: here}]\n"+
		"account_sources: [{optional: true, sql: {database: 'sqlite:accounts.db', query: 'SELECT name, hash FROM users WHERE name = $1'}}]\n"))
	c := start(t, nil, "serve", "--config", file)
	cl := dial(t, c.addr()).login(230, "alice", "correct horse")
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	change := func(statement string) {
		t.Helper()
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
		c.signals <- syscall.SIGHUP
	}
	change("ALTER TABLE users RENAME TO away")
	c.stderr.wait(t, `msg="configuration reloaded"`)
	cl.do(257, "PWD")
	c.stderr.wait(t, `it is not known whether the user may still be here`)
	cl.do(257, "PWD")
	change("ALTER TABLE away RENAME TO users")
	c.stderr.wait(t, `(?s)(msg="configuration reloaded".*){2}`)
	cl.do(257, "PWD")
}

// Certificates of clients go with every source that is a directory.
func TestCertificateOfSource(t *testing.T) {
	p := newPKI(t)
	accountsDB(t, filepath.Join(p.dir, "accounts.db"))
	const base = "listen: 127.0.0.1:0\nurl: 'mem:'\n" + sqliteSource
	for login, code := range map[string]int{"alone": 232, "with_password": 331} {
		file := p.write(t, "ftpgate.yaml", []byte(base+"tls: {certificates: [{cert: cert.pem, key: key.pem}], client_certificates: {ca: ca.pem, login: "+login+"}}\n"))
		c := start(t, nil, "serve", "--config", file)
		for _, user := range []string{"alice", "closed"} {
			pair := p.Client(user)
			own, err := tls.X509KeyPair(pair.Cert, pair.Key)
			if err != nil {
				t.Fatal(err)
			}
			config := p.client()
			config.Certificates = []tls.Certificate{own}
			cl := dial(t, c.addr())
			cl.auth(config)
			switch {
			case user == "alice":
				cl.do(code, "USER alice")
				if code == 331 {
					cl.do(230, "PASS correct horse")
				}
			case code == 331:
				cl.login(530, user, "correct horse")
			default:
				cl.do(530, "USER closed")
			}
		}
		dial(t, c.addr()).login(530, "alice", "correct horse") // require_tls of the table
	}
}

// A source that can't be asked at the start is one line, and no reason not to serve; what
// can't be right is.
func TestSourcesAtStart(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "ftpgate.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("listen: 127.0.0.1:0\nurl: 'mem:'\nusers: [{name: local, password: here}]\naccount_sources:\n- ldap: {url: 'ldap://127.0.0.1:1', base: dc=example}\n" +
		"- sql: {database: 'sqlite:missing.db', query: SELECT hash FROM users WHERE name = $1}\n")
	c := start(t, nil, "serve", "--config", file)
	if message := c.started(); !strings.Contains(message, " to local, the users of LDAP and the users of a database, read-only.") {
		t.Error(message)
	}
	c.stderr.wait(t, `level=WARN msg="an account source can't be asked; its users can't log in until it can" err="\S*ftpgate.yaml:5:3: account_sources.ldap: account source unavailable: ldap://127.0.0.1:1: dial tcp`)
	c.stderr.wait(t, `level=WARN msg="an account source can't be asked; its users can't log in until it can" err="\S*ftpgate.yaml:6:3: account_sources.sql: account source unavailable: sqlite:\S*missing.db: `)
	dial(t, c.addr()).login(230, "local", "here")
	dial(t, c.addr()).login(421, "other", "x")

	for source, want := range map[string]string{
		"- exec: {command: missing}":                            "1:3: account_sources.exec: command: exec: \"" + dir + "/missing\": stat " + dir + "/missing: no such file or directory",
		"- http: {url: https://a, ca: missing.pem}":             "1:3: account_sources.http: ca: open " + dir + "/missing.pem: no such file or directory",
		"- http: {url: https://a, ca: ftpgate.yaml}":            "1:3: account_sources.http: ca: " + dir + "/ftpgate.yaml ",
		"- http: {url: https://a, cert: missing.pem}":           "1:3: account_sources.http: cert: open " + dir + "/missing.pem: no such file or directory",
		"- http: {url: https://a, token_env: TOKEN_OF_NOBODY}":  "1:3: account_sources.http: token_env: the environment variable TOKEN_OF_NOBODY is not set",
		"- ldap: {url: ldaps://a, base: dc=a, ca: missing.pem}": "1:3: account_sources.ldap: ca: open " + dir + "/missing.pem: no such file or directory",
		"- pam: {}": "1:3: account_sources.pam: this ftpgate was built without PAM; build it with -tags pam and cgo",
		"- ldap: {url: ldaps://a, base: dc=a, filter: '(uid={user}'}": "1:46: account_sources.ldap.filter: \"(uid={user}\" is not a filter such as (uid={user}): ",
	} {
		write("account_sources: [" + strings.TrimPrefix(source, "- ") + "]\n")
		c := start(t, nil, "serve", "--config", file, loopback)
		want = strings.Replace(want, "1:3:", "1:19:", 1)
		want = strings.Replace(want, "1:46:", "1:62:", 1)
		if status := c.wait(); status != 1 || !strings.Contains(c.stderr.String(), "ftpgate: "+file+":"+want) || strings.Count(c.stderr.String(), "\n") != 1 {
			t.Errorf("%s: status %d\n%swant %s", source, status, c.stderr, want)
		}
	}
}
