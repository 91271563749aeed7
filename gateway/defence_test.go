package gateway_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ftpgate/ftpgate/auth"
	"github.com/ftpgate/ftpgate/gateway"
	"github.com/ftpgate/ftpgate/gateway/dataconn"
	"github.com/ftpgate/ftpgate/vfs"
)

// watch keeps what hooks tell, as text.
type watch struct {
	mu  sync.Mutex
	log []string
}

func (w *watch) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log = append(w.log, fmt.Sprintf(format, args...))
}

func (w *watch) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.log, "\n")
}

func (w *watch) hooks() gateway.Hooks {
	return gateway.Hooks{
		Refused:     func(e gateway.Refused) { w.note("refused %s: %s", e.Remote.Addr(), e.Reason) },
		Login:       func(e gateway.Login) { w.note("login %s", e.User) },
		LoginFailed: func(e gateway.LoginFailed) { w.note("failed %q from %s", e.User, e.Remote.Addr()) },
		Banned:      func(e gateway.Banned) { w.note("banned %s for %v", e.Host, time.Until(e.Until)) },
		Dismissed:   func(e gateway.Dismissed) { w.note("dismissed %s: %v", e.User, e.Reason) },
	}
}

// fortress is a server on which ann and bob have the password "secret".
type fortress struct {
	*memServer
	*watch
	srv *gateway.Server
	cfg gateway.Config
}

func users(t *testing.T, accounts ...auth.Account) *auth.Users {
	t.Helper()
	for i := range accounts {
		accounts[i].Secret = auth.Plaintext("secret")
	}
	u, err := auth.NewUsers(accounts...)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func fortified(t *testing.T, configure func(*gateway.Config)) *fortress {
	f := &fortress{watch: &watch{}}
	f.memServer = serveMemory(t, func(cfg *gateway.Config) {
		cfg.Auth = users(t, auth.Account{Name: "ann"}, auth.Account{Name: "bob"})
		cfg.Hooks = f.hooks()
		if configure != nil {
			configure(cfg)
		}
		f.cfg = *cfg
	}, func(srv *gateway.Server) { f.srv = srv })
	return f
}

// knock connects from an address, without waiting for the greeting.
func (f *fortress) knock(t *testing.T, from string) *memClient {
	t.Helper()
	conn, err := f.Dial(t.Context(), netip.AddrPortFrom(netip.MustParseAddr(from), 0), f.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &memClient{t: t, s: f.memServer, conn: conn, in: bufio.NewReader(conn)}
}

func (f *fortress) enter(t *testing.T, from, user string) *memClient {
	t.Helper()
	c := f.knock(t, from)
	c.want("220")
	c.ask("USER "+user, "331")
	c.ask("PASS secret", "230")
	c.ask("TYPE I", "200")
	return c
}

// ended waits for the end of the connection, and for the server to be done with it.
func (c *memClient) ended() {
	c.t.Helper()
	if line, err := c.in.ReadString('\n'); err != io.EOF {
		c.t.Errorf("got %q, %v, want the end", line, err)
	}
	c.conn.Close()
	synctest.Wait()
}

// fails tries a wrong password until the server has had enough.
func (c *memClient) fails(user string) {
	c.t.Helper()
	c.want("220")
	for range 5 {
		c.ask("USER "+user, "331")
		c.ask("PASS wrong", "530")
	}
	c.ended()
}

func elapsed(t *testing.T, start time.Time, want time.Duration) {
	t.Helper()
	if got := time.Since(start); got != want {
		t.Errorf("it took %v, want %v", got, want)
	}
}

func TestBanAfterFailedLogins(t *testing.T) {
	for name, tt := range map[string]struct{ attacker, same, other string }{
		"IPv4":        {"203.0.113.5", "203.0.113.5", "203.0.113.6"},
		"IPv6 /64":    {"2001:db8:1:2::5", "2001:db8:1:2:ffff::1", "2001:db8:1:3::5"},
		"IPv4 mapped": {"::ffff:203.0.113.5", "203.0.113.5", "203.0.113.6"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := fortified(t, nil)
				stays := f.enter(t, tt.other, "bob")
				for range 4 { // 26 points each, of which 10 a minute are forgotten
					f.knock(t, tt.attacker).fails("ann")
				}
				for strings.Count(f.text(), "banned") == 0 {
					f.knock(t, tt.attacker).fails("ann")
				}
				start := time.Now()
				f.knock(t, tt.same).want("421 Your address is banned")
				time.Sleep(30*time.Minute - time.Nanosecond)
				f.knock(t, tt.same).want("421 Your address is banned")
				time.Sleep(time.Nanosecond)
				f.enter(t, tt.same, "ann")
				elapsed(t, start, 30*time.Minute)
				f.enter(t, tt.other, "ann")
				stays.want("421 Idle") // and not before
				host := auth.HostOf(netip.MustParseAddr(tt.attacker))
				if got := f.text(); strings.Count(got, "banned "+host.String()+" for 30m0s") != 1 || strings.Count(got, `failed "ann" from `) < 20 ||
					!strings.Contains(got, "refused "+netip.MustParseAddr(tt.same).Unmap().String()+": banned") || !strings.Contains(got, "login ann") {
					t.Errorf("hooks: %s", got)
				}
			})
		})
	}
}

// TestWhatScores counts how many connections it takes, one right behind the other.
func TestWhatScores(t *testing.T) {
	tests := []struct {
		name string
		do   func(c *memClient)
		want int
	}{
		{"nothing", func(c *memClient) { c.conn.Close() }, 100},
		{"HTTP", func(c *memClient) { c.ask("GET / HTTP/1.1", "500"); c.ended() }, 5},                       // 21
		{"a long line", func(c *memClient) { c.ask(strings.Repeat("x", 9000), "500"); c.conn.Close() }, 10}, // 11
		{"unknown commands", func(c *memClient) {
			for range 21 {
				c.ask("WHAT", "500")
			}
			c.ended()
		}, 10},
		{"a user who does not exist", func(c *memClient) { c.ask("USER eve", "331"); c.ask("PASS x", "530"); c.conn.Close() }, 10},
		{"a wrong password", func(c *memClient) { c.ask("USER ann", "331"); c.ask("PASS x", "530"); c.conn.Close() }, 17}, // 6
		{"no TLS", func(c *memClient) { c.ask("AUTH TLS", "502"); c.ask("QUIT", "221"); c.ended() }, 100},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := fortified(t, func(cfg *gateway.Config) {
					cfg.Defence.Fruitless, cfg.Defence.Delay = -1, -1
					cfg.Defence.BanOptions.Window = 1e6 * time.Hour
				})
				for i := range 101 {
					c := f.knock(t, "203.0.113.5")
					if got := c.reply(); strings.HasPrefix(got, "421") {
						if i != tt.want {
							t.Errorf("banned after %d connections, want %d", i, tt.want)
						}
						return
					}
					tt.do(c)
					synctest.Wait()
				}
				t.Error("never banned")
			})
		})
	}
}

// A connection with a login is never held against anybody, whatever came before.
func TestLoginsDoNotScore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fortified(t, nil)
		for range 300 {
			c := f.knock(t, "203.0.113.5")
			c.want("220")
			c.ask("USER ann", "331")
			c.ask("PASS oops", "530")
			c.ask("USER ann", "331")
			c.ask("PASS secret", "230")
			c.ask("QUIT", "221")
			c.ended()
		}
		if got := f.text(); strings.Contains(got, "banned") || strings.Contains(got, "refused") {
			t.Error(got)
		}
	})
}

func TestFruitlessConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fortified(t, nil)
		for range 60 {
			c := f.knock(t, "203.0.113.5")
			c.want("220")
			c.conn.Close()
			synctest.Wait()
		}
		start := time.Now()
		f.knock(t, "203.0.113.5").want("421 Too many connections without login")
		f.enter(t, "203.0.113.6", "ann")
		time.Sleep(time.Minute - time.Nanosecond)
		f.knock(t, "203.0.113.5").want("421 Too many connections")
		time.Sleep(time.Nanosecond)
		f.enter(t, "203.0.113.5", "ann")
		elapsed(t, start, time.Minute)
	})
}

// TestExemptions: who is exempt may fail as often as it likes, but slowly.
func TestExemptions(t *testing.T) {
	network := []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}
	tests := map[string]struct {
		from      string
		configure func(*gateway.Config)
		counts    bool
	}{
		"loopback":          {"127.0.0.1", func(*gateway.Config) {}, false},
		"loopback, IPv6":    {"::1", func(*gateway.Config) {}, false},
		"loopback, counted": {"127.0.0.2", func(c *gateway.Config) { c.Defence.CountLoopback = true }, true},
		"exempt":            {"203.0.113.5", func(c *gateway.Config) { c.Defence.Exempt = network }, false},
		"exempt, mapped":    {"::ffff:203.0.113.5", func(c *gateway.Config) { c.Defence.Exempt = network }, false},
		"not exempt":        {"203.0.114.5", func(c *gateway.Config) { c.Defence.Exempt = network }, true},
		"balancer":          {"203.0.113.5", func(c *gateway.Config) { c.Defence.BehindBalancer = true }, false},
		"no bans":           {"203.0.113.5", func(c *gateway.Config) { c.Defence.NoBans = true; c.Defence.Fruitless = -1 }, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := fortified(t, func(c *gateway.Config) {
					tt.configure(c)
					c.Limits.PerAddress = 3
				})
				for range 6 {
					c := f.knock(t, tt.from)
					if got := c.reply(); strings.HasPrefix(got, "421") {
						break
					}
					c.ask("USER eve", "331")
					start := time.Now()
					c.ask("PASS x", "530")
					elapsed(t, start, 500*time.Millisecond) // for all
					for range 3 {
						c.ask("USER eve", "331")
						c.ask("PASS x", "530")
					}
					c.ask("USER eve", "331")
					c.ask("PASS x", "530")
					c.ended()
				}
				if got := strings.Contains(f.text(), "banned"); got != tt.counts {
					t.Errorf("banned: %v", got)
				}
				if tt.counts {
					time.Sleep(time.Hour)
				}
				limited := false
				for range 4 {
					limited = strings.HasPrefix(f.knock(t, tt.from).reply(), "421 Too many sessions from your address")
				}
				if want := tt.counts || name == "no bans" || strings.HasPrefix(name, "loopback"); limited != want {
					t.Errorf("limited: %v", limited)
				}
			})
		})
	}
}

// A proxy's own connections, which its health checks are, are never held against it,
// and those that it hands on against the client.
func TestProxiesAreExempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fortified(t, func(c *gateway.Config) {
			c.Proxy = dataconn.Proxy{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
		})
		through := func(header string) *memClient {
			c := f.knock(t, "10.0.0.1")
			c.send(header + "\r\n")
			return c
		}
		for range 150 {
			c := through("PROXY UNKNOWN")
			c.want("220")
			c.conn.Close()
			synctest.Wait()
		}
		for strings.Count(f.text(), "banned") == 0 {
			through("PROXY TCP4 203.0.113.5 10.9.9.9 4000 21").fails("eve")
		}
		through("PROXY TCP4 203.0.113.5 10.9.9.9 4000 21").want("421 Your address is banned")
		through("PROXY TCP4 203.0.113.6 10.9.9.9 4000 21").want("220")
		through("PROXY UNKNOWN").want("220")
		// A header that does not come holds up nobody, and has its time.
		slow := f.knock(t, "10.0.0.1")
		start := time.Now()
		f.enter(t, "203.0.113.9", "ann")
		elapsed(t, start, 0)
		slow.ended()
		elapsed(t, start, 5*time.Second)
	})
}

// An address that many share is not banned for one of them.
func TestCrowdsAreNotBanned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fortified(t, nil)
		for range 8 {
			f.enter(t, "203.0.113.5", "ann")
		}
		for range 10 {
			f.knock(t, "203.0.113.5").fails("eve")
		}
		f.enter(t, "203.0.113.5", "bob")
		if strings.Contains(f.text(), "banned") {
			t.Error(f.text())
		}
	})
}

// Each failure takes twice as long, and delays nobody else.
func TestLoginDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fortified(t, func(c *gateway.Config) { c.Limits.LoginFailures = 7; c.Timeouts.Login = -1 })
		c := f.knock(t, "203.0.113.5")
		c.want("220")
		for _, want := range []time.Duration{500, 1000, 2000, 4000, 8000, 8000} {
			c.ask("USER ann", "331")
			start := time.Now()
			c.send("PASS x\r\n")
			f.enter(t, "203.0.113.5", "bob").ask("QUIT", "221")
			elapsed(t, start, 0)
			c.want("530")
			elapsed(t, start, want*time.Millisecond)
		}
		c.ask("USER ann", "331")
		c.ask("PASS secret", "230") // and is not punished any more
		start := time.Now()
		c.ask("REIN", "220")
		c.ask("USER ann", "331")
		elapsed(t, start, 0)
		c.ask("PASS x", "530")
		c.ended() // the seventh
		elapsed(t, start, 8*time.Second)
	})
}

// A delayed reply does not hold up Shutdown.
func TestLoginDelayAndShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fortified(t, func(c *gateway.Config) { c.Defence.Delay, c.Defence.MaxDelay = time.Hour, time.Hour })
		c := f.knock(t, "203.0.113.5")
		c.want("220")
		c.ask("USER ann", "331")
		c.send("PASS x\r\n")
		synctest.Wait()
		start := time.Now()
		if err := f.srv.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		elapsed(t, start, 0)
		c.want("530")
		c.want("421")
	})
}

func TestAllowAndDeny(t *testing.T) {
	prefixes := func(list ...string) (out []netip.Prefix) {
		for _, p := range list {
			out = append(out, netip.MustParsePrefix(p))
		}
		return out
	}
	tests := []struct {
		allow, deny []netip.Prefix
		in, out     []string
	}{
		{nil, prefixes("203.0.113.0/24", "2001:db8::/32"), []string{"203.0.114.1", "2001:db9::1", "127.0.0.1"}, []string{"203.0.113.1", "::ffff:203.0.113.1", "2001:db8:5::1"}},
		{prefixes("203.0.113.0/24"), nil, []string{"203.0.113.1"}, []string{"203.0.114.1", "2001:db8::1", "127.0.0.1"}},
		{prefixes("10.0.0.0/8", "10.1.2.3/32"), prefixes("10.1.0.0/16", "10.2.0.0/16"), []string{"10.0.0.1", "10.1.2.3"}, []string{"10.1.2.4", "10.2.0.1", "192.0.2.1"}},
		{prefixes("10.0.0.0/8"), prefixes("10.0.0.0/8"), nil, []string{"10.0.0.1"}},
		{prefixes("0.0.0.0/0", "192.0.2.7/32"), prefixes("192.0.2.0/24"), []string{"192.0.2.7", "10.0.0.1"}, []string{"192.0.2.8", "2001:db8::1"}},
	}
	for i, tt := range tests {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := fortified(t, func(c *gateway.Config) { c.Defence.Allow, c.Defence.Deny = tt.allow, tt.deny })
				for _, from := range tt.in {
					f.knock(t, from).want("220")
				}
				for _, from := range tt.out {
					f.knock(t, from).want("421 Connections from your address")
					settle()
					if !strings.Contains(f.text(), "refused "+netip.MustParseAddr(from).Unmap().String()+": denied network") {
						t.Errorf("%s: %s", from, f.text())
					}
				}
			})
		})
	}
	if _, err := gateway.New(gateway.Config{Auth: auth.Anonymous(nil), Open: func(context.Context, *auth.Principal) (vfs.FS, func(), error) { return nil, nil, nil },
		Defence: gateway.Defence{Deny: prefixes("::ffff:10.0.0.0/104")}}); err == nil || !strings.Contains(err.Error(), "Defence.Deny has ::ffff:10.0.0.0/104") {
		t.Error(err)
	}
}

func TestLimitsOfSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fortified(t, func(c *gateway.Config) {
			c.Auth = users(t, auth.Account{Name: "ann", Settings: auth.Settings{Sessions: 2}}, auth.Account{Name: "bob"}, auth.Account{Name: "carol", Settings: auth.Settings{Sessions: -1}})
			c.Limits.PerUser, c.Limits.Waiting = 1, 3
		})
		full := func(user string) {
			t.Helper()
			c := f.knock(t, "203.0.113.5")
			c.want("220")
			c.ask("USER "+user, "331")
			c.ask("PASS secret", "421 Too many sessions of this user")
			c.ended()
		}
		first, second := f.enter(t, "203.0.113.5", "ann"), f.enter(t, "203.0.113.6", "ann")
		full("ann")
		f.enter(t, "203.0.113.5", "bob")
		full("bob")
		for range 4 {
			f.enter(t, "203.0.113.5", "carol")
		}
		first.ask("QUIT", "221")
		first.ended()
		third := f.enter(t, "203.0.113.7", "ann")
		full("ann")
		second.ask("REIN", "220") // leaves its place
		f.enter(t, "203.0.113.7", "ann")
		third.ask("USER bob", "331") // and so does this one
		f.enter(t, "203.0.113.7", "ann")
		// two sessions wait for a login now; a third may
		f.knock(t, "203.0.113.8").want("220")
		f.knock(t, "203.0.113.8").want("421 Too many sessions without login")
		second.ask("USER carol", "331")
		second.ask("PASS secret", "230")
		f.knock(t, "203.0.113.8").want("220")
	})
}

// Commands that may cost the store something are slowed down, others are not.
func TestCommandRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fortified(t, func(c *gateway.Config) { c.Limits.CommandRate = 10 })
		writeFile(t, f.fsys, "f", "x")
		c := f.enter(t, "203.0.113.5", "ann")
		start := time.Now()
		for range 8 { // USER and PASS were two
			c.ask("SIZE f", "213")
		}
		elapsed(t, start, 0)
		for range 20 {
			c.ask("SIZE f", "213")
		}
		elapsed(t, start, 2*time.Second)
		for range 1000 {
			c.ask("NOOP", "200")
		}
		elapsed(t, start, 2*time.Second)
		other := f.enter(t, "203.0.113.5", "ann")
		other.ask("SIZE f", "213")
		elapsed(t, start, 2*time.Second)
	})
}

// Who is banned while there ends at the next command; a transfer at once, and can be
// gone on with later.
func TestBanOfSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fortified(t, nil)
		idle, busy, waiting, other := f.enter(t, "203.0.113.5", "ann"), f.enter(t, "203.0.113.5", "bob"), f.knock(t, "203.0.113.5"), f.enter(t, "203.0.113.6", "ann")
		waiting.want("220")
		data := busy.data()
		busy.ask("STOR up", "150")
		_, _ = io.WriteString(data, "half")
		settle()
		addr := netip.MustParseAddr("203.0.113.5")
		if err := f.srv.Ban(t.Context(), addr, time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		busy.want("426")
		busy.want("421")
		busy.ended()
		elapsed(t, start, 0)
		idle.silent()
		idle.ask("NOOP", "421")
		idle.ended()
		waiting.ask("USER ann", "421")
		waiting.ended()
		other.ask("NOOP", "200")
		f.knock(t, "203.0.113.5").want("421")
		if err := f.srv.Ban(t.Context(), addr, time.Time{}); err != nil {
			t.Fatal(err)
		}
		f.enter(t, "203.0.113.5", "bob").ask("SIZE up", "213 3")
		if got := f.text(); !strings.Contains(got, "dismissed bob: the address is banned") || !strings.Contains(got, "dismissed : the address is banned") {
			t.Error(got)
		}
	})
}

// A store of bans that does not answer keeps nobody out.
func TestBansThatFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fortified(t, func(c *gateway.Config) { c.Defence.Bans = deafBans{} })
		start := time.Now()
		c := f.knock(t, "203.0.113.5")
		c.want("220")
		elapsed(t, start, 2*time.Second)
		f.enter(t, "127.0.0.1", "ann")
		elapsed(t, start, 2*time.Second) // needs not ask
		c.conn.Close()
		time.Sleep(3 * time.Second)
	})
}

type deafBans struct{}

func (deafBans) Add(ctx context.Context, _ netip.Prefix, _ int) (time.Time, bool, error) {
	<-ctx.Done()
	return time.Time{}, false, ctx.Err()
}

func (deafBans) Banned(ctx context.Context, _ netip.Prefix) (time.Time, error) {
	<-ctx.Done()
	return time.Time{}, ctx.Err()
}

func (deafBans) Ban(ctx context.Context, _ netip.Prefix, _ time.Time) error { return ctx.Err() }
