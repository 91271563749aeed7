package certs

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// authorities are who may sign the certificates of clients, and what they have
// revoked.
type authorities struct {
	pool  *x509.CertPool
	certs []*x509.Certificate
	lists []revocations
}

// revocations are a list of revoked certificates, its signature checked.
type revocations struct {
	path    string
	issuer  *x509.Certificate
	until   time.Time
	serials map[string]bool
}

func parseAuthorities(path string, data []byte) (*authorities, error) {
	a := &authorities{pool: x509.NewCertPool()}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: certificate %d: %w", path, len(a.certs)+1, err)
		}
		if cert.BasicConstraintsValid && !cert.IsCA {
			return nil, fmt.Errorf("%s: certificate %d, %q, is not that of an authority", path, len(a.certs)+1, cert.Subject)
		}
		a.certs = append(a.certs, cert)
		a.pool.AddCert(cert)
	}
	if len(a.certs) == 0 {
		return nil, notPEM(path, data, "certificate", "x509")
	}
	return a, nil
}

// addLists takes the lists of a file, PEM or DER.
func (a *authorities) addLists(path string, data []byte, now time.Time) error {
	var ders [][]byte
	if !looksLikePEM(data) && len(data) > 0 && data[0] == 0x30 {
		ders = append(ders, data)
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "X509 CRL" {
			ders = append(ders, block.Bytes)
		}
	}
	if len(ders) == 0 {
		return fmt.Errorf("%s has no list of revoked certificates (-----BEGIN X509 CRL-----) in it", path)
	}
	for _, der := range ders {
		crl, err := x509.ParseRevocationList(der)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		issuer := a.issuerOf(crl)
		if issuer == nil {
			return fmt.Errorf("%s: the list of %q is not signed by an authority of tls.client_certificates.ca", path, crl.Issuer)
		}
		l := revocations{path: path, issuer: issuer, until: crl.NextUpdate, serials: make(map[string]bool, len(crl.RevokedCertificateEntries))}
		if err := l.fresh(now); err != nil {
			return err
		}
		for _, e := range crl.RevokedCertificateEntries {
			l.serials[e.SerialNumber.String()] = true
		}
		a.lists = append(a.lists, l)
	}
	return nil
}

func (a *authorities) issuerOf(crl *x509.RevocationList) *x509.Certificate {
	for _, c := range a.certs {
		if bytes.Equal(c.RawSubject, crl.RawIssuer) && crl.CheckSignatureFrom(c) == nil {
			return c
		}
	}
	return nil
}

// fresh is an error for a list that ought to have been replaced: it says nothing
// about what was revoked since.
func (l *revocations) fresh(now time.Time) error {
	if !l.until.IsZero() && now.After(l.until) {
		return fmt.Errorf("%s: the list of revoked certificates expired on %s; fetch the new one", l.path, moment(l.until))
	}
	return nil
}

// check returns nil if one of the chains, each from a client's certificate to an
// authority, has no revoked certificate. With lists at all, there must be one of who
// issued the client's certificate.
func (a *authorities) check(chains [][]*x509.Certificate, now time.Time) error {
	if len(a.lists) == 0 {
		return nil
	}
	err := errors.New("the client's certificate was not verified")
	for _, chain := range chains {
		if err = a.checkChain(chain, now); err == nil {
			return nil
		}
	}
	return err
}

func (a *authorities) checkChain(chain []*x509.Certificate, now time.Time) error {
	if len(chain) == 1 { // an authority by itself
		return nil
	}
	for i, cert := range chain[:len(chain)-1] {
		listed := false
		for _, l := range a.lists {
			if !sameAuthority(l.issuer, chain[i+1]) {
				continue
			}
			listed = true
			if err := l.fresh(now); err != nil {
				return err
			}
			if l.serials[cert.SerialNumber.String()] {
				return fmt.Errorf("the client's certificate %q, serial %v, is revoked", cert.Subject, cert.SerialNumber)
			}
		}
		if i == 0 && !listed {
			return fmt.Errorf("there is no list of revoked certificates of %q", chain[1].Subject)
		}
	}
	return nil
}

// sameAuthority also knows an authority by another certificate for its key.
func sameAuthority(a, b *x509.Certificate) bool {
	return bytes.Equal(a.RawSubject, b.RawSubject) && bytes.Equal(a.RawSubjectPublicKeyInfo, b.RawSubjectPublicKeyInfo)
}
