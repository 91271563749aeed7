package aferofs

import (
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"time"

	"github.com/ftpgate/ftpgate/vfs"
	"github.com/spf13/afero"
)

// toFile is a file or directory of toFs. At most one of r and w is there.
type toFile struct {
	t     *toFs
	name  string // the caller's
	local string
	flag  int
	isDir bool

	pos    int64 // where the next Read or Write goes
	r      fs.File
	rpos   int64       // of r
	pinned fs.FileInfo // the version that is read, if it is only read
	w      vfs.Writer
	wpos   int64        // of w
	keep   int64        // up to here the old content goes on behind wpos
	mode   *os.FileMode // to set when it is made
	failed error        // of the upload: what was there stays
	closed bool

	next func() (fs.FileInfo, error, bool) // of a directory
	stop func()
}

var _ afero.File = (*toFile)(nil)

func (f *toFile) writes() bool { return f.flag&(os.O_WRONLY|os.O_RDWR) != 0 }

func (f *toFile) open(perm os.FileMode) error {
	info, err := f.t.fsys.Stat(f.t.ctx, f.local)
	switch {
	case err == nil && f.flag&(os.O_CREATE|os.O_EXCL) == os.O_CREATE|os.O_EXCL:
		return fs.ErrExist
	case err == nil && info.IsDir():
		if f.isDir = true; f.writes() {
			return vfs.ErrIsDir
		}
		return nil
	case err == nil && (!f.writes() || f.flag&os.O_TRUNC == 0):
		return nil
	case err == nil: // emptied, at Close
		return f.begin(vfs.CreateOptions{})
	case !errors.Is(err, fs.ErrNotExist) || f.flag&os.O_CREATE == 0:
		return err
	}
	f.mode = &perm
	if err := f.begin(vfs.CreateOptions{NoReplace: f.flag&os.O_EXCL != 0}); err != nil || f.writes() {
		return err
	}
	return f.flush() // O_CREATE without writing
}

// begin starts an upload.
func (f *toFile) begin(opt vfs.CreateOptions) error {
	f.closeReader()
	w, err := f.t.fsys.Create(f.t.ctx, f.local, opt)
	if err != nil {
		return err
	}
	f.w, f.wpos, f.keep = w, w.Offset(), 0
	return nil
}

// beginAt starts an upload that writes at off into what is there.
func (f *toFile) beginAt(off int64) error {
	if f.flag&os.O_APPEND != 0 {
		return f.begin(vfs.CreateOptions{Mode: vfs.Append})
	}
	info, err := f.t.fsys.Stat(f.t.ctx, f.local)
	if err != nil {
		return err
	}
	size := info.Size()
	if err := f.begin(vfs.CreateOptions{Mode: vfs.WriteAt, Offset: min(off, size)}); err != nil {
		return err
	}
	f.keep = size
	n, err := f.w.ReadFrom(io.LimitReader(zeros{}, off-f.wpos)) // a hole
	f.wpos += n
	f.failed = err
	return err
}

// extend starts an upload that adds zeros.
func (f *toFile) extend(from, to int64) error {
	if err := f.begin(vfs.CreateOptions{Mode: vfs.WriteAt, Offset: from}); err != nil {
		return err
	}
	_, f.failed = f.w.ReadFrom(io.LimitReader(zeros{}, to-from))
	return f.failed
}

// zeros reads as a hole does.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// flush makes visible what was written.
func (f *toFile) flush() error {
	if f.w == nil {
		return f.failed
	}
	w := f.w
	f.w = nil
	defer w.Abort()
	if f.failed != nil {
		return f.failed
	}
	f.failed = f.finish(w)
	return f.failed
}

func (f *toFile) finish(w vfs.Writer) error {
	if f.wpos < f.keep {
		rest, err := f.t.fsys.Open(f.t.ctx, f.local, f.wpos, -1)
		if err != nil {
			return err
		}
		defer rest.Close()
		if _, err := w.ReadFrom(rest); err != nil {
			return err
		}
	}
	if err := w.Commit(); err != nil || f.mode == nil {
		return err
	}
	mode := *f.mode
	f.mode = nil
	return f.t.chmod(f.local, mode)
}

func (f *toFile) closeReader() {
	if f.r != nil {
		f.r.Close()
		f.r = nil
	}
}

// usable is the beginning of every method that moves bytes.
func (f *toFile) usable(op string, writing bool) error {
	switch {
	case f.closed:
		return told(op, f.name, fs.ErrClosed)
	case f.isDir:
		return told(op, f.name, vfs.ErrIsDir)
	case writing && !f.writes() || !writing && f.flag&os.O_WRONLY != 0:
		return told(op, f.name, fs.ErrPermission)
	}
	return told(op, f.name, f.failed)
}

func (f *toFile) Name() string { return f.name }

func (f *toFile) Read(p []byte) (int, error) {
	if err := f.usable("read", false); err != nil {
		return 0, err
	}
	if err := f.flush(); err != nil {
		return 0, told("read", f.name, err)
	}
	err := f.reader()
	if oe := (*vfs.OffsetError)(nil); errors.As(err, &oe) {
		return 0, io.EOF
	}
	if err != nil {
		return 0, told("read", f.name, err)
	}
	n, err := f.r.Read(p)
	f.rpos += int64(n)
	f.pos = f.rpos
	if err == io.EOF {
		return n, err
	}
	return n, told("read", f.name, err)
}

// errChanged is what reading fails with rather than mix two versions.
var errChanged = errors.New("the file was replaced while it was read")

// reader makes f.r read from pos.
func (f *toFile) reader() error {
	if f.r != nil && f.rpos == f.pos {
		return nil
	}
	f.closeReader()
	r, err := f.t.fsys.Open(f.t.ctx, f.local, f.pos, -1)
	if err != nil {
		return err
	}
	if err := f.pin(r); err != nil {
		r.Close()
		return err
	}
	f.r, f.rpos = r, f.pos
	return nil
}

// pin makes sure that r is of the version that was read before.
func (f *toFile) pin(r fs.File) error {
	if f.writes() {
		return nil
	}
	info, err := r.Stat()
	if err != nil {
		return err
	}
	if p := f.pinned; p != nil && (p.Size() != info.Size() || !p.ModTime().Equal(info.ModTime()) || vfs.AttrOf(p).Unique != vfs.AttrOf(info).Unique) {
		return errChanged
	}
	f.pinned = info
	return nil
}

func (f *toFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.usable("read", false); err != nil {
		return 0, err
	}
	if err := f.flush(); err != nil {
		return 0, told("read", f.name, err)
	}
	r, err := f.t.fsys.Open(f.t.ctx, f.local, off, int64(len(p)))
	if oe := (*vfs.OffsetError)(nil); errors.As(err, &oe) {
		return 0, io.EOF
	}
	if err != nil {
		return 0, told("read", f.name, err)
	}
	defer r.Close()
	if err := f.pin(r); err != nil {
		return 0, told("read", f.name, err)
	}
	n, err := io.ReadFull(r, p)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return n, io.EOF
	}
	return n, told("read", f.name, err)
}

func (f *toFile) Write(p []byte) (int, error) {
	n, err := f.write(p, f.pos)
	if n > 0 {
		f.pos = f.wpos
	}
	return n, err
}

func (f *toFile) WriteString(s string) (int, error) { return f.Write([]byte(s)) }

func (f *toFile) WriteAt(p []byte, off int64) (int, error) {
	if f.flag&os.O_APPEND != 0 || off < 0 {
		return 0, told("write", f.name, fs.ErrInvalid)
	}
	return f.write(p, off)
}

// write goes on with the upload if off is where it stands, else begins another.
func (f *toFile) write(p []byte, off int64) (int, error) {
	err := f.usable("write", true)
	if err == nil && len(p) == 0 {
		return 0, nil // not even a hole
	}
	if err == nil && f.w != nil && f.wpos != off && f.flag&os.O_APPEND == 0 {
		err = f.flush()
	}
	if err == nil && f.w == nil {
		err = f.beginAt(off)
	}
	if err != nil {
		return 0, told("write", f.name, err)
	}
	n, err := f.w.Write(p)
	f.wpos += int64(n)
	f.failed = err
	return n, told("write", f.name, err)
}

func (f *toFile) Seek(offset int64, whence int) (int64, error) {
	if f.closed {
		return 0, told("seek", f.name, fs.ErrClosed)
	}
	if f.isDir {
		f.rewind()
		return 0, nil
	}
	switch whence {
	case io.SeekCurrent:
		offset += f.pos
	case io.SeekEnd:
		size, err := f.size()
		if err != nil {
			return 0, told("seek", f.name, err)
		}
		offset += size
	}
	if offset < 0 {
		return 0, told("seek", f.name, fs.ErrInvalid)
	}
	f.pos = offset
	return f.pos, nil
}

// size is that of the file as it would be if it were closed now.
func (f *toFile) size() (int64, error) {
	if f.w != nil {
		return max(f.wpos, f.keep), nil
	}
	if f.pinned != nil {
		return f.pinned.Size(), nil
	}
	info, err := f.t.fsys.Stat(f.t.ctx, f.local)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f *toFile) Truncate(size int64) error {
	err := f.usable("truncate", true)
	if err == nil && size < 0 {
		err = fs.ErrInvalid
	}
	if err == nil {
		err = f.flush()
	}
	if err != nil {
		return told("truncate", f.name, err)
	}
	now, err := f.size()
	switch {
	case err != nil || size == now:
		return told("truncate", f.name, err)
	case size < now:
		err = f.begin(vfs.CreateOptions{Mode: vfs.WriteAt, Offset: size})
	default:
		err = f.extend(now, size)
	}
	if err == nil {
		err = f.flush()
	}
	return told("truncate", f.name, err)
}

func (f *toFile) Sync() error {
	if f.closed {
		return told("sync", f.name, fs.ErrClosed)
	}
	return told("sync", f.name, f.flush())
}

func (f *toFile) Stat() (os.FileInfo, error) {
	if f.closed {
		return nil, told("stat", f.name, fs.ErrClosed)
	}
	if !f.isDir && !f.writes() && f.pinned == nil && f.pos == 0 { // the version that will be read
		if err := f.reader(); err != nil {
			return nil, told("stat", f.name, err)
		}
	}
	if f.pinned != nil {
		return f.pinned, nil
	}
	info, err := f.t.fsys.Stat(f.t.ctx, f.local)
	if f.w == nil || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return info, told("stat", f.name, err)
	}
	size, _ := f.size()
	_, base := vfs.Split(f.local)
	if err != nil { // it is not visible yet
		return vfs.NewInfo(base, size, 0o644, time.Now(), nil), nil
	}
	return vfs.NewInfo(base, size, info.Mode(), info.ModTime(), vfs.AttrOf(info)), nil
}

// Close makes visible what was written.
func (f *toFile) Close() error {
	if f.closed {
		return told("close", f.name, fs.ErrClosed)
	}
	err := f.flush()
	f.closeReader()
	f.rewind()
	f.closed = true
	return told("close", f.name, err)
}

// rewind starts the listing anew.
func (f *toFile) rewind() {
	if f.stop != nil {
		f.stop()
		f.next, f.stop = nil, nil
	}
}

func (f *toFile) Readdir(count int) ([]os.FileInfo, error) {
	switch {
	case f.closed:
		return nil, told("readdir", f.name, fs.ErrClosed)
	case !f.isDir:
		return nil, told("readdir", f.name, vfs.ErrNotDir)
	}
	if f.next == nil {
		f.next, f.stop = iter.Pull2(f.t.fsys.ReadDir(f.t.ctx, f.local, ""))
	}
	var infos []os.FileInfo
	for count <= 0 || len(infos) < count {
		info, err, ok := f.next()
		if !ok {
			break
		}
		if err != nil {
			return infos, told("readdir", f.name, err)
		}
		infos = append(infos, info)
	}
	if count > 0 && len(infos) == 0 {
		return nil, io.EOF
	}
	return infos, nil
}

func (f *toFile) Readdirnames(n int) ([]string, error) {
	infos, err := f.Readdir(n)
	names := make([]string, len(infos))
	for i, info := range infos {
		names[i] = info.Name()
	}
	return names, err
}
