package auth

import (
	"context"
	"errors"
	"time"
)

// Hold lets the refusals of next come at the earliest d after the attempt began, for
// sources that check passwords by themselves and may take longer for users whom
// they know: none of them tells by its time why. d must be longer than the source
// takes. Answers other than ErrDenied come at once.
func Hold(next Authenticator, d time.Duration) Authenticator { return &held{next, d} }

type held struct {
	next  Authenticator
	least time.Duration
}

func (h *held) Authenticate(ctx context.Context, a Attempt) (*Principal, error) {
	due := time.NewTimer(h.least)
	defer due.Stop()
	p, err := h.next.Authenticate(ctx, a)
	if errors.Is(err, ErrDenied) {
		select {
		case <-due.C:
		case <-ctx.Done():
		}
	}
	return p, err
}

// Recheck asks at once: nobody sees how long it takes.
func (h *held) Recheck(ctx context.Context, p *Principal) error {
	return recheck(ctx, h.next, p, time.Now)
}
