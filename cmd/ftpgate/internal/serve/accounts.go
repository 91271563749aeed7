package serve

import (
	"fmt"
	"time"

	"github.com/ftpgate/ftpgate/auth"
	"github.com/ftpgate/ftpgate/cmd/ftpgate/internal/config"
)

// accounts are who may log in.
type accounts struct {
	chain     auth.Authenticator // what clients are asked for
	passwords auth.Authenticator // chain without the certificates of clients
	clients   config.ClientCertificates
	sources   []*auth.Users // in the order in which they are asked
	anonymous *auth.Policy  // nil: refused
	outside   []*source     // asked after all of these
}

// mayWrite reports whether anybody may do more than read.
func (a *accounts) mayWrite() bool {
	for u := range a.each {
		if u.Policy.Writes() {
			return true
		}
	}
	// What sources outside will say is not known.
	return a.anonymous != nil && a.anonymous.Writes() || len(a.outside) > 0
}

// defaultAccount is what holds for users who have nothing of their own.
func defaultAccount(cfg *config.Config) (auth.Account, error) {
	policy := &auth.Policy{Permissions: auth.ReadOnly}
	if cfg.Write {
		policy.Permissions = auth.ReadWrite
	}
	account := auth.Account{Settings: auth.Settings{Policy: policy}}
	if err := cfg.Policy.Apply(policy); err != nil {
		return account, fmt.Errorf("policy: %w", err)
	}
	return account, nil
}

// loadAccounts reads the users of the configuration and of the users files, and
// puts the sources outside behind them.
func loadAccounts(cfg *config.Config, gate *auth.Gate, outside []*source) (*accounts, error) {
	defaults, err := defaultAccount(cfg)
	if err != nil {
		return nil, err
	}
	a := &accounts{clients: cfg.TLS.ClientCertificates, outside: outside}
	list, err := cfg.Accounts(defaults)
	if err != nil {
		return nil, err
	}
	named, err := auth.NewUsers(list...)
	if err != nil {
		return nil, fmt.Errorf("users: %w", err)
	}
	a.sources = append(a.sources, named)
	for _, path := range cfg.UsersFiles {
		users, err := auth.LoadUsers(string(path), defaults)
		if err != nil {
			return nil, err
		}
		a.sources = append(a.sources, users)
	}
	if err := checkPolicies(a); err != nil {
		return nil, err
	}
	var chain []auth.Authenticator
	for _, s := range a.sources {
		chain = append(chain, s)
	}
	// An empty users file is a mistake rather than an invitation.
	anonymous := len(cfg.Users)+len(cfg.UsersFiles)+len(outside) == 0
	if cfg.Anonymous != nil {
		anonymous = *cfg.Anonymous
	}
	if anonymous {
		a.anonymous = defaults.Policy
		chain = append(chain, auth.Anonymous(a.anonymous))
	}
	for _, s := range outside {
		chain = append(chain, s.checked)
	}
	if !anonymous && a.count()+len(outside) == 0 {
		return nil, fmt.Errorf("nobody could log in; add users with --user or a users file, or allow --anonymous")
	}
	a.passwords = gate.Chain(chain...)
	a.chain = a.passwords
	if hold := time.Duration(cfg.Timeouts.Refusal); hold > 0 && len(outside) > 0 {
		a.chain = auth.Hold(a.chain, hold)
	}
	a.chain = withCertificates(&a.clients, a.chain)
	return a, nil
}

// count is the number of users that have a name.
func (a *accounts) count() int {
	n := 0
	for _, s := range a.sources {
		n += s.Len()
	}
	return n
}

// each calls yield for every user, unless an earlier source has the name.
func (a *accounts) each(yield func(auth.Account) bool) {
	seen := map[string]bool{}
	for _, s := range a.sources {
		for u := range s.Accounts {
			if seen[u.Name] {
				continue
			}
			seen[u.Name] = true
			if !yield(u) {
				return
			}
		}
	}
}
