package integration

import (
	"crypto/tls"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ftpgate/ftpgate/integration/internal/daemon"
)

// accountSource is a way to know users, with those of the tests in it: right, whose
// password is "secret right" and whose home is /right; disabled and expired, with such
// passwords too; and empty, whose stored password is empty or missing.
type accountSource struct {
	name   string
	binary string
	config string   // YAML
	env    []string // added to the environment
	stop   func()   // makes it unavailable; nil: it can't be
	log    string   // what the log then tells
}

// refusal is how long refusals take in these tests; much longer than anything else
// takes on an idle machine, and irrelevant on a busy one.
const refusal = 300 * time.Millisecond

// accountSources starts all of them, with files in dir.
func accountSources(t *testing.T, dir string) []accountSource {
	t.Helper()
	files := newTLSFiles(t)
	hash := func(user string) string { return hashOf(t, "secret "+user) }
	write := func(name string, mode os.FileMode, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("users", 0o600, "right:"+hash("right")+":home=/right\ndisabled:"+hash("disabled")+":disabled\nexpired:"+hash("expired")+":expires=2020-01-01\nempty:!\n")

	table := `CREATE TABLE users (name varchar(50) PRIMARY KEY, hash text, home text, disabled boolean, expires timestamp);
		INSERT INTO users VALUES ('right', '` + hash("right") + `', '/right', false, '2099-01-01 00:00:00'), ('disabled', '` + hash("disabled") + `', '/right', true, NULL),
			('expired', '` + hash("expired") + `', '/right', false, '2020-01-01 00:00:00'), ('empty', '', '/right', false, NULL);`
	lite, err := sql.Open("sqlite", filepath.Join(dir, "accounts.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lite.Exec(table); err != nil {
		t.Fatal(err)
	}
	if err := lite.Close(); err != nil {
		t.Fatal(err)
	}
	postgres, slapd := startPostgres(t, files), startSlapdOfPeople(t, files)
	if err := postgres.Run(table); err != nil {
		t.Fatal(err)
	}
	write("password", 0o600, servicePass+"\n")

	service := httptest.NewUnstartedServer(http.HandlerFunc(answerHook))
	service.TLS = &tls.Config{Certificates: []tls.Certificate{files.pair}}
	service.StartTLS()
	t.Cleanup(service.Close)
	program := write("check", 0o700, `#!/usr/bin/env python3
import json, sys
a = json.load(sys.stdin)
user = a["user"]
if user not in ("right", "disabled", "expired", "empty"):
    sys.exit(2)
if user == "empty" and a["password"] != "" or user != "empty" and a["password"] != "secret " + user:
    sys.exit(1)
print(json.dumps({"home": "/right", "disabled": user == "disabled", "expires": "2020-01-01" if user == "expired" else None}))
`)
	withPAM := filepath.Join(dir, "ftpgate-pam")
	if err := daemon.Build("..", "./cmd/ftpgate", withPAM, "-tags", "pam"); err != nil {
		t.Fatal(err)
	}
	password := write("pam-password", 0o700, "#!/bin/sh\nread -r p; [ \"$p\" = \"secret $PAM_USER\" ]\n")
	valid := write("pam-account", 0o700, "#!/bin/sh\ncase $PAM_USER in disabled|expired) exit 1;; esac\n")
	if err := os.Mkdir(filepath.Join(dir, "pam.d"), 0o700); err != nil {
		t.Fatal(err)
	}
	pamService := write("pam.d/ftpgate", 0o600, "auth [success=1 default=ignore] pam_exec.so quiet expose_authtok "+password+"\nauth requisite pam_deny.so\nauth required pam_permit.so\n"+
		"account [success=1 default=ignore] pam_exec.so quiet "+valid+"\naccount requisite pam_deny.so\naccount required pam_permit.so\n")
	stopped := func(stop func() error) func() {
		return func() {
			if err := stop(); err != nil {
				t.Error(err)
			}
		}
	}
	move := func(path string) func() { return stopped(func() error { return os.Rename(path, path+".away") }) }
	const query = "query: SELECT * FROM users WHERE name = $1"
	return []accountSource{
		{name: "users file", config: "users_files: users"},
		{name: "SQLite", config: "account_sources: [{sql: {database: 'sqlite:accounts.db', " + query + "}}]", stop: move(filepath.Join(dir, "accounts.db")),
			log: "account_sources.sql: account source unavailable: sqlite:"},
		{name: "PostgreSQL", config: "account_sources: [{sql: {database: '" + postgres.URL("sslmode=verify-full&sslrootcert="+files.ca) + "', password_env: PG_PASS, " + query + "}}]",
			env: []string{"PG_PASS=" + daemon.PostgresPassword}, stop: stopped(postgres.Interrupt), log: "account_sources.sql: account source unavailable: postgres://ftpgate@127.0.0.1"},
		{name: "LDAP", config: "account_sources: [{ldap: {url: '" + slapd.LDAPS + "', ca: " + files.ca + ", bind_dn: '" + serviceDN + "', bind_password_file: password, base: '" + people + "', " +
			"attributes: {disabled: employeeType, expires: shadowExpire}}, defaults: {home: /right}}]", stop: stopped(slapd.Stop), log: "account_sources.ldap: account source unavailable: ldaps://127.0.0.1"},
		{name: "HTTP", config: "account_sources: [{http: {url: '" + service.URL + "', ca: " + files.ca + ", token_env: TOKEN}}]", env: []string{"TOKEN=t0ken"}, stop: service.Close,
			log: "account_sources.http: account source unavailable: https://127.0.0.1"},
		{name: "exec", config: "account_sources: [{exec: {command: check, timeout: 1m}}]", stop: move(program), log: "account_sources.exec: account source unavailable: "},
		{name: "PAM", binary: withPAM, config: "account_sources: [{pam: {conf_dir: pam.d, timeout: 1m}, defaults: {home: /right}}]", stop: move(pamService), log: "account_sources.pam: account source unavailable: PAM service ftpgate: "},
	}
}

// answerHook is the web service.
func answerHook(w http.ResponseWriter, r *http.Request) {
	var a struct{ User, Password, Protocol, Remote string }
	switch err := json.NewDecoder(r.Body).Decode(&a); {
	case err != nil, r.Header.Get("Authorization") != "Bearer t0ken", a.Protocol != "ftp", a.Remote != "127.0.0.1":
		w.WriteHeader(http.StatusBadRequest)
	case a.User == "empty" && a.Password == "", a.Password == "secret "+a.User:
		answer := map[string]any{"home": "/right", "disabled": a.User == "disabled"}
		if a.User == "expired" {
			answer["expires"] = "2020-01-01"
		}
		json.NewEncoder(w).Encode(answer)
	case a.User == "right", a.User == "disabled", a.User == "expired", a.User == "empty":
		w.WriteHeader(http.StatusForbidden)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// login is one login by curl: the reply to PASS, and what it lists.
func login(t *testing.T, g *daemon.Gateway, user, password string) (reply, names string) {
	t.Helper()
	cmd := command(t, t.TempDir(), "curl", "--silent", "--verbose", "--list-only", "--user", user+":"+password, g.URL(""))
	var list strings.Builder
	cmd.Stdout = &list
	var said strings.Builder
	cmd.Stderr = &said
	err := cmd.Run()
	asked := false
	for line := range strings.Lines(said.String()) {
		if strings.HasPrefix(line, "> PASS") {
			asked = true
		} else if asked && strings.HasPrefix(line, "< ") {
			return strings.TrimSpace(line[2:]), list.String()
		}
	}
	t.Fatalf("curl as %s: %v\n%s", user, err, said.String())
	return "", ""
}

func serveAccounts(t *testing.T, s accountSource, dir, more string) *daemon.Gateway {
	t.Helper()
	file := filepath.Join(dir, "ftpgate.yaml")
	text := fmt.Sprintf("url: tree\ntimeouts: {refusal: %v, login: 2m}\nlimits: {login_failures: 100}\n%s\n%s\n", refusal, s.config, more)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	binary := s.binary
	if binary == "" {
		binary = shared.ftpgate
	}
	g, err := daemon.StartConfigured(binary, file, s.env...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(g.Output())
		}
		if err := g.Stop(); err != nil {
			t.Error(err)
		}
		if crash := g.Crashes(); crash != "" {
			t.Error(crash)
		}
	})
	return g
}

// TestAccountSources logs in by curl through every source: who may, who may not, whatever the
// reason, and when the source is down.
func TestAccountSources(t *testing.T) {
	t.Parallel() // refusals take their time
	dir := t.TempDir()
	for _, path := range []string{"tree/right/inside", "tree/outside"} {
		if err := os.MkdirAll(filepath.Join(dir, path), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	const denied, unavailable = "530 Login incorrect.", "421 Login is not possible right now, try again later."
	for _, s := range accountSources(t, dir) {
		t.Run(s.name, func(t *testing.T) {
			g := serveAccounts(t, s, dir, "")
			t.Run("logins", func(t *testing.T) {
				for _, c := range []struct{ user, password, reply, names string }{
					{"right", "secret right", "230 Logged in.", "inside"},
					{"right", "wrong", denied, ""},
					{"right", "", denied, ""},
					{"Right ", "secret right", denied, ""},
					{"disabled", "secret disabled", denied, ""},
					{"disabled", "wrong", denied, ""},
					{"expired", "secret expired", denied, ""},
					{"empty", "", denied, ""},
					{"empty", "x", denied, ""},
					{"nobody", "x", denied, ""},
					{"nobody", "", denied, ""},
					{"*", "secret right", denied, ""},
					{"right' OR '1'='1", "secret right", denied, ""},
					{"anonymous", "me@example.org", denied, ""},
				} {
					t.Run(c.user+":"+c.password, func(t *testing.T) {
						t.Parallel() // refusals take their time
						begin := time.Now()
						reply, names := login(t, g, c.user, c.password)
						if reply != c.reply || strings.TrimSpace(names) != c.names {
							t.Errorf("%q/%q: %s %q", c.user, c.password, reply, names)
						}
						if took := time.Since(begin); c.reply == denied && s.stop != nil && took < refusal {
							t.Errorf("%q/%q was refused after %v", c.user, c.password, took)
						}
					})
				}
			})
			if s.stop == nil {
				return
			}
			s.stop()
			for _, user := range []string{"right", "nobody"} {
				if reply, _ := login(t, g, user, "secret right"); reply != unavailable {
					t.Errorf("%s, when the source is down: %s", user, reply)
				}
			}
			if err := g.Await(0, patience, "level=ERROR", "authenticator failed", filepath.Join(dir, "ftpgate.yaml")+":4:19: "+s.log); err != nil {
				t.Error(err)
			}
			if strings.Contains(g.Output(), "secret right") || strings.Contains(g.Output(), servicePass) || strings.Contains(g.Output(), daemon.PostgresPassword) {
				t.Errorf("a password is logged:\n%s", g.Output())
			}
		})
	}
}

// The first source that knows a name decides, one that is down lets nobody pass unless it is
// optional, and what comes before it still works.
func TestAccountChain(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{"tree/first", "tree/second/inside", "tree/here/local"} {
		if err := os.MkdirAll(filepath.Join(dir, path), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	program := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\nread -r line\necho \"$line\" >>"+filepath.Join(dir, name+".asked")+"\n"+text+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	program("first", `case $line in *'"user":"both"'*) echo '{"home": "/first"}';; *'"user":"denied"'*) exit 1;; *) exit 2;; esac`)
	program("second", `echo '{"home": "/second"}'`)
	program("broken", "exit 3")
	users := "users: [{name: local, password: here, home: /here}]\nanonymous: true\n"
	source := func(name string, more string) string {
		return "- {exec: {command: " + name + ", timeout: 1m}" + more + "}\n"
	}
	type try struct{ user, password, reply, names string }
	const in, denied, unavailable = "230 Logged in.", "530 Login incorrect.", "421 Login is not possible right now, try again later."
	for _, c := range []struct {
		name, sources string
		tries         []try
	}{
		{"order", source("first", "") + source("second", ""), []try{
			{"both", "x", in, ""}, {"only", "x", in, "inside"}, {"denied", "x", denied, ""}, {"local", "here", in, "local"}, {"local", "x", denied, ""}, {"ftp", "me@", in, "first\nhere\nsecond"},
		}},
		{"down", source("broken", "") + source("second", ""), []try{
			{"only", "x", unavailable, ""}, {"local", "here", in, "local"}, {"local", "x", denied, ""}, {"anonymous", "me@", in, "first\nhere\nsecond"},
		}},
		{"optional", source("broken", ", optional: true") + source("second", ""), []try{
			{"only", "x", in, "inside"}, {"local", "here", in, "local"},
		}},
		{"optional alone", source("broken", ", optional: true"), []try{
			{"only", "x", denied, ""}, {"local", "here", in, "local"},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := serveAccounts(t, accountSource{config: users + "account_sources:\n" + c.sources}, dir, "")
			for _, try := range c.tries {
				reply, names := login(t, g, try.user, try.password)
				if reply != try.reply || strings.TrimSpace(strings.ReplaceAll(names, "\r", "")) != try.names {
					t.Errorf("%s/%s: %s %q", try.user, try.password, reply, names)
				}
			}
			if optional := strings.Contains(c.sources, "optional"); optional != strings.Contains(g.Output(), "an optional account source can't be asked, the next one is") {
				t.Errorf("the log:\n%s", g.Output())
			}
		})
	}
	if asked := mustRead(t, filepath.Join(dir, "first.asked")); strings.Contains(string(asked), `"user":"local"`) || strings.Contains(string(asked), "me@") {
		t.Errorf("who is known here was asked of others:\n%s", asked)
	}
}
