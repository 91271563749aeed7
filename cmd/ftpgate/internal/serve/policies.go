package serve

import (
	"fmt"
	"slices"

	"github.com/ftpgate/ftpgate/cmd/ftpgate/internal/config"
)

// checkPolicies refuses commands that there are not, which would make a policy mean
// something else than it says. The configuration has looked at its own already.
func checkPolicies(a *accounts) error {
	for u := range a.each {
		if u.Policy == nil {
			continue
		}
		for _, verb := range slices.Concat(u.Policy.Commands.Only, u.Policy.Commands.Never) {
			if err := config.CheckVerb(verb); err != nil {
				return fmt.Errorf("user %q: %w", u.Name, err)
			}
		}
	}
	return nil
}
