// Package ftptest is httptest for FTP: a server on a free port of the loopback
// interface, over any vfs.FS, for the time of one test.
//
//	srv := ftptest.New(t)                     // an empty file system in memory
//	conn, err := client.Dial(srv.Addr)        // whatever FTP client is to be tested
//
//	srv := ftptest.Start(t, ftptest.Options{FS: myFS, Users: map[string]string{"joe": "secret"}})
package ftptest

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/ftpgate/ftpgate/auth"
	"github.com/ftpgate/ftpgate/backends/memory"
	"github.com/ftpgate/ftpgate/gateway"
	"github.com/ftpgate/ftpgate/vfs"
)

// Options say what is served; the zero value is an empty file system in memory
// in which everybody may do everything.
type Options struct {
	// FS is what is served; nil: a new one in memory.
	FS vfs.FS
	// Users are names with their passwords. Without any, every name and every
	// password may enter, "anonymous" too.
	Users map[string]string
	// Policy says what users may do; nil: everything.
	Policy *auth.Policy
	// Network is "tcp4" (the default) or "tcp6".
	Network string
	// TLS offers AUTH TLS with a certificate that Server.ClientTLS trusts.
	TLS bool
	// Configure may change the server's configuration before it starts.
	Configure func(*gateway.Config)
}

// Server is a running server; what it has beyond these fields is gateway.Server's.
type Server struct {
	*gateway.Server
	// Addr is its host and port.
	Addr string
	// URL is Addr as an FTP URL, with a '/' at its end.
	URL string
	// FS is what it serves, to prepare files and to look at results.
	FS vfs.FS
	// ClientTLS is for clients, if Options.TLS was set. Clone it before changing
	// it. It has a cache for sessions, so that data connections resume.
	ClientTLS *tls.Config
}

// New starts a server over an empty file system in memory, in which everybody may
// do everything. It ends with the test.
func New(t testing.TB) *Server {
	t.Helper()
	return Start(t, Options{})
}

// Start starts a server, which ends with the test. Sessions that are still there
// then are cut off.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	if o.FS == nil {
		o.FS = memory.New(memory.Options{})
	}
	if o.Network == "" {
		o.Network = "tcp4"
	}
	cfg := gateway.Config{
		Auth:   authenticator(o),
		Open:   func(context.Context, *auth.Principal) (vfs.FS, func(), error) { return o.FS, nil, nil },
		Logger: slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	var client *tls.Config
	if o.TLS {
		cfg.TLS.Config, client = certificate(t)
	}
	if o.Configure != nil {
		o.Configure(&cfg)
	}
	srv, err := gateway.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	host := "127.0.0.1:0"
	if o.Network == "tcp6" {
		host = "[::1]:0"
	}
	l, err := net.Listen(o.Network, host)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	t.Cleanup(func() {
		srv.Close()
		select {
		case <-served:
		case <-time.After(10 * time.Second):
			t.Error("ftptest: the server did not end")
		}
	})
	addr := l.Addr().String()
	return &Server{Server: srv, Addr: addr, URL: "ftp://" + addr + "/", FS: o.FS, ClientTLS: client}
}

func authenticator(o Options) auth.Authenticator {
	return auth.AuthenticatorFunc(func(_ context.Context, a auth.Attempt) (*auth.Principal, error) {
		if len(o.Users) > 0 {
			if password, ok := o.Users[a.User]; !ok || password != a.Password {
				return nil, auth.ErrDenied
			}
		}
		return &auth.Principal{Name: a.User, Anonymous: len(o.Users) == 0 && a.User == "anonymous", Settings: auth.Settings{Policy: o.Policy}}, nil
	})
}

// testLog writes the server's log to the test's, which shows it on failure.
type testLog struct{ t testing.TB }

var _ io.Writer = testLog{}

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSuffix(string(p), "\n"))
	return len(p), nil
}
