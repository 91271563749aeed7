package serve

import (
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ftpgate/ftpgate/auth"
	"github.com/ftpgate/ftpgate/cmd/ftpgate/internal/config"
)

// startMessage tells what is served, to whom and where, with lines to paste into
// another terminal.
func startMessage(w io.Writer, cfg *config.Config, a *accounts, cert *x509.Certificate, ls *listeners) {
	var b strings.Builder
	fmt.Fprintf(&b, "Serving %s%s to %s.\n", what(cfg.URL), mounted(cfg), a.describe())
	var addrs []string
	for _, l := range ls.explicit {
		addrs = append(addrs, l.Addr().String())
	}
	for _, l := range ls.implicit {
		addrs = append(addrs, l.Addr().String()+" (implicit TLS)")
	}
	fmt.Fprintf(&b, "Listening on %s", sentence(addrs))
	if cfg.Data.Passive {
		fmt.Fprintf(&b, ", with passive ports %d-%d", cfg.Data.PassivePorts.From, cfg.Data.PassivePorts.To)
	}
	b.WriteString(".\n")
	if cfg.TLS.SelfSigned {
		fmt.Fprintf(&b, "The certificate is self-signed; its SHA-256 is\n%s.\n", fingerprint(cert))
	}
	b.WriteString("Try it in another terminal:\n\n")
	name, policy := a.example()
	options := ""
	if name != "" {
		options = "--user " + quote(name) + " "
	}
	url := "ftp://"
	if len(ls.explicit) == 0 {
		url = "ftps://"
	} else if cfg.TLS.On() {
		options += "--ssl-reqd "
	}
	if cfg.TLS.SelfSigned {
		options += "--insecure "
	}
	url = quote(url + named(dialable(ls.all()[0].Addr()), cert) + "/")
	fmt.Fprintf(&b, "    curl %s%s\n", options, url)
	if policy.Permissions&auth.Store != 0 {
		fmt.Fprintf(&b, "    curl %s--upload-file FILE %s\n", options, url)
	}
	b.WriteString("\nCtrl-C stops.\n")
	_, _ = io.WriteString(w, b.String())
}

// named is addr with a host that cert is for, if there is one.
func named(addr string, cert *x509.Certificate) string {
	host, port, err := net.SplitHostPort(addr)
	if cert == nil || err != nil || cert.VerifyHostname(host) == nil {
		return addr
	}
	for _, name := range cert.DNSNames {
		if !strings.HasPrefix(name, "*") {
			return net.JoinHostPort(name, port)
		}
	}
	return addr
}

// what names the store without secrets.
func what(u config.URL) string {
	if !u.IsPath() {
		return u.String()
	}
	if abs, err := filepath.Abs(string(u)); err == nil {
		return abs
	}
	return string(u)
}

// mounted names the mounts.
func mounted(cfg *config.Config) string {
	var paths []string
	for _, m := range cfg.Mounts {
		paths = append(paths, string(m.Path))
	}
	if len(paths) == 0 {
		return ""
	}
	return ", with mounts at " + sentence(paths) + ","
}

// describe lists who may log in and what they may do.
func (a *accounts) describe() string {
	const most = 3
	var names []string
	var policies []*auth.Policy
	n := 0
	for u := range a.each {
		if n++; n <= most {
			names = append(names, u.Name)
		}
		policies = append(policies, u.Policy)
	}
	if n > most {
		names = append(names, fmt.Sprintf("%d more", n-most))
	}
	if a.anonymous != nil {
		names = append(names, "anonymous")
		policies = append(policies, a.anonymous)
	}
	for _, s := range a.outside {
		names = append(names, s.describe())
		policies = append(policies, s.preset.Policy)
	}
	return sentence(names) + ", " + rights(policies)
}

func rights(policies []*auth.Policy) string {
	readers, writers := 0, 0
	for _, p := range policies {
		switch {
		case p.Permissions == auth.ReadOnly && !p.Writes():
			readers++
		case p.Permissions == auth.ReadWrite:
			writers++
		}
	}
	switch len(policies) {
	case readers:
		return "read-only"
	case writers:
		return "for reading and writing"
	}
	return "each with their own permissions"
}

// example is somebody who may log in; the empty name is anonymous.
func (a *accounts) example() (string, *auth.Policy) {
	if a.anonymous != nil {
		return "", a.anonymous
	}
	for u := range a.each {
		if !u.Disabled {
			return u.Name, u.Policy
		}
	}
	return "NAME", &auth.Policy{}
}

// dialable is addr as a client on this machine reaches it.
func dialable(addr net.Addr) string {
	ap, err := netip.ParseAddrPort(addr.String())
	if err != nil || !ap.Addr().IsUnspecified() {
		return addr.String()
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), ap.Port()).String()
}

// sentence is "a", "a and b" or "a, b and c".
func sentence(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

// quote makes s one word of a POSIX shell.
func quote(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// warn logs what is dangerous.
func (r *run) warn(cfg *config.Config, a *accounts, ls *listeners) {
	r.warnExpiring()
	if cfg.Defence.BehindBalancer {
		r.log.Warn("defence.behind_balancer: nobody is banned, and limits.per_address does not count; a balancer that sends the PROXY protocol would do without")
	}
	if v := cfg.TLS.MinVersion; cfg.TLS.On() && v < "1.2" {
		r.log.Warn("versions of TLS below 1.2 are broken; tls.min_version lets them in", "min_version", v)
	}
	for _, l := range ls.all() {
		ap, err := netip.ParseAddrPort(l.Addr().String())
		if err != nil || ap.Addr().IsLoopback() {
			continue
		}
		switch implicit := slices.Contains(ls.implicit, l); {
		case !cfg.TLS.On():
			r.log.Warn("FTP without TLS: whoever sits on the way reads passwords and files", "listen", l.Addr().String())
		case !implicit && cfg.TLS.Required != "all":
			r.log.Warn("clients may do without TLS, and then whoever sits on the way reads passwords and files; --tls-required refuses them",
				"listen", l.Addr().String(), "tls.required", cfg.TLS.Required)
		}
		if a.anonymous != nil && cfg.Write {
			r.log.Warn("anybody who reaches this address may change and delete files", "listen", l.Addr().String())
		}
	}
}
