package serve

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ftpgate/ftpgate/auth"
	"github.com/ftpgate/ftpgate/cmd/ftpgate/internal/certs"
	"github.com/ftpgate/ftpgate/cmd/ftpgate/internal/config"
	"github.com/ftpgate/ftpgate/gateway"
)

// soon is how long before its end the log tells of a certificate.
const soon = 14 * 24 * time.Hour

// certificateFiles are what cfg names.
func certificateFiles(cfg *config.Config) certs.Files {
	t := &cfg.TLS
	f := certs.Files{ClientCA: string(t.ClientCertificates.CA)}
	for _, c := range t.Certificates {
		f.Pairs = append(f.Pairs, certs.Pair{Cert: string(c.Cert), Key: string(c.Key)})
	}
	for _, path := range t.ClientCertificates.CRL {
		f.ClientCRLs = append(f.ClientCRLs, string(path))
	}
	return f
}

// openCertificates reads the certificates of files and makes the self-signed one;
// those of ACME come while serving.
func (r *run) openCertificates(cfg *config.Config) error {
	r.certs = certs.NewStore()
	if err := r.certs.Load(certificateFiles(cfg)); err != nil {
		return err
	}
	if cfg.TLS.SelfSigned {
		cert, err := certs.SelfSigned(selfSignedHosts(cfg), time.Now())
		if err != nil {
			return fmt.Errorf("tls.self_signed: %w", err)
		}
		r.certs.SetIssued(cert)
	}
	if cfg.TLS.ACME.On() {
		a := &cfg.TLS.ACME
		opt := certs.ACMEOptions{Email: string(a.Email), Directory: string(a.Directory), Cache: string(a.Cache), CA: string(a.CA),
			HTTPListen: string(a.HTTPListen), TLSListen: string(a.TLSListen), Log: r.log}
		for _, d := range a.Domains {
			opt.Domains = append(opt.Domains, string(d))
		}
		var err error
		if r.acme, err = certs.OpenACME(opt, r.certs); err != nil {
			return fmt.Errorf("tls.acme: %w", err)
		}
	}
	return nil
}

// selfSignedHosts are the names by which a client on this machine or beside it may
// call it.
func selfSignedHosts(cfg *config.Config) []string {
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	if name, err := os.Hostname(); err == nil {
		hosts = append(hosts, name)
	}
	for _, a := range slices.Concat(cfg.Listen, cfg.TLS.ImplicitListen) {
		if host, _, err := net.SplitHostPort(string(a)); err == nil && host != "" {
			hosts = append(hosts, host)
		}
	}
	slices.Sort(hosts)
	return slices.DeleteFunc(slices.Compact(hosts), func(h string) bool {
		ip := net.ParseIP(h)
		return ip != nil && ip.IsUnspecified()
	})
}

// gatewayTLS is cfg for the gateway.
func (r *run) gatewayTLS(cfg *config.Config, a *accounts) gateway.TLS {
	t := &cfg.TLS
	if !t.On() {
		return gateway.TLS{}
	}
	out := gateway.TLS{
		Config:         r.tlsConfig(cfg),
		RequireControl: t.Required.Control(),
		RequireData:    t.Required.Data(),
		AllowCCC:       t.AllowCCC,
		Resumption:     t.Resumption.Mode(),
	}
	if t.ClientCertificates.Login == "alone" {
		out.Certificate = a.certificate
	}
	return out
}

func (r *run) tlsConfig(cfg *config.Config) *tls.Config {
	return r.certs.Config(cfg.TLS.MinVersion.Number(), cfg.TLS.ClientCertificates.Required)
}

// pollCertificates takes over certificates whose files have changed. Sessions keep
// what they began with.
func (r *run) pollCertificates() {
	changed, err := r.certs.Poll()
	if err != nil {
		r.log.Error("the certificates can't be reloaded, the old ones stay", "err", err)
	}
	if !changed {
		return
	}
	r.gateway.TLS.Config = r.tlsConfig(r.cfg)
	if err := r.server.Reload(r.gateway); err != nil {
		r.log.Error("the certificates can't be reloaded, the old ones stay", "err", err)
		return
	}
	r.log.Info("certificates reloaded")
	r.warnExpiring()
}

func (r *run) warnExpiring() {
	for _, text := range r.certs.Expiring(soon) {
		r.log.Warn(text)
	}
}

// names are the users that a client certificate may log in as.
func names(cert *x509.Certificate, user config.CertificateUser) []string {
	if user == "email" {
		return cert.EmailAddresses
	}
	if cert.Subject.CommonName == "" {
		return nil
	}
	return []string{cert.Subject.CommonName}
}

// shown is the certificate that the client proved to have, or nil.
func shown(a auth.Attempt) *x509.Certificate {
	if a.TLS == nil || len(a.TLS.VerifiedChains) == 0 {
		return nil
	}
	return a.TLS.PeerCertificates[0]
}

// checkCertificate refuses users other than the one that the client's certificate
// names, and where certificates are required, clients without. It knows nothing
// of accounts, so its answers tell nothing about them.
func checkCertificate(c *config.ClientCertificates, a auth.Attempt) error {
	cert := shown(a)
	switch {
	case cert == nil && c.Required:
		return auth.Deny("the client has no certificate")
	case cert == nil || c.User == "any" || slices.Contains(names(cert, c.User), a.User):
		return nil
	}
	return auth.Deny(fmt.Sprintf("the client's certificate is that of %q", cert.Subject))
}

// certified puts the check of certificates before passwords.
type certified struct {
	clients *config.ClientCertificates
	next    auth.Authenticator
}

func withCertificates(c *config.ClientCertificates, next auth.Authenticator) auth.Authenticator {
	if c.CA == "" {
		return next
	}
	return &certified{c, next}
}

func (c *certified) Authenticate(ctx context.Context, a auth.Attempt) (*auth.Principal, error) {
	if err := checkCertificate(c.clients, a); err != nil {
		return nil, err
	}
	return c.next.Authenticate(ctx, a)
}

// Recheck is about accounts alone: a certificate has its own end.
func (c *certified) Recheck(ctx context.Context, p *auth.Principal) error {
	return auth.Recheck(ctx, c.next, p)
}

// certificate is gateway.TLS.Certificate: who has the certificate of a known user
// needs no password. Who has none is asked for one, and so is who names another
// user, to be refused then.
func (a *accounts) certificate(ctx context.Context, try auth.Attempt) (*auth.Principal, error) {
	if shown(try) == nil || checkCertificate(&a.clients, try) != nil {
		return nil, nil
	}
	p, err := auth.Vouch(ctx, a.passwords, try.User)
	if errors.Is(err, auth.ErrUnknownUser) {
		return nil, nil
	}
	return p, err
}

// fingerprint is the SHA-256 of cert as clients show it.
func fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return strings.TrimSuffix(strings.ToUpper(strings.ReplaceAll(fmt.Sprintf("% x:", sum), " ", ":")), ":")
}
