package aferofs

import (
	"context"
	"io"
	"io/fs"

	"github.com/ftpgate/ftpgate/vfs"
	"github.com/spf13/afero"
)

// Open implements vfs.FS.
func (f *aferoFS) Open(ctx context.Context, name string, offset, length int64) (fs.File, error) {
	if err := f.begin(ctx, "open", name); err != nil {
		return nil, err
	}
	file, err := f.open(ctx, name, offset, length)
	if err != nil {
		return nil, fail("open", name, err)
	}
	return file, nil
}

func (f *aferoFS) open(ctx context.Context, name string, offset, length int64) (fs.File, error) {
	info, err := f.stat(name)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, vfs.ErrIsDir
	case !info.Mode().IsRegular(): // opening a pipe would wait for its writer
		return nil, fs.ErrPermission
	case offset < 0:
		return nil, fs.ErrInvalid
	}
	file, err := f.a.Open(f.path(name))
	if err != nil {
		return nil, err
	}
	now, err := file.Stat()
	if err == nil {
		info = snapshot(now, info.Name())
		if offset > info.Size() {
			err = &vfs.OffsetError{Offset: offset, Accept: info.Size()}
		}
	}
	if err == nil && offset > 0 {
		_, err = file.Seek(offset, io.SeekStart)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	left := info.Size() - offset
	if length >= 0 {
		left = min(left, length)
	}
	return &reader{ctx: ctx, name: name, file: file, info: info, left: left}, nil
}

// reader reads a range of the size that the file had when it was opened.
type reader struct {
	ctx  context.Context
	name string
	file afero.File
	info vfs.Info
	left int64
}

func (r *reader) Stat() (fs.FileInfo, error) { return r.info, nil }
func (r *reader) Close() error               { return fail("close", r.name, r.file.Close()) }

func (r *reader) Read(p []byte) (int, error) {
	if err := vfs.ContextError(r.ctx, "read", r.name); err != nil {
		return 0, err
	}
	if r.left == 0 && len(p) > 0 {
		if _, err := r.file.Seek(0, io.SeekCurrent); err != nil { // closed
			return 0, fail("read", r.name, err)
		}
		return 0, io.EOF
	}
	n, err := r.file.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	switch {
	case err == io.EOF && r.left > 0: // somebody cut it off
		err = io.ErrUnexpectedEOF
	case err == io.EOF && n > 0:
		err = nil
	}
	if err == io.EOF {
		return n, err
	}
	return n, fail("read", r.name, err)
}
