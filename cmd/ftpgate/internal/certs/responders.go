package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
)

// responders answer the questions by which an authority finds out whose a domain
// is, and nothing else.
type responders struct {
	mu    sync.Mutex
	texts map[string]string           // http-01, by path
	certs map[string]*tls.Certificate // tls-alpn-01, by domain

	http *http.Server
	alpn net.Listener
	wg   sync.WaitGroup
}

func newResponders() *responders {
	return &responders{texts: map[string]string{}, certs: map[string]*tls.Certificate{}}
}

// serveText answers requests for the path until it is withdrawn.
func (r *responders) serveText(path, text string) (withdraw func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.texts[path] = text
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.texts, path)
	}
}

// serveCertificate shows cert to who asks for the domain, until it is withdrawn.
func (r *responders) serveCertificate(domain string, cert tls.Certificate) (withdraw func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.certs[domain] = &cert
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.certs, domain)
	}
}

// challengeTime bounds a connection of the authority, or of whoever comes instead.
const challengeTime = 10 * time.Second

// listen opens both addresses that are not empty, or none.
func (r *responders) listen(ctx context.Context, httpAddr, tlsAddr string, logger *slog.Logger) error {
	var lc net.ListenConfig
	if httpAddr != "" {
		l, err := lc.Listen(ctx, "tcp", httpAddr)
		if err != nil {
			return fmt.Errorf("http_listen: %w", err)
		}
		r.http = &http.Server{Handler: r, ReadTimeout: challengeTime, WriteTimeout: challengeTime, MaxHeaderBytes: 8 << 10,
			ErrorLog: log.New(io.Discard, "", 0)}
		r.wg.Go(func() {
			if err := r.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				logger.Error("answering ACME over HTTP failed", "err", err)
			}
		})
	}
	if tlsAddr != "" {
		l, err := lc.Listen(ctx, "tcp", tlsAddr)
		if err != nil {
			r.close()
			return fmt.Errorf("tls_listen: %w", err)
		}
		r.alpn = l
		r.wg.Go(func() { r.serveALPN(l, logger) })
	}
	return nil
}

func (r *responders) close() {
	if r.http != nil {
		_ = r.http.Close()
	}
	if r.alpn != nil {
		_ = r.alpn.Close()
	}
	r.wg.Wait()
}

// ServeHTTP answers http-01 (RFC 8555 8.3).
func (r *responders) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	text, ok := r.texts[req.URL.Path]
	r.mu.Unlock()
	if !ok || req.Method != http.MethodGet {
		http.NotFound(w, req)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = io.WriteString(w, text)
}

// serveALPN answers tls-alpn-01 (RFC 8737): the handshake is all there is.
func (r *responders) serveALPN(l net.Listener, logger *slog.Logger) {
	config := &tls.Config{NextProtos: []string{acme.ALPNProto}, MinVersion: tls.VersionTLS12, GetCertificate: r.certificate}
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			logger.Error("answering ACME over TLS failed", "err", err)
			time.Sleep(time.Second) // out of descriptors, most likely
			continue
		}
		r.wg.Go(func() {
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(challengeTime))
			_ = tls.Server(conn, config).Handshake() // a failure is the client's to tell
		})
	}
}

func (r *responders) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.certs[hello.ServerName]; c != nil {
		return c, nil
	}
	return nil, errors.New("no challenge for this name")
}
