package gateway

import (
	"context"
	"time"

	"golang.org/x/time/rate"

	"github.com/ftpgate/ftpgate/auth"
)

// maxChunk is how much a transfer moves between two looks at its deadline, its
// rate and its context.
const maxChunk = 1 << 20

// Rates limit transfers and listings, each direction by itself. Those who share a rate
// take turns in small chunks, so that each gets as much as the others, and who is
// slower than that leaves the rest to them. A zero rate, or a negative one, is no
// limit.
type Rates struct {
	// Session is that of each session; a principal's own wins, if it says anything.
	Session auth.Rates
	// User is that of all sessions of each user together; a principal's own wins.
	User auth.Rates
	// Address is that of all sessions of an IPv4 address or IPv6 /64 together.
	Address auth.Rates
	// Total is that of all sessions.
	Total auth.Rates
}

// bucket is one limit of one direction, for one session or for several. Its zero
// value does not limit.
type bucket struct{ limiter *rate.Limiter }

// set allows bytes a second from now on, of which chunk move at once.
func (b *bucket) set(bytes, chunk int64) {
	if bytes <= 0 {
		if b.limiter != nil {
			b.limiter.SetLimit(rate.Inf)
		}
		return
	}
	burst := int(min(max(chunk, 512), maxChunk))
	if b.limiter == nil {
		b.limiter = rate.NewLimiter(rate.Limit(bytes), burst)
		return
	}
	if b.limiter.Limit() != rate.Limit(bytes) {
		b.limiter.SetBurst(burst)
		b.limiter.SetLimit(rate.Limit(bytes))
	}
}

// own are the buckets of one session: a tenth of a second's bytes move at once.
func own(r auth.Rates) (up, down bucket) {
	up.set(r.Up, r.Up/10)
	down.set(r.Down, r.Down/10)
	return up, down
}

// throttle limits one direction of a session by all of its limiters; without any it
// does not. It waits between chunks, never inside a reader or writer, so that the
// kernel can copy.
type throttle []*rate.Limiter

// newThrottle joins the buckets that limit.
func newThrottle(buckets ...bucket) throttle {
	var t throttle
	for _, b := range buckets {
		if b.limiter != nil {
			t = append(t, b.limiter)
		}
	}
	return t
}

// size is how much to move next: what the narrowest limiter gives at once.
func (t throttle) size() int64 {
	size := int64(maxChunk)
	for _, l := range t {
		if l.Limit() != rate.Inf {
			size = min(size, int64(l.Burst()))
		}
	}
	return size
}

// wait blocks until n bytes, which have been moved, are within every rate.
func (t throttle) wait(ctx context.Context, n int64) error {
	now := time.Now()
	var delay time.Duration
	for _, l := range t {
		if l.Limit() == rate.Inf {
			continue
		}
		for left := n; left > 0; {
			step := min(left, int64(l.Burst()))
			if r := l.ReserveN(now, int(step)); r.OK() { // else the rate has just changed
				delay = max(delay, r.DelayFrom(now))
				left -= step
			}
		}
	}
	if delay <= 0 {
		return nil
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
