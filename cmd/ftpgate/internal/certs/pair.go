package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"strings"
	"time"
)

// parsePair reads a certificate and its key. Errors name the file that is to blame.
func parsePair(p Pair, cert, key []byte, now time.Time) (tls.Certificate, error) {
	keyPath := p.Key
	if keyPath == "" {
		keyPath, key = p.Cert, cert
	}
	inCert, inKey := blocks(cert), blocks(key)
	switch {
	case inCert.certificates == 0 && inCert.key && p.Key != "" && inKey.certificates > 0:
		return tls.Certificate{}, fmt.Errorf("%s is a key, and %s a certificate; exchange the two", p.Cert, p.Key)
	case inCert.certificates == 0:
		return tls.Certificate{}, notPEM(p.Cert, cert, "certificate", "x509")
	case inKey.encrypted:
		return tls.Certificate{}, fmt.Errorf("%s: the private key has a passphrase; take it off with \"openssl pkey -in %s -out plain.pem\"", keyPath, keyPath)
	case !inKey.key && p.Key == "":
		return tls.Certificate{}, fmt.Errorf("%s has no private key in it; name the file of the key with --tls-key (tls.certificates.key)", p.Cert)
	case !inKey.key:
		return tls.Certificate{}, notPEM(p.Key, key, "private key", "pkey")
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		text := strings.TrimPrefix(err.Error(), "tls: ")
		if strings.Contains(text, "does not match") {
			return pair, fmt.Errorf("%s: the private key is not that of the first certificate in %s", keyPath, p.Cert)
		}
		return pair, fmt.Errorf("%s and %s: %s", p.Cert, keyPath, text)
	}
	switch leaf := pair.Leaf; {
	case now.After(leaf.NotAfter):
		return pair, fmt.Errorf("%s: the certificate expired on %s; renew it", p.Cert, moment(leaf.NotAfter))
	case now.Before(leaf.NotBefore):
		return pair, fmt.Errorf("%s: the certificate is not valid before %s; is the clock right?", p.Cert, moment(leaf.NotBefore))
	}
	return pair, nil
}

func notPEM(path string, data []byte, what, tool string) error {
	switch {
	case len(data) == 0:
		return fmt.Errorf("%s is empty", path)
	case data[0] == 0x30 && !looksLikePEM(data): // an ASN.1 sequence
		return fmt.Errorf("%s is in DER; make PEM of it with \"openssl %s -inform der -in %s -out plain.pem\"", path, tool, path)
	}
	return fmt.Errorf("%s has no %s in PEM in it", path, what)
}

// found is what a PEM file holds.
type found struct {
	certificates   int
	key, encrypted bool
}

func blocks(data []byte) found {
	var f found
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		switch {
		case block.Type == "CERTIFICATE":
			f.certificates++
		case block.Type == "ENCRYPTED PRIVATE KEY", strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
			f.encrypted = true
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			f.key = true
		}
	}
	return f
}

// SelfSigned makes a certificate for the hosts, names or addresses, that nobody
// trusts. Its key is never written anywhere.
func SelfSigned(hosts []string, now time.Time) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return tls.Certificate{}, err
	}
	if len(hosts) == 0 {
		return tls.Certificate{}, errors.New("a certificate needs a host")
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "ftpgate self-signed"},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.AddDate(1, 0, 0),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}
