package vfs

import (
	"context"
	"io"
	"math"
)

func (q *quotaFS) Create(ctx context.Context, name string, opt CreateOptions) (Writer, error) {
	unlock, err := q.begin(ctx, "create", name)
	if err != nil {
		return nil, err
	}
	defer unlock()
	old, err := q.size(ctx, name)
	if err != nil {
		return nil, PathError("create", name, err)
	}
	w := &quotaWriter{ctx: ctx, q: q, a: q.a, local: name, owner: opt.Owner}
	if err := w.open(old, opt); err != nil {
		return nil, PathError("create", name, err)
	}
	if w.inner, err = q.inner.Create(ctx, name, opt); err != nil {
		w.close()
		return nil, err
	}
	if err := w.begun(ctx, opt); err != nil {
		if w.owner != "" { // it may have been parked
			w.end(ctx, w.size, w.inner.Park)
		} else {
			w.end(ctx, 0, w.inner.Abort)
		}
		return nil, PathError("create", name, err)
	}
	return w, nil
}

// quotaWriter is an upload that reserves what it writes.
type quotaWriter struct {
	ctx   context.Context
	q     *quotaFS
	a     *Account
	inner Writer
	local string // the name for errors, and for the store
	owner string
	size  int64 // of the content so far
	done  bool

	// Under Account.mu.
	name     string // in the account; changes with its directory
	credit   int64  // bytes of the file that is replaced
	reserved amount
}

// open reserves a new file, or takes the credit of the old one, and refuses what
// can't fit.
func (w *quotaWriter) open(old amount, opt CreateOptions) error {
	a := w.a
	if old.files == 0 {
		one := amount{files: 1}
		if err := a.reserve(w.ctx, w.q.limits, one); err != nil {
			return err
		}
		w.reserved = one
	}
	a.mu.Lock()
	w.name = w.q.full(w.local)
	a.live[w] = true
	if old.bytes > 0 && a.credits[w.name] == nil {
		a.credits[w.name], w.credit = w, old.bytes
	}
	if p := a.parked[claim{w.name, w.owner}]; p != nil { // it goes, or becomes this one
		old.bytes += p.bytes
	}
	a.mu.Unlock()
	if opt.SizeHint > 0 && !a.fits(w.ctx, w.q.limits, amount{bytes: opt.SizeHint + w.kept(opt, old.bytes) - old.bytes}) {
		w.close()
		return ErrQuota
	}
	return nil
}

// kept is about what the upload keeps of what there was.
func (w *quotaWriter) kept(opt CreateOptions, old int64) int64 {
	switch opt.Mode {
	case Append:
		return old
	case WriteAt:
		return min(opt.Offset, old)
	}
	return 0
}

// begun counts what the upload keeps, once the store has opened it.
func (w *quotaWriter) begun(ctx context.Context, opt CreateOptions) error {
	a := w.a
	w.size = w.inner.Offset()
	c := claim{w.name, w.owner}
	if w.owner != "" && opt.Mode == Replace {
		a.look(ctx, c, 0, nil) // the store may have dropped it
		return nil
	}
	a.mu.Lock()
	if a.parked[c] != nil {
		a.drop(c)
		w.take(max(0, w.size-w.credit)) // never more than what was parked
	}
	need := w.size - w.credit - w.reserved.bytes
	a.mu.Unlock()
	if need <= 0 {
		return nil
	}
	if err := a.reserve(ctx, w.q.limits, amount{bytes: need}); err != nil {
		return err
	}
	w.own(need)
	return nil
}

// own notes that n bytes are reserved for w.
func (w *quotaWriter) own(n int64) {
	w.a.mu.Lock()
	defer w.a.mu.Unlock()
	w.reserved.bytes += n
}

// take reserves n bytes for w without asking, under the lock.
func (w *quotaWriter) take(n int64) {
	w.a.reserved.bytes += n
	w.reserved.bytes += n
}

// release gives back all that w holds, under the lock.
func (w *quotaWriter) release() {
	w.a.free(w.reserved)
	w.reserved, w.credit = amount{}, 0
	if w.a.credits[w.name] == w {
		delete(w.a.credits, w.name)
	}
}

// close ends what the account knows of w.
func (w *quotaWriter) close() {
	w.a.mu.Lock()
	defer w.a.mu.Unlock()
	w.release()
	delete(w.a.live, w)
}

// slack is how many bytes w may write without reserving more.
func (w *quotaWriter) slack() int64 {
	w.a.mu.Lock()
	defer w.a.mu.Unlock()
	return max(0, w.reserved.bytes+w.credit-w.size)
}

// room reserves for n bytes, and returns with ErrQuota for how many there is room.
func (w *quotaWriter) room(n int64) (int64, error) {
	need := n - w.slack()
	if need <= 0 {
		return n, nil
	}
	got, err := w.a.reserveSome(w.ctx, w.q.limits, amount{bytes: need})
	w.own(got.bytes)
	if err != nil {
		n += got.bytes - need
		err = PathError("write", w.local, err)
	}
	return n, err
}

func (w *quotaWriter) Offset() int64 { return w.inner.Offset() }

func (w *quotaWriter) Write(p []byte) (int, error) {
	if w.done {
		return w.inner.Write(p)
	}
	n, qerr := w.room(int64(len(p)))
	if n == 0 && qerr != nil {
		return 0, qerr
	}
	written, err := w.inner.Write(p[:n])
	w.size += int64(written)
	if err == nil {
		err = qerr
	}
	return written, err
}

const (
	// nearLimit is how many bytes must stay free for an upload to reserve what has not
	// arrived yet.
	nearLimit = 4 << 20
	// grantMost is how much it reserves so.
	grantMost = 1 << 20
	// nearBuffer is how much it reads before it reserves otherwise.
	nearBuffer = 32 << 10
)

// ReadFrom hands the reader itself on while there is enough room, so that the kernel
// can move the bytes. Near the limit it reads first, and reserves what has arrived:
// then no byte is reserved that others may miss.
func (w *quotaWriter) ReadFrom(r io.Reader) (total int64, err error) {
	if w.done {
		return w.inner.ReadFrom(r)
	}
	lr, ok := r.(*io.LimitedReader)
	if !ok {
		lr = &io.LimitedReader{R: r, N: math.MaxInt64}
	}
	var buf []byte
	for lr.N > 0 {
		part, n := min(lr.N, grantMost), int64(0)
		need := max(0, part-w.slack())
		if w.a.grant(w.q.limits, need, nearLimit) {
			n, err = w.granted(lr, part, need)
		} else {
			if buf == nil {
				buf = make([]byte, nearBuffer)
			}
			n, err = w.readFirst(lr, buf)
		}
		total += n
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
	if total == 0 && !w.done { // let the store say what it thinks of an upload that is over
		return w.inner.ReadFrom(lr)
	}
	return total, nil
}

// granted lets part bytes of lr in, for which need are granted.
func (w *quotaWriter) granted(lr *io.LimitedReader, part, need int64) (int64, error) {
	w.own(need)
	all := lr.N
	lr.N = part
	n, err := w.inner.ReadFrom(lr)
	over := lr.N > 0 // the source has ended
	lr.N += all - part
	w.size += n
	w.a.mu.Lock()
	unused := min(need, max(0, w.reserved.bytes+w.credit-w.size))
	w.reserved.bytes -= unused
	w.a.mu.Unlock()
	w.a.arrived(need, unused)
	if err == nil && over {
		err = io.EOF
	}
	return n, err
}

// readFirst reads a little of lr and writes it.
func (w *quotaWriter) readFirst(lr *io.LimitedReader, buf []byte) (int64, error) {
	for range 100 {
		n, err := lr.Read(buf)
		if n == 0 && err == nil {
			continue
		}
		written, werr := w.Write(buf[:n])
		if werr != nil {
			err = werr
		}
		return int64(written), err
	}
	return 0, io.ErrNoProgress
}

func (w *quotaWriter) Sync() error { return w.inner.Sync() }

// lock takes the lock of the name that w has by now.
func (w *quotaWriter) lock(ctx context.Context) (unlock func(), err error) {
	for {
		name := w.nameNow()
		if unlock, err = w.a.names.lock(ctx, name); err != nil || w.nameNow() == name {
			return unlock, err
		}
		unlock()
	}
}

func (w *quotaWriter) nameNow() string {
	w.a.mu.Lock()
	defer w.a.mu.Unlock()
	return w.name
}

// replaces is what the upload would replace now.
func (w *quotaWriter) replaces(ctx context.Context) (amount, error) {
	info, err := w.a.tree.Stat(ctx, w.nameNow())
	switch {
	case err == nil && info.Mode().IsRegular():
		return amount{info.Size(), 1}, nil
	case err == nil || absent(err):
		return amount{}, nil
	}
	return amount{}, err
}

// Commit counts the difference to what it replaces, which may be another file by now
// than at Create.
func (w *quotaWriter) Commit() error {
	if w.done {
		return w.inner.Commit()
	}
	unlock, err := w.lock(w.ctx)
	if err != nil {
		return w.fail(err)
	}
	defer unlock()
	old, err := w.replaces(w.ctx)
	if err != nil {
		return w.fail(err)
	}
	w.a.mu.Lock()
	need := amount{w.size - old.bytes - w.reserved.bytes, 1 - old.files - w.reserved.files}
	w.a.mu.Unlock()
	need = amount{max(0, need.bytes), max(0, need.files)}
	if need != (amount{}) {
		if err := w.a.reserve(w.ctx, w.q.limits, need); err != nil {
			return w.fail(err)
		}
		w.a.mu.Lock()
		w.reserved = w.reserved.plus(need)
		w.a.mu.Unlock()
	}
	w.done = true
	err = w.inner.Commit()
	w.settle(old, err)
	return err
}

// fail ends an upload that can't be committed, as a Commit of the store does, under
// the lock of its name.
func (w *quotaWriter) fail(err error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), afterTime)
	defer cancel()
	if w.owner == "" {
		w.end(ctx, 0, w.inner.Abort)
	} else {
		w.park(ctx)
	}
	return PathError("commit", w.local, err)
}

// settle counts what a Commit has made.
func (w *quotaWriter) settle(old amount, err error) {
	now := amount{w.size, 1}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), afterTime)
	defer cancel()
	if err != nil { // its answer may be lost
		var serr error
		if now, serr = w.replaces(ctx); serr != nil {
			now = old
		}
	}
	w.a.mu.Lock()
	w.a.used = w.a.used.plus(now.minus(old))
	w.release()
	delete(w.a.live, w)
	w.a.mu.Unlock()
	switch c := (claim{w.nameNow(), w.owner}); {
	case w.owner == "":
	case err != nil:
		w.a.look(ctx, c, w.size, nil)
	case w.a.holds(c): // it may be void now
		w.a.look(ctx, c, 0, nil)
	}
}

// Park aborts what does not fit beside the file that it would have replaced.
func (w *quotaWriter) Park() error {
	if w.done {
		return w.inner.Park()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), afterTime)
	defer cancel()
	if unlock, err := w.lock(ctx); err == nil { // else it ends all the same
		defer unlock()
	}
	return w.park(ctx)
}

func (w *quotaWriter) park(ctx context.Context) error {
	w.a.mu.Lock()
	need := amount{max(0, w.size-w.reserved.bytes), 1 - w.reserved.files}
	w.a.mu.Unlock()
	if w.owner != "" && w.size > 0 {
		if err := w.a.reserve(ctx, w.q.limits, need); err != nil {
			w.end(ctx, 0, w.inner.Abort)
			return PathError("park", w.local, err)
		}
		w.a.mu.Lock()
		w.reserved = w.reserved.plus(need)
		w.a.mu.Unlock()
	}
	return w.end(ctx, w.size, w.inner.Park)
}

func (w *quotaWriter) Abort() error {
	if w.done {
		return w.inner.Abort()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), afterTime)
	defer cancel()
	if unlock, err := w.lock(ctx); err == nil { // else it ends all the same
		defer unlock()
	}
	return w.end(ctx, 0, w.inner.Abort)
}

// end runs an end that makes nothing visible, and may park so many bytes.
func (w *quotaWriter) end(ctx context.Context, parks int64, do func() error) error {
	w.done = true
	err := do()
	if w.owner == "" {
		w.close()
	} else {
		w.a.look(ctx, claim{w.nameNow(), w.owner}, parks, w)
	}
	return err
}
