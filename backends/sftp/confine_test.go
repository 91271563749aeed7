//go:build unix

package sftp

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ftpgate/ftpgate/vfs"
)

// wants checks an error of an FS: its kind, that it is of name, and that it does not
// show where on the server that is.
func wants(t testing.TB, what string, err error, name string, kinds ...error) {
	t.Helper()
	pe, ok := err.(*fs.PathError)
	if !ok || pe.Path != name || strings.Contains(err.Error(), os.TempDir()) {
		t.Errorf("%s(%q): %#v is no error of that name", what, name, err)
	}
	if !slices.ContainsFunc(kinds, func(k error) bool { return errors.Is(err, k) }) {
		t.Errorf("%s(%q): %v; want one of %v", what, name, err, kinds)
	}
}

// everyMethod calls each method that takes a name.
func everyMethod(t *testing.T, f *FS, name string) map[string]error {
	ctx := t.Context()
	_, stat := f.Stat(ctx, name)
	file, open := f.Open(ctx, name, 0, -1)
	if open == nil {
		file.Close()
	}
	_, staged := f.StatStaged(ctx, name, "ann")
	_, space := f.Space(ctx, name)
	_, sub := f.Sub(name)
	var list, stagedList error
	for _, err := range f.ReadDir(ctx, name, "") {
		list = err
	}
	for _, err := range f.Staged(ctx, name, "ann") {
		stagedList = err
	}
	return map[string]error{
		"Stat": stat, "Open": open, "ReadDir": list, "Staged": stagedList, "StatStaged": staged, "Space": space, "Sub": sub,
		"Create": write(t, f, name, []byte("x"), vfs.CreateOptions{}), "Append": write(t, f, name, []byte("x"), vfs.CreateOptions{Mode: vfs.Append, Owner: "ann"}),
		"SetMode": f.SetMode(ctx, name, 0o600), "SetModTime": f.SetModTime(ctx, name, time.Unix(1e9, 0)), "Discard": f.Discard(ctx, name, "ann"),
		"Mkdir": f.Mkdir(ctx, name), "Remove": f.Remove(ctx, name), "Rmdir": f.Rmdir(ctx, name),
		"Rename from": f.Rename(ctx, name, "y", vfs.RenameOptions{}), "Symlink": f.Symlink(ctx, "y", name), "Symlink to": f.Symlink(ctx, name, "y"),
	}
}

// The names of uploads in flight are refused by every method, however written.
func TestHiddenNames(t *testing.T) {
	f := open(t, newServer(t).options(t.TempDir()))
	for _, name := range []string{".ftpgate-", ".FTPGATE-n-x", ".ftp\u00adgate-x", "\u200b.ftpgate-x", ".ftpgate-x/x", "x/.ftpgate-x"} {
		for what, err := range everyMethod(t, f, name) {
			wants(t, what, err, name, fs.ErrInvalid)
		}
		wants(t, "Rename to", f.Rename(t.Context(), "y", name, vfs.RenameOptions{}), name, fs.ErrInvalid)
	}
	for _, name := range []string{".ftpgate", "ftpgate-", ".ftpgatex-", "x.ftpgate-"} {
		if err := write(t, f, name, nil, vfs.CreateOptions{}); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// No link leads out of the root, whatever is asked and however it is written; what is
// outside stays as it is.
func TestLinksOut(t *testing.T) {
	top := t.TempDir()
	root, outside := filepath.Join(top, "root"), filepath.Join(top, "outside")
	for _, dir := range []string{root, outside, filepath.Join(outside, "dir"), filepath.Join(root, "in")} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{filepath.Join(outside, "file"), filepath.Join(outside, "dir", "file"), filepath.Join(root, "in", "file")} {
		if err := os.WriteFile(path, []byte("kept"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f := open(t, newServer(t).options(root))
	files := map[string]string{
		"relative": "../outside/file",
		"absolute": filepath.Join(outside, "file"),
		"in/up":    "../../outside/file",
		"detour":   "in/../../outside/file",
		"chain":    "relative",
		"back":     "../root/in/file", // it leaves the root on its way
		"own":      filepath.Join(root, "in", "file"),
	}
	dirs := map[string]string{
		"dir":     "../outside/dir",
		"dot":     "..",
		"in/dots": "../..",
		"absdir":  outside,
		"rootdir": "/",
	}
	plant := func() {
		_ = os.Remove(filepath.Join(root, "y"))
		for _, links := range []map[string]string{files, dirs} {
			for name, text := range links {
				_ = os.Remove(filepath.Join(root, name))
				if err := os.Symlink(text, filepath.Join(root, name)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	names := slices.Collect(maps.Keys(files))
	for dir := range dirs {
		names = append(names, dir, dir+"/file", dir+"/dir/file", dir+"/new")
	}
	for _, name := range names {
		plant()
		for what, err := range everyMethod(t, f, name) {
			isLink := files[name] != "" || dirs[name] != ""
			switch what {
			case "Remove", "Rename from", "Mkdir", "Symlink", "Rmdir": // of the link itself
				if isLink {
					continue
				}
			case "Symlink to": // which may be made, and then not be followed
				continue
			}
			wants(t, what, err, name, fs.ErrPermission, fs.ErrNotExist)
		}
	}
	for _, path := range []string{filepath.Join(outside, "file"), filepath.Join(outside, "dir", "file"), filepath.Join(root, "in", "file")} {
		holds(t, path, []byte("kept"))
	}
	if got := onDisk(t, outside); !slices.Equal(got, []string{"dir", "file"}) {
		t.Errorf("outside is %q", got)
	}
	if got := onDisk(t, filepath.Join(outside, "dir")); !slices.Equal(got, []string{"file"}) {
		t.Errorf("outside/dir is %q", got)
	}
}

// A sub-tree is a chroot of its own, also against links inside the root, and also if
// what it was made of is replaced by a link.
func TestSub(t *testing.T) {
	root := t.TempDir()
	f := open(t, newServer(t).options(root))
	ctx := t.Context()
	for _, dir := range []string{"a", "a/b", "a/b/c", "other"} {
		if err := f.Mkdir(ctx, dir); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"a/b/c/file", "other/file", "file"} {
		if err := write(t, f, name, []byte(name), vfs.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{"a/b/out": "other/file", "a/b/c/up": "a/b/c/file", "a/b/c/top": "a/b", "to-b": "a/b"} {
		if err := f.Symlink(ctx, target, name); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"a/b", "to-b"} {
		sub, err := vfs.Sub(f, dir)
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]error{
			"c/file": nil, "c/up": nil, "c/top/c/up": nil, "out": fs.ErrPermission, "none": fs.ErrNotExist,
		} {
			r, err := sub.Open(ctx, name, 0, -1)
			if err == nil {
				data, rerr := io.ReadAll(r)
				r.Close()
				if string(data) != "a/b/c/file" || rerr != nil {
					t.Errorf("%q in the sub-tree: %q, %v", name, data, rerr)
				}
			}
			if want != nil {
				wants(t, "Open", err, name, want)
			} else if err != nil {
				t.Error(err)
			}
		}
		targets := map[string]string{}
		for _, d := range []string{".", "c"} {
			for info, err := range sub.ReadDir(ctx, d, "") {
				if err != nil {
					t.Fatal(err)
				}
				if info.Mode().Type() == fs.ModeSymlink {
					targets[info.Name()] = vfs.AttrOf(info).Target
				}
			}
		}
		if len(targets) != 3 || targets["out"] != "" || targets["up"] != "c/file" || targets["top"] != "." {
			t.Errorf("links in the sub-tree lead to %q", targets)
		}
		if err := vfs.Symlink(ctx, sub, "c/file", "mine"); err != nil {
			t.Error(err)
		}
		if text, err := os.Readlink(filepath.Join(root, "a/b/mine")); text != "c/file" || err != nil {
			t.Errorf("the link says %q, %v", text, err)
		}
		deeper, err := vfs.Sub(sub, "c")
		if err != nil {
			t.Fatal(err)
		}
		_, err = deeper.Stat(ctx, "top")
		wants(t, "Stat", err, "top", fs.ErrPermission)
		if err := sub.Remove(ctx, "mine"); err != nil {
			t.Error(err)
		}
	}
	sub, err := vfs.Sub(f, "a/b")
	if err != nil {
		t.Fatal(err)
	}
	for _, swapped := range []string{"a/b", "a"} {
		old := filepath.Join(root, swapped)
		if err := os.Rename(old, old+".old"); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Base(old)+".old", old); err != nil {
			t.Fatal(err)
		}
		_, err := sub.Stat(ctx, "c/file")
		wants(t, "Stat", err, "c/file", fs.ErrPermission)
		wants(t, "Create", write(t, sub, "new", nil, vfs.CreateOptions{}), "new", fs.ErrPermission)
		if err := os.Remove(old); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(old+".old", old); err != nil {
			t.Fatal(err)
		}
	}
	for name, kind := range map[string]error{"none": fs.ErrNotExist, "file": vfs.ErrNotDir, "a/b/out": vfs.ErrNotDir, "..": fs.ErrInvalid} {
		_, err := vfs.Sub(f, name)
		wants(t, "Sub", err, name, kind)
	}
}

// What is no file is neither read nor replaced.
func TestSpecialFiles(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := open(t, newServer(t).options(dir))
	_, err := f.Open(t.Context(), "fifo", 0, -1)
	wants(t, "Open", err, "fifo", fs.ErrPermission)
	wants(t, "Create", write(t, f, "fifo", nil, vfs.CreateOptions{}), "fifo", fs.ErrPermission)
	info, err := f.Stat(t.Context(), "fifo")
	if err != nil || info.Mode().Type() != fs.ModeNamedPipe {
		t.Errorf("Stat of a FIFO: %v, %v", info, err)
	}
	if err := f.Rename(t.Context(), "fifo", "moved", vfs.RenameOptions{}); err != nil {
		t.Error(err)
	}
}

// Replaced files keep their permission bits, and hidden ones are not more open while
// they are written.
func TestModes(t *testing.T) {
	dir := t.TempDir()
	f := open(t, newServer(t).options(dir))
	for _, mode := range []fs.FileMode{0o600, 0o640, 0o444} {
		path := filepath.Join(dir, "f")
		_ = os.Remove(path)
		if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		w, err := f.Create(t.Context(), "f", vfs.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Abort()
		for _, name := range onDisk(t, dir) {
			if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm()&^mode&^0o600 != 0 {
				t.Errorf("%q has the mode %v while a file of mode %v is replaced", name, info.Mode(), mode)
			}
		}
		if _, err := w.Write([]byte("new")); err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != mode || info.Size() != 3 {
			t.Errorf("a replaced file of mode %v: %v, %v", mode, info, err)
		}
	}
	for _, when := range []time.Time{time.Unix(-1, 0), time.Unix(1<<32, 0)} {
		wants(t, "SetModTime", f.SetModTime(t.Context(), "f", when), "f", fs.ErrInvalid)
	}
}
