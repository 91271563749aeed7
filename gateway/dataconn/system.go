package dataconn

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
)

// System returns the Network of the operating system.
func System() Network { return system{} }

type system struct{}

func (system) Listen(ctx context.Context, addr netip.AddrPort) (net.Listener, error) {
	// The runtime sets SO_REUSEADDR, so that a port whose last connection is in
	// TIME_WAIT can be listened on again.
	l, err := (&net.ListenConfig{}).Listen(ctx, family(addr.Addr()), addr.String())
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, ErrPortTaken
	}
	return l, err
}

// Dial tries the port that local names and, where that is not to be had (another
// connection to the same client still has it), any other.
func (system) Dial(ctx context.Context, local, remote netip.AddrPort) (net.Conn, error) {
	conn, err := dial(ctx, local, remote)
	if err == nil || local.Port() == 0 || ctx.Err() != nil || !portUnusable(err) {
		return conn, err
	}
	return dial(ctx, netip.AddrPortFrom(local.Addr(), 0), remote)
}

func dial(ctx context.Context, local, remote netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{Control: reuseAddress}
	if local.Addr().IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(local)
	}
	return d.DialContext(ctx, family(remote.Addr()), remote.String())
}

func portUnusable(err error) bool {
	return errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EACCES)
}

func family(addr netip.Addr) string {
	if addr.Unmap().Is4() {
		return "tcp4"
	}
	return "tcp6"
}
