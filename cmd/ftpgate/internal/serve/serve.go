// Package serve runs "ftpgate serve": it joins a configuration, the accounts, a
// store and the gateway, and ends them in order.
package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/ftpgate/ftpgate/auth"
	"github.com/ftpgate/ftpgate/cmd/ftpgate/internal/certs"
	"github.com/ftpgate/ftpgate/cmd/ftpgate/internal/config"
	"github.com/ftpgate/ftpgate/gateway"
	"github.com/ftpgate/ftpgate/vfs"
)

// Options are what Run needs of its surroundings.
type Options struct {
	// Load reads the configuration; it is called again at every reload.
	Load func() (*config.Config, error)
	// Backend opens the store that a URL names.
	Backend func(ctx context.Context, url string) (vfs.FS, io.Closer, error)
	// Signals are those of the process: the first SIGTERM or SIGINT drains, the second
	// ends at once, SIGHUP reloads.
	Signals <-chan os.Signal
	// Release gives the signals their default effect back; it is called at the
	// second one, so that a third one kills.
	Release func()
	// Poll is how often the files of certificates are looked at; 0: every 10 s.
	Poll time.Duration
	// Stdout takes the start message, Stderr the log.
	Stdout, Stderr io.Writer
}

// Run serves until ctx is done or a signal comes. Errors are one line for the
// operator, and come before any client could connect unless serving failed.
func Run(ctx context.Context, opt Options) error {
	cfg, err := opt.Load()
	if err != nil {
		return err
	}
	r := &run{opt: opt, cfg: cfg, live: cfg, gate: auth.NewGate(0)}
	r.log = r.logger()
	defer func() { closeSources(r.opened) }()
	if r.sources, err = r.useSources(cfg); err != nil {
		return err
	}
	r.usersFiles.used = digestOf(cfg.UsersFiles)
	accounts, err := loadAccounts(cfg, r.gate, r.sources)
	if err != nil {
		return err
	}
	if err := r.openCertificates(cfg); err != nil {
		return err
	}
	if err := r.openStores(ctx, accounts.mayWrite()); err != nil {
		return err
	}
	defer r.trees.close()
	r.gateway = r.gatewayConfig(cfg, accounts)
	if r.server, err = gateway.New(r.gateway); err != nil {
		return err
	}
	listeners, err := listenAll(ctx, cfg)
	if err != nil {
		return err
	}
	if r.acme != nil {
		if err := r.acme.Start(ctx); err != nil {
			listeners.close()
			return fmt.Errorf("tls.acme: %w", err)
		}
		defer r.acme.Stop()
	}
	startMessage(opt.Stdout, cfg, accounts, r.certs.First(), listeners)
	r.warn(cfg, accounts, listeners)
	ctx, cancel := context.WithCancel(ctx)
	defer r.probes.Wait()
	defer cancel()
	r.probeSources(ctx, r.sources)
	return r.serve(ctx, listeners)
}

// run is what goes on while serving.
type run struct {
	opt     Options
	cfg     *config.Config // what was started with, apart from reloads
	gate    *auth.Gate
	level   slog.LevelVar
	log     *slog.Logger
	certs   *certs.Store
	acme    *certs.ACME // nil: none
	trees   *trees
	gateway gateway.Config // as the server has it
	server  *gateway.Server

	live       *config.Config // what accounts are loaded from: the last that was right
	usersFiles watch
	sources    []*source // of live
	opened     []*source // those, and those of earlier configurations
	probes     sync.WaitGroup
}

func (r *run) logger() *slog.Logger {
	r.level.Set(r.cfg.Log.Level.Slog())
	opt := &slog.HandlerOptions{Level: &r.level}
	if r.cfg.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(r.opt.Stderr, opt))
	}
	return slog.New(slog.NewTextHandler(r.opt.Stderr, opt))
}

// openStores opens what all users share; a signal ends the wait. Stores that nobody
// may write to are not searched for expired uploads: they are none of our business.
func (r *run) openStores(ctx context.Context, mayWrite bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watched := make(chan struct{})
	opened := make(chan struct{})
	go func() {
		defer close(watched)
		for {
			select {
			case s := <-r.opt.Signals:
				if s != syscall.SIGHUP {
					cancel(errors.New("stopped before the store answered"))
					return
				}
			case <-opened:
				return
			}
		}
	}()
	s := newStores(r.opt.Backend, time.Duration(r.cfg.Stores.CloseAfter), r.log)
	s.ledger, s.sweeps = ledgerPlace(r.cfg.Quota.State), mayWrite
	r.trees = &trees{s, r.cfg}
	err := r.trees.openFixed(ctx)
	close(opened)
	<-watched
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		r.trees.close()
	}
	return err
}

// serve accepts on all listeners until it is told to stop.
func (r *run) serve(ctx context.Context, listeners *listeners) error {
	running := len(listeners.all())
	ended := make(chan error, running)
	for _, l := range listeners.explicit {
		go func() { ended <- r.server.Serve(l) }()
	}
	for _, l := range listeners.implicit {
		go func() { ended <- r.server.ServeTLS(l) }()
	}
	every := r.opt.Poll
	if every == 0 {
		every = 10 * time.Second
	}
	poll := time.NewTicker(every)
	defer poll.Stop()
	var failure error
	for stop := false; !stop; {
		select {
		case err := <-ended:
			running--
			failure = fmt.Errorf("accepting connections failed: %w", err)
			stop = true
		case s := <-r.opt.Signals:
			if s == syscall.SIGHUP && r.reloads() {
				r.reload(ctx)
				continue
			}
			stop = true
		case <-poll.C:
			r.pollCertificates()
			r.pollUsersFiles()
		case <-ctx.Done():
			stop = true
		}
	}
	err := r.drain()
	for range running {
		<-ended
	}
	return errors.Join(failure, err)
}

var errSecondSignal = errors.New("stopped at once, running transfers were cut off")

// drain lets transfers finish within the grace time, or until the next signal.
func (r *run) drain() error {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	grace := time.Duration(r.cfg.Timeouts.Grace)
	if grace >= 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, grace)
		defer stop()
	}
	r.log.Info("stopping; the next signal cuts running transfers off", "sessions", r.server.Sessions(), "grace", grace)
	drained, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		for {
			select {
			case s := <-r.opt.Signals:
				if s != syscall.SIGHUP {
					r.opt.Release()
					cancel(errSecondSignal)
					return
				}
			case <-drained:
				return
			}
		}
	}()
	err := r.server.Shutdown(ctx)
	close(drained)
	<-watched
	switch {
	case errors.Is(err, errSecondSignal):
		return errSecondSignal
	case err != nil:
		r.log.Warn("the grace time is over, running transfers were cut off", "grace", grace)
	}
	r.log.Info("stopped")
	return nil
}

// reloads reports whether there is a file that could have changed. Without one a
// SIGHUP means that the terminal was closed.
func (r *run) reloads() bool {
	return r.cfg.File != "" || len(r.cfg.UsersFiles) > 0 || len(r.cfg.TLS.Certificates) > 0
}

// reload takes over what changed in the files; on an error all stays as it was.
func (r *run) reload(ctx context.Context) {
	cfg, err := r.opt.Load()
	var sources []*source
	if err == nil {
		sources, err = r.useSources(cfg)
	}
	var accounts *accounts
	var files digest
	if err == nil {
		files = digestOf(cfg.UsersFiles)
		accounts, err = loadAccounts(cfg, r.gate, sources)
	}
	if err == nil && len(r.cfg.TLS.ImplicitListen) > 0 && !cfg.TLS.On() {
		err = errors.New("tls: clients of tls.implicit_listen need a certificate")
	}
	if err == nil {
		err = r.certs.Load(certificateFiles(cfg))
	}
	if err == nil {
		next := r.gatewayConfig(cfg, accounts)
		if err = r.server.Reload(next); err == nil {
			r.gateway = next
		}
	}
	if err != nil {
		r.log.Error("the configuration can't be reloaded, the old one stays", "err", err)
		return
	}
	r.live, r.sources, r.usersFiles.used = cfg, sources, files
	r.probeSources(ctx, sources)
	r.level.Set(cfg.Log.Level.Slog())
	for _, key := range r.cfg.NeedRestart(cfg) {
		r.log.Warn("the change takes a restart", "key", key)
	}
	implicit, self, acme := r.cfg.TLS.ImplicitListen, r.cfg.TLS.SelfSigned, r.cfg.TLS.ACME
	r.cfg.Timeouts.Grace, r.cfg.UsersFiles, r.cfg.TLS = cfg.Timeouts.Grace, cfg.UsersFiles, cfg.TLS
	r.cfg.TLS.ImplicitListen, r.cfg.TLS.SelfSigned, r.cfg.TLS.ACME = implicit, self, acme
	r.warnExpiring()
	r.log.Info("configuration reloaded", "users", accounts.count())
}
