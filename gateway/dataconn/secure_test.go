package dataconn

import (
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
	"sync"
	"testing"
	"time"
)

func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ftp.example"},
		DNSNames: []string{"ftp.example"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// tcpPair is a connection: TLS writes more than net.Pipe takes without a reader.
func tcpPair(t *testing.T) (server, client net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp4", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return server, client
}

// tickets counts what a client gets, and offers it to every server.
type tickets struct {
	tls.ClientSessionCache
	mu   sync.Mutex
	puts int
}

func (c *tickets) Put(_ string, s *tls.ClientSessionState) {
	if s != nil {
		c.mu.Lock()
		c.puts++
		c.mu.Unlock()
	}
	c.ClientSessionCache.Put("", s)
}

func (c *tickets) Get(string) (*tls.ClientSessionState, bool) { return c.ClientSessionCache.Get("") }

func newTickets() *tickets { return &tickets{ClientSessionCache: tls.NewLRUClientSessionCache(1)} }

// exchange does a handshake and sends one byte to the client, so that it reads
// what tickets there are.
func exchange(t *testing.T, client *tls.Config, serve func(net.Conn) (net.Conn, error)) (resumed bool, serverErr error) {
	t.Helper()
	a, b := tcpPair(t)
	done := make(chan error, 1)
	go func() {
		defer a.Close()
		conn, err := serve(a)
		if err == nil {
			_, err = conn.Write([]byte("x"))
		}
		done <- err
	}()
	conn := tls.Client(b, client)
	if err := conn.Handshake(); err == nil {
		_, _ = io.ReadFull(conn, make([]byte, 1))
	}
	resumed = conn.ConnectionState().DidResume
	b.Close()
	return resumed, <-done
}

func TestResumption(t *testing.T) {
	cert := certificate(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, sni := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s sni=%v", tls.VersionName(version), sni), func(t *testing.T) {
				base := &tls.Config{Certificates: []tls.Certificate{cert}}
				own, other := NewBinding(base, ResumeOffered), NewBinding(base, ResumeOffered)
				cache := newTickets()
				client := &tls.Config{InsecureSkipVerify: true, ClientSessionCache: cache, MaxVersion: version, MinVersion: version}
				if sni {
					client.ServerName = "ftp.example"
				}
				control := func(b *Binding) func(net.Conn) (net.Conn, error) {
					return func(c net.Conn) (net.Conn, error) { return b.Control(context.Background(), c) }
				}
				data := func(b *Binding, receiving bool) func(net.Conn) (net.Conn, error) {
					return func(c net.Conn) (net.Conn, error) { return b.Data(context.Background(), c, receiving) }
				}
				if resumed, err := exchange(t, client, control(own)); resumed || err != nil || cache.puts != 1 {
					t.Fatalf("control: resumed %v, %v, %d tickets", resumed, err, cache.puts)
				}
				if resumed, err := exchange(t, client, data(own, true)); !resumed || err != nil {
					t.Errorf("upload did not resume: %v", err)
				}
				if version == tls.VersionTLS13 && cache.puts != 1 {
					t.Errorf("%d tickets after an upload, want the one of the control connection", cache.puts)
				}
				if _, err := exchange(t, client, data(other, false)); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// A data connection with the ticket of another session gets no resumption, and
// none at all where that is required.
func TestForeignTicketDoesNotResume(t *testing.T) {
	base := &tls.Config{Certificates: []tls.Certificate{certificate(t)}}
	own, other := NewBinding(base, ResumeRequired), NewBinding(base, ResumeRequired)
	client := &tls.Config{InsecureSkipVerify: true, ClientSessionCache: newTickets()}
	if _, err := exchange(t, client, func(c net.Conn) (net.Conn, error) { return own.Control(context.Background(), c) }); err != nil {
		t.Fatal(err)
	}
	for range 3 { // TLS 1.2 tickets serve again and again
		if _, err := exchange(t, client, func(c net.Conn) (net.Conn, error) { return own.Data(context.Background(), c, true) }); err != nil {
			t.Errorf("own data connection: %v", err)
		}
	}
	if resumed, err := exchange(t, client, func(c net.Conn) (net.Conn, error) { return other.Data(context.Background(), c, true) }); resumed || !errors.Is(err, ErrNotResumed) {
		t.Errorf("foreign data connection: resumed %v, %v", resumed, err)
	}
}

// A full handshake of an upload issues no TLS 1.3 ticket either.
func TestFullHandshakeOfUploadIssuesNoTicket(t *testing.T) {
	b := NewBinding(&tls.Config{Certificates: []tls.Certificate{certificate(t)}}, ResumeOffered)
	for _, receiving := range []bool{true, false} {
		cache := newTickets()
		client := &tls.Config{InsecureSkipVerify: true, ClientSessionCache: cache, MinVersion: tls.VersionTLS13}
		if _, err := exchange(t, client, func(c net.Conn) (net.Conn, error) { return b.Data(context.Background(), c, receiving) }); err != nil {
			t.Fatal(err)
		}
		if got, want := cache.puts > 0, !receiving; got != want {
			t.Errorf("receiving %v: tickets %v", receiving, got)
		}
	}
}

func TestCleanEnd(t *testing.T) {
	b := NewBinding(&tls.Config{Certificates: []tls.Certificate{certificate(t)}}, ResumeOffered)
	for _, notify := range []bool{true, false} {
		server, client := tcpPair(t)
		go func() {
			c := tls.Client(client, &tls.Config{InsecureSkipVerify: true})
			_, _ = c.Write([]byte("data"))
			if notify {
				_ = c.CloseWrite()
			}
			client.Close()
		}()
		s, err := b.Data(context.Background(), server, true)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(s); string(got) != "data" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		if s.Clean() != notify {
			t.Errorf("close_notify %v: clean %v", notify, s.Clean())
		}
		server.Close()
	}
}
