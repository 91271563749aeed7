package gateway

import (
	"net/netip"
	"sync"

	"github.com/ftpgate/ftpgate/auth"
)

// share is what sessions of one user, or of one host, have in common.
type share struct {
	sessions int // logged in
	up, down bucket
}

// set allows r to all sessions of the share together. What moves at once is little,
// so that many can take turns.
func (s *share) set(r auth.Rates) {
	s.up.set(r.Up, r.Up/50)
	s.down.set(r.Down, r.Down/50)
}

// shares are those of the sessions that are logged in.
type shares struct {
	mu    sync.Mutex
	users map[string]*share
	hosts map[netip.Prefix]*share
	total share
}

func newShares() *shares {
	return &shares{users: map[string]*share{}, hosts: map[netip.Prefix]*share{}}
}

// seat is a session's place among those of its user.
type seat struct {
	of       *shares
	userName string
	host     netip.Prefix
	user     *share
}

// join counts a session of user in, and returns its two throttles; it is false when
// the user has as many sessions as limit allows.
func (s *shares) join(user string, host netip.Prefix, limit int, rates Rates) (*seat, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[user]
	if u != nil && limit > 0 && u.sessions >= limit {
		return nil, false
	}
	if u == nil {
		u = &share{}
		s.users[user] = u
	}
	h := s.hosts[host]
	if h == nil {
		h = &share{}
		s.hosts[host] = h
	}
	u.sessions++
	h.sessions++
	u.set(rates.User)
	h.set(rates.Address)
	s.total.set(rates.Total)
	return &seat{of: s, userName: user, host: host, user: u}, true
}

// throttles are the session's own limits, with those that it shares.
func (p *seat) throttles(rates auth.Rates) (up, down throttle) {
	p.of.mu.Lock()
	defer p.of.mu.Unlock()
	ownUp, ownDown := own(rates)
	h := p.of.hosts[p.host]
	return newThrottle(ownUp, p.user.up, h.up, p.of.total.up), newThrottle(ownDown, p.user.down, h.down, p.of.total.down)
}

// leave counts the session out. It is called once.
func (p *seat) leave() {
	p.of.mu.Lock()
	defer p.of.mu.Unlock()
	if p.user.sessions--; p.user.sessions == 0 {
		delete(p.of.users, p.userName)
	}
	h := p.of.hosts[p.host]
	if h.sessions--; h.sessions == 0 {
		delete(p.of.hosts, p.host)
	}
}

// from is how many sessions of host are logged in.
func (s *shares) from(host netip.Prefix) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.hosts[host]; h != nil {
		return h.sessions
	}
	return 0
}
