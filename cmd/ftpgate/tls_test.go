package main

import (
	"bufio"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ftpgate/ftpgate/cmd/ftpgate/internal/certs/certtest"
)

// pki is a directory with a server's certificate and its authority.
type pki struct {
	*certtest.CA
	dir       string
	cert, key string
}

func newPKI(t *testing.T) *pki {
	t.Helper()
	p := &pki{CA: certtest.NewCA(t, "authority"), dir: t.TempDir()}
	server := p.Server("ftp.example", "127.0.0.1")
	p.cert, p.key = p.write(t, "cert.pem", server.Cert), p.write(t, "key.pem", server.Key)
	p.write(t, "ca.pem", p.PEM())
	return p
}

func (p *pki) write(t *testing.T, name string, parts ...[]byte) string {
	t.Helper()
	return certtest.Write(t, p.dir, name, parts...)
}

// client trusts the authority.
func (p *pki) client() *tls.Config {
	return &tls.Config{RootCAs: p.Pool(), ServerName: "ftp.example", ClientSessionCache: tls.NewLRUClientSessionCache(4)}
}

// auth puts TLS on the control connection.
func (c *client) auth(config *tls.Config) tls.ConnectionState {
	c.t.Helper()
	c.do(234, "AUTH TLS")
	return c.handshake(config)
}

func (c *client) handshake(config *tls.Config) tls.ConnectionState {
	c.t.Helper()
	conn := tls.Client(c.conn, config)
	if err := conn.Handshake(); err != nil {
		c.t.Fatal(err)
	}
	c.conn, c.Reader = conn, textproto.NewReader(bufio.NewReader(conn))
	return conn.ConnectionState()
}

// dialTLS connects to where TLS is implicit.
func dialTLS(t *testing.T, addr string, config *tls.Config) *client {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := &client{t: t, conn: conn}
	c.handshake(config)
	c.expect(220)
	return c
}

func TestTLSRequired(t *testing.T) {
	p := newPKI(t)
	c := start(t, nil, "serve", loopback, "--tls-cert", p.cert, "--tls-key", p.key, "--tls-required", "mem:")
	cl := dial(t, c.addr())
	cl.do(530, "USER anonymous")
	cl.auth(p.client())
	cl.login(230, "anonymous", "x")
	cl.do(229, "EPSV")
	cl.do(522, "NLST")
	cl.do(200, "PBSZ 0")
	cl.do(534, "PROT C")
	cl.do(534, "CCC")
}

func TestTLSOfUser(t *testing.T) {
	p := newPKI(t)
	file := p.write(t, "ftpgate.yaml", []byte("listen: 127.0.0.1:0\nurl: 'mem:'\nusers_files: users\ntls: {certificates: [{cert: cert.pem, key: key.pem}]}\n"+
		"users:\n- {name: bob, password: b, require_tls: true}\n- {name: free, password: f}\n"))
	p.write(t, "users", []byte("carol:"+bcryptHash+":require_tls\n"))
	c := start(t, nil, "serve", "--config", file)
	addr := c.addr()
	dial(t, addr).login(230, "free", "f")
	dial(t, addr).login(530, "bob", "b")
	dial(t, addr).login(530, "carol", "correct horse")
	c.stderr.wait(t, `reason="this user must use TLS"`)
	for user, password := range map[string]string{"bob": "b", "carol": "correct horse", "free": "f"} {
		cl := dial(t, addr)
		cl.auth(p.client())
		cl.login(230, user, password)
		cl.do(229, "EPSV")
		if user != "free" {
			cl.do(522, "NLST")
		}
	}
}

func TestImplicitTLS(t *testing.T) {
	p := newPKI(t)
	c := start(t, nil, "serve", "--listen=off", "--implicit-listen=127.0.0.1:0", "--tls-cert", p.cert, "--tls-key", p.key, "--tls-required", "--write", "mem:")
	message := c.started()
	m := regexp.MustCompile(`Listening on (\S+) \(implicit TLS\), (?s:.*)\n    curl ftps://(\S+)/\n    curl --upload-file FILE ftps://(\S+)/\n`).FindStringSubmatch(message)
	if m == nil || m[1] != m[2] || m[1] != m[3] {
		t.Fatalf("the start message is\n%s", message)
	}
	cl := dialTLS(t, m[1], p.client()).login(230, "anonymous", "x")
	cl.do(503, "AUTH TLS")
	c.signals <- syscall.SIGTERM
	cl.expect(421)
	if status := c.wait(); status != 0 {
		t.Errorf("status %d:\n%s", status, c.stderr)
	}
}

func TestSelfSigned(t *testing.T) {
	c := start(t, nil, "serve", loopback, "--tls-self-signed", "mem:")
	message := c.started()
	m := regexp.MustCompile(`its SHA-256 is\n([0-9A-F:]{95})\.\n(?s:.*)\n    curl --ssl-reqd --insecure ftp://127\.0\.0\.1:\d+/\n`).FindStringSubmatch(message)
	if m == nil {
		t.Fatalf("the start message is\n%s", message)
	}
	cl := dial(t, c.addr())
	leaf := cl.auth(&tls.Config{InsecureSkipVerify: true}).PeerCertificates[0]
	if got := fmt.Sprintf("% X", sha256.Sum256(leaf.Raw)); got != strings.ReplaceAll(m[1], ":", " ") {
		t.Errorf("the certificate is %s, the message tells %s", got, m[1])
	}
	for _, host := range []string{"localhost", "127.0.0.1", "::1"} {
		if err := leaf.VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
}

// The start message names a host that the certificate is for.
func TestStartMessageNamesHost(t *testing.T) {
	p := newPKI(t)
	named := p.Server("*.wild.example", "named.example")
	c := start(t, nil, "serve", loopback, "--tls-cert", p.write(t, "named.pem", named.Cert, named.Key), "mem:")
	c.stdout.wait(t, `\n    curl --ssl-reqd ftp://named\.example:\d+/\n`)
}

func TestTLSWarnings(t *testing.T) {
	p := newPKI(t)
	ending := p.Issue("ending", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(24 * time.Hour) })
	file := p.write(t, "ftpgate.yaml", []byte("listen: ':0'\nurl: 'mem:'\ntls: {certificates: [{cert: ending.pem}], min_version: 1.0, required: control}\n"))
	p.write(t, "ending.pem", ending.Cert, ending.Key)
	c := start(t, nil, "serve", "--config", file)
	c.stderr.wait(t, `level=WARN msg="\S*ending.pem: the certificate expires on `)
	c.stderr.wait(t, `level=WARN msg="versions of TLS below 1.2 are broken`)
	c.stderr.wait(t, `level=WARN msg="clients may do without TLS`)
}

// A mistake with certificates is one line, and nothing listens.
func TestTLSErrors(t *testing.T) {
	p := newPKI(t)
	other := p.Server("other")
	p.write(t, "other.key", other.Key)
	expired := p.Issue("old", func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2020, 3, 1, 0, 0, 0, 0, time.UTC)
	})
	p.write(t, "expired.pem", expired.Cert, expired.Key)
	p.write(t, "clients.yaml", []byte("tls: {certificates: [{cert: cert.pem, key: key.pem}], client_certificates: {ca: key.pem}}"))
	p.write(t, "nopassword.yaml", []byte("users: [{name: bob}]"))
	p.write(t, "acme.yaml", []byte("tls: {acme: {domains: ftp.example.org, cache: cert.pem/x}}"))
	t.Chdir(p.dir)
	usage := `; see "ftpgate serve --help"`
	busy := taken(t)
	for _, c := range []struct {
		args   string
		status int
		want   string
	}{
		{"--tls-cert none.pem --tls-key key.pem", 1, "certificate: open none.pem: no such file or directory"},
		{"--tls-cert cert.pem", 1, "cert.pem has no private key in it; name the file of the key with --tls-key (tls.certificates.key)"},
		{"--tls-cert cert.pem --tls-key other.key", 1, "other.key: the private key is not that of the first certificate in cert.pem"},
		{"--tls-cert key.pem --tls-key cert.pem", 1, "key.pem is a key, and cert.pem a certificate; exchange the two"},
		{"--tls-cert expired.pem", 1, "expired.pem: the certificate expired on 2020-03-01 00:00 UTC; renew it"},
		{"--tls-key key.pem", 2, "--tls-key: there are 1 keys for 0 certificates; give --tls-cert and --tls-key equally often" + usage},
		{"--tls-required", 1, "tls.required: there is no certificate; give --tls-cert and --tls-key, or --tls-self-signed to try it out"},
		{"--implicit-listen 127.0.0.1:0", 1, "tls.implicit_listen: there is no certificate; give --tls-cert and --tls-key, or --tls-self-signed to try it out"},
		{"--tls-self-signed --implicit-listen " + busy, 1, busy + " is in use by another program; stop that, or choose another address with --listen"},
		{"--listen off", 1, "listen: there is no address to listen on; write --listen 127.0.0.1:2121"},
		{"--config clients.yaml", 1, "key.pem has no certificate in PEM in it"},
		{"--config nopassword.yaml", 1, `nopassword.yaml:1:9: users: "bob" has no password; write password or hash, or give it in FTPGATE_USERS`},
		{"--config acme.yaml", 1, "tls.acme: cache: mkdir cert.pem: not a directory"},
	} {
		cmd := start(t, nil, append([]string{"serve", loopback, "mem:"}, strings.Fields(c.args)...)...)
		if status := cmd.wait(); status != c.status || cmd.stderr.String() != "ftpgate: "+c.want+"\n" || cmd.stdout.String() != "" {
			t.Errorf("%s: status %d\n got %swant ftpgate: %s", c.args, status, cmd.stderr, c.want)
		}
	}
}

// shownTo is the name in the certificate that a new client gets.
func shownTo(t *testing.T, addr string, p *pki, serverName string) string {
	t.Helper()
	cl := dial(t, addr)
	config := p.client()
	config.ServerName, config.InsecureSkipVerify = serverName, true
	return cl.auth(config).PeerCertificates[0].Subject.CommonName
}

// New certificates are taken over when their files change, and broken ones are not;
// sessions go on.
func TestCertificatesChange(t *testing.T) {
	p := newPKI(t)
	first, second := p.Server("ftp.example", "127.0.0.1"), p.Server("second.example")
	changing := p.write(t, "changing.pem", first.Cert, first.Key)
	fixed := p.write(t, "fixed.pem", second.Cert, second.Key)
	c := startPolling(t, "serve", loopback, "--write", "--tls-cert", changing, "--tls-cert", fixed, "mem:")
	addr := c.addr()
	if a, b := shownTo(t, addr, p, "ftp.example"), shownTo(t, addr, p, "second.example"); a != "ftp.example" || b != "second.example" {
		t.Errorf("%s and %s", a, b)
	}
	old := dial(t, addr)
	config := p.client()
	old.auth(config)
	old.login(230, "anonymous", "x")

	renewed := p.Issue("renewed", func(c *x509.Certificate) { c.DNSNames = []string{"ftp.example"} })
	p.write(t, "changing.pem", renewed.Cert, renewed.Key)
	c.stderr.wait(t, `level=INFO msg="certificates reloaded"`)
	if got := shownTo(t, addr, p, "ftp.example"); got != "renewed" {
		t.Errorf("new clients see %s", got)
	}
	// The old session resumes its TLS, and it has the certificate that it began with.
	old.do(200, "PBSZ 0")
	old.do(200, "PROT P")
	data := tls.Client(old.data(), config)
	old.do(150, "STOR f")
	if _, err := data.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if state := data.ConnectionState(); !state.DidResume {
		t.Error("the data connection of the old session does not resume")
	}
	data.Close()
	old.expect(226)

	p.write(t, "changing.pem", renewed.Cert, second.Key)
	line := c.stderr.wait(t, `.*can't be reloaded.*`)[0]
	if !strings.Contains(line, "changing.pem: the private key is not that of the first certificate in") {
		t.Error(line)
	}
	if got := shownTo(t, addr, p, "ftp.example"); got != "renewed" {
		t.Errorf("after a broken change clients see %s", got)
	}
	c.signals <- syscall.SIGHUP
	c.stderr.wait(t, `the configuration can't be reloaded, the old one stays.*changing.pem`)
	if got := shownTo(t, addr, p, "ftp.example"); got != "renewed" {
		t.Errorf("after a broken reload clients see %s", got)
	}
	if n := strings.Count(c.stderr.String(), `msg="the certificates can't be reloaded`); n != 1 {
		t.Errorf("the broken change is told %d times", n)
	}

	// SIGHUP takes them over, whoever is first.
	last := p.Server("last.example")
	p.write(t, "changing.pem", last.Cert, last.Key)
	c.signals <- syscall.SIGHUP
	c.stderr.wait(t, `level=INFO msg="configuration reloaded"`)
	if got := shownTo(t, addr, p, "ftp.example"); got != "last.example" {
		t.Errorf("after SIGHUP clients see %s", got)
	}
	old.do(257, "PWD")
}

// What needs a restart can't take the certificates from under implicit clients.
func TestReloadKeepsImplicitTLS(t *testing.T) {
	p := newPKI(t)
	const common = "listen: []\nurl: 'mem:'\n"
	file := p.write(t, "ftpgate.yaml", []byte(common+"tls: {certificates: [{cert: cert.pem, key: key.pem}], implicit_listen: '127.0.0.1:0'}\n"))
	c := start(t, nil, "serve", "--config", file)
	addr := regexp.MustCompile(`Listening on (\S+) \(implicit TLS\)`).FindStringSubmatch(c.started())[1]
	p.write(t, "ftpgate.yaml", []byte("url: 'mem:'\n"))
	c.signals <- syscall.SIGHUP
	c.stderr.wait(t, `can't be reloaded.*clients of tls.implicit_listen need a certificate`)
	dialTLS(t, addr, p.client()).login(230, "anonymous", "x")
}

func TestClientCertificateLogin(t *testing.T) {
	p := newPKI(t)
	alice, mail, revoked, nobody, mallory := p.Client("alice"), p.Client("Bob", "bob@example.org"), p.Client("carol"), p.Client("nobody"), certtest.NewCA(t, "other").Client("alice")
	p.write(t, "revoked.crl", p.CRL(time.Now().Add(time.Hour), revoked.Leaf))
	withCert := func(pair *certtest.Pair) *tls.Config {
		config := p.client()
		if pair != nil {
			cert := pair.TLS(t)
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
		}
		return config
	}
	serve := func(clients string) string {
		file := p.write(t, "ftpgate.yaml", []byte("listen: 127.0.0.1:0\nurl: 'mem:'\nwrite: true\nanonymous: true\n"+
			"tls:\n  required: control\n  certificates: [{cert: cert.pem, key: key.pem}]\n  client_certificates: {ca: ca.pem, "+clients+"}\n"+
			"users:\n- {name: alice, password: a}\n- {name: bob@example.org, password: b}\n- {name: carol, password: c}\n- {name: gone, password: g, disabled: true}\n"))
		c := start(t, nil, "serve", "--config", file)
		return c.addr()
	}
	login := func(addr string, pair *certtest.Pair, user, password string, userCode, passCode int) *client {
		t.Helper()
		cl := dial(t, addr)
		cl.auth(withCert(pair))
		cl.do(userCode, "USER "+user)
		if passCode != 0 {
			cl.do(passCode, "PASS "+password)
		}
		return cl
	}
	t.Run("with password", func(t *testing.T) {
		addr := serve("user: common_name")
		login(addr, &alice, "alice", "a", 331, 230)
		login(addr, &alice, "alice", "wrong", 331, 530)
		login(addr, &alice, "carol", "c", 331, 530) // another's certificate
		login(addr, &alice, "anonymous", "x", 331, 530)
		login(addr, nil, "alice", "a", 331, 230) // not required
	})
	t.Run("any", func(t *testing.T) {
		addr := serve("user: any, required: true")
		login(addr, &alice, "carol", "c", 331, 230)
		login(addr, &nobody, "alice", "a", 331, 230)
		for _, pair := range []*certtest.Pair{nil, &mallory} {
			cl := dial(t, addr)
			cl.do(234, "AUTH TLS")
			conn := tls.Client(cl.conn, withCert(pair))
			if _, err := fmt.Fprintf(conn, "USER alice\r\n"); err == nil {
				_, err = conn.Read(make([]byte, 1))
				if err == nil {
					t.Error("a client without a certificate of the authority gets in")
				}
			}
		}
	})
	t.Run("alone", func(t *testing.T) {
		addr := serve("user: common_name, login: alone, crl: revoked.crl")
		cl := login(addr, &alice, "alice", "whatever", 232, 202)
		cl.do(200, "PBSZ 0")
		cl.do(200, "PROT P")
		cl.do(257, "MKD d")
		login(addr, &alice, "carol", "c", 331, 530)
		login(addr, &nobody, "nobody", "x", 331, 530)
		login(addr, &alice, "anonymous", "x", 331, 530)
		login(addr, nil, "alice", "a", 331, 230)
		gone := p.Client("gone")
		login(addr, &gone, "gone", "g", 530, 503)
		cl = login(addr, &alice, "alice", "", 232, 0)
		cl.do(220, "REIN")
		cl.do(530, "PWD")
		cl.do(232, "USER alice")
		cl.do(331, "USER carol") // logs alice out
		cl.do(530, "PWD")
	})
	t.Run("email", func(t *testing.T) {
		addr := serve("user: email, login: alone")
		login(addr, &mail, "bob@example.org", "", 232, 0)
		login(addr, &mail, "Bob", "b", 331, 530)
		login(addr, &alice, "alice", "a", 331, 530) // has no address
	})
}

// Where a certificate is enough, users need no password, and can't log in with one.
func TestUserWithoutPassword(t *testing.T) {
	p := newPKI(t)
	file := p.write(t, "ftpgate.yaml", []byte("listen: 127.0.0.1:0\nurl: 'mem:'\n"+
		"tls:\n  required: control\n  certificates: [{cert: cert.pem, key: key.pem}]\n  client_certificates: {ca: ca.pem, login: alone}\nusers: [{name: alice}]\n"))
	c := start(t, nil, "serve", "--config", file)
	cl := dial(t, c.addr())
	cl.auth(p.client())
	cl.login(530, "alice", "x")
	cl.do(331, "USER alice")
	cl.do(530, "PASS")
	cert := p.Client("alice").TLS(t)
	cl = dial(t, c.addr())
	config := p.client()
	config.Certificates = []tls.Certificate{cert}
	cl.auth(config)
	cl.do(232, "USER alice")
}

// What the start message says to paste works over TLS, too.
func TestProgramPasteTLS(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Fatal("this test needs curl: ", err)
	}
	p := newPKI(t)
	for _, args := range [][]string{
		{"--listen=127.0.0.1:0", "--tls-self-signed", "--tls-required"},
		{"--listen=off", "--implicit-listen=127.0.0.1:0", "--tls-self-signed"},
		{"--listen=127.0.0.1:0", "--tls-cert", p.cert, "--tls-key", p.key, "--tls-required"},
	} {
		prog := startProgram(t, tree(t, "a.txt"), nil, append([]string{"serve"}, args...)...)
		line := prog.stdout.wait(t, `(?m)^    curl (.*)$`)[1]
		cmd := exec.Command("sh", "-c", curl+" --silent --show-error --max-time 20 --list-only "+line)
		cmd.Env = append(os.Environ(), "CURL_CA_BUNDLE="+filepath.Join(p.dir, "ca.pem"))
		cmd.WaitDelay = 30 * time.Second
		out, err := cmd.CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != "a.txt" {
			t.Errorf("curl %s: %v %s", line, err, out)
		}
	}
}
