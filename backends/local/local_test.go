package local_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ftpgate/ftpgate/backends/local"
	"github.com/ftpgate/ftpgate/vfs"
	"github.com/ftpgate/ftpgate/vfs/vfstest"
)

func TestContract(t *testing.T) {
	for _, c := range []struct {
		name string
		opt  local.Options
	}{
		{"default", local.Options{}},
		{"copy", local.Options{CopyLimit: -1, NoSync: true}},
		// Every Append of something to something takes the way of huge files.
		{"tail", local.Options{CopyLimit: 1, NoSync: true}},
		{"direct", local.Options{Direct: true, NoSync: true}},
	} {
		t.Run(c.name, func(t *testing.T) { vfstest.Run(t, harness(c.opt)) })
	}
	t.Run("mounted", func(t *testing.T) { vfstest.Run(t, harness(local.Options{NoSync: true}).Mounted()) })
}

// harness serves new directories with opt.
func harness(opt local.Options) vfstest.Harness {
	var mu sync.Mutex
	dirs := map[vfs.FS]string{}
	serve := func(t *testing.T, dir string) vfs.FS {
		opt := opt
		opt.Dir = dir
		fsys := open(t, opt)
		mu.Lock()
		defer mu.Unlock()
		dirs[fsys] = dir
		return fsys
	}
	return vfstest.Harness{
		New: func(t *testing.T) vfs.FS { return serve(t, t.TempDir()) },
		Reopen: func(t *testing.T, fsys vfs.FS) vfs.FS {
			mu.Lock()
			dir := dirs[fsys]
			mu.Unlock()
			return serve(t, dir)
		},
		InPlace:    opt.Direct,
		Sendfile:   true,
		MaxEntries: map[bool]int{true: 200}[opt.NoSync], // listings are the same
	}
}

func open(t testing.TB, opt local.Options) *local.FS {
	t.Helper()
	fsys, err := local.Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := fsys.Close(); err != nil {
			t.Error(err)
		}
	})
	return fsys
}

// serve serves a new directory and returns its path too.
func serve(t testing.TB, opt local.Options) (*local.FS, string) {
	t.Helper()
	opt.Dir = t.TempDir()
	return open(t, opt), opt.Dir
}

// write does a whole upload.
func write(t testing.TB, fsys vfs.FS, name string, data []byte, opt vfs.CreateOptions) error {
	t.Helper()
	w, err := fsys.Create(t.Context(), name, opt)
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := w.Write(data); err != nil {
		return err
	}
	return w.Commit()
}

// started is an upload of which data arrived.
func started(t testing.TB, fsys vfs.FS, name string, data []byte, opt vfs.CreateOptions) vfs.Writer {
	t.Helper()
	w, err := fsys.Create(t.Context(), name, opt)
	if err != nil {
		t.Fatalf("Create(%q): %v", name, err)
	}
	t.Cleanup(func() { w.Abort() })
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	return w
}

func read(t testing.TB, fsys vfs.FS, name string) ([]byte, error) {
	t.Helper()
	f, err := fsys.Open(t.Context(), name, 0, -1)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// onDisk lists a directory of the disk, hidden names too.
func onDisk(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func list(t testing.TB, fsys vfs.FS, dir string) []string {
	t.Helper()
	names := []string{}
	for info, err := range fsys.ReadDir(t.Context(), dir, "") {
		if err != nil {
			t.Fatalf("ReadDir(%q): %v", dir, err)
		}
		names = append(names, info.Name())
	}
	slices.Sort(names)
	return names
}

// wants checks an error of fsys: its kind, that it is of name, and that it does
// not show where on the disk that is.
func wants(t testing.TB, what string, err error, name string, kinds ...error) {
	t.Helper()
	pe, ok := err.(*fs.PathError)
	if !ok || pe.Path != name || strings.Contains(err.Error(), os.TempDir()) {
		t.Errorf("%s: %#v is no error of %q", what, err, name)
	}
	if !slices.ContainsFunc(kinds, func(k error) bool { return errors.Is(err, k) }) {
		t.Errorf("%s: %v; want one of %v", what, err, kinds)
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, says := range map[string]string{
		"":                        "no directory given",
		file:                      "is not a directory",
		filepath.Join(dir, "no"):  "does not exist: create it",
		filepath.Join(file, "no"): "can't be served",
	} {
		fsys, err := local.Open(local.Options{Dir: path})
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "\n") || fsys != nil {
			t.Errorf("Open(%q) = %v; want one line with %q", path, err, says)
		}
	}
}

// Open asks the disk what it can do, and leaves no trace of that.
func TestOpenLeavesNoTrace(t *testing.T) {
	dir := t.TempDir()
	before, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	open(t, local.Options{Dir: dir})
	after, err := os.Stat(dir)
	if err != nil || !after.ModTime().Equal(before.ModTime()) || len(onDisk(t, dir)) > 0 {
		t.Errorf("Open changed the directory: %v, %v, %v", before.ModTime(), after.ModTime(), onDisk(t, dir))
	}
}

// The names of uploads in flight are refused by every method, however written.
func TestHiddenNames(t *testing.T) {
	fsys, dir := serve(t, local.Options{})
	for _, name := range []string{".ftpgate-", ".ftpgate-x-1", ".FTPGATE-n-x", ".FtpGate-", ".ftp\u00adgate-x", "\u200b.ftpgate-x", ".ftpgate\ufe0f-x"} {
		for _, name := range []string{name, name + "/x", "x/" + name} {
			_, serr := fsys.Stat(t.Context(), name)
			f, oerr := fsys.Open(t.Context(), name, 0, -1)
			if oerr == nil {
				f.Close()
			}
			_, sterr := fsys.StatStaged(t.Context(), name, "ann")
			_, sperr := fsys.Space(t.Context(), name)
			_, suberr := fsys.Sub(name)
			var lerr error
			for _, err := range fsys.ReadDir(t.Context(), name, "") {
				lerr = err
			}
			for what, err := range map[string]error{
				"Stat": serr, "Open": oerr, "ReadDir": lerr, "Create": write(t, fsys, name, nil, vfs.CreateOptions{}),
				"Mkdir": fsys.Mkdir(t.Context(), name), "Remove": fsys.Remove(t.Context(), name), "Rmdir": fsys.Rmdir(t.Context(), name),
				"Rename from": fsys.Rename(t.Context(), name, "y", vfs.RenameOptions{}), "Copy from": fsys.Copy(t.Context(), name, "y", vfs.CopyOptions{}),
				"Symlink to": fsys.Symlink(t.Context(), name, "y"), "Symlink": fsys.Symlink(t.Context(), "y", name),
				"SetMode": fsys.SetMode(t.Context(), name, 0o600), "StatStaged": sterr, "Discard": fsys.Discard(t.Context(), name, "ann"),
				"Space": sperr, "Sub": suberr,
			} {
				wants(t, what, err, name, fs.ErrInvalid)
			}
			wants(t, "Rename to", fsys.Rename(t.Context(), "y", name, vfs.RenameOptions{}), name, fs.ErrInvalid)
			wants(t, "Copy to", fsys.Copy(t.Context(), "y", name, vfs.CopyOptions{}), name, fs.ErrInvalid)
		}
	}
	// Near misses are ordinary names.
	for _, name := range []string{".ftpgate", "ftpgate-", ".ftpgatex-", "x.ftpgate-", ".ftp-gate-"} {
		if err := write(t, fsys, name, nil, vfs.CreateOptions{}); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, ".Ftpgate-mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := list(t, fsys, "."); len(got) != 5 {
		t.Errorf("listed: %q", got)
	}
	if err := os.Symlink(".Ftpgate-mine", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	_, err := read(t, fsys, "link")
	wants(t, "Open of a link to a hidden file", err, "link", fs.ErrPermission)
}
