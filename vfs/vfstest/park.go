package vfstest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/ftpgate/ftpgate/vfs"
)

func testPark(t *testing.T, s *store) {
	s.mkdir(t, "p")
	if s.h.Owner != "" {
		t.Log("the FS sets owners itself")
		return
	}
	if !s.caps.Has(vfs.CanPark) {
		testParkRefused(t, s)
		return
	}
	for _, test := range []func(*testing.T, *store){
		testResume, testResumeComplete, testOwners, testStagedEnds, testStagedListing, testParkFailures, testStagedErrors,
	} {
		test(t, newStore(t, s.h))
	}
}

// testParkRefused: without CanPark, Park is an Abort that says so.
func testParkRefused(t *testing.T, s *store) {
	t.Logf("the store has no %v", vfs.CanPark)
	old, data := content(1, 1000), content(2, 100_000)
	s.put(t, "p/old", old)
	for _, name := range []string{"p/old", "p/new"} {
		w := s.create(t, name, vfs.CreateOptions{Owner: "ann"})
		writeAll(t, w, data)
		fails(t, "Park", w.Park(), name, errors.ErrUnsupported)
		_, err := vfs.StatStaged(s.ctx, s.fs, name, "ann")
		fails(t, "StatStaged", err, name, errors.ErrUnsupported)
		fails(t, "Discard", vfs.Discard(s.ctx, s.fs, name, "ann"), name, errors.ErrUnsupported)
	}
	for info, err := range vfs.Staged(s.ctx, s.fs, "p", "ann") {
		t.Errorf("Staged lists %v, %v", info, err)
	}
	s.holds(t, "p/old", old)
	s.lists(t, "p", "old")
	if err := s.fs.Remove(s.ctx, "p/old"); err != nil {
		t.Error(err)
	}
	if err := s.fs.Rmdir(s.ctx, "p"); err != nil {
		t.Errorf("Rmdir after Park: %v", err)
	}
}

// park uploads data and parks it.
func (s *store) park(t *testing.T, name string, opt vfs.CreateOptions, data []byte) {
	t.Helper()
	w := s.create(t, name, opt)
	writeAll(t, w, data)
	if err := w.Park(); err != nil {
		t.Fatalf("Park(%q): %v", name, err)
	}
}

// staged returns the size told for a staged upload of which arrived bytes arrived.
func (s *store) staged(t *testing.T, name, owner string, arrived int) int64 {
	t.Helper()
	info, err := vfs.StatStaged(s.ctx, s.fs, name, owner)
	if err != nil {
		t.Fatalf("StatStaged(%q, %q): %v", name, owner, err)
	}
	_, base := vfs.Split(name)
	if !vfs.AttrOf(info).Staged || info.Name() != base || !info.Mode().IsRegular() {
		t.Errorf("StatStaged(%q): name %q, mode %v, %+v", name, info.Name(), info.Mode(), vfs.AttrOf(info))
	}
	if info.Size() < 0 || info.Size() >= int64(arrived) {
		t.Errorf("StatStaged(%q): %d, but %d bytes arrived: want less", name, info.Size(), arrived)
	}
	return info.Size()
}

func (s *store) notStaged(t *testing.T, name, owner string) {
	t.Helper()
	_, err := vfs.StatStaged(s.ctx, s.fs, name, owner)
	fails(t, "StatStaged for "+owner, err, name, fs.ErrNotExist)
}

// testResume: a parked upload is invisible, survives a restart and goes on at the
// size told.
func testResume(t *testing.T, s *store) {
	s.mkdir(t, "p")
	old := content(1, 1000)
	for _, n := range []int{1, 2, 1000, 64<<10 + 1, s.h.Large} {
		for _, overOld := range []bool{false, true} {
			for _, how := range []string{"at the size told", "by Append", "lower", "after a restart"} {
				name := fmt.Sprintf("p/%s-%v-%d", how, overOld, n)
				u := upload{name: name}
				if overOld {
					u.old = old
					s.put(t, name, old)
				}
				data := content(uint64(n), n+5000)
				s.park(t, name, vfs.CreateOptions{Owner: "ann"}, data[:n])
				s.unchanged(t, u)
				resumer := s
				if how == "after a restart" {
					if s.h.Reopen == nil {
						continue
					}
					again := *s
					again.fs = s.h.Reopen(t, s.fs)
					resumer = &again
				}
				at := resumer.staged(t, name, "ann", n)
				opt := vfs.CreateOptions{Mode: vfs.WriteAt, Offset: at, Owner: "ann"}
				switch how {
				case "by Append":
					opt = vfs.CreateOptions{Mode: vfs.Append, Owner: "ann"}
				case "lower":
					opt.Offset = at / 2
				}
				w, err := resumer.fs.Create(s.ctx, name, opt)
				if how == "lower" && err != nil {
					opt.Offset = badOffset(t, "Create(WriteAt)", err, name, opt.Offset, opt.Offset)
					w, err = resumer.fs.Create(s.ctx, name, opt)
				}
				if err != nil {
					t.Fatalf("resuming %q %s: %v", name, how, err)
				}
				from := w.Offset()
				// APPE, too, sends from the size that was told.
				if opt.Mode == vfs.WriteAt && from != opt.Offset || opt.Mode == vfs.Append && from != at {
					t.Fatalf("resuming %q %s: Offset is %d, %d was told of %d", name, how, from, at, n)
				}
				if _, err := w.ReadFrom(bytes.NewReader(data[from:])); err != nil {
					t.Errorf("ReadFrom: %v", err)
				}
				resumer.unchanged(t, u)
				commit(t, w)
				resumer.holds(t, name, data)
				s.holds(t, name, data)
				s.notStaged(t, name, "ann")
			}
		}
	}
	s.cutOften(t)
}

// cutOften resumes one upload many times, also with nothing new.
func (s *store) cutOften(t *testing.T) {
	t.Helper()
	data := content(77, s.h.Large)
	s.park(t, "p/cut", vfs.CreateOptions{Owner: "ann"}, data[:1000])
	arrived, step := 1000, len(data)/9+1
	for arrived < len(data) {
		at := s.staged(t, "p/cut", "ann", arrived)
		w := s.create(t, "p/cut", vfs.CreateOptions{Mode: vfs.WriteAt, Offset: at, Owner: "ann"})
		end := min(int(at)+step, len(data))
		writeAll(t, w, data[at:end])
		arrived = end
		if err := w.Park(); err != nil {
			t.Fatalf("Park: %v", err)
		}
		at = s.staged(t, "p/cut", "ann", arrived)
		w = s.create(t, "p/cut", vfs.CreateOptions{Mode: vfs.WriteAt, Offset: at, Owner: "ann"})
		if err := w.Park(); err != nil {
			t.Fatalf("Park of a resumed upload with nothing new: %v", err)
		}
	}
	s.missing(t, "p/cut")
	at := s.staged(t, "p/cut", "ann", arrived)
	w := s.create(t, "p/cut", vfs.CreateOptions{Mode: vfs.WriteAt, Offset: at, Owner: "ann"})
	writeAll(t, w, data[at:])
	commit(t, w)
	s.holds(t, "p/cut", data)
}

// testResumeComplete parks uploads that continue a complete file: the old one
// stays whole.
func testResumeComplete(t *testing.T, s *store) {
	s.mkdir(t, "p")
	old, data := content(1, 100_000), content(2, 50_000)
	s.put(t, "p/f", old)
	for _, opt := range []vfs.CreateOptions{
		{Mode: vfs.Append, Owner: "ann"},
		{Mode: vfs.WriteAt, Offset: 60_000, Owner: "ann"},
	} {
		if opt.Mode == vfs.Append && s.lacks(t, vfs.CanAppend) || opt.Mode == vfs.WriteAt && s.lacks(t, vfs.CanWriteAt) {
			continue
		}
		u := upload{"p/f", opt, old}
		s.put(t, "p/f", old)
		s.park(t, "p/f", opt, data[:40_000])
		s.unchanged(t, u)
		want := cat(u.kept(), data)
		at := s.staged(t, "p/f", "ann", len(u.kept())+40_000)
		w := s.create(t, "p/f", vfs.CreateOptions{Mode: vfs.WriteAt, Offset: at, Owner: "ann"})
		writeAll(t, w, want[at:])
		s.unchanged(t, u)
		commit(t, w)
		s.holds(t, "p/f", want)
	}
	// Nothing arrived: nothing is parked, and nothing is left.
	for _, name := range []string{"p/f", "p/none"} {
		s.park(t, name, vfs.CreateOptions{Owner: "ann"}, nil)
		s.notStaged(t, name, "ann")
	}
	s.lists(t, "p", "f")
}

// testOwners: a parked upload neither shows to another owner nor blocks him.
func testOwners(t *testing.T, s *store) {
	s.mkdir(t, "p")
	ann, bob := content(1, 100_000), content(2, 80_000)
	s.park(t, "p/f", vfs.CreateOptions{Owner: "ann"}, ann[:50_000])
	s.notStaged(t, "p/f", "bob")
	fails(t, "Discard", vfs.Discard(s.ctx, s.fs, "p/f", "bob"), "p/f", fs.ErrNotExist)
	s.missing(t, "p/f")
	if s.caps.Has(vfs.CanWriteAt) {
		_, err := s.fs.Create(s.ctx, "p/f", vfs.CreateOptions{Mode: vfs.WriteAt, Offset: 10, Owner: "bob"})
		badOffset(t, "resuming another's upload", err, "p/f", 10, 0)
	}
	s.park(t, "p/f", vfs.CreateOptions{Owner: "bob"}, bob[:70_000])
	annAt, bobAt := s.staged(t, "p/f", "ann", 50_000), s.staged(t, "p/f", "bob", 70_000)

	w := s.create(t, "p/f", vfs.CreateOptions{Mode: vfs.WriteAt, Offset: bobAt, Owner: "bob"})
	writeAll(t, w, bob[bobAt:])
	commit(t, w)
	s.holds(t, "p/f", bob)
	s.notStaged(t, "p/f", "bob")
	s.put(t, "p/f", []byte("anonymous")) // voids nobody's
	w = s.create(t, "p/f", vfs.CreateOptions{Mode: vfs.WriteAt, Offset: annAt, Owner: "ann"})
	writeAll(t, w, ann[annAt:])
	commit(t, w)
	s.holds(t, "p/f", ann)

	// Owners are any text.
	for _, owner := range []string{"ann/bob", "..", "ü", "a b", "x\x00y", "\xff", "ANN", string(bytes.Repeat([]byte("o"), 300))} {
		s.park(t, "p/g", vfs.CreateOptions{Owner: owner}, ann)
		s.staged(t, "p/g", owner, len(ann))
		s.notStaged(t, "p/g", "ann")
		if err := vfs.Discard(s.ctx, s.fs, "p/g", owner); err != nil {
			t.Errorf("Discard for %q: %v", owner, err)
		}
		s.notStaged(t, "p/g", owner)
	}
	s.lists(t, "p", "f")
}

// testStagedEnds: what ends a staged upload.
func testStagedEnds(t *testing.T, s *store) {
	s.mkdir(t, "p")
	data := content(1, 50_000)
	own := vfs.CreateOptions{Owner: "ann"}

	s.park(t, "p/f", own, data)
	if err := s.write("p/f", data[:10], own); err != nil {
		t.Fatal(err)
	}
	s.notStaged(t, "p/f", "ann")
	s.holds(t, "p/f", data[:10])

	s.park(t, "p/f", own, data[:20_000])
	s.park(t, "p/f", own, data[:30_000]) // one per owner and name: the last
	at := s.staged(t, "p/f", "ann", 30_000)
	w := s.create(t, "p/f", vfs.CreateOptions{Mode: vfs.WriteAt, Offset: at, Owner: "ann"})
	writeAll(t, w, data[at:])
	if err := w.Abort(); err != nil {
		t.Errorf("Abort of a resumed upload: %v", err)
	}
	s.notStaged(t, "p/f", "ann")
	s.holds(t, "p/f", data[:10])

	s.park(t, "p/f", own, data)
	if err := vfs.Discard(s.ctx, s.fs, "p/f", "ann"); err != nil {
		t.Errorf("Discard: %v", err)
	}
	fails(t, "Discard of nothing", vfs.Discard(s.ctx, s.fs, "p/f", "ann"), "p/f", fs.ErrNotExist)
	s.holds(t, "p/f", data[:10])

	// Rmdir counts what is visible and drops the rest.
	s.mkdir(t, "p/sub")
	for _, owner := range []string{"ann", "bob"} {
		s.park(t, "p/sub/f", vfs.CreateOptions{Owner: owner}, data)
		s.park(t, "p/sub/g", vfs.CreateOptions{Owner: owner}, data)
	}
	s.lists(t, "p/sub")
	if err := s.fs.Rmdir(s.ctx, "p/sub"); err != nil {
		t.Errorf("Rmdir of a directory with only staged uploads: %v", err)
	}
	s.missing(t, "p/sub")
	s.mkdir(t, "p/sub")
	for _, owner := range []string{"ann", "bob"} {
		s.notStaged(t, "p/sub/f", owner)
		s.notStaged(t, "p/sub/g", owner)
	}

	// A staged upload that is being continued is not continued twice.
	s.park(t, "p/f", own, data)
	resume := vfs.CreateOptions{Mode: vfs.WriteAt, Offset: s.staged(t, "p/f", "ann", len(data)), Owner: "ann"}
	w = s.create(t, "p/f", resume)
	second, err := s.fs.Create(s.ctx, "p/f", resume)
	if err != nil {
		busy := []error{vfs.ErrBusy}
		if !s.caps.Has(vfs.CanWriteAt) { // it sees only the complete file
			busy = append(busy, errors.ErrUnsupported)
		}
		fails(t, "a second resume", err, "p/f", busy...)
	} else if second.Abort(); w.Commit() == nil {
		t.Error("a resume that was taken over commits")
	}
	w.Abort()
}

// testStagedListing: the owner, and nobody else, finds staged uploads in their
// directory.
func testStagedListing(t *testing.T, s *store) {
	s.mkdir(t, "p", "p/sub")
	names := []string{"a", "100%", "ü", ".hidden", "two words"}
	for i, name := range names {
		s.park(t, "p/"+name, vfs.CreateOptions{Owner: "ann"}, content(0, 100+i))
	}
	s.park(t, "p/sub/below", vfs.CreateOptions{Owner: "ann"}, content(0, 100))
	s.park(t, "p/bobs", vfs.CreateOptions{Owner: "bob"}, content(0, 100))
	s.park(t, "top", vfs.CreateOptions{Owner: "ann"}, content(0, 100))
	s.put(t, "p/visible", nil)

	for _, c := range []struct {
		dir, owner string
		want       []string
	}{
		{"p", "ann", names}, {"p", "bob", []string{"bobs"}}, {"p", "eve", nil}, {"p/sub", "ann", []string{"below"}},
		{".", "ann", []string{"top"}}, {"p/sub", "bob", nil},
	} {
		var got []string
		for info, err := range vfs.Staged(s.ctx, s.fs, c.dir, c.owner) {
			if err != nil {
				t.Fatalf("Staged(%q, %q): %v", c.dir, c.owner, err)
			}
			got = append(got, info.Name())
			stat, err := vfs.StatStaged(s.ctx, s.fs, vfs.Join(c.dir, info.Name()), c.owner)
			if err != nil {
				t.Errorf("StatStaged of a listed upload: %v", err)
			} else if !vfs.AttrOf(info).Staged || stat.Size() != info.Size() {
				t.Errorf("Staged lists %q with size %d and %+v, StatStaged says %d", info.Name(), info.Size(), vfs.AttrOf(info), stat.Size())
			}
		}
		// A name that the store cannot tell back may be left out; a plain one can't.
		for _, name := range c.want {
			if !slices.Contains(got, name) {
				t.Errorf("Staged(%q, %q) leaves out %q", c.dir, c.owner, name)
			}
		}
		if len(got) != len(c.want) {
			t.Errorf("Staged(%q, %q) = %q, want %q", c.dir, c.owner, got, c.want)
		}
	}
	s.lists(t, "p", "sub", "visible")
	s.lists(t, ".", "p")
}

// testParkFailures: an upload that went wrong can be parked with what arrived.
func testParkFailures(t *testing.T, s *store) {
	s.mkdir(t, "p")
	data := content(1, s.h.Large)
	half := len(data) / 2
	finish := func(name string) {
		t.Helper()
		s.missing(t, name)
		at := s.staged(t, name, "ann", half)
		w := s.create(t, name, vfs.CreateOptions{Mode: vfs.WriteAt, Offset: at, Owner: "ann"})
		writeAll(t, w, data[at:])
		commit(t, w)
		s.holds(t, name, data)
	}

	broken := &sourceError{half}
	w := s.create(t, "p/source", vfs.CreateOptions{Owner: "ann"})
	if _, err := w.ReadFrom(io.MultiReader(bytes.NewReader(data[:half]), iotest.ErrReader(broken))); err != error(broken) {
		t.Errorf("ReadFrom: %v, want %v", err, broken)
	}
	if err := w.Park(); err != nil {
		t.Fatalf("Park after a failed source: %v", err)
	}
	finish("p/source")

	gone := errors.New("the session is gone")
	ctx, cancel := context.WithCancelCause(s.ctx)
	w, err := s.fs.Create(ctx, "p/cancelled", vfs.CreateOptions{Owner: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	writeAll(t, w, data[:half])
	cancel(gone)
	if _, err := w.Write(data[half:]); err == nil {
		t.Error("Write succeeds under a done context")
	}
	if err := w.Park(); err != nil {
		t.Fatalf("Park under a done context: %v", err)
	}
	finish("p/cancelled")

	w = s.create(t, "p/synced", vfs.CreateOptions{Owner: "ann"})
	writeAll(t, w, data[:half])
	if err := w.Sync(); err != nil {
		t.Errorf("Sync: %v", err)
	}
	if err := w.Park(); err != nil {
		t.Fatalf("Park after Sync: %v", err)
	}
	finish("p/synced")
}

func testStagedErrors(t *testing.T, s *store) {
	s.mkdir(t, "p")
	data := content(1, 10_000)
	s.park(t, "p/f", vfs.CreateOptions{Owner: "ann"}, data)
	for _, offset := range []int64{int64(len(data)) + 1, 1 << 40} {
		_, err := s.fs.Create(s.ctx, "p/f", vfs.CreateOptions{Mode: vfs.WriteAt, Offset: offset, Owner: "ann"})
		accept := badOffset(t, "resuming", err, "p/f", offset, int64(len(data)))
		if told := s.staged(t, "p/f", "ann", len(data)); accept < told {
			t.Errorf("resuming beyond the end: Accept is %d, but %d was told", accept, told)
		}
	}
	// Another complete file has the name by now.
	s.put(t, "p/f", []byte("bob's"))
	at := s.staged(t, "p/f", "ann", len(data))
	opt := vfs.CreateOptions{Mode: vfs.WriteAt, Offset: at, Owner: "ann", NoReplace: true}
	w, err := s.fs.Create(s.ctx, "p/f", opt)
	if err == nil {
		writeAll(t, w, data)
		err = w.Commit()
	}
	fails(t, "resuming with NoReplace over a file", err, "p/f", fs.ErrExist)
	s.holds(t, "p/f", []byte("bob's"))

	s.notStaged(t, "p/none", "ann")
	s.notStaged(t, "p", "ann")
	s.notStaged(t, "p/f/x", "ann")
	for info, err := range vfs.Staged(s.ctx, s.fs, "p/none", "ann") {
		if err == nil {
			t.Errorf("Staged of a missing directory lists %v", info)
		} else {
			fails(t, "Staged", err, "p/none", fs.ErrNotExist)
		}
	}
}
