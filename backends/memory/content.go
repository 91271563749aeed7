package memory

import (
	"context"
	"io"
	"io/fs"

	"github.com/ftpgate/ftpgate/vfs"
)

// chunkSize is the unit of content: large enough for one call to move it to a
// connection, small enough to copy when a file is appended to.
const chunkSize = 64 << 10

// content is one version of a file. All chunks but the last are full; nobody
// changes them once a version is visible.
type content struct {
	chunks [][]byte
	size   int64
}

// at returns what follows off in its chunk, up to end.
func (c content) at(off, end int64) []byte {
	chunk := c.chunks[off/chunkSize]
	return chunk[off%chunkSize : min(int64(len(chunk)), off%chunkSize+end-off)]
}

// charge counts n bytes, or takes them off the count. It reports whether there was
// room for them.
func (s *store) charge(n int64) bool {
	if total := s.bytes.Add(n); n > 0 && s.opt.MaxBytes > 0 && total > s.opt.MaxBytes {
		s.bytes.Add(-n)
		return false
	}
	return true
}

// chargeSome counts as much of n bytes as there is room for, and returns it.
func (s *store) chargeSome(n int64) int64 {
	if s.charge(n) {
		return n
	}
	for {
		used := s.bytes.Load()
		some := max(0, min(n, s.opt.MaxBytes-used))
		if s.bytes.CompareAndSwap(used, used+some) {
			return some
		}
	}
}

func (s *store) newChunk() []byte {
	if c, ok := s.pool.Get().(*[chunkSize]byte); ok {
		return c[:0]
	}
	return make([]byte, 0, chunkSize)
}

// recycle takes a chunk that nobody else knows.
func (s *store) recycle(chunk []byte) {
	if cap(chunk) == chunkSize { // the last one of a sealed content may be smaller
		s.pool.Put((*[chunkSize]byte)(chunk[:chunkSize]))
	}
}

// file reads one version. It hands its chunks on without copying.
type file struct {
	ctx      context.Context
	name     string
	info     vfs.Info
	content  content
	pos, end int64
	closed   bool
}

var _ io.WriterTo = (*file)(nil)

func (f *file) Stat() (fs.FileInfo, error) { return f.info, nil }

func (f *file) check() error {
	if f.closed {
		return &fs.PathError{Op: "read", Path: f.name, Err: fs.ErrClosed}
	}
	return vfs.ContextError(f.ctx, "read", f.name)
}

func (f *file) Read(p []byte) (int, error) {
	if err := f.check(); err != nil {
		return 0, err
	}
	if f.pos == f.end && len(p) > 0 {
		return 0, io.EOF
	}
	total := 0
	for total < len(p) && f.pos < f.end {
		n := copy(p[total:], f.content.at(f.pos, f.end))
		total += n
		f.pos += int64(n)
	}
	return total, nil
}

// WriteTo writes the chunks themselves to w. It may be called again after an error
// of w and goes on behind the last byte that w took.
func (f *file) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for {
		if err := f.check(); err != nil {
			return total, err
		}
		if f.pos == f.end {
			return total, nil
		}
		chunk := f.content.at(f.pos, f.end)
		n, err := w.Write(chunk)
		total += int64(n)
		f.pos += int64(n)
		if err == nil && n < len(chunk) {
			err = io.ErrShortWrite
		}
		if err != nil {
			return total, err
		}
	}
}

func (f *file) Close() error {
	f.closed, f.content = true, content{}
	return nil
}
