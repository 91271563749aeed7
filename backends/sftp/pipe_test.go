package sftp

import (
	"bytes"
	"io"
	"net"
	"sync"
	"time"
)

// socket is an end of a connection inside this process that, unlike net.Pipe,
// buffers what is written, as TCP does and as SSH needs.
type socket struct {
	in, out *buffer
	silent  func() bool // what is written is lost
}

// buffer is one way of a connection.
type buffer struct {
	mu     sync.Mutex
	change *sync.Cond
	bytes  bytes.Buffer
	closed bool
}

// socketBuffer is how much a connection holds, in bytes.
const socketBuffer = 256 << 10

func newBuffer() *buffer {
	b := &buffer{}
	b.change = sync.NewCond(&b.mu)
	return b
}

// sockets returns the two ends of a connection.
func sockets(silent func() bool) (near, far net.Conn) {
	up, down := newBuffer(), newBuffer()
	return &socket{down, up, silent}, &socket{up, down, silent}
}

func (s *socket) Read(p []byte) (int, error) {
	b := s.in
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.bytes.Len() == 0 && !b.closed {
		b.change.Wait()
	}
	if b.bytes.Len() == 0 {
		return 0, io.EOF
	}
	b.change.Broadcast()
	return b.bytes.Read(p)
}

func (s *socket) Write(p []byte) (int, error) {
	if s.silent() {
		return len(p), nil
	}
	b := s.out
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.bytes.Len() > socketBuffer && !b.closed {
		b.change.Wait()
	}
	if b.closed {
		return 0, net.ErrClosed
	}
	b.change.Broadcast()
	return b.bytes.Write(p)
}

func (s *socket) Close() error {
	for _, b := range []*buffer{s.in, s.out} {
		b.mu.Lock()
		b.closed = true
		b.change.Broadcast()
		b.mu.Unlock()
	}
	return nil
}

func (s *socket) LocalAddr() net.Addr  { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 1024} }
func (s *socket) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 22} }

func (s *socket) SetDeadline(time.Time) error      { return nil }
func (s *socket) SetReadDeadline(time.Time) error  { return nil }
func (s *socket) SetWriteDeadline(time.Time) error { return nil }
