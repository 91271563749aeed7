package vfstest

import (
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/ftpgate/ftpgate/vfs"
)

// testCaps: an ability that is not announced answers errors.ErrUnsupported and
// changes nothing. The tests of the abilities check the announced ones.
func testCaps(t *testing.T, s *store) {
	t.Logf("caps: %v", s.caps)
	if again := s.fs.Caps(); again != s.caps {
		t.Errorf("Caps changes from %v to %v", s.caps, again)
	}
	if s.caps&^(vfs.Facts|vfs.Mutating|vfs.CanHash|vfs.CanSpace) != 0 {
		t.Errorf("Caps has unknown bits: %b", s.caps)
	}
	if s.h.Reopen != nil && s.h.Reopen(t, s.fs).Caps() != s.caps {
		t.Error("Caps of a second handle differ")
	}
	data := content(1, 1000)
	s.mkdir(t, "name")
	s.put(t, "file", data)
	s.put(t, "name/f", data)
	before := s.walk(t)
	for _, c := range calls(s.fs) {
		if c.need == vfs.CanWrite || s.caps.Has(c.need) {
			continue
		}
		err := c.do(s.ctx, s.fs, "file")
		switch c.op {
		case "Create(WriteAt)", "Staged": // offset 0 is a Replace; no staging lists none
			if err != nil {
				t.Errorf("%s without %v: %v", c.op, c.need, err)
			}
			continue
		}
		failsAny(t, c.op+" without its ability", err, []string{"file", "other"}, errors.ErrUnsupported)
	}
	s.holdsTree(t, before)
	if !s.caps.Has(vfs.CanNoReplace) {
		t.Log("NoReplace may race")
	}
}

func testCopy(t *testing.T, s *store) {
	s.mkdir(t, "d")
	small, big := content(1, 10), content(2, s.h.Large)
	for _, data := range [][]byte{{}, small, big} {
		s.put(t, "src", data)
		if err := vfs.Copy(s.ctx, s.fs, "src", "d/streamed", vfs.CopyOptions{}); err != nil {
			t.Errorf("Copy: %v", err)
		}
		s.holds(t, "d/streamed", data)
	}
	if s.lacks(t, vfs.CanCopy) {
		return
	}
	copyTo := func(src, dst string, opt vfs.CopyOptions) error { return vfs.ServerCopy(s.ctx, s.fs, src, dst, opt) }
	once := vfs.CopyOptions{NoReplace: true}
	for _, data := range [][]byte{{}, small, big} {
		s.put(t, "src", data)
		for _, dst := range []string{"dst", "d/dst"} {
			if err := copyTo("src", dst, vfs.CopyOptions{}); err != nil {
				t.Errorf("Copy to %q: %v", dst, err)
			}
			s.holds(t, "src", data)
			s.holds(t, dst, data)
		}
	}
	// The copy is a file of its own.
	s.put(t, "src", small)
	s.holds(t, "dst", big)
	if s.caps.Has(vfs.CanAppend) {
		s.uploads(t, "dst", vfs.CreateOptions{Mode: vfs.Append}, int64(len(big)), small, cat(big, small))
		s.holds(t, "d/dst", big)
		s.put(t, "dst", big)
	}
	if err := s.fs.Remove(s.ctx, "src"); err != nil {
		t.Error(err)
	}
	s.holds(t, "dst", big)
	s.put(t, "src", small)
	if err := copyTo("src", "once", once); err != nil {
		t.Errorf("Copy with NoReplace: %v", err)
	}
	s.holds(t, "once", small)
	before := s.walk(t)
	for _, c := range []struct {
		src, dst string
		opt      vfs.CopyOptions
		kinds    []error
	}{
		{"src", "dst", once, []error{fs.ErrExist}},
		{"src", "d", vfs.CopyOptions{}, []error{vfs.ErrIsDir, fs.ErrExist}},
		{"src", ".", vfs.CopyOptions{}, []error{vfs.ErrIsDir, fs.ErrExist, fs.ErrPermission}},
		{"src", "dst/x", vfs.CopyOptions{}, []error{vfs.ErrNotDir}},
		{"none", "new", vfs.CopyOptions{}, []error{fs.ErrNotExist}},
		{"none", "dst", vfs.CopyOptions{}, []error{fs.ErrNotExist}},
		{"d", "new", vfs.CopyOptions{}, []error{vfs.ErrIsDir, errors.ErrUnsupported}},
		{".", "new", vfs.CopyOptions{}, []error{vfs.ErrIsDir, errors.ErrUnsupported}},
	} {
		failsAny(t, "Copy", copyTo(c.src, c.dst, c.opt), []string{c.src, c.dst}, c.kinds...)
	}
	if s.caps.Has(vfs.RealDirs) {
		failsAny(t, "Copy", copyTo("src", "none/x", vfs.CopyOptions{}), []string{"src", "none/x"}, fs.ErrNotExist)
	}
	if err := copyTo("src", "src", vfs.CopyOptions{}); err != nil {
		failsAny(t, "Copy onto itself", err, []string{"src"}, fs.ErrInvalid, fs.ErrExist, errors.ErrUnsupported)
	}
	s.holdsTree(t, before)
}

func testAttributes(t *testing.T, s *store) {
	data := content(1, 1000)
	s.mkdir(t, "d", "d/e")
	s.put(t, "d/f", data)
	if !s.lacks(t, vfs.CanSetModTime) {
		s.setsTime(t, "SetModTime", vfs.SetModTime, fs.FileInfo.ModTime)
		s.holds(t, "d/f", data)
		s.put(t, "d/f", data)
		if got := s.stat(t, "d/f").ModTime(); time.Since(got).Abs() > 5*time.Minute {
			t.Errorf("a replaced file keeps the old time %v", got)
		}
	}
	if !s.lacks(t, vfs.CanSetCreateTime) {
		modified := s.stat(t, "d/f").ModTime()
		s.setsTime(t, "SetCreateTime", vfs.SetCreateTime, born)
		s.holds(t, "d/f", data)
		if got := s.stat(t, "d/f").ModTime(); !got.Equal(modified) {
			t.Errorf("SetCreateTime changes the time of modification from %v to %v", modified, got)
		}
		if err := vfs.Copy(s.ctx, s.fs, "d/f", "d/copy", vfs.CopyOptions{}); err != nil {
			t.Error(err)
		}
		for _, name := range []string{"d", "d/copy"} {
			if got := born(s.stat(t, name)); time.Since(got).Abs() > 5*time.Minute {
				t.Errorf("%q is new, and born at %v", name, got)
			}
		}
	}
	if !s.lacks(t, vfs.CanSetMode) {
		for _, mode := range []fs.FileMode{0o600, 0o644, 0o640} {
			if err := vfs.SetMode(s.ctx, s.fs, "d/f", mode); err != nil {
				t.Errorf("SetMode: %v", err)
			}
			if got := s.stat(t, "d/f").Mode(); got != mode {
				t.Errorf("Mode is %v, want %v", got, mode)
			}
		}
		if err := vfs.SetMode(s.ctx, s.fs, "d/e", 0o750); err != nil {
			t.Errorf("SetMode of a directory: %v", err)
		}
		if got := s.stat(t, "d/e").Mode(); got != fs.ModeDir|0o750 {
			t.Errorf("Mode of the directory is %v", got)
		}
		fails(t, "SetMode", vfs.SetMode(s.ctx, s.fs, "d/none", 0o644), "d/none", fs.ErrNotExist)
		s.holds(t, "d/f", data)
	}
	if !s.lacks(t, vfs.CanSpace) {
		for _, name := range []string{".", "d", "d/f"} {
			sp, err := vfs.Space(s.ctx, s.fs, name)
			if err != nil || sp.Total <= 0 || sp.Free < 0 || sp.Free > sp.Total {
				t.Errorf("Space(%q) = %+v, %v", name, sp, err)
			}
		}
	}
}

func born(info fs.FileInfo) time.Time { return vfs.AttrOf(info).Created }

// setsTime checks that set sets the time that of tells, and that it stays when the file
// is renamed.
func (s *store) setsTime(t *testing.T, what string, set func(context.Context, vfs.FS, string, time.Time) error, of func(fs.FileInfo) time.Time) {
	t.Helper()
	for _, name := range []string{"d/f", "d/e"} {
		for _, want := range []time.Time{
			time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC),
			time.Date(1999, 12, 31, 23, 59, 59, 0, time.FixedZone("", 3*3600)),
			time.Date(2037, 1, 1, 0, 0, 0, 0, time.UTC),
		} {
			if err := set(s.ctx, s.fs, name, want); err != nil {
				t.Errorf("%s(%q): %v", what, name, err)
			}
			if got := of(s.stat(t, name)); !got.Truncate(time.Second).Equal(want) {
				t.Errorf("%s: the time of %q is %v, want %v", what, name, got, want)
			}
			for _, e := range s.entries(t, "d", "") {
				if "d/"+e.Name() == name && !of(e).Truncate(time.Second).Equal(want) {
					t.Errorf("%s: %q is listed with %v, want %v", what, name, of(e), want)
				}
			}
		}
	}
	fails(t, what, set(s.ctx, s.fs, "d/none", time.Unix(1e9, 0)), "d/none", fs.ErrNotExist)
	for _, names := range [][2]string{{"d/f", "d/g"}, {"d/g", "d/f"}} {
		if err := s.fs.Rename(s.ctx, names[0], names[1], vfs.RenameOptions{}); err != nil {
			t.Error(err)
		}
		if got := of(s.stat(t, names[1])); got.Year() < 2036 {
			t.Errorf("%s: Rename changes the time to %v", what, got)
		}
	}
}

func testHash(t *testing.T, s *store) {
	data := content(1, 150_000)
	s.mkdir(t, "d")
	s.put(t, "f", data)
	known := 0
	for _, alg := range []vfs.HashAlgorithm{vfs.CRC32, vfs.MD5, vfs.SHA1, vfs.SHA256, vfs.SHA512} {
		for _, r := range [][2]int64{{0, -1}, {0, 100}, {70_000, 1000}, {70_000, -1}, {int64(len(data)), -1}} {
			part := data[r[0]:]
			if r[1] >= 0 {
				part = part[:r[1]]
			}
			h := alg.New()
			h.Write(part)
			want := h.Sum(nil)
			got, err := vfs.Hash(s.ctx, s.fs, "f", alg, r[0], r[1])
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("Hash %s of [%d,+%d) = %x, %v; want %x", alg, r[0], r[1], got, err, want)
			}
			got, err = vfs.ServerHash(s.ctx, s.fs, "f", alg, r[0], r[1])
			if err == nil {
				if known++; !bytes.Equal(got, want) {
					t.Errorf("the store's %s of [%d,+%d) = %x, want %x", alg, r[0], r[1], got, want)
				}
			} else {
				fails(t, "Hash", err, "f", errors.ErrUnsupported)
			}
		}
	}
	// A store may know them of small files alone.
	s.put(t, "small", data[:100])
	if got, err := vfs.ServerHash(s.ctx, s.fs, "small", vfs.MD5, 0, -1); err == nil {
		if want := md5.Sum(data[:100]); !bytes.Equal(got, want[:]) {
			t.Errorf("the store's MD5 = %x, want %x", got, want)
		}
		known++
	}
	if s.caps.Has(vfs.CanHash) != (known > 0) {
		t.Errorf("Caps has %v, and the store knows %d digests", s.caps&vfs.CanHash, known)
	}
	_, err := vfs.Hash(s.ctx, s.fs, "f", "CRC-17", 0, -1)
	fails(t, "Hash by an unknown algorithm", err, "f", errors.ErrUnsupported)
	_, err = vfs.Hash(s.ctx, s.fs, "d", vfs.MD5, 0, -1)
	fails(t, "Hash", err, "d", vfs.ErrIsDir)
	_, err = vfs.Hash(s.ctx, s.fs, "none", vfs.MD5, 0, -1)
	fails(t, "Hash", err, "none", fs.ErrNotExist)
	_, err = vfs.Hash(s.ctx, s.fs, "f", vfs.MD5, int64(len(data))+1, -1)
	badOffset(t, "Hash", err, "f", int64(len(data))+1, int64(len(data)))
}

func testSymlink(t *testing.T, s *store) {
	if s.lacks(t, vfs.CanSymlink) {
		return
	}
	data := content(1, 1000)
	s.mkdir(t, "d", "d/sub")
	s.put(t, "d/f", data)
	link := func(target, name string) {
		t.Helper()
		if err := vfs.Symlink(s.ctx, s.fs, target, name); err != nil {
			t.Fatalf("Symlink(%q, %q): %v", target, name, err)
		}
	}
	link("d/f", "to-file")
	link("d", "to-dir")
	link("d/f", "d/sub/up")
	link("none", "dangling")
	link("loop-b", "loop-a")
	link("loop-a", "loop-b")
	link(".", "d/root")

	for _, name := range []string{"to-file", "to-dir/f", "d/sub/up", "to-dir/sub/up", "d/root/to-dir/f"} {
		s.holds(t, name, data)
	}
	if info := s.stat(t, "to-dir"); !info.IsDir() || info.Name() != "to-dir" {
		t.Errorf("Stat of a link to a directory: name %q, mode %v", info.Name(), info.Mode())
	}
	s.lists(t, "to-dir", "f", "root", "sub")
	targets := map[string]string{"to-file": "d/f", "to-dir": "d", "dangling": "none", "loop-a": "loop-b", "loop-b": "loop-a"}
	for _, e := range s.entries(t, ".", "") {
		want, isLink := targets[e.Name()]
		if isLink != (e.Mode().Type() == fs.ModeSymlink) || vfs.AttrOf(e).Target != want {
			t.Errorf("%q is listed as %v to %q, want a link to %q", e.Name(), e.Mode(), vfs.AttrOf(e).Target, want)
		}
	}
	for _, e := range s.entries(t, "d/sub", "") {
		if vfs.AttrOf(e).Target != "d/f" {
			t.Errorf("%q is listed with the target %q", e.Name(), vfs.AttrOf(e).Target)
		}
	}
	testLinkErrors(t, s, data)

	s.uploads(t, "to-dir/new", vfs.CreateOptions{}, 0, data, data)
	s.holds(t, "d/new", data)
	for _, name := range []string{"to-file", "to-dir", "dangling", "loop-a", "d/root"} {
		if err := s.fs.Remove(s.ctx, name); err != nil {
			t.Errorf("Remove of the link %q: %v", name, err)
		}
	}
	s.lists(t, ".", "d", "loop-b")
	s.holds(t, "d/f", data)
	// Within its directory: a store whose links are relative cannot move them
	// elsewhere.
	if err := s.fs.Rename(s.ctx, "d/sub/up", "d/sub/moved", vfs.RenameOptions{}); err != nil {
		t.Errorf("Rename of a link: %v", err)
	}
	s.holds(t, "d/sub/moved", data)
	s.lists(t, "d/sub", "moved")
	if err := s.fs.Remove(s.ctx, "d/f"); err != nil {
		t.Error(err)
	}
	_, err := s.fs.Stat(s.ctx, "d/sub/moved")
	fails(t, "Stat of a link to nothing", err, "d/sub/moved", fs.ErrNotExist)
	s.lists(t, "d/sub", "moved")
}

func testLinkErrors(t *testing.T, s *store, data []byte) {
	for _, name := range []string{"dangling", "loop-a", "to-dir/none"} {
		_, err := s.fs.Stat(s.ctx, name)
		fails(t, "Stat", err, name, fs.ErrNotExist, fs.ErrPermission)
		_, err = s.read(name, 0, -1)
		fails(t, "Open", err, name, fs.ErrNotExist, fs.ErrPermission)
	}
	_, err := s.read("to-dir", 0, -1)
	fails(t, "Open of a link to a directory", err, "to-dir", vfs.ErrIsDir)
	fails(t, "ReadDir of a link to a file", s.readDirErr(t, s.ctx, "to-file", ""), "to-file", vfs.ErrNotDir)
	fails(t, "Rmdir of a link", s.fs.Rmdir(s.ctx, "to-dir"), "to-dir", vfs.ErrNotDir)
	for _, taken := range []string{"d", "d/f", "to-file", "dangling", "."} {
		failsAny(t, "Symlink", vfs.Symlink(s.ctx, s.fs, "d/f", taken), []string{taken, "d/f"}, fs.ErrExist)
	}
	failsAny(t, "Symlink", vfs.Symlink(s.ctx, s.fs, "d/f", "none/x"), []string{"none/x", "d/f"}, fs.ErrNotExist)
	failsAny(t, "Mkdir", s.fs.Mkdir(s.ctx, "dangling"), []string{"dangling"}, fs.ErrExist)
	s.holds(t, "d/f", data)
}

// testReadOnly is the suite for a store that can't be written: it is empty, and
// stays so.
func testReadOnly(t *testing.T, s *store) {
	if wrong := s.caps & vfs.Mutating; wrong != 0 {
		t.Errorf("a store without CanWrite announces %v", wrong)
	}
	for _, name := range []string{"", "/a", "a//b", "..", "a\nb"} {
		for _, c := range calls(s.fs) {
			if err := c.do(s.ctx, s.fs, name); err != nil || c.op != "Staged" {
				failsAny(t, c.op, err, []string{name, "file", "other"}, fs.ErrInvalid, errors.ErrUnsupported, fs.ErrPermission)
			}
		}
	}
	for _, c := range calls(s.fs) {
		if c.need == 0 || c.need&vfs.Mutating == 0 || strings.HasPrefix(c.op, "Sta") {
			continue
		}
		failsAny(t, c.op, c.do(s.ctx, s.fs, "file"), []string{"file", "other"}, fs.ErrPermission, errors.ErrUnsupported)
	}
	s.missing(t, "file")
	s.lists(t, ".")
	if !s.stat(t, ".").IsDir() {
		t.Error("the root is no directory")
	}
}

// walk reads the whole tree below the root. Links are left out.
func walk(ctx context.Context, fsys vfs.FS) (tree, error) {
	got := tree{}
	dirs := []string{"."}
	for len(dirs) > 0 {
		dir := dirs[0]
		dirs = dirs[1:]
		for info, err := range fsys.ReadDir(ctx, dir, "") {
			if err != nil {
				return nil, err
			}
			name := vfs.Join(dir, info.Name())
			if _, again := got[name]; again || !vfs.ValidElement(info.Name()) {
				return nil, &fs.PathError{Op: "listing twice, or as an invalid name,", Path: name, Err: fs.ErrInvalid}
			}
			switch {
			case info.IsDir():
				got[name] = nil
				dirs = append(dirs, name)
			case info.Mode().IsRegular():
				data, err := readFile(ctx, fsys, name)
				if err != nil {
					return nil, err
				}
				got[name] = data
			}
		}
	}
	return got, nil
}

func readFile(ctx context.Context, fsys vfs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(ctx, name, 0, -1)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return slurp(f)
}
