package s3

import (
	"context"
	"io"
	"net/http"
	"time"
)

// stallError ends a request on which nothing moved for too long; the SDK retries
// it.
type stallError struct{ after time.Duration }

func (e *stallError) Error() string   { return "nothing moved for " + e.after.String() }
func (e *stallError) Timeout() bool   { return true }
func (e *stallError) Temporary() bool { return true }

// stallGuard is an HTTP client that gives a request up when neither a byte of its
// body leaves nor one of the answer comes for the time stall. The caller's own
// pauses between reads of an answer do not count. Copies and completions, which
// the store may take minutes over, have the time slow instead.
type stallGuard struct {
	next        *http.Client
	stall, slow time.Duration
}

func (g *stallGuard) Do(req *http.Request) (*http.Response, error) {
	limit := g.stall
	if req.Method == http.MethodPost && req.URL.Query().Has("uploadId") || req.Header.Get("X-Amz-Copy-Source") != "" {
		limit = g.slow
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	stalled := &stallError{limit}
	w := &watch{limit: limit, timer: time.AfterFunc(limit, func() { cancel(stalled) }), ctx: ctx, cancel: cancel, err: stalled}
	req = req.WithContext(ctx)
	if req.Body != nil && req.Body != http.NoBody {
		req.Body = &watchedRequest{req.Body, w}
	}
	resp, err := g.next.Do(req)
	if err != nil {
		return nil, w.end(err)
	}
	w.timer.Stop()
	resp.Body = &watchedAnswer{resp.Body, w}
	return resp, nil
}

// watch is the timer of one request.
type watch struct {
	limit  time.Duration
	timer  *time.Timer
	ctx    context.Context
	cancel context.CancelCauseFunc
	err    *stallError
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

// watchedRequest is a request's body: each piece that is read from it is a sign of
// life.
type watchedRequest struct {
	io.ReadCloser
	w *watch
}

func (b *watchedRequest) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.w.ctx.Err() == nil {
		b.w.timer.Reset(b.w.limit)
	}
	return n, err
}

// watchedAnswer is an answer's body: the time runs only while it is read.
type watchedAnswer struct {
	body io.ReadCloser
	w    *watch
}

func (b *watchedAnswer) Read(p []byte) (int, error) {
	b.w.timer.Reset(b.w.limit)
	n, err := b.body.Read(p)
	b.w.timer.Stop()
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
