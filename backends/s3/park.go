package s3

import (
	"context"
	"errors"
	"net/http"

	"github.com/ftpgate/ftpgate/vfs"
)

// Park keeps what arrived for the owner.
func (u *upload) Park() error {
	u.ending.Store(true)
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ended {
		return nil
	}
	u.ended = true
	defer u.release()
	if u.taken {
		return nil // another session of the owner has it
	}
	if !u.parkable() {
		u.discard()
		return vfs.PathError("park", u.name, errors.ErrUnsupported)
	}
	err := u.park()
	if err != nil && !errors.Is(err, errFenced) {
		u.discard()
	}
	return vfs.PathError("park", u.name, plainStore(err))
}

func plainStore(err error) error {
	if e := asStoreError(err); e != nil {
		return e
	}
	return err
}

// parkable reports whether the store and the caller want the upload to be kept.
func (u *upload) parkable() bool { return u.owner != "" && u.f.caps.Has(vfs.CanPark) }

// yield parks the upload for another session of its owner. The buffers stay: a read
// of this writer's may still be filling them.
func (u *upload) yield() {
	if u.ended || u.taken {
		return
	}
	u.taken = true
	if err := u.park(); err != nil {
		u.f.log.Warn("a stalled upload could not be parked for another session of its owner", "key", u.key, "error", plainStore(err))
	}
	u.cancel(errFenced)
	u.f.running.remove(u)
}

// park writes down what is durable and who may go on with it; called with the lock
// held. It survives the caller's context for a bounded time.
func (u *upload) park() error {
	defer u.f.changed()
	parts, whole := u.landed()
	ctx, cancel := u.f.detached(u.ctx)
	defer cancel()
	if !u.arrived {
		return u.unpark(ctx)
	}
	r := u.record
	if r == nil {
		r = u.f.newRecord(u.key, u.owner)
		r.Base, r.Over = u.plan.base, u.over
	}
	old := r.Tail
	rest := u.last
	if rest == nil {
		rest = u.part
	}
	var fresh *tail
	if whole && rest != nil && rest.size > 0 {
		fresh = &tail{Key: r.newTailKey(), Size: rest.size}
		if err := u.f.put(ctx, fresh.Key, rest, attributes{}, onlyIf{}); err != nil {
			u.f.log.Warn("the end of an upload cannot be parked", "key", u.key, "bytes", rest.size, "error", plainStore(err))
			fresh = nil
		}
	}
	if len(parts) > u.kept || fresh != nil {
		r.Runs, r.Tail = runsOf(parts), fresh
	}
	if r.kept()+r.tailSize() == 0 {
		if err := u.failure(); err != nil {
			return err
		}
		return errors.New("nothing of the upload is safe in the store")
	}
	if u.multi != nil {
		r.Upload, r.Sums = u.multi.id, u.multi.sums
	}
	r.Parked, r.Void, r.Limit = true, false, max(u.next, r.Next-1)
	err := u.f.makeRoom(ctx, r)
	if err == nil {
		err = r.save(ctx)
	}
	if err != nil {
		if fresh != nil && (!uncertain(err) || r.never(ctx, fresh)) {
			_ = u.f.delete(ctx, fresh.Key)
		}
		return err
	}
	u.record = r
	if old != nil && old != r.Tail {
		_ = u.f.delete(ctx, old.Key)
	}
	return u.f.dropOthers(ctx, r)
}

// never reports whether the stored manifest surely does not lead to a tail, whose
// manifest was written without an answer. A tail that nobody needs is the sweeper's.
func (r *record) never(ctx context.Context, t *tail) bool {
	now, err := r.f.readRecord(ctx, r.key)
	return status(err) == http.StatusNotFound || err == nil && (now.Tail == nil || now.Tail.Key != t.Key)
}

// unpark ends an upload to which nothing came: what was there before stays as it
// was.
func (u *upload) unpark(ctx context.Context) error {
	if u.record == nil || !u.resumed {
		u.discard()
		return nil
	}
	u.record.Parked, u.record.Limit = true, u.record.Next-1
	return u.record.save(ctx)
}

// landed waits for the parts on their way, and returns those that can be continued,
// in order and without a gap. whole says that they are all that was sent.
func (u *upload) landed() (parts []sentPart, whole bool) {
	if u.multi == nil {
		return nil, true
	}
	if !u.arrived { // nothing of its own is worth a wait
		u.multi.cancel()
	}
	ctx, cancel := u.f.detached(u.ctx)
	defer cancel()
	whole = u.multi.wait(ctx) == nil
	if !whole {
		u.multi.cancel()
		u.multi.sending.Wait()
	}
	next := u.first
	for i, p := range u.multi.sorted() {
		if i >= u.kept {
			if p.number != next || u.last != nil && p.number == u.last.number {
				break
			}
			next++
		}
		parts = append(parts, p)
	}
	return parts, whole
}

func (u *upload) failure() error {
	if u.multi == nil {
		return nil
	}
	return u.multi.failure()
}

// dropOthers keeps the parked uploads of one owner and name down to one, r.
func (f *FS) dropOthers(ctx context.Context, r *record) error {
	all, err := f.claimed(ctx, f.prefix+r.Key, string(r.Owner))
	if err != nil {
		return nil // the newest is shown, the others expire
	}
	for _, o := range all {
		if o.key != r.key && o.Parked {
			_ = f.dropRecord(ctx, o)
		}
	}
	return nil
}
