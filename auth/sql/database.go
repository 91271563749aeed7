package sql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

const sqliteScheme = "sqlite:"

// SQLiteFile is the file of a database "sqlite:FILE".
func SQLiteFile(database string) (path string, ok bool) {
	return strings.CutPrefix(database, sqliteScheme)
}

// SQLite is the database in that file.
func SQLite(path string) string { return sqliteScheme + path }

// CheckDatabase returns nil if database is "sqlite:FILE" or a URL of PostgreSQL,
// "postgres://USER@HOST:PORT/DATABASE?sslmode=verify-full", without a password. Several hosts
// are separated by commas. To a host other than this machine, sslmode must be
// given.
func CheckDatabase(database string) error {
	if path, ok := SQLiteFile(database); ok {
		if path == "" {
			return errors.New("the name of the file is missing; write sqlite:FILE")
		}
		return nil
	}
	_, err := postgresConfig(database)
	return err
}

// CheckQuery returns nil if query can be asked about a name.
func CheckQuery(query string) error {
	if !strings.Contains(query, "$1") {
		return errors.New("the query does not use $1, the name of the user")
	}
	if strings.Contains(query, "$2") {
		return errors.New("the query uses $2; $1, the name of the user, is the only parameter")
	}
	return nil
}

func open(database, password string) (*sql.DB, error) {
	path, ok := SQLiteFile(database)
	if ok && path == "" {
		return nil, CheckDatabase(database)
	}
	if ok {
		// Read only, so that a wrong name makes no empty database.
		file := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: "mode=ro&_pragma=busy_timeout(3000)"}
		return sql.Open("sqlite", file.String())
	}
	cfg, err := postgresConfig(database)
	if err != nil {
		return nil, err
	}
	if password != "" {
		cfg.Password = password
	}
	// A server that was restarted is not noticed before the connection is used.
	ping := func(context.Context, stdlib.ShouldPingParams) bool { return true }
	return stdlib.OpenDB(*cfg, stdlib.OptionShouldPing(ping)), nil
}

func postgresConfig(database string) (*pgx.ConnConfig, error) {
	shape := "write postgres://USER@HOST/DATABASE?sslmode=verify-full, or sqlite:FILE"
	u, err := url.Parse(database)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, errors.New("this is no database; " + shape)
	}
	query := u.Query()
	if _, given := u.User.Password(); given || query.Has("password") {
		return nil, errors.New("the URL holds a password; give it by password_env or password_file")
	}
	cfg, err := pgx.ParseConfig(database)
	if err != nil {
		return nil, fmt.Errorf("%w; %s", err, shape)
	}
	if !query.Has("sslmode") && !local(cfg) {
		return nil, errors.New("sslmode is missing; write ?sslmode=verify-full, which protects the connection, or ?sslmode=disable")
	}
	if cfg.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement {
		// A statement kept on the connection would fail when the tables change.
		cfg.DefaultQueryExecMode = pgx.QueryExecModeDescribeExec
	}
	return cfg, nil
}

// local reports whether all hosts are sockets or addresses of this machine.
func local(cfg *pgx.ConnConfig) bool {
	hosts := []string{cfg.Host}
	for _, f := range cfg.Fallbacks {
		hosts = append(hosts, f.Host)
	}
	for _, host := range hosts {
		addr, err := netip.ParseAddr(host)
		if host != "localhost" && !strings.HasPrefix(host, "/") && (err != nil || !addr.IsLoopback()) {
			return false
		}
	}
	return true
}
