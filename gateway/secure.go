package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"github.com/ftpgate/ftpgate/gateway/dataconn"
	"github.com/ftpgate/ftpgate/gateway/wire"
)

// security is the TLS of a session.
type security struct {
	binding   *dataconn.Binding
	tls       *tls.Conn // of the control connection; nil before AUTH and after CCC
	protected bool      // the login goes, or went, over TLS: CCC does not change that
	certified bool      // the client's certificate has logged it in, without a password
	pbsz      bool
	prot      byte // 'P' protects data connections, anything else does not
}

// secure does the handshake on the control connection, and forgets what was said
// in clear.
func (s *session) secure() bool {
	ctx, cancel := s.ctx, context.CancelFunc(func() {})
	if t := s.cfg.Timeouts.Handshake; t > 0 {
		ctx, cancel = context.WithTimeout(ctx, t)
	}
	defer cancel()
	if s.cfg.TLS.Config == nil { // implicit, and a reload has taken it away
		s.log.Error("TLS handshake failed: there is no certificate any more")
		return false
	}
	_ = s.raw.SetDeadline(time.Time{}) // that of commands is not that of the handshake
	binding := dataconn.NewBinding(s.cfg.TLS.Config, s.cfg.TLS.Resumption)
	records := &recordConn{Conn: s.raw}
	conn, err := binding.Control(ctx, records)
	if err != nil {
		s.log.Info("TLS handshake failed", "err", err)
		return false
	}
	if err := s.in.Reset(conn); err != nil {
		return false
	}
	s.logout()
	s.conn = conn
	s.security = security{binding: binding, tls: conn, protected: true, prot: 'C'}
	return true
}

// unsecure takes TLS off the control connection. The client's close_notify is
// waited for, and what follows it is read in clear.
func (s *session) unsecure() {
	records, ok := s.tls.NetConn().(*recordConn)
	if !ok || s.tls.CloseWrite() != nil {
		s.broken = true
		return
	}
	_ = s.conn.SetReadDeadline(s.readDeadline())
	if n, err := s.tls.Read(make([]byte, 1)); n > 0 || !errors.Is(err, io.EOF) {
		s.broken = true // neither TLS nor clear
		return
	}
	_ = s.raw.SetDeadline(time.Time{})
	s.conn, s.tls = records.clear(), nil
	if err := s.in.Reset(s.conn); err != nil {
		s.broken = true
	}
}

// secureData does the handshake on a data connection.
func (s *session) secureData(c *call, conn net.Conn) (net.Conn, error) {
	ctx, cancel := c.Context, context.CancelFunc(func() {})
	if t := s.cfg.Timeouts.Handshake; t > 0 {
		ctx, cancel = context.WithTimeout(ctx, t)
	}
	defer cancel()
	secured, err := s.binding.Data(ctx, conn, c.row.creates)
	switch {
	case err == nil:
		return secured, nil
	case c.Err() != nil:
		return nil, context.Cause(c)
	}
	s.log.Warn("TLS on the data connection failed", "command", c.row.verb, "err", err)
	if errors.Is(err, dataconn.ErrNotResumed) {
		return nil, err
	}
	return nil, errHandshake
}

// mustProtect reports whether a transfer has to be refused because its data would
// go in clear.
func (s *session) mustProtect() bool {
	required := s.cfg.TLS.RequireData || s.principal != nil && s.principal.RequireTLS
	return required && s.prot != 'P'
}

func (s *session) tlsState() *tls.ConnectionState {
	if s.tls == nil {
		return nil
	}
	state := s.tls.ConnectionState()
	return &state
}

// recordConn is the transport of the control connection's TLS. It never reads
// beyond the end of a TLS record into the hands of crypto/tls, so that what follows
// the last one can be read in clear after CCC.
type recordConn struct {
	net.Conn
	buf  []byte // read, not yet handed on
	left int    // of the current record; 0: a header is next
	head []byte // of the header, as far as it was handed on
}

// recordHeader is the length of the header of a TLS record; its last two bytes are
// the length of the rest (RFC 8446 5.1).
const recordHeader = 5

func (c *recordConn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(c.buf) == 0 {
		buf := make([]byte, 4096)
		n, err := c.Conn.Read(buf)
		if n == 0 {
			return 0, err
		}
		c.buf = buf[:n]
	}
	if c.left == 0 {
		n := copy(p, c.buf[:min(len(c.buf), recordHeader-len(c.head))])
		c.head = append(c.head, c.buf[:n]...)
		c.advance(n)
		if len(c.head) == recordHeader {
			c.left = int(c.head[3])<<8 | int(c.head[4])
			c.head = c.head[:0]
		}
		return n, nil
	}
	n := copy(p, c.buf[:min(len(c.buf), c.left)])
	c.left -= n
	c.advance(n)
	return n, nil
}

// advance drops what was handed on, and the buffer with its last byte: an idle
// session holds none.
func (c *recordConn) advance(n int) {
	if c.buf = c.buf[n:]; len(c.buf) == 0 {
		c.buf = nil
	}
}

// clear is the connection without TLS, from where the records ended.
func (c *recordConn) clear() net.Conn { return &clearConn{Conn: c.Conn, rest: c.buf} }

type clearConn struct {
	net.Conn
	rest []byte
}

func (c *clearConn) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// securityCommands are those of RFC 2228 as RFC 4217 uses them.
func securityCommands() []*command {
	return []*command{
		{verb: "AUTH", run: (*session).cmdAuth, arg: argText, syntax: "TLS", tls: true, feat: feature("AUTH TLS"), help: "Protect the control connection.", rfc: "4217"},
		{verb: "PBSZ", run: (*session).cmdPbsz, arg: argNumber, syntax: "0", need: needTLS, tls: true, feat: feature("PBSZ"), help: "Prepare PROT.", rfc: "4217"},
		{verb: "PROT", run: (*session).cmdProt, arg: argText, syntax: "C | P", need: needTLS, tls: true, feat: feature("PROT"), help: "Choose whether data connections are protected.", rfc: "4217"},
		{verb: "CCC", run: (*session).cmdCcc, arg: argNone, need: needTLS | needLogin, tls: true, help: "Take the protection off the control connection.", rfc: "4217"},
		{verb: "ADAT", run: (*session).cmdAdat, arg: argText, syntax: "<data>", tls: true, masked: true, help: "Not used by TLS.", rfc: "2228, 4217"},
		{verb: "MIC", run: (*session).cmdProtected, arg: argText, syntax: "<data>", tls: true, masked: true, help: "Not used by TLS.", rfc: "2228, 4217"},
		{verb: "CONF", run: (*session).cmdProtected, arg: argText, syntax: "<data>", tls: true, masked: true, help: "Not used by TLS.", rfc: "2228, 4217"},
		{verb: "ENC", run: (*session).cmdProtected, arg: argText, syntax: "<data>", tls: true, masked: true, help: "Not used by TLS.", rfc: "2228, 4217"},
	}
}

// RFC 4217 4: what the client sent behind AUTH without waiting for the reply was
// not protected, and could have been put there by anybody; it ends the session.
func (s *session) cmdAuth(c *call) (wire.Reply, error) {
	switch strings.ToUpper(c.text) {
	case "TLS", "TLS-C", "SSL", "TLS-P":
	default:
		return wire.Reply{}, refuse(504, "Mechanism not supported; use TLS.")
	}
	if s.tls != nil {
		return wire.Reply{}, refuse(503, "TLS is on already.")
	}
	if s.in.Buffered() > 0 || len(s.queue) > 0 {
		s.log.Warn("session ended: commands in clear behind AUTH TLS")
		s.ending = true
		return wire.Reply{}, refuse(503, "Nothing may follow AUTH before its reply.")
	}
	s.send(reply(234, "Proceed with the handshake."))
	if !s.broken && !s.secure() {
		s.broken = true // neither clear nor TLS: there is nothing more to say
	}
	return wire.Reply{}, nil
}

// RFC 4217 9: TLS needs no buffer size, but PROT needs PBSZ.
func (s *session) cmdPbsz(*call) (wire.Reply, error) {
	s.pbsz = true
	return reply(200, "PBSZ=0"), nil
}

// RFC 4217 9.
func (s *session) cmdProt(c *call) (wire.Reply, error) {
	switch strings.ToUpper(c.text) {
	case "P":
	case "C":
		if s.cfg.TLS.RequireData || s.principal != nil && s.principal.RequireTLS {
			return wire.Reply{}, refuse(534, "Data connections must be protected.")
		}
	case "S", "E":
		return wire.Reply{}, refuse(536, "Protection level not supported by TLS; use C or P.")
	default:
		return wire.Reply{}, refuse(504, "Unknown protection level; use C or P.")
	}
	if !s.pbsz {
		return wire.Reply{}, refuse(503, "Send PBSZ 0 first.")
	}
	s.prot = strings.ToUpper(c.text)[0]
	return replyf(200, "Protection level set to %c.", s.prot), nil
}

// RFC 4217 6 and 15.1: taking the protection off opens the session to whoever can
// write to the connection, so it has to be allowed.
func (s *session) cmdCcc(*call) (wire.Reply, error) {
	if !s.cfg.TLS.AllowCCC || s.cfg.TLS.RequireControl || s.principal.RequireTLS {
		return wire.Reply{}, refuse(534, "The control connection has to stay protected.")
	}
	if s.in.Buffered() > 0 || len(s.queue) > 0 {
		return wire.Reply{}, refuse(503, "Nothing may follow CCC before its reply.")
	}
	s.send(reply(200, "Continue in clear."))
	s.unsecure()
	return wire.Reply{}, nil
}

// RFC 4217 has no use for ADAT: the data of TLS is in its handshake.
func (s *session) cmdAdat(*call) (wire.Reply, error) {
	return wire.Reply{}, refuse(503, "TLS needs no ADAT.")
}

// RFC 2228 4: MIC, CONF and ENC carry single commands, which TLS protects all.
func (s *session) cmdProtected(*call) (wire.Reply, error) {
	return wire.Reply{}, refuse(537, "Protection level not supported by TLS.")
}
