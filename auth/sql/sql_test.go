package sql

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ftpgate/ftpgate/auth"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const hash = "$2b$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2" // of "correct horse"

// database makes an SQLite file by statements.
func database(t *testing.T, statements ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a?b#c%20 é.db") // nothing in it is part of a URL
	file := filepath.Join(filepath.Dir(path), "plain.db")
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	if err := os.Rename(file, path); err != nil {
		t.Fatal(err)
	}
	return SQLite(path)
}

func directory(t *testing.T, opt Options) *Directory {
	t.Helper()
	d, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func accounts(t *testing.T) string {
	return database(t,
		`CREATE TABLE users (name TEXT PRIMARY KEY COLLATE NOCASE, hash TEXT, home TEXT, perm TEXT, rate INTEGER, off BOOLEAN, until TIMESTAMP)`,
		`INSERT INTO users VALUES ('alice', '`+hash+`', '/alice', 'elr', 1000, 0, '2099-01-01 00:00:00'),
			('bob', '`+hash+`', NULL, NULL, NULL, NULL, NULL),
			('disabled', '`+hash+`', NULL, NULL, NULL, 1, NULL),
			('expired', '`+hash+`', NULL, NULL, NULL, NULL, '2020-01-01 00:00:00'),
			('empty', '', NULL, NULL, NULL, NULL, NULL),
			('null', NULL, NULL, NULL, NULL, NULL, NULL),
			('locked', '!`+hash+`', NULL, NULL, NULL, NULL, NULL),
			('plain', 'correct horse', NULL, NULL, NULL, NULL, NULL),
			('o''brien', '`+hash+`', NULL, NULL, NULL, NULL, NULL)`)
}

const query = "SELECT name, hash, home, perm, rate, off AS disabled, until AS expires FROM users WHERE name = $1"

func TestDirectory(t *testing.T) {
	d := directory(t, Options{Database: accounts(t), Query: query, Defaults: auth.Account{Settings: auth.Settings{Home: "/preset", Rate: auth.Both(7)}}})
	if err := d.Probe(t.Context()); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		user, password string
		want           error
		reason         string
	}{
		{"alice", "correct horse", nil, ""},
		{"ALICE", "correct horse", nil, ""},
		{"o'brien", "correct horse", nil, ""},
		{"bob", "correct horse", nil, ""},
		{"alice", "wrong", auth.ErrDenied, "the password is wrong"},
		{"alice", "", auth.ErrDenied, "the password is wrong"},
		{"disabled", "correct horse", auth.ErrDenied, "the account is disabled"},
		{"expired", "correct horse", auth.ErrDenied, "the account expired on 2020-01-01"},
		{"empty", "", auth.ErrDenied, "the account is locked"},
		{"null", "", auth.ErrDenied, "the account is locked"},
		{"locked", "correct horse", auth.ErrDenied, "the account is locked"},
		{"nobody", "correct horse", auth.ErrUnknownUser, ""},
		{"' OR '1'='1", "correct horse", auth.ErrUnknownUser, ""},
		{"a:b", "correct horse", auth.ErrUnknownUser, ""},
		{"al\xffice", "correct horse", auth.ErrUnknownUser, ""},
		{"", "", auth.ErrUnknownUser, ""},
		{"plain", "correct horse", auth.ErrUnavailable, ""},
	} {
		p, err := d.Authenticate(t.Context(), auth.Attempt{User: c.user, Password: c.password})
		if !errors.Is(err, c.want) || (p == nil) != (c.want != nil) || c.want == auth.ErrDenied && errors.Is(err, auth.ErrUnknownUser) {
			t.Errorf("%s/%s: %v, %v", c.user, c.password, p, err)
			continue
		}
		if v, ok := err.(slog.LogValuer); c.reason != "" && (!ok || v.LogValue().String() != c.reason) {
			t.Errorf("%s/%s is logged as %v", c.user, c.password, v)
		}
		switch {
		case err != nil:
		case strings.EqualFold(c.user, "alice"):
			if p.Name != "alice" || p.Home != "/alice" || p.Policy.Permissions != auth.ReadOnly || p.Rate != auth.Both(1000) {
				t.Errorf("%s is %+v", c.user, p)
			}
		default:
			if p.Name != c.user || p.Home != "/preset" || p.Policy != nil || p.Rate != auth.Both(7) {
				t.Errorf("%s is %+v", c.user, p)
			}
		}
	}
	if _, err := d.Lookup(t.Context(), "plain"); err == nil || !strings.HasSuffix(err.Error(), `: user "plain", column hash: not a password hash; make one with "ftpgate passwd"`) {
		t.Error(err)
	}
	// Who logs in by a certificate is looked up, too.
	if p, err := auth.Vouch(t.Context(), auth.Chain(d), "alice"); err != nil || p.Home != "/alice" {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := auth.Vouch(t.Context(), auth.Chain(d), "disabled"); !errors.Is(err, auth.ErrDenied) {
		t.Error(err)
	}
}

// A login of an unknown user costs what one of a known user does.
func TestDecoy(t *testing.T) {
	d := directory(t, Options{Database: accounts(t), Query: query})
	if _, err := d.Lookup(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	p, err := auth.Chain(d, decoyOf{d}).Authenticate(t.Context(), auth.Attempt{User: "guest", Password: "correct horse"})
	if err != nil || p.Name != "guest" {
		t.Errorf("the decoy is not the secret of the accounts: %v, %v", p, err)
	}
}

// decoyOf has the decoy of another directory as its secret.
type decoyOf struct{ *Directory }

func (d decoyOf) Lookup(context.Context, string) (*auth.Account, error) {
	return &auth.Account{Name: "guest", Secret: d.Decoy(12345)}, nil
}

func TestBadAnswers(t *testing.T) {
	file := accounts(t)
	for query, want := range map[string]string{
		"SELECT name FROM users WHERE name = $1":                                                                            `the query has no column "hash"; write SELECT … AS hash`,
		"SELECT hash, hash FROM users WHERE name = $1":                                                                      `the query has column "hash" twice`,
		"SELECT hash, off FROM users WHERE name = $1":                                                                       `the query has a column that is no setting: key "off" is unknown; there are perm, `,
		"SELECT hash FROM users WHERE name <> $1":                                                                           `the query finds several rows for user "alice"`,
		"SELECT hash FROM missing WHERE name = $1":                                                                          "no such table: missing",
		"SELEKT hash FROM users WHERE name = $1":                                                                            "syntax error",
		"SELECT hash, 'home' AS home FROM users WHERE name = $1":                                                            `user "alice", column home: home "home" does not begin with /`,
		"SELECT hash, 'a:b' AS name FROM users WHERE name = $1":                                                             `user "alice", column name: user name "a:b" has a colon`,
		"SELECT hash, 'perhaps' AS disabled FROM users WHERE name = $1":                                                     `user "alice", column disabled: disabled is "perhaps", not true or false`,
		"SELECT hash FROM (WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM r) SELECT max(n) AS hash, $1 FROM r)": "no answer within 300ms",
	} {
		d := directory(t, Options{Database: file, Query: query, Timeout: 300 * time.Millisecond})
		_, err := d.Authenticate(t.Context(), auth.Attempt{User: "alice", Password: "correct horse"})
		if !errors.Is(err, auth.ErrUnavailable) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "sqlite:") {
			t.Errorf("%s: %v", query, err)
		}
	}
	missing := directory(t, Options{Database: SQLite(filepath.Join(t.TempDir(), "missing.db")), Query: query})
	for range 2 { // it was not made by the first
		if _, err := missing.Lookup(t.Context(), "alice"); !errors.Is(err, auth.ErrUnavailable) || !strings.Contains(err.Error(), "unable to open database file") {
			t.Error(err)
		}
	}
	if err := missing.Probe(t.Context()); !errors.Is(err, auth.ErrUnavailable) {
		t.Error(err)
	}
}

// A file that is replaced is noticed at the next login.
func TestReplacedFile(t *testing.T) {
	old, new := accounts(t), database(t, "CREATE TABLE users (name, hash)", "INSERT INTO users VALUES ('late', '"+hash+"')")
	d := directory(t, Options{Database: old, Query: "SELECT name, hash FROM users WHERE name = $1"})
	if _, err := d.Lookup(t.Context(), "alice"); err != nil {
		t.Error(err)
	}
	from, _ := SQLiteFile(new)
	to, _ := SQLiteFile(old)
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Lookup(t.Context(), "alice"); !errors.Is(err, auth.ErrUnknownUser) {
		t.Error(err)
	}
	if _, err := d.Lookup(t.Context(), "late"); err != nil {
		t.Error(err)
	}
}

func TestNew(t *testing.T) {
	for _, c := range []struct{ database, query, want string }{
		{"sqlite:", query, "database: the name of the file is missing; write sqlite:FILE"},
		{"mysql://db/accounts", query, "database: this is no database; write postgres://USER@HOST/DATABASE?sslmode=verify-full, or sqlite:FILE"},
		{"postgres://u:secret@db/accounts", query, "database: the URL holds a password; give it by password_env or password_file"},
		{"postgres://u@db/accounts?password=secret", query, "database: the URL holds a password; give it by password_env or password_file"},
		{"postgres://u@db.example.org/accounts", query, "database: sslmode is missing; write ?sslmode=verify-full, which protects the connection, or ?sslmode=disable"},
		{"postgres://u@127.0.0.1,db.example.org/accounts", query, "database: sslmode is missing; "},
		{"postgres:///accounts?host=db.example.org", query, "database: sslmode is missing; "},
		{"postgres://u@db/accounts?sslmode=perhaps", query, "database: "},
		{"sqlite:x", "SELECT hash FROM users", "query: the query does not use $1, the name of the user"},
		{"sqlite:x", "SELECT hash FROM users WHERE name = $1 AND x = $2", "query: the query uses $2; $1, the name of the user, is the only parameter"},
	} {
		_, err := New(Options{Database: c.database, Query: c.query})
		if err == nil || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s, %s: %v", c.database, c.query, err)
		}
	}
	for _, good := range []string{"postgres://u@127.0.0.1/accounts", "postgresql://u@[::1]:5433/a", "postgres:///accounts?host=/run/postgresql", "postgres://u@a,b/x?sslmode=disable", "sqlite:x"} {
		if err := CheckDatabase(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
}
