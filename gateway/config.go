package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/ftpgate/ftpgate/auth"
	"github.com/ftpgate/ftpgate/gateway/dataconn"
	"github.com/ftpgate/ftpgate/vfs"
)

// Config is everything a Server needs. Only Auth and Open have no default. It is
// copied by New and Reload; what it points to must not be changed afterwards.
type Config struct {
	// Auth decides who may enter.
	Auth auth.Authenticator
	// Open returns the file system of a principal, and a function that is called
	// once when the session no longer needs it (nil: nothing to do). It may block
	// until ctx is done. The gateway puts permissions (auth.Policy) and staging
	// in front of what it returns. An error that matches fs.ErrPermission or
	// fs.ErrNotExist is answered 530, every other 421.
	Open func(ctx context.Context, p *auth.Principal) (fsys vfs.FS, release func(), err error)

	// Banner is the text of the 220 greeting, several lines if it has newlines.
	// Empty: "FTP server ready". No version is shown by default.
	Banner string
	// Location is the time zone of LIST; nil: UTC. MLSD and MDTM are always UTC.
	Location *time.Location
	// DefaultType is the representation type of a new session: 'A' or 'I'; 0: 'A',
	// as RFC 959 has it.
	DefaultType byte

	Limits   Limits
	Timeouts Timeouts
	Data     Data
	Uploads  Uploads

	// Profiles are the device profiles by their names, which principals choose from.
	Profiles map[string]*Profile
	// Profile is the name of the one for principals who choose none; "": the zero
	// Profile.
	Profile string

	Rates   Rates
	Defence Defence
	Hooks   Hooks

	TLS TLS

	// Proxy are the load balancers in front of the server that tell the client's
	// address by the PROXY protocol, on control and data connections.
	Proxy dataconn.Proxy

	// Host reports whether the virtual host that a client asked for by HOST is served
	// (RFC 7151), by its name in lower case or its address, IPv6 in brackets. It has to
	// answer at once. nil accepts every name. Auth sees it in auth.Attempt.Host.
	Host func(name string) bool
	// Site adds SITE commands.
	Site []SiteCommand

	// Logger gets one record a session, command and transfer. nil: slog.Default().
	Logger *slog.Logger

	commands *commandTable
}

// Limits bound what clients can take. A zero field means its default, a negative
// one no limit.
type Limits struct {
	// Sessions in all; default 20,000. The next one is answered 421.
	Sessions int
	// PerAddress is how many sessions one IPv4 address or IPv6 /64 may have; see
	// Defence for whom that is not counted. The default is 2,048; a limit that is set
	// here holds for loopback, too.
	PerAddress int
	// PerUser is how many sessions one user may have, anonymous as one user, unless
	// the principal says otherwise. Zero means no limit.
	PerUser int
	// Waiting is how many sessions there may be that have not logged in. The default
	// is a quarter of Sessions, but 100 if that is less. The next one is answered 421.
	Waiting int
	// CommandRate is how many commands a second a session may send that concern files:
	// each may cost a request to the store. As many may come at once; then the session
	// is slowed down. Default 10,000.
	CommandRate int
	// LineLength of a command in bytes, without its end; default 8,192. A longer
	// one is answered 500 and ends the session.
	LineLength int
	// LoginFailures end a session; default 5.
	LoginFailures int
	// Unknown is how many unknown commands a session may send before login;
	// default 20.
	Unknown int
	// HashSize is how many bytes one HASH, XCRC or the like reads at most; default 64
	// GiB. More is answered 556. As many run at once as two for each processor; others
	// wait.
	HashSize int64
	// Tree is how many entries DSIZ counts and RMDA removes at most; default 100,000.
	Tree int
	// Abandoned is how many workers may hang in a store that ignores its context
	// before new logins are answered 421; default 256.
	Abandoned int
}

// Timeouts end what takes too long. A zero field means its default, a negative
// one no limit.
type Timeouts struct {
	Login     time.Duration // from connecting to having logged in; default 10 s
	Idle      time.Duration // between two commands; default 5 min
	IdleMax   time.Duration // what SITE IDLE may set; default 2 h, and Idle at least
	DataOpen  time.Duration // for the data connection to open; default 30 s
	Stall     time.Duration // without a byte on the data connection; default 60 s
	Write     time.Duration // of a reply on the control connection; default 30 s
	Handshake time.Duration // of TLS; default 10 s
	Abandon   time.Duration // for a cancelled worker to come back; default 10 s
}

// Data describes the data connections.
type Data struct {
	// PassivePorts is the range that PASV and EPSV choose from; the zero value is
	// 61000-65535, outside of Linux' ephemeral range.
	PassivePorts dataconn.PortRange
	// Masquerade chooses the address that PASV tells, for servers behind NAT; nil
	// tells the address that the client dialled.
	Masquerade *dataconn.Masquerade
	// PeerCheck says who may be at the other end of a data connection. For a
	// principal with FXP that is everybody.
	PeerCheck dataconn.PeerCheck
	// NoActive refuses PORT and EPRT, NoPassive refuses PASV and EPSV.
	NoActive, NoPassive bool
	// Deflate says what becomes of MODE Z, which costs time, and about a megabyte for
	// each transfer.
	Deflate Deflate
	// Network opens the connections; nil: the real one. For tests.
	Network dataconn.Network
}

// Deflate says who may use MODE Z.
type Deflate uint8

// DeflateOnDemand serves who asks for it without having been told. DeflateOffer tells
// it in FEAT, which makes lftp and others use it by themselves, also where the network
// is faster than the compression. DeflateOff refuses it.
const (
	DeflateOnDemand Deflate = iota
	DeflateOffer
	DeflateOff
)

// TLS is FTPS (RFC 4217).
type TLS struct {
	// Config has the certificates; nil offers no TLS. It must not set
	// GetConfigForClient; GetCertificate may change its mind at any time, so that
	// certificates can be renewed.
	Config *tls.Config
	// Certificate, if not nil, is asked at USER, over TLS, whether the client's
	// certificate is enough: a principal is logged in (232), nil has to send a password
	// (331). Errors are as those of Auth. It sees the certificate in auth.Attempt.TLS.
	Certificate func(ctx context.Context, a auth.Attempt) (*auth.Principal, error)
	// RequireControl refuses USER, RequireData refuses transfers, without TLS.
	RequireControl, RequireData bool
	// AllowCCC lets clients take TLS off the control connection after the login,
	// for firewalls that have to read it.
	AllowCCC bool
	// Resumption binds data connections to their control connection.
	Resumption dataconn.Resumption
}

// Uploads decide about uploads that did not end well.
type Uploads struct {
	// ShowStaged says where a user sees the own interrupted uploads.
	ShowStaged vfs.ShowStaged
	// ResumeScope says who may go on with an interrupted upload.
	ResumeScope ResumeScope
	// CommitOnControlLost commits an upload whose data connection ended cleanly
	// although the control connection is gone, for devices that close both at
	// once. By default such an upload is parked, because a killed client looks
	// the same.
	CommitOnControlLost bool
	// LenientTLS commits an upload whose TLS ended without close_notify, for old
	// clients that never send it. An attacker can then cut uploads short.
	LenientTLS bool
}

// ResumeScope says who may go on with an interrupted upload, and see it.
type ResumeScope uint8

const (
	// ResumeUser: the same user.
	ResumeUser ResumeScope = iota
	// ResumeAddress: the same user from the same IPv4 address or IPv6 /64, for accounts
	// that several people share.
	ResumeAddress
	// ResumeSession: the same session.
	ResumeSession
)

func defaultInt[N int | int64](v *N, def N) {
	if *v == 0 {
		*v = def
	}
}

func defaultTime(v *time.Duration, def time.Duration) {
	if *v == 0 {
		*v = def
	}
}

// withDefaults checks c and fills in what is zero.
func (c Config) withDefaults() (*Config, error) {
	if c.Auth == nil {
		return nil, errors.New("gateway: Config.Auth is nil, so nobody could log in (auth.Anonymous lets everybody read)")
	}
	if c.Open == nil {
		return nil, errors.New("gateway: Config.Open is nil, so there is nothing to serve")
	}
	switch c.DefaultType {
	case 0:
		c.DefaultType = 'A'
	case 'A', 'I':
	default:
		return nil, fmt.Errorf("gateway: Config.DefaultType is %q, not 'A' or 'I'", c.DefaultType)
	}
	if c.Data.Masquerade == nil {
		c.Data.Masquerade = &dataconn.Masquerade{}
	}
	if err := c.Data.Masquerade.Check(); err != nil {
		return nil, fmt.Errorf("gateway: Config.Data.Masquerade: %w", err)
	}
	if t := c.TLS; t.Config == nil && (t.RequireControl || t.RequireData) {
		return nil, errors.New("gateway: Config.TLS requires TLS but has no certificate")
	}
	if err := c.Data.PassivePorts.Check(); err != nil {
		return nil, fmt.Errorf("gateway: Config.Data.PassivePorts: %w", err)
	}
	if c.Banner = strings.TrimSpace(c.Banner); c.Banner == "" {
		c.Banner = "FTP server ready"
	}
	if _, err := c.profile(""); err != nil {
		return nil, fmt.Errorf("gateway: Config.Profile: %w", err)
	}
	if c.Location == nil {
		c.Location = time.UTC
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	c.Logger = newLogger(c.Logger)
	if c.Data.Network == nil {
		c.Data.Network = dataconn.System()
	}
	l := &c.Limits
	defaultInt(&l.Sessions, 20_000)
	if l.Sessions > 0 {
		defaultInt(&l.Waiting, max(l.Sessions/4, min(l.Sessions, 100)))
	}
	defaultInt(&l.CommandRate, 10_000)
	defaultInt(&l.LineLength, 8192)
	defaultInt(&l.LoginFailures, 5)
	defaultInt(&l.Unknown, 20)
	defaultInt(&l.Abandoned, 256)
	defaultInt(&l.HashSize, 64<<30)
	defaultInt(&l.Tree, 100_000)
	t := &c.Timeouts
	defaultTime(&t.Login, 10*time.Second)
	defaultTime(&t.Idle, 5*time.Minute)
	defaultTime(&t.IdleMax, max(2*time.Hour, t.Idle))
	defaultTime(&t.DataOpen, 30*time.Second)
	defaultTime(&t.Stall, time.Minute)
	defaultTime(&t.Write, 30*time.Second)
	defaultTime(&t.Handshake, 10*time.Second)
	defaultTime(&t.Abandon, 10*time.Second)
	c.Defence.setDefaults()
	if err := c.Defence.check(); err != nil {
		return nil, err
	}
	commands, err := newCommandTable(c.Site)
	if err != nil {
		return nil, err
	}
	c.commands = commands
	return &c, nil
}
