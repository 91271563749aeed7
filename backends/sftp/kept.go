package sftp

import (
	"context"
	"errors"
	"io"

	"github.com/ftpgate/ftpgate/vfs"
)

// keep makes the first n bytes of the file with the plain name src those of the
// upload: by the server, if it can copy, else through this process.
func (w *writer) keep(src string, n int64) error {
	var err error
	switch {
	case n == 0:
	case w.fs.facts.copyData:
		err = w.fs.copyData(w.ctx, w.fs.path(src), w.fs.path(w.stage), n)
	default:
		err = w.copyThrough(src, n)
	}
	if err != nil {
		return w.full(err)
	}
	w.offset, w.size = n, n
	return nil
}

// copyThrough reads and writes.
func (w *writer) copyThrough(src string, n int64) error {
	dir, base := vfs.Split(src)
	from, err := w.fs.open1(w.ctx, place{dir, base}, w.name, 0, n)
	if err != nil {
		return err
	}
	defer from.Close()
	w.start()
	copied, err := io.Copy(putter{w}, from)
	if err == nil && copied < n {
		err = errChanged
	}
	return err
}

// putter is the stream of a writer.
type putter struct{ w *writer }

func (p putter) Write(b []byte) (int, error) { return p.w.put(b) }

// copyData copies the first n bytes of from to the beginning of to, both paths on
// the server, by the extension copy-data in pieces, between which the context
// counts.
func (s *shared) copyData(ctx context.Context, from, to string, n int64) error {
	c, release, err := s.pool.copier(ctx)
	if err != nil {
		return err
	}
	defer release()
	src, dst := c.open(ctx, from, openRead), c.open(ctx, to, openWrite)
	in, ierr := src.handle(ctx)
	out, oerr := dst.handle(ctx)
	clean := context.WithoutCancel(ctx)
	if ierr == nil {
		defer c.forget(clean, newRequest(packetClose).str(in))
	}
	if oerr == nil {
		defer c.forget(clean, newRequest(packetClose).str(out))
	}
	if err := errors.Join(ierr, oerr); err != nil {
		return err
	}
	for at := int64(0); at < n; {
		piece := min(n-at, s.opt.tuning.piece)
		a, err := c.send(ctx, extended(extCopyData).str(in).u64(at).u64(piece).str(out).u64(at)).waitFor(ctx, s.opt.tuning.slow)
		if err == nil {
			err = a.err(packetStatus)
		}
		var st *status
		if errors.As(err, &st) && st.code == statusEOF {
			err = errChanged
		}
		if err != nil {
			return err
		}
		at += piece
	}
	return nil
}

// copier returns a wire for requests that take long, to be released. A session of
// its own keeps them from holding up the metadata, if the server allows one more.
func (p *pool) copier(ctx context.Context) (*wire, func(), error) {
	l := p.enter()
	if c, err := l.get(ctx); err == nil {
		if w, ch, err := c.wire(); err == nil {
			return w, func() { ch.Close(); l.leave() }, nil
		}
	}
	l.leave()
	w, err := p.metadata(ctx)
	return w, func() {}, err
}
