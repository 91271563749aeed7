package sftp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"
)

// Options are the options of Open. Only Host and User are needed.
type Options struct {
	// Host is a name or an address, and Port its port; 0 is 22.
	Host string
	Port int
	User string
	// Dir is the directory to serve. A relative one is below the home directory,
	// which the empty one is. It must exist.
	Dir string

	// KnownHosts are files in the format of OpenSSH with the keys of servers that
	// may be talked to, or of authorities that certify them; nil is
	// ~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts. A file that is not there
	// counts as empty. They are read for every connection.
	KnownHosts []string

	// Identity is a file with a private key. Without Identity, Password and
	// PasswordFile, the agent's keys and ~/.ssh/id_ed25519, id_ecdsa and id_rsa
	// are tried.
	Identity string
	// Certificate is a file with a certificate for the key in Identity; empty is
	// Identity + "-cert.pub" if that is there.
	Certificate string
	// Passphrase opens the encrypted key in Identity. If it is empty, the first
	// line of PassphraseFile counts, or the environment variable
	// FTPGATE_SFTP_PASSPHRASE.
	Passphrase     string
	PassphraseFile string
	// Password is sent to the server if it asks for one. If it is empty, the
	// first line of PasswordFile counts, or the environment variable
	// FTPGATE_SFTP_PASSWORD.
	Password     string
	PasswordFile string
	// Agent says when the keys of the SSH agent at SSH_AUTH_SOCK are used.
	Agent AgentUse

	// NoSync leaves out every fsync: a crash of the server's machine may then lose
	// uploads that were confirmed.
	NoSync bool
	// RemoveFirst lets uploads and renames replace files also on a server without
	// posix-rename@openssh.com, by removing the old file first. There is then a
	// moment without a file, and Caps has neither AtomicCommit nor AtomicRename.
	// Else they are refused there with fs.ErrExist.
	RemoveFirst bool
	// StagedExpiry is how long parked uploads are kept after their last byte; 0 is
	// 24 hours, negative for ever.
	StagedExpiry time.Duration
	// CopyLimit is how many bytes of a complete file Append and WriteAt read and
	// write back on a server without the extension copy-data; 0 is 64 MiB,
	// negative any number. Beyond it they are vfs.ErrTooLarge.
	CopyLimit int64
	// Connections is how many connections there are at most; 0 is 4.
	Connections int
	// Timeout is how long an answer of the server may take; 0 is 30 seconds.
	// Connecting may take half of it.
	Timeout time.Duration
	// Logger gets warnings; nil discards them.
	Logger *slog.Logger

	tuning tuning
}

// AgentUse says when the SSH agent is used.
type AgentUse uint8

// The uses of the agent.
const (
	AgentAuto AgentUse = iota // where there is an agent, and neither Identity nor a password
	AgentOn                   // always; it has to be there
	AgentOff
)

// tuning holds the times and sizes that tests scale; zero fields take the values of
// withDefaults.
type tuning struct {
	dial       time.Duration // TCP and SSH together
	slow       time.Duration // for an answer to fsync, and to copy-data of a piece
	keepalive  time.Duration // between two
	misses     int           // unanswered keepalives that end a connection
	cleanup    time.Duration // for the end of an upload whose context is done, with all tries
	backoff    time.Duration // after a failed connection; doubles
	maxBackoff time.Duration
	idle       time.Duration // before a connection without transfers is closed
	orphan     time.Duration // before an upload that nobody can resume is removed
	sessions   int           // of one connection
	point      int64         // bytes of an upload before it can be resumed after a crash
	piece      int64         // bytes that one copy-data copies
	// network replaces TCP.
	network func(ctx context.Context, network, address string) (net.Conn, error)
}

func (t tuning) withDefaults(timeout time.Duration) tuning {
	for _, d := range []struct {
		v       *time.Duration
		instead time.Duration
	}{
		{&t.dial, timeout / 2}, {&t.slow, 4 * timeout}, {&t.keepalive, 15 * time.Second}, {&t.cleanup, 20 * time.Second},
		{&t.backoff, 500 * time.Millisecond}, {&t.maxBackoff, 30 * time.Second}, {&t.idle, time.Minute}, {&t.orphan, 24 * time.Hour},
	} {
		if *d.v == 0 {
			*d.v = d.instead
		}
	}
	if t.misses == 0 {
		t.misses = 3
	}
	if t.sessions == 0 {
		t.sessions = 10 // MaxSessions of OpenSSH
	}
	if t.point == 0 {
		t.point = 1 << 20
	}
	if t.piece == 0 {
		t.piece = 64 << 20
	}
	if t.network == nil {
		t.network = (&net.Dialer{KeepAlive: 15 * time.Second}).DialContext
	}
	return t
}

// complete checks o and fills in the defaults.
func (o Options) complete() (Options, error) {
	switch {
	case o.Host == "":
		return o, errors.New("no SFTP server is given")
	case o.User == "":
		return o, errors.New("no user of the SFTP server is given")
	case strings.ContainsAny(o.Dir, "\x00\r\n"):
		return o, fmt.Errorf("the directory %q is no path", o.Dir)
	case o.Port < 0 || o.Port > 65535:
		return o, fmt.Errorf("%d is no port", o.Port)
	case o.Connections < 0 || o.Timeout < 0:
		return o, errors.New("connections and time-outs are not negative")
	}
	if o.Port == 0 {
		o.Port = 22
	}
	if o.Connections == 0 {
		o.Connections = 4
	}
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	if o.StagedExpiry == 0 {
		o.StagedExpiry = 24 * time.Hour
	}
	if o.CopyLimit == 0 {
		o.CopyLimit = 64 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.tuning = o.tuning.withDefaults(o.Timeout)
	return o, nil
}

// address is the server's, as net.Dial takes it.
func (o Options) address() string { return net.JoinHostPort(o.Host, fmt.Sprint(o.Port)) }
