package serve

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"syscall"

	"github.com/ftpgate/ftpgate/cmd/ftpgate/internal/config"
)

// listeners are where clients connect.
type listeners struct {
	explicit, implicit []net.Listener // implicit: TLS from the start
}

func (l *listeners) all() []net.Listener { return slices.Concat(l.explicit, l.implicit) }

func listenAll(ctx context.Context, cfg *config.Config) (*listeners, error) {
	l := &listeners{}
	var err error
	if l.explicit, err = listen(ctx, cfg.Listen); err != nil {
		return nil, err
	}
	if l.implicit, err = listen(ctx, cfg.TLS.ImplicitListen); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *listeners) close() {
	for _, open := range l.all() {
		_ = open.Close()
	}
}

// listen opens all addresses or none.
func listen(ctx context.Context, addresses []config.Address) ([]net.Listener, error) {
	var all []net.Listener
	for _, a := range addresses {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", string(a))
		if err != nil {
			for _, l := range all {
				_ = l.Close()
			}
			return nil, listenError(string(a), err)
		}
		all = append(all, l)
	}
	return all, nil
}

// listenError says what to do about err.
func listenError(addr string, err error) error {
	var dns *net.DNSError
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s is in use by another program; stop that, or choose another address with --listen", addr)
	case errors.Is(err, fs.ErrPermission): // EACCES, EPERM
		program, e := os.Executable()
		if e != nil {
			program = "ftpgate"
		}
		return fmt.Errorf("%s: ports below 1024 need a privilege: \"sudo setcap cap_net_bind_service=+ep %s\", "+
			"or AmbientCapabilities=CAP_NET_BIND_SERVICE in a systemd unit, or NET_BIND_SERVICE in "+
			"securityContext.capabilities.add of a container; or choose a higher port with --listen", addr, program)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s is not an address of this machine; choose one of them, or :PORT for all, with --listen", addr)
	case errors.As(err, &dns):
		return fmt.Errorf("%s: the host name is unknown; choose another address with --listen", addr)
	}
	return fmt.Errorf("can't listen on %s: %w", addr, err)
}
