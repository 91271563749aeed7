//go:build linux

package local_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ftpgate/ftpgate/backends/local"
	"github.com/ftpgate/ftpgate/vfs"
)

func mode(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode()
}

// New files follow the umask or the options, and what replaces a file takes over
// its bits and its owner.
func TestFileModes(t *testing.T) {
	defer unix.Umask(unix.Umask(0o027))
	for _, direct := range []bool{false, true} {
		fsys, dir := serve(t, local.Options{Direct: direct})
		exact, exactDir := serve(t, local.Options{Direct: direct, FileMode: 0o406, DirMode: 0o1751})
		for _, c := range []struct {
			fsys      *local.FS
			dir       string
			file, sub fs.FileMode
		}{
			{fsys, dir, 0o640, 0o750}, {exact, exactDir, 0o406, 0o751},
		} {
			if err := write(t, c.fsys, "f", nil, vfs.CreateOptions{Owner: "ann"}); err != nil {
				t.Fatal(err)
			}
			if err := c.fsys.Copy(t.Context(), "f", "copy", vfs.CopyOptions{}); err != nil {
				t.Fatal(err)
			}
			if err := write(t, c.fsys, "new", nil, vfs.CreateOptions{Mode: vfs.Append}); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"f", "copy", "new"} {
				if got := mode(t, c.dir+"/"+name); got != c.file {
					t.Errorf("direct %v: %s has mode %v, want %v", direct, name, got, c.file)
				}
			}
			if err := c.fsys.Mkdir(t.Context(), "d"); err != nil {
				t.Fatal(err)
			}
			if got := mode(t, c.dir+"/d").Perm(); got != c.sub {
				t.Errorf("a new directory has mode %v, want %v", got, c.sub)
			}
			for _, perm := range []fs.FileMode{0o600, 0o664, 0o611, 0o777} {
				for i, opt := range []vfs.CreateOptions{{}, {Owner: "ann"}, {Mode: vfs.Append}, {Mode: vfs.WriteAt}} {
					if err := os.Chmod(c.dir+"/f", perm); err != nil {
						t.Fatal(err)
					}
					if os.Getuid() == 0 {
						if err := os.Chown(c.dir+"/f", 1234+i, 4321); err != nil {
							t.Fatal(err)
						}
					}
					w := started(t, c.fsys, "f", []byte("x"), opt)
					for _, name := range onDisk(t, c.dir) {
						if info, err := os.Lstat(c.dir + "/" + name); err == nil && strings.HasPrefix(name, ".ftpgate-") && info.Mode().Perm()&^perm&0o077 != 0 {
							t.Errorf("while the upload runs, others may read it: %v, the file is %v", info.Mode(), perm)
						}
					}
					if err := w.Commit(); err != nil {
						t.Fatal(err)
					}
					info, err := os.Stat(c.dir + "/f")
					if err != nil || info.Mode() != perm {
						t.Errorf("direct %v, %+v: a file of mode %v is replaced by one of %v", direct, opt, perm, info.Mode())
					}
					var st unix.Stat_t
					if err := unix.Stat(c.dir+"/f", &st); err != nil || os.Getuid() == 0 && (st.Uid != uint32(1234+i) || st.Gid != 4321) {
						t.Errorf("direct %v, %+v: the file now belongs to %d:%d, %v", direct, opt, st.Uid, st.Gid, err)
					}
				}
			}
		}
	}
}

// The umask of the options counts where they give no exact bits.
func TestUmask(t *testing.T) {
	defer unix.Umask(unix.Umask(0))
	for _, c := range []struct {
		opt       local.Options
		file, sub fs.FileMode
	}{
		{local.Options{Umask: 0o027}, 0o640, 0o750},
		{local.Options{Umask: 0o027, FileMode: 0o604}, 0o604, 0o750},
		{local.Options{Umask: 0o077, DirMode: 0o711}, 0o600, 0o711},
		{local.Options{}, 0o666, 0o777},
	} {
		fsys, dir := serve(t, c.opt)
		if err := write(t, fsys, "f", nil, vfs.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := fsys.Mkdir(t.Context(), "d"); err != nil {
			t.Fatal(err)
		}
		if got := mode(t, dir+"/f"); got != c.file {
			t.Errorf("%+v: a new file has mode %v, want %v", c.opt, got, c.file)
		}
		if got := mode(t, dir+"/d").Perm(); got != c.sub {
			t.Errorf("%+v: a new directory has mode %v, want %v", c.opt, got, c.sub)
		}
	}
}

// New files, directories and links belong to whom the options say, which needs root.
// What replaces a file leaves it whose it was.
func TestChown(t *testing.T) {
	for _, wrong := range []string{":", "no such user", "root:no such group", "1:2:3", "-1", "99999999999"} {
		fsys, err := local.Open(local.Options{Dir: t.TempDir(), Chown: wrong})
		if err == nil {
			fsys.Close()
			t.Errorf("chown %q is taken", wrong)
		} else if !strings.Contains(err.Error(), "write user, user:group or :group") {
			t.Errorf("chown %q: %v", wrong, err)
		}
	}
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	asNobody(t, func() {
		fsys, err := local.Open(local.Options{Dir: dir, Chown: "1234:4321"})
		if err == nil {
			fsys.Close()
			t.Error("who may not give files away may say chown")
		} else if !strings.Contains(err.Error(), "run as root or with CAP_CHOWN") {
			t.Error(err)
		}
	})
	if os.Getuid() != 0 {
		return // all that a user without rights can see
	}
	belongs := func(path string, uid, gid uint32) {
		t.Helper()
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil || st.Uid != uid || st.Gid != gid {
			t.Errorf("%s belongs to %d:%d, %v; want %d:%d", filepath.Base(path), st.Uid, st.Gid, err, uid, gid)
		}
	}
	for chown, want := range map[string][2]uint32{"1234:4321": {1234, 4321}, "1234": {1234, 0}, ":4321": {0, 4321}, "root:4321": {0, 4321}, "1234:root": {1234, 0}} {
		for _, direct := range []bool{false, true} {
			fsys, dir := serve(t, local.Options{Chown: chown, Direct: direct, FileMode: 0o640})
			for i, opt := range []vfs.CreateOptions{{}, {Owner: "ann"}, {Mode: vfs.Append}, {Mode: vfs.WriteAt}} {
				name := fmt.Sprintf("f%d", i)
				if err := write(t, fsys, name, []byte("x"), opt); err != nil {
					t.Fatal(err)
				}
				belongs(dir+"/"+name, want[0], want[1])
				if got := mode(t, dir+"/"+name); got != 0o640 {
					t.Errorf("%s has mode %v", name, got)
				}
			}
			if err := fsys.Copy(t.Context(), "f0", "copy", vfs.CopyOptions{}); err != nil {
				t.Fatal(err)
			}
			if err := fsys.Mkdir(t.Context(), "d"); err != nil {
				t.Fatal(err)
			}
			if err := fsys.Symlink(t.Context(), "d", "link"); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"copy", "d", "link"} {
				belongs(dir+"/"+name, want[0], want[1])
			}
			if err := os.Chown(dir+"/f0", 77, 88); err != nil {
				t.Fatal(err)
			}
			if err := write(t, fsys, "f0", []byte("y"), vfs.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			belongs(dir+"/f0", 77, 88)
		}
	}
}

// SetMode keeps what a directory does for the files in it, and never makes a file
// set-user-ID.
func TestSpecialBits(t *testing.T) {
	fsys, dir := serve(t, local.Options{})
	for _, name := range []string{"f", "d"} {
		if name == "d" {
			if err := os.Mkdir(dir+"/d", 0o755); err != nil {
				t.Fatal(err)
			}
		} else if err := write(t, fsys, "f", nil, vfs.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir+"/"+name, 0o700|fs.ModeSetgid|fs.ModeSetuid|fs.ModeSticky); err != nil {
			t.Fatal(err)
		}
		if err := fsys.SetMode(t.Context(), name, 0o755|fs.ModeSetuid); err != nil {
			t.Fatal(err)
		}
	}
	if got := mode(t, dir+"/d"); got != fs.ModeDir|fs.ModeSetgid|fs.ModeSticky|0o755 {
		t.Errorf("the directory is now %v", got)
	}
	if got := mode(t, dir+"/f"); got != 0o755 {
		t.Errorf("the file is now %v", got)
	}
}

// Parked uploads expire; listings and Sweep remove them, and nothing else.
func TestExpiry(t *testing.T) {
	fsys, dir := serve(t, local.Options{StagedExpiry: time.Hour})
	forEver := open(t, local.Options{Dir: dir, StagedExpiry: -1})
	if err := os.MkdirAll(dir+"/d/e", 0o755); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("n", 250)
	park := func(name string) {
		t.Helper()
		if err := started(t, fsys, name, []byte("x"), vfs.CreateOptions{Owner: "ann"}).Park(); err != nil {
			t.Fatal(err)
		}
	}
	names := []string{"f", "d/g", "d/e/h", "d/e/" + long}
	for _, name := range names {
		park(name)
	}
	for _, name := range []string{"d/visible", "d/.ftpgate-mine", "d/.ftpgate-x"} {
		if err := os.WriteFile(dir+"/"+name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	running := started(t, fsys, "d/running", []byte("x"), vfs.CreateOptions{Owner: "ann"})
	other := started(t, fsys, "d/other", []byte("x"), vfs.CreateOptions{})
	sweep := func(fsys *local.FS, want int) {
		t.Helper()
		if n, err := fsys.Sweep(t.Context()); n != want || err != nil {
			t.Errorf("Sweep = %d, %v; want %d", n, err, want)
		}
	}
	sweep(fsys, 0)
	old := time.Now().Add(-2 * time.Hour)
	for _, d := range []string{"", "/d", "/d/e"} {
		age(t, dir+d, old)
	}
	for _, name := range names { // not told any more, swept or not
		_, err := fsys.StatStaged(t.Context(), name, "ann")
		wants(t, "StatStaged of what is expired", err, name, fs.ErrNotExist)
		if _, err := forEver.StatStaged(t.Context(), name, "ann"); err != nil {
			t.Errorf("StatStaged(%q) without expiry: %v", name, err)
		}
		for info := range fsys.Staged(t.Context(), filepath.Dir(name), "ann") {
			t.Errorf("Staged tells %v, which is expired", info)
		}
	}
	sweep(forEver, 0)
	sweep(fsys, 4)
	sweep(fsys, 0)
	park("f")
	age(t, dir, old)
	list(t, fsys, ".")
	if got := onDisk(t, dir); !slices.Equal(got, []string{"d"}) {
		t.Errorf("after a listing there are %q", got)
	}
	for _, w := range []vfs.Writer{running, other} {
		if err := w.Commit(); err != nil {
			t.Errorf("a running upload was swept: %v", err)
		}
	}
	if got := onDisk(t, dir+"/d"); !slices.Equal(got, []string{".ftpgate-mine", ".ftpgate-x", "e", "other", "running", "visible"}) {
		t.Errorf("after the sweep there are %q", got)
	}
	// An expired upload does not come back by being continued.
	park("late")
	age(t, dir, old)
	w, err := fsys.Create(t.Context(), "late", vfs.CreateOptions{Mode: vfs.Append, Owner: "ann"})
	if err != nil || w.Offset() != 0 {
		t.Errorf("an expired upload goes on: %v", err)
	} else {
		w.Abort()
	}
}

// A second upload of the same owner and name runs beside the first, and parks
// when that is gone.
func TestTwoOfOneOwner(t *testing.T) {
	fsys, dir := serve(t, local.Options{})
	own := vfs.CreateOptions{Owner: "ann"}
	told := func(want int64) {
		t.Helper()
		info, err := fsys.StatStaged(t.Context(), "f", "ann")
		if want < 0 {
			wants(t, "StatStaged", err, "f", fs.ErrNotExist)
		} else if err != nil || info.Size() != want {
			t.Errorf("StatStaged = %v, %v; want %d", info, err, want)
		}
	}
	w1, w2 := started(t, fsys, "f", make([]byte, 100), own), started(t, fsys, "f", make([]byte, 200), own)
	told(-1)
	wants(t, "Park beside a running upload", w2.Park(), "f", vfs.ErrBusy)
	if err := w1.Park(); err != nil {
		t.Error(err)
	}
	told(99)
	// A running one is not dropped by the next, a parked one is.
	w1, w2 = started(t, fsys, "f", make([]byte, 300), own), started(t, fsys, "f", make([]byte, 400), own)
	if err := w1.Park(); err != nil {
		t.Error(err)
	}
	told(299)
	if err := w2.Park(); err != nil { // the last one stays
		t.Error(err)
	}
	told(399)
	w1 = started(t, fsys, "f", make([]byte, 500), own)
	told(-1)
	w2 = started(t, fsys, "f", make([]byte, 600), own)
	if err := w1.Park(); err != nil {
		t.Error(err)
	}
	told(499)
	if err := w2.Commit(); err != nil { // which makes the parked one out of date
		t.Error(err)
	}
	told(-1)
	if got := onDisk(t, dir); !slices.Equal(got, []string{"f"}) {
		t.Errorf("left over: %q", got)
	}
}

// Many sessions of one owner fight for one name: nothing is mixed, nothing left.
func TestOwnersRace(t *testing.T) {
	fsys, dir := serve(t, local.Options{NoSync: true})
	second := open(t, local.Options{Dir: dir, NoSync: true})
	const sessions, steps = 8, 40
	var wg sync.WaitGroup
	for i := range sessions {
		wg.Go(func() {
			f := []*local.FS{fsys, second}[i%2]
			for step := range steps {
				data := bytes.Repeat([]byte{byte('a' + i)}, 1000+step)
				opt := vfs.CreateOptions{Owner: "ann", Mode: vfs.Mode(step % 3)}
				w, err := f.Create(t.Context(), "f", opt)
				if err != nil {
					if !errors.Is(err, vfs.ErrBusy) {
						t.Error(err)
					}
					continue
				}
				if w.Offset() == 0 { // what others began is not mixed
					if _, err := w.Write(data); err != nil {
						t.Error(err)
					}
				}
				switch (step + i) % 4 {
				case 0:
					err = w.Commit()
				case 1:
					err = w.Abort()
				case 2:
					err = w.Park()
				default:
					w.Abort()
					err = f.Discard(t.Context(), "f", "ann")
				}
				if err != nil && !errors.Is(err, vfs.ErrBusy) && !errors.Is(err, fs.ErrNotExist) {
					t.Error(err)
				}
				if data, err := read(t, f, "f"); err == nil && len(data) > 0 && bytes.Count(data, data[:1]) != len(data) {
					t.Errorf("a mixed file of %d bytes", len(data))
				}
			}
		})
	}
	wg.Wait()
	fsys.Discard(t.Context(), "f", "ann")
	for _, name := range onDisk(t, dir) {
		if name != "f" {
			t.Errorf("left over: %q", name)
		}
	}
}

// A name that is too long to be a part of the hidden one is still resumable.
func TestLongNames(t *testing.T) {
	fsys, dir := serve(t, local.Options{})
	for _, n := range []int{226, 227, 228, 255} {
		name := strings.Repeat("n", n)
		if err := started(t, fsys, name, []byte("half of it"), vfs.CreateOptions{Owner: "ann"}).Park(); err != nil {
			t.Fatal(err)
		}
		info, err := fsys.StatStaged(t.Context(), name, "ann")
		if err != nil || info.Name() != name || info.Size() != 9 {
			t.Errorf("%d bytes: StatStaged = %v, %v", n, info, err)
		}
		var listed []string
		for info := range fsys.Staged(t.Context(), ".", "ann") {
			listed = append(listed, info.Name())
		}
		if !slices.Equal(listed, []string{name}) {
			t.Errorf("%d bytes: Staged tells %q", n, listed)
		}
		for info := range fsys.Staged(t.Context(), ".", "bob") {
			t.Errorf("%d bytes: another owner is told of %q", n, info.Name())
		}
		w := started(t, fsys, name, []byte("t!"), vfs.CreateOptions{Owner: "ann", Mode: vfs.WriteAt, Offset: 9})
		if err := w.Commit(); err != nil {
			t.Error(err)
		}
		holds(t, dir+"/"+name, []byte("half of it!"))
		attrs := make([]byte, 1000)
		if n, err := unix.Listxattr(dir+"/"+name, attrs); err != nil || bytes.Contains(attrs[:n], []byte("ftpgate")) {
			t.Errorf("the complete file has the attributes %q, %v", attrs[:max(n, 0)], err)
		}
	}
	for _, n := range []int{256, 300, 5000} {
		name := strings.Repeat("n", n)
		wants(t, "Create", write(t, fsys, name, nil, vfs.CreateOptions{Owner: "ann"}), name, fs.ErrInvalid)
	}
}

// Appending to a huge file writes what arrives only once into it, at Commit.
func TestTail(t *testing.T) {
	for _, owner := range []string{"", "ann"} {
		fsys, dir := serve(t, local.Options{CopyLimit: 1000})
		if fsys.Caps().Has(vfs.AtomicCommit) {
			t.Log("this disk shares the bytes of copies")
		}
		old, more := pattern(5000), []byte("more")
		reset := func() {
			t.Helper()
			if err := os.WriteFile(dir+"/f", old, 0o640); err != nil {
				t.Fatal(err)
			}
		}
		reset()
		before := mode(t, dir+"/f")
		for _, opt := range []vfs.CreateOptions{{Mode: vfs.Append, Owner: owner}, {Mode: vfs.WriteAt, Offset: 5000, Owner: owner}} {
			w := started(t, fsys, "f", more, opt)
			holds(t, dir+"/f", old)
			if err := w.Commit(); err != nil {
				t.Fatal(err)
			}
			holds(t, dir+"/f", slices.Concat(old, more))
			reset()
			if err := started(t, fsys, "f", more, opt).Abort(); err != nil {
				t.Error(err)
			}
			holds(t, dir+"/f", old)
			w, err := fsys.Create(t.Context(), "f", opt)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Commit(); err != nil { // of nothing
				t.Error(err)
			}
			holds(t, dir+"/f", old)
			if owner == "" {
				wants(t, "Park", started(t, fsys, "f", more, opt).Park(), "f", errors.ErrUnsupported)
			}
			// Replaced under it, it does not go onto the wrong file.
			w = started(t, fsys, "f", more, opt)
			if err := write(t, fsys, "f", pattern(7000), vfs.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			if fsys.Caps().Has(vfs.AtomicCommit) { // a file of its own: the last Commit wins
				if err := w.Commit(); err != nil {
					t.Error(err)
				}
				holds(t, dir+"/f", slices.Concat(old, more))
			} else {
				wants(t, "Commit over a replaced file", w.Commit(), "f", vfs.ErrBusy)
				holds(t, dir+"/f", pattern(7000))
			}
			reset()
		}
		if got := onDisk(t, dir); len(got) != 1 || mode(t, dir+"/f") != before {
			t.Errorf("left over: %q, mode %v", got, mode(t, dir+"/f"))
		}
	}
}

// A parked tail goes with one file of one size.
func TestParkedTail(t *testing.T) {
	fsys, dir := serve(t, local.Options{CopyLimit: 1000})
	old, want := pattern(5000), pattern(5100)
	opt := vfs.CreateOptions{Mode: vfs.WriteAt, Offset: 5000, Owner: "ann"}
	park := func() {
		t.Helper()
		if err := write(t, fsys, "f", old, vfs.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := started(t, fsys, "f", want[5000:5050], opt).Park(); err != nil {
			t.Fatal(err)
		}
		if info, err := fsys.StatStaged(t.Context(), "f", "ann"); err != nil || info.Size() != 5049 {
			t.Fatalf("StatStaged = %v, %v", info, err)
		}
		holds(t, dir+"/f", old)
	}
	for _, offset := range []int64{5050, 5049, 5000, 4999, 1, 0} {
		park()
		opt := opt
		opt.Offset = offset
		w := started(t, fsys, "f", want[offset:5060], opt)
		if w.Offset() != offset {
			t.Errorf("Offset is %d, want %d", w.Offset(), offset)
		}
		if err := w.Park(); err != nil {
			t.Error(err)
		}
		if info, err := fsys.StatStaged(t.Context(), "f", "ann"); err != nil || info.Size() != 5059 {
			t.Errorf("offset %d: StatStaged = %v, %v", offset, info, err)
		}
		holds(t, dir+"/f", old)
		w = started(t, fsys, "f", want[5059:], vfs.CreateOptions{Mode: vfs.Append, Owner: "ann"})
		if err := w.Commit(); err != nil {
			t.Error(err)
		}
		holds(t, dir+"/f", want)
	}
	// Nothing new, and then the end.
	park()
	w, err := fsys.Create(t.Context(), "f", vfs.CreateOptions{Mode: vfs.WriteAt, Offset: 5049, Owner: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		t.Error(err)
	}
	holds(t, dir+"/f", want[:5049])

	for what, change := range map[string]func() error{
		"replaced": func() error { return write(t, fsys, "f", pattern(5000), vfs.CreateOptions{}) },
		"removed":  func() error { return fsys.Remove(t.Context(), "f") },
		"grown":    func() error { return write(t, fsys, "f", []byte("x"), vfs.CreateOptions{Mode: vfs.Append}) },
	} {
		park()
		if err := change(); err != nil {
			t.Fatal(err)
		}
		after, _ := os.ReadFile(dir + "/f")
		// On a disk that shares bytes, the parked upload is a file of its own.
		if !fsys.Caps().Has(vfs.AtomicCommit) {
			_, err := fsys.StatStaged(t.Context(), "f", "ann")
			wants(t, "StatStaged of a tail whose file was "+what, err, "f", fs.ErrNotExist)
			w, err := fsys.Create(t.Context(), "f", vfs.CreateOptions{Mode: vfs.Append, Owner: "ann"})
			if err != nil || w.Offset() != int64(len(after)) {
				t.Errorf("%s: Append goes on at %d, %v; want %d", what, w.Offset(), err, len(after))
			}
			w.Abort()
		}
		if got, _ := os.ReadFile(dir + "/f"); !bytes.Equal(got, after) {
			t.Errorf("%s: the file has now %d bytes", what, len(got))
		}
		fsys.Discard(t.Context(), "f", "ann")
		if got := onDisk(t, dir); len(got) > 1 {
			t.Errorf("%s: left over: %q", what, got)
		}
	}
}

// Direct uploads show while they run, and an aborted one gives the name back.
func TestDirect(t *testing.T) {
	fsys, dir := serve(t, local.Options{Direct: true})
	old, data := pattern(100_000), pattern(50_000)
	for _, c := range []struct {
		opt  vfs.CreateOptions
		old  []byte
		want []byte
	}{
		{vfs.CreateOptions{}, nil, data},
		{vfs.CreateOptions{}, old, data},
		{vfs.CreateOptions{NoReplace: true}, nil, data},
		{vfs.CreateOptions{Mode: vfs.Append}, nil, data},
		{vfs.CreateOptions{Mode: vfs.Append}, old, slices.Concat(old, data)},
		{vfs.CreateOptions{Mode: vfs.WriteAt, Offset: 100_000}, old, slices.Concat(old, data)},
		{vfs.CreateOptions{Mode: vfs.WriteAt, Offset: 1000}, old, slices.Concat(old[:1000], data)},
		{vfs.CreateOptions{Mode: vfs.WriteAt}, old, data},
	} {
		for i, end := range []func(vfs.Writer) error{vfs.Writer.Commit, vfs.Writer.Abort, vfs.Writer.Park} {
			os.Remove(dir + "/f")
			if c.old != nil {
				if err := os.WriteFile(dir+"/f", c.old, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			w := started(t, fsys, "f", data, c.opt)
			holds(t, dir+"/f", c.want)
			if got := list(t, fsys, "."); !slices.Equal(got, []string{"f"}) {
				t.Errorf("%+v: listed: %q", c.opt, got)
			}
			if err := end(w); i < 2 && err != nil {
				t.Errorf("%+v: %v", c.opt, err)
			} else if i == 2 {
				wants(t, "Park", err, "f", errors.ErrUnsupported)
			}
			switch {
			case i == 0:
				holds(t, dir+"/f", c.want)
			case c.old != nil:
				holds(t, dir+"/f", c.old)
			default:
				if got := onDisk(t, dir); len(got) > 0 {
					t.Errorf("%+v: %q stay", c.opt, got)
				}
			}
			if got := onDisk(t, dir); len(got) > 1 {
				t.Errorf("%+v: left over: %q", c.opt, got)
			}
		}
	}
	w := started(t, fsys, "f", data, vfs.CreateOptions{})
	if err := fsys.Rename(t.Context(), "f", "g", vfs.RenameOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		t.Errorf("Commit of an upload that was renamed: %v", err)
	}
	holds(t, dir+"/g", data)
	w = started(t, fsys, "g", []byte("x"), vfs.CreateOptions{})
	if err := fsys.Remove(t.Context(), "g"); err != nil {
		t.Fatal(err)
	}
	wants(t, "Commit of an upload that was removed", w.Commit(), "g", vfs.ErrBusy)
	if got := onDisk(t, dir); len(got) > 1 { // f was removed with the tests above
		t.Errorf("left over: %q", got)
	}
}

// The room that a client announces is there, or it is told before the first byte.
func TestSizeHint(t *testing.T) {
	for _, direct := range []bool{false, true} {
		fsys, dir := serve(t, local.Options{Direct: direct})
		if err := write(t, fsys, "f", []byte("old"), vfs.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		space, err := fsys.Space(t.Context(), ".")
		if err != nil {
			t.Fatal(err)
		}
		for _, mode := range []vfs.Mode{vfs.Replace, vfs.Append} {
			for _, hint := range []int64{space.Total + 1, 1 << 60} {
				_, err := fsys.Create(t.Context(), "f", vfs.CreateOptions{Mode: mode, SizeHint: hint, Owner: "ann"})
				wants(t, "Create", err, "f", vfs.ErrNoSpace)
			}
		}
		holds(t, dir+"/f", []byte("old"))
		if got := onDisk(t, dir); len(got) != 1 {
			t.Errorf("left over: %q", got)
		}
		blocks := func() int64 {
			var st unix.Stat_t
			if err := unix.Stat(dir+"/f", &st); err != nil {
				t.Fatal(err)
			}
			return st.Blocks
		}
		// What was reserved and not needed is given back.
		if err := write(t, fsys, "f", []byte("short"), vfs.CreateOptions{SizeHint: 4 << 20}); err != nil {
			t.Fatal(err)
		}
		holds(t, dir+"/f", []byte("short"))
		if n := blocks(); n > 1000 {
			t.Errorf("a file of 5 bytes takes %d blocks", n)
		}
	}
}

// Two names of one file: POSIX leaves both, a user wants one to go.
func TestRenameHardLinks(t *testing.T) {
	fsys, dir := serve(t, local.Options{})
	if err := os.WriteFile(dir+"/a", []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(dir+"/a", dir+"/b"); err != nil {
		t.Fatal(err)
	}
	wants(t, "Rename", fsys.Rename(t.Context(), "a", "b", vfs.RenameOptions{NoReplace: true}), "b", fs.ErrExist)
	if err := fsys.Rename(t.Context(), "a", "b", vfs.RenameOptions{}); err != nil {
		t.Error(err)
	}
	if got := onDisk(t, dir); !slices.Equal(got, []string{"b"}) {
		t.Errorf("there are now %q", got)
	}
}

// DELE and RMD never do each other's work.
func TestRemoveAndRmdir(t *testing.T) {
	fsys, dir := serve(t, local.Options{})
	if err := os.Mkdir(dir+"/d", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("d", dir+"/l"); err != nil {
		t.Fatal(err)
	}
	wants(t, "Remove", fsys.Remove(t.Context(), "d"), "d", vfs.ErrIsDir)
	wants(t, "Rmdir", fsys.Rmdir(t.Context(), "l"), "l", vfs.ErrNotDir)
	w := started(t, fsys, "d/f", []byte("x"), vfs.CreateOptions{Owner: "ann"})
	if err := started(t, fsys, "d/g", []byte("x"), vfs.CreateOptions{Owner: "bob"}).Park(); err != nil {
		t.Fatal(err)
	}
	wants(t, "Rmdir under a running upload", fsys.Rmdir(t.Context(), "d"), "d", vfs.ErrBusy)
	if _, err := fsys.StatStaged(t.Context(), "d/g", "bob"); err != nil {
		t.Errorf("an Rmdir that fails dropped what was parked: %v", err)
	}
	if err := w.Abort(); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(dir+"/d/.ftpgate-other", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wants(t, "Rmdir over a foreign file", fsys.Rmdir(t.Context(), "d"), "d", vfs.ErrNotEmpty)
	os.Remove(dir + "/d/.ftpgate-other")
	if err := fsys.Rmdir(t.Context(), "d"); err != nil {
		t.Error(err)
	}
}

// Latin-1 names work, and names that the protocol can't carry are left out.
func TestRawNames(t *testing.T) {
	fsys, dir := serve(t, local.Options{})
	for _, name := range []string{"caf\xe9", "line\nbreak", "cr\r", "plain"} {
		if err := os.WriteFile(dir+"/"+name, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := list(t, fsys, "."); !slices.Equal(got, []string{"caf\xe9", "plain"}) {
		t.Errorf("listed: %q", got)
	}
	if data, err := read(t, fsys, "caf\xe9"); err != nil || string(data) != "caf\xe9" {
		t.Errorf("read: %q, %v", data, err)
	}
	if err := started(t, fsys, "na\xefve", []byte("xy"), vfs.CreateOptions{Owner: "ann"}).Park(); err != nil {
		t.Fatal(err)
	}
	for info, err := range fsys.Staged(t.Context(), ".", "ann") {
		if err != nil || info.Name() != "na\xefve" {
			t.Errorf("staged: %v, %v", info, err)
		}
	}
}

// Attributes that only some systems have.
func TestAttr(t *testing.T) {
	fsys, dir := serve(t, local.Options{Owner: "ftp", Group: "users"})
	before := time.Now().Add(-time.Minute)
	if err := write(t, fsys, "f", nil, vfs.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(dir+"/f", dir+"/g"); err != nil {
		t.Fatal(err)
	}
	f, err := fsys.Stat(t.Context(), "f")
	if err != nil {
		t.Fatal(err)
	}
	g, err := fsys.Stat(t.Context(), "g")
	if err != nil {
		t.Fatal(err)
	}
	a := vfs.AttrOf(f)
	if a.Unique == "" || a.Unique != vfs.AttrOf(g).Unique || strings.ContainsAny(a.Unique, " ;=") {
		t.Errorf("unique %q and %q", a.Unique, vfs.AttrOf(g).Unique)
	}
	if a.Owner != "ftp" || a.Group != "users" || a.Staged || a.Target != "" {
		t.Errorf("attributes %+v", a)
	}
	if a.Created.Before(before) && !a.Created.IsZero() {
		t.Errorf("created %v", a.Created)
	}
}

// A copy is atomic, and ends with its context.
func TestCopy(t *testing.T) {
	for _, opt := range []local.Options{{}, {Direct: true}} {
		fsys, dir := serve(t, opt)
		if err := write(t, fsys, "src", pattern(300_000), vfs.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		f, err := fsys.Open(t.Context(), "src", 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := fsys.Copy(t.Context(), "src", "src", vfs.CopyOptions{}); err != nil {
			t.Errorf("a copy onto itself: %v", err)
		}
		holds(t, dir+"/src", pattern(300_000))
		if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, pattern(300_000)) {
			t.Errorf("read during the copy: %d bytes, %v", len(got), err)
		}
		if got := onDisk(t, dir); len(got) != 1 {
			t.Errorf("left over: %q", got)
		}
	}
}

// Each end of an upload, and each failing Create, gives back what it opened.
func TestDescriptors(t *testing.T) {
	fsys, dir := serve(t, local.Options{CopyLimit: 100})
	direct := open(t, local.Options{Dir: dir, Direct: true})
	if err := os.MkdirAll(dir+"/d", 0o755); err != nil {
		t.Fatal(err)
	}
	count := func() int { return len(onDisk(t, "/proc/self/fd")) }
	before := 0
	for round := range 3 {
		if round == 1 { // after the first round, everything that stays is there
			before = count()
		}
		for _, f := range []*local.FS{fsys, direct} {
			for _, owner := range []string{"", "ann"} {
				if err := write(t, f, "d/f", pattern(1000), vfs.CreateOptions{Owner: owner}); err != nil {
					t.Fatal(err)
				}
				for _, opt := range []vfs.CreateOptions{
					{}, {Mode: vfs.Append}, {Mode: vfs.WriteAt, Offset: 10}, {NoReplace: true}, {Mode: vfs.WriteAt, Offset: 1 << 40}, {SizeHint: 1 << 60},
				} {
					opt.Owner = owner
					for end := range 3 {
						w, err := f.Create(t.Context(), "d/f", opt)
						if err != nil {
							continue
						}
						second, err := f.Create(t.Context(), "d/f", opt)
						if err == nil {
							second.Abort()
						}
						w.Write([]byte("x"))
						[]func() error{w.Commit, w.Park, w.Abort}[end]()
					}
				}
				f.Discard(t.Context(), "d/f", "ann")
				read(t, f, "d/f")
				read(t, f, "d/none")
				read(t, f, "d")
				list(t, f, "d")
				f.Rename(t.Context(), "d/f", "d", vfs.RenameOptions{})
				f.Copy(t.Context(), "d/f", "d/g", vfs.CopyOptions{})
				f.Space(t.Context(), "d")
				f.Sweep(t.Context())
				f.Rmdir(t.Context(), "d")
			}
		}
	}
	if after := count(); after != before {
		t.Errorf("%d descriptors are open, %d were", after, before)
	}
	if got := fmt.Sprint(onDisk(t, dir+"/d")); got != "[f g]" {
		t.Errorf("left over: %s", got)
	}
}
