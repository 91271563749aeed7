package sftp

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

// pool holds the connections of one identity: the first carries the metadata, the
// others the transfers, each taking the one with the fewest. A server that allows
// but one connection gets both on it.
type pool struct {
	opt     Options
	breaker breaker
	life    context.Context // done when the pool is closed
	end     context.CancelCauseFunc
	tasks   sync.WaitGroup

	mu    sync.Mutex
	lines []*line
}

// line is the place of one connection.
type line struct {
	pool  *pool
	first bool
	busy  chan struct{} // holds a token while somebody connects

	// under pool.mu
	conn  *conn
	load  int // transfers
	timer *time.Timer
}

func newPool(o Options) *pool {
	p := &pool{opt: o, breaker: breaker{first: o.tuning.backoff, most: o.tuning.maxBackoff}}
	p.life, p.end = context.WithCancelCause(context.Background())
	for i := range o.Connections {
		p.lines = append(p.lines, &line{pool: p, first: i == 0, busy: make(chan struct{}, 1)})
	}
	return p
}

// run starts a goroutine that close waits for.
func (p *pool) run(f func()) { p.tasks.Go(f) }

// close ends all connections.
func (p *pool) close() {
	p.end(errClosed)
	p.mu.Lock()
	for _, l := range p.lines {
		if l.timer != nil {
			l.timer.Stop()
		}
		if l.conn != nil {
			l.conn.end(errClosed)
			l.conn.ssh.Close()
		}
	}
	p.mu.Unlock()
	p.tasks.Wait()
}

// metadata returns the wire of the first connection.
func (p *pool) metadata(ctx context.Context) (*wire, error) {
	var w *wire
	err := p.lines[0].use(ctx, func(c *conn) (err error) {
		w, err = c.metadata(ctx)
		return err
	})
	return w, err
}

// transfer returns a session, to be released.
func (p *pool) transfer(ctx context.Context) (*session, error) {
	l := p.enter()
	var s *session
	open := func(c *conn) (err error) {
		s, err = c.session()
		return err
	}
	err := l.use(ctx, open)
	if unreached := (*unreachable)(nil); errors.As(err, &unreached) && !l.first {
		// A server may limit connections: then an older one has to do.
		if other := p.enterOther(l); other != nil {
			l.leave()
			l, err = other, errLost
			if c := other.current(); c != nil {
				err = open(c)
			}
		}
	}
	if err != nil {
		l.leave()
		return nil, err
	}
	return s, nil
}

// enter counts one more transfer on the line that has the fewest, of these one that
// is connected.
func (p *pool) enter() *line {
	p.mu.Lock()
	defer p.mu.Unlock()
	lines := p.lines
	if len(lines) > 1 {
		lines = lines[1:]
	}
	best := lines[0]
	for _, l := range lines[1:] {
		if l.load < best.load || l.load == best.load && best.conn == nil && l.conn != nil {
			best = l
		}
	}
	best.load++
	return best
}

// enterOther does the same among the connected lines beside not.
func (p *pool) enterOther(not *line) *line {
	p.mu.Lock()
	defer p.mu.Unlock()
	var best *line
	for _, l := range p.lines {
		if l != not && l.conn != nil && l.conn.alive() && (best == nil || best.first || !l.first && l.load < best.load) {
			best = l
		}
	}
	if best != nil {
		best.load++
	}
	return best
}

// leave counts one transfer less. A line without transfers is closed after a while,
// the first never.
func (l *line) leave() {
	p := l.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.load--; l.load > 0 || l.first || p.life.Err() != nil {
		return
	}
	if l.timer == nil {
		l.timer = time.AfterFunc(p.opt.tuning.idle, l.rest)
	} else {
		l.timer.Reset(p.opt.tuning.idle)
	}
}

func (l *line) rest() {
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	if l.load == 0 && l.conn != nil {
		l.conn.end(errLost)
		l.conn.ssh.Close()
		l.conn = nil
	}
}

// current returns the connection if it is there.
func (l *line) current() *conn {
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	if l.conn != nil && l.conn.alive() {
		return l.conn
	}
	return nil
}

// use opens a session by do on the connection. One that is there may have ended
// without that this is known yet: a session of it that ended is the first sign, then
// none can be opened. Opening changes nothing, so it is done again.
func (l *line) use(ctx context.Context, do func(*conn) error) error {
	const tries = 3 // the third is on a new connection
	for try := 1; ; try++ {
		c, err := l.get(ctx)
		if err != nil {
			return err
		}
		if err = do(c); try == tries || err != errLost || ctx.Err() != nil {
			return err
		}
	}
}

// get returns the connection, and makes it if it is not there.
func (l *line) get(ctx context.Context) (*conn, error) {
	if c := l.current(); c != nil {
		return c, nil
	}
	p := l.pool
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(p.life, func() { cancel(errClosed) })()
	select {
	case l.busy <- struct{}{}:
		defer func() { <-l.busy }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if c := l.current(); c != nil {
		return c, nil
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if rest, err := p.breaker.open(); err != nil {
		return nil, &unreachable{p.opt.address(), err, rest}
	}
	c, err := p.dial(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		p.breaker.fail(err)
		p.opt.Logger.Warn("SFTP server unreachable", "address", p.opt.address(), "error", err)
		return nil, &unreachable{p.opt.address(), err, 0}
	}
	p.breaker.succeed()
	c.line = l
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.life.Err() != nil {
		c.ssh.Close()
		return nil, errClosed
	}
	l.conn = c
	return c, nil
}

// breaker keeps a server that can't be reached from being asked at every
// operation: after a failure the next ones fail at once for a while, which doubles
// with each further failure.
type breaker struct {
	first, most time.Duration

	mu    sync.Mutex
	pause time.Duration
	until time.Time
	err   error
}

// open returns the last failure and for how long it stands.
func (b *breaker) open() (rest time.Duration, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if rest := time.Until(b.until); b.err != nil && rest > 0 {
		return rest, b.err
	}
	return 0, nil
}

func (b *breaker) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pause = min(max(b.first, 2*b.pause), b.most)
	// Gateways that lost one server together should not come back together.
	jitter := time.Duration(rand.Int64N(int64(b.pause)/4 + 1))
	b.until, b.err = time.Now().Add(b.pause-jitter), err
}

func (b *breaker) succeed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pause, b.err = 0, nil
}

// wait waits until the breaker lets the next try through, and at least for the
// first pause.
func (b *breaker) wait(ctx context.Context) error {
	rest, _ := b.open()
	t := time.NewTimer(max(rest, b.first))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// ask runs do on the metadata connection. again says that do may be done twice: then
// it is repeated once on a new connection if the first broke.
func (p *pool) ask(ctx context.Context, again bool, do func(*wire) error) error {
	for {
		w, err := p.metadata(ctx)
		if err == nil {
			err = do(w)
		}
		if !again || ctx.Err() != nil || !errors.Is(err, errLost) {
			return cancelled(ctx, err)
		}
		again = false
	}
}

// persist runs do, which may be done twice, on one metadata connection after the
// other until it gets an answer or ctx is done.
func (p *pool) persist(ctx context.Context, do func(*wire) error) error {
	for {
		err := p.ask(ctx, true, do)
		if !passing(err) {
			return err
		}
		if p.breaker.wait(ctx) != nil {
			return err
		}
	}
}
