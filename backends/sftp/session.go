package sftp

import (
	"io"
	"sync"
	"sync/atomic"
	"time"

	pkgsftp "github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// packetSize is what every server takes in one read or write, in bytes.
const packetSize = 32 << 10

// inFlight is how many reads or writes of one file are under way.
const inFlight = 64

// session is an SFTP session for the bytes of files.
type session struct {
	*pkgsftp.Client
	conn  *conn
	users int          // transfers; conn.mu
	heard atomic.Int64 // when the server last said something here, in ns since 1970
	dead  chan struct{}
}

// listener notes when something is read.
type listener struct {
	io.Reader
	s *session
}

func (l listener) Read(p []byte) (int, error) {
	n, err := l.Reader.Read(p)
	l.s.heard.Store(time.Now().UnixNano())
	return n, err
}

// session returns one that has no transfer, or a new one, or if the server allows
// no more the one with the fewest transfers.
func (c *conn) session() (*session, error) {
	if s := c.free(1); s != nil {
		return s, nil
	}
	keep := 0
	if c.line.first { // for the metadata
		keep = 1
	}
	ch, err := c.channel(keep)
	if err == errFull {
		if s := c.free(1 << 30); s != nil {
			return s, nil
		}
	}
	if err != nil {
		return nil, err
	}
	s := &session{conn: c, users: 1, dead: make(chan struct{})}
	if err := s.greet(ch); err != nil {
		ch.Close()
		c.left()
		return nil, c.lost(err)
	}
	c.mu.Lock()
	c.sessions = append(c.sessions, s)
	c.mu.Unlock()
	c.pool.run(func() {
		_ = s.Wait()
		close(s.dead)
		ch.Close()
		c.left()
	})
	return s, nil
}

func (s *session) greet(ch ssh.Channel) error {
	defer s.watch()()
	client, err := pkgsftp.NewClientPipe(listener{ch, s}, ch,
		pkgsftp.MaxPacketChecked(packetSize), pkgsftp.MaxConcurrentRequestsPerFile(inFlight), pkgsftp.UseFstat(true))
	s.Client = client
	return fromLibrary(err)
}

// free returns the session with the fewest transfers, below max.
func (c *conn) free(max int) *session {
	c.mu.Lock()
	defer c.mu.Unlock()
	var best *session
	live := c.sessions[:0]
	for _, s := range c.sessions {
		select {
		case <-s.dead:
			continue
		default:
		}
		live = append(live, s)
		if s.users < max && (best == nil || s.users < best.users) {
			best = s
		}
	}
	clear(c.sessions[len(live):])
	c.sessions = live
	if best != nil {
		best.users++
	}
	return best
}

// release gives the session back.
func (s *session) release() {
	s.conn.mu.Lock()
	s.users--
	s.conn.mu.Unlock()
	s.conn.line.leave()
}

// watchdog kills a connection whose session hears nothing for d.
type watchdog struct {
	s     *session
	d     time.Duration
	begun time.Time

	mu      sync.Mutex
	timer   *time.Timer
	stopped bool
}

// watch guards what takes no longer than an answer, until stop is called.
func (s *session) watch() (stop func()) { return s.watchFor(s.conn.pool.opt.Timeout) }

func (s *session) watchFor(d time.Duration) (stop func()) {
	w := &watchdog{s: s, d: d, begun: time.Now()}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(d, w.check)
	return w.stop
}

func (w *watchdog) check() {
	since := w.begun
	if heard := time.Unix(0, w.s.heard.Load()); heard.After(since) {
		since = heard
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return
	}
	if rest := w.d - time.Since(since); rest > 0 {
		w.timer.Reset(rest)
		return
	}
	w.s.conn.kill(errStuck)
}

func (w *watchdog) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	w.timer.Stop()
}

// call runs one request of pkg/sftp under the watchdog.
func (s *session) call(op func() error) error { return s.callFor(s.conn.pool.opt.Timeout, op) }

func (s *session) callFor(d time.Duration, op func() error) error {
	defer s.watchFor(d)()
	return s.conn.lost(fromLibrary(op()))
}
