package certs

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/crypto/acme"
)

// ACMEOptions say which certificates to get, and from whom.
type ACMEOptions struct {
	Domains   []string // each gets a certificate of its own
	Email     string   // may be empty
	Directory string   // URL
	// Cache is the directory that keeps keys and certificates; empty: one of the
	// user's. It is made if there is none.
	Cache string
	// CA is a file with the authorities of the directory's own certificate; empty: those
	// of this machine.
	CA string
	// HTTPListen and TLSListen are where to answer http-01 and tls-alpn-01; empty: not.
	HTTPListen, TLSListen string
	Log                   *slog.Logger
}

// ACME gets certificates from an authority (RFC 8555), keeps them on disk, puts
// them into a Store, and renews them after two thirds of their life.
type ACME struct {
	opt        ACMEOptions
	dir        string // of the cache, for this authority
	store      *Store
	client     *acme.Client
	responders *responders
	certs      []*tls.Certificate // as Domains; nil: none yet

	cancel context.CancelFunc
	done   chan struct{}
}

// OpenACME reads what is in the cache, and puts it into store. It asks nobody
// anything.
func OpenACME(opt ACMEOptions, store *Store) (*ACME, error) {
	a := &ACME{opt: opt, store: store, responders: newResponders(), certs: make([]*tls.Certificate, len(opt.Domains))}
	directory, err := url.Parse(opt.Directory)
	if err != nil {
		return nil, fmt.Errorf("directory: %w", err)
	}
	cache := opt.Cache
	if cache == "" {
		config, err := os.UserConfigDir()
		if err != nil {
			return nil, errors.New("cache: there is no place to keep certificates; name a directory")
		}
		cache = filepath.Join(config, "ftpgate", "acme")
	}
	// Certificates of an authority for tests are not taken for those of another.
	a.dir = filepath.Join(cache, directory.Hostname())
	if err := os.MkdirAll(a.dir, 0o700); err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	key, err := a.accountKey()
	if err != nil {
		return nil, err
	}
	client := http.DefaultTransport.(*http.Transport).Clone()
	if opt.CA != "" {
		data, err := readFile(opt.CA)
		if err != nil {
			return nil, fmt.Errorf("ca: %w", err)
		}
		roots, err := parseAuthorities(opt.CA, data)
		if err != nil {
			return nil, fmt.Errorf("ca: %w", err)
		}
		client.TLSClientConfig = &tls.Config{RootCAs: roots.pool}
	}
	a.client = &acme.Client{Key: key, DirectoryURL: opt.Directory, UserAgent: "ftpgate", HTTPClient: &http.Client{Transport: client}}
	for i, domain := range opt.Domains {
		cert, err := a.cached(domain)
		switch {
		case err == nil:
			a.certs[i] = cert
		case !errors.Is(err, fs.ErrNotExist):
			opt.Log.Warn("a certificate in the cache can't be used, another one will be fetched", "domain", domain, "err", err)
		}
	}
	a.publish()
	return a, nil
}

// publish gives the Store what there is.
func (a *ACME) publish() {
	var have []tls.Certificate
	for _, c := range a.certs {
		if c != nil {
			have = append(have, *c)
		}
	}
	a.store.SetIssued(have...)
}

// Start listens for the authority and begins to get certificates, until Stop or the
// end of ctx.
func (a *ACME) Start(ctx context.Context) error {
	if err := a.responders.listen(ctx, a.opt.HTTPListen, a.opt.TLSListen, a.opt.Log); err != nil {
		return err
	}
	ctx, a.cancel = context.WithCancel(ctx)
	a.done = make(chan struct{})
	go func() {
		defer close(a.done)
		a.keep(ctx)
	}()
	return nil
}

// Stop ends what Start began, and waits for it.
func (a *ACME) Stop() {
	a.cancel()
	<-a.done
	a.responders.close()
	a.client.HTTPClient.CloseIdleConnections()
}

// Waits between two tries that fail. Let's Encrypt takes five failures an hour.
const (
	firstRetry = 5 * time.Minute
	lastRetry  = 6 * time.Hour
)

// keep gets what is missing, and what is due, one after the other.
func (a *ACME) keep(ctx context.Context) {
	next := make([]time.Time, len(a.certs))
	retry := make([]time.Duration, len(a.certs))
	for i, c := range a.certs {
		next[i] = due(c, a.store.now())
	}
	for {
		first := 0
		for i := range next {
			if next[i].Before(next[first]) {
				first = i
			}
		}
		timer := time.NewTimer(next[first].Sub(a.store.now()))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		domain := a.opt.Domains[first]
		cert, err := a.obtain(ctx, domain)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			retry[first] = min(max(2*retry[first], firstRetry), lastRetry)
			next[first] = a.store.now().Add(retry[first])
			a.opt.Log.Error("no certificate by ACME", "domain", domain, "err", err, "retry", retry[first])
			continue
		}
		a.certs[first], retry[first] = cert, 0
		next[first] = due(cert, a.store.now())
		a.publish()
		a.opt.Log.Info("certificate issued", "domain", domain, "expires", moment(cert.Leaf.NotAfter), "renewal", moment(next[first]))
	}
}

// due is when c has to be renewed.
func due(c *tls.Certificate, now time.Time) time.Time {
	if c == nil {
		return now
	}
	life := c.Leaf.NotAfter.Sub(c.Leaf.NotBefore)
	return c.Leaf.NotAfter.Add(-life / 3)
}

// obtain gets a certificate for domain and puts it into the cache.
func (a *ACME) obtain(ctx context.Context, domain string) (*tls.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	account := &acme.Account{}
	if a.opt.Email != "" {
		account.Contact = []string{"mailto:" + a.opt.Email}
	}
	if _, err := a.client.Register(ctx, account, acme.AcceptTOS); err != nil && !errors.Is(err, acme.ErrAccountAlreadyExists) {
		return nil, fmt.Errorf("the account: %w", err)
	}
	order, err := a.client.AuthorizeOrder(ctx, acme.DomainIDs(domain))
	if err != nil {
		return nil, fmt.Errorf("the order: %w", err)
	}
	for _, u := range order.AuthzURLs {
		if err := a.authorize(ctx, u); err != nil {
			return nil, err
		}
	}
	if order, err = a.client.WaitOrder(ctx, order.URI); err != nil {
		return nil, fmt.Errorf("the order: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{domain}}, key)
	if err != nil {
		return nil, err
	}
	chain, _, err := a.client.CreateCertFromOrder(ctx, order, csr, true)
	if err != nil {
		return nil, fmt.Errorf("the certificate: %w", err)
	}
	text, err := pemOf(key, chain)
	if err != nil {
		return nil, err
	}
	cert, err := a.check(domain, text)
	if err != nil {
		return nil, fmt.Errorf("the certificate: %w", err)
	}
	if err := replace(a.file(domain), text); err != nil {
		return nil, fmt.Errorf("the cache: %w", err)
	}
	return cert, nil
}

// authorize proves to the authority that a domain leads here.
func (a *ACME) authorize(ctx context.Context, url string) error {
	z, err := a.client.GetAuthorization(ctx, url)
	if err != nil {
		return fmt.Errorf("the authorization: %w", err)
	}
	if z.Status == acme.StatusValid {
		return nil
	}
	for _, challenge := range z.Challenges {
		withdraw, err := a.answer(challenge, z.Identifier.Value)
		if err != nil {
			return err
		}
		if withdraw == nil {
			continue
		}
		defer withdraw()
		if _, err := a.client.Accept(ctx, challenge); err != nil {
			return fmt.Errorf("the challenge %s: %w", challenge.Type, err)
		}
		if _, err := a.client.WaitAuthorization(ctx, z.URI); err != nil {
			return fmt.Errorf("the challenge %s: %w", challenge.Type, reason(err))
		}
		return nil
	}
	return errors.New("the authority offers no challenge that http_listen or tls_listen can answer")
}

// reason is what the authority found wrong, without its wrapping.
func reason(err error) error {
	var failed *acme.AuthorizationError
	if errors.As(err, &failed) && len(failed.Errors) > 0 {
		return errors.Join(failed.Errors...)
	}
	return err
}

// answer makes ready for a challenge; nil: there is no answer to this kind.
func (a *ACME) answer(c *acme.Challenge, domain string) (withdraw func(), err error) {
	switch {
	case c.Type == "http-01" && a.opt.HTTPListen != "":
		text, err := a.client.HTTP01ChallengeResponse(c.Token)
		if err != nil {
			return nil, err
		}
		return a.responders.serveText(a.client.HTTP01ChallengePath(c.Token), text), nil
	case c.Type == "tls-alpn-01" && a.opt.TLSListen != "":
		cert, err := a.client.TLSALPN01ChallengeCert(c.Token, domain)
		if err != nil {
			return nil, err
		}
		return a.responders.serveCertificate(domain, cert), nil
	}
	return nil, nil
}

func (a *ACME) file(name string) string { return filepath.Join(a.dir, name+".pem") }

// cached reads a certificate that is still valid.
func (a *ACME) cached(domain string) (*tls.Certificate, error) {
	data, err := readFile(a.file(domain))
	if err != nil {
		return nil, err
	}
	return a.check(domain, data)
}

func (a *ACME) check(domain string, data []byte) (*tls.Certificate, error) {
	cert, err := parsePair(Pair{Cert: a.file(domain)}, data, nil, a.store.now())
	if err != nil {
		return nil, err
	}
	return &cert, cert.Leaf.VerifyHostname(domain)
}

// accountKey reads the account's key or makes it.
func (a *ACME) accountKey() (crypto.Signer, error) {
	path := a.file("account")
	data, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		text, err := pemOf(key, nil)
		if err != nil {
			return nil, err
		}
		return key, replace(path, text)
	}
	if err != nil {
		return nil, fmt.Errorf("the account's key: %w", err)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, notPEM(path, data, "private key", "pkey")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	signer, ok := key.(crypto.Signer)
	if err != nil || !ok {
		return nil, fmt.Errorf("%s is damaged; delete it to make a new account (%w)", path, err)
	}
	return signer, nil
}

// pemOf is a key with a chain of certificates.
func pemOf(key crypto.PrivateKey, chain [][]byte) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	out := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	for _, c := range chain {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c})...)
	}
	return out, nil
}

// replace writes a file that only this user can read, whole or not at all.
func replace(path string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // with mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
