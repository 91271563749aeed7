package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/ftpgate/ftpgate/gateway"
	"github.com/ftpgate/ftpgate/gateway/dataconn"
)

// ClientAddress tells clients of a network an address of their own.
type ClientAddress struct {
	// The network of the clients, such as `10.0.0.0/8`. The first item that has the client counts.
	Clients Network `yaml:"clients"`
	// What they are told, as in `data.public_address`; `dialled` is the address that they
	// connected to.
	Address PublicAddress `yaml:"address"`

	position
}

// Proxy are load balancers that tell the client's address.
type Proxy struct {
	// Networks of load balancers that speak the PROXY protocol, version 1 or 2. Connections
	// from there, of the control and the data ports, have to begin with its header; from
	// elsewhere it is no header.
	Trusted []Network `yaml:"trusted"`
	// How long the header may take.
	Timeout Duration `yaml:"timeout" default:"5s"`
}

// Network is a range of addresses.
type Network struct{ netip.Prefix }

// UnmarshalText reads CIDR, or one address.
func (n *Network) UnmarshalText(text []byte) error {
	p, err := netip.ParsePrefix(string(text))
	if err != nil {
		addr, aerr := netip.ParseAddr(string(text))
		if aerr != nil || addr.Zone() != "" {
			return fmt.Errorf("%q is not a network such as 192.0.2.0/24 or 2001:db8::/32, nor an address", text)
		}
		addr = addr.Unmap()
		p = netip.PrefixFrom(addr, addr.BitLen())
	}
	if p.Addr().Is4In6() {
		return fmt.Errorf("%q is an IPv4 network; write it as one", text)
	}
	if p != p.Masked() {
		return fmt.Errorf("%q has bits behind its length; is it %s?", text, p.Masked())
	}
	n.Prefix = p
	return nil
}

func prefixes(networks []Network) []netip.Prefix {
	var out []netip.Prefix
	for _, n := range networks {
		out = append(out, n.Prefix)
	}
	return out
}

// PublicAddress is what PASV tells.
type PublicAddress string

const dialled = "dialled"

// UnmarshalText reads an IPv4 address, a host name or "dialled".
func (a *PublicAddress) UnmarshalText(text []byte) error {
	s := strings.ToLower(string(text))
	addr, err := netip.ParseAddr(s)
	switch {
	case s == dialled:
		s = ""
	case err == nil && !addr.Unmap().Is4():
		return fmt.Errorf("%q is not an IPv4 address such as 203.0.113.7 (PASV can tell no other)", s)
	case err != nil && !isHostName(s):
		return fmt.Errorf("%q is neither an IPv4 address such as 203.0.113.7 nor a host name", s)
	}
	*a = PublicAddress(s)
	return nil
}

// isHostName reports whether s, in lower case, could be one that DNS knows.
func isHostName(s string) bool {
	if strings.Trim(s, "0123456789.") == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" ||
			label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return true
}

// PeerCheck says whose data connections are accepted.
type PeerCheck string

// UnmarshalText reads exact, network or any.
func (p *PeerCheck) UnmarshalText(text []byte) error {
	return oneOf(p, text, "exact", "network", "any")
}

// Deflate says what becomes of MODE Z.
type Deflate string

// UnmarshalText reads on_demand, offer or off.
func (d *Deflate) UnmarshalText(text []byte) error {
	return oneOf(d, text, "on_demand", "offer", off)
}

// HostName is the name of a virtual host.
type HostName string

// UnmarshalText reads a host name or an address.
func (h *HostName) UnmarshalText(text []byte) error {
	s := strings.ToLower(string(text))
	if _, err := netip.ParseAddr(strings.Trim(s, "[]")); err != nil && !isHostName(s) {
		return fmt.Errorf("%q is neither a host name nor an address", text)
	}
	*h = HostName(s)
	return nil
}

// checkNetwork is what only shows when all keys have been read.
func (c *Config) checkNetwork() error {
	for i := range c.Data.PublicAddresses {
		if r := &c.Data.PublicAddresses[i]; !r.Clients.IsValid() {
			return r.wrap(errors.New("data.public_addresses: clients is missing"))
		}
	}
	return nil
}

// Gateway is d for the gateway.
func (d *Data) Gateway() gateway.Data {
	m := &dataconn.Masquerade{Address: string(d.PublicAddress)}
	for _, r := range d.PublicAddresses {
		m.Rules = append(m.Rules, dataconn.MasqueradeRule{Clients: r.Clients.Prefix, Address: string(r.Address)})
	}
	return gateway.Data{
		PassivePorts: dataconn.PortRange(d.PassivePorts),
		Masquerade:   m,
		PeerCheck:    map[PeerCheck]dataconn.PeerCheck{"exact": dataconn.PeerExact, "network": dataconn.PeerNetwork, "any": dataconn.PeerAny}[d.PeerCheck],
		NoActive:     !d.Active,
		NoPassive:    !d.Passive,
		Deflate:      map[Deflate]gateway.Deflate{"on_demand": gateway.DeflateOnDemand, "offer": gateway.DeflateOffer, off: gateway.DeflateOff}[d.Deflate],
	}
}

// Gateway is p for the gateway.
func (p *Proxy) Gateway() dataconn.Proxy {
	timeout := time.Duration(p.Timeout)
	if timeout < 0 {
		timeout = 0 // a header without an end would hold a connection for ever
	}
	return dataconn.Proxy{Trusted: prefixes(p.Trusted), Timeout: timeout}
}

// HostServed is gateway.Config.Host; nil accepts every name.
func (c *Config) HostServed() func(name string) bool {
	if len(c.Hosts) == 0 {
		return nil
	}
	names := map[string]bool{}
	for _, h := range c.Hosts {
		names[string(h)] = true
	}
	return func(name string) bool { return names[name] }
}
