package gateway_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"github.com/ftpgate/ftpgate/gateway"
	"github.com/ftpgate/ftpgate/gateway/dataconn"
)

// network is what the client of a transcript needs of a network.
type network interface {
	dial(from netip.Addr, to netip.AddrPort) (net.Conn, error)
	listen(host netip.Addr) (net.Listener, error)
	// urgent sends p as TCP's urgent data.
	urgent(c net.Conn, p []byte) error
	// reset closes c with RST.
	reset(c net.Conn) error
	// drained returns when the server has read everything that was sent on the
	// data connection c.
	drained(c net.Conn) error
	// rest waits until the server has nothing left to do, and is false where
	// that can't be told.
	rest() bool
	// patience is how long to wait for what ought to come.
	patience() time.Duration
}

// memNetwork is the network of virtual time. There, patience costs nothing.
type memNetwork struct{ *memNet }

func (n memNetwork) dial(from netip.Addr, to netip.AddrPort) (net.Conn, error) {
	return n.Dial(context.Background(), netip.AddrPortFrom(from, 0), to)
}

func (n memNetwork) listen(host netip.Addr) (net.Listener, error) {
	return n.Listen(context.Background(), netip.AddrPortFrom(host, 0))
}

// urgent data is read in line, so it is data like any other.
func (memNetwork) urgent(c net.Conn, p []byte) error {
	_, err := c.Write(p)
	return err
}

func (memNetwork) reset(c net.Conn) error {
	c.(*memConn).reset()
	return nil
}

func (memNetwork) drained(c net.Conn) error {
	synctest.Wait()
	if !c.(*memConn).out.empty() {
		return errors.New("the server has come to rest and has not read all of it")
	}
	return nil
}

func (memNetwork) rest() bool {
	settle()
	return true
}

func (memNetwork) patience() time.Duration { return time.Hour }

// tcpNetwork is that of the system, on the loopback interface.
type tcpNetwork struct{ seen *seenConns }

func (n *tcpNetwork) dial(from netip.Addr, to netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{Timeout: n.patience(), LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}
	return d.Dial("tcp", to.String())
}

func (*tcpNetwork) listen(host netip.Addr) (net.Listener, error) {
	return net.Listen("tcp", netip.AddrPortFrom(host, 0).String())
}

func (*tcpNetwork) urgent(c net.Conn, p []byte) error { return sendUrgent(c.(*net.TCPConn), p) }

func (*tcpNetwork) reset(c net.Conn) error {
	if err := c.(*net.TCPConn).SetLinger(0); err != nil {
		return err
	}
	return c.Close()
}

// drained looks at the two ends: the client's kernel has nothing that was not
// acknowledged, the server's nothing that was not read.
func (n *tcpNetwork) drained(c net.Conn) error {
	for end := time.Now().Add(n.patience()); time.Now().Before(end); runtime.Gosched() {
		other := n.seen.facing(c)
		if other == nil {
			continue // the server has not accepted it yet
		}
		if queuedToSend(c.(*net.TCPConn)) == 0 && queuedToRead(other) == 0 {
			return nil
		}
	}
	return errors.New("the server does not read what was sent")
}

func (*tcpNetwork) rest() bool              { return false }
func (*tcpNetwork) patience() time.Duration { return 10 * time.Second }

// seenConns are the server's sides of data connections.
type seenConns struct {
	mu    sync.Mutex
	conns []*net.TCPConn
}

func (s *seenConns) add(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns = append(s.conns, c.(*net.TCPConn))
}

// facing is the server's side of the client's connection c.
func (s *seenConns) facing(c net.Conn) *net.TCPConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, other := range s.conns {
		if other.RemoteAddr().String() == c.LocalAddr().String() {
			return other
		}
	}
	return nil
}

// recordingNetwork remembers the connections and hands them on as they are, so
// that the kernel still does the copying.
type recordingNetwork struct {
	dataconn.Network
	seen *seenConns
}

func (n recordingNetwork) Listen(ctx context.Context, addr netip.AddrPort) (net.Listener, error) {
	l, err := n.Network.Listen(ctx, addr)
	if err != nil {
		return nil, err
	}
	return recordingListener{l, n.seen}, nil
}

func (n recordingNetwork) Dial(ctx context.Context, local, remote netip.AddrPort) (net.Conn, error) {
	c, err := n.Network.Dial(ctx, local, remote)
	if err == nil {
		n.seen.add(c)
	}
	return c, err
}

type recordingListener struct {
	net.Listener
	seen *seenConns
}

func (l recordingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.seen.add(c)
	}
	return c, err
}

// configureNetwork sets what a transcript says about addresses.
func configureNetwork(cfg *gateway.Config, key, value string) error {
	masquerade := func() *dataconn.Masquerade {
		if cfg.Data.Masquerade == nil {
			cfg.Data.Masquerade = &dataconn.Masquerade{}
		}
		return cfg.Data.Masquerade
	}
	switch key {
	case "public-address":
		masquerade().Address = value
	case "public-address-for":
		clients, address, _ := strings.Cut(value, " ")
		network, err := netip.ParsePrefix(clients)
		if err != nil {
			return err
		}
		m := masquerade()
		m.Rules = append(m.Rules, dataconn.MasqueradeRule{Clients: network, Address: address})
	case "peer-check":
		check, ok := map[string]dataconn.PeerCheck{"exact": dataconn.PeerExact, "network": dataconn.PeerNetwork, "any": dataconn.PeerAny}[value]
		if cfg.Data.PeerCheck = check; !ok {
			return errors.New("it is exact, network or any")
		}
	case "proxy":
		network, err := netip.ParsePrefix(value)
		if err != nil {
			return err
		}
		cfg.Proxy.Trusted = append(cfg.Proxy.Trusted, network)
	default:
		return errors.New("no such setting, or not with this value")
	}
	return nil
}
