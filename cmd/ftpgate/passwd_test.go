package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/ftpgate/ftpgate/auth"
)

// bcryptHash is of "correct horse", at a cost that tests can afford.
const bcryptHash = "$2b$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2"

// passwd runs "ftpgate passwd" on text.
func passwd(text io.Reader, args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	p := surroundings{stdin: text, stdout: &out, stderr: &errs, notify: func() (<-chan os.Signal, func()) { return nil, func() {} }}
	status = p.run(context.Background(), append([]string{"passwd"}, args...))
	return status, out.String(), errs.String()
}

// matches reports whether the users file lets name in with the password.
func matches(t *testing.T, file, name, password string) bool {
	t.Helper()
	users, err := auth.LoadUsers(file, auth.Account{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = users.Authenticate(t.Context(), auth.Attempt{User: name, Password: password})
	return err == nil
}

func TestPasswdPrints(t *testing.T) {
	for _, input := range []string{"secret", "secret\n", "secret\r\n", "secret\nmore\n"} {
		status, out, errs := passwd(strings.NewReader(input))
		hash := strings.TrimSuffix(out, "\n")
		if status != 0 || errs != "" || !strings.HasPrefix(hash, "$argon2id$") {
			t.Fatalf("%q: %d %q %q", input, status, out, errs)
		}
		users, err := auth.ParseUsers("f", []byte("alice:"+hash), auth.Account{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := users.Authenticate(t.Context(), auth.Attempt{User: "alice", Password: "secret"}); err != nil {
			t.Errorf("%q: %v", input, err)
		}
	}
	if status, out, _ := passwd(strings.NewReader("secret"), "alice"); status != 0 || !strings.HasPrefix(out, "alice:$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("%d %s", status, out)
	}
}

func TestPasswdErrors(t *testing.T) {
	dir := t.TempDir()
	usage := `; see "ftpgate passwd --help"`
	for _, c := range []struct {
		input  string
		args   []string
		status int
		want   string
	}{
		{"", nil, 1, "the password is empty; write it to standard input, or run this in a terminal"},
		{"\n", nil, 1, "the password is empty; write it to standard input, or run this in a terminal"},
		{strings.Repeat("x", 5000), nil, 1, "the password is longer than 4096 bytes"},
		{strings.Repeat("x", 73), []string{"--algorithm=bcrypt"}, 1, "bcrypt takes at most 72 bytes, the password is longer; use argon2id"},
		{"x", []string{"--algorithm=md5"}, 2, `--algorithm: "md5" is not argon2id or bcrypt` + usage},
		{"x", []string{"--file=f"}, 2, "--file needs the NAME of the user" + usage},
		{"x", []string{"a:b"}, 2, `user name "a:b" has a colon` + usage},
		{"x", []string{"alice", "secret"}, 2, "2 arguments are given, at most 1 is taken" + usage},
		{"x", []string{"--file=" + dir + "/no/users", "alice"}, 1, "users file: open " + dir + "/no: no such file or directory"},
		{"x", []string{"--file=" + dir, "alice"}, 1, "users file: read " + dir + ": is a directory"},
		{"x", []string{"--file=" + dir + "/users", "#alice"}, 1, `user name "#alice" begins with #, which makes its line a comment`},
	} {
		status, out, errs := passwd(strings.NewReader(c.input), c.args...)
		if status != c.status || out != "" || errs != "ftpgate: "+c.want+"\n" {
			t.Errorf("passwd %v: %d %q %s", c.args, status, out, errs)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("files are left: %v %v", left, err)
	}
}

// The file is made for its owner alone, changed in its place, and found through a
// link; what else is in it stays.
func TestPasswdFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "users")
	set := func(path, name, password string) {
		t.Helper()
		if status, out, errs := passwd(strings.NewReader(password), "--file", path, name); status != 0 || out+errs != "" {
			t.Fatalf("%d %s %s", status, out, errs)
		}
	}
	set(file, "alice", "one")
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the new file is %v, %v", info.Mode(), err)
	}
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	set(link, "bob", "two")
	set(file, "alice", "three")
	for _, c := range []struct {
		name, password string
		want           bool
	}{{"alice", "one", false}, {"alice", "three", true}, {"bob", "two", true}} {
		if matches(t, file, c.name, c.password) != c.want {
			t.Errorf("%s/%s is not %v", c.name, c.password, c.want)
		}
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the changed file is %v, %v", info.Mode(), err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Error("the link was replaced")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("files are left: %v %v", entries, err)
	}
}

// Runs side by side lose nothing.
func TestPasswdConcurrently(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users")
	const n = 50
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if err := setPassword(file, fmt.Sprint("user", i), bcryptHash); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	users, err := auth.LoadUsers(file, auth.Account{})
	if err != nil {
		t.Fatal(err)
	}
	if users.Len() != n {
		t.Errorf("%d of %d users are in the file", users.Len(), n)
	}
}

func TestVersion(t *testing.T) {
	var out bytes.Buffer
	if status := (surroundings{stdout: &out}).run(t.Context(), []string{"version"}); status != 0 || !strings.HasPrefix(out.String(), "ftpgate ") || strings.Count(out.String(), "\n") != 1 {
		t.Errorf("%d %q", status, out.String())
	}
}

func TestOneLine(t *testing.T) {
	if got := oneLine("a\n\n  b\r\nc\n"); got != "a; b; c" {
		t.Error(got)
	}
}
