package sftp

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"

	pkgsftp "github.com/pkg/sftp"

	"github.com/ftpgate/ftpgate/vfs"
)

// wholeRead is up to how many bytes are read at once rather than streamed.
const wholeRead = 8 * packetSize

// readable says why st can't be read.
func readable(st stat) error {
	switch {
	case !st.exists:
		return fs.ErrNotExist
	case st.mode.IsDir():
		return vfs.ErrIsDir
	case !st.mode.IsRegular():
		return fs.ErrPermission
	}
	return nil
}

// Open implements vfs.FS. A file whose connection breaks fails; it is not read on
// from another one, because nothing tells that it would be the same file. Files that
// uploads replace never change for their readers; what other programs do to a file
// in place shows, but a file that they cut short fails.
func (f *FS) Open(ctx context.Context, name string, offset, length int64) (fs.File, error) {
	const op = "open"
	if err := begin(ctx, op, name); err != nil {
		return nil, err
	}
	if offset < 0 {
		return nil, pathError(op, name, fs.ErrInvalid)
	}
	p, st, err := f.look(ctx, name, true)
	if err == nil {
		err = readable(st)
	}
	var file *file
	if err == nil {
		if file, err = f.open1(ctx, p, name, offset, length); errors.Is(err, errLost) && ctx.Err() == nil {
			file, err = f.open1(ctx, p, name, offset, length)
		}
	}
	if err != nil {
		return nil, pathError(op, name, cancelled(ctx, err))
	}
	return file, nil
}

// open1 opens what is at p, on one session.
func (f *FS) open1(ctx context.Context, p place, name string, offset, length int64) (*file, error) {
	s, err := f.pool.transfer(ctx)
	if err != nil {
		return nil, err
	}
	var remote *pkgsftp.File
	var now fs.FileInfo
	if err := s.call(func() (err error) {
		remote, err = s.OpenFile(f.path(p.name()), os.O_RDONLY)
		return err
	}); err != nil {
		s.release()
		return nil, err
	}
	opened := &file{ctx: ctx, name: name, session: s, remote: remote, pos: offset}
	err = s.call(func() (err error) {
		now, err = remote.Stat()
		return err
	})
	if err == nil && !now.Mode().IsRegular() {
		err = fs.ErrPermission
	}
	if err == nil && offset > now.Size() {
		err = &vfs.OffsetError{Offset: offset, Accept: now.Size()}
	}
	if err != nil {
		opened.Close()
		return nil, err
	}
	st := stat{exists: true, mode: now.Mode(), size: now.Size(), mtime: now.ModTime()}
	if raw, ok := now.Sys().(*pkgsftp.FileStat); ok {
		st.uid, st.gid, st.owned = raw.UID, raw.GID, true
	}
	_, base := vfs.Split(name)
	opened.info = info(base, st, "")
	opened.end = st.size
	if length >= 0 && length < st.size-offset {
		opened.end = offset + length
	}
	return opened, nil
}

// file reads up to end.
type file struct {
	ctx     context.Context
	name    string
	info    vfs.Info
	session *session
	remote  *pkgsftp.File
	pos     int64 // in bytes from the start
	end     int64

	whole  []byte // read, and not yet asked for
	stream *io.PipeReader
	stop   func() bool // the cancellation of stream
	once   sync.Once
	closed bool
}

func (f *file) Stat() (fs.FileInfo, error) { return f.info, nil }

func (f *file) Read(p []byte) (int, error) {
	switch {
	case f.closed:
		return 0, pathError("read", f.name, fs.ErrClosed)
	case f.ctx.Err() != nil:
		return 0, pathError("read", f.name, context.Cause(f.ctx))
	case f.pos >= f.end:
		return 0, io.EOF
	case len(p) == 0:
		return 0, nil
	}
	n, err := f.read(p)
	f.pos += int64(n)
	if err == io.EOF {
		err = errChanged
	}
	if n > 0 || err == nil {
		return n, nil // an error stays for the next Read
	}
	return 0, pathError("read", f.name, cancelled(f.ctx, err))
}

func (f *file) read(p []byte) (int, error) {
	rest := f.end - f.pos
	if f.stream == nil && len(f.whole) == 0 && rest <= wholeRead {
		f.whole = make([]byte, rest)
		err := f.session.call(func() error {
			n, err := f.remote.ReadAt(f.whole, f.pos)
			if f.whole = f.whole[:n]; err == io.EOF {
				err = nil
			}
			return err
		})
		if len(f.whole) == 0 {
			if err == nil {
				err = io.EOF
			}
			return 0, err
		}
	}
	if len(f.whole) > 0 {
		n := copy(p, f.whole)
		f.whole = f.whole[n:]
		return n, nil
	}
	if f.stream == nil {
		f.start()
	}
	defer f.session.watch()()
	return f.stream.Read(p[:min(int64(len(p)), rest)])
}

// start begins to read ahead, with many requests under way.
func (f *file) start() {
	r, w := io.Pipe()
	f.stream = r
	f.stop = context.AfterFunc(f.ctx, func() { r.CloseWithError(context.Cause(f.ctx)) })
	d := &download{w: w, rest: f.end - f.pos}
	from := f.pos
	f.session.conn.pool.run(func() {
		w.CloseWithError(f.session.conn.lost(d.copy(f.remote, from)))
		f.release()
	})
}

// Close implements fs.File. It does not wait for what is under way.
func (f *file) Close() error {
	if f.closed {
		return pathError("close", f.name, fs.ErrClosed)
	}
	f.closed = true
	if f.stream == nil {
		f.session.conn.pool.run(f.release)
		return nil
	}
	f.stop()
	f.stream.Close()
	return nil
}

// release closes the file on the server and gives the session back, once nothing is
// under way any more.
func (f *file) release() {
	f.once.Do(func() {
		_ = f.session.call(f.remote.Close)
		f.session.release()
	})
}

// download is what pkg/sftp writes a file to.
type download struct {
	w    *io.PipeWriter
	rest int64 // bytes that are wanted
	all  int64 // bytes that were taken
}

// errEnough ends a download whose end is reached, errShort one whose server gives
// less than it is asked for.
var (
	errEnough = errors.New("enough")
	errShort  = errors.New("a short read")
)

func (d *download) Write(p []byte) (int, error) {
	short := len(p) < packetSize
	p = p[:min(int64(len(p)), d.rest)]
	n, err := d.w.Write(p)
	d.rest -= int64(n)
	d.all += int64(n)
	switch {
	case err != nil:
		return n, err
	case d.rest == 0:
		return n, errEnough
	case short:
		// The library takes it for the end of the file, and goes on behind the
		// gap.
		return n, errShort
	}
	return n, nil
}

// remoteFile is what a download needs of a *pkgsftp.File.
type remoteFile interface {
	io.Seeker
	io.WriterTo
	io.ReaderAt
}

// copy copies remote from an offset on. nil: all that was wanted, or all there is.
func (d *download) copy(remote remoteFile, from int64) error {
	if _, err := remote.Seek(from, io.SeekStart); err != nil {
		return fromLibrary(err)
	}
	_, err := remote.WriteTo(d)
	buf := make([]byte, packetSize)
	for err == errShort {
		n, rerr := remote.ReadAt(buf, from+d.all)
		if n > 0 {
			_, err = d.Write(buf[:n])
		}
		if rerr != nil && (err == nil || err == errShort) {
			err = rerr
		} else if err == nil {
			err = errShort
		}
	}
	return done(err)
}

func done(err error) error {
	if err == errEnough || err == io.EOF { // then the reader sees that bytes are missing
		return nil
	}
	return fromLibrary(err)
}
