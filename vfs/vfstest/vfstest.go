// Package vfstest is the contract suite of [vfs.FS]: every backend and every
// wrapper passes [Run], and so behaves the same for the protocol above it.
//
// The suite asks [vfs.FS.Caps] what the store can do, and checks each bit both
// ways: what is announced must work, what is not must answer
// [errors.ErrUnsupported] and change nothing. Nothing is skipped in silence: what a
// store can't do is logged with the bit that it lacks.
//
// [Model] adds random operations, compared after each step with a map that does
// the same; what it finds is written down as text that [Replay] runs for ever.
package vfstest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ftpgate/ftpgate/vfs"
)

// Harness tells the suite how to get at a store.
type Harness struct {
	// New returns an empty FS, whatever ran before; what it takes is released by
	// t.Cleanup. It is called many times.
	New func(t *testing.T) vfs.FS
	// Reopen returns a second handle on the store of fsys, as after a restart or
	// on another node, while fsys stays usable. nil: the store does not outlive
	// its handle.
	Reopen func(t *testing.T, fsys vfs.FS) vfs.FS
	// MaxEntries is the size of the largest directory that is listed, for slow
	// stores; 0 is 2500.
	MaxEntries int
	// Large is the size in bytes of a large file, which most groups write; 0 is
	// 2 MiB + 7, and it is at least 2,000. A store with parts needs more than one of
	// them.
	Large int
	// ModelSteps is the number of random operations that Run does, 0 is 400.
	ModelSteps int
	// InPlace says that uploads write the visible file directly, so that readers
	// see them before Commit (and AtomicCommit must be off).
	InPlace bool
	// Sendfile says that a file opened to its end has a syscall.Conn. A wrapper of
	// such a store keeps it.
	Sendfile bool
	// Owner is set if the FS makes it the owner of every upload itself (ForOwner).
	// Then it also shows what is staged as its own tests say, and the suite leaves
	// that to them.
	Owner string
}

func (h Harness) withDefaults() Harness {
	if h.MaxEntries == 0 {
		h.MaxEntries = 2500
	}
	if h.Large == 0 {
		h.Large = 2<<20 + 7
	}
	h.Large = max(h.Large, 2000)
	if h.ModelSteps == 0 {
		h.ModelSteps = 400
	}
	return h
}

// Run runs the contract suite, a subtest for each part of the contract.
func Run(t *testing.T, h Harness) {
	h = h.withDefaults()
	if !h.New(t).Caps().Has(vfs.CanWrite) {
		group(t, h, "ReadOnly", testReadOnly)
		return
	}
	for _, g := range []struct {
		name string
		test func(*testing.T, *store)
	}{
		{"Caps", testCaps},
		{"Names", testNames},
		{"Stat", testStat},
		{"List", testList},
		{"Read", testRead},
		{"Create", testCreate},
		{"NoReplace", testNoReplace},
		{"Visibility", testVisibility},
		{"Ends", testEnds},
		{"Cancel", testCancel},
		{"ReadFrom", testReadFrom},
		{"Sockets", testSockets},
		{"Writers", testWriters},
		{"Park", testPark},
		{"Tree", testTree},
		{"Rename", testRename},
		{"Copy", testCopy},
		{"Attributes", testAttributes},
		{"Hash", testHash},
		{"Symlink", testSymlink},
		{"Concurrency", testConcurrency},
	} {
		group(t, h, g.name, g.test)
	}
	t.Run("Model", func(t *testing.T) {
		runCorpus(t, h)
		Model(t, h, 0, h.ModelSteps)
	})
}

func group(t *testing.T, h Harness, name string, test func(*testing.T, *store)) {
	t.Run(name, func(t *testing.T) { test(t, newStore(t, h)) })
}

// store is the FS under test with the steps that most tests share.
type store struct {
	h    Harness
	fs   vfs.FS
	caps vfs.Caps
	ctx  context.Context
}

func newStore(t *testing.T, h Harness) *store {
	fsys := h.New(t)
	return &store{h: h, fs: fsys, caps: fsys.Caps(), ctx: t.Context()}
}

// lacks logs and reports that the store has no such ability or fact.
func (s *store) lacks(t *testing.T, c vfs.Caps) bool {
	if s.caps.Has(c) {
		return false
	}
	t.Logf("the store has no %v", c)
	return true
}

// content returns n bytes that depend on seed and repeat nowhere near.
func content(seed uint64, n int) []byte {
	b := make([]byte, n)
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	rand.NewChaCha8(key).Read(b)
	return b
}

func (s *store) write(name string, data []byte, opt vfs.CreateOptions) error {
	w, err := s.fs.Create(s.ctx, name, opt)
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := w.Write(data); err != nil {
		return err
	}
	return w.Commit()
}

func (s *store) put(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := s.write(name, data, vfs.CreateOptions{}); err != nil {
		t.Fatalf("upload of %q: %v", name, err)
	}
}

// dropParked forgets what an FS with an Owner may have parked.
func (s *store) dropParked(t *testing.T, name string) {
	t.Helper()
	if s.h.Owner == "" || !s.caps.Has(vfs.CanPark) {
		return
	}
	if err := vfs.Discard(s.ctx, s.fs, name, s.h.Owner); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Discard(%q): %v", name, err)
	}
}

func (s *store) mkdir(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := s.fs.Mkdir(s.ctx, name); err != nil {
			t.Fatalf("Mkdir(%q): %v", name, err)
		}
	}
}

func (s *store) create(t *testing.T, name string, opt vfs.CreateOptions) vfs.Writer {
	t.Helper()
	w, err := s.fs.Create(s.ctx, name, opt)
	if err != nil {
		t.Fatalf("Create(%q, %+v): %v", name, opt, err)
	}
	t.Cleanup(func() { w.Abort() })
	return w
}

func writeAll(t *testing.T, w io.Writer, data []byte) {
	t.Helper()
	if n, err := w.Write(data); n != len(data) || err != nil {
		t.Fatalf("Write of %d bytes = %d, %v", len(data), n, err)
	}
}

func commit(t *testing.T, w vfs.Writer) {
	t.Helper()
	if err := w.Commit(); err != nil {
		t.Fatalf("Commit: %v", err)
	}
}

// read returns length bytes of name from offset.
func (s *store) read(name string, offset, length int64) ([]byte, error) {
	f, err := s.fs.Open(s.ctx, name, offset, length)
	if err != nil {
		return nil, err
	}
	data, err := slurp(f)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return data, err
}

// slurp reads f to the end, into memory of about the right size; the result is
// never nil.
func slurp(f fs.File) ([]byte, error) {
	var size int64
	if info, err := f.Stat(); err == nil {
		size = info.Size()
	}
	// Not Buffer.Grow: under the race detector it copies the zeros.
	buf := bytes.NewBuffer(make([]byte, 0, int(size)+bytes.MinRead))
	_, err := buf.ReadFrom(f)
	return buf.Bytes(), err
}

// holds checks that name is a file with exactly this content, by reading and by
// Stat.
func (s *store) holds(t *testing.T, name string, want []byte) {
	t.Helper()
	got, err := s.read(name, 0, -1)
	if err != nil {
		t.Errorf("reading %q: %v", name, err)
		return
	}
	if d := difference(got, want); d != "" {
		t.Errorf("%q: %s", name, d)
	}
	if info := s.stat(t, name); info.Size() != int64(len(want)) || !info.Mode().IsRegular() {
		t.Errorf("Stat(%q): size %d, mode %v, want a file of %d", name, info.Size(), info.Mode(), len(want))
	}
}

// difference says where got departs from want, or is empty.
func difference(got, want []byte) string {
	if bytes.Equal(got, want) {
		return ""
	}
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	return fmt.Sprintf("%d bytes, want %d; they differ from byte %d on", len(got), len(want), i)
}

func (s *store) stat(t *testing.T, name string) fs.FileInfo {
	t.Helper()
	info, err := s.fs.Stat(s.ctx, name)
	if err != nil {
		t.Fatalf("Stat(%q): %v", name, err)
	}
	return info
}

// missing checks that nothing has the name, by Stat, Open and the listing.
func (s *store) missing(t *testing.T, name string) {
	t.Helper()
	_, err := s.fs.Stat(s.ctx, name)
	fails(t, "Stat", err, name, fs.ErrNotExist)
	f, err := s.fs.Open(s.ctx, name, 0, -1)
	if err == nil {
		f.Close()
	}
	fails(t, "Open", err, name, fs.ErrNotExist)
	dir, base := vfs.Split(name)
	if _, err := s.fs.Stat(s.ctx, dir); err == nil && slices.Contains(s.list(t, dir), base) {
		t.Errorf("%q is listed, but should not exist", name)
	}
}

// entries lists dir with prefix as the wire does: to the end, sorted.
func (s *store) entries(t *testing.T, dir, prefix string) []fs.FileInfo {
	t.Helper()
	var out []fs.FileInfo
	for info, err := range s.fs.ReadDir(s.ctx, dir, prefix) {
		if err != nil {
			t.Fatalf("ReadDir(%q, %q) after %d entries: %v", dir, prefix, len(out), err)
		}
		out = append(out, info)
	}
	slices.SortFunc(out, func(a, b fs.FileInfo) int { return strings.Compare(a.Name(), b.Name()) })
	return out
}

// list returns the sorted names of all entries of dir.
func (s *store) list(t *testing.T, dir string) []string {
	t.Helper()
	names := []string{}
	for _, info := range s.entries(t, dir, "") {
		names = append(names, info.Name())
	}
	return names
}

func (s *store) lists(t *testing.T, dir string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := s.list(t, dir); !slices.Equal(got, want) {
		t.Errorf("ReadDir(%q) = %q, want %q", dir, got, want)
	}
}

// readDirErr returns the error of a listing and checks that it ends it.
func (s *store) readDirErr(t *testing.T, ctx context.Context, dir, prefix string) error {
	t.Helper()
	var got error
	for _, err := range s.fs.ReadDir(ctx, dir, prefix) {
		if got != nil {
			t.Errorf("ReadDir(%q) goes on after the error %v", dir, got)
			break
		}
		got = err
	}
	return got
}

// parallel runs do(0), ..., do(n-1) at most 16 at a time.
func parallel(n int, do func(i int)) {
	var wg sync.WaitGroup
	next := make(chan int)
	for range min(n, 16) {
		wg.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}

// identity returns what is wrong with the form of a store's error: it must be a
// *fs.PathError with a name that the caller used, and hold no other path.
func identity(err error, names ...string) error {
	pe, ok := err.(*fs.PathError)
	if !ok {
		return fmt.Errorf("is a %T, not a *fs.PathError", err)
	}
	if !slices.Contains(names, pe.Path) {
		return fmt.Errorf("has the path %q, the caller's is %q", pe.Path, names)
	}
	if pe.Op == "" {
		return errors.New("names no operation")
	}
	var inner *fs.PathError
	if errors.As(pe.Err, &inner) {
		return fmt.Errorf("holds a second path %q", inner.Path)
	}
	return nil
}

// fails checks that err is an error of the store for name and matches one of
// kinds.
func fails(t *testing.T, what string, err error, name string, kinds ...error) {
	t.Helper()
	failsAny(t, what, err, []string{name}, kinds...)
}

func failsAny(t *testing.T, what string, err error, names []string, kinds ...error) {
	t.Helper()
	if err == nil {
		t.Errorf("%s(%q) succeeds, want: %v", what, names, kinds)
		return
	}
	if problem := identity(err, names...); problem != nil {
		t.Errorf("%s(%q): the error %q %v", what, names, err, problem)
	}
	if !slices.ContainsFunc(kinds, func(k error) bool { return errors.Is(err, k) }) {
		t.Errorf("%s(%q): %v; want one of %v", what, names, err, kinds)
	}
}

// badOffset checks for an *OffsetError about offset and returns what would be
// accepted, which is at most most.
func badOffset(t *testing.T, what string, err error, name string, offset, most int64) int64 {
	t.Helper()
	var oe *vfs.OffsetError
	if !errors.As(err, &oe) {
		t.Fatalf("%s(%q) at %d: %v; want an *OffsetError", what, name, offset, err)
	}
	if problem := identity(err, name); problem != nil {
		t.Errorf("%s(%q): the error %q %v", what, name, err, problem)
	}
	if oe.Offset != offset || oe.Accept < 0 || oe.Accept > most {
		t.Errorf("%s(%q) at %d: %+v; want Accept in [0,%d]", what, name, offset, *oe, most)
	}
	return oe.Accept
}
