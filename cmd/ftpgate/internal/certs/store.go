// Package certs has the certificates of "ftpgate serve": the server's own, from
// files that may change at any time, from an ACME authority or made for trying
// out, and what is needed to check those that clients show.
package certs

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync/atomic"
	"time"
)

// Files name what a Store reads, all of it PEM.
type Files struct {
	Pairs []Pair
	// ClientCA has the authorities of client certificates; empty: clients are not
	// asked for one.
	ClientCA string
	// ClientCRLs have the lists of revoked client certificates, in PEM or DER.
	ClientCRLs []string
}

// Pair is a certificate with its chain, and the key, which may be in the same file.
type Pair struct{ Cert, Key string }

func (f Files) paths() []string {
	var all []string
	for _, p := range f.Pairs {
		all = append(all, p.Cert)
		if p.Key != "" {
			all = append(all, p.Key)
		}
	}
	if f.ClientCA != "" {
		all = append(all, f.ClientCA)
	}
	return append(all, f.ClientCRLs...)
}

// Store holds certificates. Handshakes use what was loaded last; they and SetIssued
// may run beside Load and Poll, which must not run beside each other.
type Store struct {
	read   atomic.Pointer[loaded]
	issued atomic.Pointer[[]tls.Certificate] // by ACME, or self-signed
	now    func() time.Time

	seen   [sha256.Size]byte // at the last Poll
	failed [sha256.Size]byte // what could not be loaded, and was told
}

// loaded is what the files held.
type loaded struct {
	files   Files
	digest  [sha256.Size]byte
	pairs   []tls.Certificate
	clients *authorities
}

// NewStore returns an empty Store.
func NewStore() *Store {
	s := &Store{now: time.Now}
	s.read.Store(&loaded{})
	s.issued.Store(&[]tls.Certificate{})
	return s
}

// Load reads the files. An error names the file, and leaves everything as it was.
func (s *Store) Load(f Files) error {
	c := readAll(f)
	l, err := c.load(f, s.now())
	if err != nil {
		return err
	}
	s.read.Store(l)
	s.seen, s.failed = c.digest, [sha256.Size]byte{}
	return nil
}

// Poll looks whether the files have changed, and loads them if so. It waits until
// two calls have seen the same, because certificate and key are not written at
// once. An error is told once, and leaves everything as it was.
func (s *Store) Poll() (changed bool, err error) {
	old := s.read.Load()
	c := readAll(old.files)
	settled := c.digest == s.seen
	s.seen = c.digest
	if !settled || c.digest == old.digest || c.digest == s.failed {
		return false, nil
	}
	l, err := c.load(old.files, s.now())
	if err != nil {
		s.failed = c.digest
		return false, err
	}
	s.failed = [sha256.Size]byte{}
	s.read.Store(l)
	return true, nil
}

// SetIssued puts certificates beside those of the files.
func (s *Store) SetIssued(certs ...tls.Certificate) { s.issued.Store(&certs) }

// Config is for servers. It always serves the certificates that the Store has at the
// moment; the authorities of clients are those of now. min is the least version of TLS, and required
// refuses clients that show no certificate.
func (s *Store) Config(min uint16, required bool) *tls.Config {
	c := &tls.Config{MinVersion: min, GetCertificate: s.choose}
	if clients := s.read.Load().clients; clients != nil {
		c.ClientCAs, c.ClientAuth = clients.pool, tls.VerifyClientCertIfGiven
		if required {
			c.ClientAuth = tls.RequireAndVerifyClientCert
		}
		c.VerifyConnection = s.verify
	}
	return c
}

func (s *Store) all() []tls.Certificate {
	return slices.Concat(s.read.Load().pairs, *s.issued.Load())
}

// choose is tls.Config.GetCertificate: the first certificate for the name that the
// client asks for and that it can use, else the first that it can use.
func (s *Store) choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	all := s.all()
	if len(all) == 0 {
		return nil, errors.New("there is no certificate yet")
	}
	unnamed := *hello
	unnamed.ServerName = ""
	for _, h := range []*tls.ClientHelloInfo{hello, &unnamed} {
		for i := range all {
			if h.SupportsCertificate(&all[i]) == nil {
				return &all[i], nil
			}
		}
	}
	return &all[0], nil
}

func (s *Store) verify(state tls.ConnectionState) error {
	clients := s.read.Load().clients
	if clients == nil || len(state.PeerCertificates) == 0 {
		return nil
	}
	return clients.check(state.VerifiedChains, s.now())
}

// First is the certificate that clients get who ask for no name; nil: none yet.
func (s *Store) First() *x509.Certificate {
	if all := s.all(); len(all) > 0 {
		return all[0].Leaf
	}
	return nil
}

// Expiring lists the certificates of files that end within d, as text.
func (s *Store) Expiring(d time.Duration) []string {
	var out []string
	l := s.read.Load()
	for i, c := range l.pairs {
		if c.Leaf.NotAfter.Before(s.now().Add(d)) {
			out = append(out, fmt.Sprintf("%s: the certificate expires on %s", l.files.Pairs[i].Cert, moment(c.Leaf.NotAfter)))
		}
	}
	return out
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }

// contents are files as they were read, by path.
type contents struct {
	data   map[string][]byte
	errs   map[string]error
	digest [sha256.Size]byte
}

func readAll(f Files) *contents {
	c := &contents{data: map[string][]byte{}, errs: map[string]error{}}
	sum := sha256.New()
	for _, path := range f.paths() {
		data, err := readFile(path)
		if err != nil {
			c.errs[path] = err
			data = []byte(err.Error())
		}
		c.data[path] = data
		fmt.Fprintf(sum, "%q %d %v\n", path, len(data), err != nil)
		sum.Write(data)
	}
	sum.Sum(c.digest[:0])
	return c
}

// maxSize bounds a file, in bytes: a mistaken path may name anything.
const maxSize = 16 << 20

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", path)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err == nil && len(data) > maxSize {
		err = fmt.Errorf("%s has more than %d MiB; is it a certificate at all?", path, maxSize>>20)
	}
	return data, err
}

func (c *contents) load(f Files, now time.Time) (*loaded, error) {
	l := &loaded{files: f, digest: c.digest}
	for _, path := range f.paths() {
		if err := c.errs[path]; err != nil {
			return nil, fmt.Errorf("certificate: %w", err)
		}
	}
	for _, p := range f.Pairs {
		cert, err := parsePair(p, c.data[p.Cert], c.data[p.Key], now)
		if err != nil {
			return nil, err
		}
		l.pairs = append(l.pairs, cert)
	}
	if f.ClientCA == "" {
		return l, nil
	}
	clients, err := parseAuthorities(f.ClientCA, c.data[f.ClientCA])
	if err != nil {
		return nil, err
	}
	for _, path := range f.ClientCRLs {
		if err := clients.addLists(path, c.data[path], now); err != nil {
			return nil, err
		}
	}
	l.clients = clients
	return l, nil
}

// looksLikePEM tells PEM from DER and from what is neither.
func looksLikePEM(data []byte) bool { return bytes.Contains(data, []byte("-----BEGIN ")) }
