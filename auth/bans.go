package auth

import (
	"container/list"
	"context"
	"net/netip"
	"sync"
	"time"
)

// Bans counts what hosts do wrong, and keeps them out for a time. Several servers may
// share one. The methods may be called concurrently; an error means that nothing is
// known right now, and keeps nobody out.
type Bans interface {
	// Add adds points to the score of host, and returns until when it is banned; the
	// zero time says that it is not. fresh is true for the call that banned it.
	Add(ctx context.Context, host netip.Prefix, points int) (until time.Time, fresh bool, err error)
	// Banned returns until when host is banned; the zero time says that it is not.
	Banned(ctx context.Context, host netip.Prefix) (until time.Time, err error)
	// Ban keeps host out until then. The zero time lifts its ban and forgets its score.
	Ban(ctx context.Context, host netip.Prefix, until time.Time) error
}

// HostOf is what counts as one host: an IPv4 address, also where it is mapped to IPv6,
// or an IPv6 /64, of which one customer has at least one. Of ::1 it is all of it.
func HostOf(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	bits := addr.BitLen()
	if addr.Is6() && !addr.IsLoopback() {
		bits = 64
	}
	p, _ := addr.Prefix(bits)
	return p
}

// BanOptions say when a host is banned. A zero field means its default.
type BanOptions struct {
	// Score is how many points ban a host; default 100.
	Score int
	// Window is how long it takes until Score points are forgotten; scores fall
	// evenly. Default 10 min.
	Window time.Duration
	// For is how long a ban lasts; default 30 min.
	For time.Duration
	// Hosts is how many hosts with a score are known at most, and how many with a ban;
	// default 65,536. Beyond, those are forgotten first that did nothing for longest.
	Hosts int
}

func (o BanOptions) withDefaults() BanOptions {
	if o.Score <= 0 {
		o.Score = 100
	}
	if o.Window <= 0 {
		o.Window = 10 * time.Minute
	}
	if o.For <= 0 {
		o.For = 30 * time.Minute
	}
	if o.Hosts <= 0 {
		o.Hosts = 65_536
	}
	return o
}

// MemoryBans are Bans in memory. A host costs about 200 bytes.
type MemoryBans struct {
	mu     sync.Mutex
	opt    BanOptions
	hosts  map[netip.Prefix]*list.Element // of *offender, in one of the lists
	scored *list.List                     // the longest quiet first
	banned *list.List
}

type offender struct {
	host  netip.Prefix
	score float64
	at    time.Time // when score was right
	until time.Time // of the ban; zero: not banned
}

var _ Bans = (*MemoryBans)(nil)

// NewMemoryBans returns an empty MemoryBans.
func NewMemoryBans(opt BanOptions) *MemoryBans {
	return &MemoryBans{opt: opt.withDefaults(), hosts: map[netip.Prefix]*list.Element{}, scored: list.New(), banned: list.New()}
}

// SetOptions changes what later calls go by; bans that there are stay as they are.
func (b *MemoryBans) SetOptions(opt BanOptions) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.opt = opt.withDefaults()
	b.trim()
}

// Add adds points, unless host is banned already.
func (b *MemoryBans) Add(_ context.Context, host netip.Prefix, points int) (time.Time, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	o := b.known(host, now)
	switch {
	case o == nil && points <= 0:
		return time.Time{}, false, nil
	case o == nil:
		o = &offender{host: host}
		b.hosts[host] = b.scored.PushBack(o)
	case !o.until.IsZero():
		return o.until, false, nil
	default:
		o.score = max(0, o.score-float64(b.opt.Score)*float64(now.Sub(o.at))/float64(b.opt.Window))
		b.scored.MoveToBack(b.hosts[host])
	}
	o.score, o.at = o.score+float64(points), now
	if o.score >= float64(b.opt.Score) {
		b.ban(o, now.Add(b.opt.For))
	}
	b.trim()
	return o.until, !o.until.IsZero(), nil
}

// Banned is Bans.Banned.
func (b *MemoryBans) Banned(_ context.Context, host netip.Prefix) (time.Time, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if o := b.known(host, time.Now()); o != nil {
		return o.until, nil
	}
	return time.Time{}, nil
}

// Ban is Bans.Ban.
func (b *MemoryBans) Ban(_ context.Context, host netip.Prefix, until time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	o := b.known(host, now)
	if !now.Before(until) {
		if o != nil {
			b.forget(o)
		}
		return nil
	}
	if o == nil {
		o = &offender{host: host}
		b.hosts[host] = b.scored.PushBack(o)
	}
	b.ban(o, until)
	b.trim()
	return nil
}

// known is what is known of host at now; nil: nothing.
func (b *MemoryBans) known(host netip.Prefix, now time.Time) *offender {
	e := b.hosts[host]
	if e == nil {
		return nil
	}
	o := e.Value.(*offender)
	if !o.until.IsZero() && !now.Before(o.until) {
		b.forget(o)
		return nil
	}
	return o
}

func (b *MemoryBans) listOf(o *offender) *list.List {
	if o.until.IsZero() {
		return b.scored
	}
	return b.banned
}

func (b *MemoryBans) forget(o *offender) {
	b.listOf(o).Remove(b.hosts[o.host])
	delete(b.hosts, o.host)
}

func (b *MemoryBans) ban(o *offender, until time.Time) {
	b.listOf(o).Remove(b.hosts[o.host])
	o.until = until
	b.hosts[o.host] = b.banned.PushBack(o)
}

// trim forgets hosts that are too many. A flood of new ones pushes out no ban.
func (b *MemoryBans) trim() {
	for _, l := range [...]*list.List{b.scored, b.banned} {
		for l.Len() > b.opt.Hosts {
			b.forget(l.Front().Value.(*offender))
		}
	}
}
