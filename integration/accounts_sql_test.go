package integration

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ftpgate/ftpgate/auth"
	"github.com/ftpgate/ftpgate/auth/sql"
	"github.com/ftpgate/ftpgate/integration/internal/daemon"
)

func startPostgres(t *testing.T, files *tlsFiles) *daemon.Postgres {
	t.Helper()
	p, err := daemon.StartPostgres(files.server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// hashOf is a new hash of a password.
func hashOf(t *testing.T, password string) string {
	t.Helper()
	hash, err := auth.HashPassword(password, "")
	if err != nil {
		t.Fatal(err)
	}
	return hash
}

func TestPostgres(t *testing.T) {
	files := newTLSFiles(t)
	db := startPostgres(t, files)
	hash := hashOf(t, "correct horse")
	if err := db.Run(`
		CREATE COLLATION anycase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
		CREATE TABLE users (name text COLLATE anycase PRIMARY KEY, hash varchar(200), home text, rate bigint, closed boolean NOT NULL DEFAULT false, until timestamptz, day date, odd interval);
		INSERT INTO users VALUES ('alice', '` + hash + `', '/alice', 2048, false, '2099-01-01', '2099-01-01', '1 day');
		INSERT INTO users (name, hash) VALUES ('bob', '` + hash + `'), ('closed', '` + hash + `'), ('expired', '` + hash + `'), ('endless', '` + hash + `'), ('empty', ''), ('null', NULL);
		UPDATE users SET closed = true WHERE name = 'closed';
		UPDATE users SET until = '2020-01-01 00:00+00' WHERE name = 'expired';
		UPDATE users SET until = 'infinity' WHERE name = 'endless';
		CREATE ROLE reader LOGIN PASSWORD 'r3ader'; GRANT SELECT (name, hash) ON users TO reader;`); err != nil {
		t.Fatal(err)
	}
	const query = "SELECT name, hash, home, rate, closed AS disabled, until AS expires FROM users WHERE name = $1"
	secure := db.URL("sslmode=verify-full&sslrootcert=" + files.ca)
	other := filepath.Join(t.TempDir(), "other.pem")
	if err := os.WriteFile(other, mustRead(t, newTLSFiles(t).ca), 0o600); err != nil {
		t.Fatal(err)
	}
	asReader := func(url string) string { return strings.Replace(url, "ftpgate@", "reader@", 1) }
	for _, c := range []struct {
		database, dbPassword, query, user, password string
		want                                        error
		says                                        string
	}{
		{secure, daemon.PostgresPassword, query, "alice", "correct horse", nil, "alice"},
		{secure, daemon.PostgresPassword, query, "ALICE", "correct horse", nil, "alice"},
		{secure, daemon.PostgresPassword, query, "bob", "correct horse", nil, "bob"},
		{secure, daemon.PostgresPassword, query, "alice", "wrong", auth.ErrDenied, "the password is wrong"},
		{secure, daemon.PostgresPassword, query, "alice", "", auth.ErrDenied, "the password is wrong"},
		{secure, daemon.PostgresPassword, query, "closed", "correct horse", auth.ErrDenied, "the account is disabled"},
		{secure, daemon.PostgresPassword, query, "expired", "correct horse", auth.ErrDenied, "the account expired on 2020-01-01"},
		{secure, daemon.PostgresPassword, query, "empty", "", auth.ErrDenied, "the account is locked"},
		{secure, daemon.PostgresPassword, query, "null", "", auth.ErrDenied, "the account is locked"},
		{secure, daemon.PostgresPassword, query, "nobody", "correct horse", auth.ErrUnknownUser, ""},
		{secure, daemon.PostgresPassword, query, "' OR true --", "correct horse", auth.ErrUnknownUser, ""},
		{secure, daemon.PostgresPassword, query, "al\xffice", "correct horse", auth.ErrUnknownUser, ""},
		{secure, daemon.PostgresPassword, strings.Replace(query, "until AS", "nullif(until, 'infinity') AS", 1), "endless", "correct horse", nil, "endless"},
		{secure, daemon.PostgresPassword, strings.Replace(query, "until AS", "day AS", 1), "alice", "correct horse", nil, "alice"},
		{secure, daemon.PostgresPassword, query, "endless", "correct horse", auth.ErrUnavailable, `user "endless", column expires: `},
		{secure, daemon.PostgresPassword, strings.Replace(query, "home,", "odd AS home,", 1), "alice", "correct horse", auth.ErrUnavailable, `user "alice", column home: `},
		{secure, daemon.PostgresPassword, "SELECT hash FROM missing WHERE name = $1", "alice", "correct horse", auth.ErrUnavailable, `relation "missing" does not exist`},
		{secure, daemon.PostgresPassword, "SELECT hash, closed FROM users WHERE name = $1", "alice", "correct horse", auth.ErrUnavailable, `a column that is no setting: key "closed" is unknown`},
		{secure, "wrong", query, "alice", "correct horse", auth.ErrUnavailable, "password authentication failed"},
		{asReader(secure), "r3ader", "SELECT hash FROM users WHERE name = $1", "alice", "correct horse", nil, "alice"},
		{asReader(secure), "r3ader", query, "alice", "correct horse", auth.ErrUnavailable, "permission denied for table users"},
		{db.URL("sslmode=verify-full&sslrootcert=" + other), daemon.PostgresPassword, query, "alice", "correct horse", auth.ErrUnavailable, "failed to verify certificate"},
		{db.URL("sslmode=disable"), daemon.PostgresPassword, query, "alice", "correct horse", nil, "alice"},
		{db.URL(""), daemon.PostgresPassword, query, "alice", "correct horse", nil, "alice"},
	} {
		d, err := sql.New(sql.Options{Database: c.database, Password: c.dbPassword, Query: c.query, Timeout: time.Minute})
		if err != nil {
			t.Errorf("%s: %v", c.database, err)
			continue
		}
		p, err := d.Authenticate(t.Context(), auth.Attempt{User: c.user, Password: c.password})
		if !errors.Is(err, c.want) || (p == nil) != (c.want != nil) || c.want == auth.ErrDenied && errors.Is(err, auth.ErrUnknownUser) {
			t.Errorf("%s, %s: %q/%q: %v, %v", c.database, c.query, c.user, c.password, p, reason(err))
		} else if err == nil && p.Name != c.says && !strings.HasPrefix(c.query, "SELECT hash") || err != nil && !strings.Contains(reason(err), c.says) {
			t.Errorf("%s, %s: %q/%q: %+v, %v", c.database, c.query, c.user, c.password, p, reason(err))
		}
		if err == nil && c.user == "alice" && c.query == query && (p.Home != "/alice" || p.Rate != auth.Both(2048)) {
			t.Errorf("alice is %+v", p)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A change of the tables, and a restart of the server, need no restart of ours.
func TestPostgresChanges(t *testing.T) {
	files := newTLSFiles(t)
	db := startPostgres(t, files)
	if err := db.Run(`CREATE TABLE users (name text, hash text); INSERT INTO users VALUES ('alice', '` + hashOf(t, "a") + `')`); err != nil {
		t.Fatal(err)
	}
	d, err := sql.New(sql.Options{Database: db.URL("sslmode=disable"), Password: daemon.PostgresPassword, Query: "SELECT * FROM users WHERE name = $1", Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	login := func(password string) error {
		_, err := d.Authenticate(t.Context(), auth.Attempt{User: "alice", Password: password})
		return err
	}
	if err := login("a"); err != nil {
		t.Error(err)
	}
	for _, change := range []string{
		"ALTER TABLE users ADD home text",
		"UPDATE users SET hash = '" + hashOf(t, "a") + "'",
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = 'ftpgate'",
	} {
		if err := db.Run(change); err != nil {
			t.Fatal(err)
		}
		if err := login("a"); err != nil {
			t.Errorf("after %s: %v", change, err)
		}
	}
	if err := db.Run("UPDATE users SET hash = '" + hashOf(t, "b") + "'"); err != nil {
		t.Fatal(err)
	}
	if a, b := login("a"), login("b"); !errors.Is(a, auth.ErrDenied) || b != nil {
		t.Errorf("after a new password: %v, %v", a, b)
	}
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
