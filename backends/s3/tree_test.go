package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ftpgate/ftpgate/backends/s3/s3fake"
	"github.com/ftpgate/ftpgate/vfs"
)

func names(t *testing.T, f *FS, dir, prefix string) []string {
	t.Helper()
	out := []string{}
	for info, err := range f.ReadDir(t.Context(), dir, prefix) {
		if err != nil {
			t.Fatalf("ReadDir(%q): %v", dir, err)
		}
		name := info.Name()
		if info.IsDir() {
			name += "/"
		}
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// TestDirectoryStays: a directory that only its files made does not vanish with the
// last of them, however they go.
func TestDirectoryStays(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		name string
		keys []string
		do   func(f *FS) error
		want []string
	}{
		{"last file removed", []string{"d/f"}, func(f *FS) error { return f.Remove(ctx, "d/f") }, []string{"d/"}},
		{"one of two", []string{"d/f", "d/g"}, func(f *FS) error { return f.Remove(ctx, "d/f") }, []string{"d/g"}},
		{"marked", []string{"d/", "d/f"}, func(f *FS) error { return f.Remove(ctx, "d/f") }, []string{"d/"}},
		{"deep", []string{"d/e/f"}, func(f *FS) error { return f.Remove(ctx, "d/e/f") }, []string{"d/e/"}},
		{"last directory removed", []string{"d/e/"}, func(f *FS) error { return f.Rmdir(ctx, "d/e") }, []string{"d/"}},
		{"renamed away", []string{"d/f"}, func(f *FS) error { return f.Rename(ctx, "d/f", "g", vfs.RenameOptions{}) }, []string{"d/", "g"}},
		{"renamed inside", []string{"d/f"}, func(f *FS) error { return f.Rename(ctx, "d/f", "d/g", vfs.RenameOptions{}) }, []string{"d/g"}},
		{"in the root", []string{"f"}, func(f *FS) error { return f.Remove(ctx, "f") }, []string{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, f := fake(t, s3fake.Options{})
			for _, k := range c.keys {
				s.PutAll("pre/fix/" + k)
			}
			if err := c.do(f); err != nil {
				t.Fatal(err)
			}
			got := s.Keys()
			for i := range got {
				got[i] = strings.TrimPrefix(got[i], "pre/fix/")
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("keys are %q, want %q", got, c.want)
			}
		})
	}
}

// TestDirectoryStaysRace: sessions that delete the last files of a directory at one
// time do not each rely on the other's.
func TestDirectoryStaysRace(t *testing.T) {
	for _, n := range []int{2, 3, 30} {
		s, f := fake(t, s3fake.Options{})
		for i := range n {
			s.PutAll(fmt.Sprintf("pre/fix/d/f%d", i))
		}
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				if err := f.Remove(t.Context(), fmt.Sprintf("d/f%d", i)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if got := s.Keys(); !slices.Equal(got, []string{"pre/fix/d/"}) {
			t.Errorf("%d deletions leave %q, want the marker", n, got)
		}
		if len(f.leaving.n) != 0 {
			t.Errorf("departures are still counted: %v", f.leaving.n)
		}
	}
}

// TestNeighbours: what begins with the same letters is something else.
func TestNeighbours(t *testing.T) {
	s, f := fake(t, s3fake.Options{})
	s.PutAll("pre/fixation", "pre/fix", "pre/fix2/x", "pre/fix/foobar", "pre/fix/foo2/x", "pre/fix/foo/")
	if got := names(t, f, ".", ""); !slices.Equal(got, []string{"foo/", "foo2/", "foobar"}) {
		t.Errorf("the root lists %q", got)
	}
	if err := f.Rmdir(t.Context(), "foo"); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"fo", "foo"} {
		if err := f.Rmdir(t.Context(), name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Rmdir(%q) = %v", name, err)
		}
		if err := f.Remove(t.Context(), name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Remove(%q) = %v", name, err)
		}
		if _, err := f.Stat(t.Context(), name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Stat(%q) = %v", name, err)
		}
	}
	if got := s.Keys(); !slices.Equal(got, []string{"pre/fix", "pre/fix/foo2/x", "pre/fix/foobar", "pre/fix2/x", "pre/fixation"}) {
		t.Errorf("keys are %q", got)
	}
}

// TestFileBesideDirectory: S3 allows "a" and "a/b". The directory is shown, the
// object can be read and removed.
func TestFileBesideDirectory(t *testing.T) {
	s, f := fake(t, s3fake.Options{PageLimit: 2})
	s.Put("pre/fix/a", []byte("object"))
	keys := []string{"a/b", "a ", "a-1", "a-1/x", "a-1-2", "a-1-2/y", "a.txt", "a0", "b", "b-/z", "c", "a-1-2-3"}
	for _, k := range keys {
		s.PutAll("pre/fix/" + k)
	}
	s.PutAll("pre/fix/a-1-2-3-4", "pre/fix/a-1-")
	want := []string{"a ", "a-1-", "a-1-2-3", "a-1-2-3-4", "a-1-2/", "a-1/", "a.txt", "a/", "a0", "b", "b-/", "c"}
	if got := names(t, f, ".", ""); !slices.Equal(got, want) {
		t.Errorf("listed: %q\nwant:   %q", got, want)
	}
	if info, err := f.Stat(t.Context(), "a"); err != nil || !info.IsDir() {
		t.Errorf("Stat = %v, %v; want the directory", info, err)
	}
	r, err := f.Open(t.Context(), "a", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	if info, _ := r.Stat(); info.Size() != 6 {
		t.Errorf("the open file has %d bytes", info.Size())
	}
	r.Close()
	if _, err := f.Create(t.Context(), "a", vfs.CreateOptions{}); !errors.Is(err, vfs.ErrIsDir) {
		t.Errorf("Create = %v, want vfs.ErrIsDir", err)
	}
	if err := upload1(t.Context(), f, "a/c", nil, vfs.CreateOptions{}); err != nil {
		t.Errorf("upload below: %v", err)
	}
	if err := f.Remove(t.Context(), "a"); err != nil {
		t.Errorf("Remove: %v", err)
	}
	if err := f.Remove(t.Context(), "a"); !errors.Is(err, vfs.ErrIsDir) {
		t.Errorf("Remove of the directory: %v, want vfs.ErrIsDir", err)
	}
}

// TestReserved: the gateway's own directory is hidden and refused, in every
// spelling, at every depth, by every operation.
func TestReserved(t *testing.T) {
	s, f := fake(t, s3fake.Options{})
	s.PutAll("pre/fix/.ftpgate/up/x", "pre/fix/d/.FTPgate/x", "pre/fix/d/.ftpgate2", "pre/fix/plain")
	if got := names(t, f, ".", ""); !slices.Equal(got, []string{"d/", "plain"}) {
		t.Errorf("the root lists %q", got)
	}
	if got := names(t, f, "d", ""); !slices.Equal(got, []string{".ftpgate2"}) {
		t.Errorf("d lists %q", got)
	}
	ctx := t.Context()
	for _, name := range []string{
		".ftpgate", ".FTPGATE", ".FtpGate/up", ".ftpgate/up/x", "d/.ftpgate", "d/.FTPgate/x",
		".\uff46\uff54\uff50\uff47\uff41\uff54\uff45", // full width
		".\u24d5tpgate", // circled f
	} {
		create := func() error { _, err := f.Create(ctx, name, vfs.CreateOptions{}); return err }
		stat := func() error { _, err := f.Stat(ctx, name); return err }
		openFile := func() error { _, err := f.Open(ctx, name, 0, -1); return err }
		list := func() (err error) {
			for _, err = range f.ReadDir(ctx, name, "") {
			}
			return err
		}
		for i, err := range []error{
			stat(), list(), openFile(), create(), f.Mkdir(ctx, name), f.Remove(ctx, name), f.Rmdir(ctx, name),
			f.Rename(ctx, "plain", name, vfs.RenameOptions{}), f.Rename(ctx, name, "moved", vfs.RenameOptions{}),
			f.Copy(ctx, "plain", name, vfs.CopyOptions{}), f.Copy(ctx, name, "copied", vfs.CopyOptions{}),
		} {
			if !errors.Is(err, fs.ErrPermission) {
				t.Errorf("operation %d on %q: %v, want fs.ErrPermission", i, name, err)
			}
		}
	}
	if n := len(s.Keys()); n != 4 {
		t.Errorf("keys are %q", s.Keys())
	}
}

// TestOddKeys: keys that need escaping somewhere on the way work as names, also as
// the source of a copy.
func TestOddKeys(t *testing.T) {
	for _, plain := range []bool{false, true} {
		s, f := fake(t, s3fake.Options{PlainListing: plain, PageLimit: 3}, func(o *Options) { o.Prefix = "p+ %41ü" })
		odd := []string{"100%", "%2F", "a+b", "a b", "a&b=c?d#e", "ü", "u\u0308", "日本語", "a%20b", "<x>&amp;", "\"q\"", "~!*'();:@$,[]", "tab\t", "emoji 🎉"}
		for _, name := range odd {
			data := []byte("content of " + name)
			if err := upload1(t.Context(), f, name, data, vfs.CreateOptions{}); err != nil {
				t.Errorf("%q: %v", name, err)
			}
			if got, _ := s.Get("p+ %41ü/" + name); !bytes.Equal(got, data) {
				t.Errorf("%q is not the key", name)
			}
			if err := f.Rename(t.Context(), name, "d-"+name+"/"+name, vfs.RenameOptions{NoReplace: len(name)%2 == 0}); err != nil {
				t.Errorf("Rename(%q): %v", name, err)
			}
			if got := names(t, f, "d-"+name, ""); !slices.Equal(got, []string{name}) {
				t.Errorf("listed %q, want %q", got, name)
			}
			if err := f.Copy(t.Context(), "d-"+name+"/"+name, name, vfs.CopyOptions{}); err != nil {
				t.Errorf("Copy(%q): %v", name, err)
			}
			if got, _ := s.Get("p+ %41ü/" + name); !bytes.Equal(got, data) {
				t.Errorf("%q was copied wrong", name)
			}
		}
		if got := len(names(t, f, ".", "")); got != 2*len(odd) {
			t.Errorf("the root lists %d names, want %d", got, 2*len(odd))
		}
	}
}

// TestUnshowable: keys that are no names are left out, counted and logged in one
// line; a directory that holds nothing else is not empty.
func TestUnshowable(t *testing.T) {
	var log bytes.Buffer
	s, f := fake(t, s3fake.Options{PageLimit: 2}, func(o *Options) {
		o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	})
	bad := []string{"a//b", "a/./c", "a/../d", "a/cr\rx", "a/lf\nx", "a/nul\x00", "a/" + strings.Repeat("n", 256), "a/" + strings.Repeat("n", 300) + "/x"}
	for _, k := range bad {
		s.PutAll("pre/fix/" + k)
	}
	s.PutAll("pre/fix/a/good")
	if got := names(t, f, "a", ""); !slices.Equal(got, []string{"good"}) {
		t.Errorf("listed %q", got)
	}
	if lines := strings.Count(log.String(), "\n"); lines != 1 || !strings.Contains(log.String(), fmt.Sprint("count=", len(bad))) {
		t.Errorf("the log is %q", log.String())
	}
	if err := f.Remove(t.Context(), "a/good"); err != nil {
		t.Error(err)
	}
	if err := f.Rmdir(t.Context(), "a"); !errors.Is(err, vfs.ErrNotEmpty) {
		t.Errorf("Rmdir = %v, want vfs.ErrNotEmpty", err)
	}
	if got := names(t, f, "a", ""); len(got) != 0 {
		t.Errorf("listed %q", got)
	}
}

// TestListPages: the pages of a listing come one ahead of what is consumed, not
// more, and only those that the prefix needs.
func TestListPages(t *testing.T) {
	pages := func() (*s3fake.Server, *FS) {
		s, f := fake(t, s3fake.Options{PageLimit: 10})
		for i := range 100 {
			s.PutAll(fmt.Sprintf("pre/fix/f%03d", i))
		}
		s.ResetCounts()
		return s, f
	}
	s, f := pages()
	n := 0
	for _, err := range f.ReadDir(t.Context(), ".", "") {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 25 {
			break
		}
	}
	if got := s.Counts()["ListObjectsV2"]; got > 4 {
		t.Errorf("25 entries of pages of 10 took %d requests", got)
	}
	s, f = pages()
	if got := names(t, f, ".", "f05"); len(got) != 10 {
		t.Errorf("prefix f05 lists %q", got)
	}
	if got := s.Counts()["ListObjectsV2"]; got != 1 {
		t.Errorf("a prefix of 10 entries took %d requests", got)
	}
	s, f = pages()
	s.Inject(s3fake.Fault{Op: "ListObjectsV2", Skip: 4, Status: 403, Code: "AccessDenied"})
	n = 0
	var last error
	for _, err := range f.ReadDir(t.Context(), ".", "") {
		if n++; err != nil {
			last = err
		}
	}
	// 39 entries and the error: the 40th could still be a directory of the next page.
	if !errors.Is(last, fs.ErrPermission) || n != 40 {
		t.Errorf("a page that fails: %d entries, %v", n, last)
	}
}
