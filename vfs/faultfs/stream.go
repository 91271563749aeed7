package faultfs

import (
	"context"
	"io"
	"io/fs"

	"github.com/ftpgate/ftpgate/vfs"
)

// faultFile reads with faults. It hides the store's shortcuts, so that every byte
// passes by Read.
type faultFile struct {
	fs.File
	ctx  context.Context
	f    *FS
	name string
	n    int64
}

func (file *faultFile) Read(p []byte) (int, error) {
	late, err := file.f.strike(file.ctx, Read, file.n, file.name)
	if err != nil {
		return 0, err
	}
	pass, short := file.f.rules.next(Read, file.n, file.f.full([]string{file.name}))
	if pass > 0 && pass < int64(len(p)) {
		p = p[:pass]
	}
	if short > 0 && short < len(p) {
		p = p[:short]
	}
	n, err := file.File.Read(p)
	if file.n += int64(n); err == nil {
		err = late
	}
	return n, err
}

// writer uploads with faults.
type writer struct {
	inner vfs.Writer
	ctx   context.Context
	f     *FS
	name  string
	n     int64 // bytes of this upload
	done  bool
}

// piece strikes and returns how many bytes may pass until the next strike; 0 is no
// limit.
func (w *writer) piece() (pass int64, late, err error) {
	late, err = w.f.strike(w.ctx, Write, w.n, w.name)
	if err == nil {
		pass, _ = w.f.rules.next(Write, w.n, w.f.full([]string{w.name}))
	}
	return pass, late, err
}

func (w *writer) Write(p []byte) (total int, err error) {
	for {
		pass, late, err := w.piece()
		if err != nil {
			return total, err
		}
		part := p
		if pass > 0 && pass < int64(len(p)) {
			part = p[:pass]
		}
		n, err := w.inner.Write(part)
		total += n
		w.n += int64(n)
		if err == nil {
			err = late
		}
		if p = p[n:]; err != nil || len(p) == 0 {
			return total, err
		}
	}
}

func (w *writer) ReadFrom(r io.Reader) (total int64, err error) {
	for {
		pass, late, err := w.piece()
		if err != nil {
			return total, err
		}
		part := r
		limited := &io.LimitedReader{R: r, N: pass}
		if pass > 0 {
			part = limited
		}
		n, err := w.inner.ReadFrom(part)
		total += n
		w.n += n
		if err == nil {
			err = late
		}
		if err != nil || pass == 0 || limited.N > 0 {
			return total, err
		}
	}
}

func (w *writer) Offset() int64 { return w.inner.Offset() }

func (w *writer) Sync() error { return w.f.do(w.ctx, Sync, w.inner.Sync, w.name) }

// end runs one of the three ends. One that a fault made fail has taken effect too:
// the upload is then aborted in the store, except by a failed Commit, which a
// store parks if it can.
func (w *writer) end(op Op, call func() error) error {
	if w.done {
		return nil
	}
	w.done = true
	err := w.f.do(w.ctx, op, call, w.name)
	if err != nil {
		if op == Commit {
			w.inner.Park() // nothing after a late error, and an Abort where the store can't
		}
		w.inner.Abort()
	}
	return err
}

func (w *writer) Commit() error { return w.end(Commit, w.inner.Commit) }
func (w *writer) Park() error   { return w.end(Park, w.inner.Park) }
func (w *writer) Abort() error  { return w.end(Abort, w.inner.Abort) }
