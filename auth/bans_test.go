package auth

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func host(s string) netip.Prefix { return HostOf(netip.MustParseAddr(s)) }

func TestHostOf(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.7": "192.0.2.7/32", "::ffff:192.0.2.7": "192.0.2.7/32", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64",
		"2001:db8:1:2::": "2001:db8:1:2::/64", "::1": "::1/128", "fe80::1%eth0": "fe80::/64", "127.0.0.2": "127.0.0.2/32",
	} {
		if got := host(addr).String(); got != want {
			t.Errorf("%s counts as %s, want %s", addr, got, want)
		}
	}
}

func TestBans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewMemoryBans(BanOptions{})
		ctx := t.Context()
		add := func(addr string, points int, want bool) {
			t.Helper()
			until, fresh, err := b.Add(ctx, host(addr), points)
			if err != nil || fresh != want || fresh && !until.Equal(time.Now().Add(30*time.Minute)) {
				t.Errorf("%s and %d points: %v, %v, %v", addr, points, until, fresh, err)
			}
		}
		banned := func(addr string, want bool) {
			t.Helper()
			if until, err := b.Banned(ctx, host(addr)); err != nil || until.IsZero() == want {
				t.Errorf("%s is banned until %v, %v", addr, until, err)
			}
		}
		// Ten points a minute are forgotten.
		add("192.0.2.1", 99, false)
		time.Sleep(time.Minute)
		add("192.0.2.1", 10, false)
		banned("192.0.2.1", false)
		add("192.0.2.1", 1, true)
		start := time.Now()
		banned("192.0.2.1", true)
		banned("192.0.2.2", false)
		// All of a /64 is one, and so is an address that is mapped.
		add("2001:db8::1", 60, false)
		add("2001:db8::ffff:2", 60, true)
		banned("2001:db8:0:0:9::", true)
		banned("2001:db8:0:1::1", false)
		banned("::ffff:192.0.2.1", true)
		// More points do not make it longer; it ends at its second, with a clean slate.
		if until, fresh, _ := b.Add(ctx, host("192.0.2.1"), 1000); fresh || !until.Equal(start.Add(30*time.Minute)) {
			t.Errorf("points of a banned host: %v, %v", until, fresh)
		}
		time.Sleep(30*time.Minute - 1)
		banned("192.0.2.1", true)
		time.Sleep(time.Nanosecond)
		banned("192.0.2.1", false)
		add("192.0.2.1", 99, false)
		// By hand.
		if err := b.Ban(ctx, host("192.0.2.9"), time.Now().Add(time.Hour)); err != nil {
			t.Error(err)
		}
		banned("192.0.2.9", true)
		_ = b.Ban(ctx, host("192.0.2.9"), time.Time{})
		banned("192.0.2.9", false)
		_ = b.Ban(ctx, host("192.0.2.1"), time.Time{})
		add("192.0.2.1", 99, false) // the score is forgotten, too
		_ = b.Ban(ctx, host("192.0.2.1"), time.Now().Add(time.Minute))
		time.Sleep(time.Minute)
		banned("192.0.2.1", false)
		b.SetOptions(BanOptions{Score: 5, For: time.Second})
		if until, _, _ := b.Add(ctx, host("192.0.2.3"), 5); !until.Equal(time.Now().Add(time.Second)) {
			t.Error("SetOptions does nothing")
		}
	})
}

// A flood of addresses takes bounded memory, and frees nobody who is banned.
func TestBansAreBounded(t *testing.T) {
	b := NewMemoryBans(BanOptions{Hosts: 100})
	ctx := t.Context()
	for i := range 10 {
		_, _, _ = b.Add(ctx, host(fmt.Sprintf("198.51.100.%d", i)), 100)
	}
	_, _, _ = b.Add(ctx, host("203.0.113.1"), 99)
	for i := range 10_000 {
		_, _, _ = b.Add(ctx, host(fmt.Sprintf("2001:db8:%x::1", i)), 1)
		if i%50 == 0 { // does something all the time
			if _, fresh, _ := b.Add(ctx, host("203.0.113.1"), 0); fresh {
				t.Fatal("banned for nothing")
			}
		}
	}
	if n := len(b.hosts); n != 110 || b.scored.Len() != 100 || b.banned.Len() != 10 {
		t.Errorf("%d hosts, %d with a score, %d banned", n, b.scored.Len(), b.banned.Len())
	}
	for i := range 10 {
		if until, _ := b.Banned(ctx, host(fmt.Sprintf("198.51.100.%d", i))); until.IsZero() {
			t.Errorf("host %d is free", i)
		}
	}
	for i := range 1000 {
		_, _, _ = b.Add(ctx, host(fmt.Sprintf("2001:db8:1:%x::1", i)), 100)
	}
	if b.banned.Len() != 100 {
		t.Errorf("%d hosts are banned", b.banned.Len())
	}
}

func TestBansConcurrently(t *testing.T) {
	b := NewMemoryBans(BanOptions{Hosts: 8})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 200 {
				h := host(fmt.Sprintf("192.0.2.%d", (i*j)%32))
				_, _, _ = b.Add(t.Context(), h, 7)
				_, _ = b.Banned(t.Context(), h)
				if j%10 == 0 {
					_ = b.Ban(t.Context(), h, time.Time{})
				}
			}
		})
	}
	wg.Wait()
}

func TestRecheck(t *testing.T) {
	now := time.Now()
	users, err := NewUsers(Account{Name: "ann", Secret: Plaintext("x")}, Account{Name: "off", Secret: Plaintext("x"), Disabled: true},
		Account{Name: "old", Secret: Plaintext("x"), Expires: now.Add(-time.Hour)}, Account{Name: "locked"})
	if err != nil {
		t.Fatal(err)
	}
	hook := AuthenticatorFunc(nil)
	broken := errors.New("connection refused")
	guest := &Principal{Name: "anonymous", Anonymous: true}
	named := func(name string) *Principal { return &Principal{Name: name} }
	tests := []struct {
		source Authenticator
		p      *Principal
		want   error
	}{
		{users, named("ann"), nil}, {users, named("off"), ErrDenied}, {users, named("old"), ErrDenied}, {users, named("locked"), ErrDenied}, {users, named("gone"), ErrDenied},
		{Chain(users), named("ann"), nil}, {Chain(users), named("gone"), ErrDenied},
		{Chain(users, Anonymous(nil)), named("gone"), ErrDenied}, {Chain(users, Anonymous(nil)), guest, nil}, {Chain(users), guest, ErrDenied},
		{Chain(users, hook), named("gone"), errors.ErrUnsupported}, {Chain(hook, users), named("off"), ErrDenied}, {hook, named("gone"), errors.ErrUnsupported},
		{Chain(Anonymous(nil)), named("anonymous"), ErrDenied}, // a user of that name, who was removed
		{Chain(rechecks{broken}, users), named("ann"), broken}, {Chain(rechecks{ErrUnknownUser}, users), named("ann"), nil}, {Chain(rechecks{ErrDenied}, users), named("ann"), ErrDenied},
	}
	for i, tt := range tests {
		if err := Recheck(t.Context(), tt.source, tt.p); !errors.Is(err, tt.want) {
			t.Errorf("%d, %s: %v, want %v", i, tt.p.Name, err, tt.want)
		}
	}
}

type rechecks struct{ err error }

func (r rechecks) Authenticate(ctx context.Context, a Attempt) (*Principal, error) { return nil, r.err }
func (r rechecks) Recheck(ctx context.Context, p *Principal) error                 { return r.err }
