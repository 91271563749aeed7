package serve

import (
	"fmt"
	"slices"

	"github.com/ftpgate/ftpgate/auth"
	"github.com/ftpgate/ftpgate/cmd/ftpgate/internal/config"
)

// checkPolicies refuses commands that there are not, which would make a policy mean
// something else than it says. The configuration has looked at its own already.
func checkPolicies(a *accounts) error {
	for u := range a.each {
		if err := checkVerbs(u.Policy); err != nil {
			return fmt.Errorf("user %q: %w", u.Name, err)
		}
	}
	return nil
}

// checkVerbs refuses commands that there are not: a mistyped one would not be refused.
func checkVerbs(p *auth.Policy) error {
	if p == nil {
		return nil
	}
	for _, verb := range slices.Concat(p.Commands.Only, p.Commands.Never) {
		if err := config.CheckVerb(verb); err != nil {
			return err
		}
	}
	return nil
}
