package aferofs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ftpgate/ftpgate/backends/memory"
	"github.com/ftpgate/ftpgate/vfs"
	"github.com/ftpgate/ftpgate/vfs/aferofs"
	"github.com/ftpgate/ftpgate/vfs/faultfs"
	"github.com/spf13/afero"
)

func toAfero(t *testing.T) (afero.Fs, vfs.FS) {
	t.Helper()
	f := memory.New(memory.Options{})
	return aferofs.ToAfero(t.Context(), f), f
}

// An open file does what a file of the operating system does, with every flag and
// at every offset, once it is closed.
func TestFilesLikeTheSystems(t *testing.T) {
	flags := []int{
		os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_RDWR | os.O_CREATE, os.O_WRONLY | os.O_CREATE | os.O_TRUNC,
		os.O_RDWR | os.O_CREATE | os.O_EXCL, os.O_WRONLY | os.O_APPEND, os.O_RDWR | os.O_APPEND | os.O_CREATE,
		os.O_RDONLY | os.O_CREATE, os.O_RDWR | os.O_TRUNC,
	}
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 1))
		ours, _ := toAfero(t)
		theirs := afero.NewBasePathFs(afero.NewOsFs(), t.TempDir())
		var log []string
		for range 8 {
			name, flag := fmt.Sprintf("f%d", r.IntN(2)), flags[r.IntN(len(flags))]
			log = append(log, fmt.Sprintf("open %s %#x", name, flag))
			a, errA := ours.OpenFile(name, flag, 0o644)
			b, errB := theirs.OpenFile(name, flag, 0o644)
			if !same(errA, errB) {
				t.Fatalf("seed %d: %s: %v; want %v", seed, strings.Join(log, "; "), errA, errB)
			}
			if errA != nil {
				continue
			}
			if what := compareFiles(r, flag, a, b, &log); what != "" {
				t.Fatalf("seed %d: %s: %s", seed, strings.Join(log, "; "), what)
			}
			gotA, errA := afero.ReadFile(ours, name)
			gotB, errB := afero.ReadFile(theirs, name)
			if !bytes.Equal(gotA, gotB) || !same(errA, errB) {
				t.Fatalf("seed %d: %s: the file holds %d bytes, %v; want %d, %v", seed, strings.Join(log, "; "), len(gotA), errA, len(gotB), errB)
			}
		}
	}
}

// same reports whether two errors mean the same to a program.
func same(a, b error) bool {
	for _, kind := range []error{fs.ErrNotExist, fs.ErrExist, io.EOF} {
		if errors.Is(a, kind) != errors.Is(b, kind) {
			return false
		}
	}
	return (a == nil) == (b == nil)
}

// compareFiles does the same random things to two files and closes them.
func compareFiles(r *rand.Rand, flag int, a, b afero.File, log *[]string) string {
	for range 6 {
		p := bytes.Repeat([]byte{byte(r.IntN(256))}, r.IntN(100))
		off := int64(r.IntN(200))
		type result struct {
			n    int64
			err  error
			data []byte
		}
		var what string
		var do func(f afero.File) result
		switch r.IntN(8) {
		case 0:
			what = fmt.Sprintf("Write %d", len(p))
			do = func(f afero.File) result { n, err := f.Write(p); return result{int64(n), err, nil} }
		case 1:
			what = fmt.Sprintf("WriteAt %d at %d", len(p), off)
			do = func(f afero.File) result { n, err := f.WriteAt(p, off); return result{int64(n), err, nil} }
		case 2:
			what = fmt.Sprintf("Read %d", len(p))
			do = func(f afero.File) result {
				q := make([]byte, len(p))
				n, err := io.ReadFull(f, q)
				return result{int64(n), err, q[:n]}
			}
		case 3:
			what = fmt.Sprintf("ReadAt %d at %d", len(p)+1, off)
			do = func(f afero.File) result {
				q := make([]byte, len(p)+1)
				n, err := f.ReadAt(q, off)
				return result{int64(n), err, q[:n]}
			}
		case 4, 5:
			whence := r.IntN(3)
			what = fmt.Sprintf("Seek %d %d", off, whence)
			do = func(f afero.File) result { n, err := f.Seek(off, whence); return result{n, err, nil} }
		case 6:
			what = fmt.Sprintf("Truncate %d", off)
			do = func(f afero.File) result { return result{0, f.Truncate(off), nil} }
		case 7:
			what = "Stat and Sync"
			do = func(f afero.File) result {
				info, err := f.Stat()
				if err != nil {
					return result{0, err, nil}
				}
				return result{info.Size(), f.Sync(), []byte(info.Name())}
			}
		}
		if flag&os.O_APPEND != 0 && strings.HasPrefix(what, "Seek") {
			continue // where a file that is appended to stands is nobody's promise
		}
		if len(p) == 0 && flag&(os.O_WRONLY|os.O_RDWR) == 0 && strings.HasPrefix(what, "WriteAt") {
			continue // package os allows it by accident
		}
		*log = append(*log, what)
		ra, rb := do(a), do(b)
		if ra.n != rb.n || !same(ra.err, rb.err) || !bytes.Equal(ra.data, rb.data) {
			return fmt.Sprintf("%s = %d, %v; want %d, %v", what, ra.n, ra.err, rb.n, rb.err)
		}
	}
	if errA, errB := a.Close(), b.Close(); !same(errA, errB) {
		return fmt.Sprintf("Close: %v; want %v", errA, errB)
	}
	return ""
}

func TestNothingIsVisibleBeforeClose(t *testing.T) {
	a, f := toAfero(t)
	if err := afero.WriteFile(a, "f", []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	file, err := a.Create("/f")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString("newer"); err != nil {
		t.Fatal(err)
	}
	if got := get(t, f, "f"); got != "old" {
		t.Errorf("before Close: %q", got)
	}
	if info, err := file.Stat(); err != nil || info.Size() != 5 || info.Name() != "f" {
		t.Errorf("Stat of the open file: %v, %v", info, err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if got := get(t, f, "f"); got != "newer" {
		t.Errorf("after Close: %q", got)
	}
	if err := file.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("the second Close: %v", err)
	}
}

// A Close that can't commit says so and leaves what was there.
func TestFailedUpload(t *testing.T) {
	inner := faultfs.New(memory.New(memory.Options{}))
	a := aferofs.ToAfero(t.Context(), inner)
	if err := afero.WriteFile(a, "f", []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, fault := range []faultfs.Fault{
		{Op: faultfs.Commit, Err: vfs.ErrQuota},
		{Op: faultfs.Write, After: 3, Err: vfs.ErrNoSpace},
	} {
		rule := inner.Inject(fault)
		file, err := a.Create("f")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteString("newer"); fault.Op == faultfs.Write {
			wantErr(t, "Write", err, fault.Err)
		}
		wantErr(t, "Close", file.Close(), fault.Err)
		rule.Release()
		if got := get(t, inner, "f"); got != "old" {
			t.Errorf("after a failed %s: %q", fault.Op, got)
		}
	}
}

func TestCancelledContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	a := aferofs.ToAfero(ctx, memory.New(memory.Options{}))
	file, err := a.Create("f")
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	wantErr(t, "Close", file.Close(), context.Canceled)
	_, err = a.Stat("f")
	wantErr(t, "Stat", err, context.Canceled)
}

// A file that is only read shows one version, or fails.
func TestReadingWhileReplaced(t *testing.T) {
	a, _ := toAfero(t)
	if err := afero.WriteFile(a, "f", []byte("0123456789"), 0o644); err != nil {
		t.Fatal(err)
	}
	file, err := a.Open("f")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	p := make([]byte, 2)
	if _, err := file.Read(p); err != nil {
		t.Fatal(err)
	}
	if err := afero.WriteFile(a, "f", []byte("abcdefghi"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := file.Read(p); err != nil || string(p) != "23" {
		t.Errorf("the open file reads %q, %v", p, err)
	}
	if _, err := file.Seek(7, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if n, err := file.Read(p); err == nil {
		t.Errorf("after Seek it reads %q of another version", p[:n])
	}
	if n, err := file.ReadAt(p, 1); err == nil {
		t.Errorf("ReadAt reads %q of another version", p[:n])
	}
}

func TestAferoTools(t *testing.T) {
	a, f := toAfero(t)
	if err := a.MkdirAll("/x/y/z", 0o777); err != nil {
		t.Fatal(err)
	}
	if err := a.MkdirAll("x/y", 0o755); err != nil {
		t.Errorf("MkdirAll of what is there: %v", err)
	}
	for i := range 1500 {
		if err := afero.WriteFile(a, fmt.Sprintf("x/y/f%d", i), []byte("text"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	wantErr(t, "MkdirAll below a file", a.MkdirAll("x/y/f1/g", 0o755), vfs.ErrNotDir)
	if info, err := a.Stat("x/y"); err != nil || info.Mode() != fs.ModeDir|0o755 {
		t.Errorf("Stat: %v, %v", info.Mode(), err)
	}
	if info, err := a.Stat("x/y/f1"); err != nil || info.Mode() != 0o644 {
		t.Errorf("Stat: %v, %v", info.Mode(), err)
	}
	for name, want := range map[string]bool{"x": true, "x/y/f7": true, "../x": true, "x/../x/./y": true, "nothing": false, "/x/q": false} {
		if got, err := afero.Exists(a, name); got != want || err != nil {
			t.Errorf("Exists(%q) = %v, %v", name, got, err)
		}
	}
	if err := vfs.Symlink(t.Context(), f, "x", "x/y/loop"); err != nil {
		t.Fatal(err)
	}
	n := 0
	if err := afero.Walk(a, "/", func(name string, _ fs.FileInfo, err error) error { n++; return err }); err != nil || n != 1505 {
		t.Errorf("Walk visits %d, %v", n, err)
	}
	dir, err := a.Open("x/y")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for {
		part, err := dir.Readdirnames(100)
		names = append(names, part...)
		if err == io.EOF {
			break
		}
		if err != nil || len(part) == 0 {
			t.Fatal(len(part), err)
		}
	}
	slices.Sort(names)
	if len(slices.Compact(names)) != 1502 {
		t.Errorf("Readdirnames: %d names", len(names))
	}
	if _, err := dir.Seek(0, io.SeekStart); err != nil {
		t.Error(err)
	}
	if part, err := dir.Readdir(3); len(part) != 3 || err != nil {
		t.Errorf("Readdir after Seek: %d, %v", len(part), err)
	}
	if _, err := dir.Read(make([]byte, 1)); err == nil {
		t.Error("a directory can be read")
	}
	if err := dir.Close(); err != nil {
		t.Error(err)
	}
	wantErr(t, "Remove of a directory that is not empty", a.Remove("x"), vfs.ErrNotEmpty)
	if err := a.RemoveAll("x"); err != nil {
		t.Errorf("RemoveAll: %v", err)
	}
	if err := a.RemoveAll("x"); err != nil {
		t.Errorf("RemoveAll of nothing: %v", err)
	}
	if list(t, f, ".") != "" {
		t.Errorf("left: %q", list(t, f, "."))
	}
	if err := afero.WriteFile(a, "f", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := a.RemoveAll("/"); err != nil || list(t, f, ".") != "" {
		t.Errorf("RemoveAll of the root: %v; left: %q", err, list(t, f, "."))
	}
}

func TestAttributesAndLinks(t *testing.T) {
	a, f := toAfero(t)
	when := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	if err := afero.WriteFile(a, "f", []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := a.Chtimes("f", time.Now(), when); err != nil {
		t.Error(err)
	}
	if err := a.Chmod("f", 0o640); err != nil {
		t.Error(err)
	}
	wantErr(t, "Chown", a.Chown("f", 1, 1), errors.ErrUnsupported)
	if info, err := a.Stat("f"); err != nil || info.Mode() != 0o640 || !info.ModTime().Equal(when) {
		t.Errorf("Stat: %v %v, %v", info.Mode(), info.ModTime(), err)
	}
	if err := a.Rename("f", "g"); err != nil {
		t.Error(err)
	}
	if err := a.Mkdir("d", 0o755); err != nil {
		t.Fatal(err)
	}
	l := a.(afero.Symlinker)
	if err := l.SymlinkIfPossible("/g", "d/abs"); err != nil {
		t.Error(err)
	}
	if err := l.SymlinkIfPossible("../g", "d/rel"); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"d/abs", "d/rel"} {
		if got := get(t, f, name); got != "text" {
			t.Errorf("%s holds %q", name, got)
		}
		if to, err := l.ReadlinkIfPossible(name); to != "/g" || err != nil {
			t.Errorf("Readlink(%q) = %q, %v", name, to, err)
		}
		if info, ok, err := l.LstatIfPossible(name); !ok || err != nil || info.Mode()&fs.ModeSymlink == 0 {
			t.Errorf("Lstat(%q) = %v, %v, %v", name, info, ok, err)
		}
	}
	if _, err := l.ReadlinkIfPossible("g"); err == nil {
		t.Error("Readlink of a file succeeds")
	}
	_, _, err := l.LstatIfPossible("none")
	wantErr(t, "Lstat", err, fs.ErrNotExist)
	poor := aferofs.ToAfero(t.Context(), faultfs.Without(f, vfs.CanSymlink|vfs.CanSetMode|vfs.CanSetModTime|vfs.CanAppend|vfs.CanWriteAt))
	if _, ok, err := poor.(afero.Lstater).LstatIfPossible("g"); ok || err != nil {
		t.Errorf("Lstat without links: %v, %v", ok, err)
	}
	wantErr(t, "Chmod", poor.Chmod("g", 0o600), errors.ErrUnsupported)
	wantErr(t, "Chtimes", poor.Chtimes("g", when, when), errors.ErrUnsupported)
	wantErr(t, "Symlink", poor.(afero.Linker).SymlinkIfPossible("g", "l"), errors.ErrUnsupported)
	if err := afero.WriteFile(poor, "new", []byte("text"), 0o600); err != nil {
		t.Errorf("a new file without any ability: %v", err)
	}
	file, err := poor.OpenFile("new", os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = file.WriteString("more")
	wantErr(t, "Write", err, errors.ErrUnsupported)
	file.Close()
	if got := get(t, f, "new"); got != "text" {
		t.Errorf("it holds %q", got)
	}
}
