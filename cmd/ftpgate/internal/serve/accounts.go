package serve

import (
	"fmt"

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
}

// mayWrite reports whether anybody may do more than read.
func (a *accounts) mayWrite() bool {
	for u := range a.each {
		if u.Policy.Writes() {
			return true
		}
	}
	return a.anonymous != nil && a.anonymous.Writes()
}

// loadAccounts reads the users of the configuration and of the users files.
func loadAccounts(cfg *config.Config, gate *auth.Gate) (*accounts, error) {
	policy := &auth.Policy{Permissions: auth.ReadOnly}
	if cfg.Write {
		policy.Permissions = auth.ReadWrite
	}
	if err := cfg.Policy.Apply(policy); err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	defaults := auth.Account{Settings: auth.Settings{Policy: policy}}
	a := &accounts{clients: cfg.TLS.ClientCertificates}
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
	anonymous := len(cfg.Users)+len(cfg.UsersFiles) == 0
	if cfg.Anonymous != nil {
		anonymous = *cfg.Anonymous
	}
	if anonymous {
		a.anonymous = policy
		chain = append(chain, auth.Anonymous(policy))
	}
	if !anonymous && a.count() == 0 {
		return nil, fmt.Errorf("nobody could log in; add users with --user or a users file, or allow --anonymous")
	}
	a.passwords = gate.Chain(chain...)
	a.chain = withCertificates(&a.clients, a.passwords)
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
