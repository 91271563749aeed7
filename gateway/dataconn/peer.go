package dataconn

import (
	"errors"
	"net/netip"
)

// PeerCheck says whose data connections a session takes part in.
type PeerCheck uint8

const (
	// PeerExact is the host of the control connection alone.
	PeerExact PeerCheck = iota
	// PeerNetwork is its IPv4 /24 or IPv6 /64, for clients behind NAT with several
	// addresses.
	PeerNetwork
	// PeerAny is everybody: for transfers between two servers (FXP), which is also
	// what an FTP bounce attack looks like (RFC 2577).
	PeerAny
)

// Allows reports whether addr may be the other end of a data connection of client.
func (p PeerCheck) Allows(addr, client netip.Addr) bool {
	addr, client = host(addr), host(client)
	switch p {
	case PeerAny:
		return true
	case PeerNetwork:
		bits := 64
		if client.Is4() {
			bits = 24
		}
		network, err := client.Prefix(bits)
		return err == nil && network.Contains(addr)
	}
	return addr == client
}

// Errors of Target.
var (
	ErrForeignAddress = errors.New("address is not the client's own")
	ErrPrivilegedPort = errors.New("port is below 1024")
)

// Target checks where a client wants to be dialled, and returns where to dial: a
// link-local address gets the zone of the client's. It refuses what would make the
// server attack others for the client (RFC 2577 3): a foreign address, a port below
// 1024. The unspecified address, which lftp sends over IPv6, means the client itself.
func (p PeerCheck) Target(target, client netip.AddrPort) (netip.AddrPort, error) {
	if target.Addr().IsUnspecified() {
		target = netip.AddrPortFrom(client.Addr(), target.Port())
	}
	switch {
	case !p.Allows(target.Addr(), client.Addr()):
		return netip.AddrPort{}, ErrForeignAddress
	case target.Port() < 1024:
		return netip.AddrPort{}, ErrPrivilegedPort
	case host(target.Addr()) == host(client.Addr()):
		return netip.AddrPortFrom(client.Addr(), target.Port()), nil
	}
	return netip.AddrPortFrom(target.Addr().Unmap(), target.Port()), nil
}

// host is addr as it compares: without IPv6 zone, v4-mapped addresses as IPv4.
func host(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }
