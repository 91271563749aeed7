package gateway_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ftpgate/ftpgate/auth"
	"github.com/ftpgate/ftpgate/gateway"
	"github.com/ftpgate/ftpgate/vfs"
)

// reload gives the server another source of accounts.
func (f *fortress) reload(t *testing.T, source auth.Authenticator) {
	t.Helper()
	cfg := f.cfg
	cfg.Auth = source
	if err := f.srv.Reload(cfg); err != nil {
		t.Fatal(err)
	}
}

// TestReloadDismisses: who may no longer be here gets 421 at the next command, a
// transfer ends as at shutdown, and everybody else goes on.
func TestReloadDismisses(t *testing.T) {
	bob := auth.Account{Name: "bob"}
	gone := map[string]func(t *testing.T) auth.Authenticator{
		"removed":  func(t *testing.T) auth.Authenticator { return users(t, bob) },
		"disabled": func(t *testing.T) auth.Authenticator { return users(t, bob, auth.Account{Name: "ann", Disabled: true}) },
		"expired": func(t *testing.T) auth.Authenticator {
			return users(t, bob, auth.Account{Name: "ann", Expires: time.Now()})
		},
		"in a chain": func(t *testing.T) auth.Authenticator { return auth.Chain(users(t), users(t, bob), auth.Anonymous(nil)) },
		"disabled, then another": func(t *testing.T) auth.Authenticator {
			return auth.Chain(users(t, auth.Account{Name: "ann", Disabled: true}), users(t, bob, auth.Account{Name: "ann"}))
		},
	}
	for name, source := range gone {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := fortified(t, nil)
				idle, storing, fetching, pipelining := f.enter(t, "127.0.0.1", "ann"), f.enter(t, "127.0.0.1", "ann"), f.enter(t, "127.0.0.1", "ann"), f.enter(t, "127.0.0.1", "ann")
				stays, busy := f.enter(t, "127.0.0.1", "bob"), f.enter(t, "127.0.0.1", "bob")
				anonymous := f.knock(t, "127.0.0.1")
				anonymous.want("220")
				writeFile(t, f.fsys, "large", strings.Repeat("x", 1<<20))
				up, down, good := storing.data(), fetching.data(), busy.data()
				storing.ask("STOR up", "150")
				_, _ = io.WriteString(up, "half")
				fetching.ask("RETR large", "150")
				busy.ask("STOR good", "150")
				settle()
				start := time.Now()
				f.reload(t, source(t))
				storing.want("426")
				storing.want("421")
				storing.ended()
				fetching.want("426")
				fetching.want("421")
				fetching.ended()
				elapsed(t, start, 0)
				idle.silent()
				idle.ask("PWD", "421")
				idle.ended()
				pipelining.send("NOOP\r\nNOOP\r\nQUIT\r\n")
				pipelining.want("421")
				stays.ask("PWD", "257")
				_, _ = io.WriteString(good, "whole")
				good.Close()
				busy.want("226")
				busy.ask("NOOP", "200")
				anonymous.ask("USER bob", "331")
				anonymous.ask("PASS secret", "230")
				for _, c := range []*memClient{f.knock(t, "127.0.0.1"), f.knock(t, "127.0.0.1")} {
					c.want("220")
					c.ask("USER ann", "331")
					c.ask("PASS secret", "530")
				}
				if info, err := vfs.StatStaged(t.Context(), f.fsys, "up", "ann"); err != nil || info.Size() != 3 {
					t.Errorf("the upload is not parked: %v, %v", info, err)
				}
				if _, err := f.fsys.Stat(t.Context(), "up"); err == nil {
					t.Error("half an upload is there")
				}
				if got := strings.Count(f.text(), "dismissed ann: login incorrect"); got != 4 {
					t.Errorf("%d sessions of ann were dismissed: %s", got, f.text())
				}
				_ = down
			})
		})
	}
}

// TestReloadKeeps: whose source says nothing else stays.
func TestReloadKeeps(t *testing.T) {
	hook := auth.AuthenticatorFunc(func(context.Context, auth.Attempt) (*auth.Principal, error) { return nil, auth.ErrUnknownUser })
	for name, source := range map[string]func(t *testing.T) auth.Authenticator{
		"the same": func(t *testing.T) auth.Authenticator { return users(t, auth.Account{Name: "ann"}) },
		"expires later": func(t *testing.T) auth.Authenticator {
			return users(t, auth.Account{Name: "ann", Expires: time.Now().Add(1)})
		},
		"can't be asked":   func(t *testing.T) auth.Authenticator { return hook },
		"may be another's": func(t *testing.T) auth.Authenticator { return auth.Chain(users(t), hook) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := fortified(t, nil)
				c := f.enter(t, "127.0.0.1", "ann")
				data := c.data()
				c.ask("STOR up", "150")
				f.reload(t, source(t))
				settle()
				data.Close()
				c.want("226")
				f.reload(t, source(t))
				c.ask("PWD", "257")
			})
		})
	}
}

// slowSource takes its time to say what becomes of a user.
type slowSource struct {
	answer error
	takes  time.Duration
	asked  int
}

func (s *slowSource) Authenticate(context.Context, auth.Attempt) (*auth.Principal, error) {
	return nil, auth.ErrDenied
}

func (s *slowSource) Recheck(ctx context.Context, _ *auth.Principal) error {
	s.asked++
	select {
	case <-time.After(s.takes):
		return s.answer
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A source that can't be asked right now dismisses nobody, and is asked again.
func TestReloadWithSlowSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fortified(t, nil)
		c := f.enter(t, "127.0.0.1", "ann")
		source := &slowSource{answer: errors.New("connection refused"), takes: time.Second}
		f.reload(t, source)
		start := time.Now()
		c.ask("NOOP", "200")
		elapsed(t, start, time.Second)
		c.ask("NOOP", "200")
		elapsed(t, start, time.Second) // not at every command
		source.takes = time.Hour
		time.Sleep(30 * time.Second)
		start = time.Now()
		c.ask("NOOP", "200")
		elapsed(t, start, 5*time.Second)
		source.answer, source.takes = auth.ErrDenied, 0
		time.Sleep(30 * time.Second)
		c.ask("NOOP", "421")
		if source.asked != 3 {
			t.Errorf("asked %d times", source.asked)
		}
	})
}

// A user who can't be asked about does not hold up Close.
func TestRecheckAndClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fortified(t, nil)
		c := f.enter(t, "127.0.0.1", "ann")
		f.reload(t, &slowSource{takes: time.Hour})
		c.send("NOOP\r\n")
		settle()
		start := time.Now()
		f.srv.Close()
		elapsed(t, start, 0)
	})
}

// An account that expires during the session ends it at the next command, and lets a
// transfer finish.
func TestExpiryDuringSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fortified(t, func(c *gateway.Config) {
			c.Auth = users(t, auth.Account{Name: "ann", Expires: time.Now().Add(30 * time.Second)})
		})
		idle, busy := f.enter(t, "127.0.0.1", "ann"), f.enter(t, "127.0.0.1", "ann")
		data := busy.data()
		busy.ask("STOR up", "150")
		time.Sleep(30*time.Second - 1)
		idle.ask("NOOP", "200")
		time.Sleep(time.Nanosecond)
		idle.ask("NOOP", "421")
		idle.ended()
		_, _ = io.WriteString(data, "all")
		data.Close()
		busy.want("226")
		busy.ask("NOOP", "421")
		if !strings.Contains(f.text(), "dismissed ann: the account has expired") {
			t.Error(f.text())
		}
	})
}

// TestUploadChoicesOfUsers: what a user says about uploads wins over the server.
func TestUploadChoicesOfUsers(t *testing.T) {
	yes, no := true, false
	for _, tt := range []struct {
		user   *bool
		server bool
		want   bool
	}{{nil, false, false}, {nil, true, true}, {&yes, false, true}, {&no, true, false}} {
		synctest.Test(t, func(t *testing.T) {
			f := fortified(t, func(c *gateway.Config) {
				c.Auth = users(t, auth.Account{Name: "ann", Settings: auth.Settings{CommitOnControlLost: tt.user}})
				c.Uploads.CommitOnControlLost = tt.server
			})
			c := f.enter(t, "127.0.0.1", "ann")
			data := c.data()
			c.ask("STOR up", "150")
			_, _ = io.WriteString(data, "all")
			data.Close()
			c.conn.Close()
			time.Sleep(time.Second)
			synctest.Wait()
			if _, err := f.fsys.Stat(t.Context(), "up"); (err == nil) != tt.want {
				t.Errorf("user %v, server %v: %v", tt.user, tt.server, err)
			}
		})
	}
}
