package dataconn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Resolver turns a host name into addresses; *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// MasqueradeRule tells clients of a network an address of their own.
type MasqueradeRule struct {
	// Clients is the network; the first rule that has the client counts.
	Clients netip.Prefix
	// Address is an IPv4 address, a host name, or "" for the address that the
	// client dialled.
	Address string
}

// Masquerade chooses the address that PASV tells, for servers behind NAT or a load
// balancer. The zero value tells the address that the client dialled.
type Masquerade struct {
	// Address is for clients that no rule has: an IPv4 address (0.0.0.0 too, which
	// many clients take for "where I connected to"), a host name, or "".
	Address string
	Rules   []MasqueradeRule
	// Resolver is asked again for a host name when its answer is older than
	// ResolveAfter; nil: the system's.
	Resolver     Resolver
	ResolveAfter time.Duration // default one minute

	mu    sync.Mutex
	names map[string]resolved
}

type resolved struct {
	addr netip.Addr
	at   time.Time
}

// ErrNoAddress says that there is no IPv4 address to tell.
var ErrNoAddress = errors.New("no IPv4 address to tell the client")

// Check reports what is wrong with addresses that can be seen to be wrong without
// asking a resolver.
func (m *Masquerade) Check() error {
	for _, a := range append([]MasqueradeRule{{Address: m.Address}}, m.Rules...) {
		if addr, err := netip.ParseAddr(a.Address); err == nil && !addr.Unmap().Is4() {
			return fmt.Errorf("%s is not IPv4, and PASV can tell no other", a.Address)
		}
	}
	return nil
}

// Choose returns the address for a client that dialled local. It may ask the
// resolver; when that fails, the last answer goes on to be told.
func (m *Masquerade) Choose(ctx context.Context, client, local netip.Addr) (netip.Addr, error) {
	text := m.Address
	for _, r := range m.Rules {
		if r.Clients.Contains(host(client)) {
			text = r.Address
			break
		}
	}
	if text == "" {
		if local = local.Unmap(); !local.Is4() {
			return netip.Addr{}, ErrNoAddress
		}
		return local, nil
	}
	if addr, err := netip.ParseAddr(text); err == nil {
		return addr.Unmap(), nil
	}
	return m.resolve(ctx, text)
}

func (m *Masquerade) resolve(ctx context.Context, name string) (netip.Addr, error) {
	m.mu.Lock()
	last := m.names[name]
	m.mu.Unlock()
	after := m.ResolveAfter
	if after == 0 {
		after = time.Minute
	}
	if last.addr.IsValid() && time.Since(last.at) < after {
		return last.addr, nil
	}
	resolver := m.Resolver
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	addrs, err := resolver.LookupNetIP(ctx, "ip4", name)
	addr := last.addr // goes on to be told, and is not asked for again at once
	switch {
	case err == nil && len(addrs) > 0:
		addr = addrs[0].Unmap()
	case !addr.IsValid():
		return netip.Addr{}, fmt.Errorf("%w: %s: %w", ErrNoAddress, name, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.names == nil {
		m.names = map[string]resolved{}
	}
	m.names[name] = resolved{addr, time.Now()}
	return addr, nil
}
