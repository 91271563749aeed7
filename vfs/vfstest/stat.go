package vfstest

import (
	"io/fs"
	"testing"
	"time"

	"github.com/ftpgate/ftpgate/vfs"
)

func testStat(t *testing.T, s *store) {
	root := s.stat(t, ".")
	if root.Name() != "." || !root.IsDir() || !root.Mode().IsDir() {
		t.Errorf(`Stat("."): name %q, mode %v`, root.Name(), root.Mode())
	}
	s.mkdir(t, "d", "d/e")
	before := time.Now()
	s.put(t, "d/f", content(1, 1234))
	f, d := s.stat(t, "d/f"), s.stat(t, "d/e")
	if f.Name() != "f" || f.Size() != 1234 || f.IsDir() || !f.Mode().IsRegular() {
		t.Errorf("Stat of a file: name %q, size %d, mode %v", f.Name(), f.Size(), f.Mode())
	}
	if d.Name() != "e" || !d.IsDir() || !d.Mode().IsDir() {
		t.Errorf("Stat of a directory: name %q, mode %v", d.Name(), d.Mode())
	}
	// Stores round to seconds, and their clocks are not ours.
	if off := f.ModTime().Sub(before).Abs(); off > 5*time.Minute {
		t.Errorf("a new file is dated %v, which is %v off", f.ModTime(), off)
	}
	for _, info := range []fs.FileInfo{root, d, f} {
		if y := info.ModTime().Year(); info.IsDir() && y < 1971 {
			t.Errorf("directory %q is dated %v: clients drop rows without a sane time", info.Name(), info.ModTime())
		}
		switch a := info.Sys().(type) {
		case nil:
		case *vfs.Attr:
			if a == nil || a.Staged {
				t.Errorf("%q: Attr %+v", info.Name(), a)
			}
		default:
			t.Errorf("%q: Sys is a %T, want nil or *vfs.Attr", info.Name(), a)
		}
	}
	testUnique(t, s)

	for _, name := range []string{"missing", "d/missing", "missing/f"} {
		_, err := s.fs.Stat(s.ctx, name)
		fails(t, "Stat", err, name, fs.ErrNotExist)
	}
	_, err := s.fs.Stat(s.ctx, "d/f/below")
	fails(t, "Stat", err, "d/f/below", fs.ErrNotExist, vfs.ErrNotDir)
	// The start of a name, or a name and more, is another name.
	s.put(t, "d/longer", nil)
	s.mkdir(t, "d/sub-long")
	s.put(t, "d/sub-long/f", nil)
	for _, name := range []string{"d/long", "d/longer2", "d/sub", "d/sub-long2", "d/sub-long/ff", "d/f2", "e"} {
		s.missing(t, name)
	}

	// The listing and Stat agree: mirroring clients compare them.
	for _, e := range s.entries(t, "d", "") {
		info := s.stat(t, "d/"+e.Name())
		if e.Size() != info.Size() && !e.IsDir() || e.Mode() != info.Mode() || !e.ModTime().Equal(info.ModTime()) {
			t.Errorf("%q is listed as %v %d %v, Stat says %v %d %v", e.Name(),
				e.Mode(), e.Size(), e.ModTime(), info.Mode(), info.Size(), info.ModTime())
		}
		if a, b := vfs.AttrOf(e).Unique, vfs.AttrOf(info).Unique; a != "" && b != "" && a != b {
			t.Errorf("%q is listed as unique %q, Stat says %q", e.Name(), a, b)
		}
	}
}

// testUnique: Attr.Unique, where there is one, is of the file and not of the name.
func testUnique(t *testing.T, s *store) {
	s.put(t, "u1", []byte("same"))
	s.put(t, "u2", []byte("same"))
	u1, u2 := vfs.AttrOf(s.stat(t, "u1")).Unique, vfs.AttrOf(s.stat(t, "u2")).Unique
	if u1 != "" && u1 == u2 {
		t.Errorf("two files share the unique %q", u1)
	}
	if again := vfs.AttrOf(s.stat(t, "u1")).Unique; again != u1 {
		t.Errorf("unique changes from %q to %q", u1, again)
	}
}
