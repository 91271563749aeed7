package gateway

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ftpgate/ftpgate/auth"
	"github.com/ftpgate/ftpgate/vfs"
)

// pipeNet is a network of net.Pipe connections, so that whole sessions run inside
// a synctest bubble, in virtual time.
type pipeNet struct {
	mu        sync.Mutex
	listeners map[netip.AddrPort]*pipeListener
}

func serverAddr() netip.AddrPort { return netip.MustParseAddrPort("192.0.2.1:21") }
func clientAddr() netip.AddrPort { return netip.MustParseAddrPort("198.51.100.7:40000") }

func newPipeNet() *pipeNet { return &pipeNet{listeners: map[netip.AddrPort]*pipeListener{}} }

func (n *pipeNet) Listen(_ context.Context, addr netip.AddrPort) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := &pipeListener{net: n, addr: addr, conns: make(chan net.Conn, 16), closed: make(chan struct{})}
	n.listeners[addr] = l
	return l, nil
}

func (n *pipeNet) at(addr netip.AddrPort) *pipeListener {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.listeners[addr]
}

func (n *pipeNet) Dial(ctx context.Context, local, remote netip.AddrPort) (net.Conn, error) {
	l := n.at(remote)
	if l == nil {
		<-ctx.Done() // as a firewall that drops
		return nil, ctx.Err()
	}
	return l.connect(local)
}

type pipeListener struct {
	net    *pipeNet
	addr   netip.AddrPort
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// connect is the client's side of a new connection.
func (l *pipeListener) connect(from netip.AddrPort) (net.Conn, error) {
	select {
	case <-l.closed:
		return nil, errors.New("connection refused")
	default:
	}
	ours, theirs := net.Pipe()
	select {
	case l.conns <- pipeConn{ours, l.addr, from}:
		return pipeConn{theirs, from, l.addr}, nil
	case <-l.closed:
		return nil, errors.New("connection refused")
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() {
		l.net.mu.Lock()
		delete(l.net.listeners, l.addr)
		l.net.mu.Unlock()
		close(l.closed)
	})
	return nil
}

func (l *pipeListener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.addr) }

type pipeConn struct {
	net.Conn
	local, remote netip.AddrPort
}

func (c pipeConn) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(c.local) }
func (c pipeConn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

// bench is a server in a bubble.
type bench struct {
	t        *testing.T
	net      *pipeNet
	srv      *Server
	listener *pipeListener
	released chan struct{}
	served   chan error
}

func newBench(t *testing.T, fsys vfs.FS, configure func(*Config)) *bench {
	b := &bench{t: t, net: newPipeNet(), released: make(chan struct{}, 16), served: make(chan error, 1)}
	cfg := Config{
		Auth: auth.AuthenticatorFunc(func(_ context.Context, a auth.Attempt) (*auth.Principal, error) {
			return &auth.Principal{Name: a.User}, nil
		}),
		Open: func(context.Context, *auth.Principal) (vfs.FS, func(), error) {
			return fsys, func() { b.released <- struct{}{} }, nil
		},
		Data:   Data{Network: b.net},
		Logger: slog.New(slog.DiscardHandler),
	}
	if configure != nil {
		configure(&cfg)
	}
	var err error
	if b.srv, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	l, _ := b.net.Listen(t.Context(), serverAddr())
	b.listener = l.(*pipeListener)
	go func() { b.served <- b.srv.Serve(l) }()
	return b
}

func (b *bench) close() {
	b.srv.Close()
	if err := <-b.served; err != ErrServerClosed {
		b.t.Errorf("Serve: %v", err)
	}
}

// client is a control connection.
type client struct {
	t    *testing.T
	b    *bench
	conn net.Conn
	in   *bufio.Reader
}

func (b *bench) dial() *client {
	conn, err := b.listener.connect(clientAddr())
	if err != nil {
		b.t.Fatal(err)
	}
	c := &client{t: b.t, b: b, conn: conn, in: bufio.NewReader(conn)}
	c.expect("220 ")
	return c
}

func (b *bench) login() *client {
	c := b.dial()
	c.cmd("USER joe", "331 ")
	c.cmd("PASS x", "230 ")
	c.cmd("TYPE I", "200 ")
	return c
}

func (c *client) send(lines ...string) {
	c.t.Helper()
	if _, err := c.conn.Write([]byte(strings.Join(lines, "\r\n") + "\r\n")); err != nil {
		c.t.Errorf("%q: %v", lines, err)
	}
}

func (c *client) expect(prefixes ...string) string {
	c.t.Helper()
	var line string
	for _, p := range prefixes {
		var err error
		if line, err = c.in.ReadString('\n'); err != nil {
			c.t.Fatalf("waiting for %q: %v", p, err)
		}
		if !strings.HasPrefix(line, p) {
			c.t.Fatalf("got %q, want %q", line, p)
		}
	}
	return line
}

func (c *client) cmd(line, prefix string) string {
	c.t.Helper()
	c.send(line)
	return c.expect(prefix)
}

// eof expects the end of the control connection.
func (c *client) eof() {
	c.t.Helper()
	if line, err := c.in.ReadString('\n'); err == nil {
		c.t.Fatalf("got %q, want the end", line)
	}
}

// pasv agrees on a passive connection without connecting.
func (c *client) pasv() *pipeListener {
	c.t.Helper()
	var port uint16
	line := c.cmd("EPSV", "229 ")
	if _, err := fmt.Sscanf(line[strings.Index(line, "|||"):], "|||%d|", &port); err != nil {
		c.t.Fatal(line, err)
	}
	return c.b.net.at(netip.AddrPortFrom(serverAddr().Addr(), port))
}

// data agrees on a passive connection and connects.
func (c *client) data() net.Conn {
	c.t.Helper()
	conn, err := c.pasv().connect(clientAddr())
	if err != nil {
		c.t.Fatal(err)
	}
	return conn
}

// took fails unless the virtual time since start is want.
func took(t *testing.T, start time.Time, want time.Duration) {
	t.Helper()
	if got := time.Since(start); got != want {
		t.Errorf("took %v, want %v", got, want)
	}
}

// deflatedPump is a pump in MODE Z with the client's side of its connection.
func deflatedPump(t *testing.T, fsys vfs.FS) (*pump, net.Conn) {
	cfg, err := Config{
		Auth: auth.AuthenticatorFunc(nil),
		Open: func(context.Context, *auth.Principal) (vfs.FS, func(), error) { return fsys, nil, nil },
	}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	srv := &Server{}
	srv.buffers.New = func() any { b := make([]byte, bufferSize); return &b }
	s := &session{srv: srv, cfg: cfg, profile: &Profile{}}
	s.parameters = s.defaultParameters()
	s.mode = 'Z'
	ours, theirs := net.Pipe()
	t.Cleanup(func() { ours.Close() })
	return s.pump(&call{Context: t.Context(), task: &task{}}, ours, nil), theirs
}
