package auth

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

const (
	bcryptHash = "$2b$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2"
	argonHash  = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
)

func TestParseUsers(t *testing.T) {
	text := strings.Join([]string{
		"\ufeff# made by hand",
		"",
		"alice:" + bcryptHash,
		"  bob:" + argonHash + ":perm=elradfmwMT,home=/bob,rate=2M,expires=2030-01-31 \r",
		"\t# carol is on leave",
		"carol:" + bcryptHash + ":disabled,perm=,",
		"John Doe:!:",
		`dan: ` + bcryptHash + ` :home="/a,b:\"c\\",disabled`,
		"erin:" + bcryptHash + ":expires=2030-01-31T12:00:00+02:00, rate=500K",
	}, "\n")
	text = strings.Replace(text, ",perm=,", "", 1)
	defaults := Account{Settings: Settings{Policy: &Policy{Permissions: ReadOnly}, Home: "/pub", Rate: Both(7)}}
	u, err := ParseUsers("users", []byte(text), defaults)
	if err != nil {
		t.Fatal(err)
	}
	var got []Account
	for a := range u.Accounts {
		a.Secret = Secret{}
		a.Expires = a.Expires.UTC()
		got = append(got, a)
	}
	read := defaults.Policy
	want := []Account{
		{Name: "alice", Settings: Settings{Policy: read, Home: "/pub", Rate: Both(7)}},
		{Name: "bob", Settings: Settings{Policy: &Policy{Permissions: ReadWrite}, Home: "/bob", Rate: Both(2 << 20)}, Expires: time.Date(2030, 1, 31, 0, 0, 0, 0, time.UTC)},
		{Name: "carol", Settings: Settings{Policy: read, Home: "/pub", Rate: Both(7)}, Disabled: true},
		{Name: "John Doe", Settings: Settings{Policy: read, Home: "/pub", Rate: Both(7)}},
		{Name: "dan", Settings: Settings{Policy: read, Home: `/a,b:"c\`, Rate: Both(7)}, Disabled: true},
		{Name: "erin", Settings: Settings{Policy: read, Home: "/pub", Rate: Both(500 << 10)}, Expires: time.Date(2030, 1, 31, 10, 0, 0, 0, time.UTC)},
	}
	for i := range want {
		want[i].Expires = want[i].Expires.UTC()
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for _, c := range []struct {
		user, password string
		ok             bool
	}{{"alice", "correct horse", true}, {"bob", "password", true}, {"carol", "correct horse", false}, {"John Doe", "", false}} {
		if _, err := u.Authenticate(t.Context(), Attempt{User: c.user, Password: c.password}); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.user, err)
		}
	}
}

func TestParseUsersErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"alice", "f:1:1: no colon; a line is name:hash or name:hash:key=value,... (ftpgate passwd writes it)"},
		{"#\n\n  :x", "f:3:3: the user name is empty"},
		{"alice :x", `f:1:1: user name "alice " begins or ends with a space`},
		{"alice:", `f:1:7: the password hash is empty; make one with "ftpgate passwd", or write ! to lock the account`},
		{"a:!\nalice:hunter2", `f:2:7: not a password hash; make one with "ftpgate passwd"`},
		{"alice:$apr1$salt$hash", `f:1:7: hashes of the kind $apr1$ are not supported; make one with "ftpgate passwd"`},
		{"a:!\nb:!\na:!", `f:3:1: user "a" is already in line 1; delete one of the two`},
		{"a:!:perm=elx", `f:1:5: permission 'x' is unknown, the letters are elradfmwMT`},
		{"a:!:perm=elr,home=pub", `f:1:14: home "pub" does not begin with / (which is the top of what is served)`},
		{"a:!:perm=elr,home=/../x", `f:1:14: home "/../x" is not a plain absolute path such as /home/alice`},
		{"a:!:rate=fast", `f:1:5: rate "fast" is not bytes a second such as 500K or 1.5M, nor off`},
		{"a:!:expires=31.1.2030", `f:1:5: "31.1.2030" is not a date such as 2027-01-31, or 2027-01-31T12:00:00Z`},
		{"a:!:disabled=no", "f:1:5: disabled has no value; delete it to take it back"},
		{"a:!:perm", "f:1:5: perm has no value; write perm=VALUE"},
		{"a:!:perm=", "f:1:5: perm has no value"},
		{"a:!:shell=/bin/sh", `f:1:5: key "shell" is unknown; there are perm, home, url, quota_bytes, quota_files, rate, profile, expires, dirs, hide, refuse, only, max_size, commands, no_commands, sessions, user_rate, lenient_tls, control_lost, fxp, require_tls and disabled`},
		{"a:!:perm=e,perm=l", "f:1:12: perm is given twice"},
		{"a:!:quota_bytes=1G/s", `f:1:5: quota_bytes "1G/s" is not a number of bytes such as 500M or 10G, nor off`},
		{"a:!:quota_files=0", `f:1:5: quota_files "0" is not a number above 0, nor off`},
		{"a:!:,perm=e", `f:1:5: key "" is unknown; there are perm, home, url, quota_bytes, quota_files, rate, profile, expires, dirs, hide, refuse, only, max_size, commands, no_commands, sessions, user_rate, lenient_tls, control_lost, fxp, require_tls and disabled`},
		{`a:!:home="/x`, "f:1:10: the closing quote is missing"},
		{`a:!:home="/x"y`, "f:1:10: a comma must follow the closing quote"},
		{"root:x:0:0:root:/root:/bin/bash", `f:1:6: not a password hash; make one with "ftpgate passwd"`},
	} {
		_, err := ParseUsers("f", []byte(c.text), Account{})
		var fe *FileError
		if !errors.As(err, &fe) || err.Error() != c.want {
			t.Errorf("%q:\n got %v\nwant %s", c.text, err, c.want)
		}
	}
}

func TestLoadUsers(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "users")
	_, err := LoadUsers(path, Account{})
	want := "users file: open " + path + `: no such file or directory; make it with "ftpgate passwd --file ` + path + ` NAME"`
	if err == nil || err.Error() != want {
		t.Errorf("missing file: %v", err)
	}
	if _, err := LoadUsers(dir, Account{}); err == nil {
		t.Error("a directory is read as a users file")
	}
	if err := os.WriteFile(path, []byte("alice:"+bcryptHash+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	u, err := LoadUsers(path, Account{})
	if err != nil || u.Len() != 1 {
		t.Errorf("%v, %v", u, err)
	}
}

func TestSetHash(t *testing.T) {
	const old = "# staff\r\nalice:!:perm=elr,home=/a # b\r\n\n  bob:" + bcryptHash + "\ncarol:!"
	for _, c := range []struct{ data, name, want string }{
		{"", "alice", "alice:" + argonHash + "\n"},
		{old, "alice", strings.Replace(old, "alice:!", "alice:"+argonHash, 1)},
		{old, "bob", strings.Replace(old, bcryptHash, argonHash, 1)},
		{old, "carol", strings.Replace(old, "carol:!", "carol:"+argonHash, 1)},
		{old, "dan", old + "\ndan:" + argonHash + "\n"},
		{"# bob:!\n", "bob", "# bob:!\nbob:" + argonHash + "\n"},
		{"a line without a colon\n", "bob", "a line without a colon\nbob:" + argonHash + "\n"},
	} {
		got, err := SetHash([]byte(c.data), c.name, argonHash)
		if err != nil || string(got) != c.want {
			t.Errorf("SetHash(%q, %s):\n got %q, %v\nwant %q", c.data, c.name, got, err, c.want)
		}
	}
	for _, c := range []struct{ name, hash string }{{"", argonHash}, {"a:b", argonHash}, {"#a", argonHash}, {"a\nb", argonHash}, {"a", "hunter2"}, {"a", ""}} {
		if _, err := SetHash(nil, c.name, c.hash); err == nil {
			t.Errorf("SetHash(%q, %q) succeeds", c.name, c.hash)
		}
	}
}

// FuzzParseUsers: any text is either users or an error with a position inside the
// text and no line break; setting a hash leaves all other users alone.
func FuzzParseUsers(f *testing.F) {
	f.Add("# c\nalice:" + bcryptHash + ":perm=elr,home=/a\r\nbob:!\n")
	f.Add(`dan:*:home="/a,b:\"c\\",disabled,expires=2030-01-31`)
	f.Add("a:!:rate=1.5M,\nb:!:x")
	f.Add("\ufeffa:!")
	f.Fuzz(func(t *testing.T, text string) {
		u, err := ParseUsers("f", []byte(text), Account{})
		if err != nil {
			var fe *FileError
			if !errors.As(err, &fe) {
				t.Fatalf("%v has no position", err)
			}
			lines := strings.Split(text, "\n")
			if fe.Line < 1 || fe.Line > len(lines) || fe.Column < 1 || fe.Column > len(lines[fe.Line-1])+1 {
				t.Fatalf("%v lies outside of the text", err)
			}
			if strings.ContainsAny(err.Error(), "\r\n") {
				t.Fatalf("%q has several lines", err)
			}
			return
		}
		out, err := SetHash([]byte(text), "new user", bcryptHash)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseUsers("f", out, Account{})
		if err != nil {
			t.Fatalf("after SetHash: %v", err)
		}
		if n := again.Len() - u.Len(); n != 1 && u.byName["new user"] == nil {
			t.Fatalf("SetHash made %d users", n)
		}
		for a := range u.Accounts {
			b := again.byName[a.Name]
			if b == nil || (a.Name != "new user" && (b.Home != a.Home || b.Rate != a.Rate || b.Disabled != a.Disabled || !b.Expires.Equal(a.Expires))) {
				t.Fatalf("SetHash changed %q: %+v, %+v", a.Name, a, b)
			}
		}
	})
}
