//go:build unix

package exec

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ftpgate/ftpgate/auth"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// script is a source that runs the lines of sh.
func script(t *testing.T, opt Options, lines string) (*Source, string) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "check")
	if err := os.WriteFile(path, []byte("#!/bin/sh\ncd "+dir+"\n"+lines+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	opt.Command = append([]string{path}, opt.Command...)
	s, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	return s, dir
}

func login(t *testing.T, s *Source, user, password string) (*auth.Principal, error) {
	t.Helper()
	return s.Authenticate(t.Context(), auth.Attempt{User: user, Password: password, Remote: netip.MustParseAddrPort("192.0.2.1:1000")})
}

func TestVerdicts(t *testing.T) {
	defaults := auth.Account{Settings: auth.Settings{Home: "/preset"}}
	for _, c := range []struct {
		lines string
		want  error
		err   string // of the log
		home  string
	}{
		{"exit 0", nil, "", "/preset"},
		{`echo '{"home": "/u", "perm": "elr"}'`, nil, "", "/u"},
		{`echo '{"disabled": true}'`, auth.ErrDenied, "", ""},
		{`echo '{"expires": "2020-01-01"}'`, auth.ErrDenied, "", ""},
		{"exit 1", auth.ErrDenied, "", ""},
		{"exit 2", auth.ErrUnknownUser, "", ""},
		{"echo no database >&2; exit 3", auth.ErrUnavailable, "exit status 3: no database", ""},
		{"kill -9 $$", auth.ErrUnavailable, "signal: killed", ""},
		{"echo welcome", auth.ErrUnavailable, "the answer is not a JSON object", ""},
		{`echo '{"homes": "/u"}'`, auth.ErrUnavailable, `key "homes" is unknown`, ""},
		{"while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done", auth.ErrUnavailable, "it printed more than 64 KiB", ""},
		{"while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy >&2; done", auth.ErrUnavailable, "it printed more than 64 KiB", ""},
	} {
		s, _ := script(t, Options{Defaults: defaults, Timeout: time.Minute}, c.lines)
		p, err := login(t, s, "u", "secret")
		if !errors.Is(err, c.want) || (p == nil) != (c.want != nil) || c.want == auth.ErrDenied && errors.Is(err, auth.ErrUnknownUser) {
			t.Errorf("%s: %v, %v", c.lines, p, err)
			continue
		}
		if err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v", c.lines, err)
		}
		if p != nil && (p.Name != "u" || p.Home != c.home) {
			t.Errorf("%s: %+v", c.lines, p)
		}
	}
}

// The program learns everything from its standard input, nothing from its arguments or
// from our environment.
func TestSurroundings(t *testing.T) {
	t.Setenv("FTPGATE_SECRET", "leaked")
	s, dir := script(t, Options{Command: []string{"--option", "a b;c"}}, `cat >stdin; env >env; printf '%s\n' "$@" >args`)
	if _, err := login(t, s, "u", "se'cret"); err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	var request map[string]any
	if err := json.Unmarshal([]byte(read("stdin")), &request); err != nil || request["user"] != "u" || request["password"] != "se'cret" || request["remote"] != "192.0.2.1" {
		t.Errorf("%v, %v", request, err)
	}
	if args := read("args"); args != "--option\na b;c\n" {
		t.Errorf("the arguments are %q", args)
	}
	if env := read("env"); strings.Contains(env, "SECRET") || strings.Contains(env, "HOME=") || !strings.Contains(env, "PATH=/usr") {
		t.Errorf("the environment is\n%s", env)
	}
}

// What is not asked: names and passwords that no account can have.
func TestNotAsked(t *testing.T) {
	s, dir := script(t, Options{}, "touch asked")
	for user, password := range map[string]string{"u": "", "": "x", "a:b": "x", "a\n": "x", "v": "\xff"} {
		if p, err := login(t, s, user, password); !errors.Is(err, auth.ErrDenied) {
			t.Errorf("%q/%q: %v, %v", user, password, p, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "asked")); err == nil {
		t.Error("the program was asked")
	}
}

// A program that hangs is killed with all that it started, at the time-out and when
// the client is gone.
func TestTimeout(t *testing.T) {
	const lines = `sleep 1000 & echo $! >child.tmp; mv child.tmp child; sleep 1000`
	gone := func(t *testing.T, dir string) {
		t.Helper()
		data, err := os.ReadFile(filepath.Join(dir, "child"))
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
		if err != nil {
			t.Fatal(err)
		}
		for range 1000 { // init takes its time to reap it
			if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err != nil || strings.Contains(string(stat), ") Z ") {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Errorf("process %d lives on", pid)
	}
	t.Run("timeout", func(t *testing.T) {
		s, dir := script(t, Options{Timeout: 2 * time.Second}, lines)
		_, err := login(t, s, "u", "x")
		if !errors.Is(err, auth.ErrUnavailable) || !strings.Contains(err.Error(), "it did not end within 2s") {
			t.Error(err)
		}
		gone(t, dir)
	})
	t.Run("hang-up", func(t *testing.T) {
		s, dir := script(t, Options{Timeout: time.Minute}, lines)
		hangUp := errors.New("the client hung up")
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() {
			for {
				if _, err := os.Stat(filepath.Join(dir, "child")); err == nil || t.Context().Err() != nil {
					cancel(hangUp)
					return
				}
				time.Sleep(time.Millisecond)
			}
		}()
		if _, err := s.Authenticate(ctx, auth.Attempt{User: "u", Password: "x"}); !errors.Is(err, hangUp) || !errors.Is(err, auth.ErrUnavailable) {
			t.Error(err)
		}
		gone(t, dir)
	})
	t.Run("left behind", func(t *testing.T) {
		s, dir := script(t, Options{Timeout: time.Minute}, `sleep 1000 & echo $! >child; exit 0`)
		if _, err := login(t, s, "u", "x"); !errors.Is(err, auth.ErrUnavailable) || !strings.Contains(err.Error(), "keeps its output open") {
			t.Error(err)
		}
		gone(t, dir)
	})
}

// Only so many run at once; the others wait, and give up with their client.
func TestConcurrency(t *testing.T) {
	s, dir := script(t, Options{Concurrency: 1, Timeout: time.Minute}, "echo $$ >running.tmp; mv running.tmp running; read line <go")
	if err := syscall.Mkfifo(filepath.Join(dir, "go"), 0o600); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := login(t, s, "u", "x"); err != nil {
			t.Error(err)
		}
	})
	for {
		if _, err := os.Stat(filepath.Join(dir, "running")); err == nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Authenticate(ctx, auth.Attempt{User: "v", Password: "x"}); !errors.Is(err, auth.ErrUnavailable) || !strings.Contains(err.Error(), "waiting for one of 1 runs to end") {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "go"), []byte("on\n"), 0); err != nil {
		t.Error(err)
	}
	wg.Wait()
}

func TestNew(t *testing.T) {
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for want, command := range map[string][]string{
		"command: there is no program":          nil,
		`command: "sh" is not an absolute path`: {"sh"},
		"no such file or directory":             {"/nowhere/check"},
		"permission denied":                     {plain},
	} {
		if _, err := New(Options{Command: command}); err == nil || !strings.HasPrefix(err.Error(), "command: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", command, err)
		}
	}
}
