package vfstest

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/ftpgate/ftpgate/vfs"
)

// call is one method of the FS, or an ability, applied to a name.
type call struct {
	op   string
	need vfs.Caps // without it ErrUnsupported is an answer too
	do   func(ctx context.Context, fsys vfs.FS, name string) error
}

// calls are all operations that take a name; two-name operations stand for each
// side.
func calls(fsys vfs.FS) []call {
	create := func(mode vfs.Mode) func(context.Context, vfs.FS, string) error {
		return func(ctx context.Context, fsys vfs.FS, name string) error {
			w, err := fsys.Create(ctx, name, vfs.CreateOptions{Mode: mode})
			if err != nil {
				return err
			}
			return errors.Join(w.Abort())
		}
	}
	seq := func(list func(ctx context.Context, fsys vfs.FS, name string) func(func(fs.FileInfo, error) bool)) func(context.Context, vfs.FS, string) error {
		return func(ctx context.Context, fsys vfs.FS, name string) (got error) {
			for _, err := range list(ctx, fsys, name) {
				got = err
			}
			return got
		}
	}
	return []call{
		{"Stat", 0, func(ctx context.Context, f vfs.FS, n string) error { _, err := f.Stat(ctx, n); return err }},
		{"ReadDir", 0, seq(func(ctx context.Context, f vfs.FS, n string) func(func(fs.FileInfo, error) bool) {
			return f.ReadDir(ctx, n, "")
		})},
		{"Open", 0, func(ctx context.Context, f vfs.FS, n string) error {
			file, err := f.Open(ctx, n, 0, -1)
			if err == nil {
				return file.Close()
			}
			return err
		}},
		{"Create", vfs.CanWrite, create(vfs.Replace)},
		{"Create(Append)", vfs.CanAppend, create(vfs.Append)},
		{"Create(WriteAt)", vfs.CanWriteAt, create(vfs.WriteAt)},
		{"Mkdir", vfs.CanWrite, func(ctx context.Context, f vfs.FS, n string) error { return f.Mkdir(ctx, n) }},
		{"Remove", vfs.CanWrite, func(ctx context.Context, f vfs.FS, n string) error { return f.Remove(ctx, n) }},
		{"Rmdir", vfs.CanWrite, func(ctx context.Context, f vfs.FS, n string) error { return f.Rmdir(ctx, n) }},
		{"Rename from", vfs.CanWrite, func(ctx context.Context, f vfs.FS, n string) error {
			return f.Rename(ctx, n, "other", vfs.RenameOptions{})
		}},
		{"Rename to", vfs.CanWrite, func(ctx context.Context, f vfs.FS, n string) error {
			return f.Rename(ctx, "file", n, vfs.RenameOptions{})
		}},
		{"Copy from", vfs.CanCopy, func(ctx context.Context, f vfs.FS, n string) error {
			return vfs.ServerCopy(ctx, f, n, "other", vfs.CopyOptions{})
		}},
		{"Copy to", vfs.CanCopy, func(ctx context.Context, f vfs.FS, n string) error {
			return vfs.ServerCopy(ctx, f, "file", n, vfs.CopyOptions{})
		}},
		{"Hash", vfs.CanHash, func(ctx context.Context, f vfs.FS, n string) error {
			_, err := vfs.ServerHash(ctx, f, n, vfs.MD5, 0, -1)
			return err
		}},
		{"SetModTime", vfs.CanSetModTime, func(ctx context.Context, f vfs.FS, n string) error {
			return vfs.SetModTime(ctx, f, n, time.Unix(1e9, 0))
		}},
		{"SetCreateTime", vfs.CanSetCreateTime, func(ctx context.Context, f vfs.FS, n string) error {
			return vfs.SetCreateTime(ctx, f, n, time.Unix(1e9, 0))
		}},
		{"SetMode", vfs.CanSetMode, func(ctx context.Context, f vfs.FS, n string) error { return vfs.SetMode(ctx, f, n, 0o644) }},
		{"Space", vfs.CanSpace, func(ctx context.Context, f vfs.FS, n string) error { _, err := vfs.Space(ctx, f, n); return err }},
		{"Symlink at", vfs.CanSymlink, func(ctx context.Context, f vfs.FS, n string) error { return vfs.Symlink(ctx, f, "file", n) }},
		{"Symlink to", vfs.CanSymlink, func(ctx context.Context, f vfs.FS, n string) error { return vfs.Symlink(ctx, f, n, "other") }},
		{"StatStaged", vfs.CanPark, func(ctx context.Context, f vfs.FS, n string) error {
			_, err := vfs.StatStaged(ctx, f, n, "owner")
			return err
		}},
		{"Staged", vfs.CanPark, seq(func(ctx context.Context, f vfs.FS, n string) func(func(fs.FileInfo, error) bool) {
			return vfs.Staged(ctx, f, n, "owner")
		})},
		{"Discard", vfs.CanPark, func(ctx context.Context, f vfs.FS, n string) error { return vfs.Discard(ctx, f, n, "owner") }},
	}
}

func testNames(t *testing.T, s *store) {
	s.put(t, "file", []byte("kept"))
	for _, name := range []string{
		"", "/", "/a", "a/", "a//b", "./a", "a/.", "..", "../a", "a/..", "a/../b", "a/./b",
		"a\x00b", "a\rb", "a\nb", "\n", "a/\x00/b",
	} {
		for _, c := range calls(s.fs) {
			err := c.do(s.ctx, s.fs, name)
			if !s.caps.Has(c.need) {
				if c.op == "Staged" { // a store without staging lists none
					continue
				}
				failsAny(t, c.op, err, []string{name, "file", "other"}, fs.ErrInvalid, errors.ErrUnsupported)
				continue
			}
			fails(t, c.op, err, name, fs.ErrInvalid)
		}
	}
	s.lists(t, ".", "file")
	s.holds(t, "file", []byte("kept"))

	for i, name := range []string{
		"100%", "%2F", "a+b", "a b", " lead", "trail ", "ü", "u\u0308", ".hidden", "...", "[x]", "*", "?", "{a,b}", "~", "-rf",
		`back\slash`, `"quoted"`, "'", "tab\there", "日本語", "a&b=c", "a#b", "a;b", "a:b", "$x", "`x`", "<x>", "|x",
		strings.Repeat("n", 200), strings.Repeat("ü", 100),
	} {
		s.worksAsName(t, name, content(uint64(i), 10+i))
	}
	for _, name := range []string{
		"latin1-\xe9", "\xff\xfe", strings.Repeat("n", 255), strings.Repeat("n", 300), "\x01", "\x7f", "del\x1b[0m",
		strings.Repeat("d/", 20) + "deep",
	} {
		s.worksOrIsRefused(t, name)
	}
}

// worksAsName checks that name serves for a file and a directory, is listed as
// itself, and goes without a trace.
func (s *store) worksAsName(t *testing.T, name string, data []byte) {
	t.Helper()
	s.put(t, name, data)
	s.holds(t, name, data)
	s.lists(t, ".", "file", name)
	if got := s.stat(t, name).Name(); got != name {
		t.Errorf("Stat(%q).Name() = %q", name, got)
	}
	if err := s.fs.Remove(s.ctx, name); err != nil {
		t.Errorf("Remove(%q): %v", name, err)
	}
	s.mkdir(t, name)
	s.put(t, name+"/"+name, data)
	s.lists(t, name, name)
	s.holds(t, name+"/"+name, data)
	if err := s.fs.Remove(s.ctx, name+"/"+name); err != nil {
		t.Errorf("Remove(%q): %v", name+"/"+name, err)
	}
	if err := s.fs.Rmdir(s.ctx, name); err != nil {
		t.Errorf("Rmdir(%q): %v", name, err)
	}
	s.lists(t, ".", "file")
}

// worksOrIsRefused checks a name that a store may be unable to hold: then every
// way to make it says so.
func (s *store) worksOrIsRefused(t *testing.T, name string) {
	t.Helper()
	if strings.Contains(name, "/") {
		dir, _ := vfs.Split(name)
		for i := range dir {
			if dir[i] == '/' {
				s.mkdir(t, dir[:i])
			}
		}
		s.mkdir(t, dir)
		s.put(t, name, []byte("deep"))
		s.holds(t, name, []byte("deep"))
		return
	}
	err := s.write(name, []byte("x"), vfs.CreateOptions{})
	if err == nil {
		s.holds(t, name, []byte("x"))
		s.lists(t, ".", "file", name)
		if err := s.fs.Remove(s.ctx, name); err != nil {
			t.Errorf("Remove(%q): %v", name, err)
		}
		return
	}
	t.Logf("%q is refused (valid UTF-8: %v)", name, utf8.ValidString(name))
	fails(t, "Create", err, name, fs.ErrInvalid)
	fails(t, "Mkdir", s.fs.Mkdir(s.ctx, name), name, fs.ErrInvalid)
	failsAny(t, "Rename", s.fs.Rename(s.ctx, "file", name, vfs.RenameOptions{}), []string{name, "file"}, fs.ErrInvalid)
	_, err = s.fs.Stat(s.ctx, name)
	fails(t, "Stat", err, name, fs.ErrInvalid, fs.ErrNotExist)
	s.lists(t, ".", "file")
}
