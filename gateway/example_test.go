package gateway_test

import (
	"context"
	"errors"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/ftpgate/ftpgate/auth"
	"github.com/ftpgate/ftpgate/backends/local"
	"github.com/ftpgate/ftpgate/gateway"
	"github.com/ftpgate/ftpgate/vfs"
)

// A directory for everybody to read, as anonymous.
func ExampleNew() {
	dir, err := local.Open(local.Options{Dir: "."})
	if err != nil {
		log.Fatal(err)
	}
	defer dir.Close()
	srv, err := gateway.New(gateway.Config{
		Auth: auth.Anonymous(&auth.Policy{Permissions: auth.ReadOnly}),
		Open: func(context.Context, *auth.Principal) (vfs.FS, func(), error) { return dir, nil, nil },
	})
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(srv.ListenAndServe("127.0.0.1:2121"))
}

// A root of its own for each user, and an end that lets running transfers finish.
func ExampleServer_Shutdown() {
	homes, err := local.Open(local.Options{Dir: "/srv/homes"})
	if err != nil {
		log.Fatal(err)
	}
	srv, err := gateway.New(gateway.Config{
		Auth: auth.AuthenticatorFunc(func(_ context.Context, a auth.Attempt) (*auth.Principal, error) {
			if a.User != "joe" || a.Password != os.Getenv("JOES_PASSWORD") {
				return nil, auth.ErrDenied
			}
			return &auth.Principal{Name: "joe"}, nil
		}),
		Open: func(_ context.Context, p *auth.Principal) (vfs.FS, func(), error) {
			home, err := vfs.Sub(homes, p.Name)
			return home, nil, err
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	l, err := net.Listen("tcp", ":2121")
	if err != nil {
		log.Fatal(err)
	}
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	context.AfterFunc(stop, func() {
		grace, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := srv.Shutdown(grace); err != nil {
			log.Print("transfers were cut off: ", err)
		}
	})
	if err := srv.Serve(l); !errors.Is(err, gateway.ErrServerClosed) {
		log.Fatal(err)
	}
}
