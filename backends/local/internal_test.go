//go:build linux

package local

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ftpgate/ftpgate/vfs"
)

func openTest(t *testing.T) (*FS, string) {
	t.Helper()
	path := t.TempDir()
	f, err := Open(Options{Dir: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, path
}

// The text by which os.Root refuses to leave the root: if Go changes it, this
// fails, and meaning has to follow.
func TestEscapeText(t *testing.T) {
	f, path := openTest(t)
	if err := os.Symlink("/", path+"/link"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"link/etc", "..", "../x"} {
		_, err := f.root.Stat(name)
		if meaning(err) != fs.ErrPermission {
			t.Errorf("os.Root says %v of %q, which is taken for %v", err, name, meaning(err))
		}
	}
}

func TestMeaning(t *testing.T) {
	for err, want := range map[error]error{
		syscall.ENOENT: fs.ErrNotExist, syscall.EEXIST: fs.ErrExist, syscall.ENOTEMPTY: vfs.ErrNotEmpty, syscall.ENOTDIR: vfs.ErrNotDir,
		syscall.EISDIR: vfs.ErrIsDir, syscall.ENOSPC: vfs.ErrNoSpace, syscall.EDQUOT: vfs.ErrQuota, syscall.EFBIG: vfs.ErrTooLarge,
		syscall.EROFS: fs.ErrPermission, syscall.EACCES: fs.ErrPermission, syscall.EPERM: fs.ErrPermission, syscall.ELOOP: fs.ErrPermission,
		syscall.EBUSY: vfs.ErrBusy, syscall.EMFILE: vfs.ErrBusy, syscall.ENAMETOOLONG: fs.ErrInvalid, syscall.EXDEV: errors.ErrUnsupported,
		syscall.EIO: nil, syscall.ESTALE: nil, syscall.ENOMEM: nil, io.ErrUnexpectedEOF: nil,
	} {
		for _, wrapped := range []error{
			err, &fs.PathError{Op: "openat", Path: "/the/disk", Err: err}, &os.LinkError{Op: "renameat", Old: "/the/disk", New: "b", Err: err},
			&fs.PathError{Op: "write", Path: "/the/disk", Err: os.NewSyscallError("splice", err)},
		} {
			got := pathError("op", "name", wrapped)
			if vfs.Kind(got) != want || got.(*fs.PathError).Path != "name" || strings.Contains(got.Error(), "disk") {
				t.Errorf("%v becomes %v, want %v", wrapped, got, want)
			}
			// errors.Is finds more in some numbers than they mean here.
			if want == vfs.ErrNotEmpty && errors.Is(got, fs.ErrExist) {
				t.Errorf("%v is fs.ErrExist too", got)
			}
		}
	}
	if pathError("op", "name", nil) != nil {
		t.Error("no error becomes one")
	}
}

// A disk that is full tells so at Write and at Commit, and what arrived is parked.
func TestDiskFull(t *testing.T) {
	for _, owner := range []string{"", "ann"} {
		f, path := openTest(t)
		if err := os.WriteFile(path+"/f", []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, write := range []func(*writer) error{
			func(w *writer) error { _, err := w.Write([]byte("more")); return err },
			func(w *writer) error { _, err := w.ReadFrom(strings.NewReader("more")); return err },
			func(w *writer) error {
				_, err := w.ReadFrom(&io.LimitedReader{R: strings.NewReader("more"), N: 100})
				return err
			},
		} {
			created, err := f.Create(t.Context(), "f", vfs.CreateOptions{Owner: owner})
			if err != nil {
				t.Fatal(err)
			}
			w := created.(*writer)
			if _, err := w.Write([]byte("arrived")); err != nil {
				t.Fatal(err)
			}
			disk := w.file
			full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			w.file = &diskFile{File: full}
			err = write(w)
			w.file = disk
			full.Close()
			if err == nil || err.Error() != "write f: no space left in the store" {
				t.Errorf("on a full disk: %v", err)
			}
			// Nothing may follow behind the gap.
			if _, err := w.Write([]byte("x")); vfs.Kind(err) != vfs.ErrNoSpace {
				t.Errorf("Write after it: %v", err)
			}
			if err := w.Sync(); vfs.Kind(err) != vfs.ErrNoSpace {
				t.Errorf("Sync after it: %v", err)
			}
			if err := w.Commit(); vfs.Kind(err) != vfs.ErrNoSpace {
				t.Errorf("Commit after it: %v", err)
			}
			if data, err := os.ReadFile(path + "/f"); err != nil || string(data) != "old" {
				t.Errorf("the file is now %q, %v", data, err)
			}
			info, err := f.StatStaged(t.Context(), "f", "ann")
			if owner == "" && !errors.Is(err, fs.ErrNotExist) || owner != "" && (err != nil || info.Size() != int64(len("arrived"))-1) {
				t.Errorf("owner %q: StatStaged = %v, %v", owner, info, err)
			}
		}
	}
}

// After a failed fsync nobody knows what the disk holds: nothing is parked.
func TestSyncFails(t *testing.T) {
	for what, end := range map[string]func(*writer) error{
		"Park":   func(w *writer) error { w.Sync(); return w.Park() },
		"Commit": func(w *writer) error { return w.Commit() },
	} {
		f, path := openTest(t)
		created, err := f.Create(t.Context(), "f", vfs.CreateOptions{Owner: "ann"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := created.Write([]byte("arrived")); err != nil {
			t.Fatal(err)
		}
		w := created.(*writer)
		w.file.Close()
		if err := end(w); err == nil || strings.Contains(err.Error(), "tmp") {
			t.Errorf("%s after a failed fsync: %v", what, err)
		}
		if entries, err := os.ReadDir(path); len(entries) > 0 || err != nil {
			t.Errorf("%s after a failed fsync leaves %v, %v", what, entries, err)
		}
	}
}

// connError tells the connection's errors from the disk's, which os.File mixes.
func TestConnError(t *testing.T) {
	splice := func(err error) error {
		return &fs.PathError{Op: "write", Path: "/the/disk", Err: os.NewSyscallError("splice", err)}
	}
	for _, errno := range []syscall.Errno{
		syscall.ECONNRESET, syscall.ECONNABORTED, syscall.ETIMEDOUT, syscall.EPIPE, syscall.ENOTCONN, syscall.EHOSTUNREACH, syscall.ENETUNREACH,
	} {
		err, ok := connError(splice(errno))
		var pe *fs.PathError
		if !ok || !errors.Is(err, errno) || errors.As(err, &pe) {
			t.Errorf("%v becomes %v, %v", errno, err, ok)
		}
	}
	for _, err := range []error{os.ErrDeadlineExceeded, net.ErrClosed} {
		if got, ok := connError(&fs.PathError{Op: "write", Path: "/the/disk", Err: err}); !ok || got != err {
			t.Errorf("%v becomes %v, %v", err, got, ok)
		}
	}
	for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG, syscall.EIO, syscall.EROFS, syscall.EINVAL} {
		if got, ok := connError(splice(errno)); ok {
			t.Errorf("%v is taken for the connection's: %v", errno, got)
		}
	}
	if got, ok := connError(io.ErrUnexpectedEOF); !ok || got != io.ErrUnexpectedEOF {
		t.Errorf("a reader's own error becomes %v, %v", got, ok)
	}
}

// Disks that can't rename without replacing link and unlink instead.
func TestRenameByLink(t *testing.T) {
	f, path := openTest(t)
	for _, name := range []string{"file", "taken"} {
		if err := os.WriteFile(filepath.Join(path, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"dir", "empty"} {
		if err := os.Mkdir(filepath.Join(path, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("file", path+"/link"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		from, to string
		want     error
	}{
		{"file", "taken", unix.EEXIST}, {"file", "dir", unix.EEXIST}, {"link", "taken", unix.EEXIST}, {"dir", "empty", unix.EEXIST},
		{"dir", "taken", unix.EEXIST}, {"none", "new", unix.ENOENT}, {"file", "moved", nil}, {"link", "moved link", nil}, {"dir", "moved dir", nil},
	} {
		if err := f.top.renameByLink(c.from, f.top.sysDir, c.to); err != c.want {
			t.Errorf("%s to %s: %v, want %v", c.from, c.to, err, c.want)
		}
	}
	var names []string
	for e, err := range f.scan(t.Context(), ".") {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, e.base)
	}
	slices.Sort(names)
	if want := []string{"empty", "moved", "moved dir", "moved link", "taken"}; !slices.Equal(names, want) {
		t.Errorf("there are now %q", names)
	}
	if text, err := os.Readlink(path + "/moved link"); err != nil || text != "file" {
		t.Errorf("the link is now %q, %v", text, err)
	}
}

func TestRelative(t *testing.T) {
	for _, c := range [][3]string{
		{".", "a", "a"}, {".", "a/b", "a/b"}, {".", ".", "."}, {"a", "a", "."}, {"a", ".", ".."}, {"a/b", "a/c", "../c"},
		{"a/b", "a/b/c", "c"}, {"a/b", "x/y", "../../x/y"}, {"a/b", "a", ".."}, {"ab", "a", "../a"},
	} {
		if got := relative(c[0], c[1]); got != c[2] {
			t.Errorf("from %q to %q: %q, want %q", c[0], c[1], got, c[2])
		}
	}
}

// The lock shows to others, goes with the descriptor, and asking does not take it.
func TestLock(t *testing.T) {
	path := t.TempDir() + "/f"
	open := func() *os.File {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	a, b := open(), open()
	if locked(a) || locked(b) {
		t.Error("a new file is locked")
	}
	if held, err := lock(a); held || err != nil {
		t.Errorf("lock = %v, %v", held, err)
	}
	if locked(a) || !locked(b) {
		t.Errorf("locked: %v for its holder, %v for others", locked(a), locked(b))
	}
	if held, err := lock(b); !held || err != nil {
		t.Errorf("a second lock = %v, %v", held, err)
	}
	a.Close()
	if held, err := lock(b); held || err != nil {
		t.Errorf("lock after Close = %v, %v", held, err)
	}
}

// A listing holds no more in memory than a batch, however long it is.
func TestListingMemory(t *testing.T) {
	const entries = 8000
	f, path := openTest(t)
	for i := range entries {
		if err := unix.Mknod(filepath.Join(path, fmt.Sprintf("a file with an ordinary name %d", i)), unix.S_IFREG|0o600, 0); err != nil {
			t.Fatal(err)
		}
	}
	live := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, n, most := live(), 0, uint64(0)
	for _, err := range f.ReadDir(t.Context(), ".", "") {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n%2000 == 0 {
			most = max(most, live())
		}
	}
	if n != entries {
		t.Errorf("%d of %d entries are listed", n, entries)
	}
	// All of them would take several times that.
	if most > before+256<<10 {
		t.Errorf("a listing of %d entries holds %d bytes", entries, most-before)
	}
}
