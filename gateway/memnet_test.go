package gateway_test

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// memNet is a network in memory that ends connections as TCP does: with FIN, which
// leaves the other direction open, or with RST, which a closed receiver sends,
// too. In a synctest bubble it makes every order of events exact.
type memNet struct {
	mu        sync.Mutex
	listeners map[netip.AddrPort]*memListener
	lastPort  uint16
}

func newMemNet() *memNet {
	return &memNet{listeners: map[netip.AddrPort]*memListener{}, lastPort: 40000}
}

// Listen implements dataconn.Network.
func (n *memNet) Listen(_ context.Context, addr netip.AddrPort) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if addr.Port() == 0 {
		n.lastPort++
		addr = netip.AddrPortFrom(addr.Addr(), n.lastPort)
	}
	l := &memListener{net: n, addr: addr}
	l.cond.L = &l.mu
	n.listeners[addr] = l
	return l, nil
}

// Dial implements dataconn.Network. The connection is there before it is accepted.
func (n *memNet) Dial(ctx context.Context, local, remote netip.AddrPort) (net.Conn, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	n.mu.Lock()
	l := n.listeners[remote]
	if local.Port() == 0 {
		n.lastPort++
		local = netip.AddrPortFrom(local.Addr(), n.lastPort)
	}
	n.mu.Unlock()
	if l == nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	return l.connect(local)
}

type memListener struct {
	net    *memNet
	addr   netip.AddrPort
	mu     sync.Mutex
	cond   sync.Cond
	queue  []*memConn
	closed bool
}

func (l *memListener) connect(from netip.AddrPort) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	theirs, ours := memPair(from, l.addr)
	l.queue = append(l.queue, ours)
	l.cond.Broadcast()
	return theirs, nil
}

func (l *memListener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) == 0 && !l.closed {
		l.cond.Wait()
	}
	if l.closed {
		return nil, net.ErrClosed
	}
	c := l.queue[0]
	l.queue = l.queue[1:]
	return c, nil
}

// Close resets what was not accepted.
func (l *memListener) Close() error {
	l.net.mu.Lock()
	if l.net.listeners[l.addr] == l {
		delete(l.net.listeners, l.addr)
	}
	l.net.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return net.ErrClosed
	}
	l.closed = true
	for _, c := range l.queue {
		c.reset()
	}
	l.queue = nil
	l.cond.Broadcast()
	return nil
}

func (l *memListener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.addr) }

// memWindow is how much one direction holds before its writer waits.
const memWindow = 64 << 10

// memStream is one direction of a connection.
type memStream struct {
	mu   sync.Mutex
	cond sync.Cond
	buf  []byte

	fin   bool // the writer has ended it
	reset bool // either side has reset the connection
	gone  bool // the reader has closed

	readClosed, writeClosed bool // by their own side
	readLimit, writeLimit   memDeadline
}

// memDeadline is a deadline of one side of a stream.
type memDeadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *memDeadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

// set wakes whoever waits on s when t comes. The caller holds s.mu.
func (d *memDeadline) set(s *memStream, t time.Time) {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	if d.at = t; !t.IsZero() {
		d.timer = time.AfterFunc(time.Until(t), func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.cond.Broadcast()
		})
	}
	s.cond.Broadcast()
}

func newMemStream() *memStream {
	s := &memStream{}
	s.cond.L = &s.mu
	return s
}

func (s *memStream) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.readClosed:
			return 0, net.ErrClosed
		case s.readLimit.passed():
			return 0, os.ErrDeadlineExceeded
		case len(s.buf) > 0:
			n := copy(p, s.buf)
			s.buf = s.buf[n:]
			s.cond.Broadcast()
			return n, nil
		case s.reset:
			return 0, syscall.ECONNRESET
		case s.fin:
			return 0, io.EOF
		case len(p) == 0:
			return 0, nil
		}
		s.cond.Wait()
	}
}

func (s *memStream) write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	total := 0
	for {
		switch {
		case s.writeClosed:
			return total, net.ErrClosed
		case s.reset || s.gone:
			return total, syscall.EPIPE
		case s.writeLimit.passed():
			return total, os.ErrDeadlineExceeded
		case total == len(p):
			return total, nil
		case len(s.buf) < memWindow:
			n := min(memWindow-len(s.buf), len(p)-total)
			s.buf = append(s.buf, p[total:total+n]...)
			total += n
			s.cond.Broadcast()
			continue
		}
		s.cond.Wait()
	}
}

// update changes s and wakes its two sides.
func (s *memStream) update(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	s.cond.Broadcast()
}

// empty reports whether everything that was written has been read.
func (s *memStream) empty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.buf) == 0
}

// memConn is one side of a connection.
type memConn struct {
	in, out       *memStream
	local, remote netip.AddrPort
	once          sync.Once
}

// memPair returns the two sides, the dialler's first.
func memPair(dialler, listener netip.AddrPort) (*memConn, *memConn) {
	a, b := newMemStream(), newMemStream()
	return &memConn{in: a, out: b, local: dialler, remote: listener},
		&memConn{in: b, out: a, local: listener, remote: dialler}
}

func (c *memConn) Read(p []byte) (int, error)  { return c.in.read(p) }
func (c *memConn) Write(p []byte) (int, error) { return c.out.write(p) }

// CloseWrite sends FIN.
func (c *memConn) CloseWrite() error {
	c.out.update(func() { c.out.fin, c.out.writeClosed = true, true })
	return nil
}

// Close sends FIN, or as TCP does RST if there was something that it had not read.
func (c *memConn) Close() error {
	c.once.Do(func() {
		if !c.in.empty() {
			c.out.update(func() { c.out.reset = true })
		}
		c.end()
	})
	return nil
}

// reset sends RST.
func (c *memConn) reset() {
	c.once.Do(func() {
		c.out.update(func() { c.out.reset = true })
		c.end()
	})
}

func (c *memConn) end() {
	c.in.update(func() {
		c.in.readClosed, c.in.gone = true, true
		c.in.readLimit.set(c.in, time.Time{})
	})
	c.out.update(func() {
		c.out.fin, c.out.writeClosed = true, true
		c.out.writeLimit.set(c.out, time.Time{})
	})
}

func (c *memConn) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(c.local) }
func (c *memConn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

func (c *memConn) SetReadDeadline(t time.Time) error {
	c.in.update(func() { c.in.readLimit.set(c.in, t) })
	return nil
}

func (c *memConn) SetWriteDeadline(t time.Time) error {
	c.out.update(func() { c.out.writeLimit.set(c.out, t) })
	return nil
}

func (c *memConn) SetDeadline(t time.Time) error {
	_ = c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}
