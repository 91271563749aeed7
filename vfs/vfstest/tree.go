package vfstest

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/ftpgate/ftpgate/vfs"
)

func testTree(t *testing.T, s *store) {
	data := content(1, 100)
	s.mkdir(t, "d", "d/e", "d/e/f")
	s.put(t, "d/file", data)
	s.put(t, "dd", data) // its name begins like the directory's
	s.lists(t, ".", "d", "dd")
	s.lists(t, "d", "e", "file")

	mkdir := func(name string) error { return s.fs.Mkdir(s.ctx, name) }
	remove := func(name string) error { return s.fs.Remove(s.ctx, name) }
	rmdir := func(name string) error { return s.fs.Rmdir(s.ctx, name) }
	below := []error{fs.ErrNotExist, vfs.ErrNotDir}
	for _, c := range []struct {
		what  string
		do    func(string) error
		name  string
		kinds []error
	}{
		{"Mkdir", mkdir, "d", []error{fs.ErrExist}},
		{"Mkdir", mkdir, "d/e", []error{fs.ErrExist}},
		{"Mkdir", mkdir, "d/file", []error{fs.ErrExist}},
		{"Mkdir", mkdir, ".", []error{fs.ErrExist}},
		{"Mkdir", mkdir, "d/file/x", []error{vfs.ErrNotDir}},
		{"Remove", remove, "d", []error{vfs.ErrIsDir}},
		{"Remove", remove, "d/e/f", []error{vfs.ErrIsDir}},
		{"Remove", remove, ".", []error{vfs.ErrIsDir, fs.ErrPermission}},
		{"Remove", remove, "none", []error{fs.ErrNotExist}},
		{"Remove", remove, "d/fil", []error{fs.ErrNotExist}},
		{"Remove", remove, "none/x", []error{fs.ErrNotExist}},
		{"Remove", remove, "d/file/x", below},
		{"Rmdir", rmdir, "d", []error{vfs.ErrNotEmpty}},
		{"Rmdir", rmdir, "d/e", []error{vfs.ErrNotEmpty}},
		{"Rmdir", rmdir, ".", []error{fs.ErrPermission}},
		{"Rmdir", rmdir, "d/file", []error{vfs.ErrNotDir}},
		{"Rmdir", rmdir, "dd", []error{vfs.ErrNotDir}},
		{"Rmdir", rmdir, "none", []error{fs.ErrNotExist}},
		{"Rmdir", rmdir, "d/e/ff", []error{fs.ErrNotExist}},
		{"Rmdir", rmdir, "d/file/x", below},
	} {
		fails(t, c.what, c.do(c.name), c.name, c.kinds...)
	}
	if s.caps.Has(vfs.RealDirs) {
		fails(t, "Mkdir", mkdir("none/x"), "none/x", fs.ErrNotExist)
		fails(t, "Mkdir", mkdir("d/none/x"), "d/none/x", fs.ErrNotExist)
		s.missing(t, "none")
	}
	s.lists(t, ".", "d", "dd")
	s.lists(t, "d", "e", "file")
	s.holds(t, "d/file", data)
	testTakeDown(t, s, data)
}

// testTakeDown removes the tree of testTree from below: a directory that was made
// stays when its last entry goes.
func testTakeDown(t *testing.T, s *store, data []byte) {
	remove := func(name string) error { return s.fs.Remove(s.ctx, name) }
	rmdir := func(name string) error { return s.fs.Rmdir(s.ctx, name) }
	s.put(t, "d/e/f/x", data)
	for _, step := range []struct {
		do   func(string) error
		name string
		dir  string
	}{
		{remove, "d/e/f/x", "d/e/f"}, {rmdir, "d/e/f", "d/e"}, {rmdir, "d/e", "d"}, {remove, "d/file", "d"},
	} {
		if err := step.do(step.name); err != nil {
			t.Fatalf("removing %q: %v", step.name, err)
		}
		s.missing(t, step.name)
		if !s.stat(t, step.dir).IsDir() {
			t.Errorf("%q is no directory any more", step.dir)
		}
	}
	s.lists(t, "d")
	s.holds(t, "dd", data)
	if err := rmdir("d"); err != nil {
		t.Errorf("Rmdir: %v", err)
	}
	s.lists(t, ".", "dd")
	// The name is free for the other kind.
	s.put(t, "d", data)
	s.holds(t, "d", data)
	if err := remove("d"); err != nil {
		t.Error(err)
	}
	s.mkdir(t, "d")
	s.lists(t, "d")
}

// move is one row of the rename matrix.
type move struct {
	from, to string
	opt      vfs.RenameOptions
	ok       bool
	kinds    []error // of its failure; with ok it may do either
}

func testRename(t *testing.T, s *store) {
	once := vfs.RenameOptions{NoReplace: true}
	var replace vfs.RenameOptions
	is := func(kinds ...error) []error { return kinds }
	taken := is(fs.ErrExist)
	moves := []move{
		{"file", "new", replace, true, nil},
		{"file", "new", once, true, nil},
		{"file", "file2", replace, true, nil},
		{"file", "file2", once, false, taken},
		{"file", "full/inner", replace, true, nil},
		{"full/inner", "file", replace, true, nil},
		{"full/inner", "full/deep/inner2", replace, true, nil},
		{"full/inner", "full/inner2", once, true, nil},
		{"file", "empty/x", replace, true, nil},
		{"file", "empty", replace, false, taken},
		{"file", "full", replace, false, taken},
		{"file", "full", once, false, taken},
		{"file", "file", replace, true, nil},
		{"file", "file", once, true, taken},
		{"file", "file/x", replace, false, is(vfs.ErrNotDir, fs.ErrInvalid)},
		{"file", "file2/x", replace, false, is(vfs.ErrNotDir)},
		{"file", ".", replace, false, is(fs.ErrPermission, fs.ErrExist)},
		{".", "new", replace, false, is(fs.ErrPermission)},
		{".", "file", replace, false, is(fs.ErrPermission)},
		{".", "full/x", replace, false, is(fs.ErrPermission)},
		{"none", "new", replace, false, is(fs.ErrNotExist)},
		{"none", "file", replace, false, is(fs.ErrNotExist)},
		{"none", "none", replace, false, is(fs.ErrNotExist)},
		{"fil", "new", replace, false, is(fs.ErrNotExist)},
		{"none/x", "new", replace, false, is(fs.ErrNotExist)},
		{"file/x", "new", replace, false, is(fs.ErrNotExist, vfs.ErrNotDir)},
	}
	if s.caps.Has(vfs.RealDirs) {
		moves = append(moves,
			move{"file", "none/x", replace, false, is(fs.ErrNotExist)},
			move{"full/inner", "full/none/x", replace, false, is(fs.ErrNotExist)})
	}
	dirs := []move{
		{"empty", "new", replace, true, nil},
		{"full", "new", replace, true, nil},
		{"full", "new", once, true, nil},
		{"full", "empty/moved", replace, true, nil},
		{"full/deep", "deep", replace, true, nil},
		{"full", "fullest", replace, true, nil}, // one name begins with the other
		{"empty", "file", replace, false, taken},
		{"full", "file", replace, false, taken},
		{"full", "file", once, false, taken},
		{"full", "empty", replace, false, taken},
		{"empty", "full", replace, false, taken},
		{"full", "empty", once, false, taken},
		{"full/deep", "full", replace, false, taken},
		{"full", "full", replace, true, nil},
		{"full", "full", once, true, taken},
		{"full", "full/deep/full", replace, false, is(fs.ErrInvalid)},
		{"full", "full/new", replace, false, is(fs.ErrInvalid)},
		{"full", "file2/x", replace, false, is(vfs.ErrNotDir)},
		{"full", ".", replace, false, is(fs.ErrPermission, fs.ErrExist)},
	}
	if s.lacks(t, vfs.CanRenameDir) {
		for i := range dirs {
			// Which reason comes first is free, but it does not succeed, except onto
			// itself.
			dirs[i].ok = dirs[i].ok && dirs[i].from == dirs[i].to
			dirs[i].kinds = append(dirs[i].kinds, errors.ErrUnsupported)
		}
	} else if s.caps.Has(vfs.RealDirs) {
		dirs = append(dirs, move{"full", "none/x", replace, false, is(fs.ErrNotExist)})
	}
	for _, m := range append(moves, dirs...) {
		t.Run(fmt.Sprintf("%s to %s %v", m.from, m.to, m.opt.NoReplace), func(t *testing.T) {
			testMove(t, newStore(t, s.h), m)
		})
	}
}

func testMove(t *testing.T, s *store, m move) {
	before := plant(t, s)
	err := s.fs.Rename(s.ctx, m.from, m.to, m.opt)
	if err != nil {
		if m.ok && m.kinds == nil {
			t.Fatalf("Rename: %v", err)
		}
		failsAny(t, "Rename", err, []string{m.from, m.to}, m.kinds...)
		s.holdsTree(t, before)
		return
	}
	if !m.ok {
		t.Fatalf("Rename succeeds, want %v", m.kinds)
	}
	after := tree{}
	for name, data := range before {
		if name != m.to && !vfs.Within(name, m.from) {
			after[name] = data
		}
	}
	for name, data := range before {
		if vfs.Within(name, m.from) {
			after[m.to+name[len(m.from):]] = data
		}
	}
	s.holdsTree(t, after)
}

// tree maps names to the content of files; a directory has none (nil).
type tree map[string][]byte

// plant makes the tree that the rename matrix works on.
func plant(t *testing.T, s *store) tree {
	t.Helper()
	want := tree{
		"empty": nil, "full": nil, "full/deep": nil, "full/deep/er": nil, "full/deep/void": nil,
		"file": content(1, 1000), "file2": content(2, 100), "full/inner": content(3, 70_000),
		"full/deep/er/a": content(4, 10), "full/deep/er/b": {},
	}
	s.mkdir(t, "empty", "full", "full/deep", "full/deep/er", "full/deep/void")
	for name, data := range want {
		if data != nil {
			s.put(t, name, data)
		}
	}
	return want
}

// walk reads the whole tree.
func (s *store) walk(t *testing.T) tree {
	t.Helper()
	got, err := walk(s.ctx, s.fs)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func (s *store) holdsTree(t *testing.T, want tree) {
	t.Helper()
	if d := compare(s.walk(t), want); d != "" {
		t.Error(d)
	}
}
