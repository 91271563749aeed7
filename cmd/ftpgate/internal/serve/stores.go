package serve

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/ftpgate/ftpgate/vfs"
)

// stores opens each store once and shares it among sessions.
type stores struct {
	open   func(ctx context.Context, url string) (vfs.FS, io.Closer, error)
	idle   time.Duration // how long a store stays open that nobody uses; negative: for ever
	ledger ledgerPlace
	sweeps bool // whether to look for expired uploads
	log    *slog.Logger

	ctx    context.Context // of openings; done once the stores are closed
	cancel context.CancelCauseFunc
	work   sync.WaitGroup // openings and closings

	mu     sync.Mutex
	byKey  map[string]*store
	closed bool
}

// store is one that is open, or about to be.
type store struct {
	key    string
	url    string
	memory bool
	opened chan struct{} // closed when fs or err is there
	err    error
	fs     vfs.FS
	closer io.Closer
	sweep  func() // stops it

	// Under stores.mu.
	users   int
	keep    bool // open until the end
	timer   *time.Timer
	ledgers map[string]*ledger // by directory
}

func newStores(open func(context.Context, string) (vfs.FS, io.Closer, error), idle time.Duration, log *slog.Logger) *stores {
	s := &stores{open: open, idle: idle, log: log, byKey: map[string]*store{}}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	return s
}

// errClosing is for who logs in while ftpgate ends.
var errClosing = errors.New("ftpgate is stopping")

// acquire returns the store of url, which is open until release is called, and
// keeps it open then for a while, or with keep until the end. A memory is always kept: closing
// would lose its files.
func (s *stores) acquire(ctx context.Context, place, url string, keep bool) (*store, func(), error) {
	key, memory := url, strings.HasPrefix(strings.ToLower(url), "mem:")
	if memory { // each place has one of its own
		key = place + " " + url
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, nil, errClosing
	}
	st := s.byKey[key]
	if st == nil {
		st = &store{key: key, url: url, memory: memory, keep: memory, opened: make(chan struct{}), ledgers: map[string]*ledger{}}
		s.byKey[key] = st
		s.work.Go(func() { s.begin(st) })
	}
	st.users++
	st.keep = st.keep || keep
	if st.timer != nil {
		st.timer.Stop()
		st.timer = nil
	}
	s.mu.Unlock()
	release := sync.OnceFunc(func() { s.release(st) })
	var err error
	select {
	case <-st.opened:
		err = st.err
	case <-ctx.Done(): // the next one may find it open
		err = context.Cause(ctx)
	}
	if err != nil {
		release()
		return nil, nil, err
	}
	return st, release, nil
}

// openTime bounds the opening of a store.
const openTime = time.Minute

func (s *stores) begin(st *store) {
	ctx, cancel := context.WithTimeout(s.ctx, openTime)
	defer cancel()
	st.fs, st.closer, st.err = s.open(ctx, st.url)
	s.mu.Lock()
	defer s.mu.Unlock()
	if st.err != nil { // not remembered: it may work the next time
		delete(s.byKey, st.key)
	} else if s.sweeps {
		st.sweep = sweep(st.fs, s.log)
	}
	close(st.opened)
}

func (s *stores) release(st *store) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.users--
	if st.users > 0 || st.keep || s.idle < 0 || s.closed || s.byKey[st.key] != st {
		return
	}
	st.timer = time.AfterFunc(s.idle, func() {
		s.mu.Lock()
		if s.closed || st.users > 0 || st.timer == nil || s.byKey[st.key] != st {
			s.mu.Unlock()
			return
		}
		delete(s.byKey, st.key)
		s.work.Add(1)
		s.mu.Unlock()
		defer s.work.Done()
		s.end(st)
	})
}

// end closes a store that nobody can find any more.
func (s *stores) end(st *store) {
	<-st.opened
	if st.err != nil {
		return
	}
	if st.sweep != nil {
		st.sweep()
	}
	for _, l := range st.ledgers {
		l.close()
	}
	if err := st.closer.Close(); err != nil {
		s.log.Error("closing a store failed", "store", redacted(st.url), "err", err)
	}
}

// close closes all stores; nobody may use them any more.
func (s *stores) close() {
	s.mu.Lock()
	s.closed = true
	all := s.byKey
	s.byKey = map[string]*store{}
	for _, st := range all {
		if st.timer != nil {
			st.timer.Stop()
		}
	}
	s.mu.Unlock()
	s.cancel(errClosing)
	for _, st := range all {
		s.end(st)
	}
	s.work.Wait()
}
