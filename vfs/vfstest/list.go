package vfstest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/ftpgate/ftpgate/vfs"
)

func testList(t *testing.T, s *store) {
	s.lists(t, ".")
	s.mkdir(t, "dir", "dir2")
	s.put(t, "file", nil)
	s.lists(t, ".", "dir", "dir2", "file")
	s.lists(t, "dir")

	have := 0
	for _, n := range []int{1, 1000, 1001, 2500} {
		n = min(n, s.h.MaxEntries)
		s.fill(t, "dir", have, n)
		have = n
		s.listsEntries(t, "dir", n)
	}
	s.lists(t, ".", "dir", "dir2", "file")
	s.lists(t, "dir2")
	testPrefix(t, s, have)
	testListEnds(t, s, have)

	for _, prefix := range []string{"", "x"} {
		fails(t, "ReadDir", s.readDirErr(t, s.ctx, "file", prefix), "file", vfs.ErrNotDir)
		fails(t, "ReadDir", s.readDirErr(t, s.ctx, "missing", prefix), "missing", fs.ErrNotExist)
		fails(t, "ReadDir", s.readDirErr(t, s.ctx, "di", prefix), "di", fs.ErrNotExist)
		fails(t, "ReadDir", s.readDirErr(t, s.ctx, "file/x", prefix), "file/x", fs.ErrNotExist, vfs.ErrNotDir)
	}
}

func entryName(i int) string { return fmt.Sprintf("entry-%05d", i) }

// fill makes the entries [from,to) of dir: small files, and every 100th a
// directory.
func (s *store) fill(t *testing.T, dir string, from, to int) {
	t.Helper()
	errs := make([]error, to-from)
	parallel(to-from, func(i int) {
		name := vfs.Join(dir, entryName(from+i))
		if (from+i)%100 == 99 {
			errs[i] = s.fs.Mkdir(s.ctx, name)
		} else {
			errs[i] = s.write(name, content(0, (from+i)%7), vfs.CreateOptions{})
		}
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// listsEntries checks that dir lists the n entries of fill, each once.
func (s *store) listsEntries(t *testing.T, dir string, n int) {
	t.Helper()
	got := s.entries(t, dir, "")
	if len(got) != n {
		t.Errorf("ReadDir(%q) lists %d entries, want %d", dir, len(got), n)
		return
	}
	for i, info := range got {
		size, isDir := int64(i%7), i%100 == 99
		if info.Name() != entryName(i) || info.IsDir() != isDir || !isDir && info.Size() != size {
			t.Errorf("entry %d is %q, size %d, mode %v", i, info.Name(), info.Size(), info.Mode())
			return
		}
	}
}

// testPrefix: a prefix may narrow the listing, and never loses an entry.
func testPrefix(t *testing.T, s *store, n int) {
	for _, prefix := range []string{"", "e", "entry-0000", "entry-00001", "entry-1", "none", "entry-00001x", "entry-%", "*", "/", "../"} {
		var want, got []string
		for i := range n {
			if strings.HasPrefix(entryName(i), prefix) {
				want = append(want, entryName(i))
			}
		}
		for _, info := range s.entries(t, "dir", prefix) {
			if strings.HasPrefix(info.Name(), prefix) {
				got = append(got, info.Name())
			} else if !strings.HasPrefix(info.Name(), "entry-") {
				t.Errorf("prefix %q: ReadDir lists %q", prefix, info.Name())
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("prefix %q: %d entries, want %d", prefix, len(got), len(want))
		}
	}
}

// testListEnds: a listing may be left early, and ends with its context.
func testListEnds(t *testing.T, s *store, n int) {
	for _, stop := range []int{1, n/2 + 1, n} {
		i := 0
		for _, err := range s.fs.ReadDir(s.ctx, "dir", "") {
			if i++; err != nil {
				t.Fatal(err)
			}
			if i == stop {
				break
			}
		}
		if i != stop {
			t.Errorf("left at entry %d, want %d", i, stop)
		}
	}
	seq := s.fs.ReadDir(s.ctx, "dir", "")
	for range 2 { // an iter.Seq2 may be ranged over again
		i := 0
		for range seq {
			i++
		}
		if i != n {
			t.Errorf("a listing that is run again has %d entries, want %d", i, n)
		}
	}

	gone := errors.New("the client is gone")
	for _, at := range []int{0, 1, n} {
		ctx, cancel := context.WithCancelCause(s.ctx)
		if at == 0 {
			cancel(gone)
		}
		i := 0
		var got error
		for info, err := range s.fs.ReadDir(ctx, "dir", "") {
			if got != nil {
				t.Fatal("the listing goes on after its error")
			}
			if got = err; err != nil {
				if info != nil {
					t.Errorf("the listing yields %v with the error %v", info, err)
				}
				continue
			}
			if i++; i == at {
				cancel(gone)
			}
		}
		cancel(nil)
		switch {
		case at == n && got == nil && i == n: // nothing was left to stop
		case at < n && i == n && n > 1:
			t.Errorf("cancelled at entry %d: the listing goes on to its end", at)
		default:
			fails(t, fmt.Sprintf("ReadDir cancelled at entry %d of %d", at, n), got, "dir", gone)
		}
	}
}
