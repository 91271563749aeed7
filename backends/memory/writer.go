package memory

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"github.com/ftpgate/ftpgate/vfs"
)

// upload names one upload that continues something: the complete file at a place
// (no owner) or the owner's staged upload there. There is one at a time of each.
type upload struct {
	dir *node
	claim
}

// writer builds a new version of a file. Its chunks from own on are its alone; the
// ones before belong to the version that it continues.
type writer struct {
	ctx   context.Context
	f     *FS
	name  string
	opt   vfs.CreateOptions
	place place
	key   upload  // held in store.live
	holds bool    // whether it is
	taken *staged // the staged upload that it continues

	chunks  [][]byte
	own     int
	size    int64 // with what is kept
	shared  int64 // kept bytes of a complete file, charged there
	offset  int64
	arrived bool
	failed  error
	done    bool
}

// Create implements vfs.FS. A link is followed: the upload replaces its target.
func (f *FS) Create(ctx context.Context, name string, opt vfs.CreateOptions) (vfs.Writer, error) {
	if err := check(ctx, "create", name); err != nil {
		return nil, err
	}
	w := &writer{ctx: ctx, f: f, name: name, opt: opt}
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	f.s.sweep()
	if err := w.begin(); err != nil {
		return nil, vfs.PathError("create", name, err)
	}
	return w, nil
}

func (w *writer) begin() error {
	s := w.f.s
	p, err := w.f.find(w.name, true)
	if err != nil {
		return err
	}
	w.place = p
	switch {
	case p.node != nil && p.node.isDir():
		return vfs.ErrIsDir
	case p.node != nil && w.opt.NoReplace:
		return fs.ErrExist
	case w.opt.Offset < 0:
		return fs.ErrInvalid
	case s.opt.MaxBytes > 0 && w.opt.SizeHint > s.opt.MaxBytes-s.bytes.Load():
		return vfs.ErrNoSpace
	}
	if p.node == nil {
		if err := s.hasInode(); err != nil {
			return err
		}
	}
	if w.opt.Mode == vfs.Replace {
		if w.opt.Owner != "" {
			s.drop(p.dir, claim{p.base, w.opt.Owner})
		}
		return nil
	}
	return w.resume()
}

// resume makes the writer continue the owner's staged upload or the complete file.
func (w *writer) resume() error {
	s, p := w.f.s, w.place
	own := claim{p.base, w.opt.Owner}
	st := p.dir.staged[own]
	if w.opt.Owner != "" && s.live[upload{p.dir, own}] {
		return vfs.ErrBusy
	}
	var c content
	accept := int64(0)
	switch {
	case st != nil:
		w.key = upload{p.dir, own}
		c, accept = st.content, st.told()
	case p.node != nil:
		c, accept = p.node.content, p.node.content.size
		fallthrough
	default:
		w.key = upload{p.dir, claim{name: p.base}}
	}
	offset := w.opt.Offset
	if w.opt.Mode == vfs.Append {
		offset = accept
	}
	if offset > c.size {
		return &vfs.OffsetError{Offset: offset, Accept: c.size}
	}
	if s.live[w.key] {
		return vfs.ErrBusy
	}
	s.live[w.key], w.holds = true, true
	if w.shared = offset; st != nil {
		w.taken = st
		w.shared = min(offset, st.shared)
		s.take(p.dir, own)
		s.charge(offset - w.shared - st.charged()) // never more than before
	}
	w.keep(c, offset)
	return nil
}

// keep starts the writer with the first n bytes of c. The chunk that n lies in is
// copied, since it will be written to.
func (w *writer) keep(c content, n int64) {
	w.offset, w.size, w.own = n, n, int(n/chunkSize)
	w.chunks = append(make([][]byte, 0, w.own+1), c.chunks[:w.own]...)
	if rest := n % chunkSize; rest > 0 {
		w.chunks = append(w.chunks, append(w.f.s.newChunk(), c.chunks[w.own][:rest]...))
	}
}

func (w *writer) Offset() int64 { return w.offset }

func (w *writer) check(op string) error {
	if w.done {
		return &fs.PathError{Op: op, Path: w.name, Err: fs.ErrClosed}
	}
	if w.failed != nil {
		return w.failed
	}
	return vfs.ContextError(w.ctx, op, w.name)
}

// room returns the free part of the last chunk, which is never empty.
func (w *writer) room() []byte {
	last := len(w.chunks) - 1
	if last < w.own || len(w.chunks[last]) == chunkSize {
		w.chunks = append(w.chunks, w.f.s.newChunk())
		last++
	}
	chunk := w.chunks[last]
	return chunk[len(chunk):chunkSize]
}

// arrive takes n bytes that stand in room. If the store is full it takes those
// that fit.
func (w *writer) arrive(n int) (int, error) {
	if some := int(w.f.s.chargeSome(int64(n))); some < n {
		w.failed = &fs.PathError{Op: "write", Path: w.name, Err: vfs.ErrNoSpace}
		n = some
	}
	last := len(w.chunks) - 1
	w.chunks[last] = w.chunks[last][:len(w.chunks[last])+n]
	w.size += int64(n)
	w.arrived = w.arrived || n > 0
	return n, w.failed
}

func (w *writer) Write(p []byte) (int, error) {
	if err := w.check("write"); err != nil {
		return 0, err
	}
	total := 0
	for total < len(p) {
		n, err := w.arrive(copy(w.room(), p[total:]))
		total += n
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// ReadFrom reads into the chunks themselves.
func (w *writer) ReadFrom(r io.Reader) (int64, error) {
	var total int64
	for idle := 0; ; {
		if err := w.check("write"); err != nil {
			return total, err
		}
		n, rerr := r.Read(w.room())
		if idle++; n > 0 {
			idle = 0
			took, err := w.arrive(n)
			total += int64(took)
			if err != nil {
				return total, err
			}
		}
		switch {
		case rerr == io.EOF:
			return total, nil
		case rerr != nil:
			return total, rerr
		case idle > 100:
			return total, io.ErrNoProgress
		}
	}
}

func (w *writer) Sync() error {
	if w.done {
		return nil
	}
	return w.check("sync")
}

// seal returns what was built as a content that wastes no memory.
func (w *writer) seal() content {
	if last := len(w.chunks) - 1; last >= w.own && len(w.chunks[last]) < chunkSize {
		chunk := w.chunks[last]
		if len(chunk) == 0 {
			w.chunks = w.chunks[:last]
			w.f.s.recycle(chunk)
		} else if cap(chunk)-len(chunk) > chunkSize/16 {
			w.chunks[last] = append(make([]byte, 0, len(chunk)), chunk...)
			w.f.s.recycle(chunk)
		}
	}
	return content{chunks: w.chunks, size: w.size}
}

// end runs the first end of the upload, under the lock.
func (w *writer) end(op string, do func() error) error {
	if w.done {
		return nil
	}
	w.f.s.mu.Lock()
	defer w.f.s.mu.Unlock()
	err := do()
	w.done = true
	if w.holds {
		delete(w.f.s.live, w.key)
	}
	w.chunks, w.taken = nil, nil
	return vfs.PathError(op, w.name, err)
}

// Commit implements vfs.Writer. What can't be committed because the context is
// done or the store is full is parked if it has an owner.
func (w *writer) Commit() error {
	return w.end("commit", func() error {
		if err := w.check("commit"); err != nil {
			w.park()
			return err
		}
		p := w.place
		if p.node = nil; p.dir.entries[p.base] != nil {
			p.node = p.dir.entries[p.base].node
		}
		if err := w.f.s.put(p, w.seal(), w.size-w.shared, w.opt.NoReplace); err != nil {
			w.abort()
			return err
		}
		return nil
	})
}

// Park implements vfs.Writer.
func (w *writer) Park() error {
	return w.end("park", func() error {
		if w.opt.Owner == "" {
			w.abort()
			return errors.ErrUnsupported
		}
		return w.park()
	})
}

// Abort implements vfs.Writer. It drops a staged upload that was continued.
func (w *writer) Abort() error {
	return w.end("abort", func() error {
		w.abort()
		return nil
	})
}

func (w *writer) abort() {
	w.f.s.charge(w.shared - w.size)
	for _, chunk := range w.chunks[min(w.own, len(w.chunks)):] {
		w.f.s.recycle(chunk)
	}
	w.chunks = nil
}
