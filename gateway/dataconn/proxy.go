package dataconn

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	proxyproto "github.com/pires/go-proxyproto"
)

// Ends are the two addresses of a connection, as the client sees them.
type Ends struct {
	Remote netip.AddrPort // the client
	Local  netip.AddrPort // what it connected to
}

// EndsOf are those that the operating system tells.
func EndsOf(conn net.Conn) Ends {
	return Ends{Remote: AddrOf(conn.RemoteAddr()), Local: AddrOf(conn.LocalAddr())}
}

// Proxy is what is known of the load balancers in front of the server that speak
// the PROXY protocol, version 1 or 2. The zero value knows none.
type Proxy struct {
	// Trusted are the networks of the balancers. A connection from there has to
	// begin with a header; from elsewhere a header is no header.
	Trusted []netip.Prefix
	// Timeout is how long the header may take; default 5 s. A balancer sends it at
	// once, so that only an attacker needs longer (CVE-2021-23409).
	Timeout time.Duration
}

// Trusts reports whether addr is a balancer's.
func (p *Proxy) Trusts(addr netip.Addr) bool {
	for _, n := range p.Trusted {
		if n.Contains(host(addr)) {
			return true
		}
	}
	return false
}

// The longest headers: version 1 is a line, version 2 tells its length.
const (
	proxyLine    = 107
	proxyHead    = 16
	proxyMaximum = proxyHead + 4096
)

// ErrProxyHeader says that a balancer's connection does not begin with a header.
var ErrProxyHeader = errors.New("no PROXY header")

// ReadHeader reads the header of a connection from a balancer, and not a byte
// more, so that the connection can be used as it is. A header that tells no
// addresses (a health check) leaves those of the connection.
func (p *Proxy) ReadHeader(conn net.Conn) (Ends, error) {
	ends := EndsOf(conn)
	timeout := p.Timeout
	if timeout == 0 {
		timeout = 5 * time.Second
	}
	if err := conn.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return ends, err
	}
	raw, err := readProxyHeader(conn)
	if err != nil {
		return ends, err
	}
	h, err := proxyproto.Read(bufio.NewReader(bytes.NewReader(raw)))
	if err != nil {
		return ends, fmt.Errorf("%w: %w", ErrProxyHeader, err)
	}
	if src, dst, ok := h.TCPAddrs(); ok && !h.Command.IsLocal() {
		ends = Ends{Remote: AddrOf(src), Local: AddrOf(dst)}
	}
	return ends, conn.SetReadDeadline(time.Time{})
}

// readProxyHeader returns the bytes of the header alone.
func readProxyHeader(r io.Reader) ([]byte, error) {
	raw := make([]byte, proxyHead, 256)
	if _, err := io.ReadFull(r, raw[:1]); err != nil {
		return nil, err
	}
	if raw[0] != '\r' { // version 1, to the end of its line
		for n := 1; n < proxyLine; n++ {
			raw = append(raw[:n], 0)
			if _, err := io.ReadFull(r, raw[n:]); err != nil {
				return nil, err
			}
			if raw[n] == '\n' {
				return raw, nil
			}
		}
		return nil, ErrProxyHeader
	}
	if _, err := io.ReadFull(r, raw[1:]); err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(raw, []byte("\r\n\r\n\x00\r\nQUIT\n")) {
		return nil, ErrProxyHeader
	}
	size := proxyHead + int(raw[14])<<8 + int(raw[15])
	if size > proxyMaximum {
		return nil, ErrProxyHeader
	}
	raw = append(raw, make([]byte, size-proxyHead)...)
	_, err := io.ReadFull(r, raw[proxyHead:])
	return raw, err
}
