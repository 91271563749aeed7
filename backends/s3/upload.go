package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ftpgate/ftpgate/vfs"
)

// upload is the Writer of S3. Its methods are for one goroutine, but another
// session of its owner may take it over, and the clock keeps its manifest fresh.
type upload struct {
	f         *FS
	ctx       context.Context
	cancel    context.CancelCauseFunc
	name, key string
	owner     string
	once      bool       // must not replace a file
	over      string     // ETag of the file that it continues, and must replace
	attrs     attributes // of the new object
	plan      plan
	offset    int64 // where the first byte goes
	continues bool  // holds the complete file's place in writers
	waiting   atomic.Int64
	ending    atomic.Bool   // its last byte has come
	done      chan struct{} // closed at the end

	mu      sync.Mutex
	part    *part      // the one that fills; nil before its first byte
	last    *part      // the one that Sync sent, still held
	next    int32      // number of the part that was begun last
	first   int32      // number of the first part of its own
	kept    int        // parts that others sent
	multi   *multipart // nil while all fits into one part
	record  *record    // nil while nobody else could go on with it
	resumed bool       // it continues a parked upload
	arrived bool       // a byte came
	synced  bool
	ended   bool
	taken   bool // another session has it
}

var errEnded = errors.New("the upload has ended")

// Offset is where the first byte goes.
func (u *upload) Offset() int64 { return u.offset }

// rest notes that the upload waits for its client from now on.
func (u *upload) rest() { u.waiting.Store(time.Now().UnixNano()) }

// enter takes the upload for one call of its caller; leave ends it.
func (u *upload) enter() {
	u.waiting.Store(0)
	u.mu.Lock()
}

func (u *upload) leave() {
	u.rest()
	u.mu.Unlock()
}

// partsContext governs the parts on their way: those of an upload that can be parked
// outlive the session.
func (u *upload) partsContext() context.Context {
	if u.parkable() {
		return context.WithoutCancel(u.ctx)
	}
	return u.ctx
}

// ready returns why no more can be written, or nil.
func (u *upload) ready() error {
	switch {
	case u.taken:
		return u.fail(errFenced)
	case u.ended || u.synced:
		return u.fail(errEnded)
	case u.ctx.Err() != nil:
		return u.fail(context.Cause(u.ctx))
	case u.multi != nil:
		return u.fail(u.multi.failure())
	}
	return nil
}

func (u *upload) fail(err error) error {
	if status(err) == http.StatusNotFound {
		// That is about the multipart upload; nobody asked for a file.
		err = fmt.Errorf("the store has lost the upload: %s", asStoreError(err).code)
	}
	return u.f.fail(u.ctx, "write", u.name, err)
}

// space returns memory for the next bytes, and sends the part before if it is
// full.
func (u *upload) space() ([]byte, error) {
	if u.part != nil && u.part.full() {
		if err := u.flush(false); err != nil {
			return nil, err
		}
	}
	if u.part != nil {
		if s := u.part.space(); len(s) > 0 {
			return s, nil
		}
	}
	c := u.f.buffers.try()
	if c == nil && u.mayFlushEarly() {
		// Memory is short: what we hold is worth more on its way.
		if err := u.flush(false); err != nil {
			return nil, err
		}
	}
	if c == nil {
		var err error
		if c, err = u.f.buffers.get(u.ctx); err != nil {
			return nil, err
		}
	}
	if u.part == nil {
		if u.next == maxParts {
			u.f.buffers.put(c)
			return nil, vfs.ErrTooLarge
		}
		u.next++
		u.part = &part{number: u.next, limit: u.plan.size(u.next)}
	}
	u.part.chunks = append(u.part.chunks, c)
	return u.part.space(), nil
}

// mayFlushEarly reports whether the part may go before it is full, without wasting
// too many of the numbers that an upload has.
func (u *upload) mayFlushEarly() bool {
	return u.part != nil && !u.plan.equal && u.part.size >= max(u.f.tuning.minPart, u.part.limit/2)
}

// flush sends the part. The first one brings the manifest, and the claim on part
// numbers is renewed before it is used up. last keeps the part until the end.
func (u *upload) flush(last bool) error {
	if u.multi == nil {
		if err := u.open(true); err != nil {
			return err
		}
	}
	if u.record != nil && u.part.number > u.record.Limit {
		u.record.Limit = u.part.number + reserve - 1
		if err := u.record.save(u.ctx); err != nil {
			return err
		}
	}
	if err := u.multi.send(u.ctx, u.part, last); err != nil {
		return err
	}
	if last {
		u.last = u.part
	}
	u.part = nil
	if u.parkable() && (u.record == nil || u.record.Upload == "") {
		return u.announce() // while the part is on its way
	}
	return nil
}

// open begins the multipart upload. That is not given up when the client is: the store
// may have begun one that nobody would ever know of.
func (u *upload) open(sums bool) error {
	if u.ctx.Err() != nil {
		return context.Cause(u.ctx)
	}
	ctx, cancel := u.f.surely(u.ctx)
	defer cancel()
	sums = sums && u.f.profile.crc64
	u.f.keepTime(&u.attrs, time.Now())
	id, err := u.f.createMultipart(ctx, u.key, u.attrs, sums)
	if err == nil {
		u.multi = u.f.newMultipart(u.partsContext(), u.key, id, sums)
	}
	return err
}

// announce writes the manifest for the first time with an upload in it.
func (u *upload) announce() error {
	if u.record == nil {
		u.record = u.f.newRecord(u.key, u.owner)
		u.record.Base, u.record.Over = u.plan.base, u.over
	}
	u.record.Upload, u.record.Sums = u.multi.id, u.multi.sums
	u.record.Limit = max(u.record.Limit, u.next+reserve-1)
	return u.record.save(u.ctx)
}

func (u *upload) Write(b []byte) (int, error) {
	u.enter()
	defer u.leave()
	n := 0
	for n < len(b) {
		if err := u.ready(); err != nil {
			return n, err
		}
		s, err := u.space()
		if err != nil {
			return n, u.fail(err)
		}
		c := copy(s, b[n:])
		u.part.size += int64(c)
		u.arrived = true
		n += c
	}
	return n, nil
}

// ReadFrom reads straight into the parts. It blocks while all parts are on their
// way, so that the sender has to wait.
func (u *upload) ReadFrom(r io.Reader) (int64, error) {
	u.enter()
	defer u.leave()
	var n int64
	for idle := 0; ; {
		if err := u.ready(); err != nil {
			return n, err
		}
		s, err := u.space()
		if err != nil {
			return n, u.fail(err)
		}
		u.leave()
		c, err := r.Read(s)
		u.enter()
		if u.taken { // and s is not counted
			return n, u.fail(errFenced)
		}
		u.part.size += int64(c)
		u.arrived = u.arrived || c > 0
		n += int64(c)
		switch {
		case err == io.EOF:
			return n, nil
		case err != nil:
			return n, err
		case c > 0:
			idle = 0
		default:
			if idle++; idle == 100 {
				return n, io.ErrNoProgress
			}
		}
	}
}

// Sync sends the last part ahead of Commit, if there is more than one.
func (u *upload) Sync() error {
	u.ending.Store(true)
	u.enter()
	defer u.leave()
	if u.ended || u.synced {
		return nil
	}
	if err := u.ready(); err != nil {
		return err
	}
	u.synced = true
	if u.multi == nil {
		return nil
	}
	return u.fail(u.drain())
}

// drain sends the rest and waits for all parts.
func (u *upload) drain() error {
	if u.part != nil && u.part.size > 0 {
		if err := u.flush(true); err != nil {
			return err
		}
	}
	return u.multi.wait(u.ctx)
}

// Commit makes the file visible. An upload that the store could not finish is
// parked, if it may be.
func (u *upload) Commit() error {
	u.ending.Store(true)
	u.enter()
	defer u.leave()
	if u.ended {
		return nil
	}
	u.ended = true
	defer u.f.changed()
	defer u.release()
	if u.taken {
		return u.fail(errFenced)
	}
	err := u.commit()
	switch {
	case err == nil, errors.Is(err, errFenced):
	case u.parkable() && !hopeless(err):
		if perr := u.park(); perr != nil && !errors.Is(perr, errFenced) {
			u.discard()
		}
	default:
		u.discard()
	}
	return u.fail(err)
}

// hopeless reports whether no later Commit of the same bytes can succeed.
func hopeless(err error) bool {
	kind := vfs.Kind(err)
	if e := asStoreError(err); e != nil {
		kind = e.kind
	}
	return errors.Is(err, errTargetChanged) || kind == fs.ErrExist || kind == vfs.ErrTooLarge
}

func (u *upload) commit() error {
	if u.ctx.Err() != nil {
		return context.Cause(u.ctx)
	}
	if u.multi != nil {
		if err := u.drain(); err != nil {
			return err
		}
	}
	cond, err := u.condition()
	if err != nil {
		return err
	}
	if u.record != nil { // a writer that was taken over ends here
		u.record.Parked = false
		if err := u.record.save(u.ctx); err != nil {
			return err
		}
	}
	if u.multi != nil {
		err = u.multi.complete(u.ctx, cond)
	} else {
		u.f.keepTime(&u.attrs, time.Now())
		err = u.f.put(u.ctx, u.key, u.part, u.attrs, cond)
	}
	if err == nil && u.record != nil {
		ctx, cancel := u.f.detached(u.ctx)
		defer cancel()
		_ = u.record.forget(ctx) // the file is there; the sweeper does the rest
	}
	return err
}

// condition is what must hold under the name for the upload to replace it. Where the
// store can't check it, it is looked at now: the best that this store allows.
func (u *upload) condition() (onlyIf, error) {
	cond := onlyIf{absent: u.once, etag: u.over}
	can := u.f.facts.putOnce && (u.over == "" || u.f.facts.putMatch)
	if u.multi != nil {
		can = u.f.facts.finishOnce && (u.over == "" || u.f.facts.finishMatch)
	}
	if cond == (onlyIf{}) || can {
		return cond, nil
	}
	o, err := u.f.head(u.ctx, u.key)
	switch {
	case err != nil:
		return onlyIf{}, err
	case u.once && o != nil:
		return onlyIf{}, fs.ErrExist
	case u.over != "" && (o == nil || o.etag != u.over):
		return onlyIf{}, errTargetChanged
	}
	return onlyIf{}, nil
}

// Abort leaves no trace.
func (u *upload) Abort() error {
	u.ending.Store(true)
	u.enter()
	defer u.leave()
	if u.ended {
		return nil
	}
	u.ended = true
	if !u.taken {
		u.discard()
	}
	u.release()
	return nil
}

// discard drops what the store has of the upload, unless another writer has it.
func (u *upload) discard() {
	if u.record == nil {
		if u.multi != nil {
			u.multi.abort(u.ctx)
		}
		return
	}
	if u.multi != nil {
		u.multi.cancel()
		u.multi.sending.Wait()
	}
	ctx, cancel := u.f.detached(u.ctx)
	defer cancel()
	u.record.Void = true
	announced := u.record.etag != ""
	err := u.record.save(ctx)
	if err == nil {
		_ = u.record.drop(ctx)
	} else if !announced && u.multi != nil { // nobody else knows of it
		_ = u.f.abortMultipart(ctx, u.key, u.multi.id)
	}
}

// discardFresh drops what a Create that failed has begun; what was parked stays.
func (u *upload) discardFresh() {
	if u.record == nil {
		u.discard()
	}
}

// release returns what the upload holds.
func (u *upload) release() {
	u.cancel(errEnded)
	if u.multi != nil {
		u.multi.cancel()
		u.multi.sending.Wait()
	}
	for _, p := range []*part{u.part, u.last} {
		if p != nil {
			p.release(u.f.buffers)
		}
	}
	u.part, u.last = nil, nil
	u.f.running.remove(u)
	close(u.done)
}
