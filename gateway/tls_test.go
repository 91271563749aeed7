package gateway_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ftpgate/ftpgate/auth"
	"github.com/ftpgate/ftpgate/gateway"
	"github.com/ftpgate/ftpgate/gateway/dataconn"
	"github.com/ftpgate/ftpgate/gateway/ftptest"
)

// tlsClient is one session of a client whose TLS the test knows in every detail.
type tlsClient struct {
	t      *testing.T
	conn   net.Conn
	in     *bufio.Reader
	config *tls.Config // for data connections, too
}

func dialClear(t *testing.T, srv *ftptest.Server, config *tls.Config) *tlsClient {
	t.Helper()
	conn, err := net.Dial("tcp", srv.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute)) // a hang fails with a stack
	c := &tlsClient{t: t, conn: conn, in: bufio.NewReader(conn), config: config}
	c.expect("220")
	return c
}

// dialSecure is logged in with PROT P.
func dialSecure(t *testing.T, srv *ftptest.Server, config *tls.Config) *tlsClient {
	t.Helper()
	c := dialClear(t, srv, config)
	c.do("234", "AUTH TLS")
	c.handshake()
	c.do("331", "USER joe")
	c.do("230", "PASS secret")
	c.do("200", "PBSZ 0")
	c.do("200", "PROT P")
	c.do("200", "TYPE I")
	return c
}

func (c *tlsClient) handshake() *tls.Conn {
	c.t.Helper()
	conn := tls.Client(c.conn, c.config)
	if err := conn.Handshake(); err != nil {
		c.t.Fatal(err)
	}
	c.conn, c.in = conn, bufio.NewReader(conn)
	return conn
}

func (c *tlsClient) expect(code string) string {
	c.t.Helper()
	got, err := wholeReply(c.in)
	if err != nil || !strings.HasPrefix(got, code) {
		c.t.Fatalf("got %q (%v), want %s", got, err, code)
	}
	return got
}

func (c *tlsClient) do(code, line string) string {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, line+"\r\n"); err != nil {
		c.t.Fatal(err)
	}
	return c.expect(code)
}

// dialData opens a passive data connection without TLS.
func (c *tlsClient) dialData() net.Conn {
	c.t.Helper()
	port := regexp.MustCompile(`\|\|\|(\d+)\|`).FindStringSubmatch(c.do("229", "EPSV"))
	conn, err := net.Dial("tcp", "127.0.0.1:"+port[1])
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	return conn
}

// transfer sends body (nil: nothing) after line, reads what comes, and tells whether
// the data connection resumed a session.
func (c *tlsClient) transfer(line string, body []byte) (got string, resumed bool) {
	c.t.Helper()
	raw := c.dialData()
	c.do("150", line)
	data := tls.Client(raw, c.config)
	if err := data.Handshake(); err != nil {
		c.t.Fatalf("%s: %v", line, err)
	}
	if body != nil {
		if _, err := data.Write(body); err != nil {
			c.t.Fatal(err)
		}
	} else {
		all, err := io.ReadAll(data)
		if err != nil {
			c.t.Fatalf("%s: %v", line, err)
		}
		got = string(all)
	}
	resumed = data.ConnectionState().DidResume
	if err := data.Close(); err != nil {
		c.t.Fatal(err)
	}
	c.expect("226")
	return got, resumed
}

// jar is a client's cache of TLS sessions for one server. A single-use one gives each
// away once, as RFC 8446 C.4 wants, otherwise the one of the control connection serves again
// and again, as with FileZilla and WinSCP.
type jar struct {
	singleUse bool

	mu    sync.Mutex
	state *tls.ClientSessionState
	first *tls.ClientSessionState
}

func (j *jar) Get(string) (*tls.ClientSessionState, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.singleUse {
		return j.first, j.first != nil
	}
	s := j.state
	j.state = nil
	return s, s != nil
}

func (j *jar) Put(_ string, s *tls.ClientSessionState) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if s == nil {
		return
	}
	j.state = s
	if j.first == nil {
		j.first = s
	}
}

// forgetful takes tickets and never uses them.
type forgetful struct{}

func (forgetful) Get(string) (*tls.ClientSessionState, bool) { return nil, false }
func (forgetful) Put(string, *tls.ClientSessionState)        {}

// withJar is srv's client configuration for one version, with a cache of its own.
func withJar(srv *ftptest.Server, version uint16, singleUse bool) *tls.Config {
	c := srv.ClientTLS.Clone()
	c.MinVersion, c.MaxVersion, c.ClientSessionCache = version, version, &jar{singleUse: singleUse}
	return c
}

func startTLS(t *testing.T, configure func(*gateway.Config)) *ftptest.Server {
	t.Helper()
	return ftptest.Start(t, ftptest.Options{TLS: true, Users: map[string]string{"joe": "secret", "kim": "secret"}, Configure: configure})
}

var versions = []uint16{tls.VersionTLS12, tls.VersionTLS13}

// What FileZilla and WinSCP do: every data connection resumes the session of the
// control connection. Clients that use a TLS 1.3 ticket once have to do a full
// handshake where an upload came between, because an upload brings no new ticket.
func TestStorStorRetrList(t *testing.T) {
	for _, c := range []struct {
		version   uint16
		singleUse bool
		mode      dataconn.Resumption
		want      string // which data connections resume
	}{
		{tls.VersionTLS12, false, dataconn.ResumeOffered, "STOR STOR RETR LIST"},
		{tls.VersionTLS12, true, dataconn.ResumeOffered, "STOR STOR RETR LIST"},
		{tls.VersionTLS13, false, dataconn.ResumeOffered, "STOR STOR RETR LIST"},
		{tls.VersionTLS13, true, dataconn.ResumeOffered, "STOR LIST"},
		{tls.VersionTLS12, false, dataconn.ResumeRequired, "STOR STOR RETR LIST"},
		{tls.VersionTLS12, true, dataconn.ResumeRequired, "STOR STOR RETR LIST"},
		{tls.VersionTLS12, false, dataconn.ResumeOff, ""},
		{tls.VersionTLS13, true, dataconn.ResumeOff, ""},
	} {
		t.Run(fmt.Sprintf("%s singleUse=%v mode=%d", tls.VersionName(c.version), c.singleUse, c.mode), func(t *testing.T) {
			srv := startTLS(t, func(cfg *gateway.Config) { cfg.TLS.Resumption = c.mode })
			cl := dialSecure(t, srv, withJar(srv, c.version, c.singleUse))
			var resumed []string
			note := func(verb string, got bool) {
				if got {
					resumed = append(resumed, verb)
				}
			}
			body := []byte(strings.Repeat("0123456789", 100_000))
			_, r := cl.transfer("STOR a", body)
			note("STOR", r)
			_, r = cl.transfer("STOR b", body[:1])
			note("STOR", r)
			got, r := cl.transfer("RETR a", nil)
			note("RETR", r)
			if got != string(body) {
				t.Errorf("got %d bytes back", len(got))
			}
			got, r = cl.transfer("LIST", nil)
			note("LIST", r)
			if strings.Count(got, "\r\n") != 2 {
				t.Errorf("the listing is %q", got)
			}
			if s := strings.Join(resumed, " "); s != c.want {
				t.Errorf("resumed %q, want %q", s, c.want)
			}
		})
	}
}

// The ticket of one session opens nothing of another, in either version and in
// each direction of data.
func TestTicketsOfOtherSessions(t *testing.T) {
	for _, version := range versions {
		for _, line := range []string{"STOR f", "LIST"} {
			t.Run(tls.VersionName(version)+" "+line, func(t *testing.T) {
				srv := startTLS(t, nil)
				victim := dialSecure(t, srv, withJar(srv, version, false))
				thief := dialSecure(t, srv, withJar(srv, version, false))
				var body []byte
				if line != "LIST" {
					body = []byte("x")
				}
				// Each resumes with its own.
				for _, cl := range []*tlsClient{victim, thief} {
					if _, resumed := cl.transfer(line, body); !resumed {
						t.Fatal("a session's own ticket does not resume")
					}
				}
				// And not with the other's.
				victim.config, thief.config = thief.config, victim.config
				for _, cl := range []*tlsClient{victim, thief} {
					if _, resumed := cl.transfer(line, body); resumed {
						t.Error("another session's ticket resumes")
					}
				}
			})
		}
	}
}

// Who gets at the passive port first, with a session of its own, gets nothing and
// leaves nothing where resumption is required.
func TestStolenDataConnection(t *testing.T) {
	srv := startTLS(t, func(cfg *gateway.Config) { cfg.TLS.Resumption = dataconn.ResumeRequired })
	victim := dialSecure(t, srv, withJar(srv, tls.VersionTLS12, false))
	thief := dialSecure(t, srv, withJar(srv, tls.VersionTLS12, false))
	victim.transfer("STOR secret", []byte("hello"))
	for _, line := range []string{"RETR secret", "STOR secret"} {
		raw := victim.dialData() // as the thief would
		victim.do("150", line)
		stolen := tls.Client(raw, thief.config)
		if err := stolen.Handshake(); err == nil {
			if strings.HasPrefix(line, "STOR") {
				_, _ = stolen.Write([]byte("evil"))
			} else if all, _ := io.ReadAll(stolen); len(all) > 0 {
				t.Errorf("the thief gets %q", all)
			}
		}
		stolen.Close()
		victim.expect("522")
	}
	// A client that can't resume at all is refused the same way.
	none := srv.ClientTLS.Clone()
	none.ClientSessionCache = nil
	cl := dialSecure(t, srv, none)
	raw := cl.dialData()
	cl.do("150", "LIST")
	_ = tls.Client(raw, none).Handshake()
	cl.expect("522")
	if got, _ := victim.transfer("RETR secret", nil); got != "hello" {
		t.Errorf("the file is %q now", got)
	}
	// TLS 1.3 alone can't keep the promise, and is refused at AUTH.
	cl = dialClear(t, srv, withJar(srv, tls.VersionTLS13, false))
	cl.do("234", "AUTH TLS")
	if err := tls.Client(cl.conn, cl.config).Handshake(); err == nil {
		t.Error("TLS 1.3 is taken where resumption is required")
	}
}

// Implicit TLS: the greeting comes behind the handshake, and data is protected
// without PROT.
func TestImplicitTLS(t *testing.T) {
	srv := startTLS(t, func(cfg *gateway.Config) { cfg.TLS.RequireData = true })
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.ServeTLS(l) }()
	t.Cleanup(func() {
		srv.Close()
		if err := <-served; !errors.Is(err, gateway.ErrServerClosed) {
			t.Error(err)
		}
	})
	for _, version := range versions {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		cl := &tlsClient{t: t, conn: conn, config: withJar(srv, version, false)}
		cl.handshake()
		cl.expect("220")
		cl.do("503", "AUTH TLS")
		cl.do("331", "USER joe")
		cl.do("230", "PASS secret")
		cl.do("200", "TYPE I")
		if _, resumed := cl.transfer("STOR f", []byte("hello")); !resumed {
			t.Error("the data connection does not resume")
		}
		cl.do("534", "PROT C")
		cl.do("200", "PROT P")
		if got, _ := cl.transfer("RETR f", nil); got != "hello" {
			t.Errorf("got %q", got)
		}
	}
	// Who speaks in clear there is not answered at all.
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(conn, "USER joe\r\n"); err != nil {
		t.Fatal(err)
	}
	if got, _ := io.ReadAll(conn); len(got) > 0 && got[0] != 21 { // an alert of TLS
		t.Errorf("a client in clear is told %q", got)
	}
}

// A browser that was made to talk to this server (ALPACA) is stopped by ALPN, or, if
// it has none, at its first line.
func TestHTTPOverTLS(t *testing.T) {
	srv := startTLS(t, nil)
	for _, version := range versions {
		for _, protocols := range [][]string{{"h2", "http/1.1"}, {"http/1.1"}} {
			config := withJar(srv, version, false)
			config.NextProtos = protocols
			cl := dialClear(t, srv, config)
			cl.do("234", "AUTH TLS")
			conn := tls.Client(cl.conn, config)
			if err := conn.Handshake(); err == nil || !strings.Contains(err.Error(), "no application protocol") {
				t.Errorf("%s %q: %v", tls.VersionName(version), protocols, err)
			}
		}
		config := withJar(srv, version, false)
		config.NextProtos = []string{"ftp", "http/1.1"}
		cl := dialClear(t, srv, config)
		cl.do("234", "AUTH TLS")
		if got := cl.handshake().ConnectionState().NegotiatedProtocol; got != "ftp" {
			t.Errorf("negotiated %q", got)
		}
		cl = dialClear(t, srv, withJar(srv, version, false))
		cl.do("234", "AUTH TLS")
		cl.handshake()
		cl.do("500", "GET / HTTP/1.1")
		if line, err := cl.in.ReadString('\n'); err != io.EOF {
			t.Errorf("after an HTTP request: %q, %v", line, err)
		}
	}
}

// Commands that arrive in clear, in the same packet as AUTH or just behind it, are
// never run under TLS.
func TestInjectedBehindAuth(t *testing.T) {
	srv := startTLS(t, nil)
	cl := dialClear(t, srv, srv.ClientTLS)
	cl.do("503", "AUTH TLS\r\nUSER joe\r\nPASS secret")
	if rest, err := cl.in.ReadString('\n'); err != io.EOF && !errors.Is(err, net.ErrClosed) && rest != "" {
		t.Errorf("the session goes on with %q, %v", rest, err)
	}
	// Behind the reply, they break the handshake.
	cl = dialClear(t, srv, srv.ClientTLS)
	cl.do("234", "AUTH TLS")
	if _, err := io.WriteString(cl.conn, "USER joe\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := tls.Client(cl.conn, srv.ClientTLS).Handshake(); err == nil {
		t.Error("the handshake works behind clear text")
	}
}

// packed holds back what is written until flush, so that it goes out as one packet.
type packed struct {
	net.Conn
	hold bool
	held []byte
}

func (p *packed) Write(b []byte) (int, error) {
	if p.hold {
		p.held = append(p.held, b...)
		return len(b), nil
	}
	return p.Conn.Write(b)
}

// No byte behind the close_notify that answers CCC is lost, although it came in the
// same packet.
func TestCCCPacket(t *testing.T) {
	srv := startTLS(t, func(cfg *gateway.Config) { cfg.TLS.AllowCCC = true })
	for _, version := range versions {
		cl := dialClear(t, srv, withJar(srv, version, false))
		cl.do("234", "AUTH TLS")
		raw := &packed{Conn: cl.conn}
		cl.conn = raw
		secured := cl.handshake()
		cl.do("331", "USER joe")
		cl.do("230", "PASS secret")
		cl.do("200", "CCC")
		raw.hold = true
		if err := secured.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if n, err := secured.Read(make([]byte, 1)); err != io.EOF {
			t.Fatalf("instead of close_notify: %d bytes, %v", n, err)
		}
		_ = raw.SetDeadline(time.Now().Add(time.Minute)) // CloseWrite has left one behind
		if _, err := raw.Conn.Write(append(raw.held, "PWD\r\nNOOP\r\n"...)); err != nil {
			t.Fatal(err)
		}
		cl.conn, cl.in = raw.Conn, bufio.NewReader(raw.Conn)
		cl.expect("257")
		cl.expect("200")
		cl.do("503", "PROT P") // there is no TLS any more to negotiate in
	}
}

// person is a certificate by which a client shows who it is, and its authority.
func person(t *testing.T, name string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool
}

// A certificate that is enough logs in at USER; data connections resume all the same,
// and none asks again who the client is.
func TestLoginByCertificate(t *testing.T) {
	cert, pool := person(t, "joe")
	for _, version := range versions {
		for _, mode := range []dataconn.Resumption{dataconn.ResumeOffered, dataconn.ResumeRequired} {
			if mode == dataconn.ResumeRequired && version == tls.VersionTLS13 {
				continue
			}
			asked := 0
			srv := startTLS(t, func(cfg *gateway.Config) {
				cfg.TLS.Config.ClientCAs, cfg.TLS.Config.ClientAuth = pool, tls.VerifyClientCertIfGiven
				cfg.TLS.Resumption = mode
				cfg.TLS.Certificate = func(_ context.Context, a auth.Attempt) (*auth.Principal, error) {
					if len(a.TLS.VerifiedChains) == 0 || a.TLS.PeerCertificates[0].Subject.CommonName != a.User {
						return nil, nil
					}
					if asked++; asked > 2 {
						return nil, auth.ErrDenied
					}
					return &auth.Principal{Name: a.User}, nil
				}
			})
			config := withJar(srv, version, false)
			presented := 0
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				presented++
				return &cert, nil
			}
			cl := dialClear(t, srv, config)
			cl.do("234", "AUTH TLS")
			cl.handshake()
			cl.do("331", "USER kim")
			cl.do("530", "PASS wrong")
			cl.do("232", "USER joe")
			cl.do("202", "PASS never looked at")
			cl.do("200", "PBSZ 0")
			cl.do("200", "PROT P")
			cl.do("200", "TYPE I")
			for _, line := range []string{"STOR f", "STOR g", "RETR f", "LIST"} {
				var body []byte
				if strings.HasPrefix(line, "STOR") {
					body = []byte("hello")
				}
				if _, resumed := cl.transfer(line, body); !resumed {
					t.Errorf("%s %s does not resume", tls.VersionName(version), line)
				}
			}
			if presented != 1 {
				t.Errorf("%s: the certificate was shown %d times", tls.VersionName(version), presented)
			}
			cl.do("331", "USER kim") // ends the login of joe
			cl.do("530", "PWD")
			cl.do("230", "PASS secret")
			cl.do("503", "PASS secret")
			cl.do("232", "USER joe")
			cl.do("530", "USER joe") // denied now, and with it the old login is gone
			cl.do("530", "PWD")
			cl.do("503", "PASS secret")
		}
	}
}

// Where the server asks for certificates, uploads that do a full TLS 1.3 handshake are
// whole, too: here the ticket would come latest, when the client writes already.
func TestUploadWithCertificateOnData(t *testing.T) {
	cert, pool := person(t, "joe")
	srv := startTLS(t, func(cfg *gateway.Config) {
		cfg.TLS.Config.ClientCAs, cfg.TLS.Config.ClientAuth = pool, tls.RequireAndVerifyClientCert
	})
	config := srv.ClientTLS.Clone()
	config.MinVersion, config.ClientSessionCache = tls.VersionTLS13, forgetful{}
	config.Certificates = []tls.Certificate{cert}
	cl := dialSecure(t, srv, config)
	body := []byte(strings.Repeat("x", 1<<20))
	for range 5 {
		if _, resumed := cl.transfer("STOR f", body); resumed {
			t.Error("resumed what was forgotten")
		}
	}
	if got, _ := cl.transfer("RETR f", nil); got != string(body) {
		t.Errorf("%d bytes are back", len(got))
	}
}
