// Package sql is a directory of accounts in a database: PostgreSQL or SQLite. The
// operator gives a query with the user's name as its only parameter. The columns of its answer are
// the settings of [auth.Account.Set], by their names, and
//
//	hash  the hash of the password, as in [auth.ParseSecret]; required. NULL and the
//	      empty text lock the account
//	name  how the user's name is really spelled, for databases that ignore case
//
// NULL says nothing. A query without a row means that the user is unknown.
package sql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/ftpgate/ftpgate/auth"
)

// Options say what is asked, and how.
type Options struct {
	// Database is as in CheckDatabase.
	Database string
	// Password is that of the database's user.
	Password string
	// Query is as in the comment of the package; its parameter is $1.
	Query string
	// Timeout bounds one look-up, connecting included; 0: 5 s.
	Timeout time.Duration
	// Concurrency is how many connections there are at most; 0: 8. Further logins wait.
	Concurrency int
	// Defaults are what the database does not say of a user.
	Defaults auth.Account
}

// Directory is an auth.Directory. It may be used concurrently.
type Directory struct {
	opt    Options
	db     *sql.DB
	decoys *auth.Decoys
	alone  auth.Authenticator
}

var _ auth.Directory = (*Directory)(nil)

// New checks the options; it does not connect. Errors begin with the name of an
// option, in small letters.
func New(opt Options) (*Directory, error) {
	if err := CheckQuery(opt.Query); err != nil {
		return nil, fmt.Errorf("query: %w", err)
	}
	db, err := open(opt.Database, opt.Password)
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	if opt.Timeout <= 0 {
		opt.Timeout = 5 * time.Second
	}
	if opt.Concurrency <= 0 {
		opt.Concurrency = 8
	}
	db.SetMaxOpenConns(opt.Concurrency)
	db.SetMaxIdleConns(opt.Concurrency)
	if _, file := SQLiteFile(opt.Database); file {
		db.SetMaxIdleConns(-1) // the file may be replaced
	}
	db.SetConnMaxIdleTime(time.Minute)
	d := &Directory{opt: opt, db: db, decoys: auth.NewDecoys()}
	d.alone = auth.Chain(d)
	return d, nil
}

// Close closes the connections to the database.
func (d *Directory) Close() error { return d.db.Close() }

// Probe connects and looks whether the query has the right columns.
func (d *Directory) Probe(ctx context.Context) error {
	_, err := d.ask(ctx, "")
	if errors.Is(err, auth.ErrUnknownUser) {
		return nil
	}
	return err
}

// Lookup asks the database.
func (d *Directory) Lookup(ctx context.Context, name string) (*auth.Account, error) {
	if auth.CheckUserName(name) != nil || !utf8.ValidString(name) {
		return nil, auth.ErrUnknownUser
	}
	account, err := d.ask(ctx, name)
	if err == nil {
		d.decoys.Saw(account.Name, account.Secret)
	}
	return account, err
}

// Decoy returns a secret of the kind that the accounts have.
func (d *Directory) Decoy(seed uint64) auth.Secret { return d.decoys.Pick(seed) }

// Authenticate answers as auth.Chain(d) does.
func (d *Directory) Authenticate(ctx context.Context, a auth.Attempt) (*auth.Principal, error) {
	return d.alone.Authenticate(ctx, a)
}

// ask runs the query and reads its answer. Any error but ErrUnknownUser means that
// the database can't be asked, or that it says nonsense.
func (d *Directory) ask(ctx context.Context, name string) (*auth.Account, error) {
	timeout := fmt.Errorf("no answer within %v", d.opt.Timeout)
	ctx, cancel := context.WithTimeoutCause(ctx, d.opt.Timeout, timeout)
	defer cancel()
	columns, values, err := d.row(ctx, name)
	if err == nil && len(values) == 0 {
		return nil, auth.ErrUnknownUser
	}
	var account *auth.Account
	if err == nil {
		account, err = d.account(name, columns, values)
	}
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, fmt.Errorf("%w: %s: %w", auth.ErrUnavailable, d.opt.Database, err)
	}
	return account, nil
}

// row is the only row of the answer; no values: there is none.
func (d *Directory) row(ctx context.Context, name string) (columns []string, values []any, err error) {
	rows, err := d.db.QueryContext(ctx, d.opt.Query, name)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	if columns, err = rows.Columns(); err != nil {
		return nil, nil, err
	}
	if err := checkColumns(columns); err != nil {
		return nil, nil, err
	}
	for rows.Next() {
		if values != nil {
			return nil, nil, fmt.Errorf("the query finds several rows for user %q", name)
		}
		values = make([]any, len(columns))
		pointers := make([]any, len(columns))
		for i := range values {
			pointers[i] = &values[i]
		}
		if err := rows.Scan(pointers...); err != nil {
			return nil, nil, err
		}
	}
	return columns, values, rows.Err()
}

const (
	hashColumn = "hash"
	nameColumn = "name"
)

func checkColumns(columns []string) error {
	if !slices.Contains(columns, hashColumn) {
		return errors.New(`the query has no column "hash"; write SELECT … AS hash`)
	}
	for i, c := range columns {
		if slices.Contains(columns[:i], c) {
			return fmt.Errorf("the query has column %q twice", c)
		}
		if c == hashColumn || c == nameColumn {
			continue
		}
		if err := auth.CheckSetting(c); err != nil {
			return fmt.Errorf("the query has a column that is no setting: %w, hash and name", err)
		}
	}
	return nil
}

func (d *Directory) account(name string, columns []string, values []any) (*auth.Account, error) {
	account := d.opt.Defaults
	account.Name, account.Secret = name, auth.Secret{}
	for i, column := range columns {
		value, err := text(values[i])
		switch {
		case err != nil:
		case column == hashColumn && value == "": // locked
		case column == hashColumn:
			account.Secret, err = auth.ParseSecret(value)
		case column == nameColumn && value == "":
		case column == nameColumn:
			account.Name, err = value, auth.CheckUserName(value)
		default:
			err = account.SetAttribute(column, value)
		}
		if err != nil {
			return nil, fmt.Errorf("user %q, column %s: %w", name, column, err)
		}
	}
	return &account, nil
}

// text is a value as Account.Set reads it; NULL is empty.
func text(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case []byte:
		return string(v), nil
	case bool:
		return strconv.FormatBool(v), nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	case time.Time:
		return v.Format(time.RFC3339Nano), nil
	}
	return "", fmt.Errorf("its type %T can't be read; cast it to text", v)
}
