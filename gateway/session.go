package gateway

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/time/rate"

	"github.com/ftpgate/ftpgate/auth"
	"github.com/ftpgate/ftpgate/gateway/dataconn"
	"github.com/ftpgate/ftpgate/gateway/wire"
	"github.com/ftpgate/ftpgate/vfs"
)

// maxQueue is how many lines wait while a worker runs. When it is full, nothing
// more is read, and TCP pushes back.
const maxQueue = 8

// session is one control connection. One goroutine, the owner, runs it: it reads
// lines, writes every reply, and cancels the worker, of which there is at most
// one. Only the owner changes a session, and none of its fields needs a lock.
type session struct {
	srv  *Server
	cfg  *Config
	raw  net.Conn // as accepted; the only field that others may use
	conn net.Conn // raw, or TLS over it
	in   *wire.LineReader
	out  []byte

	ctx    context.Context // ends with the session; its values reach backends
	remote netip.AddrPort
	local  netip.AddrPort

	id      string
	refs    int // references given out for internal errors
	log     *slog.Logger
	connLog *slog.Logger // log without what the login added

	profile   *Profile
	utf8      bool   // the client said so
	host      string // of HOST
	user      string // of USER, until PASS
	principal *auth.Principal
	fsys      vfs.FS // what the user sees
	visible   vfs.FS // the same without the own interrupted uploads: what others see
	release   func()
	seat      *seat
	cwd       string
	failures  int
	unknown   int
	points    int       // held against the host if nobody logs in
	harmless  bool      // somebody has logged in, or would have but for the server
	deadline  time.Time // of the login; zero when logged in

	security
	parameters
	rest     int64     // of REST
	allo     int64     // of ALLO
	span     byteRange // of RANG
	chosen   chosen    // by RNFR or SITE CPFR
	endpoint dataconn.Endpoint
	up, down throttle
	commands *rate.Limiter // of Limits.CommandRate; nil: not yet needed

	reloads     uint64        // of the server, when the user was last rechecked
	recheckFrom time.Time     // not before; the source of accounts could not be asked
	dismissal   error         // why the session ends, once it does
	expelled    chan struct{} // closed by expel
	expulsion   error         // under Server.mu until expelled is closed

	task    *task    // the worker, while it runs
	queue   []string // lines that wait for the worker
	readErr error    // how reading the control connection ended
	ending  bool     // after the next reply
	broken  bool     // replies can't be written any more
	final   wire.Reply
}

// parameters are those of the transfer; REIN resets them, USER does not.
type parameters struct {
	typ     byte // 'A' or 'I'
	stru    byte // 'F' or 'R'
	mode    byte // 'S' or 'Z'
	level   int  // of MODE Z
	epsvAll bool
	facts   wire.FactSet
	hash    vfs.HashAlgorithm
	idle    time.Duration // between two commands; see Timeouts.Idle
}

func (s *session) defaultParameters() parameters {
	typ := s.cfg.DefaultType
	if s.profile.Binary {
		typ = 'I'
	}
	return parameters{typ: typ, stru: 'F', mode: 'S', level: defaultLevel, epsvAll: s.epsvAll, facts: defaultFacts, hash: vfs.SHA256, idle: s.cfg.Timeouts.Idle}
}

// defaultFacts are those that MLST gives unless OPTS MLST chose others.
const defaultFacts = wire.AllFacts &^ (wire.FactOwner | wire.FactGroup)

func newSession(srv *Server, cfg *Config, conn net.Conn, ends dataconn.Ends, id string) *session {
	s := &session{
		srv: srv, cfg: cfg, raw: conn, conn: conn, id: id, cwd: ".",
		in:     wire.NewLineReader(conn, max(cfg.Limits.LineLength, 64)),
		remote: ends.Remote,
		local:  ends.Local,

		expelled: make(chan struct{}),
	}
	s.profile, _ = cfg.profile("") // which withDefaults has seen
	s.parameters = s.defaultParameters()
	s.connLog = cfg.Logger.With("session", id, "remote", s.remote)
	s.log = s.connLog
	return s
}

// run is the owner's life.
func (s *session) run(implicit bool) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.ctx = ctx
	defer s.close()
	s.log.Debug("connected", "local", s.local)
	s.startLogin()
	if implicit {
		if !s.secure() {
			return
		}
		s.pbsz, s.prot = true, 'P'
	}
	s.send(reply(220, bannerLines(s.cfg.Banner)...))
	for !s.ending && !s.broken {
		line, ok := s.nextLine()
		if !ok {
			break
		}
		s.dispatch(line)
	}
	if s.final.Code != 0 {
		s.send(s.final)
	}
}

func (s *session) close() {
	if !s.harmless && s.dismissal == nil && !s.srv.isDraining() {
		s.srv.heldAgainst(s.cfg, s.remote, s.points+pointsFruitless)
	}
	s.leave() // and no more: a worker that was left behind may still look at the rest
	if !s.broken && unread(s.raw) {
		if half, ok := s.conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
			drain(s.conn) // else the last reply may be lost
		}
	}
	s.conn.Close()
	s.log.Debug("disconnected")
}

func (s *session) startLogin() {
	s.deadline = time.Time{}
	if t := s.cfg.Timeouts.Login; t > 0 {
		s.deadline = time.Now().Add(t)
	}
}

// nextLine returns a line that waited, else reads one. It is false when the
// session is over; final is then what is left to say.
func (s *session) nextLine() (string, bool) {
	line, ok := "", false
	if s.dismissal == nil { // else the transfer has told of it
		line, ok = s.someLine()
	}
	if ok || s.dismissal != nil {
		if s.dismiss(); s.dismissal != nil {
			s.final = reply(421, "You may no longer be here; closing.")
			return "", false
		}
	}
	return line, ok
}

func (s *session) someLine() (string, bool) {
	if len(s.queue) > 0 && !s.srv.isDraining() {
		line := s.queue[0]
		s.queue = s.queue[1:]
		return line, true
	}
	if s.readErr == nil {
		_ = s.conn.SetReadDeadline(s.readDeadline())
		if s.srv.isDraining() { // after the deadline was set: see Server.Shutdown
			s.final = reply(421, "Server is shutting down.")
			return "", false
		}
		var line string
		if line, s.readErr = s.in.ReadLine(); s.readErr == nil {
			return line, true
		}
	}
	s.final = s.farewell(s.readErr)
	return "", false
}

func (s *session) readDeadline() time.Time {
	var d time.Time
	if t := s.idle; t > 0 {
		d = time.Now().Add(t)
	}
	if s.principal == nil && !s.deadline.IsZero() && (d.IsZero() || s.deadline.Before(d)) {
		d = s.deadline
	}
	return d
}

// farewell is the last reply after reading ended with err; none if nobody is
// there to hear it.
func (s *session) farewell(err error) wire.Reply {
	switch {
	case errors.Is(err, wire.ErrLineTooLong):
		s.log.Warn("command line too long")
		s.points += pointsLine
		return reply(500, "Command line too long.")
	case errors.Is(err, os.ErrDeadlineExceeded):
		switch {
		case s.srv.isDraining():
			return reply(421, "Server is shutting down.")
		case s.principal == nil && !s.deadline.IsZero() && !time.Now().Before(s.deadline):
			return reply(421, "Login took too long.")
		}
		return reply(421, "Idle for too long.")
	case !errors.Is(err, io.EOF):
		s.log.Debug("control connection failed", "err", err)
	}
	return wire.Reply{}
}

// send writes a reply. A client that does not take it within the time ends the
// session.
func (s *session) send(r wire.Reply) {
	if s.broken || r.Code == 0 {
		return
	}
	s.out = s.onWireReply(r).AppendTo(s.out[:0])
	s.write(s.out)
	if cap(s.out) > 4<<10 {
		s.out = nil
	}
}

func (s *session) write(p []byte) {
	if s.broken {
		return
	}
	if t := s.cfg.Timeouts.Write; t > 0 {
		_ = s.conn.SetWriteDeadline(time.Now().Add(t))
	}
	if _, err := s.conn.Write(p); err != nil {
		s.log.Debug("reply could not be written", "err", err)
		s.broken = true
	}
}

// clearOneShots forgets what only the next command may use.
func (s *session) clearOneShots() {
	s.rest, s.allo, s.span, s.chosen = 0, 0, byteRange{}, chosen{}
}

// chosen is the name that a command has put aside for the one right behind it.
type chosen struct {
	by   string // the verb
	name string
}

// byteRange is [from,to) of a file; the zero value is all of it.
type byteRange struct{ from, to int64 }

// policy is that of the user; nil allows everything.
func (s *session) policy() *auth.Policy {
	if s.principal == nil {
		return nil
	}
	return s.principal.Policy
}

// allow is the dispatcher's cheap question to the policy that vfs.GuardRules asks.
func (s *session) allow(op vfs.Op, name string) error {
	return vfs.PathError(string(op), name, s.policy().Allow(op, name))
}
