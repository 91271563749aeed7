package gateway_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/ftpgate/ftpgate/auth"
	"github.com/ftpgate/ftpgate/gateway"
	"github.com/ftpgate/ftpgate/vfs"
)

// The attacks of docs/security.md that no other test meets.

// syncBuffer is a log that a test can read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// rawHandler writes attributes as they are, as careless handlers do.
type rawHandler struct {
	w    io.Writer
	with string
}

func (h rawHandler) Enabled(_ context.Context, _ slog.Level) bool { return true }
func (h rawHandler) WithGroup(string) slog.Handler                { return h }

func (h rawHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		h.with += a.String() + " "
	}
	return h
}

func (h rawHandler) Handle(_ context.Context, r slog.Record) error {
	line := "raw " + r.Message + " " + h.with
	r.Attrs(func(a slog.Attr) bool { line += a.String() + " "; return true })
	_, err := io.WriteString(h.w, line+"\n")
	return err
}

// TestLogInjection: nothing that a client sends begins a line of the log, or reaches a
// terminal as a control character; and no password is in it.
func TestLogInjection(t *testing.T) {
	hostile := "x\ttime=2000 level=INFO msg=forged \x1b[2J\x07\x08\x7f\u009b31m\u202e\xff\xc2\x85y"
	handlers := map[string]func(w io.Writer) slog.Handler{
		"time=": func(w io.Writer) slog.Handler {
			return slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})
		},
		"{": func(w io.Writer) slog.Handler {
			return slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})
		},
		"raw ": func(w io.Writer) slog.Handler { return rawHandler{w: w} },
	}
	for start, handler := range handlers {
		t.Run(start, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log syncBuffer
				f := fortified(t, func(c *gateway.Config) {
					c.Logger = slog.New(handler(&log))
					c.Auth = users(t, auth.Account{Name: "ann"})
				})
				c := f.knock(t, "203.0.113.5")
				c.want("220")
				c.ask(hostile, "500")
				c.ask("USER "+hostile, "331")
				c.ask("PASS hunter2"+hostile, "530")
				c.ask("CLNT "+hostile, "200")
				c.ask("PASWORD hunter2", "500")
				c.ask("ACCT hunter2", "202")
				c.ask("USER ann", "331")
				c.ask("PASS secret", "230")
				c.ask("PASS hunter2", "503")
				c.ask("CWD "+hostile, "550")
				c.ask("SITE "+hostile, "504")
				for _, command := range []string{"STOR " + hostile, "RETR " + hostile} {
					if got := c.run(command); got[:3] != "226" {
						t.Errorf("%q: %s", command, got)
					}
				}
				c.ask("QUIT", "221")
				c.ended()
				text := log.String()
				for line := range strings.Lines(text) {
					if !strings.HasPrefix(line, start) {
						t.Errorf("a line begins otherwise: %q", line)
					}
					for _, r := range strings.TrimSuffix(line, "\n") {
						if unicode.IsControl(r) || r == '\u202e' || r == unicode.ReplacementChar {
							t.Errorf("the log has %q in %q", r, line)
						}
					}
				}
				if strings.Contains(text, "hunter2") || strings.Contains(text, "secret") {
					t.Errorf("a password is in the log: %s", text)
				}
				if !strings.Contains(text, `x\`) || !strings.Contains(text, "forged") {
					t.Errorf("the log does not show what was sent: %s", text)
				}
			})
		})
	}
}

// TestTailIntoAnothersUpload: an interrupted upload is gone on with by its owner alone,
// and where several share an account, by whom the scope names.
func TestTailIntoAnothersUpload(t *testing.T) {
	tests := []struct {
		name       string
		scope      gateway.ResumeScope
		user, from string // of the second session
		own        bool
	}{
		{"same user", gateway.ResumeUser, "ann", "203.0.113.6", true},
		{"another user", gateway.ResumeUser, "bob", "203.0.113.5", false},
		{"same address", gateway.ResumeAddress, "ann", "203.0.113.5", true},
		{"another address", gateway.ResumeAddress, "ann", "203.0.113.6", false},
		{"another user of the address", gateway.ResumeAddress, "bob", "203.0.113.5", false},
		{"another session", gateway.ResumeSession, "ann", "203.0.113.5", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := fortified(t, func(c *gateway.Config) { c.Uploads.ResumeScope = tt.scope; c.Uploads.ShowStaged = vfs.ShowListing })
				first := f.enter(t, "203.0.113.5", "ann")
				data := first.data()
				first.ask("STOR up", "150")
				_, _ = io.WriteString(data, "first half,")
				settle()
				data.(*memConn).reset()
				first.want("426")
				first.ask("SIZE up", "213 10") // in its own session, in every scope

				second := f.enter(t, tt.from, tt.user)
				if tt.own {
					second.ask("SIZE up", "213 10")
				} else {
					second.ask("SIZE up", "550")
					second.ask("RETR up", "425")
					if got := second.listing("NLST"); strings.Contains(got, "up") {
						t.Errorf("listed: %q", got)
					}
				}
				data = second.data()
				second.ask("REST 10", "350")
				second.send("STOR up\r\n")
				got := second.reply()
				if strings.HasPrefix(got, "150") {
					_, _ = io.WriteString(data, ", and more")
					data.Close()
					got = second.reply()
				}
				if tt.own != strings.HasPrefix(got, "226") {
					t.Errorf("REST and STOR: %q", got)
				}
				data.Close()
				_, err := f.fsys.Stat(t.Context(), "up")
				if (err == nil) != tt.own {
					t.Errorf("up: %v", err)
				}
				if tt.own {
					return
				}
				// APPE makes a file of its own, and what is parked stays for its owner.
				data = second.data()
				second.ask("APPE up", "150")
				_, _ = io.WriteString(data, "another file")
				data.Close()
				second.want("226")
				if got := contentOf(t, f.fsys, "up"); got != "another file" {
					t.Errorf("up is %q", got)
				}
			})
		})
	}
}

// TestSpellingsOfAName: whichever way a path is written, one policy decides about one
// name.
func TestSpellingsOfAName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dirs, err := auth.ParseDirectories("/d/sub none")
		if err != nil {
			t.Fatal(err)
		}
		hidden, err := auth.NewPatterns("g")
		if err != nil {
			t.Fatal(err)
		}
		policy := &auth.Policy{Permissions: auth.ReadWrite, Directories: dirs, Hidden: hidden}
		s := servePolicy(t, policy, func(*gateway.Server) {}, func(c *gateway.Config) {
			c.Profiles = map[string]*gateway.Profile{"backslash": {Backslash: true, MakeParents: true}}
			c.Profile = "backslash"
		})
		before := inventory(t, s.fsys)
		c := s.login(t)
		c.ask("CWD d", "250")
		for _, path := range []string{"sub/f", "/d/sub/f", "//d//sub//f", "./sub/./f", "../d/sub/f", "../../../../d/sub/f", "/../d/x/../sub/f", "sub//f/", `sub\f`, `\d\sub\f`, `..\d/sub\.\f`,
			"SUB/f", "/D/sub/f", "/d/Sub/F", "/g", "../g", "/x/../g", `\g`, "/G", "g/x", "sub/new/er/f"} {
			for _, command := range []string{"RETR", "STOR", "APPE", "DELE", "SIZE", "MDTM", "MLST", "HASH", "RNFR", "RMDA", "MFMT 20200101000000", "SITE CHMOD 600", "MD5", "SITE CPFR", "MKD"} {
				if got := c.run(command + " " + path); got[0] != '5' || strings.HasPrefix(got, "500") || strings.HasPrefix(got, "501") {
					t.Errorf("%s %s: %s", command, path, got)
				}
			}
			c.ask("RNFR f", "350")
			c.ask("RNTO "+path, "55")
			c.ask("SITE CPFR f", "350")
			c.ask("SITE CPTO "+path, "55")
			c.ask(`SITE SYMLINK f "`+path+`"`, "550")
			c.ask(`SITE SYMLINK "`+path+`" link`, "550")
			c.ask(`COMB new "`+path+`"`, "550")
		}
		if after := inventory(t, s.fsys); after != before {
			t.Errorf("it was\n%s\nand is\n%s", before, after)
		}
	})
}

// TestDeflateBombAndSize: the largest size of a file is that of what is stored, not
// of what was sent.
func TestDeflateBombAndSize(t *testing.T) {
	var bomb bytes.Buffer
	z := zlib.NewWriter(&bomb)
	for range 16 {
		_, _ = z.Write(make([]byte, 1<<20))
	}
	z.Close()
	synctest.Test(t, func(t *testing.T) {
		s := servePolicy(t, &auth.Policy{Permissions: auth.ReadWrite, MaxSize: 1 << 20}, func(*gateway.Server) {})
		before := inventory(t, s.fsys)
		c := s.login(t)
		c.ask("MODE Z", "200")
		data := c.data()
		c.ask("STOR bomb", "150")
		go func() {
			_, _ = data.Write(bomb.Bytes())
			data.Close()
		}()
		c.want("552")
		if after := inventory(t, s.fsys); after != before {
			t.Errorf("it was\n%s\nand is\n%s", before, after)
		}
		c.ask("SIZE bomb", "550")
	})
}

// TestSessionsOfOneAddress: without any configuration one address can't take them all.
func TestSessionsOfOneAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fortified(t, func(c *gateway.Config) { c.Timeouts.Login = -1 })
		for range 2048 {
			f.knock(t, "2001:db8::5").want("220")
		}
		f.knock(t, "2001:db8::ffff").want("421 Too many sessions from your address")
		f.enter(t, "2001:db8:0:1::5", "ann")
	})
}

// TestSlowLogins: who does not log in has ten seconds, whatever it sends meanwhile.
func TestSlowLogins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fortified(t, nil)
		c := f.knock(t, "203.0.113.5")
		c.want("220")
		start := time.Now()
		for range 9 {
			time.Sleep(time.Second)
			c.ask("NOOP", "200")
		}
		c.want("421 Login took too long.")
		c.ended()
		elapsed(t, start, 10*time.Second)
	})
}

// TestFloodOfRefusals: who is turned away again and again does not fill the disk with
// the log.
func TestFloodOfRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log syncBuffer
		f := fortified(t, func(c *gateway.Config) {
			c.Defence.Deny = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}
			c.Logger = slog.New(slog.NewTextHandler(&log, nil))
		})
		flood := func(n int) (lines int) {
			before := strings.Count(log.String(), "connection refused")
			for range n {
				f.knock(t, "203.0.113.5").want("421")
			}
			synctest.Wait()
			return strings.Count(log.String(), "connection refused") - before
		}
		if n := flood(1000); n != 100 {
			t.Errorf("%d lines at once", n)
		}
		time.Sleep(time.Second)
		if n := flood(1000); n != 10 || !strings.Contains(log.String(), "not_logged_before=900") {
			t.Errorf("%d lines a second later", n)
		}
		if n := strings.Count(f.text(), "refused 203.0.113.5: denied network"); n != 2000 {
			t.Errorf("the hook was told of %d", n)
		}
	})
}
