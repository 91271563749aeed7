package dataconn

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
)

// Endpoint is how client and server agreed to connect. It serves for one
// connection.
type Endpoint interface {
	// Connect waits for the client, or dials it, until ctx is done.
	Connect(ctx context.Context) (net.Conn, error)
	// Close gives up. It may be called at any time, more than once, and ends a
	// Connect that is waiting.
	Close() error
}

// Passive listens for the client (PASV, EPSV).
type Passive struct {
	listener net.Listener
	allows   func(netip.Addr) bool
	proxy    *Proxy
	port     uint16
	once     sync.Once
	release  func()
}

// PassiveOptions say who may connect to a passive port, and how.
type PassiveOptions struct {
	Network Network
	Ports   *Ports
	Local   netip.Addr // where to listen
	Client  netip.Addr // of the control connection
	Check   PeerCheck
	Proxy   *Proxy // balancers in front; nil: none
}

// Listen opens a passive port. Ports that other programs hold are passed over.
func Listen(ctx context.Context, o PassiveOptions) (*Passive, error) {
	allows := func(addr netip.Addr) bool { return o.Check.Allows(addr, o.Client) }
	for range o.Ports.Size() {
		port, err := o.Ports.Take()
		if err != nil {
			return nil, err
		}
		l, err := o.Network.Listen(ctx, netip.AddrPortFrom(o.Local, port))
		if err == nil {
			return &Passive{listener: l, allows: allows, proxy: o.Proxy, port: port, release: func() { o.Ports.Put(port) }}, nil
		}
		o.Ports.Put(port)
		if !errors.Is(err, ErrPortTaken) {
			return nil, err
		}
	}
	return nil, ErrExhausted
}

// Port is where the client has to connect.
func (p *Passive) Port() uint16 { return p.port }

// Connect accepts the peer's connection; others are closed at once (RFC 2577:
// nobody else may take or fill the transfer).
func (p *Passive) Connect(ctx context.Context) (net.Conn, error) {
	defer p.Close()
	stop := context.AfterFunc(ctx, func() { p.Close() })
	defer stop()
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			return nil, err
		}
		if p.belongs(conn) {
			return conn, nil
		}
		conn.Close()
	}
}

// belongs reports whether conn comes from whom it should, perhaps by way of a
// balancer.
func (p *Passive) belongs(conn net.Conn) bool {
	from := AddrOf(conn.RemoteAddr()).Addr()
	if p.proxy != nil && p.proxy.Trusts(from) {
		ends, err := p.proxy.ReadHeader(conn)
		if err != nil {
			return false
		}
		from = ends.Remote.Addr()
	}
	return p.allows(from)
}

// Close stops listening and gives the port back.
func (p *Passive) Close() error {
	var err error
	p.once.Do(func() {
		err = p.listener.Close()
		p.release()
	})
	return err
}

// Active dials the client (PORT, EPRT).
type Active struct {
	network       Network
	local, remote netip.AddrPort
	once          sync.Once
	closed        chan struct{}
}

// NewActive prepares a connection from local to remote. Whether remote may be
// dialled at all is for PeerCheck.Target to say.
func NewActive(network Network, local, remote netip.AddrPort) *Active {
	return &Active{network: network, local: local, remote: remote, closed: make(chan struct{})}
}

// Connect dials.
func (a *Active) Connect(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-a.closed:
			cancel()
		case <-done:
		}
	}()
	conn, err := a.network.Dial(ctx, a.local, a.remote)
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return conn, err
}

// Close ends a Connect that is waiting.
func (a *Active) Close() error {
	a.once.Do(func() { close(a.closed) })
	return nil
}

// AddrOf returns the address of a TCP endpoint with v4-mapped addresses as IPv4;
// invalid if a is none.
func AddrOf(a net.Addr) netip.AddrPort {
	if t, ok := a.(interface{ AddrPort() netip.AddrPort }); ok {
		ap := t.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	if a == nil {
		return netip.AddrPort{}
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
