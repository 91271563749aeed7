package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/ftpgate/ftpgate/auth"
	"github.com/ftpgate/ftpgate/gateway/wire"
)

// Defence keeps out who does no good. A zero field means its default.
//
// A host is an IPv4 address or an IPv6 /64. Bans, and limits per host, are not for
// loopback, for Config.Proxy, and for Exempt; the delay after failed logins and
// Limits.LoginFailures are for all.
type Defence struct {
	// Allow and Deny are networks. The most specific network that has the address
	// decides, and of two that are the same Deny; an address in none is let in unless
	// there is something in Allow.
	Allow, Deny []netip.Prefix
	// Exempt networks are never banned.
	Exempt []netip.Prefix
	// CountLoopback ends the exemption of loopback.
	CountLoopback bool
	// BehindBalancer says that there is a balancer in front that does not tell the
	// clients' addresses, so that many share one: nothing is then held against an
	// address, and Limits.PerAddress does not count.
	BehindBalancer bool
	// Bans keeps scores and bans; nil: in memory, by BanOptions. It is that of New,
	// for the life of the server.
	Bans       auth.Bans
	BanOptions auth.BanOptions
	// NoBans scores nothing.
	NoBans bool
	// Fruitless is how many connections that end without a login a host may have in a
	// minute; default 60, negative: any number. Those that log in don't count.
	Fruitless int
	// Delay is how long the reply to a session's first failed login is put off; each
	// further one takes twice as long, up to MaxDelay. Defaults are 500 ms and 8 s;
	// negative: none.
	Delay, MaxDelay time.Duration
}

// What counts against a host whose connection ends without a login.
const (
	pointsFruitless = 1  // the connection itself
	pointsPassword  = 5  // a failed login
	pointsUser      = 10 // that of a user who does not exist
	pointsLine      = 10 // a command line too long
	pointsFlood     = 10 // too many unknown commands
	pointsHTTP      = 20 // a browser, or somebody using one
)

// crowd is how many sessions that are logged in tell a host that many share, because
// of NAT or a balancer, from an attacker: nothing is held against it meanwhile.
const crowd = 8

func (d *Defence) setDefaults() {
	defaultInt(&d.Fruitless, 60)
	defaultTime(&d.Delay, 500*time.Millisecond)
	defaultTime(&d.MaxDelay, 8*time.Second)
}

// check is nil if d makes sense.
func (d *Defence) check() error {
	for name, list := range map[string][]netip.Prefix{"Allow": d.Allow, "Deny": d.Deny, "Exempt": d.Exempt} {
		for _, p := range list {
			if !p.IsValid() || p.Addr().Is4In6() {
				return fmt.Errorf("gateway: Config.Defence.%s has %v, which is no network (IPv4 networks are written as such)", name, p)
			}
		}
	}
	return nil
}

// admits decides by network.
func (d *Defence) admits(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	longest := func(list []netip.Prefix) int {
		bits := -1
		for _, p := range list {
			if p.Contains(addr) {
				bits = max(bits, p.Bits())
			}
		}
		return bits
	}
	allowed, denied := longest(d.Allow), longest(d.Deny)
	if allowed < 0 && denied < 0 {
		return len(d.Allow) == 0
	}
	return allowed > denied
}

// counts reports whether anything is held against addr. loopback says that it is no
// exception.
func (c *Config) counts(addr netip.Addr, loopback bool) bool {
	d := &c.Defence
	addr = addr.Unmap().WithZone("")
	if d.BehindBalancer || addr.IsLoopback() && !d.CountLoopback && !loopback || c.Proxy.Trusts(addr) {
		return false
	}
	for _, p := range d.Exempt {
		if p.Contains(addr) {
			return false
		}
	}
	return true
}

// delay is how long the reply to a failed login is put off behind failures others.
func (d *Defence) delay(failures int) time.Duration {
	if d.Delay < 0 {
		return 0
	}
	delay := d.Delay
	for range min(failures, 30) {
		if delay *= 2; delay >= d.MaxDelay {
			break
		}
	}
	return min(delay, d.MaxDelay)
}

// banTimeout is how long a store of bans may take; then nothing is held against a
// host.
const banTimeout = 2 * time.Second

// refusalsLogged is how many connections that were turned away are logged in a second;
// ten times as many may come at once. A flood must not fill the disk.
const refusalsLogged = 10

// Causes that end sessions.
var (
	errBanned = errors.New("the address is banned")
	// errDismissed is what a transfer of a session suffers that has to end.
	errDismissed = errors.New("the user may no longer be here")
	errExpired   = errors.New("the account has expired")
)

// refuse turns a connection away.
func (s *Server) refuse(cfg *Config, conn net.Conn, remote netip.AddrPort, reason string, r wire.Reply) {
	// The line fits into any send buffer; the deadline is for the case that it does not.
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	_, _ = conn.Write(r.AppendTo(nil))
	conn.Close()
	if reason == "" {
		return
	}
	if s.refusals.Allow() {
		cfg.Logger.Warn("connection refused", "remote", remote, "reason", reason, "not_logged_before", s.omitted.Swap(0))
	} else {
		s.omitted.Add(1)
	}
	notify(cfg.Hooks.Refused, Refused{remote, reason})
}

// turnedAway asks whether the host is banned, or has had too many connections that
// came to nothing, and is the reply to that.
func (s *Server) turnedAway(cfg *Config, remote netip.AddrPort) (reason string, r wire.Reply) {
	if !cfg.counts(remote.Addr(), false) {
		return "", wire.Reply{}
	}
	host := auth.HostOf(remote.Addr())
	ctx, cancel := context.WithTimeout(context.Background(), banTimeout)
	defer cancel()
	if !cfg.Defence.NoBans {
		until, err := s.bans.Banned(ctx, host)
		if err != nil {
			cfg.Logger.Error("bans can't be asked, the connection is let in", "remote", remote, "err", err)
		}
		if !until.IsZero() {
			return "banned", reply(421, "Your address is banned, try again later.")
		}
	}
	if cfg.Defence.Fruitless > 0 {
		if until, _ := s.fruitless.Banned(ctx, host); !until.IsZero() {
			return "too many connections without login", reply(421, "Too many connections without login, try again later.")
		}
	}
	return "", wire.Reply{}
}

// heldAgainst adds what a connection that ended without a login has done to the score
// of its host.
func (s *Server) heldAgainst(cfg *Config, remote netip.AddrPort, points int) {
	if !cfg.counts(remote.Addr(), false) {
		return
	}
	host := auth.HostOf(remote.Addr())
	if n := s.shares.from(host); n >= crowd {
		cfg.Logger.Warn("nothing is held against an address that many seem to share; if it is that of a balancer, let that send the PROXY protocol, or say that it is one (defence.behind_balancer)",
			"address", host, "sessions", n, "points", points)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), banTimeout)
	defer cancel()
	if cfg.Defence.Fruitless > 0 {
		_, _, _ = s.fruitless.Add(ctx, host, 1)
	}
	if cfg.Defence.NoBans {
		return
	}
	until, fresh, err := s.bans.Add(ctx, host, points)
	switch {
	case err != nil:
		cfg.Logger.Error("points could not be added to a score", "address", host, "err", err)
	case fresh:
		s.banned(cfg, host, until)
	}
}

// banned tells of a ban and ends the sessions of host.
func (s *Server) banned(cfg *Config, host netip.Prefix, until time.Time) {
	cfg.Logger.Warn("address banned", "address", host, "until", until.UTC())
	s.mu.Lock()
	for sess := range s.sessions {
		if auth.HostOf(sess.remote.Addr()) == host {
			sess.expel(errBanned)
		}
	}
	s.mu.Unlock()
	notify(cfg.Hooks.Banned, Banned{host, until})
}

// Ban keeps the host of addr out until then, as far as it is not exempt, and ends its
// sessions: idle ones at their next command, transfers as Shutdown does. Ban of the
// zero time lifts a ban and forgets what was held against the host.
func (s *Server) Ban(ctx context.Context, addr netip.Addr, until time.Time) error {
	host := auth.HostOf(addr)
	if err := s.bans.Ban(ctx, host, until); err != nil {
		return err
	}
	if time.Now().Before(until) {
		s.banned(s.cfg.Load(), host, until)
		return nil
	}
	return s.fruitless.Ban(ctx, host, time.Time{})
}

// fruitlessOptions let a host have n fruitless connections a minute.
func fruitlessOptions(n int) auth.BanOptions {
	return auth.BanOptions{Score: n, Window: time.Minute, For: time.Minute}
}
