package vfs

import "io"

// End is one of the three ways an upload ends.
type End uint8

// The ends of an upload.
const (
	Committed End = iota
	Parked
	Aborted
)

// tracedWriter counts the bytes of a Writer, sees its end and may translate its
// errors. The reader given to ReadFrom reaches the inner writer untouched, so that
// splice survives.
type tracedWriter struct {
	inner Writer
	fix   func(error) error                 // translates errors; nil: none
	ended func(end End, n int64, err error) // told once; nil: nobody
	n     int64
	done  bool
}

func (w *tracedWriter) err(err error) error {
	if err == nil || w.fix == nil {
		return err
	}
	return w.fix(err)
}

func (w *tracedWriter) Write(p []byte) (int, error) {
	n, err := w.inner.Write(p)
	w.n += int64(n)
	return n, w.err(err)
}

func (w *tracedWriter) ReadFrom(r io.Reader) (int64, error) {
	n, err := w.inner.ReadFrom(r)
	w.n += n
	return n, w.err(err)
}

func (w *tracedWriter) Offset() int64 { return w.inner.Offset() }
func (w *tracedWriter) Sync() error   { return w.err(w.inner.Sync()) }
func (w *tracedWriter) Commit() error { return w.end(Committed, w.inner.Commit) }
func (w *tracedWriter) Park() error   { return w.end(Parked, w.inner.Park) }
func (w *tracedWriter) Abort() error  { return w.end(Aborted, w.inner.Abort) }

func (w *tracedWriter) end(end End, call func() error) error {
	if w.done {
		return nil
	}
	w.done = true
	err := w.err(call())
	if w.ended != nil {
		w.ended(end, w.n, err)
	}
	return err
}
