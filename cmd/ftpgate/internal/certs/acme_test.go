package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/acme"

	"github.com/ftpgate/ftpgate/cmd/ftpgate/internal/certs/certtest"
)

func TestDue(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	if got := due(nil, now); got != now {
		t.Errorf("what is missing is due at %v", got)
	}
	c := &tls.Certificate{Leaf: &x509.Certificate{NotBefore: now, NotAfter: now.Add(90 * 24 * time.Hour)}}
	if got := due(c, now); got != now.Add(60*24*time.Hour) {
		t.Errorf("90 days are renewed at %v", got)
	}
}

// What the cache holds is used, unless it is damaged, expired or for another name; the
// account's key is made once.
func TestACMECache(t *testing.T) {
	ca, cache := certtest.NewCA(t, "ca"), t.TempDir()
	dir := filepath.Join(cache, "acme.example")
	var log bytes.Buffer
	open := func(domains ...string) (*Store, *ACME, error) {
		log.Reset()
		s := NewStore()
		a, err := OpenACME(ACMEOptions{Domains: domains, Directory: "https://acme.example/dir", Cache: cache, Log: slog.New(slog.NewTextHandler(&log, nil))}, s)
		return s, a, err
	}
	s, _, err := open("a.example")
	if err != nil || s.First() != nil || log.Len() > 0 {
		t.Fatalf("%v, %v\n%s", err, s.First(), &log)
	}
	account, err := os.ReadFile(filepath.Join(dir, "account.pem"))
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "account.pem"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key of the account: %v, %v", info.Mode(), err)
	}

	good, old, other := ca.Server("a.example"), ca.Issue("b.example", func(c *x509.Certificate) {
		c.DNSNames, c.NotBefore, c.NotAfter = []string{"b.example"}, time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)
	}), ca.Server("x.example")
	certtest.Write(t, dir, "a.example.pem", good.Key, good.Cert)
	certtest.Write(t, dir, "b.example.pem", old.Key, old.Cert)
	certtest.Write(t, dir, "c.example.pem", other.Key, other.Cert)
	certtest.Write(t, dir, "d.example.pem", []byte("rubbish"))
	s, a, err := open("a.example", "b.example", "c.example", "d.example")
	if err != nil {
		t.Fatal(err)
	}
	if got := s.First(); got == nil || got.Subject.CommonName != "a.example" || len(s.all()) != 1 {
		t.Errorf("the store has %v", got)
	}
	for i, c := range a.certs {
		if (c != nil) != (i == 0) {
			t.Errorf("certificate %d: %v", i, c)
		}
	}
	for _, domain := range []string{"b.example", "c.example", "d.example"} {
		if n := strings.Count(log.String(), "domain="+domain+" "); n != 1 {
			t.Errorf("%s is told %d times:\n%s", domain, n, &log)
		}
	}
	if again, _ := os.ReadFile(filepath.Join(dir, "account.pem")); !bytes.Equal(again, account) {
		t.Error("the account has got another key")
	}

	certtest.Write(t, dir, "account.pem", []byte("rubbish"))
	if _, _, err := open("a.example"); err == nil || !strings.Contains(err.Error(), "account.pem has no private key in PEM in it") {
		t.Error(err)
	}
	if _, err := OpenACME(ACMEOptions{Directory: "https://acme.example/dir", Cache: cache, CA: "none.pem"}, NewStore()); err == nil || strings.Contains(err.Error(), "\n") {
		t.Error(err)
	}
}

// The responders answer what an authority asks, and nothing else.
func TestResponders(t *testing.T) {
	r := newResponders()
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	quiet := slog.New(slog.DiscardHandler)
	if err := newResponders().listen(context.Background(), "127.0.0.1:0", busy.Addr().String(), quiet); err == nil || !strings.HasPrefix(err.Error(), "tls_listen: ") {
		t.Errorf("a busy address: %v", err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	free.Close()
	if err := r.listen(context.Background(), addr, "127.0.0.1:0", quiet); err != nil {
		t.Fatal(err)
	}
	defer r.close()
	get := func(method, path string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+addr+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		transport := &http.Transport{}
		defer transport.CloseIdleConnections()
		res, err := (&http.Client{Transport: transport}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(body)
	}
	withdraw := r.serveText("/.well-known/acme-challenge/token", "answer")
	if code, body := get("GET", "/.well-known/acme-challenge/token"); code != 200 || body != "answer" {
		t.Errorf("%d %q", code, body)
	}
	for _, c := range [][2]string{{"POST", "/.well-known/acme-challenge/token"}, {"GET", "/.well-known/acme-challenge/other"}, {"GET", "/"}} {
		if code, _ := get(c[0], c[1]); code != 404 {
			t.Errorf("%s %s: %d", c[0], c[1], code)
		}
	}
	withdraw()
	if code, _ := get("GET", "/.well-known/acme-challenge/token"); code != 404 {
		t.Errorf("withdrawn, but %d", code)
	}

	cert := certtest.NewCA(t, "ca").Server("a.example").TLS(t)
	withdraw = r.serveCertificate("a.example", cert)
	ask := func(name string) error {
		conn, err := tls.Dial("tcp", r.alpn.Addr().String(), &tls.Config{ServerName: name, NextProtos: []string{acme.ALPNProto}, InsecureSkipVerify: true})
		if err != nil {
			return err
		}
		return conn.Close()
	}
	if err := ask("a.example"); err != nil {
		t.Error(err)
	}
	if err := ask("b.example"); err == nil {
		t.Error("an answer for a name nobody asked about")
	}
	withdraw()
	if err := ask("a.example"); err == nil {
		t.Error("withdrawn, but there is an answer")
	}
}
