package dataconn

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

type answers struct {
	asked int
	addr  string
	err   error
}

func (a *answers) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	a.asked++
	if a.err != nil {
		return nil, a.err
	}
	return []netip.Addr{netip.MustParseAddr(a.addr)}, nil
}

func TestMasquerade(t *testing.T) {
	local := netip.MustParseAddr("10.0.0.5")
	m := &Masquerade{Address: "203.0.113.9", Rules: []MasqueradeRule{
		{Clients: netip.MustParsePrefix("10.0.0.0/8")},
		{Clients: netip.MustParsePrefix("192.168.0.0/16"), Address: "0.0.0.0"},
	}}
	for client, want := range map[string]string{
		"10.1.2.3": "10.0.0.5", "::ffff:10.1.2.3": "10.0.0.5", "192.168.7.7": "0.0.0.0", "198.51.100.1": "203.0.113.9",
	} {
		if got, err := m.Choose(t.Context(), netip.MustParseAddr(client), local); err != nil || got.String() != want {
			t.Errorf("%s is told %v, %v, want %s", client, got, err, want)
		}
	}
	if err := (&Masquerade{Address: "2001:db8::1"}).Check(); err == nil {
		t.Error("an IPv6 address was accepted")
	}
	if _, err := (&Masquerade{}).Choose(t.Context(), local, netip.MustParseAddr("2001:db8::1")); !errors.Is(err, ErrNoAddress) {
		t.Errorf("IPv6: %v", err)
	}
}

func TestMasqueradeResolvesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &answers{addr: "203.0.113.1"}
		m := &Masquerade{Address: "ftp.example", Resolver: a}
		tell := func(want string, asked int) {
			t.Helper()
			got, err := m.Choose(t.Context(), netip.MustParseAddr("198.51.100.1"), netip.Addr{})
			if err != nil || got.String() != want || a.asked != asked {
				t.Errorf("told %v, %v after %d questions, want %s after %d", got, err, a.asked, want, asked)
			}
		}
		tell("203.0.113.1", 1)
		a.addr = "203.0.113.2"
		time.Sleep(59 * time.Second)
		tell("203.0.113.1", 1)
		time.Sleep(2 * time.Second)
		tell("203.0.113.2", 2)
		a.err = errors.New("no answer")
		time.Sleep(time.Hour)
		tell("203.0.113.2", 3)
		// A name server that is down is not asked by every client.
		tell("203.0.113.2", 3)
		a.addr, a.err = "203.0.113.3", nil
		time.Sleep(time.Minute)
		tell("203.0.113.3", 4)
	})
}
