package local

import (
	"context"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/ftpgate/ftpgate/vfs"
)

// Open implements vfs.FS. A file that is read to its end has a syscall.Conn, so
// that sendfile works; one of which only a part is read has none, because the
// kernel would run past that part. Files that uploads of this FS replace never
// change for their readers; what other programs do to a file in place shows, but a
// file that they cut short fails.
func (f *FS) Open(ctx context.Context, name string, offset, length int64) (fs.File, error) {
	const op = "open"
	if err := begin(ctx, op, name); err != nil {
		return nil, err
	}
	if offset < 0 {
		return nil, pathError(op, name, fs.ErrInvalid)
	}
	file, err := f.open(ctx, name, offset, length)
	if err != nil {
		return nil, pathError(op, name, err)
	}
	if file.end == file.info.Size() {
		return sendFile{file}, nil
	}
	return file, nil
}

func (f *FS) open(ctx context.Context, name string, offset, length int64) (*file, error) {
	p, st, err := f.find(name, true)
	if err != nil {
		return nil, err
	}
	defer p.close()
	if err := readable(st); err != nil { // opening a device may already do something
		return nil, err
	}
	handle, err := p.open(p.base, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	opened := &file{handle: handle, ctx: ctx, name: name}
	if st, err = statFile(handle.File); err == nil {
		err = readable(st)
	}
	if err == nil && offset > st.size {
		err = &vfs.OffsetError{Offset: offset, Accept: st.size}
	}
	if err == nil {
		_, err = handle.Seek(offset, io.SeekStart)
	}
	if err != nil {
		opened.Close()
		return nil, err
	}
	_, base := vfs.Split(name)
	opened.info = f.info(base, st, "")
	opened.end = st.size
	if length >= 0 && length < st.size-offset {
		opened.end = offset + length
	}
	return opened, nil
}

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

// file reads up to end. It keeps no position of its own, because sendfile moves
// the descriptor's.
type file struct {
	handle *diskFile
	ctx    context.Context
	name   string
	info   vfs.Info
	end    int64 // in bytes from the start
}

func (f *file) Stat() (fs.FileInfo, error) { return f.info, nil }

func (f *file) Read(p []byte) (int, error) {
	n, err := f.read(p)
	if err == nil || err == io.EOF {
		return n, err
	}
	return n, pathError("read", f.name, err)
}

func (f *file) read(p []byte) (int, error) {
	if f.ctx.Err() != nil {
		return 0, context.Cause(f.ctx)
	}
	pos, err := f.handle.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	if pos >= f.end {
		return 0, io.EOF
	}
	n, err := f.handle.Read(p[:min(int64(len(p)), f.end-pos)])
	if err == io.EOF {
		return 0, errChanged
	}
	return n, err
}

func (f *file) Close() error {
	return pathError("close", f.name, f.handle.Close())
}

// sendFile is a file that the kernel may send to its end.
type sendFile struct{ *file }

// SyscallConn implements syscall.Conn.
func (f sendFile) SyscallConn() (syscall.RawConn, error) {
	conn, err := f.handle.SyscallConn()
	if err != nil {
		return nil, pathError("read", f.name, err)
	}
	return rawFile{conn, f.file}, nil
}

// rawFile looks after each run of the kernel like Read after each piece.
type rawFile struct {
	syscall.RawConn
	file *file
}

func (r rawFile) Read(send func(fd uintptr) bool) error {
	err := r.read(send)
	return pathError("read", r.file.name, err)
}

func (r rawFile) read(send func(fd uintptr) bool) error {
	if r.file.ctx.Err() != nil {
		return context.Cause(r.file.ctx)
	}
	if pos, err := r.file.handle.Seek(0, io.SeekCurrent); err != nil || pos >= r.file.end {
		return err
	}
	if err := r.RawConn.Read(send); err != nil {
		return err
	}
	st, err := statFile(r.file.handle.File)
	if err == nil && st.size < r.file.end {
		err = errChanged
	}
	return err
}
