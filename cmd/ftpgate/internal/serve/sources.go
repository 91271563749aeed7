package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/ftpgate/ftpgate/auth"
	authexec "github.com/ftpgate/ftpgate/auth/exec"
	authhttp "github.com/ftpgate/ftpgate/auth/http"
	"github.com/ftpgate/ftpgate/auth/ldap"
	"github.com/ftpgate/ftpgate/auth/pam"
	"github.com/ftpgate/ftpgate/auth/sql"
	"github.com/ftpgate/ftpgate/cmd/ftpgate/internal/certs"
	"github.com/ftpgate/ftpgate/cmd/ftpgate/internal/config"
)

// source is an account source of the configuration.
type source struct {
	cfg     *config.AccountSource
	log     *slog.Logger
	asked   auth.Authenticator
	preset  auth.Account
	checked auth.Authenticator // asked, with errors that tell of the source
}

// openSources prepares the account sources; none of them is asked yet.
func openSources(cfg *config.Config, log *slog.Logger) ([]*source, error) {
	defaults, err := defaultAccount(cfg)
	if err != nil {
		return nil, err
	}
	var all []*source
	for i := range cfg.AccountSources {
		c := &cfg.AccountSources[i]
		s := &source{cfg: c, log: log}
		if s.preset, err = c.Account(defaults); err == nil {
			if err = checkVerbs(s.preset.Policy); err != nil {
				err = c.At(fmt.Errorf("defaults: %w", err))
			}
		}
		if err == nil {
			if s.asked, err = openSource(c, s.preset); err != nil {
				err = c.At(err)
			}
		}
		if err != nil {
			closeSources(all)
			return nil, err
		}
		s.checked = plainSource{s}
		if dir, ok := s.asked.(auth.Directory); ok {
			s.checked = directorySource{plainSource{s}, dir}
		}
		all = append(all, s)
	}
	return all, nil
}

func openSource(c *config.AccountSource, preset auth.Account) (auth.Authenticator, error) {
	switch {
	case c.LDAP != nil:
		opt := c.LDAP.Options()
		opt.Defaults = preset
		var err error
		if opt.TLS, err = certs.Outgoing(string(c.LDAP.CA), certs.Pair{}); err != nil {
			return nil, err
		}
		return ldap.New(opt)
	case c.SQL != nil:
		return sql.New(sql.Options{
			Database: string(c.SQL.Database), Password: string(c.SQL.Password), Query: string(c.SQL.Query),
			Timeout: time.Duration(c.SQL.Timeout), Concurrency: int(c.SQL.Concurrency), Defaults: preset,
		})
	case c.HTTP != nil:
		config, err := certs.Outgoing(string(c.HTTP.CA), certs.Pair{Cert: string(c.HTTP.Cert), Key: string(c.HTTP.Key)})
		if err != nil {
			return nil, err
		}
		return authhttp.New(authhttp.Options{
			URL: string(c.HTTP.URL), Token: string(c.HTTP.Token), TLS: config,
			Timeout: time.Duration(c.HTTP.Timeout), Concurrency: int(c.HTTP.Concurrency), Defaults: preset,
		})
	case c.Exec != nil:
		return authexec.New(authexec.Options{
			Command: c.Exec.Command, Timeout: time.Duration(c.Exec.Timeout), Concurrency: int(c.Exec.Concurrency), Defaults: preset,
		})
	}
	return pam.New(pam.Options{
		Service: c.PAM.Service, ConfDir: string(c.PAM.ConfDir), Timeout: time.Duration(c.PAM.Timeout), Concurrency: int(c.PAM.Concurrency), Defaults: preset,
	})
}

func closeSources(all []*source) {
	for _, s := range all {
		if closer, ok := s.asked.(io.Closer); ok {
			if err := closer.Close(); err != nil {
				s.log.Error("closing an account source failed", "err", s.cfg.At(err))
			}
		}
	}
}

// probe looks whether the source can be asked, where there is a way, and tells in the
// log if not. It is no reason not to serve: others may still log in, and the source may come back.
func (s *source) probe(ctx context.Context) {
	p, ok := s.asked.(interface{ Probe(context.Context) error })
	if !ok {
		return
	}
	if err := p.Probe(ctx); err != nil && ctx.Err() == nil {
		s.log.Warn("an account source can't be asked; its users can't log in until it can", "err", s.cfg.At(err))
	}
}

// answer is err as a chain gets it: with the place of the source, and for an optional
// source that can't be asked, as if it did not know the user.
func (s *source) answer(ctx context.Context, err error) error {
	if err == nil || errors.Is(err, auth.ErrDenied) {
		return err
	}
	err = s.cfg.At(err)
	if !s.cfg.Optional || ctx.Err() != nil {
		return err
	}
	s.log.Warn("an optional account source can't be asked, the next one is", "err", err)
	return auth.ErrUnknownUser
}

// plainSource checks passwords itself.
type plainSource struct{ *source }

func (s plainSource) Authenticate(ctx context.Context, a auth.Attempt) (*auth.Principal, error) {
	p, err := s.asked.Authenticate(ctx, a)
	if err == nil {
		err = checkVerbs(p.Policy)
	}
	if err = s.answer(ctx, err); err != nil {
		return nil, err
	}
	return p, nil
}

// Recheck asks the source itself: one that can't be asked does not make its users
// unknown, even if it is optional.
func (s plainSource) Recheck(ctx context.Context, p *auth.Principal) error {
	err := auth.Recheck(ctx, s.asked, p)
	if err == nil || errors.Is(err, auth.ErrDenied) || errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return s.cfg.At(err)
}

// directorySource leaves that to the chain.
type directorySource struct {
	plainSource
	dir auth.Directory
}

func (s directorySource) Lookup(ctx context.Context, name string) (*auth.Account, error) {
	account, err := s.dir.Lookup(ctx, name)
	if err == nil {
		err = checkVerbs(account.Policy)
	}
	if err = s.answer(ctx, err); err != nil {
		return nil, err
	}
	return account, nil
}

func (s directorySource) Decoy(seed uint64) auth.Secret { return s.dir.Decoy(seed) }

// describe names the source in the start message.
func (s *source) describe() string {
	return fmt.Sprintf("the users of %s", map[string]string{
		"ldap": "LDAP", "sql": "a database", "http": "a web service", "exec": "a program", "pam": "PAM",
	}[s.cfg.Kind()])
}

// useSources opens the sources of a configuration. They stay open to the end, because sessions
// that began before a reload still ask the old ones, whose connections end when they are idle.
func (r *run) useSources(cfg *config.Config) ([]*source, error) {
	sources, err := openSources(cfg, r.log)
	r.opened = append(r.opened, sources...)
	return sources, err
}

// probeSources looks after sources beside serving, until ctx is done.
func (r *run) probeSources(ctx context.Context, sources []*source) {
	for _, s := range sources {
		r.probes.Go(func() { s.probe(ctx) })
	}
}
