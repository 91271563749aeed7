package serve

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/ftpgate/ftpgate/auth"
	"github.com/ftpgate/ftpgate/cmd/ftpgate/internal/config"
)

// startMessage tells what is served, to whom and where, with lines to paste into
// another terminal.
func startMessage(w io.Writer, cfg *config.Config, a *accounts, listeners []net.Listener) {
	var b strings.Builder
	fmt.Fprintf(&b, "Serving %s to %s.\n", what(cfg.URL), a.describe())
	var addrs []string
	for _, l := range listeners {
		addrs = append(addrs, l.Addr().String())
	}
	fmt.Fprintf(&b, "Listening on %s", sentence(addrs))
	if cfg.Data.Passive {
		fmt.Fprintf(&b, ", with passive ports %d-%d", cfg.Data.PassivePorts.From, cfg.Data.PassivePorts.To)
	}
	b.WriteString(".\nTry it in another terminal:\n\n")
	name, policy := a.example()
	user := ""
	if name != "" {
		user = "--user " + quote(name) + " "
	}
	url := quote("ftp://" + dialable(listeners[0].Addr()) + "/")
	fmt.Fprintf(&b, "    curl %s%s\n", user, url)
	if policy.Permissions&auth.Store != 0 {
		fmt.Fprintf(&b, "    curl %s--upload-file FILE %s\n", user, url)
	}
	b.WriteString("\nCtrl-C stops.\n")
	_, _ = io.WriteString(w, b.String())
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
	return sentence(names) + ", " + rights(policies)
}

func rights(policies []*auth.Policy) string {
	readers, writers := 0, 0
	for _, p := range policies {
		switch p.Permissions {
		case auth.ReadOnly:
			readers++
		case auth.ReadWrite:
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
func (r *run) warn(cfg *config.Config, a *accounts, listeners []net.Listener) {
	for _, l := range listeners {
		ap, err := netip.ParseAddrPort(l.Addr().String())
		if err != nil || ap.Addr().IsLoopback() {
			continue
		}
		r.log.Warn("FTP without TLS: whoever sits on the way reads passwords and files", "listen", l.Addr().String())
		if a.anonymous != nil && cfg.Write {
			r.log.Warn("anybody who reaches this address may change and delete files", "listen", l.Addr().String())
		}
	}
}
