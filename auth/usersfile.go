package auth

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"
	"unicode"
)

// FileError says what is wrong with a file, and where.
type FileError struct {
	File   string
	Line   int // from 1
	Column int // from 1, in bytes
	Err    error
}

// Error is one line, whatever the file holds.
func (e *FileError) Error() string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, fmt.Sprintf("%s:%d:%d: %v", e.File, e.Line, e.Column, e.Err))
}

func (e *FileError) Unwrap() error { return e.Err }

// LoadUsers reads a users file; see ParseUsers.
func LoadUsers(path string, defaults Account) (*Users, error) {
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("users file: %w; make it with \"ftpgate passwd --file %s NAME\"", err, path)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("users file: %w; the user that runs ftpgate must be able to read it", err)
	case err != nil:
		return nil, fmt.Errorf("users file: %w", err)
	}
	return ParseUsers(path, data, defaults)
}

// ParseUsers reads the text of a users file. Each line is
//
//	name:hash[:key=value,...]
//
// where hash is as in ParseSecret and the keys are
//
//	perm=elr             permissions, as in ParsePermissions
//	dirs=/in elw;/out elr  directories with permissions of their own
//	hide=.*;*.key        names that do not exist for the user, as globs
//	refuse=*.exe         names that are listed and refused to every command
//	only=*.csv           names that files may have
//	max_size=100M        how large a file may become
//	commands=RETR;LIST   the commands about files that may be used
//	no_commands=SITE     commands that may not be used
//	home=/dir            the directory that is the user's root
//	url=s3://bucket      what is served to the user in place of the server's store
//	quota_bytes=10G      how much may be stored below the home; off: no limit
//	quota_files=1000     how many files; off: no limit
//	rate=2M              limit of each direction of each session, as in ParseRates;
//	                     off: none, also where the server has one
//	user_rate=10M        the same of all sessions of the user together
//	sessions=4           how many sessions the user may have at once
//	lenient_tls=on       uploads may end without close_notify
//	control_lost=commit  uploads may end along with the control connection
//	profile=NAME         the device profile of the user's sessions
//	expires=2027-01-31   the first day on which the login is refused (UTC), or a
//	                     moment as in RFC 3339
//	fxp                  data connections may go to other hosts
//	require_tls          logins and transfers without TLS are refused
//	disabled             the login is refused
//
// A value with a comma is put in double quotes, in which \ escapes a quote or
// itself. Empty lines and lines that begin with # are comments. A line without
// keys is what htpasswd writes, so htpasswd files work too. What a line does not
// say is taken from defaults. Errors are *FileError and show no hash; name is how
// they call the file.
func ParseUsers(name string, data []byte, defaults Account) (*Users, error) {
	var accounts []Account
	seen := map[string]int{}
	for line := range fileLines(data) {
		a, err := parseUser(line.text, defaults)
		if err == nil && seen[a.Name] > 0 {
			err = at(0, fmt.Errorf("user %q is already in line %d; delete one of the two", a.Name, seen[a.Name]))
		}
		if err != nil {
			column := line.column
			var pos *columnError
			if errors.As(err, &pos) {
				column, err = column+pos.offset, pos.err
			}
			return nil, &FileError{File: name, Line: line.number, Column: column, Err: err}
		}
		seen[a.Name] = line.number
		accounts = append(accounts, a)
	}
	return NewUsers(accounts...)
}

// fileLine is a line that holds a user.
type fileLine struct {
	number, column int    // where text begins, from 1
	start, end     int    // what of the data text is
	text           string // without space around it
}

// fileLines calls yield for every line that is no comment.
func fileLines(data []byte) func(yield func(fileLine) bool) {
	return func(yield func(fileLine) bool) {
		const byteOrderMark = "\ufeff"
		number := 0
		for start := 0; start < len(data); {
			number++
			end := len(data)
			if i := bytes.IndexByte(data[start:], '\n'); i >= 0 {
				end = start + i + 1
			}
			raw := string(data[start:end])
			text := strings.TrimLeft(strings.TrimPrefix(raw, byteOrderMark), " \t")
			indent := len(raw) - len(text)
			text = strings.TrimRight(text, " \t\r\n")
			line := fileLine{number, indent + 1, start + indent, start + indent + len(text), text}
			if text != "" && text[0] != '#' && !yield(line) {
				return
			}
			start = end
		}
	}
}

// columnError is an error at an offset of the line.
type columnError struct {
	offset int
	err    error
}

func (e *columnError) Error() string { return e.err.Error() }

func at(offset int, err error) error {
	if err == nil {
		return nil
	}
	return &columnError{offset, err}
}

func parseUser(line string, defaults Account) (Account, error) {
	a := defaults
	name, rest, ok := strings.Cut(line, ":")
	if !ok {
		return a, at(0, errors.New("no colon; a line is name:hash or name:hash:key=value,... (ftpgate passwd writes it)"))
	}
	if err := CheckUserName(name); err != nil {
		return a, at(0, err)
	}
	hash, options, _ := strings.Cut(rest, ":")
	secret, err := ParseSecret(strings.TrimSpace(hash))
	if err != nil {
		return a, at(len(name)+1, err)
	}
	a.Name, a.Secret = name, secret
	return a, parseOptions(&a, options, len(name)+1+len(hash)+1)
}

// parseOptions reads "key=value,key,..." which begins at offset of the line.
func parseOptions(a *Account, s string, offset int) error {
	seen := map[string]bool{}
	for s != "" {
		i := strings.IndexAny(s, "=,")
		if i < 0 {
			i = len(s)
		}
		key, used := strings.TrimSpace(s[:i]), i
		value, hasValue := "", false
		if i < len(s) && s[i] == '=' {
			v, n, err := optionValue(s[i+1:])
			if err != nil {
				return at(offset+i+1, err)
			}
			value, hasValue, used = v, true, i+1+n
		}
		if seen[key] {
			return at(offset, fmt.Errorf("%s is given twice", key))
		}
		seen[key] = true
		if err := a.Set(key, value, hasValue); err != nil {
			return at(offset, err)
		}
		if used < len(s) {
			used++ // the comma
		}
		s, offset = s[used:], offset+used
	}
	return nil
}

// optionValue reads a value up to the comma or the end, and returns how many
// bytes it took.
func optionValue(s string) (value string, n int, err error) {
	if !strings.HasPrefix(s, `"`) {
		n = strings.IndexByte(s, ',')
		if n < 0 {
			n = len(s)
		}
		return strings.TrimSpace(s[:n]), n, nil
	}
	var b strings.Builder
	for n = 1; n < len(s); n++ {
		switch c := s[n]; {
		case c == '\\' && n+1 < len(s):
			n++
			b.WriteByte(s[n])
		case c == '"':
			if rest := s[n+1:]; rest != "" && rest[0] != ',' {
				return "", 0, errors.New("a comma must follow the closing quote")
			}
			return b.String(), n + 1, nil
		default:
			b.WriteByte(c)
		}
	}
	return "", 0, errors.New("the closing quote is missing")
}

// ParseExpiry reads a date, which means its first moment in UTC, or a moment as
// in RFC 3339.
func ParseExpiry(s string) (time.Time, error) {
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, fmt.Errorf("%q is not a date such as 2027-01-31, or 2027-01-31T12:00:00Z", s)
	}
	return t, nil
}

// SetHash returns the text of a users file in which the user of that name has
// the hash. Everything else stays, byte by byte; a new user comes at the end.
func SetHash(data []byte, name, hash string) ([]byte, error) {
	if err := CheckUserName(name); err != nil {
		return nil, err
	}
	if strings.HasPrefix(name, "#") {
		return nil, fmt.Errorf("user name %q begins with #, which makes its line a comment", name)
	}
	if _, err := ParseSecret(hash); err != nil {
		return nil, err
	}
	for line := range fileLines(data) {
		user, rest, ok := strings.Cut(line.text, ":")
		if !ok || user != name {
			continue
		}
		_, options, hasOptions := strings.Cut(rest, ":")
		text := name + ":" + hash
		if hasOptions {
			text += ":" + options
		}
		return bytes.Join([][]byte{data[:line.start], []byte(text), data[line.end:]}, nil), nil
	}
	out := bytes.Clone(data)
	if n := len(out); n > 0 && out[n-1] != '\n' {
		out = append(out, '\n')
	}
	return append(out, name+":"+hash+"\n"...), nil
}
