package config

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/ftpgate/ftpgate/gateway/dataconn"
)

// TLSRequired says what is refused without TLS.
type TLSRequired string

const requireAll = "all"

// UnmarshalText reads off, control, data or all.
func (r *TLSRequired) UnmarshalText(text []byte) error {
	return oneOf(r, text, off, "control", "data", requireAll)
}

// Control reports whether logins need TLS.
func (r TLSRequired) Control() bool { return r == "control" || r == requireAll }

// Data reports whether transfers need TLS.
func (r TLSRequired) Data() bool { return r == "data" || r == requireAll }

// TLSVersion is a version of TLS.
type TLSVersion string

// UnmarshalText reads 1.0, 1.1, 1.2 or 1.3.
func (v *TLSVersion) UnmarshalText(text []byte) error {
	return oneOf(v, text, "1.0", "1.1", "1.2", "1.3")
}

// Number is v for crypto/tls.
func (v TLSVersion) Number() uint16 {
	return map[TLSVersion]uint16{"1.0": tls.VersionTLS10, "1.1": tls.VersionTLS11, "1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}[v]
}

// Resumption is off, offer or require.
type Resumption string

// UnmarshalText reads off, offer or require.
func (r *Resumption) UnmarshalText(text []byte) error { return oneOf(r, text, off, "offer", "require") }

// Mode is r for the gateway.
func (r Resumption) Mode() dataconn.Resumption {
	switch r {
	case off:
		return dataconn.ResumeOff
	case "require":
		return dataconn.ResumeRequired
	}
	return dataconn.ResumeOffered
}

// CertificateUser says where in a certificate the user's name is.
type CertificateUser string

// UnmarshalText reads common_name, email or any.
func (u *CertificateUser) UnmarshalText(text []byte) error {
	return oneOf(u, text, "common_name", "email", "any")
}

// CertificateLogin says whether a certificate is enough.
type CertificateLogin string

// UnmarshalText reads with_password or alone.
func (l *CertificateLogin) UnmarshalText(text []byte) error {
	return oneOf(l, text, "with_password", "alone")
}

// Listen is an Address, or off.
type Listen string

// UnmarshalText reads HOST:PORT, or off.
func (l *Listen) UnmarshalText(text []byte) error {
	if string(text) == off {
		*l = ""
		return nil
	}
	return (*Address)(l).UnmarshalText(text)
}

// Domain is a host name.
type Domain string

// UnmarshalText checks that text is a name that an authority may certify.
func (d *Domain) UnmarshalText(text []byte) error {
	name := strings.ToLower(string(text))
	switch {
	case strings.HasPrefix(name, "*."):
		return fmt.Errorf("%q: ACME has wildcards only by way of the DNS, which is not supported; name each host", text)
	case net.ParseIP(name) != nil, len(name) > 253, !strings.Contains(name, "."):
		return fmt.Errorf("%q is not a host name such as ftp.example.org", text)
	}
	if !isHostName(name) {
		return fmt.Errorf("%q is not a host name such as ftp.example.org; write names with other letters in their xn-- form", text)
	}
	*d = Domain(name)
	return nil
}

// Email is an address for mail.
type Email string

// UnmarshalText wants one @ between two texts.
func (e *Email) UnmarshalText(text []byte) error {
	user, host, ok := strings.Cut(string(text), "@")
	if !ok || user == "" || host == "" || strings.ContainsAny(string(text), " ,:<>") || strings.Contains(host, "@") {
		return fmt.Errorf("%q is not an address such as admin@example.org", text)
	}
	*e = Email(text)
	return nil
}

// WebURL is an https URL.
type WebURL string

// UnmarshalText wants https.
func (u *WebURL) UnmarshalText(text []byte) error {
	parsed, err := url.Parse(string(text))
	if err != nil || parsed.Scheme != "https" || parsed.Host == "" {
		return fmt.Errorf("%q is not a URL that begins with https://", text)
	}
	*u = WebURL(text)
	return nil
}

// On reports whether TLS is offered.
func (t *TLS) On() bool { return len(t.Certificates) > 0 || t.SelfSigned || t.ACME.On() }

// On reports whether ACME is used.
func (a *ACME) On() bool { return len(a.Domains) > 0 }

func (a *ACME) equal(b ACME) bool {
	same := slices.Equal(a.Domains, b.Domains)
	x := *a
	x.Domains, b.Domains = nil, nil
	return same && x.Email == b.Email && x.Directory == b.Directory && x.Cache == b.Cache &&
		x.HTTPListen == b.HTTPListen && x.TLSListen == b.TLSListen && x.CA == b.CA
}

// Check says which keys contradict each other, wherever they were given.
func (c *Config) Check() error {
	if len(c.Listen)+len(c.TLS.ImplicitListen) == 0 {
		return errors.New("listen: there is no address to listen on; write --listen 127.0.0.1:2121")
	}
	if !c.TLS.On() {
		if key := c.needsTLS(); key != "" {
			return fmt.Errorf("%s: there is no certificate; give --tls-cert and --tls-key, or --tls-self-signed to try it out", key)
		}
	}
	return c.TLS.check()
}

// needsTLS is a key that makes no sense without a certificate, or "".
func (c *Config) needsTLS() string {
	for i := range c.Users {
		if c.Users[i].RequireTLS {
			return fmt.Sprintf("users: %q has require_tls", c.Users[i].Name)
		}
	}
	t := &c.TLS
	switch {
	case t.Required != off:
		return "tls.required"
	case len(t.ImplicitListen) > 0:
		return "tls.implicit_listen"
	case t.Resumption == "require":
		return "tls.resumption"
	case t.AllowCCC:
		return "tls.allow_ccc"
	case t.ClientCertificates.CA != "":
		return "tls.client_certificates"
	}
	return ""
}

func (t *TLS) check() error {
	clients := &t.ClientCertificates
	switch {
	case t.SelfSigned && (len(t.Certificates) > 0 || t.ACME.On()):
		return errors.New("tls.self_signed: there is another certificate; take one of the two away")
	case t.Resumption == "require" && t.MinVersion == "1.3":
		return errors.New("tls.resumption: require works up to TLS 1.2, but tls.min_version is 1.3; change one of the two")
	case t.AllowCCC && t.Required.Control():
		return fmt.Errorf("tls.allow_ccc: tls.required is %s, which keeps TLS on the control connection; write required: data", t.Required)
	case clients.CA == "" && (len(clients.CRL) > 0 || clients.Required || clients.Login == "alone"):
		return errors.New("tls.client_certificates: ca is missing")
	case clients.Required && !t.Required.Control():
		return errors.New("tls.client_certificates.required: clients could do without TLS; write tls.required: all, or control")
	case clients.Login == "alone" && clients.User == "any":
		return errors.New("tls.client_certificates.login: alone needs to know whose the certificate is; write user: common_name, or email")
	case t.ACME.On() && t.ACME.HTTPListen == "" && t.ACME.TLSListen == "":
		return errors.New("tls.acme: http_listen and tls_listen are both off; the authority must reach one of them")
	}
	return nil
}
