package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"

	"golang.org/x/sync/errgroup"

	"github.com/ftpgate/ftpgate/vfs"
)

// Create begins an upload. Nothing is sent before the first part is full, nothing
// is visible before Commit.
func (f *FS) Create(ctx context.Context, name string, opt vfs.CreateOptions) (vfs.Writer, error) {
	key, err := f.writable("create", name)
	if err != nil {
		return nil, err
	}
	if opt.Mode == vfs.WriteAt && opt.Offset < 0 {
		return nil, vfs.PathError("create", name, fs.ErrInvalid)
	}
	if err := vfs.ContextError(ctx, "create", name); err != nil {
		return nil, err
	}
	if key == f.prefix {
		return nil, vfs.PathError("create", name, vfs.ErrIsDir)
	}
	// What stands there has to be known only where it may be kept or refuse.
	needFile := opt.NoReplace || opt.Mode == vfs.Append || opt.Mode == vfs.WriteAt && opt.Offset > 0
	what, err := f.target(ctx, name, key, needFile)
	switch {
	case err != nil:
		return nil, f.fail(ctx, "create", name, err)
	case what.dir:
		return nil, vfs.PathError("create", name, vfs.ErrIsDir)
	case what.file != nil && opt.NoReplace:
		return nil, vfs.PathError("create", name, fs.ErrExist)
	case what.file != nil && opt.Mode == vfs.Append, opt.Mode == vfs.WriteAt && opt.Offset > 0:
		return nil, vfs.PathError("create", name, errors.ErrUnsupported)
	}
	u := &upload{f: f, name: name, key: key, once: opt.NoReplace}
	u.plan = newPlan(f.tuning.part, f.buffers.total/4, opt.SizeHint, f.profile.equalParts)
	u.ctx, u.cancel = context.WithCancelCause(ctx)
	return u, nil
}

// target looks at the place of a new file: what has its name, and that no file
// stands where a directory would have to be. A missing directory is no obstacle:
// S3 has none.
func (f *FS) target(ctx context.Context, name, key string, needFile bool) (found, error) {
	var what found
	parent, _ := vfs.Split(name)
	parentKey, err := f.key("create", parent)
	if err != nil {
		return what, err
	}
	hasParent := true
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		what.dir, err = f.isDir(gctx, key)
		return err
	})
	g.Go(func() (err error) {
		hasParent, err = f.isDir(gctx, parentKey)
		return err
	})
	if needFile {
		g.Go(func() (err error) {
			what.file, err = f.head(gctx, key)
			return err
		})
	}
	if err := g.Wait(); err != nil || hasParent {
		return what, err
	}
	return what, f.noFileAbove(ctx, parent)
}

// noFileAbove returns vfs.ErrNotDir if dir, or a directory that it lies in, is a
// file.
func (f *FS) noFileAbove(ctx context.Context, dir string) error {
	g, gctx := errgroup.WithContext(ctx)
	for ; dir != "."; dir, _ = vfs.Split(dir) {
		key := f.prefix + dir
		g.Go(func() error {
			o, err := f.head(gctx, key)
			if err == nil && o != nil {
				err = vfs.ErrNotDir
			}
			return err
		})
	}
	return g.Wait()
}

// upload is the Writer of S3.
type upload struct {
	f         *FS
	ctx       context.Context
	cancel    context.CancelCauseFunc
	name, key string
	once      bool // must not replace a file
	plan      plan

	part   *part      // the one that fills; nil before its first byte
	next   int32      // parts that were begun
	multi  *multipart // nil while all fits into one part
	synced bool
	ended  bool
}

var errEnded = errors.New("the upload has ended")

// Offset is where the first byte goes.
func (u *upload) Offset() int64 { return 0 }

// ready returns why no more can be written, or nil.
func (u *upload) ready() error {
	switch {
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
		if err := u.flush(); err != nil {
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
		if err := u.flush(); err != nil {
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

// flush sends the part.
func (u *upload) flush() error {
	if u.multi == nil {
		m, err := u.f.beginMultipart(u.ctx, u.key, u.f.newObject())
		if err != nil {
			return err
		}
		u.multi = m
	}
	p := u.part
	u.part = nil
	return u.multi.send(p)
}

func (u *upload) Write(b []byte) (int, error) {
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
		n += c
	}
	return n, nil
}

// ReadFrom reads straight into the parts. It blocks while all parts are on their
// way, so that the sender has to wait.
func (u *upload) ReadFrom(r io.Reader) (int64, error) {
	var n int64
	for idle := 0; ; {
		if err := u.ready(); err != nil {
			return n, err
		}
		s, err := u.space()
		if err != nil {
			return n, u.fail(err)
		}
		c, err := r.Read(s)
		u.part.size += int64(c)
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
		if err := u.flush(); err != nil {
			return err
		}
	}
	return u.multi.wait()
}

// Commit makes the file visible.
func (u *upload) Commit() error {
	if u.ended {
		return nil
	}
	u.ended = true
	err := u.commit()
	if err != nil {
		err = u.fail(err)
		u.discard()
	}
	u.release()
	return err
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
	conditional := u.f.facts.putOnce
	if u.multi != nil {
		conditional = u.f.facts.finishOnce
	}
	if u.once && !conditional { // the best that this store allows
		o, err := u.f.head(u.ctx, u.key)
		if err == nil && o != nil {
			err = fs.ErrExist
		}
		if err != nil {
			return err
		}
	}
	if u.multi != nil {
		return u.multi.complete(u.ctx, u.once && conditional)
	}
	return u.f.put(u.ctx, u.key, u.part, u.f.newObject(), u.once && conditional)
}

// Park is not known yet: it aborts.
func (u *upload) Park() error {
	if u.ended {
		return nil
	}
	u.Abort()
	return vfs.PathError("park", u.name, errors.ErrUnsupported)
}

// Abort leaves no trace.
func (u *upload) Abort() error {
	if u.ended {
		return nil
	}
	u.ended = true
	u.discard()
	u.release()
	return nil
}

func (u *upload) discard() {
	if u.multi != nil {
		u.multi.abort(u.ctx)
	}
}

// release returns what the upload holds.
func (u *upload) release() {
	if u.part != nil {
		u.part.release(u.f.buffers)
		u.part = nil
	}
	u.cancel(errEnded)
	if u.multi != nil {
		u.multi.cancel()
	}
}
