package dataconn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// Network opens the sockets of data connections. Tests put their own in.
type Network interface {
	// Listen listens on addr; port 0 lets the system choose. A taken port is
	// ErrPortTaken.
	Listen(ctx context.Context, addr netip.AddrPort) (net.Listener, error)
	// Dial connects from local (an invalid address or port 0: the system chooses)
	// to remote.
	Dial(ctx context.Context, local, remote netip.AddrPort) (net.Conn, error)
}

// ErrPortTaken says that another socket has the port.
var ErrPortTaken = errors.New("port in use")

// PortRange is an inclusive range of TCP ports; the zero value means the default.
type PortRange struct{ From, To uint16 }

// DefaultPorts lie above the ephemeral range of Linux (32768-60999), so that
// passive ports neither meet outgoing connections nor fill up with their
// TIME_WAIT states.
var DefaultPorts = PortRange{61000, 65535}

// Check returns nil, or what is wrong with r.
func (r PortRange) Check() error {
	switch {
	case r == PortRange{}:
		return nil
	case r.From == 0 || r.To < r.From:
		return fmt.Errorf("%d-%d is not a range of ports", r.From, r.To)
	}
	return nil
}

// Size is the number of ports.
func (r PortRange) Size() int { return int(r.To) - int(r.From) + 1 }
