package gateway

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/ftpgate/ftpgate/auth"
	"github.com/ftpgate/ftpgate/gateway/dataconn"
	"github.com/ftpgate/ftpgate/gateway/wire"
)

// ErrServerClosed is what Serve returns after Shutdown or Close.
var ErrServerClosed = errors.New("gateway: server closed")

// Server serves FTP. Its methods may be called concurrently.
type Server struct {
	cfg     atomic.Pointer[Config]
	reloads atomic.Pointer[reload]
	ports   *dataconn.Ports
	buffers sync.Pool
	hashing chan struct{} // a place for each hash that is computed at once

	draining  chan struct{} // closed when Shutdown or Close begins
	forced    chan struct{} // closed when running transfers must end
	abandoned atomic.Int64  // workers that ignored their context

	shares    *shares
	bans      auth.Bans
	fruitless auth.Bans // hosts whose connections come to nothing

	refusals *rate.Limiter // how many are logged
	omitted  atomic.Int64  // refusals that were not

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	sessions  map[*session]struct{}
	waiting   int // of sessions, those that are not logged in
	perHost   map[netip.Prefix]int
	nextID    uint64
	idle      chan struct{} // closed when the last session ends while draining
}

// reload is what sessions see of Server.Reload: they ask at every command.
type reload struct {
	count uint64
	next  chan struct{} // closed by the next one
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
		refusals: rate.NewLimiter(refusalsLogged, 10*refusalsLogged),
		shares:   newShares(), bans: c.Defence.Bans, fruitless: auth.NewMemoryBans(fruitlessOptions(c.Defence.Fruitless)),
	}
	s.reloads.Store(&reload{next: make(chan struct{})})
	if s.bans == nil {
		s.bans = auth.NewMemoryBans(c.Defence.BanOptions)
	}
	s.buffers.New = func() any { b := make([]byte, bufferSize); return &b }
	s.cfg.Store(c)
	return s, nil
}

// Reload checks cfg and lets new sessions use it; a session keeps what it began
// with. But a user whom Config.Auth no longer lets in, as far as auth.Recheck can find
// out, gets 421 at the next command, and a running transfer ends as at Shutdown. The range
// of passive ports stays as it was, and so does where bans are kept.
func (s *Server) Reload(cfg Config) error {
	c, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	s.cfg.Store(c)
	if b, ok := s.bans.(*auth.MemoryBans); ok {
		b.SetOptions(c.Defence.BanOptions)
	}
	if b, ok := s.fruitless.(*auth.MemoryBans); ok {
		b.SetOptions(fruitlessOptions(c.Defence.Fruitless))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.reloads.Load()
	s.reloads.Store(&reload{last.count + 1, make(chan struct{})})
	close(last.next)
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
	sess, reason, refusal := s.admit(cfg, conn, ends)
	if sess == nil {
		go s.refuse(cfg, conn, ends.Remote, reason, refusal) // no client may hold up the others
		return
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 30 * time.Second, Count: 4})
	}
	inlineUrgent(conn)
	go func() {
		defer s.ended(sess)
		if reason, refusal := s.turnedAway(cfg, ends.Remote); reason != "" {
			s.refuse(cfg, conn, ends.Remote, reason, refusal)
			return
		}
		sess.run(implicit)
	}()
}

// admit counts the session in, or says why not, and what to answer.
func (s *Server) admit(cfg *Config, conn net.Conn, ends dataconn.Ends) (sess *session, reason string, r wire.Reply) {
	addr := ends.Remote.Addr()
	host, l := auth.HostOf(addr), &cfg.Limits
	admitted, counts := cfg.Defence.admits(addr), cfg.counts(addr, l.PerAddress > 0)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.isDraining():
		return nil, "", reply(421, "Server is shutting down.")
	case !admitted:
		return nil, "denied network", reply(421, "Connections from your address are not accepted.")
	case l.Sessions > 0 && len(s.sessions) >= l.Sessions:
		return nil, "too many sessions", reply(421, "Too many sessions, try again later.")
	case l.Waiting > 0 && s.waiting >= l.Waiting:
		return nil, "too many sessions without login", reply(421, "Too many sessions without login, try again later.")
	case !l.allowsFrom(s.perHost[host], counts):
		return nil, "too many sessions of the address", reply(421, "Too many sessions from your address, try again later.")
	}
	s.nextID++
	sess = newSession(s, cfg, conn, ends, strconv.FormatUint(s.nextID, 36))
	sess.reloads = s.reloads.Load().count
	s.sessions[sess] = struct{}{}
	s.perHost[host]++
	s.waiting++
	return sess, "", wire.Reply{}
}

// defaultPerAddress is Limits.PerAddress where it is not set.
const defaultPerAddress = 2048

// allowsFrom reports whether a host with n sessions may have one more.
func (l *Limits) allowsFrom(n int, counts bool) bool {
	limit := cmp.Or(l.PerAddress, defaultPerAddress)
	return limit < 0 || n < limit || !counts
}

// entered counts a login, or with -1 a logout.
func (s *Server) entered(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting -= n
}

// ended counts the session out.
func (s *Server) ended(sess *session) {
	host := auth.HostOf(sess.remote.Addr())
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, sess)
	s.waiting--
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
