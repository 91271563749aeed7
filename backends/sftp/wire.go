package sftp

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"time"
)

// maxAnswer bounds one packet of the server; OpenSSH's are at most 256 KiB.
const maxAnswer = 4 << 20

// wire is an SFTP session for everything but the bytes of files: requests with a
// deadline, listings that stream, and the extensions for which pkg/sftp has no call.
// Its methods may be called concurrently; requests that were sent in an order are
// answered in that order by every server that has one process a session.
type wire struct {
	ext     map[string]string // extensions of the server, by name
	timeout time.Duration     // of one request
	stuck   func()            // called when an answer does not come in time
	out     chan []byte
	dead    chan struct{} // closed when the session has ended

	mu      sync.Mutex
	next    uint32
	waiting map[uint32]chan answer // nil: nobody wants the answer any more
}

// newWire greets the server over rw. run starts a goroutine. Closing rw ends the
// wire, and so does the server.
func newWire(rw io.ReadWriter, timeout time.Duration, stuck func(), run func(func())) (*wire, error) {
	in := bufio.NewReaderSize(rw, 64<<10)
	if _, err := rw.Write([]byte{0, 0, 0, 5, packetInit, 0, 0, 0, 3}); err != nil {
		return nil, errLost
	}
	a, err := readAnswer(in)
	if err != nil {
		return nil, err
	}
	if version := a.u32(); a.kind != packetVersion || a.bad || version != 3 {
		return nil, fmt.Errorf("the server speaks version %d of SFTP, and not 3", version)
	}
	w := &wire{
		ext: map[string]string{}, timeout: timeout, stuck: stuck,
		out: make(chan []byte, 64), dead: make(chan struct{}), waiting: map[uint32]chan answer{},
	}
	for len(a.b) > 0 && !a.bad {
		name := a.str()
		w.ext[name] = a.str()
	}
	run(func() { w.read(in) })
	run(func() { w.write(rw) })
	return w, nil
}

func readAnswer(r io.Reader) (answer, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return answer{}, errLost
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < 1 || n > maxAnswer {
		return answer{}, fmt.Errorf("%w: instead of SFTP it begins with %q; does a login script print something?", errProtocol, head[:])
	}
	a := answer{kind: head[4], b: make([]byte, n-1)}
	if _, err := io.ReadFull(r, a.b); err != nil {
		return answer{}, errLost
	}
	return a, nil
}

// read hands out the answers until the session ends.
func (w *wire) read(in io.Reader) {
	defer close(w.dead)
	for {
		a, err := readAnswer(in)
		if err != nil {
			if err != errLost {
				w.stuck() // what follows has no meaning
			}
			return
		}
		id := a.u32()
		w.mu.Lock()
		ch, known := w.waiting[id]
		delete(w.waiting, id)
		if ch != nil {
			ch <- a // which has room
		}
		w.mu.Unlock()
		switch {
		case !known || a.bad:
			w.stuck()
			return
		case ch == nil && a.kind == packetHandle: // opened for nobody
			w.forget(context.Background(), newRequest(packetClose).str(a.str()))
		}
	}
}

func (w *wire) write(out io.Writer) {
	for {
		select {
		case b := <-w.out:
			if _, err := out.Write(b); err != nil {
				return
			}
		case <-w.dead:
			return
		}
	}
}

// sent is a request under way.
type sent struct {
	w      *wire
	id     uint32
	answer chan answer
	failed error
}

// send sends r and does not wait.
func (w *wire) send(ctx context.Context, r *request) sent {
	s := sent{w: w, answer: make(chan answer, 1)}
	s.failed = w.queue(ctx, r, &s.id, s.answer)
	return s
}

// forget sends r and is not interested in the answer.
func (w *wire) forget(ctx context.Context, r *request) {
	var id uint32
	_ = w.queue(ctx, r, &id, nil)
}

func (w *wire) queue(ctx context.Context, r *request, id *uint32, ch chan answer) error {
	w.mu.Lock()
	w.next++
	*id = w.next
	w.waiting[*id] = ch
	w.mu.Unlock()
	b := r.seal(*id)
	select {
	case w.out <- b:
		return nil
	case <-w.dead:
		return errLost
	default:
	}
	t := time.NewTimer(w.timeout)
	defer t.Stop()
	var err error
	select {
	case w.out <- b:
		return nil
	case <-w.dead:
		err = errLost
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-t.C:
		w.stuck()
		err = errStuck
	}
	w.mu.Lock()
	delete(w.waiting, *id)
	w.mu.Unlock()
	return err
}

// wait returns the answer.
func (s sent) wait(ctx context.Context) (answer, error) { return s.waitFor(ctx, s.w.timeout) }

// waitFor is wait for what takes longer.
func (s sent) waitFor(ctx context.Context, d time.Duration) (answer, error) {
	if s.failed != nil {
		return answer{}, s.failed
	}
	select {
	case a := <-s.answer:
		return a, nil
	default:
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case a := <-s.answer:
		return a, nil
	case <-s.w.dead:
		select {
		case a := <-s.answer:
			return a, nil
		default:
		}
		return answer{}, errLost
	case <-ctx.Done():
		s.abandon()
		return answer{}, context.Cause(ctx)
	case <-t.C:
		s.w.stuck()
		return answer{}, errStuck
	}
}

// abandon gives up waiting. What the server still opens is closed.
func (s sent) abandon() {
	if s.failed != nil {
		return
	}
	s.w.mu.Lock()
	_, pending := s.w.waiting[s.id]
	if pending {
		s.w.waiting[s.id] = nil
	}
	s.w.mu.Unlock()
	if pending {
		return
	}
	select {
	case a := <-s.answer:
		if a.kind == packetHandle {
			s.w.forget(context.Background(), newRequest(packetClose).str(a.str()))
		}
	default:
	}
}

// status waits for the answer to what succeeds or not.
func (s sent) status(ctx context.Context) error {
	a, err := s.wait(ctx)
	if err != nil {
		return err
	}
	return a.err(packetStatus)
}

// attrs waits for the answer to a question for a file. That there is none is no
// error.
func (s sent) attrs(ctx context.Context) (stat, error) {
	a, err := s.wait(ctx)
	if err != nil {
		return stat{}, err
	}
	return a.stat()
}

func (a *answer) stat() (stat, error) {
	if err := a.err(packetAttrs); err != nil {
		if s, ok := err.(*status); ok && s.code == statusNoSuchFile {
			err = nil
		}
		return stat{}, err
	}
	st := a.attrs()
	if a.bad {
		return stat{}, errProtocol
	}
	return st, nil
}

// text waits for the answer that is one name.
func (s sent) text(ctx context.Context) (string, error) {
	a, err := s.wait(ctx)
	if err == nil {
		err = a.err(packetName)
	}
	if err != nil {
		return "", err
	}
	n, name := a.u32(), a.str()
	if n != 1 || a.bad {
		return "", errProtocol
	}
	return name, nil
}

// handle waits for the answer to opening something.
func (s sent) handle(ctx context.Context) (string, error) {
	a, err := s.wait(ctx)
	if err == nil {
		err = a.err(packetHandle)
	}
	if err != nil {
		return "", err
	}
	h := a.str()
	if a.bad {
		return "", errProtocol
	}
	return h, nil
}
