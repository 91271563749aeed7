package gateway

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ftpgate/ftpgate/gateway/dataconn"
	"github.com/ftpgate/ftpgate/gateway/wire"
)

// ErrServerClosed is what Serve returns after Shutdown or Close.
var ErrServerClosed = errors.New("gateway: server closed")

// Server serves FTP. Its methods may be called concurrently.
type Server struct {
	cfg     atomic.Pointer[Config]
	ports   *dataconn.Ports
	buffers sync.Pool
	hashing chan struct{} // a place for each hash that is computed at once

	draining  chan struct{} // closed when Shutdown or Close begins
	forced    chan struct{} // closed when running transfers must end
	abandoned atomic.Int64  // workers that ignored their context

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	sessions  map[*session]struct{}
	perHost   map[netip.Prefix]int
	nextID    uint64
	idle      chan struct{} // closed when the last session ends while draining
}

// New returns a server, or what is wrong with cfg.
func New(cfg Config) (*Server, error) {
	c, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{
		ports: dataconn.NewPorts(c.Data.PassivePorts), hashing: make(chan struct{}, 2*runtime.GOMAXPROCS(0)),
		draining: make(chan struct{}), forced: make(chan struct{}), idle: make(chan struct{}),
		listeners: map[net.Listener]struct{}{}, sessions: map[*session]struct{}{}, perHost: map[netip.Prefix]int{},
	}
	s.buffers.New = func() any { b := make([]byte, bufferSize); return &b }
	s.cfg.Store(c)
	return s, nil
}

// Reload checks cfg and lets new sessions use it; a session keeps what it began
// with. The range of passive ports stays as it was.
func (s *Server) Reload(cfg Config) error {
	c, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	s.cfg.Store(c)
	return nil
}

// ListenAndServe listens on the TCP address and serves.
func (s *Server) ListenAndServe(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	return s.Serve(l)
}

// Serve accepts sessions on l, which it closes in the end, until Shutdown or Close
// is called; it then returns ErrServerClosed, or else the error of Accept.
func (s *Server) Serve(l net.Listener) error { return s.serve(l, false) }

// ServeTLS is Serve for implicit TLS (by custom on port 990): the handshake comes
// before the greeting, and data connections are protected from the start.
func (s *Server) ServeTLS(l net.Listener) error {
	if s.cfg.Load().TLS.Config == nil {
		l.Close()
		return errors.New("gateway: implicit TLS without Config.TLS")
	}
	return s.serve(l, true)
}

func (s *Server) serve(l net.Listener, implicit bool) error {
	defer l.Close()
	s.mu.Lock()
	if s.isDraining() {
		s.mu.Unlock()
		return ErrServerClosed
	}
	s.listeners[l] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.listeners, l)
		s.mu.Unlock()
	}()
	var pause time.Duration
	for {
		conn, err := l.Accept()
		if err == nil {
			pause = 0
			s.start(conn, implicit)
			continue
		}
		if s.isDraining() {
			return ErrServerClosed
		}
		// Out of descriptors: wait for sessions to end rather than give up.
		var ne net.Error
		//lint:ignore SA1019 net/http does the same: nothing else tells such errors apart
		if !errors.As(err, &ne) || !ne.Temporary() {
			return err
		}
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		s.cfg.Load().Logger.Error("can't accept a connection", "err", err, "retry", pause)
		select {
		case <-time.After(pause):
		case <-s.draining:
		}
	}
}

// start admits a connection and runs its session.
func (s *Server) start(conn net.Conn, implicit bool) {
	cfg := s.cfg.Load()
	ends := dataconn.EndsOf(conn)
	if !cfg.Proxy.Trusts(ends.Remote.Addr()) {
		s.open(cfg, conn, ends, implicit)
		return
	}
	go func() { // the header may be slow to come
		client, err := cfg.Proxy.ReadHeader(conn)
		if err != nil {
			cfg.Logger.Warn("connection from a proxy refused", "proxy", ends.Remote, "err", err)
			conn.Close()
			return
		}
		s.open(cfg, conn, client, implicit)
	}()
}

func (s *Server) open(cfg *Config, conn net.Conn, ends dataconn.Ends, implicit bool) {
	sess, refusal := s.admit(cfg, conn, ends)
	if sess == nil {
		// The line fits into any send buffer; the deadline is for the case that it
		// does not, because no client may hold up the others.
		_ = conn.SetDeadline(time.Now().Add(time.Second))
		_, _ = conn.Write(refusal.AppendTo(nil))
		conn.Close()
		return
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 30 * time.Second, Count: 4})
	}
	inlineUrgent(conn)
	go func() {
		defer s.ended(sess)
		sess.run(implicit)
	}()
}

// admit counts the session in, or says why not.
func (s *Server) admit(cfg *Config, conn net.Conn, ends dataconn.Ends) (*session, wire.Reply) {
	host := hostOf(ends.Remote.Addr())
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.isDraining():
		return nil, reply(421, "Server is shutting down.")
	case cfg.Limits.Sessions > 0 && len(s.sessions) >= cfg.Limits.Sessions:
		cfg.Logger.Warn("session refused: too many sessions", "remote", ends.Remote, "limit", cfg.Limits.Sessions)
		return nil, reply(421, "Too many sessions, try again later.")
	case !cfg.Limits.allowsFrom(host, s.perHost[host]):
		cfg.Logger.Warn("session refused: too many sessions from this address", "remote", ends.Remote)
		return nil, reply(421, "Too many sessions from your address, try again later.")
	}
	s.nextID++
	sess := newSession(s, cfg, conn, ends, strconv.FormatUint(s.nextID, 36))
	s.sessions[sess] = struct{}{}
	s.perHost[host]++
	return sess, wire.Reply{}
}

// defaultPerAddress is Limits.PerAddress where it is not set.
const defaultPerAddress = 2048

// allowsFrom reports whether host, which has n sessions, may have one more.
func (l *Limits) allowsFrom(host netip.Prefix, n int) bool {
	limit := l.PerAddress
	if limit == 0 {
		if host.Addr().IsLoopback() {
			return true
		}
		limit = defaultPerAddress
	}
	return limit < 0 || n < limit
}

// hostOf is what counts as one client: an IPv4 address or an IPv6 /64.
func hostOf(addr netip.Addr) netip.Prefix {
	addr = addr.WithZone("")
	bits := 32
	if addr.Is6() && !addr.IsLoopback() {
		bits = 64
	} else if addr.Is6() {
		bits = 128
	}
	p, _ := addr.Prefix(bits)
	return p
}

// ended counts the session out.
func (s *Server) ended(sess *session) {
	host := hostOf(sess.remote.Addr())
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, sess)
	if s.perHost[host]--; s.perHost[host] == 0 {
		delete(s.perHost, host)
	}
	if s.isDraining() && len(s.sessions) == 0 {
		closeOnce(s.idle)
	}
}

func closeOnce(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}

func (s *Server) isDraining() bool {
	select {
	case <-s.draining:
		return true
	default:
		return false
	}
}

// drain stops accepting and wakes idle sessions, which say 421 and end.
func (s *Server) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	closeOnce(s.draining)
	for l := range s.listeners {
		l.Close()
	}
	for sess := range s.sessions {
		// An owner sets its own deadline first and looks for draining
		// afterwards, so that one of the two always wakes it.
		_ = sess.raw.SetReadDeadline(time.Unix(1, 0))
	}
	if len(s.sessions) == 0 {
		closeOnce(s.idle)
	}
}

// Shutdown stops accepting, ends idle sessions with 421, and lets running
// transfers finish until ctx is done. Those still running then are aborted with 426,
// and uploads are parked. It returns nil when every session has ended in time,
// else the cause of ctx, after every session has ended.
func (s *Server) Shutdown(ctx context.Context) error {
	s.drain()
	select {
	case <-s.idle:
		return nil
	case <-ctx.Done():
	}
	s.force()
	<-s.idle
	return context.Cause(ctx)
}

// Close aborts everything at once, as Shutdown does when its context is done.
func (s *Server) Close() error {
	s.drain()
	s.force()
	<-s.idle
	return nil
}

func (s *Server) force() {
	s.mu.Lock()
	defer s.mu.Unlock()
	closeOnce(s.forced)
}

func (s *Server) buffer() *[]byte   { return s.buffers.Get().(*[]byte) }
func (s *Server) recycle(b *[]byte) { s.buffers.Put(b) }

// Sessions is how many sessions there are.
func (s *Server) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions)
}
