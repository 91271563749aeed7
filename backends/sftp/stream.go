package sftp

import (
	"context"
	"io"

	pkgsftp "github.com/pkg/sftp"
)

// stream takes the bytes of an upload to the server, with many writes under way.
type stream struct {
	in   *io.PipeWriter
	out  *io.PipeReader
	done chan struct{} // closed when all answers came, or none will
	err  error         // once done
	// acked is up to where the server confirmed every byte, once done. It does not
	// count on the library's sum, which includes what was only sent.
	acked int64
}

// start begins to write at the size of the file.
func (w *writer) start() {
	if w.stream != nil {
		return
	}
	out, in := io.Pipe()
	s := &stream{in: in, out: out, done: make(chan struct{})}
	w.stream = s
	life, file, from := w.session.conn.life, w.file, w.size
	stopped := context.AfterFunc(w.ctx, func() { out.CloseWithError(context.Cause(w.ctx)) })
	lost := context.AfterFunc(life, func() { out.CloseWithError(context.Cause(life)) })
	w.session.conn.pool.run(func() {
		defer close(s.done)
		s.run(file, from)
		stopped()
		lost()
		out.CloseWithError(s.err)
	})
}

func (s *stream) run(file *pkgsftp.File, from int64) {
	if _, s.err = file.Seek(from, io.SeekStart); s.err != nil {
		return
	}
	_, s.err = file.ReadFromWithConcurrency(s.out, inFlight)
	// The library leaves its position behind the last byte before the first error.
	s.acked, _ = file.Seek(0, io.SeekCurrent)
	s.err = fromLibrary(s.err)
}

// abort ends the stream without what it has not sent yet, and waits for the answers.
func (s *stream) abort() {
	s.out.CloseWithError(io.ErrClosedPipe)
	<-s.done
}

// finish waits until the server has every byte.
func (w *writer) finish() error {
	if w.stream == nil {
		return nil
	}
	defer w.session.watch()()
	w.stream.in.Close()
	<-w.stream.done
	return w.session.conn.lost(w.stream.err)
}
