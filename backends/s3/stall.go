package s3

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"
)

// stallError ends a request on which nothing moved for too long; the SDK retries
// it.
type stallError struct{ after time.Duration }

func (e *stallError) Error() string   { return "nothing moved for " + e.after.String() }
func (e *stallError) Timeout() bool   { return true }
func (e *stallError) Temporary() bool { return true }

// stallGuard is an HTTP client that gives a request up when less of its body leaves,
// or of the answer comes, in the time stall than one byte, or than rate asks for. The
// caller's own pauses between reads of an answer do not count. Copies and completions,
// which the store may take minutes over, have the time slow instead.
type stallGuard struct {
	next        *http.Client
	stall, slow time.Duration
	rate        int64 // least bytes a second; 0: one byte
}

func (g *stallGuard) Do(req *http.Request) (*http.Response, error) {
	limit := g.stall
	if req.Method == http.MethodPost && req.URL.Query().Has("uploadId") || req.Header.Get("X-Amz-Copy-Source") != "" {
		limit = g.slow
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	stalled := &stallError{limit}
	w := &watch{
		limit: limit, need: max(1, int64(float64(g.rate)*g.stall.Seconds())),
		timer: time.AfterFunc(limit, func() { cancel(stalled) }), ctx: ctx, cancel: cancel, err: stalled,
	}
	req = req.WithContext(ctx)
	if req.Body != nil && req.Body != http.NoBody {
		req.Body = &watchedRequest{req.Body, w}
	}
	resp, err := g.next.Do(req)
	if err != nil {
		return nil, w.end(err)
	}
	w.answer()
	resp.Body = &watchedAnswer{resp.Body, w}
	return resp, nil
}

// watch is the timer of one request.
type watch struct {
	limit  time.Duration
	need   int64 // bytes that have to move in that time
	timer  *time.Timer
	ctx    context.Context
	cancel context.CancelCauseFunc
	err    *stallError

	mu       sync.Mutex
	moved    int64         // bytes in the present time
	left     time.Duration // of it, for the answer's body
	answered bool
}

// sent notes n bytes of the request's body. Its end is a sign of life too: then it is
// the store's turn.
func (w *watch) sent(n int, end bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.answered || w.ctx.Err() != nil {
		return
	}
	if w.moved += int64(n); w.moved >= w.need || end {
		w.moved = 0
		w.timer.Reset(w.limit)
	}
}

// answer begins the time of the answer's body, which runs while it is read.
func (w *watch) answer() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer.Stop()
	w.answered, w.moved, w.left = true, 0, w.limit
}

// received notes n bytes of the answer's body that took some of the time.
func (w *watch) received(n int, took time.Duration) {
	if w.moved += int64(n); w.moved >= w.need {
		w.moved, w.left = 0, w.limit
	} else {
		w.left = max(w.left-took, time.Millisecond)
	}
}

// end stops the watch and says what err really was.
func (w *watch) end(err error) error {
	w.timer.Stop()
	if err != nil && context.Cause(w.ctx) == error(w.err) {
		err = w.err
	}
	w.cancel(nil)
	return err
}

// watchedRequest is a request's body: what is read from it is a sign of life, and its
// end, since then the store is to answer.
type watchedRequest struct {
	io.ReadCloser
	w *watch
}

func (b *watchedRequest) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.w.sent(n, err != nil)
	return n, err
}

// watchedAnswer is an answer's body: the time runs only while it is read.
type watchedAnswer struct {
	body io.ReadCloser
	w    *watch
}

func (b *watchedAnswer) Read(p []byte) (int, error) {
	b.w.timer.Reset(b.w.left)
	start := time.Now()
	n, err := b.body.Read(p)
	b.w.timer.Stop()
	b.w.received(n, time.Since(start))
	if err != nil && err != io.EOF {
		err = b.w.end(err)
	}
	return n, err
}

func (b *watchedAnswer) Close() error {
	err := b.body.Close()
	b.w.end(nil)
	return err
}
