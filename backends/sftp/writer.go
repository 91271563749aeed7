package sftp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	pkgsftp "github.com/pkg/sftp"

	"github.com/ftpgate/ftpgate/vfs"
)

// writer is an upload into a hidden file that Commit renames onto its name.
type writer struct {
	fs        *FS
	ctx       context.Context
	name      string
	at        place
	old       stat // what stood there when it began
	owner     string
	noReplace bool
	holds     bool // at.name() in fs.runs

	stage   string        // the plain name of the hidden file
	made    bool          // it is there, or may be
	session *session      // nil once the file is closed
	file    *pkgsftp.File // likewise
	stream  *stream       // nil until the first byte
	offset  int64
	size    int64 // of the file, with every byte that was taken
	had     int64 // bytes of a resumed upload before it was resumed
	resumed bool
	claimed bool // it was parked, and is to be parked again if Create fails
	arrived bool // a byte, or the readiness for one

	linked  bool       // the link to the upload is there, or may be
	sure    bool       // it is there
	linking chan error // of making it
	err     error      // of the store; nothing can follow it without a gap
	synced  bool
	ended   bool
}

// register makes stage the hidden file of the upload.
func (w *writer) register(stage string) {
	if w.stage != stage {
		w.unregister()
		w.stage = stage
		w.fs.runs.start(stage, w.owner, w.at.name())
	}
}

func (w *writer) unregister() {
	if w.stage != "" {
		w.fs.runs.stop(w.stage, w.owner, w.at.name())
		w.stage = ""
	}
}

func (w *writer) Offset() int64 { return w.offset }

// fail gives err the name.
func (w *writer) fail(op string, err error) error { return pathError(op, w.name, err) }

// check fails if no byte may follow.
func (w *writer) check() error {
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

// ready makes the file ready for the next bytes.
func (w *writer) ready() error {
	if err := w.check(); err != nil || w.arrived {
		return err
	}
	if err := w.cut(); err != nil {
		return err
	}
	w.arrived = true
	w.start()
	return nil
}

// cut drops what lies behind the offset of a resumed upload.
func (w *writer) cut() error {
	if !w.resumed || w.had == w.offset {
		return nil
	}
	return w.session.call(func() error { return w.file.Truncate(w.offset) })
}

func (w *writer) Write(p []byte) (int, error) {
	if err := w.ready(); err != nil {
		return 0, w.fail("write", err)
	}
	n, err := w.put(p)
	return n, w.broken(err)
}

// put hands p to the stream.
func (w *writer) put(p []byte) (int, error) {
	defer w.session.watch()()
	n, err := w.stream.in.Write(p)
	w.size += int64(n)
	if !w.linked && w.owner != "" && w.size-w.offset >= w.fs.opt.tuning.point && w.fs.links() {
		w.point()
	}
	return n, err
}

// point makes the link by which the upload is found if this process dies.
func (w *writer) point() {
	f, ctx := w.fs, w.ctx
	_, base := vfs.Split(w.stage)
	path := f.path(w.link())
	made := make(chan error, 1)
	w.linking, w.linked = made, true
	f.pool.run(func() {
		made <- f.pool.ask(ctx, false, func(c *wire) error { return makeLink(ctx, c, base, path) })
	})
}

// broken keeps an error of the store and describes it.
func (w *writer) broken(err error) error {
	switch {
	case err == nil:
		return nil
	case w.ctx.Err() != nil:
		return w.fail("write", context.Cause(w.ctx))
	}
	w.err = w.full(w.session.conn.lost(fromLibrary(err)))
	return w.fail("write", w.err)
}

// ReadFrom implements io.ReaderFrom.
func (w *writer) ReadFrom(r io.Reader) (int64, error) {
	buf := make([]byte, 4*packetSize)
	var total int64
	for idle := 0; idle < 100; idle++ {
		if err := w.ready(); err != nil {
			return total, w.fail("write", err)
		}
		n, rerr := r.Read(buf)
		if n > 0 {
			idle = 0
			m, err := w.put(buf[:n])
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
	}
	return total, io.ErrNoProgress
}

// Sync implements vfs.Writer.
func (w *writer) Sync() error {
	if w.synced || w.ended {
		return nil
	}
	return w.fail("sync", w.sync())
}

func (w *writer) sync() error {
	if err := w.check(); err != nil {
		return err
	}
	w.synced = true
	if err := w.prepare(); err != nil {
		if w.ctx.Err() != nil {
			return context.Cause(w.ctx)
		}
		w.err = w.full(err)
	}
	return w.err
}

// prepare does what of publish makes nothing visible.
func (w *writer) prepare() error {
	if !w.arrived {
		if err := w.cut(); err != nil {
			return err
		}
	}
	if err := w.finish(); err != nil {
		return err
	}
	s, perm := w.session, w.old.mode.Perm()
	if w.old.exists && w.fs.facts.setMode && (w.resumed || perm&0o600 != 0o600) {
		if err := s.call(func() error { return w.file.Chmod(perm) }); err != nil {
			return err
		}
	}
	if err := w.flush(); err != nil {
		return err
	}
	if w.resumed {
		if err := w.checkSize(); err != nil {
			return err
		}
	}
	if w.fs.facts.openssh && w.durable() {
		w.closeLater()
		return nil
	}
	return w.closeFile()
}

// closeLater is closeFile that nobody waits for: of bytes that are on the disk it can
// say nothing new, and a POSIX server renames open files, so a round trip is saved.
func (w *writer) closeLater() {
	s, file := w.session, w.file
	w.session, w.file = nil, nil
	if w.stream != nil {
		stop := s.watch()
		w.stream.abort()
		stop()
	}
	w.fs.pool.run(func() {
		_ = s.call(file.Close)
		s.release()
	})
}

// checkSize makes sure that nothing follows what was written: on a file that was
// there before, requests of a connection that broke could still be worked on.
func (w *writer) checkSize() error {
	var st fs.FileInfo
	if err := w.session.call(func() (err error) {
		st, err = w.file.Stat()
		return err
	}); err != nil {
		return err
	}
	switch {
	case st.Size() < w.size:
		return fmt.Errorf("%w: the upload was cut short on the server", vfs.ErrBusy)
	case st.Size() > w.size:
		return w.session.call(func() error { return w.file.Truncate(w.size) })
	}
	return nil
}

// durable reports whether flush does anything.
func (w *writer) durable() bool { return !w.fs.opt.NoSync && w.fs.facts.fsync }

// flush makes the bytes survive a crash of the server's machine.
func (w *writer) flush() error {
	if !w.durable() {
		return nil
	}
	return w.session.callFor(w.fs.opt.tuning.slow, w.file.Sync)
}

// closeFile closes the file and gives the session back.
func (w *writer) closeFile() error {
	if w.session == nil {
		return nil
	}
	s := w.session
	if w.stream != nil {
		stop := s.watch()
		w.stream.abort()
		stop()
	}
	err := s.call(w.file.Close)
	s.release()
	w.session, w.file = nil, nil
	return err
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
	err = w.fail("commit", cancelled(w.ctx, err))
	if w.worthParking(err) {
		_ = w.park()
	} else {
		_ = w.drop()
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
	return w.publish()
}

func (w *writer) worthParking(err error) bool {
	if w.ctx.Err() != nil || passing(err) {
		return true
	}
	return vfs.Kind(err) != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, vfs.ErrIsDir)
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
	return w.fail("abort", w.drop())
}

// release ends w.
func (w *writer) release() {
	w.ended = true
	_ = w.closeFile()
	w.unregister()
	if w.holds {
		w.fs.runs.letGo(w.at.name())
	}
}
