package local

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"syscall"

	"github.com/ftpgate/ftpgate/vfs"
)

// writer is the part of an upload that all kinds have in common.
type writer struct {
	fs       *FS
	ctx      context.Context
	name     string
	at       place
	taken    *nameKey  // in fs.names
	kept     *diskFile // the complete file, locked, where its beginning is kept
	file     *diskFile // where the bytes go
	offset   int64
	resumed  bool // the file was parked
	arrived  bool // a byte, or the readiness for one
	reserved bool // more of the disk than the file needs

	up     upload
	err    error // of the disk; nothing can follow it without a gap
	lost   bool  // bytes that arrived may be gone
	synced bool
	ended  bool
}

func (w *writer) Offset() int64 { return w.offset }

// fail gives err the name.
func (w *writer) fail(op string, err error) error { return pathError(op, w.name, err) }

// ready makes the file ready for the next bytes.
func (w *writer) ready() error {
	if err := w.alive(); err != nil || w.arrived {
		return err
	}
	w.arrived = true
	return w.up.arrive()
}

// alive fails if no byte may follow.
func (w *writer) alive() error {
	switch {
	case w.ended, w.synced:
		return fs.ErrClosed
	case w.err != nil:
		return w.err
	case w.ctx.Err() != nil:
		return context.Cause(w.ctx)
	}
	return nil
}

func (w *writer) Write(p []byte) (int, error) {
	if err := w.ready(); err != nil {
		return 0, w.fail("write", err)
	}
	n, err := w.file.Write(p)
	return n, w.broken(err)
}

// broken keeps an error of the disk and describes it.
func (w *writer) broken(err error) error {
	if err == nil {
		return nil
	}
	w.err = meaning(err)
	if innermost(err) == syscall.EINVAL { // not of the name
		w.err = syscall.EINVAL
	}
	return &fs.PathError{Op: "write", Path: w.name, Err: w.err}
}

// ReadFrom implements io.ReaderFrom. A connection, or an *io.LimitedReader over
// one, is handed on as it is, so that the kernel moves the bytes.
func (w *writer) ReadFrom(r io.Reader) (int64, error) {
	if err := w.ready(); err != nil {
		return 0, w.fail("write", err)
	}
	if w.fs.splices && isConn(r) {
		n, err := w.file.ReadFrom(r)
		if err == nil {
			return n, nil
		}
		if cause, ok := connError(err); ok {
			return n, cause
		}
		return n, w.broken(err)
	}
	buf := w.fs.buffers.Get().(*[]byte)
	defer w.fs.buffers.Put(buf)
	var total int64
	for {
		n, rerr := r.Read(*buf)
		if n > 0 {
			m, err := w.file.Write((*buf)[:n])
			total += int64(m)
			if err != nil {
				return total, w.broken(err)
			}
		}
		if rerr == io.EOF {
			return total, nil
		}
		if rerr != nil {
			return total, rerr
		}
		if err := w.alive(); err != nil {
			return total, w.fail("write", err)
		}
	}
}

func isConn(r io.Reader) bool {
	if lr, ok := r.(*io.LimitedReader); ok {
		r = lr.R
	}
	_, raw := r.(syscall.Conn)
	_, conn := r.(net.Conn)
	return raw && conn
}

// connError tells whether err, of an os.File that reads from a connection, is the
// connection's, and takes the file's name off it.
func connError(err error) (error, bool) {
	pe, ok := err.(*fs.PathError)
	if !ok {
		return err, true // never of the file
	}
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) {
		return pe.Err, true
	}
	switch innermost(err) {
	case syscall.ECONNRESET, syscall.ECONNABORTED, syscall.ETIMEDOUT, syscall.EPIPE, syscall.ENOTCONN, syscall.EHOSTUNREACH,
		syscall.ENETUNREACH, syscall.ENETDOWN, syscall.ENETRESET, syscall.EHOSTDOWN:
		return pe.Err, true
	}
	return nil, false
}

// copyFrom writes the first size bytes of src, in pieces between which the context
// counts. Between files the kernel copies by itself.
func (w *writer) copyFrom(src *diskFile, size int64) error {
	const piece = 64 << 20
	for done := int64(0); done < size; {
		if w.ctx.Err() != nil {
			return context.Cause(w.ctx)
		}
		n, err := io.CopyN(w.file, src.File, min(piece, size-done))
		if err == io.EOF {
			return errChanged
		}
		if err != nil {
			return err
		}
		done += n
	}
	return nil
}

// Sync implements vfs.Writer.
func (w *writer) Sync() error {
	if w.synced || w.ended {
		return nil
	}
	return w.fail("sync", w.sync())
}

func (w *writer) sync() error {
	if err := w.alive(); err != nil {
		return err
	}
	w.synced = true
	w.err = w.up.prepare()
	w.lost = w.err != nil // a disk tells only once what it could not write
	return w.err
}

// Commit implements vfs.Writer. A Commit that fails parks the upload where there
// is something to resume.
func (w *writer) Commit() error {
	if w.ended {
		return nil
	}
	defer w.release()
	err := w.commit()
	if err == nil {
		return nil
	}
	err = w.fail("commit", err)
	if w.worthParking(err) {
		_ = w.park()
	} else {
		_ = w.up.drop()
	}
	return err
}

func (w *writer) commit() error {
	if w.ctx.Err() != nil {
		return context.Cause(w.ctx)
	}
	if w.err == nil && !w.synced {
		w.err = w.sync()
	}
	if w.err != nil {
		return w.err
	}
	return w.up.publish()
}

func (w *writer) worthParking(err error) bool {
	if w.ctx.Err() != nil {
		return true
	}
	return vfs.Kind(err) != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, vfs.ErrIsDir)
}

// park keeps what arrived, or drops the upload where that is nothing new.
func (w *writer) park() error {
	if !w.up.parks() {
		_ = w.up.drop()
		return errors.ErrUnsupported
	}
	if w.lost {
		_ = w.up.drop()
		return w.err
	}
	if st, err := statFile(w.file.File); err == nil && !w.resumed && st.size <= w.offset {
		return w.up.drop()
	}
	err := w.up.park()
	if err != nil {
		_ = w.up.drop()
	}
	return err
}

// Park implements vfs.Writer.
func (w *writer) Park() error {
	if w.ended {
		return nil
	}
	defer w.release()
	return w.fail("park", w.park())
}

// Abort implements vfs.Writer.
func (w *writer) Abort() error {
	if w.ended {
		return nil
	}
	defer w.release()
	return w.fail("abort", w.up.drop())
}

// release ends w.
func (w *writer) release() {
	w.ended = true
	if w.kept != nil {
		w.kept.Close()
	}
	if w.taken != nil {
		w.fs.names.free(*w.taken)
	}
	w.at.close()
}

// trim gives back what was reserved and not needed.
func (w *writer) trim() error {
	if !w.reserved {
		return nil
	}
	st, err := statFile(w.file.File)
	if err != nil {
		return err
	}
	return w.file.Truncate(st.size)
}

// flush makes the bytes of file survive a crash of the machine.
func (w *writer) flush(file *diskFile) error {
	if w.fs.opt.NoSync {
		return nil
	}
	return file.Sync()
}

// flushNames does the same for the names of the directory.
func (w *writer) flushNames() error {
	if w.fs.opt.NoSync {
		return nil
	}
	return w.at.sync()
}
