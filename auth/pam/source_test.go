//go:build pam && cgo && linux

package pam

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ftpgate/ftpgate/auth"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// services are files of services in a directory of their own. checked asks a program
// for the password and the account, whose refusals are turned into PAM's.
func services(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	program := func(name, text string) string {
		path := filepath.Join(dir, name+".sh")
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	password := program("password", `read -r p; [ "$PAM_RHOST/$PAM_TTY/$PAM_USER/$p" = "192.0.2.1/ftp/$PAM_USER/right $PAM_USER" ]`)
	account := program("account", `[ "$PAM_USER" != expired ]`)
	hang := program("hang", `read -r x <`+dir+`/go`)
	if err := syscall.Mkfifo(filepath.Join(dir, "go"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"permit": "auth required pam_permit.so\naccount required pam_permit.so\n",
		"deny":   "auth required pam_deny.so\naccount required pam_permit.so\n",
		// pam_debug answers what it is told to.
		"unknown":      "auth required pam_debug.so auth=user_unknown\naccount required pam_permit.so\n",
		"unavailable":  "auth required pam_debug.so auth=authinfo_unavail\naccount required pam_permit.so\n",
		"expired":      "auth required pam_permit.so\naccount required pam_debug.so acct=acct_expired\n",
		"old-password": "auth required pam_permit.so\naccount required pam_debug.so acct=new_authtok_reqd\n",
		"perm-denied":  "auth required pam_permit.so\naccount required pam_debug.so acct=perm_denied\n",
		"no-account":   "auth required pam_permit.so\naccount required pam_deny.so\n",
		"missing":      "auth required pam_of_nobody.so\naccount required pam_permit.so\n",
		"checked": "auth [success=1 default=ignore] pam_exec.so quiet expose_authtok " + password + "\nauth requisite pam_deny.so\nauth required pam_permit.so\n" +
			"account [success=1 default=ignore] pam_exec.so quiet " + account + "\naccount requisite pam_deny.so\naccount required pam_permit.so\n",
		"hang": "auth required pam_exec.so quiet " + hang + "\naccount required pam_permit.so\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func attempt(user, password string) auth.Attempt {
	return auth.Attempt{User: user, Password: password, Remote: netip.MustParseAddrPort("[::ffff:192.0.2.1]:1000")}
}

func TestVerdicts(t *testing.T) {
	dir := services(t)
	for _, c := range []struct {
		service, user, password string
		want                    error
	}{
		{"permit", "alice", "x", nil},
		{"permit", "alice", "", auth.ErrDenied},
		{"permit", "alice", "x\x00y", auth.ErrDenied},
		{"permit", "a:b", "x", auth.ErrUnknownUser},
		{"deny", "alice", "x", auth.ErrDenied},
		{"unknown", "alice", "x", auth.ErrUnknownUser},
		{"unavailable", "alice", "x", auth.ErrUnavailable},
		{"expired", "alice", "x", auth.ErrDenied},
		{"old-password", "alice", "x", auth.ErrDenied},
		{"perm-denied", "alice", "x", auth.ErrDenied},
		{"no-account", "alice", "x", auth.ErrDenied},
		{"missing", "alice", "x", auth.ErrUnavailable},
		{"checked", "alice", "right alice", nil},
		{"checked", "alice", "right bob", auth.ErrDenied},
		{"checked", "expired", "right expired", auth.ErrDenied},
	} {
		s, err := New(Options{Service: c.service, ConfDir: dir, Timeout: time.Minute, Defaults: auth.Account{Settings: auth.Settings{Home: "/preset"}}})
		if err != nil {
			t.Fatal(err)
		}
		p, err := s.Authenticate(t.Context(), attempt(c.user, c.password))
		if !errors.Is(err, c.want) || (p == nil) != (c.want != nil) || c.want == auth.ErrDenied && errors.Is(err, auth.ErrUnknownUser) {
			t.Errorf("%s: %s/%s: %v, %v", c.service, c.user, c.password, p, err)
		}
		if p != nil && (p.Name != c.user || p.Home != "/preset") {
			t.Errorf("%s: %+v", c.service, p)
		}
	}
}

// Defaults may disable what PAM lets in.
func TestDisabled(t *testing.T) {
	s, err := New(Options{Service: "permit", ConfDir: services(t), Defaults: auth.Account{Disabled: true}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Authenticate(t.Context(), attempt("alice", "x")); !errors.Is(err, auth.ErrDenied) {
		t.Error(err)
	}
}

// A module that hangs does not hold the session, but its place.
func TestHang(t *testing.T) {
	dir := services(t)
	s, err := New(Options{Service: "hang", ConfDir: dir, Timeout: 300 * time.Millisecond, Concurrency: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"no answer within 300ms", "1 logins are under way: no answer within 300ms"} {
		if _, err := s.Authenticate(t.Context(), attempt("alice", "x")); !errors.Is(err, auth.ErrUnavailable) || !strings.Contains(err.Error(), want) {
			t.Error(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "go"), []byte("on\n"), 0); err != nil {
		t.Error(err)
	}
	s.slots <- struct{}{} // until the module has ended
}

func TestConcurrent(t *testing.T) {
	s, err := New(Options{Service: "checked", ConfDir: services(t), Timeout: time.Minute, Concurrency: 4})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			user := string(rune('a' + i))
			if p, err := s.Authenticate(context.Background(), attempt(user, "right "+user)); err != nil || p.Name != user {
				t.Errorf("%s: %v, %v", user, p, err)
			}
			if _, err := s.Authenticate(context.Background(), attempt(user, "right x")); !errors.Is(err, auth.ErrDenied) {
				t.Errorf("%s: %v", user, err)
			}
		})
	}
	wg.Wait()
}

func TestNew(t *testing.T) {
	for _, service := range []string{"a/b", "..", "."} {
		if _, err := New(Options{Service: service}); err == nil || !strings.HasPrefix(err.Error(), "service: ") {
			t.Errorf("%s: %v", service, err)
		}
	}
}
