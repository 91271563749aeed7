//go:build linux

package local_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ftpgate/ftpgate/backends/local"
	"github.com/ftpgate/ftpgate/vfs"
)

// outside makes a directory beside the root that nobody may get at.
func outside(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// untouched checks that nothing happened to the directory of outside.
func untouched(t *testing.T, dir string) {
	t.Helper()
	holds(t, filepath.Join(dir, "secret"), []byte("secret"))
	info, err := os.Stat(filepath.Join(dir, "secret"))
	if got := onDisk(t, dir); !slices.Equal(got, []string{"secret", "sub"}) || err != nil || info.Mode() != 0o600 {
		t.Errorf("outside there are now %q, mode %v, %v", got, info.Mode(), err)
	}
	if got := onDisk(t, filepath.Join(dir, "sub")); len(got) > 0 {
		t.Errorf("outside, in sub, there are now %q", got)
	}
}

// attack does everything that a session may ask for to name and names below it,
// and returns what succeeded.
func attack(t *testing.T, fsys *local.FS, name string) []string {
	t.Helper()
	ctx := t.Context()
	var done []string
	try := func(what string, err error) {
		if err == nil {
			done = append(done, what)
		} else if strings.Contains(err.Error(), os.TempDir()) {
			t.Errorf("%s(%q) shows a path of the disk: %v", what, name, err)
		}
	}
	for _, n := range []string{name, name + "/secret", name + "/sub", name + "/new", name + "/sub/new"} {
		_, err := fsys.Stat(ctx, n)
		try("Stat "+n, err)
		data, err := read(t, fsys, n)
		try("Open "+n, err)
		if bytes.Contains(data, []byte("secret")) {
			t.Errorf("%q reads the secret", n)
		}
		for _, mode := range []vfs.Mode{vfs.Replace, vfs.Append, vfs.WriteAt} {
			try(fmt.Sprintf("Create(%d) %s", mode, n), write(t, fsys, n, []byte("x"), vfs.CreateOptions{Mode: mode, Owner: "eve"}))
		}
		var lerr error
		for info, err := range fsys.ReadDir(ctx, n, "") {
			if lerr = err; err == nil && (info.Name() == "secret" || info.Name() == "sub") {
				t.Errorf("ReadDir(%q) lists %q", n, info.Name())
			}
		}
		try("ReadDir "+n, lerr)
		_, err = fsys.StatStaged(ctx, n, "eve")
		try("StatStaged "+n, err)
		_, err = fsys.Space(ctx, n)
		try("Space "+n, err)
		sub, err := fsys.Sub(n)
		if err == nil {
			sub.(*local.FS).Close()
		}
		try("Sub "+n, err)
		try("SetMode "+n, fsys.SetMode(ctx, n, 0o777))
		try("SetModTime "+n, fsys.SetModTime(ctx, n, time.Unix(1e9, 0)))
		try("Copy from "+n, fsys.Copy(ctx, n, "copied", vfs.CopyOptions{}))
		try("Copy to "+n, fsys.Copy(ctx, "inside", n, vfs.CopyOptions{}))
	}
	for _, n := range []string{name + "/secret", name + "/new", name + "/sub"} {
		try("Mkdir "+n, fsys.Mkdir(ctx, n))
		try("Symlink "+n, fsys.Symlink(ctx, "inside", n))
		try("Rename from "+n, fsys.Rename(ctx, n, "stolen", vfs.RenameOptions{}))
		try("Rename to "+n, fsys.Rename(ctx, "inside", n, vfs.RenameOptions{}))
		try("Remove "+n, fsys.Remove(ctx, n))
		try("Rmdir "+n, fsys.Rmdir(ctx, n))
	}
	return done
}

func TestLinksOutOfTheRoot(t *testing.T) {
	out := outside(t)
	for _, direct := range []bool{false, true} {
		fsys, dir := serve(t, local.Options{Direct: direct})
		rel, err := filepath.Rel(dir, out)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(dir, "a/b"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "inside"), []byte("inside"), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, link := range [][2]string{
			{"absolute", out}, {"relative", rel}, {"a/b/up", "../../" + rel}, {"via", "absolute"}, {"chain", "via"},
			{"dots", "a/b/../../" + rel}, {"slash", out + "/"}, {"parent", ".."}, {"a/far", "../.."}, {"proc", "/proc/self/root" + out},
			{"secret", out + "/secret"}, {"a/b/via", "../../relative"}, {"new", out + "/new"}, {"root", "/"},
		} {
			name, text := link[0], link[1]
			if err := os.Symlink(text, filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
			if done := attack(t, fsys, name); len(done) > 0 {
				t.Errorf("direct %v: link %q -> %q lets through: %q", direct, name, text, done)
			}
			_, err := fsys.Stat(t.Context(), name)
			wants(t, "Stat", err, name, fs.ErrPermission)
			wants(t, "Create", write(t, fsys, name, nil, vfs.CreateOptions{}), name, fs.ErrPermission)
			base := filepath.Base(name)
			for info, err := range fsys.ReadDir(t.Context(), filepath.Dir(name), base) {
				if err != nil || info.Name() == base && (info.Mode().Type() != fs.ModeSymlink || leavesRoot(text) && vfs.AttrOf(info).Target != "") {
					t.Errorf("link %q is listed as %v to %q, %v", name, info.Mode(), vfs.AttrOf(info).Target, err)
				}
			}
			// The link itself may be moved and removed.
			if err := fsys.Rename(t.Context(), name, "moved", vfs.RenameOptions{}); err != nil {
				t.Error(err)
			}
			if err := fsys.Rename(t.Context(), "moved", name, vfs.RenameOptions{}); err != nil {
				t.Error(err)
			}
		}
		holds(t, filepath.Join(dir, "inside"), []byte("inside"))
		untouched(t, out)
	}
}

// leavesRoot tells it for the links of the test above that do so by themselves.
func leavesRoot(text string) bool { return strings.HasPrefix(text, "/") }

// verbs are all that can be asked of an FS with a name, by its method. Each returns
// what it read.
func verbs(t *testing.T, fsys *local.FS) map[string]func(name string) []byte {
	ctx := t.Context()
	quiet := func(do func(name string) error) func(string) []byte {
		return func(name string) []byte {
			if err := do(name); err != nil && strings.Contains(err.Error(), os.TempDir()) {
				t.Errorf("%q shows a path of the disk: %v", name, err)
			}
			return nil
		}
	}
	names := func(list func(name string) iter.Seq2[fs.FileInfo, error]) func(string) []byte {
		return func(name string) (all []byte) {
			for info := range list(name) {
				if info != nil {
					all = append(append(all, info.Name()...), '\n')
				}
			}
			return all
		}
	}
	return map[string]func(string) []byte{
		"Stat": func(name string) []byte {
			info, err := fsys.Stat(ctx, name)
			if err != nil {
				return nil
			}
			return fmt.Append(nil, info.Size())
		},
		"Open": func(name string) []byte {
			data, _ := read(t, fsys, name)
			return data
		},
		"ReadDir": names(func(name string) iter.Seq2[fs.FileInfo, error] { return fsys.ReadDir(ctx, name, "") }),
		"Staged":  names(func(name string) iter.Seq2[fs.FileInfo, error] { return fsys.Staged(ctx, name, "eve") }),
		"Sub": func(name string) []byte {
			sub, err := fsys.Sub(name)
			if err != nil {
				return nil
			}
			defer sub.(*local.FS).Close()
			data, _ := read(t, sub, "secret")
			_ = write(t, sub, "new", []byte("x"), vfs.CreateOptions{})
			_ = sub.Remove(ctx, "only here")
			return data
		},
		"Create": quiet(func(name string) error {
			for _, mode := range []vfs.Mode{vfs.Replace, vfs.Append, vfs.WriteAt} {
				_ = write(t, fsys, name, []byte("ours"), vfs.CreateOptions{Mode: mode, Owner: "eve"})
			}
			w, err := fsys.Create(ctx, name, vfs.CreateOptions{Owner: "eve"})
			if err != nil {
				return err
			}
			_, _ = w.Write([]byte("half"))
			return w.Park()
		}),
		"Mkdir":  quiet(func(name string) error { return fsys.Mkdir(ctx, name) }),
		"Remove": quiet(func(name string) error { return fsys.Remove(ctx, name) }),
		"Rmdir":  quiet(func(name string) error { return fsys.Rmdir(ctx, name) }),
		"Rename": quiet(func(name string) error {
			_ = fsys.Rename(ctx, name, "stolen", vfs.RenameOptions{})
			return fsys.Rename(ctx, "stolen", name, vfs.RenameOptions{})
		}),
		"Copy": func(name string) []byte {
			_ = fsys.Copy(ctx, "inside", name, vfs.CopyOptions{})
			_ = fsys.Copy(ctx, name, "copied", vfs.CopyOptions{})
			data, _ := read(t, fsys, "copied")
			return data
		},
		"SetModTime": quiet(func(name string) error { return fsys.SetModTime(ctx, name, time.Unix(2e9, 0)) }),
		"SetMode":    quiet(func(name string) error { return fsys.SetMode(ctx, name, 0o777) }),
		"Symlink":    quiet(func(name string) error { return fsys.Symlink(ctx, "inside", name) }),
		"StatStaged": quiet(func(name string) error { _, err := fsys.StatStaged(ctx, name, "eve"); return err }),
		"Discard":    quiet(func(name string) error { return fsys.Discard(ctx, name, "eve") }),
		"Space":      quiet(func(name string) error { _, err := fsys.Space(ctx, name); return err }),
		"Sweep":      quiet(func(string) error { _, err := fsys.Sweep(ctx); return err }),
	}
}

// While a session works, somebody with access to the disk swaps directories and files
// for links out of the root, again and again: nothing outside is read, listed or
// changed, whatever the session asks for.
func TestSwaps(t *testing.T) {
	out := outside(t)
	if err := os.WriteFile(filepath.Join(out, "only here"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	long := time.Unix(1e9, 0)
	unchanged := func() {
		t.Helper()
		for _, name := range []string{"", "secret", "sub", "only here"} {
			info, err := os.Lstat(filepath.Join(out, name))
			if err != nil || !info.ModTime().Equal(long) || info.Mode().IsRegular() && info.Mode() != 0o600 {
				t.Errorf("outside, %q is now of mode %v, changed at %v, %v", name, info.Mode(), info.ModTime(), err)
			}
		}
		holds(t, filepath.Join(out, "secret"), []byte("secret"))
	}
	for _, name := range []string{"secret", "sub", "only here", ""} {
		if err := os.Chtimes(filepath.Join(out, name), long, long); err != nil {
			t.Fatal(err)
		}
	}
	for _, direct := range []bool{false, true} {
		fsys, dir := serve(t, local.Options{NoSync: true, Direct: direct})
		all := verbs(t, fsys)
		for m := range reflect.TypeFor[*local.FS]().Methods() {
			if m.Name != "Caps" && m.Name != "Close" && all[m.Name] == nil {
				t.Errorf("the verb %s is not tried", m.Name)
			}
		}
		lay := func() { // what the verbs removed
			for _, d := range []string{"d/sub", "link/sub"} {
				_ = fsys.Mkdir(t.Context(), d)
			}
			for _, name := range []string{"inside", "file", "d/secret", "d/sub/secret"} {
				_ = write(t, fsys, name, []byte("ours"), vfs.CreateOptions{})
			}
		}
		if err := os.Mkdir(dir+"/d", 0o755); err != nil {
			t.Fatal(err)
		}
		lay()
		for name, to := range map[string]string{"link": out, "filelink": out + "/secret"} {
			if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		var stop atomic.Bool
		var swapper sync.WaitGroup
		var swaps [2]atomic.Int64
		swap := func(a, b string) error {
			return unix.Renameat2(unix.AT_FDCWD, filepath.Join(dir, a), unix.AT_FDCWD, filepath.Join(dir, b), unix.RENAME_EXCHANGE)
		}
		swapper.Go(func() {
			for !stop.Load() {
				for i, pair := range [][2]string{{"d", "link"}, {"file", "filelink"}} {
					if swap(pair[0], pair[1]) == nil { // else a verb has it just now
						swaps[i].Add(1)
					}
				}
			}
		})
		for range 15 {
			for verb, do := range all {
				for _, name := range []string{"d/secret", "link/secret", "d/sub", "link/sub", "d/sub/secret", "d/new", "link/new", "d/sub/new", "file", "filelink"} {
					if got := do(name); bytes.Contains(got, []byte("secret\n")) && bytes.Contains(got, []byte("only here")) ||
						bytes.Equal(got, []byte("secret")) || bytes.Equal(got, []byte("6")) {
						t.Fatalf("%s of %q gets outside: %q", verb, name, got)
					}
				}
			}
			for _, verb := range []string{"ReadDir", "Staged", "Sub", "Space", "SetMode", "SetModTime", "Stat"} {
				for _, name := range []string{"d", "link"} {
					if got := all[verb](name); bytes.Contains(got, []byte("only here")) || bytes.Equal(got, []byte("secret")) {
						t.Fatalf("%s of %q gets outside: %q", verb, name, got)
					}
				}
			}
			lay()
		}
		stop.Store(true)
		swapper.Wait()
		if swaps[0].Load() == 0 || swaps[1].Load() == 0 {
			t.Errorf("swapped only %d directories and %d files", swaps[0].Load(), swaps[1].Load())
		}
		unchanged()
	}
}

// A parked upload's name may be taken, before, by somebody with access to the disk.
func TestPlantedStagingNames(t *testing.T) {
	out := outside(t)
	for what, plant := range map[string]func(path string) error{
		"link":      func(p string) error { return os.Symlink(out+"/secret", p) },
		"dangling":  func(p string) error { return os.Symlink(out+"/new", p) },
		"hard link": func(p string) error { return os.Link(out+"/secret", p) },
		"FIFO":      func(p string) error { return unix.Mkfifo(p, 0o666) },
		"directory": func(p string) error { return os.Mkdir(p, 0o755) },
	} {
		fsys, dir := serve(t, local.Options{})
		w := started(t, fsys, "f", []byte("x"), vfs.CreateOptions{Owner: "ann"})
		staged := filepath.Join(dir, onDisk(t, dir)[0])
		w.Abort()
		if err := plant(staged); err != nil {
			t.Fatal(err)
		}
		_, err := fsys.StatStaged(t.Context(), "f", "ann")
		wants(t, "StatStaged of a "+what, err, "f", fs.ErrNotExist)
		for _, mode := range []vfs.Mode{vfs.WriteAt, vfs.Append, vfs.Replace} {
			w, err := fsys.Create(t.Context(), "f", vfs.CreateOptions{Owner: "ann", Mode: mode})
			if err != nil {
				wants(t, what, err, "f", vfs.ErrBusy, fs.ErrPermission)
				continue
			}
			if _, err := w.Write([]byte("theirs")); err != nil {
				t.Error(err)
			}
			if err := w.Commit(); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			os.Remove(dir + "/f")
		}
		untouched(t, out)
	}
}

// Opening a FIFO would wait, and opening a device may do something.
func TestSpecialFiles(t *testing.T) {
	for _, direct := range []bool{false, true} {
		fsys, dir := serve(t, local.Options{Direct: direct})
		if err := unix.Mkfifo(dir+"/special", 0o666); err != nil {
			t.Fatal(err)
		}
		testSpecial(t, fsys, dir)
		l, err := net.Listen("unix", dir+"/special")
		if err != nil {
			t.Fatal(err)
		}
		testSpecial(t, fsys, dir)
		l.Close()
		os.Remove(dir + "/special")
		err = unix.Mknod(dir+"/special", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 7))) // full
		if err != nil {
			t.Logf("devices need root: %v", err)
			continue
		}
		testSpecial(t, fsys, dir)
	}
}

func testSpecial(t *testing.T, fsys *local.FS, dir string) {
	t.Helper()
	if err := os.Symlink("special", dir+"/link"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"special", "link"} {
		_, err := read(t, fsys, name)
		wants(t, "Open", err, name, fs.ErrPermission)
		for _, mode := range []vfs.Mode{vfs.Replace, vfs.Append, vfs.WriteAt} {
			wants(t, "Create", write(t, fsys, name, nil, vfs.CreateOptions{Mode: mode, Owner: "ann"}), name, fs.ErrPermission)
		}
		wants(t, "Copy", fsys.Copy(t.Context(), name, "copy", vfs.CopyOptions{}), name, fs.ErrPermission)
		if _, err := fsys.Stat(t.Context(), name); err != nil {
			t.Errorf("Stat(%q): %v", name, err)
		}
		_, err = fsys.Sub(name)
		wants(t, "Sub", err, name, vfs.ErrNotDir)
		var lerr error
		for _, lerr = range fsys.ReadDir(t.Context(), name, "") {
		}
		wants(t, "ReadDir", lerr, name, vfs.ErrNotDir)
	}
	wants(t, "Rename onto it", fsys.Rename(t.Context(), "file", "special", vfs.RenameOptions{}), "special", fs.ErrExist)
	if got := list(t, fsys, "."); !slices.Equal(got, []string{"file", "link", "special"}) {
		t.Errorf("listed: %q", got)
	}
	if _, err := fsys.Sweep(t.Context()); err != nil {
		t.Errorf("Sweep: %v", err)
	}
	for _, name := range []string{"link", "special"} {
		if err := fsys.Remove(t.Context(), name); err != nil {
			t.Errorf("Remove(%q): %v", name, err)
		}
	}
	os.Remove(dir + "/file")
}

// ".." after a link is the parent of where the link leads.
func TestLinksWithDots(t *testing.T) {
	fsys, dir := serve(t, local.Options{})
	for _, d := range []string{"a/b/c", "x"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(dir+"/a/b/f", []byte("right"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/x/f", []byte("wrong"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"x/c": "../a/b/c", "x/l": "c/../f", "l": "x/c/../f", "m": "./x//c/.././f", "a/b/c/n": "../f", "a/b/c/o": "../../../x/l",
	} {
		if err := os.Symlink(text, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"x/l", "l", "m", "x/c/n", "a/b/c/n", "x/c/o"} {
		if data, err := read(t, fsys, name); err != nil || string(data) != "right" {
			t.Errorf("%q reads %q, %v", name, data, err)
		}
	}
	for info := range fsys.ReadDir(t.Context(), "x/c", "") {
		if want := map[string]string{"n": "a/b/f", "o": "x/l"}[info.Name()]; vfs.AttrOf(info).Target != want {
			t.Errorf("%q leads to %q, want %q", info.Name(), vfs.AttrOf(info).Target, want)
		}
	}
	// An upload goes where the link leads, and the link stays.
	if err := write(t, fsys, "x/l", []byte("new"), vfs.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	holds(t, dir+"/a/b/f", []byte("new"))
	holds(t, dir+"/x/f", []byte("wrong"))
	if text, err := os.Readlink(dir + "/x/l"); err != nil || text != "c/../f" {
		t.Errorf("the link is now %q, %v", text, err)
	}
	// A link that is made through a link leads where it was told.
	if err := fsys.Symlink(t.Context(), "a/b/f", "x/c/made"); err != nil {
		t.Fatal(err)
	}
	if data, err := read(t, fsys, "a/b/c/made"); err != nil || string(data) != "new" {
		t.Errorf("reads %q, %v", data, err)
	}
	// What is staged for the link is staged for the file.
	if err := started(t, fsys, "l", []byte("half"), vfs.CreateOptions{Owner: "ann"}).Park(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"l", "x/l", "a/b/f"} {
		if info, err := fsys.StatStaged(t.Context(), name, "ann"); err != nil || info.Size() != 3 || info.Name() != filepath.Base(name) {
			t.Errorf("StatStaged(%q) = %v, %v", name, info, err)
		}
	}
}

func TestSub(t *testing.T) {
	out := outside(t)
	fsys, dir := serve(t, local.Options{})
	if err := os.MkdirAll(dir+"/home/ann", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/secret", []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"home/ann/up": "../../secret", "home/ann/out": out, "home/link": "ann"} {
		if err := os.Symlink(text, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"home/ann", "home/link"} {
		sub, err := vfs.Sub(fsys, name)
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range []string{"up", "out"} {
			_, err := sub.Stat(t.Context(), link)
			wants(t, "Stat", err, link, fs.ErrPermission)
			wants(t, "Create", write(t, sub, link, nil, vfs.CreateOptions{}), link, fs.ErrPermission)
		}
		if err := write(t, sub, "f", []byte("x"), vfs.CreateOptions{}); err != nil {
			t.Error(err)
		}
		holds(t, dir+"/home/ann/f", []byte("x"))
		// Both see the same uploads.
		w := started(t, sub, "f", []byte("y"), vfs.CreateOptions{Mode: vfs.Append})
		wants(t, "a second Append", write(t, fsys, "home/ann/f", nil, vfs.CreateOptions{Mode: vfs.Append}), "home/ann/f", vfs.ErrBusy)
		w.Abort()
		if err := sub.(*local.FS).Close(); err != nil {
			t.Error(err)
		}
	}
	_, err := fsys.Sub("none")
	wants(t, "Sub", err, "none", fs.ErrNotExist)
	_, err = fsys.Sub("secret")
	wants(t, "Sub", err, "secret", vfs.ErrNotDir)
}

// asNobody runs do without the rights of root.
func asNobody(t *testing.T, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with its rights
		if os.Getuid() == 0 {
			if err := errors.Join(unix.Setfsgid(65534), unix.Setfsuid(65534)); err != nil {
				t.Error(err)
			}
		}
		do()
	}()
	<-done
}

func TestPermissions(t *testing.T) {
	fsys, dir := serve(t, local.Options{})
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	for name, mode := range map[string]fs.FileMode{"readonly": 0o444, "unreadable": 0o222, "mine": 0o666} {
		if err := os.WriteFile(dir+"/"+name, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir+"/"+name, mode); err != nil {
			t.Fatal(err)
		}
	}
	for name, mode := range map[string]fs.FileMode{"closed": 0o555, "dropbox": 0o333} {
		if err := os.Mkdir(dir+"/"+name, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+"/"+name+"/f", []byte("old"), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir+"/"+name, mode); err != nil {
			t.Fatal(err)
		}
	}
	asNobody(t, func() {
		for _, mode := range []vfs.Mode{vfs.Replace, vfs.Append} {
			wants(t, "Create", write(t, fsys, "readonly", nil, vfs.CreateOptions{Mode: mode}), "readonly", fs.ErrPermission)
		}
		_, err := read(t, fsys, "unreadable")
		wants(t, "Open", err, "unreadable", fs.ErrPermission)
		wants(t, "Create", write(t, fsys, "closed/g", nil, vfs.CreateOptions{}), "closed/g", fs.ErrPermission)
		wants(t, "Mkdir", fsys.Mkdir(t.Context(), "closed/g"), "closed/g", fs.ErrPermission)
		wants(t, "Remove", fsys.Remove(t.Context(), "closed/f"), "closed/f", fs.ErrPermission)
		if err := write(t, fsys, "mine", []byte("new"), vfs.CreateOptions{}); err != nil {
			t.Errorf("a file that may be written: %v", err)
		}
		// A directory that may not be listed takes uploads all the same.
		if err := write(t, fsys, "dropbox/g", []byte("new"), vfs.CreateOptions{}); err != nil {
			t.Errorf("a directory that may only be written: %v", err)
		}
		var lerr error
		for _, lerr = range fsys.ReadDir(t.Context(), "dropbox", "") {
		}
		wants(t, "ReadDir", lerr, "dropbox", fs.ErrPermission)
		if _, err := fsys.Sweep(t.Context()); err != nil {
			t.Errorf("Sweep past a directory that may not be read: %v", err)
		}
	})
	holds(t, dir+"/readonly", []byte("old"))
	holds(t, dir+"/dropbox/g", []byte("new"))
	for _, name := range []string{"closed", "dropbox"} {
		if err := os.Chmod(dir+"/"+name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}
