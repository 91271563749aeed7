package gateway

import (
	"net/netip"
	"time"
)

// Hooks are told what happens. Each may be nil. They are called on the goroutine of
// the connection concerned, without any lock held, for several connections at once, and
// a slow one delays its own connection alone. What clients sent is in the events as it
// came, with all characters that it has; passwords are not in them.
type Hooks struct {
	// Refused tells of a connection that was turned away before it was a session.
	Refused func(Refused)
	// Login tells of a login, LoginFailed of one that was refused.
	Login       func(Login)
	LoginFailed func(LoginFailed)
	// Banned tells of a host that has just been banned.
	Banned func(Banned)
	// Dismissed tells of a session that was ended because its user may no longer be
	// here, or because of a ban.
	Dismissed func(Dismissed)
}

// Refused is a connection that was turned away.
type Refused struct {
	Remote netip.AddrPort
	// Reason is one of "denied network", "banned", "too many sessions", "too many
	// sessions of the address", "too many sessions without login" and "too many
	// connections without login".
	Reason string
}

// Login is a user who has logged in.
type Login struct {
	Session   string // as in the log
	Remote    netip.AddrPort
	User      string
	Anonymous bool
	TLS       bool
}

// LoginFailed is a login that was refused.
type LoginFailed struct {
	Session string
	Remote  netip.AddrPort
	User    string // as the client spelled it
	Reason  error  // for logs, not for clients
}

// Banned is a host that has been banned.
type Banned struct {
	Host  netip.Prefix // an IPv4 address or an IPv6 /64
	Until time.Time
}

// Dismissed is a session that was ended.
type Dismissed struct {
	Session string
	Remote  netip.AddrPort
	User    string // empty: not logged in
	Reason  error
}

// notify calls a hook that is there.
func notify[E any](hook func(E), e E) {
	if hook != nil {
		hook(e)
	}
}
