package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/ftpgate/ftpgate/gateway/wire"
)

// task is a worker: the goroutine that runs one command beside the session's
// owner. It speaks to the owner by events alone, and never writes a reply.
type task struct {
	c       *call
	cancel  context.CancelCauseFunc
	events  chan event
	verdict chan error    // the owner's answer to evEnded: nil commits
	gone    chan struct{} // closed when the owner stopped listening
	bytes   atomic.Int64  // moved on the data connection

	// The owner's own.
	state   taskState
	stopped error // cause given to cancel
}

type taskState uint8

const (
	running    taskState = iota
	ended                // the data of an upload has ended; the owner decides
	committing           // the owner has said commit
	answered             // the client has its replies already (ABOR)
)

type eventKind uint8

const (
	evReply eventKind = iota // a reply before the last (150)
	evText                   // part of a long reply, with its line ends
	evEnded                  // an upload's data ended cleanly
	evDone
)

type event struct {
	kind   eventKind
	reply  wire.Reply
	text   []byte // evText; reply has its code
	proved bool   // evEnded: it is known that the data is whole
	err    error
}

// tell hands an event to the owner, or drops it when nobody listens any more.
func (t *task) tell(e event) bool {
	select {
	case t.events <- e:
		return true
	case <-t.gone:
		return false
	}
}

// work runs the handler.
func (t *task) work(s *session) {
	var r wire.Reply
	var err error
	func() {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			}
		}()
		r, err = t.c.row.run(s, t.c)
	}()
	t.tell(event{kind: evDone, reply: r, err: err})
}

// lazyReader is how long a worker may run before the control connection is read
// beside it. Most commands are quicker, and cost no second goroutine.
const lazyReader = time.Millisecond

// lines is the goroutine that reads the control connection while a worker runs:
// one line a token.
type lines struct {
	tokens chan struct{}
	got    chan lineRead
}

type lineRead struct {
	line string
	err  error
}

func (s *session) readLines() *lines {
	l := &lines{tokens: make(chan struct{}, 1), got: make(chan lineRead, 1)}
	_ = s.conn.SetReadDeadline(time.Time{})
	go func() {
		defer close(l.got)
		for range l.tokens {
			line, err := s.in.ReadLine()
			l.got <- lineRead{line, err}
			if err != nil {
				return
			}
		}
	}()
	return l
}

// attendance is the owner's state while it attends to a worker.
type attendance struct {
	s       *session
	t       *task
	lines   *lines
	token   bool             // the reader has been asked for a line
	quit    bool             // QUIT is in the queue
	lost    bool             // the control connection has ended
	opened  bool             // a reply before the last (150) has been sent
	begun   int              // code of a reply that has begun; 0: none
	watch   <-chan time.Time // until an upload's end counts as clean
	abandon <-chan time.Time

	reloaded  <-chan struct{} // Server.Reload
	rechecked <-chan error    // whether the user may still be here
}

// attend starts the worker of c and serves the control connection until it has
// finished, or until it is given up.
func (s *session) attend(c *call) {
	ctx, cancel := context.WithCancelCause(s.ctx)
	defer cancel(nil)
	t := &task{c: c, cancel: cancel, events: make(chan event), verdict: make(chan error, 1), gone: make(chan struct{})}
	c.Context, c.task = ctx, t
	s.task = t
	defer func() { s.task = nil }()
	if c.row.need&needData != 0 {
		c.endpoint, s.endpoint = s.endpoint, nil
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		t.work(s)
	}()
	a := &attendance{s: s, t: t}
	if !a.loop() {
		a.giveUp(done)
	}
}

// loop is false when the worker did not come back after it was cancelled.
func (a *attendance) loop() bool {
	s, t := a.s, a.t
	defer a.stopReading()
	lazy := time.NewTimer(lazyReader)
	defer lazy.Stop()
	forced, expelled := s.srv.forced, s.expelled
	if s.principal != nil {
		a.reloaded = s.srv.reloads.Load().next
	}
	for {
		var got <-chan lineRead
		if a.lines != nil {
			if !a.token && !a.quit && !a.lost && len(s.queue) < maxQueue {
				a.token = true
				a.lines.tokens <- struct{}{}
			}
			got = a.lines.got
		}
		select {
		case e := <-t.events:
			if e.kind == evDone {
				a.stopReading() // what was read meanwhile belongs before the reply's effects
				a.done(e)
				return true
			}
			a.event(e)
		case l, open := <-got:
			if a.token = false; !open {
				a.lines = nil
			} else {
				a.line(l)
			}
		case <-lazy.C:
			a.read()
		case <-a.watch:
			a.watch = nil
			if hungUp(s.raw) { // the reader has not come to it yet
				a.controlLost()
			} else {
				a.decide(nil)
			}
		case <-forced:
			forced = nil
			a.stop(errShutdown)
		case <-expelled:
			expelled = nil
			a.dismiss(s.expulsion)
		case <-a.reloaded:
			a.recheck()
		case err := <-a.rechecked:
			a.rechecked = nil
			if s.judged(err); s.dismissal != nil {
				a.dismiss(s.dismissal)
			}
		case <-a.abandon:
			return false
		}
	}
}

// read starts the reader, once.
func (a *attendance) read() {
	if a.lines == nil && !a.lost && a.s.readErr == nil {
		a.lines = a.s.readLines()
	}
}

// stopReading takes the control connection back. A line that was complete is
// queued; one that was not stays in the LineReader.
func (a *attendance) stopReading() {
	if a.lines == nil {
		return
	}
	close(a.lines.tokens)
	_ = a.s.conn.SetReadDeadline(time.Unix(1, 0))
	for l := range a.lines.got {
		switch {
		case l.err == nil:
			a.s.queue = append(a.s.queue, l.line)
		case !errors.Is(l.err, os.ErrDeadlineExceeded):
			a.s.readErr = l.err
		}
	}
	a.lines = nil
}

func (a *attendance) event(e event) {
	if a.t.state == answered {
		return
	}
	switch e.kind {
	case evReply:
		a.opened = true
		a.s.send(e.reply)
	case evText:
		a.begun = e.reply.Code
		a.s.write(e.text)
	case evEnded:
		a.dataEnded(e.proved)
	}
	if a.s.broken && a.t.state == running {
		a.controlLost()
	}
}

// done is the end of the worker.
func (a *attendance) done(e event) {
	s, t := a.s, a.t
	if e.err != nil && t.stopped != nil {
		e.err = t.stopped
	}
	if t.state == answered {
		if e.err != nil {
			s.log.Debug("aborted command ended", "command", t.c.row.verb, "err", e.err)
		}
		return
	}
	if e.err != nil && a.begun != 0 { // a reply that has begun ends with its own code
		e.reply, e.err = reply(a.begun, s.explain(t.c, e.err).Lines...), nil
	}
	s.finish(t.c, e.reply, e.err)
}

// stop cancels the worker, unless it is committing: then its end is near, and
// its own.
func (a *attendance) stop(cause error) {
	if a.abandon == nil && a.s.cfg.Timeouts.Abandon > 0 {
		a.abandon = time.After(a.s.cfg.Timeouts.Abandon)
	}
	if a.t.state == committing || a.t.stopped != nil {
		return
	}
	a.watch = nil
	a.t.stopped = cause
	a.t.cancel(cause)
}

// giveUp leaves a worker behind that ignores its context; the session ends.
func (a *attendance) giveUp(done <-chan struct{}) {
	s := a.s
	s.log.Error("worker does not react to being cancelled, session ends", "command", a.t.c.row.verb, "path", display(a.t.c.name))
	release := s.release
	s.release = nil
	s.srv.abandoned.Add(1)
	a.t.cancel(errShutdown)
	close(a.t.gone)
	go func() {
		<-done
		s.srv.abandoned.Add(-1)
		for _, undo := range a.t.c.discards {
			undo()
		}
		if release != nil {
			release()
		}
	}()
	s.ending = true
	s.send(reply(421, "The storage does not answer; closing."))
}

// line is what the client sent while the worker runs.
func (a *attendance) line(l lineRead) {
	s, t := a.s, a.t
	switch {
	case errors.Is(l.err, os.ErrDeadlineExceeded): // Server.Shutdown woke the reader
		a.stopReading()
		a.read()
		return
	case l.err != nil:
		s.readErr = l.err
		a.controlLost()
		return
	}
	verb, text, given := wire.SplitCommand(l.line)
	during := queued
	if row, _, _ := s.lookup(verb, text, given); row != nil {
		during = row.during
	}
	if t.state == ended && during != aborts {
		a.decide(nil) // the client is alive, and has gone on
	}
	switch {
	case during == aborts && t.c.row.flow >= transfer && (t.state == running || t.state == ended):
		a.abort(l.line)
	case during == immediate && len(s.queue) == 0 && a.opened:
		// Before 150 a client that pipelines would take it for the answer to the
		// command that is running.
		s.dispatch(l.line)
	default:
		a.quit = a.quit || during == quits
		s.queue = append(s.queue, l.line)
	}
}

// abort is ABOR during a transfer or a long reply (RFC 959 4.1.3): the client is
// answered at once, whatever the store is doing. Lines that came before ABOR are
// answered before its own reply.
func (a *attendance) abort(line string) {
	s := a.s
	a.stop(errAborted)
	a.t.state = answered
	switch {
	case a.begun != 0: // the reply that was being sent has to end with its own code
		s.send(reply(a.begun, "Aborted."))
	default:
		r, _ := replyFor(errAborted, false, "")
		s.send(r)
	}
	if len(s.queue) > 0 {
		s.queue = append(s.queue, line)
		return
	}
	s.dispatch(line)
}

// controlLost is the end of the control connection. After QUIT it is expected.
// What only reads is stopped; what changes the store and has begun is finished.
func (a *attendance) controlLost() {
	a.lost = true
	row := a.t.c.row
	switch {
	case a.quit:
	case a.t.state == ended:
		if a.s.commitsOnControlLost() {
			a.decide(nil)
		} else {
			a.decide(errControlLost)
		}
	case row.flow == transfer && row.creates && a.s.commitsOnControlLost() && errors.Is(a.s.readErr, io.EOF):
	case row.flow == work && row.op != "" && row.op.Mutates():
	default:
		a.stop(errControlLost)
	}
}

// dataEnded decides whether the clean end of an upload's data is the end of the
// file. A killed client's data connection ends just as cleanly, and its control
// connection a moment later: unless something proves that the client is alive,
// that moment is waited for.
func (a *attendance) dataEnded(proved bool) {
	a.t.state = ended
	switch {
	case a.t.stopped != nil:
		a.decide(a.t.stopped)
	case proved || a.quit || len(a.s.queue) >= maxQueue:
		a.decide(nil)
	case a.lost || a.s.readErr != nil:
		a.controlLost()
	default:
		a.read()
		a.watch = time.After(min(max(2*roundTrip(a.s.raw), 300*time.Microsecond), 100*time.Millisecond))
	}
}

// decide tells the worker how the upload ends; nil commits.
func (a *attendance) decide(err error) {
	if a.t.state != ended {
		return
	}
	a.watch = nil
	if err == nil {
		a.t.state = committing
	} else {
		a.t.state = running
		if errors.Is(err, errControlLost) {
			a.s.log.Warn("upload not committed: the control connection was lost right after the data ended (uploads.control_lost: commit accepts such clients)",
				"path", display(a.t.c.name))
		}
	}
	a.t.verdict <- err
}
