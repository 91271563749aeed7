package sftp

import (
	"context"
	"errors"
	"io/fs"
)

// publish gives the upload its name. If an answer is lost, it looks on a new
// connection whether the rename has happened: the hidden name, which nobody else
// uses, tells.
func (w *writer) publish() error {
	f := w.fs
	ctx, cancel := context.WithTimeoutCause(w.ctx, f.opt.tuning.cleanup, errLost)
	defer cancel()
	tried := false
	err := f.pool.persist(ctx, func(c *wire) error {
		if tried {
			if happened, err := w.published(ctx, c); happened || err != nil {
				return err
			}
		}
		tried = true
		err := f.rename(ctx, c, w.stage, w.at.name(), stat{exists: true}, w.noReplace)
		if err == nil {
			w.forgetStaged(ctx, c)
		}
		return err
	})
	return err
}

// published reports whether the upload has its name already.
func (w *writer) published(ctx context.Context, c *wire) (bool, error) {
	hidden, visible := c.lstat(ctx, w.fs.path(w.stage)), c.lstat(ctx, w.fs.path(w.at.name()))
	from, err := hidden.attrs(ctx)
	to, terr := visible.attrs(ctx)
	switch {
	case err != nil || terr != nil:
		return false, errors.Join(err, terr)
	case from.exists && w.noReplace && from.same(to): // it has both names
		_ = c.remove(ctx, w.fs.path(w.stage)).status(ctx)
	case from.exists:
		return false, nil
	case !to.mode.IsRegular() || !to.exists || to.size != w.size:
		return false, fs.ErrNotExist
	}
	w.forgetStaged(ctx, c)
	return true, nil
}

// forgetStaged removes the link to the upload, and what was parked while it ran,
// which is outdated. Leftovers expire.
func (w *writer) forgetStaged(ctx context.Context, c *wire) {
	if w.owner == "" {
		return
	}
	w.pointed()
	if w.linked {
		c.forget(ctx, newRequest(packetRemove).str(w.fs.path(w.link())))
	}
	c.forget(ctx, newRequest(packetRemove).str(w.fs.path(w.parkedAt())))
}

// pointed waits until the link is made, if one is being made, and reports whether
// that is sure.
func (w *writer) pointed() bool {
	if w.linking != nil {
		w.sure, w.linking = <-w.linking == nil, nil
	}
	return w.sure
}

// park keeps what arrived, or drops the upload where that is nothing new.
func (w *writer) park() error {
	if w.owner == "" {
		_ = w.drop()
		return errors.ErrUnsupported
	}
	there, exact := w.settle()
	if exact && !w.resumed && there <= w.offset {
		return w.drop()
	}
	ctx, cancel := w.fs.detached(w.ctx)
	defer cancel()
	if exact {
		return w.fs.pool.persist(ctx, w.toParked(ctx))
	}
	return w.leave(ctx, there)
}

// settle ends the stream and closes the file. It returns how many bytes the server
// confirmed, and whether the file surely has just these, with nothing under way that
// could still change it.
func (w *writer) settle() (there int64, exact bool) {
	switch {
	case w.session == nil: // after Sync
		return w.size, w.err == nil
	case !w.arrived && w.resumed:
		there = w.had
	case w.stream == nil:
		there = w.size
	}
	err := w.finish()
	if w.stream != nil {
		there = w.stream.acked
	}
	if err != nil && w.fs.facts.openssh { // which does one thing after the other
		err = w.session.call(func() error { return w.file.Truncate(there) })
	}
	if err == nil {
		err = w.flush()
	}
	if cerr := w.closeFile(); err == nil {
		err = cerr
	}
	return there, err == nil
}

// leave parks an upload whose connection broke. What was sent on it may reach the
// server long after, from wherever it is held up. So the file keeps the name of one
// that perhaps still runs, and is taken over by copying. Where the server can't do that,
// the file goes on to be used itself, which is only wrong if such late bytes differ
// from those that the client sends again.
func (w *writer) leave(ctx context.Context, there int64) error {
	f := w.fs
	stage := f.path(w.stage)
	return f.pool.persist(ctx, func(c *wire) error {
		st, err := c.lstat(ctx, stage).attrs(ctx)
		switch {
		case err != nil:
			return err
		case !st.exists:
			return fs.ErrNotExist
		case !w.resumed && st.size <= w.offset:
			return w.remove(ctx)(c)
		}
		if f.links() {
			if w.pointed() {
				return nil
			}
			return w.pointTo(ctx, c)
		}
		if !f.facts.openssh && st.size > there { // elsewhere there may be gaps
			if err := c.truncate(ctx, stage, there).status(ctx); err != nil {
				return err
			}
		}
		return w.toParked(ctx)(c)
	})
}

// toParked gives the upload its parked name. It may be done twice.
func (w *writer) toParked(ctx context.Context) func(*wire) error {
	f := w.fs
	from, to := f.path(w.stage), f.path(w.parkedAt())
	tried := false
	return func(c *wire) error {
		if tried {
			hidden, parked := c.lstat(ctx, from), c.lstat(ctx, to)
			st, err := hidden.attrs(ctx)
			pst, perr := parked.attrs(ctx)
			if err != nil || perr != nil {
				return errors.Join(err, perr)
			}
			if !st.exists && pst.exists {
				return nil
			}
		}
		tried = true
		var err error
		if f.facts.replace {
			err = c.replace(ctx, from, to).status(ctx)
		} else {
			gone, moved := c.remove(ctx, to), c.rename(ctx, from, to)
			_, err = gone.status(ctx), moved.status(ctx)
		}
		if w.pointed(); err == nil && w.linked {
			c.forget(ctx, newRequest(packetRemove).str(f.path(w.link())))
		}
		return err
	}
}

// drop removes the upload.
func (w *writer) drop() error {
	ctx, cancel := w.fs.detached(w.ctx)
	defer cancel()
	_ = w.closeFile()
	return w.fs.pool.persist(ctx, w.remove(ctx))
}

// remove removes the hidden file and the link to it. It may be done twice.
func (w *writer) remove(ctx context.Context) func(*wire) error {
	f := w.fs
	w.pointed()
	return func(c *wire) error {
		if w.linked {
			c.forget(ctx, newRequest(packetRemove).str(f.path(w.link())))
		}
		err := c.remove(ctx, f.path(w.stage)).status(ctx)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
}
