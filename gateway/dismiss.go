package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"github.com/ftpgate/ftpgate/auth"
)

// recheckTimeout is how long the source of accounts may take to say whether a user may
// still be here, recheckAgain when it is asked again after it could not.
const (
	recheckTimeout = 5 * time.Second
	recheckAgain   = 30 * time.Second
)

// expel ends the session: idle at its next command, a transfer at once. The caller
// holds Server.mu.
func (s *session) expel(cause error) {
	if s.expulsion == nil {
		s.expulsion = cause
		close(s.expelled)
	}
}

// dismiss finds out, before a command is run, whether the session has to end: because it
// was expelled, because the account has expired, or because a reload took it away.
func (s *session) dismiss() {
	switch {
	case s.dismissal != nil:
	case s.isExpelled():
		s.dismissal = s.expulsion
	case s.principal == nil:
		return
	case !s.principal.Expires.IsZero() && !time.Now().Before(s.principal.Expires):
		s.dismissal = errExpired
	default:
		if reloads := s.srv.reloads.Load().count; reloads != s.reloads && !time.Now().Before(s.recheckFrom) {
			select {
			case err := <-s.recheck():
				s.judged(err)
			case <-s.srv.forced:
			}
		}
	}
	if s.dismissal == nil {
		return
	}
	user := ""
	if s.principal != nil {
		user = s.principal.Name
	}
	s.log.Warn("session ended", "reason", s.dismissal)
	notify(s.cfg.Hooks.Dismissed, Dismissed{s.id, s.remote, user, s.dismissal})
}

func (s *session) isExpelled() bool {
	select {
	case <-s.expelled:
		return true
	default:
		return false
	}
}

// recheck asks the server's present source of accounts whether the user may still be
// here. The answer comes on the channel, and is for judged.
func (s *session) recheck() <-chan error {
	s.reloads = s.srv.reloads.Load().count
	source, principal := s.srv.cfg.Load().Auth, s.principal
	answer := make(chan error, 1)
	ctx, cancel := context.WithTimeout(s.ctx, recheckTimeout)
	go func() {
		defer cancel()
		defer func() {
			if p := recover(); p != nil {
				answer <- fmt.Errorf("panic: %v", p)
			}
		}()
		answer <- auth.Recheck(ctx, source, principal)
	}()
	return answer
}

// judged takes the answer of recheck. A source that can't be asked is asked again.
func (s *session) judged(err error) {
	switch {
	case err == nil, errors.Is(err, errors.ErrUnsupported): // nobody can tell
		s.recheckFrom = time.Time{}
	case errors.Is(err, auth.ErrDenied):
		s.dismissal = err
	default:
		s.log.Warn("it is not known whether the user may still be here", "err", err)
		s.reloads--
		s.recheckFrom = time.Now().Add(recheckAgain)
	}
}

// recheck is that of the session, while a worker runs.
func (a *attendance) recheck() {
	a.reloaded = a.s.srv.reloads.Load().next
	a.rechecked = a.s.recheck()
}

// dismiss ends the worker, and then the session.
func (a *attendance) dismiss(cause error) {
	if a.s.dismissal == nil {
		a.s.dismissal = cause
	}
	a.stop(errDismissed)
}

// pause puts off a reply. Nothing is held meanwhile but the session's own place.
func (s *session) pause(d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.srv.draining:
	case <-s.expelled:
	}
}

// pace slows down a session that sends more commands than Limits.CommandRate.
func (s *session) pace() {
	limit := s.cfg.Limits.CommandRate
	if limit <= 0 {
		return
	}
	if s.commands == nil {
		s.commands = rate.NewLimiter(rate.Limit(limit), limit)
	}
	now := time.Now()
	if d := s.commands.ReserveN(now, 1).DelayFrom(now); d > 0 {
		s.log.Debug("command put off: too many a second", "delay", d)
		s.pause(d)
	}
}

// sessionLimit is how many sessions the user may have; 0 or less: any number.
func (s *session) sessionLimit(p *auth.Principal) int {
	return cmp.Or(p.Sessions, s.cfg.Limits.PerUser)
}

// sharedRates are those that the user's sessions share, by what the server has now.
func (s *session) sharedRates(p *auth.Principal) Rates {
	r := s.srv.cfg.Load().Rates
	r.User = p.UserRate.Or(r.User)
	return r
}
