package integration

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ftpgate/ftpgate/integration/internal/daemon"
)

// tlsFiles are certificates for a gateway on loopback and for the account of the
// tests, and the authority of both.
type tlsFiles struct {
	ca, server, client string // PEM; server and client with their keys
	pair, person       tls.Certificate
	pool               *x509.CertPool
}

func newTLSFiles(t *testing.T) *tlsFiles {
	t.Helper()
	f := &tlsFiles{pool: x509.NewCertPool()}
	dir := t.TempDir()
	write := func(name string, c tls.Certificate, withKey bool) string {
		var b bytes.Buffer
		for _, der := range c.Certificate {
			pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: der})
		}
		if withKey {
			der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
			if err != nil {
				t.Fatal(err)
			}
			pem.Encode(&b, &pem.Block{Type: "PRIVATE KEY", Bytes: der})
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ca := certificate(t, nil, &x509.Certificate{Subject: pkix.Name{CommonName: "authority of the tests"}, IsCA: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign})
	f.pool.AddCert(ca.Leaf)
	f.pair = certificate(t, &ca, &x509.Certificate{Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	f.person = certificate(t, &ca, &x509.Certificate{Subject: pkix.Name{CommonName: daemon.User}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	f.ca, f.server, f.client = write("ca.pem", ca, false), write("server.pem", f.pair, true), write("client.pem", f.person, true)
	return f
}

// certificate signs a template by an authority, or by itself.
func certificate(t *testing.T, by *tls.Certificate, template *x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, template.BasicConstraintsValid = big.NewInt(time.Now().UnixNano()), true
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	parent, signer := template, any(key)
	if by != nil {
		parent, signer = by.Leaf, by.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// flags are those of "ftpgate serve".
func (f *tlsFiles) flags() []string { return []string{"--tls-cert", f.server, "--tls-required"} }
