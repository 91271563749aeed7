package certs

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ftpgate/ftpgate/cmd/ftpgate/internal/certs/certtest"
)

// handshake does one over a connection in memory, and returns what both sides say.
func handshake(t *testing.T, server, client *tls.Config) (state tls.ConnectionState, clientErr, serverErr error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			done <- err
			return
		}
		defer conn.Close()
		s := tls.Server(conn, server)
		if err = s.Handshake(); err == nil {
			_, err = s.Write([]byte("x"))
		}
		done <- err
	}()
	raw, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	c := tls.Client(raw, client)
	if clientErr = c.Handshake(); clientErr == nil {
		state = c.ConnectionState()
		_, clientErr = io.ReadFull(c, make([]byte, 1)) // TLS 1.3: only now the server has judged
	}
	return state, clientErr, <-done
}

func TestChooseByName(t *testing.T) {
	ca, dir := certtest.NewCA(t, "ca"), t.TempDir()
	s := NewStore()
	var f Files
	for name, hosts := range map[string][]string{"1": {"one.example"}, "2": {"two.example", "*.wild.example"}, "3": {"192.0.2.1"}} {
		p := ca.Server(hosts...)
		certtest.Write(t, dir, name+".pem", p.Cert, p.Key) // both in one file
	}
	for _, name := range []string{"1", "2", "3"} {
		f.Pairs = append(f.Pairs, Pair{Cert: filepath.Join(dir, name+".pem")})
	}
	if err := s.Load(f); err != nil {
		t.Fatal(err)
	}
	for ask, want := range map[string]string{
		"one.example": "one.example", "two.example": "two.example", "a.wild.example": "two.example",
		"": "one.example", "other.example": "one.example", "a.b.wild.example": "one.example",
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			state, clientErr, serverErr := handshake(t, s.Config(tls.VersionTLS12, false),
				&tls.Config{ServerName: ask, InsecureSkipVerify: true, MinVersion: version, MaxVersion: version})
			if clientErr != nil || serverErr != nil || state.PeerCertificates[0].Subject.CommonName != want {
				t.Errorf("%q gets %v (%v, %v), want %s", ask, state.PeerCertificates, clientErr, serverErr, want)
			}
		}
	}
	if _, clientErr, _ := handshake(t, s.Config(tls.VersionTLS13, false), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}); clientErr == nil {
		t.Error("TLS 1.2 gets in below the least version")
	}
	if got := s.First().Subject.CommonName; got != "one.example" {
		t.Errorf("the first is %s", got)
	}
}

func TestNoCertificateYet(t *testing.T) {
	s := NewStore()
	if _, _, err := handshake(t, s.Config(tls.VersionTLS12, false), &tls.Config{InsecureSkipVerify: true}); err == nil || !strings.Contains(err.Error(), "there is no certificate yet") {
		t.Error(err)
	}
	if s.First() != nil {
		t.Error("there is a first one")
	}
	self, err := SelfSigned([]string{"localhost", "127.0.0.1"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	config := s.Config(tls.VersionTLS12, false)
	s.SetIssued(self)
	roots := x509.NewCertPool()
	roots.AddCert(self.Leaf)
	for _, name := range []string{"localhost", "127.0.0.1"} {
		if _, clientErr, serverErr := handshake(t, config, &tls.Config{RootCAs: roots, ServerName: name}); clientErr != nil || serverErr != nil {
			t.Errorf("%s: %v, %v", name, clientErr, serverErr)
		}
	}
}

// Each mistake is one line that names the file.
func TestLoadErrors(t *testing.T) {
	ca, dir := certtest.NewCA(t, "the authority"), t.TempDir()
	t.Chdir(dir)
	write := func(name string, parts ...[]byte) { certtest.Write(t, dir, name, parts...) }
	good, other := ca.Server("a.example"), ca.Server("b.example")
	write("cert.pem", good.Cert)
	write("key.pem", good.Key)
	write("other.key", other.Key)
	write("chain.pem", ca.PEM(), good.Cert)
	write("empty.pem")
	write("text.pem", []byte("hello"))
	write("cert.der", good.Leaf.Raw)
	block, _ := pem.Decode(good.Key)
	write("key.der", block.Bytes)
	write("locked.pem", pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")}))
	write("old-locked.pem", pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED"}, Bytes: []byte("x")}))
	expired := ca.Issue("old", func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2020, 3, 1, 12, 30, 0, 0, time.UTC)
	})
	write("expired.pem", expired.Cert, expired.Key)
	future := ca.Issue("new", func(c *x509.Certificate) { c.NotBefore = time.Date(2990, 1, 1, 0, 0, 0, 0, time.UTC) })
	write("future.pem", future.Cert, future.Key)
	write("broken.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}), good.Key)
	write("ca.pem", ca.PEM())
	stranger := certtest.NewCA(t, "a stranger")
	write("stranger.crl", certtest.CRLPEM(stranger.CRL(time.Now().Add(time.Hour))))
	write("stale.crl", ca.CRL(time.Now().Add(-time.Hour)))
	write("forged.crl", certtest.CRLPEM(certtest.NewCA(t, "the authority").CRL(time.Now().Add(time.Hour))))
	if err := os.Mkdir("directory", 0o755); err != nil {
		t.Fatal(err)
	}
	pair := func(cert, key string) Files { return Files{Pairs: []Pair{{cert, key}}} }
	clients := func(ca string, crls ...string) Files { return Files{ClientCA: ca, ClientCRLs: crls} }
	s := NewStore()
	if err := s.Load(pair("cert.pem", "key.pem")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		files Files
		want  string
	}{
		{pair("none.pem", "key.pem"), "certificate: open none.pem: no such file or directory"},
		{pair("cert.pem", "none.pem"), "certificate: open none.pem: no such file or directory"},
		{pair("directory", ""), "certificate: directory is not a file"},
		{pair("cert.pem", ""), "cert.pem has no private key in it; name the file of the key with --tls-key (tls.certificates.key)"},
		{pair("cert.pem", "other.key"), "other.key: the private key is not that of the first certificate in cert.pem"},
		{pair("chain.pem", "key.pem"), "key.pem: the private key is not that of the first certificate in chain.pem"},
		{pair("key.pem", "cert.pem"), "key.pem is a key, and cert.pem a certificate; exchange the two"},
		{pair("key.pem", "key.pem"), "key.pem has no certificate in PEM in it"},
		{pair("cert.pem", "cert.pem"), "cert.pem has no private key in PEM in it"},
		{pair("empty.pem", "key.pem"), "empty.pem is empty"},
		{pair("text.pem", "key.pem"), "text.pem has no certificate in PEM in it"},
		{pair("cert.pem", "text.pem"), "text.pem has no private key in PEM in it"},
		{pair("cert.der", "key.pem"), `cert.der is in DER; make PEM of it with "openssl x509 -inform der -in cert.der -out plain.pem"`},
		{pair("cert.pem", "key.der"), `key.der is in DER; make PEM of it with "openssl pkey -inform der -in key.der -out plain.pem"`},
		{pair("cert.pem", "locked.pem"), `locked.pem: the private key has a passphrase; take it off with "openssl pkey -in locked.pem -out plain.pem"`},
		{pair("cert.pem", "old-locked.pem"), `old-locked.pem: the private key has a passphrase; take it off with "openssl pkey -in old-locked.pem -out plain.pem"`},
		{pair("expired.pem", ""), "expired.pem: the certificate expired on 2020-03-01 12:30 UTC; renew it"},
		{pair("future.pem", ""), "future.pem: the certificate is not valid before 2990-01-01 00:00 UTC; is the clock right?"},
		{clients("none.pem"), "certificate: open none.pem: no such file or directory"},
		{clients("key.pem"), "key.pem has no certificate in PEM in it"},
		{clients("cert.pem"), `cert.pem: certificate 1, "CN=a.example", is not that of an authority`},
		{clients("ca.pem", "cert.pem"), "cert.pem has no list of revoked certificates (-----BEGIN X509 CRL-----) in it"},
		{clients("ca.pem", "stranger.crl"), `stranger.crl: the list of "CN=a stranger" is not signed by an authority of tls.client_certificates.ca`},
		{clients("ca.pem", "forged.crl"), `forged.crl: the list of "CN=the authority" is not signed by an authority of tls.client_certificates.ca`},
	} {
		if err := s.Load(c.files); err == nil || err.Error() != c.want {
			t.Errorf("%v:\n got %v\nwant %s", c.files, err, c.want)
		}
	}
	if err := s.Load(pair("broken.pem", "")); err == nil || !strings.HasPrefix(err.Error(), "broken.pem and broken.pem: ") || strings.Contains(err.Error(), "\n") {
		t.Error(err)
	}
	if err := s.Load(clients("ca.pem", "stale.crl")); err == nil || !strings.HasPrefix(err.Error(), "stale.crl: the list of revoked certificates expired on ") {
		t.Error(err)
	}
	if os.Getuid() != 0 {
		write("secret.pem", good.Key)
		if err := os.Chmod("secret.pem", 0); err != nil {
			t.Fatal(err)
		}
		if err := s.Load(pair("cert.pem", "secret.pem")); err == nil || err.Error() != "certificate: open secret.pem: permission denied" {
			t.Error(err)
		}
	}
	// All of them left what was loaded before.
	if got := s.First().Subject.CommonName; got != "a.example" {
		t.Errorf("now there is %s", got)
	}
}

func TestPoll(t *testing.T) {
	ca, dir := certtest.NewCA(t, "ca"), t.TempDir()
	write := func(name string, parts ...[]byte) string { return certtest.Write(t, dir, name, parts...) }
	first, second := ca.Server("first"), ca.Server("second")
	f := Files{Pairs: []Pair{{write("cert.pem", first.Cert), write("key.pem", first.Key)}}}
	s := NewStore()
	if err := s.Load(f); err != nil {
		t.Fatal(err)
	}
	poll := func(changed bool, wantErr, name string) {
		t.Helper()
		got, err := s.Poll()
		text := ""
		if err != nil {
			text = err.Error()
		}
		if got != changed || !strings.Contains(text, wantErr) || (err != nil) != (wantErr != "") || s.First().Subject.CommonName != name {
			t.Errorf("changed %v, %v, and the certificate is %s; want %v, %q, %s", got, err, s.First().Subject.CommonName, changed, wantErr, name)
		}
	}
	poll(false, "", "first")
	write("cert.pem", second.Cert) // the key is still to come
	poll(false, "", "first")
	write("key.pem", second.Key)
	poll(false, "", "first") // who knows whether that was all
	poll(true, "", "second")
	poll(false, "", "second")

	write("key.pem", first.Key)
	poll(false, "", "second")
	poll(false, "is not that of the first certificate", "second")
	poll(false, "", "second") // told once
	if err := os.Remove(filepath.Join(dir, "key.pem")); err != nil {
		t.Fatal(err)
	}
	poll(false, "", "second")
	poll(false, "no such file", "second")
	poll(false, "", "second")
	write("key.pem", second.Key) // as it was
	poll(false, "", "second")
	poll(false, "", "second")
	write("cert.pem", first.Cert)
	write("key.pem", first.Key)
	poll(false, "", "second")
	poll(true, "", "first")
}

func TestExpiring(t *testing.T) {
	ca, dir := certtest.NewCA(t, "ca"), t.TempDir()
	p := ca.Issue("soon", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(3 * 24 * time.Hour) })
	path := certtest.Write(t, dir, "soon.pem", p.Cert, p.Key)
	s := NewStore()
	if err := s.Load(Files{Pairs: []Pair{{Cert: path}}}); err != nil {
		t.Fatal(err)
	}
	if got := s.Expiring(24 * time.Hour); got != nil {
		t.Errorf("%q", got)
	}
	if got := s.Expiring(7 * 24 * time.Hour); len(got) != 1 || !strings.HasPrefix(got[0], path+": the certificate expires on ") {
		t.Errorf("%q", got)
	}
}

func TestClientCertificates(t *testing.T) {
	ca, stranger, dir := certtest.NewCA(t, "ca"), certtest.NewCA(t, "stranger"), t.TempDir()
	middle := ca.Below("middle")
	server := ca.Server("localhost")
	good, revoked, below, foreign := ca.Client("good"), ca.Client("revoked"), middle.Client("below"), stranger.Client("foreign")
	wrongUse := ca.Server("server-only")
	expired := ca.Issue("expired", func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		c.NotAfter = time.Now().Add(-time.Minute)
	})
	below.Cert = append(below.Cert, middle.PEM()...)
	write := func(name string, parts ...[]byte) string { return certtest.Write(t, dir, name, parts...) }
	both := write("server.pem", server.Cert, server.Key)
	later := time.Now().Add(time.Hour)
	files := func(crls ...string) Files {
		return Files{Pairs: []Pair{{Cert: both}}, ClientCA: write("ca.pem", ca.PEM()), ClientCRLs: crls}
	}
	withMiddle := files()
	withMiddle.ClientCA = write("two.pem", ca.PEM(), middle.PEM())
	withMiddle.ClientCRLs = []string{write("ca.crl", certtest.CRLPEM(ca.CRL(later, middle.Cert))), write("middle.crl", middle.CRL(later))}
	for _, c := range []struct {
		name     string
		files    Files
		required bool
		client   *certtest.Pair
		want     string // of the server's error
	}{
		{"optional, none", files(), false, nil, ""},
		{"required, none", files(), true, nil, "didn't provide a certificate"},
		{"good", files(), true, &good, ""},
		{"by an intermediate authority", files(), true, &below, ""},
		{"of a stranger", files(), false, &foreign, "unknown authority"},
		{"expired", files(), false, &expired, "expired"},
		{"not for clients", files(), false, &wrongUse, "incompatible key usage"},
		{"revoked, but there is no list", files(), true, &revoked, ""},
		{"good by the list", files(write("r.pem", certtest.CRLPEM(ca.CRL(later, revoked.Leaf)))), true, &good, ""},
		{"revoked", files(write("r.pem", certtest.CRLPEM(ca.CRL(later, revoked.Leaf)))), true, &revoked, `"CN=revoked", serial`},
		{"revoked, DER", files(write("revoked.der", ca.CRL(later, revoked.Leaf))), true, &revoked, "is revoked"},
		{"no list of the issuer", files(write("r.der", ca.CRL(later))), true, &below, `there is no list of revoked certificates of "CN=middle"`},
		{"no certificate and a list", files(write("r.der", ca.CRL(later))), false, nil, ""},
		// The middle is an authority by itself here, so its chain needs no other.
		{"trusted in itself", withMiddle, true, &below, ""},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			s := NewStore()
			if err := s.Load(c.files); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			client := &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost", MaxVersion: version}
			if c.client != nil {
				// Also where the server says that it does not know its authority.
				cert := c.client.TLS(t)
				client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
			}
			_, clientErr, serverErr := handshake(t, s.Config(tls.VersionTLS12, c.required), client)
			if c.want == "" && (clientErr != nil || serverErr != nil) || c.want != "" && (clientErr == nil || serverErr == nil || !strings.Contains(serverErr.Error(), c.want)) {
				t.Errorf("%s, %s: client %v, server %v; want %q", c.name, tls.VersionName(version), clientErr, serverErr, c.want)
			}
		}
	}
}

// An authority below another that was revoked takes its certificates along, and a
// list that has run out while serving lets nobody in.
func TestRevokedAuthority(t *testing.T) {
	ca, dir := certtest.NewCA(t, "ca"), t.TempDir()
	middle := ca.Below("middle")
	leaf := middle.Client("leaf")
	later := time.Now().Add(time.Hour)
	s := NewStore()
	if err := s.Load(Files{ClientCA: certtest.Write(t, dir, "ca.pem", ca.PEM(), middle.PEM()), ClientCRLs: []string{
		certtest.Write(t, dir, "ca.crl", ca.CRL(later, middle.Cert)), certtest.Write(t, dir, "middle.crl", middle.CRL(later))}}); err != nil {
		t.Fatal(err)
	}
	clients := s.read.Load().clients
	long := []*x509.Certificate{leaf.Leaf, middle.Cert, ca.Cert}
	short := long[:2]
	check := func(now time.Time, want string, chains ...[]*x509.Certificate) {
		t.Helper()
		err := clients.check(chains, now)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	check(time.Now(), "CN=middle", long)
	check(time.Now(), "", long, short) // one good chain is enough
	check(time.Now(), "was not verified")
	check(later.Add(time.Second), "middle.crl: the list of revoked certificates expired on", short)
}
