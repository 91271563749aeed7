package vfstest

import (
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"testing"

	"github.com/ftpgate/ftpgate/vfs"
)

func testCreate(t *testing.T, s *store) {
	old := content(1, 100_000)
	fresh := content(2, 70_000)
	s.mkdir(t, "d")
	for _, mode := range []vfs.Mode{vfs.Replace, vfs.Append, vfs.WriteAt} {
		name := fmt.Sprintf("d/new-%d", mode)
		s.uploads(t, name, vfs.CreateOptions{Mode: mode}, 0, fresh, fresh)
		s.uploads(t, name+"-empty", vfs.CreateOptions{Mode: mode}, 0, nil, nil)
	}
	s.put(t, "d/f", old)
	s.uploads(t, "d/f", vfs.CreateOptions{}, 0, fresh, fresh)
	s.uploads(t, "d/f", vfs.CreateOptions{SizeHint: 5}, 0, old, old)
	s.uploads(t, "d/f", vfs.CreateOptions{Mode: vfs.WriteAt}, 0, fresh, fresh)
	s.uploads(t, "d/f", vfs.CreateOptions{}, 0, nil, nil)
	s.uploads(t, "d/f", vfs.CreateOptions{SizeHint: 1 << 20}, 0, old, old)

	if s.caps.Has(vfs.CanAppend) {
		s.uploads(t, "d/f", vfs.CreateOptions{Mode: vfs.Append}, int64(len(old)), fresh, cat(old, fresh))
		s.uploads(t, "d/f", vfs.CreateOptions{Mode: vfs.Append}, int64(len(old)+len(fresh)), nil, cat(old, fresh))
		for range 5 {
			s.put(t, "d/log", nil)
		}
		var log []byte
		for i := range 20 {
			line := content(uint64(i), 1+i*700)
			s.uploads(t, "d/log", vfs.CreateOptions{Mode: vfs.Append}, int64(len(log)), line, cat(log, line))
			log = cat(log, line)
		}
	} else {
		_, err := s.fs.Create(s.ctx, "d/f", vfs.CreateOptions{Mode: vfs.Append})
		fails(t, "Create(Append)", err, "d/f", errors.ErrUnsupported)
		s.holds(t, "d/f", old)
	}
	testWriteAt(t, s)
	testCreateErrors(t, s)
}

// cat joins parts; the result is never nil.
func cat(parts ...[]byte) []byte {
	out := []byte{}
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// uploads does one upload and checks its offset and the file that it makes.
func (s *store) uploads(t *testing.T, name string, opt vfs.CreateOptions, offset int64, data, want []byte) {
	t.Helper()
	w := s.create(t, name, opt)
	if w.Offset() != offset {
		t.Errorf("Create(%q, %+v): Offset is %d, want %d", name, opt, w.Offset(), offset)
	}
	writeAll(t, w, data)
	commit(t, w)
	if w.Offset() != offset {
		t.Errorf("Create(%q, %+v): Offset is %d after Commit, want %d", name, opt, w.Offset(), offset)
	}
	s.holds(t, name, want)
}

func testWriteAt(t *testing.T, s *store) {
	old, fresh := content(1, 200_000), content(2, 5000)
	n := int64(len(old))
	at := func(offset int64) vfs.CreateOptions { return vfs.CreateOptions{Mode: vfs.WriteAt, Offset: offset} }
	s.put(t, "d/w", old)
	if !s.caps.Has(vfs.CanWriteAt) {
		_, err := s.fs.Create(s.ctx, "d/w", at(1))
		fails(t, "Create(WriteAt)", err, "d/w", errors.ErrUnsupported)
		s.holds(t, "d/w", old)
		return
	}
	for _, offset := range []int64{1, 64 << 10, n / 2, n - 1, n} {
		s.put(t, "d/w", old)
		s.uploads(t, "d/w", at(offset), offset, fresh, cat(old[:offset], fresh))
		s.put(t, "d/w", old)
		s.uploads(t, "d/w", at(offset), offset, nil, old[:offset])
	}
	big := content(3, s.h.Large)
	mid := int64(len(big) - 100)
	s.put(t, "d/w", big)
	s.uploads(t, "d/w", at(mid), mid, big, cat(big[:mid], big))

	s.put(t, "d/w", old)
	for _, offset := range []int64{n + 1, n * 2, 1 << 40} {
		_, err := s.fs.Create(s.ctx, "d/w", at(offset))
		accept := badOffset(t, "Create(WriteAt)", err, "d/w", offset, n)
		s.holds(t, "d/w", old)
		s.uploads(t, "d/w", at(accept), accept, fresh, cat(old[:accept], fresh))
		s.put(t, "d/w", old)
	}
	_, err := s.fs.Create(s.ctx, "d/none", at(5))
	badOffset(t, "Create(WriteAt)", err, "d/none", 5, 0)
	s.missing(t, "d/none")
	if w, err := s.fs.Create(s.ctx, "d/w", at(-1)); err == nil {
		w.Abort()
		t.Error("Create(WriteAt) at offset -1 succeeds")
	} else if problem := identity(err, "d/w"); problem != nil {
		t.Errorf("Create(WriteAt) at offset -1: %q %v", err, problem)
	}
}

func testCreateErrors(t *testing.T, s *store) {
	s.mkdir(t, "d/sub")
	s.put(t, "d/plain", []byte("plain"))
	for _, mode := range []vfs.Mode{vfs.Replace, vfs.Append, vfs.WriteAt} {
		for _, c := range []struct {
			name string
			kind error
			need vfs.Caps
		}{
			{"d", vfs.ErrIsDir, 0},
			{"d/sub", vfs.ErrIsDir, 0},
			{".", vfs.ErrIsDir, 0},
			{"d/plain/x", vfs.ErrNotDir, 0},
			{"no/x", fs.ErrNotExist, vfs.RealDirs},
			{"d/no/x", fs.ErrNotExist, vfs.RealDirs},
		} {
			if !s.caps.Has(c.need) {
				continue
			}
			w, err := s.fs.Create(s.ctx, c.name, vfs.CreateOptions{Mode: mode})
			if err == nil {
				w.Abort()
			}
			fails(t, fmt.Sprintf("Create(mode %d)", mode), err, c.name, c.kind)
		}
	}
	s.holds(t, "d/plain", []byte("plain"))
	s.lists(t, "d/sub")
	if !s.caps.Has(vfs.RealDirs) {
		t.Logf("the store has no %v", vfs.RealDirs)
		return
	}
	// What changes between Create and Commit is noticed by Commit.
	if !s.h.InPlace { // else the name is taken from the beginning
		w := s.create(t, "d/becomes", vfs.CreateOptions{})
		writeAll(t, w, []byte("x"))
		s.mkdir(t, "d/becomes")
		fails(t, "Commit onto a new directory", w.Commit(), "d/becomes", vfs.ErrIsDir, fs.ErrExist)
		s.lists(t, "d/becomes")
	}
	w := s.create(t, "d/sub/f", vfs.CreateOptions{})
	writeAll(t, w, []byte("x"))
	if err := s.fs.Rmdir(s.ctx, "d/sub"); err != nil {
		fails(t, "Rmdir under an upload", err, "d/sub", vfs.ErrBusy, vfs.ErrNotEmpty)
		commit(t, w)
		return
	}
	fails(t, "Commit into a removed directory", w.Commit(), "d/sub/f", fs.ErrNotExist)
	s.missing(t, "d/sub")
}

func testNoReplace(t *testing.T, s *store) {
	data, other := content(1, 1000), content(2, 2000)
	once := vfs.CreateOptions{NoReplace: true}
	s.mkdir(t, "d")
	s.uploads(t, "new", once, 0, data, data)
	fails(t, "upload with NoReplace", s.write("new", other, once), "new", fs.ErrExist)
	fails(t, "upload with WriteAt and NoReplace",
		s.write("new", other, vfs.CreateOptions{Mode: vfs.WriteAt, NoReplace: true}), "new", fs.ErrExist)
	s.holds(t, "new", data)
	fails(t, "upload with NoReplace", s.write("d", other, once), "d", vfs.ErrIsDir, fs.ErrExist)
	s.lists(t, ".", "d", "new")

	if s.lacks(t, vfs.CanNoReplace) {
		return
	}
	w := s.create(t, "late", once)
	writeAll(t, w, other)
	s.put(t, "late", data)
	fails(t, "Commit with NoReplace", w.Commit(), "late", fs.ErrExist)
	s.holds(t, "late", data)

	const racers = 8
	errs := make([]error, racers)
	var winner atomic.Int64
	parallel(racers, func(i int) {
		if errs[i] = s.write("race", content(uint64(i), 5000+i), once); errs[i] == nil {
			winner.Store(int64(i))
		}
	})
	s.oneWinner(t, "upload", errs, "race")
	s.holds(t, "race", content(uint64(winner.Load()), 5000+int(winner.Load())))

	for i := range racers {
		s.put(t, fmt.Sprintf("d/src-%d", i), content(uint64(i), 100+i))
	}
	parallel(racers, func(i int) {
		errs[i] = s.fs.Rename(s.ctx, fmt.Sprintf("d/src-%d", i), "moved", vfs.RenameOptions{NoReplace: true})
		if errs[i] == nil {
			winner.Store(int64(i))
		}
	})
	for i, err := range errs {
		if err != nil {
			failsAny(t, "Rename with NoReplace", err, []string{"moved", fmt.Sprintf("d/src-%d", i)}, fs.ErrExist)
			s.holds(t, fmt.Sprintf("d/src-%d", i), content(uint64(i), 100+i))
		}
	}
	s.oneWinner(t, "Rename", errs, "moved")
	s.holds(t, "moved", content(uint64(winner.Load()), 100+int(winner.Load())))
}

// oneWinner checks that all but one of errs are fs.ErrExist.
func (s *store) oneWinner(t *testing.T, what string, errs []error, name string) {
	t.Helper()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else if !errors.Is(err, fs.ErrExist) {
			t.Errorf("racing %s with NoReplace: %v; want fs.ErrExist", what, err)
		}
	}
	if won != 1 {
		t.Errorf("%d of %d racing calls of %s with NoReplace on %q succeed, want 1", won, len(errs), what, name)
	}
}
