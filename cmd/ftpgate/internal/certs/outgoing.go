package certs

import (
	"crypto/tls"
	"fmt"
	"time"
)

// Outgoing is for connections to servers of the operator: ca is the file with the
// authorities of their certificates, empty: those of the system, and own is what
// ftpgate shows, if it has a Cert.
func Outgoing(ca string, own Pair) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		data, err := readFile(ca)
		if err != nil {
			return nil, fmt.Errorf("ca: %w", err)
		}
		authorities, err := parseAuthorities(ca, data)
		if err != nil {
			return nil, fmt.Errorf("ca: %w", err)
		}
		c.RootCAs = authorities.pool
	}
	if own.Cert == "" {
		return c, nil
	}
	files := readAll(Files{Pairs: []Pair{own}})
	for _, path := range []string{own.Cert, own.Key} {
		if err := files.errs[path]; err != nil {
			return nil, fmt.Errorf("cert: %w", err)
		}
	}
	if own.Key == "" && !blocks(files.data[own.Cert]).key {
		return nil, fmt.Errorf("cert: %s has no private key in it; name the file of the key", own.Cert)
	}
	pair, err := parsePair(own, files.data[own.Cert], files.data[own.Key], time.Now())
	if err != nil {
		return nil, fmt.Errorf("cert: %w", err)
	}
	c.Certificates = []tls.Certificate{pair}
	return c, nil
}
