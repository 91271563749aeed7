package aferofs_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/ftpgate/ftpgate/backends/memory"
	"github.com/ftpgate/ftpgate/vfs"
	"github.com/ftpgate/ftpgate/vfs/aferofs"
	"github.com/ftpgate/ftpgate/vfs/vfstest"
	"github.com/spf13/afero"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// backing are the afero file systems that are tried.
var backing = map[string]func(t *testing.T) afero.Fs{
	"OsFs":     func(t *testing.T) afero.Fs { return afero.NewBasePathFs(afero.NewOsFs(), t.TempDir()) },
	"MemMapFs": func(t *testing.T) afero.Fs { return afero.NewMemMapFs() },
	"MemMapFs below": func(t *testing.T) afero.Fs {
		mem := afero.NewMemMapFs()
		if err := mem.MkdirAll("/some/dir", 0o755); err != nil {
			t.Fatal(err)
		}
		return afero.NewBasePathFs(mem, "/some/dir")
	},
	"ToAfero": func(t *testing.T) afero.Fs {
		return aferofs.ToAfero(context.Background(), memory.New(memory.Options{}))
	},
}

func TestContract(t *testing.T) {
	for name, make := range backing {
		t.Run(name, func(t *testing.T) {
			h := vfstest.Harness{New: func(t *testing.T) vfs.FS { return aferofs.New(make(t)) }, Large: 1<<20 + 7, ModelSteps: 200}
			switch name {
			case "OsFs": // which flushes each file
				h.MaxEntries = 1001
			case "MemMapFs below":
				h.MaxEntries, h.Large = 100, 100_000
			}
			vfstest.Run(t, h)
			if name == "OsFs" || name == "MemMapFs" {
				t.Run("mounted", func(t *testing.T) { vfstest.Run(t, h.Mounted()) })
			}
		})
	}
}

func TestReadOnlyContract(t *testing.T) {
	for name, a := range map[string]afero.Fs{
		"ReadOnlyFs": afero.NewReadOnlyFs(afero.NewMemMapFs()),
		"FromIOFS":   afero.FromIOFS{FS: fstest.MapFS{}},
	} {
		t.Run(name, func(t *testing.T) {
			vfstest.Run(t, vfstest.Harness{New: func(t *testing.T) vfs.FS { return aferofs.New(a) }})
		})
	}
}

func TestFromIOFS(t *testing.T) {
	f := aferofs.New(afero.FromIOFS{FS: fstest.MapFS{"d/f": {Data: []byte("text")}}})
	if got := get(t, f, "d/f"); got != "text" {
		t.Errorf("d/f holds %q", got)
	}
	if names := list(t, f, "."); names != "d" {
		t.Errorf("the root lists %q", names)
	}
}

func get(t *testing.T, f vfs.FS, name string) string {
	t.Helper()
	file, err := f.Open(t.Context(), name, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	data, err := io.ReadAll(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func list(t *testing.T, f vfs.FS, dir string) string {
	t.Helper()
	var names []string
	for info, err := range f.ReadDir(t.Context(), dir, "") {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, info.Name())
	}
	return strings.Join(names, " ")
}

func create(t *testing.T, f vfs.FS, name string, opt vfs.CreateOptions) vfs.Writer {
	t.Helper()
	w, err := f.Create(t.Context(), name, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Abort() })
	if _, err := w.Write([]byte("new")); err != nil {
		t.Fatal(err)
	}
	return w
}

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v; want %v", what, err, want)
	}
}

// Links are shown, can be removed, and lead nowhere.
func TestLinks(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("s"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"out": outside, "file": filepath.Join(outside, "secret")} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	f, ctx := aferofs.New(afero.NewBasePathFs(afero.NewOsFs(), dir)), t.Context()
	for _, name := range []string{"out", "file", "out/secret"} {
		_, err := f.Stat(ctx, name)
		wantErr(t, "Stat of "+name, err, fs.ErrPermission)
		_, err = f.Open(ctx, name, 0, -1)
		wantErr(t, "Open of "+name, err, fs.ErrPermission)
		_, err = f.Create(ctx, name, vfs.CreateOptions{})
		wantErr(t, "Create of "+name, err, fs.ErrPermission)
	}
	_, err := f.Create(ctx, "out/new", vfs.CreateOptions{})
	wantErr(t, "Create beyond the link", err, fs.ErrPermission)
	wantErr(t, "Mkdir beyond the link", f.Mkdir(ctx, "out/new"), fs.ErrPermission)
	wantErr(t, "Remove beyond the link", f.Remove(ctx, "out/secret"), fs.ErrPermission)
	wantErr(t, "Rename beyond the link", f.Rename(ctx, "out/secret", "x", vfs.RenameOptions{}), fs.ErrPermission)
	for _, err := range f.ReadDir(ctx, "out", "") {
		wantErr(t, "ReadDir of the link", err, fs.ErrPermission)
	}
	for info, err := range f.ReadDir(ctx, ".", "") {
		if err != nil || info.Mode()&fs.ModeSymlink == 0 {
			t.Errorf("listed: %v, %v", info, err)
		}
	}
	for _, name := range []string{"out", "file"} {
		if err := f.Remove(ctx, name); err != nil {
			t.Error(err)
		}
	}
	if data, err := os.ReadFile(filepath.Join(outside, "secret")); err != nil || string(data) != "s" {
		t.Errorf("what the link led to: %q, %v", data, err)
	}
}

// Temporary names are hidden, refused, moved with their directory and removed with
// it.
func TestTemporaryNames(t *testing.T) {
	mem := afero.NewMemMapFs()
	f, ctx := aferofs.New(mem), t.Context()
	temps := func(dir string) (names []string) {
		t.Helper()
		infos, err := afero.ReadDir(mem, dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, info := range infos {
			names = append(names, info.Name())
		}
		return names
	}
	if err := f.Mkdir(ctx, "d"); err != nil {
		t.Fatal(err)
	}
	w := create(t, f, "d/f", vfs.CreateOptions{})
	names := temps("/d")
	if len(names) != 1 || list(t, f, "d") != "" {
		t.Fatalf("in afero: %q, listed: %q", names, list(t, f, "d"))
	}
	_, err := f.Stat(ctx, "d/"+names[0])
	wantErr(t, "Stat of the temporary name", err, fs.ErrPermission)
	wantErr(t, "Remove of the temporary name", f.Remove(ctx, "d/"+names[0]), fs.ErrPermission)
	wantErr(t, "Rename to a temporary name", f.Rename(ctx, "d", ".ftpgate-x.part", vfs.RenameOptions{}), fs.ErrPermission)

	if err := f.Rename(ctx, "d", "moved", vfs.RenameOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	if got := get(t, f, "moved/f"); got != "new" || len(temps("/moved")) != 1 {
		t.Errorf("moved/f holds %q; in afero: %q", got, temps("/moved"))
	}
	if err := f.Remove(ctx, "moved/f"); err != nil {
		t.Fatal(err)
	}
	w = create(t, f, "moved/g", vfs.CreateOptions{})
	if err := afero.WriteFile(mem, "/moved/.ftpgate-OFADEADPROCESS.part", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.Rmdir(ctx, "moved"); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "Commit", w.Commit(), fs.ErrNotExist)
	if names := temps("/"); len(names) != 0 {
		t.Errorf("left in afero: %q", names)
	}
}

// A replaced file keeps its mode.
func TestReplacingKeepsTheMode(t *testing.T) {
	f, ctx := aferofs.New(backing["OsFs"](t)), t.Context()
	if err := create(t, f, "f", vfs.CreateOptions{}).Commit(); err != nil {
		t.Fatal(err)
	}
	if err := vfs.SetMode(ctx, f, "f", 0o600); err != nil {
		t.Fatal(err)
	}
	if err := create(t, f, "f", vfs.CreateOptions{}).Commit(); err != nil {
		t.Fatal(err)
	}
	if info, err := f.Stat(ctx, "f"); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// stubbornFs does not rename onto a file, as some remote stores. Once it is broken
// it publishes nothing, and only lets an old file come back.
type stubbornFs struct {
	afero.Fs
	broken  bool
	renamed []string
}

func (s *stubbornFs) Rename(oldname, newname string) error {
	_, err := s.Stat(newname)
	if err == nil || s.broken && newname == "/f" && (len(s.renamed) == 0 || s.renamed[len(s.renamed)-1] != oldname) {
		return errors.New("failure")
	}
	s.renamed = append(s.renamed, newname)
	return s.Fs.Rename(oldname, newname)
}

func TestRenameThatDoesNotReplace(t *testing.T) {
	t.Run("contract", func(t *testing.T) {
		vfstest.Run(t, vfstest.Harness{MaxEntries: 10, Large: 100_000, ModelSteps: 200, New: func(t *testing.T) vfs.FS {
			return aferofs.New(&stubbornFs{Fs: afero.NewMemMapFs()})
		}})
	})
	s := &stubbornFs{Fs: afero.NewMemMapFs()}
	f := aferofs.New(s)
	if err := afero.WriteFile(s, "/f", []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.broken = true
	if err := create(t, f, "f", vfs.CreateOptions{}).Commit(); err == nil {
		t.Error("Commit succeeds")
	}
	if got := get(t, f, "f"); got != "old" {
		t.Errorf("after a failed Commit the file holds %q", got)
	}
	if infos, err := afero.ReadDir(s, "/"); err != nil || len(infos) != 1 {
		t.Errorf("left: %v, %v", infos, err)
	}
}

// full is a disk without room.
type full struct{ afero.Fs }

type fullFile struct{ afero.File }

func (f full) OpenFile(name string, flag int, perm os.FileMode) (afero.File, error) {
	file, err := f.Fs.OpenFile(name, flag, perm)
	return fullFile{file}, err
}

func (fullFile) Write(p []byte) (int, error) {
	return len(p) / 2, &fs.PathError{Op: "write", Path: "/srv/secret/place", Err: syscall.ENOSPC}
}

func TestFullDisk(t *testing.T) {
	mem := afero.NewMemMapFs()
	f := aferofs.New(full{mem})
	w, err := f.Create(t.Context(), "f", vfs.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	n, err := w.ReadFrom(strings.NewReader("12345678"))
	var pe *fs.PathError
	if n != 4 || !errors.Is(err, vfs.ErrNoSpace) || !errors.As(err, &pe) || pe.Path != "f" {
		t.Errorf("ReadFrom = %d, %v", n, err)
	}
	wantErr(t, "Commit", w.Commit(), vfs.ErrNoSpace)
	if infos, err := afero.ReadDir(mem, "/"); err != nil || len(infos) != 0 {
		t.Errorf("left: %v, %v", infos, err)
	}
}
