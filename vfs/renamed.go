package vfs

import (
	"io"
	"io/fs"
	"syscall"
)

// callersName returns what gives a store's errors about its name inner the name
// that the caller used. Other errors stay what they are: ReadFrom also returns those
// of its source.
func callersName(inner, name string) func(error) error {
	return func(err error) error {
		if pe, ok := err.(*fs.PathError); ok && pe.Path == inner {
			return &fs.PathError{Op: pe.Op, Path: name, Err: pe.Err}
		}
		return err
	}
}

// renamedFile returns f, opened as inner, with errors that carry the caller's name.
// It keeps the two ways to move bytes without passing through this program.
func renamedFile(f fs.File, inner, name string) fs.File {
	if inner == name {
		return f
	}
	out := &namedFile{f, callersName(inner, name)}
	if conn, ok := f.(syscall.Conn); ok {
		return &kernelFile{out, conn}
	}
	if to, ok := f.(io.WriterTo); ok {
		return &pouringFile{out, to}
	}
	return out
}

type namedFile struct {
	fs.File
	fix func(error) error
}

func (f *namedFile) Stat() (fs.FileInfo, error) {
	info, err := f.File.Stat()
	return info, f.fix(err)
}

func (f *namedFile) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	return n, f.fix(err)
}

func (f *namedFile) Close() error { return f.fix(f.File.Close()) }

// kernelFile is one for sendfile.
type kernelFile struct {
	*namedFile
	syscall.Conn
}

// pouringFile is one that writes itself.
type pouringFile struct {
	*namedFile
	to io.WriterTo
}

func (f *pouringFile) WriteTo(w io.Writer) (int64, error) {
	n, err := f.to.WriteTo(w)
	return n, f.fix(err)
}

// closeFS closes f if it can be closed.
func closeFS(f FS) error {
	if c, ok := f.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
