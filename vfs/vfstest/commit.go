package vfstest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"testing"
	"testing/iotest"

	"github.com/ftpgate/ftpgate/vfs"
)

// upload is one way to begin an upload over what stands there.
type upload struct {
	name string
	opt  vfs.CreateOptions
	old  []byte // nil: nothing stands there
}

// uploadKinds are all ways to begin an upload that the store has, each on a name
// of its own in "v".
func (s *store) uploadKinds(t *testing.T) []upload {
	old := content(1, 150_000)
	kinds := []upload{
		{"v/new", vfs.CreateOptions{}, nil},
		{"v/replaced", vfs.CreateOptions{}, old},
		{"v/once", vfs.CreateOptions{NoReplace: true}, nil},
		{"v/start", vfs.CreateOptions{Mode: vfs.WriteAt}, old},
	}
	if s.caps.Has(vfs.CanAppend) {
		kinds = append(kinds, upload{"v/appended", vfs.CreateOptions{Mode: vfs.Append}, old})
	}
	if s.caps.Has(vfs.CanWriteAt) {
		kinds = append(kinds, upload{"v/middle", vfs.CreateOptions{Mode: vfs.WriteAt, Offset: 100_000}, old})
	}
	s.mkdir(t, "v")
	for _, u := range kinds {
		s.restore(t, u)
	}
	return kinds
}

// restore puts back what stood there before the upload.
func (s *store) restore(t *testing.T, u upload) {
	t.Helper()
	if u.old != nil {
		s.put(t, u.name, u.old)
	} else if err := s.fs.Remove(s.ctx, u.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("Remove(%q): %v", u.name, err)
	}
}

// unchanged checks that readers see what stood there before, and no other name.
func (s *store) unchanged(t *testing.T, u upload) {
	t.Helper()
	if u.old == nil {
		s.missing(t, u.name)
	} else {
		s.holds(t, u.name, u.old)
	}
}

// kept is what the upload leaves of the old content in front of its own.
func (u upload) kept() []byte {
	switch u.opt.Mode {
	case vfs.Append:
		return u.old
	case vfs.WriteAt:
		return u.old[:u.opt.Offset]
	}
	return nil
}

// testVisibility: nothing before Commit, everything after it.
func testVisibility(t *testing.T, s *store) {
	if s.h.InPlace {
		if s.caps.Has(vfs.AtomicCommit) {
			t.Error("a store that writes in place announces AtomicCommit")
		}
		t.Log("uploads are visible before Commit, as the harness says")
		return
	}
	data := content(2, s.h.Large)
	for _, u := range s.uploadKinds(t) {
		names := s.list(t, "v")
		w := s.create(t, u.name, u.opt)
		s.unchanged(t, u)
		writeAll(t, w, data[:10])
		s.unchanged(t, u)
		if n, err := w.ReadFrom(bytes.NewReader(data[10:])); n != int64(len(data)-10) || err != nil {
			t.Fatalf("ReadFrom = %d, %v", n, err)
		}
		s.unchanged(t, u)
		s.lists(t, "v", names...)
		if err := w.Sync(); err != nil {
			t.Errorf("Sync: %v", err)
		}
		s.unchanged(t, u)
		s.lists(t, "v", names...)
		commit(t, w)
		s.holds(t, u.name, cat(u.kept(), data))
		if u.old == nil {
			_, base := vfs.Split(u.name)
			names = append(names, base)
		}
		s.lists(t, "v", names...)
		if s.h.Reopen != nil {
			again := *s
			again.fs = s.h.Reopen(t, s.fs)
			again.holds(t, u.name, cat(u.kept(), data))
			again.lists(t, "v", names...)
		}
		s.restore(t, u)
	}
}

// testEnds: what stood there stays after Abort and after a failed source; the
// first end of an upload is the only one.
func testEnds(t *testing.T, s *store) {
	data := content(2, 300_000)
	broken := errors.New("the source broke")
	for _, u := range s.uploadKinds(t) {
		names := s.list(t, "v")
		for _, n := range []int{0, 1, len(data)} {
			w := s.create(t, u.name, u.opt)
			writeAll(t, w, data[:n])
			if err := w.Abort(); err != nil {
				t.Errorf("Abort: %v", err)
			}
			s.unchanged(t, u)
		}
		w := s.create(t, u.name, u.opt)
		writeAll(t, w, data)
		if err := w.Sync(); err != nil {
			t.Errorf("Sync: %v", err)
		}
		if err := w.Abort(); err != nil {
			t.Errorf("Abort after Sync: %v", err)
		}
		s.unchanged(t, u)

		w = s.create(t, u.name, u.opt)
		if n, err := w.ReadFrom(io.MultiReader(bytes.NewReader(data), iotest.ErrReader(broken))); n != int64(len(data)) || err != broken {
			t.Errorf("ReadFrom of a source that breaks after %d bytes = %d, %v; want its error unchanged", len(data), n, err)
		}
		if err := w.Abort(); err != nil {
			t.Errorf("Abort after a failed source: %v", err)
		}
		s.unchanged(t, u)
		s.lists(t, "v", names...)
		testFirstEnd(t, s, u, data)
	}
}

func testFirstEnd(t *testing.T, s *store, u upload, data []byte) {
	ends := []struct {
		what string
		do   func(vfs.Writer) error
	}{{"Commit", vfs.Writer.Commit}, {"Park", vfs.Writer.Park}, {"Abort", vfs.Writer.Abort}}
	for i, first := range ends {
		s.restore(t, u)
		w := s.create(t, u.name, u.opt)
		writeAll(t, w, data)
		err := first.do(w)
		if i == 1 && (s.h.Owner == "" || !s.caps.Has(vfs.CanPark)) {
			fails(t, "Park without an owner", err, u.name, errors.ErrUnsupported)
		} else if err != nil {
			t.Errorf("%s: %v", first.what, err)
		}
		for _, later := range ends {
			if err := later.do(w); err != nil {
				t.Errorf("%s after %s: %v; want nil", later.what, first.what, err)
			}
		}
		if n, err := w.Write(data); err == nil || n != 0 {
			t.Errorf("Write after %s = %d, %v; want an error", first.what, n, err)
		}
		if n, err := w.ReadFrom(bytes.NewReader(data)); err == nil || n != 0 {
			t.Errorf("ReadFrom after %s = %d, %v; want an error", first.what, n, err)
		}
		if i == 0 {
			s.holds(t, u.name, cat(u.kept(), data))
		} else {
			s.dropParked(t, u.name)
			s.unchanged(t, u)
		}
	}
	s.restore(t, u)
}

// testCancel: cancelling Create's context fails everything but Park and Abort.
func testCancel(t *testing.T, s *store) {
	gone := errors.New("the session is gone")
	data := content(2, 300_000)
	ctx, cancel := context.WithCancelCause(s.ctx)
	cancel(gone)
	s.put(t, "file", data)
	for _, c := range calls(s.fs) {
		if !s.caps.Has(c.need) {
			continue
		}
		failsAny(t, c.op+" under a done context", c.do(ctx, s.fs, "name"), []string{"name", "file", "other"}, gone)
	}
	s.lists(t, ".", "file")
	for _, u := range s.uploadKinds(t) {
		names := s.list(t, "v")
		for _, c := range []struct {
			what string
			do   func(vfs.Writer) error
		}{
			{"Write", func(w vfs.Writer) error { _, err := w.Write(data); return err }},
			{"ReadFrom", func(w vfs.Writer) error { _, err := w.ReadFrom(bytes.NewReader(data)); return err }},
			{"Sync", vfs.Writer.Sync},
			{"Commit", vfs.Writer.Commit},
			{"Abort", func(w vfs.Writer) error { return w.Abort() }},
		} {
			ctx, cancel := context.WithCancelCause(s.ctx)
			w, err := s.fs.Create(ctx, u.name, u.opt)
			if err != nil {
				t.Fatalf("Create(%q): %v", u.name, err)
			}
			writeAll(t, w, data)
			cancel(gone)
			if err := c.do(w); c.what == "Abort" {
				if err != nil {
					t.Errorf("Abort under a done context: %v", err)
				}
			} else {
				fails(t, c.what+" under a done context", err, u.name, gone)
			}
			if err := w.Commit(); c.what != "Commit" && c.what != "Abort" {
				fails(t, "Commit under a done context", err, u.name, gone)
			}
			if err := w.Abort(); err != nil {
				t.Errorf("Abort: %v", err)
			}
			s.dropParked(t, u.name) // by the Commit that failed
			s.unchanged(t, u)
		}
		s.lists(t, "v", names...)
	}
}

// testReadFrom: ReadFrom takes a stream in chunks, from any reader.
func testReadFrom(t *testing.T, s *store) {
	for _, size := range []int{0, 1, 64<<10 - 1, 64 << 10, 64<<10 + 1, s.h.Large} {
		data := content(uint64(size), size)
		for _, chunk := range []int64{1000, 64 << 10, 1 << 20, 1 << 40} {
			if int64(size)/chunk > 1000 {
				continue
			}
			name := fmt.Sprintf("f-%d-%d", size, chunk)
			w := s.create(t, name, vfs.CreateOptions{})
			// Only io.Reader, like a connection: no shortcut by WriterTo.
			conn := struct{ io.Reader }{bytes.NewReader(data)}
			total := int64(0)
			for {
				limited := &io.LimitedReader{R: conn, N: chunk}
				n, err := w.ReadFrom(limited)
				if err != nil || n != chunk-limited.N {
					t.Fatalf("ReadFrom = %d, %v; %d were taken", n, err, chunk-limited.N)
				}
				if total += n; n < chunk {
					break
				}
			}
			if total != int64(size) {
				t.Errorf("ReadFrom took %d bytes, want %d", total, size)
			}
			commit(t, w)
			s.holds(t, name, data)
		}
	}
	data := content(7, 200_000)
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"one byte at a time":     func(r io.Reader) io.Reader { return iotest.OneByteReader(io.LimitReader(r, 3000)) },
		"half of what is asked":  func(r io.Reader) io.Reader { return iotest.HalfReader(r) },
		"EOF with the last data": iotest.DataErrReader,
		"nothing now and then":   func(r io.Reader) io.Reader { return &hesitant{r: r} },
		"by WriterTo":            func(r io.Reader) io.Reader { return r },
	} {
		w := s.create(t, "odd", vfs.CreateOptions{})
		writeAll(t, w, data[:11]) // Write and ReadFrom mix
		r := bytes.NewReader(data)
		n, err := w.ReadFrom(wrap(r))
		if err != nil || n != int64(len(data)-r.Len()) {
			t.Errorf("%s: ReadFrom = %d, %v", name, n, err)
		}
		writeAll(t, w, data[:13])
		commit(t, w)
		s.holds(t, "odd", cat(data[:11], data[:n], data[:13]))
	}
	testSourceErrors(t, s, data)
}

// hesitant returns (0, nil) on every second Read, as io.Reader allows.
type hesitant struct {
	r    io.Reader
	turn bool
}

func (h *hesitant) Read(p []byte) (int, error) {
	if h.turn = !h.turn; h.turn {
		return 0, nil
	}
	return h.r.Read(p)
}

// sourceError stands for a dead connection. It is no error of the store.
type sourceError struct{ at int }

func (e *sourceError) Error() string { return fmt.Sprintf("connection reset after %d bytes", e.at) }

func testSourceErrors(t *testing.T, s *store, data []byte) {
	for _, at := range []int{0, 1, 64 << 10, 100_000} {
		broken := &sourceError{at}
		for _, src := range []io.Reader{
			io.MultiReader(bytes.NewReader(data[:at]), iotest.ErrReader(broken)),
			iotest.DataErrReader(io.MultiReader(bytes.NewReader(data[:at]), iotest.ErrReader(broken))),
			&io.LimitedReader{R: io.MultiReader(bytes.NewReader(data[:at]), iotest.ErrReader(broken)), N: 1 << 40},
		} {
			w := s.create(t, "broken", vfs.CreateOptions{})
			n, err := w.ReadFrom(src)
			if n != int64(at) || err != error(broken) {
				t.Errorf("ReadFrom of a source that breaks after %d bytes = %d, %#v; want its error unchanged", at, n, err)
			}
			if err := w.Abort(); err != nil {
				t.Errorf("Abort: %v", err)
			}
			s.missing(t, "broken")
		}
	}
	// A source may end with an error of a store, too: it stays what it is.
	own := &fs.PathError{Op: "read", Path: "elsewhere", Err: vfs.ErrOffline}
	w := s.create(t, "broken", vfs.CreateOptions{})
	if _, err := w.ReadFrom(iotest.ErrReader(own)); err != error(own) {
		t.Errorf("ReadFrom changes its source's error %v to %v", own, err)
	}
	w.Abort()
}

// testWriters: uploads of one name run side by side and the last Commit wins, but
// only one at a time continues what is there.
func testWriters(t *testing.T, s *store) {
	a, b := content(1, 200_000), content(2, 100_000)
	w1, w2 := s.create(t, "f", vfs.CreateOptions{}), s.create(t, "f", vfs.CreateOptions{})
	for i := range 10 {
		writeAll(t, w1, a[i*len(a)/10:(i+1)*len(a)/10])
		writeAll(t, w2, b[i*len(b)/10:(i+1)*len(b)/10])
	}
	if !s.h.InPlace {
		commit(t, w2)
		s.holds(t, "f", b)
		commit(t, w1)
		s.holds(t, "f", a)
	} else {
		w1.Abort()
		w2.Abort()
	}
	w1, w2 = s.create(t, "f", vfs.CreateOptions{}), s.create(t, "f", vfs.CreateOptions{})
	writeAll(t, w1, a)
	writeAll(t, w2, b)
	if err := w1.Abort(); err != nil {
		t.Errorf("Abort: %v", err)
	}
	commit(t, w2)
	s.holds(t, "f", b)
	s.lists(t, ".", "f")

	var continuing []vfs.CreateOptions
	if s.caps.Has(vfs.CanAppend) {
		continuing = append(continuing, vfs.CreateOptions{Mode: vfs.Append})
	}
	if s.caps.Has(vfs.CanWriteAt) {
		continuing = append(continuing, vfs.CreateOptions{Mode: vfs.WriteAt, Offset: 1000})
	}
	for _, first := range continuing {
		for _, second := range continuing {
			s.put(t, "f", a)
			w := s.create(t, "f", first)
			_, err := s.fs.Create(s.ctx, "f", second)
			fails(t, "a second upload that continues the file", err, "f", vfs.ErrBusy)
			writeAll(t, w, b)
			commit(t, w)
			want := cat(upload{opt: first, old: a}.kept(), b)
			s.holds(t, "f", want)
			// The name is free again after each end.
			w = s.create(t, "f", second)
			w.Abort()
			w = s.create(t, "f", second)
			if err := w.Park(); err != nil {
				fails(t, "Park", err, "f", errors.ErrUnsupported)
			}
			s.dropParked(t, "f")
			w = s.create(t, "f", first)
			w.Abort()
			s.holds(t, "f", want)
			testOvertaken(t, s, first, a, b)
		}
	}
}

// testOvertaken: what an upload continues is replaced or removed under it. Its
// Commit may be refused, but never mixes.
func testOvertaken(t *testing.T, s *store, opt vfs.CreateOptions, a, b []byte) {
	if s.h.InPlace {
		return
	}
	for _, removed := range []bool{false, true} {
		s.put(t, "f", a)
		want := cat(upload{opt: opt, old: a}.kept(), b)
		w := s.create(t, "f", opt)
		writeAll(t, w, b[:100])
		if removed {
			if err := s.fs.Remove(s.ctx, "f"); err != nil {
				t.Fatalf("Remove under an upload: %v", err)
			}
		} else {
			s.put(t, "f", b)
		}
		_, err := w.Write(b[100:])
		if err == nil {
			err = w.Commit()
		}
		switch {
		case err == nil:
			s.holds(t, "f", want)
		case identity(err, "f") != nil:
			t.Errorf("Commit over a changed file: %q %v", err, identity(err, "f"))
		case removed:
			s.missing(t, "f")
		default:
			s.holds(t, "f", b)
		}
		w.Abort()
	}
}
