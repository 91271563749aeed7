package dataconn

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
)

// takenNetwork is the system's, with ports that other programs hold.
type takenNetwork struct {
	Network
	taken map[uint16]bool
}

func (n takenNetwork) Listen(ctx context.Context, addr netip.AddrPort) (net.Listener, error) {
	if n.taken[addr.Port()] {
		return nil, ErrPortTaken
	}
	return n.Network.Listen(ctx, netip.AddrPortFrom(addr.Addr(), 0))
}

// Ports of other programs are passed over; when none is left, that is told at once, and
// no port is lost over it.
func TestListenPassesTakenPorts(t *testing.T) {
	network := takenNetwork{System(), map[uint16]bool{50000: true, 50001: true}}
	o := PassiveOptions{
		Network: network, Ports: NewPorts(PortRange{From: 50000, To: 50002}),
		Local: netip.MustParseAddr("127.0.0.1"), Client: netip.MustParseAddr("127.0.0.1"),
	}
	p, err := Listen(t.Context(), o)
	if err != nil || p.Port() != 50002 {
		t.Fatalf("%v, %v", p, err)
	}
	for range 2 {
		if _, err := Listen(t.Context(), o); !errors.Is(err, ErrExhausted) {
			t.Errorf("%v", err)
		}
	}
	if err := errors.Join(p.Close(), p.Close()); err != nil {
		t.Error(err)
	}
	if free := o.Ports.Free(); free != 3 {
		t.Errorf("%d ports are free", free)
	}
	if p, err = Listen(t.Context(), o); err != nil || p.Port() != 50002 {
		t.Fatalf("%v, %v", p, err)
	}
	p.Close()
}

// Active connections come from the port that is asked for, also several at once, and
// from any other where it is not to be had.
func TestActivePort(t *testing.T) {
	clients := make([]net.Listener, 2)
	for i := range clients {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		clients[i] = l
	}
	// Below the range from which the kernel takes ports by itself.
	var free net.Listener
	for port := 10000; free == nil; port++ {
		if port == 30000 {
			t.Fatal("there is no free port")
		}
		free, _ = net.Listen("tcp4", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port)).String())
	}
	local := AddrOf(free.Addr())
	dial := func(to net.Listener) netip.AddrPort {
		t.Helper()
		conn, err := System().Dial(t.Context(), local, AddrOf(to.Addr()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return AddrOf(conn.LocalAddr())
	}
	if from := dial(clients[0]); from.Port() == local.Port() || from.Addr() != local.Addr() {
		t.Errorf("from %s, although %s is taken", from, local)
	}
	free.Close()
	for _, client := range clients {
		if from := dial(client); from != local {
			t.Errorf("from %s, want %s", from, local)
		}
	}
	if from := dial(clients[0]); from == local {
		t.Errorf("two connections to %s from %s", clients[0].Addr(), from)
	}
}
