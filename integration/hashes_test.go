package integration

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestHashesOfOtherTools logs in with hashes that other programs made: openssl, mkpasswd
// (libxcrypt), htpasswd, argon2 and Python's hashlib.
func TestHashesOfOtherTools(t *testing.T) {
	t.Parallel() // refusals take their time
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "tree"), 0o755); err != nil {
		t.Fatal(err)
	}
	tool := func(input, name string, args ...string) string {
		t.Helper()
		cmd := command(t, dir, name, args...)
		cmd.Stdin = strings.NewReader(input)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s %q: %v", name, args, err)
		}
		return strings.TrimSpace(string(out))
	}
	python := func(password, expression string) string {
		return tool(password, "python3", "-c", "import sys, hashlib, base64\np = sys.stdin.buffer.read()\ns = b'saltsaltsaltsalt'\nprint(base64.b64encode("+expression+").decode())")
	}
	// The base 64 of passlib, without padding: PBKDF2 has . for +.
	encode := func(standard string) string { return strings.TrimRight(strings.ReplaceAll(standard, "+", "."), "=") }
	salt := base64.RawStdEncoding.EncodeToString([]byte("saltsaltsaltsalt"))
	hashes := map[string]func(password string) string{
		"openssl-sha256":      func(p string) string { return tool(p, "openssl", "passwd", "-5", "-stdin") },
		"openssl-sha512":      func(p string) string { return tool(p, "openssl", "passwd", "-6", "-stdin") },
		"mkpasswd-yescrypt":   func(p string) string { return tool(p, "mkpasswd", "-m", "yescrypt", "-s") },
		"mkpasswd-yescrypt-7": func(p string) string { return tool(p, "mkpasswd", "-m", "yescrypt", "-R", "7", "-s") },
		"mkpasswd-bcrypt":     func(p string) string { return tool(p, "mkpasswd", "-m", "bcrypt", "-R", "5", "-s") },
		"mkpasswd-sha512":     func(p string) string { return tool(p, "mkpasswd", "-m", "sha512crypt", "-R", "10000", "-s") },
		"mkpasswd-sha256":     func(p string) string { return tool(p, "mkpasswd", "-m", "sha256crypt", "-s") },
		"htpasswd-bcrypt":     func(p string) string { return strings.TrimPrefix(tool(p, "htpasswd", "-niB", "x"), "x:") },
		"htpasswd-sha256":     func(p string) string { return strings.TrimPrefix(tool(p, "htpasswd", "-ni2", "x"), "x:") },
		"htpasswd-sha512":     func(p string) string { return strings.TrimPrefix(tool(p, "htpasswd", "-ni5", "x"), "x:") },
		"argon2id": func(p string) string {
			return tool(p, "argon2", "saltsalt", "-id", "-t", "2", "-m", "12", "-p", "2", "-e")
		},
		"argon2i": func(p string) string {
			return tool(p, "argon2", "saltsalt", "-i", "-t", "3", "-k", "4096", "-p", "1", "-e")
		},
		"argon2d": func(p string) string {
			return tool(p, "argon2", "saltsalt", "-d", "-t", "2", "-k", "4096", "-p", "1", "-e")
		},
		"pbkdf2-sha1": func(p string) string {
			return "$pbkdf2$5000$" + salt + "$" + encode(python(p, "hashlib.pbkdf2_hmac('sha1', p, s, 5000)"))
		},
		"pbkdf2-sha256": func(p string) string {
			return "$pbkdf2-sha256$5000$" + salt + "$" + encode(python(p, "hashlib.pbkdf2_hmac('sha256', p, s, 5000)"))
		},
		"pbkdf2-sha512": func(p string) string {
			return "$pbkdf2-sha512$5000$" + salt + "$" + encode(python(p, "hashlib.pbkdf2_hmac('sha512', p, s, 5000)"))
		},
		"scrypt": func(p string) string {
			return "$scrypt$ln=10,r=8,p=1$" + salt + "$" + strings.TrimRight(python(p, "hashlib.scrypt(p, salt=s, n=1024, r=8, p=1, dklen=32)"), "=")
		},
	}
	passwords := []string{"Correct Horse", "päss\"wörd$%&"}
	var users strings.Builder
	for name, make := range hashes {
		for i, password := range passwords {
			fmt.Fprintf(&users, "%s-%d:%s\n", name, i, make(password))
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "users"), []byte(users.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	g := serveAccounts(t, accountSource{binary: shared.plain, config: "users_files: users"}, dir, "")
	for name := range hashes {
		for i, password := range passwords {
			user := fmt.Sprintf("%s-%d", name, i)
			if reply, _ := login(t, g, user, password); reply != "230 Logged in." {
				t.Errorf("%s: %s", user, reply)
			}
			if i > 0 {
				continue
			}
			for _, wrong := range []string{password + " ", strings.ToLower(password), ""} {
				if reply, _ := login(t, g, user, wrong); reply != "530 Login incorrect." {
					t.Errorf("%s with %q: %s", user, wrong, reply)
				}
			}
		}
	}
	if t.Failed() {
		t.Log(users.String())
	}
}
