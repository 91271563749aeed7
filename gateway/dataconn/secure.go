package dataconn

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"time"
)

// Resumption says whether a TLS data connection has to prove, by resuming the TLS
// session of its control connection, that the same client opened it.
type Resumption uint8

const (
	// ResumeOffered lets clients resume, and takes those that don't.
	ResumeOffered Resumption = iota
	// ResumeOff never resumes.
	ResumeOff
	// ResumeRequired refuses data connections that don't resume. It limits both
	// connections to TLS 1.2, because clients use a TLS 1.3 ticket once, and an
	// upload must not issue new ones; see docs/tls.md.
	ResumeRequired
)

// ErrNotResumed says that a data connection did not resume its control
// connection's TLS session.
var ErrNotResumed = errors.New("data connection did not resume the TLS session of the control connection")

// Binding is the TLS of one control connection and its data connections. Its
// tickets are encrypted under a key of its own, so that no other session's data
// connection can resume with them.
type Binding struct {
	control *tls.Config
	mode    Resumption
}

// NewBinding prepares the TLS of one session. base must not set
// GetConfigForClient, whose configurations would not know the session's key.
func NewBinding(base *tls.Config, mode Resumption) *Binding {
	c := base.Clone()
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails
	c.SetSessionTicketKeys([][32]byte{key})
	if mode == ResumeRequired {
		c.MaxVersion = tls.VersionTLS12
	}
	if mode == ResumeOff {
		c.SessionTicketsDisabled = true
	}
	if c.NextProtos == nil {
		// A client that offers protocols, and not this one, speaks no FTP (ALPACA).
		c.NextProtos = []string{"ftp"}
	}
	return &Binding{control: c, mode: mode}
}

// Control does the handshake on a control connection.
func (b *Binding) Control(ctx context.Context, conn net.Conn) (*tls.Conn, error) {
	t := tls.Server(conn, b.control)
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return t, nil
}

// Data does the handshake on a data connection. A receiving one gets no new
// tickets: a client that only writes would leave them unread, and its kernel
// would answer the end of the connection with a reset that destroys the tail of the
// upload.
func (b *Binding) Data(ctx context.Context, conn net.Conn, receiving bool) (*Secured, error) {
	c := b.control.Clone()
	if c.ClientAuth != tls.NoClientCert {
		// The control connection has checked the client's certificate. Without asking at
		// all crypto/tls would not resume its session, which has one.
		c.ClientAuth = tls.RequestClientCert
		c.VerifyPeerCertificate, c.VerifyConnection = nil, nil
	}
	if receiving && b.mode != ResumeOff {
		withoutNewTickets(c)
	}
	raw := &eofConn{Conn: conn}
	t := tls.Server(raw, c)
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	if b.mode == ResumeRequired && !t.ConnectionState().DidResume {
		return nil, ErrNotResumed
	}
	return &Secured{Conn: t, raw: raw}, nil
}

// withoutNewTickets lets c resume TLS 1.3 sessions without issuing tickets behind
// the handshake (in TLS 1.2 they are part of it, and harmless). crypto/tls has one
// switch for both and reads it for the second after it has called back for the first,
// in the same goroutine; a test pins that. c must serve one connection only.
func withoutNewTickets(c *tls.Config) {
	certificates, get := c.Certificates, c.GetCertificate
	c.Certificates = nil
	c.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if slices.Contains(hello.SupportedVersions, tls.VersionTLS13) && c.MaxVersion != tls.VersionTLS12 {
			c.SessionTicketsDisabled = true // a full handshake
		}
		return choose(hello, certificates, get)
	}
	c.UnwrapSession = func(identity []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
		state, err := c.DecryptTicket(identity, cs)
		if state != nil {
			c.SessionTicketsDisabled = true // a resumed one
		}
		return state, err
	}
}

// choose is what crypto/tls does with a Config's certificates.
func choose(hello *tls.ClientHelloInfo, certificates []tls.Certificate, get func(*tls.ClientHelloInfo) (*tls.Certificate, error)) (*tls.Certificate, error) {
	if get != nil && (len(certificates) == 0 || hello.ServerName != "") {
		if cert, err := get(hello); cert != nil || err != nil {
			return cert, err
		}
	}
	for i := range certificates {
		if hello.SupportsCertificate(&certificates[i]) == nil {
			return &certificates[i], nil
		}
	}
	if len(certificates) == 0 {
		return nil, errors.New("no certificate configured")
	}
	return &certificates[0], nil
}

// Secured is a data connection under TLS.
type Secured struct {
	*tls.Conn
	raw *eofConn
}

// Clean reports, after Read returned io.EOF, whether the peer said close_notify.
// Without it the data may have been cut off, by accident or by an attacker.
func (s *Secured) Clean() bool { return !s.raw.eof }

// CloseWrite says close_notify and ends the TCP stream behind it.
func (s *Secured) CloseWrite() error {
	_ = s.SetWriteDeadline(time.Now().Add(5 * time.Second))
	if err := s.Conn.CloseWrite(); err != nil {
		return err
	}
	if half, ok := s.raw.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// eofConn notes whether the stream ended before TLS had said that it would:
// crypto/tls asks for more bytes only as long as there was no close_notify.
type eofConn struct {
	net.Conn
	eof bool
}

// NetConn is the connection below.
func (c *eofConn) NetConn() net.Conn { return c.Conn }

func (c *eofConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == io.EOF {
		c.eof = true
	}
	return n, err
}
