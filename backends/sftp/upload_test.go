package sftp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ftpgate/ftpgate/vfs"
	"github.com/ftpgate/ftpgate/vfs/vfstest"
)

func content(seed byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*i>>8) ^ byte(i) ^ seed
	}
	return b
}

func write(t testing.TB, f vfs.FS, name string, data []byte, opt vfs.CreateOptions) error {
	t.Helper()
	w, err := f.Create(t.Context(), name, opt)
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := w.Write(data); err != nil {
		return err
	}
	return w.Commit()
}

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

func holds(t testing.TB, path string, want []byte) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s holds %d bytes, %v; want %d", filepath.Base(path), len(got), err, len(want))
	}
}

// TestPoorServers runs the contract over servers that lack what the first version of
// SFTP did not have, and over one whose disk has no hard links.
func TestPoorServers(t *testing.T) {
	s := newServer(t)
	faults := s.faulty()
	faults.hidden = []string{extPosixRename, extHardlink, extStatVFS}
	faults.set(failing(packetSymlink, "", packetSetstat, ""))
	top := t.TempDir()
	o := s.options(top)
	o.RemoveFirst = true
	f := open(t, o)
	if has := f.Caps() & (vfs.AtomicCommit | vfs.AtomicRename | vfs.CanNoReplace | vfs.CanSpace | vfs.CanSymlink | vfs.CanSetMode | vfs.CanSetModTime); has != 0 {
		t.Errorf("the server can't %v, and Caps has %v", has, f.Caps())
	}
	vfstest.Run(t, vfstest.Harness{MaxEntries: 200, Large: 200_000, ModelSteps: 100, New: func(t *testing.T) vfs.FS {
		dir, err := os.MkdirTemp(top, "")
		if err != nil {
			t.Fatal(err)
		}
		sub, err := f.Sub(filepath.Base(dir))
		if err != nil {
			t.Fatal(err)
		}
		return sub
	}})
	faults.hidden = nil
	faults.set(failing(packetExtended, extHardlink))
	if f := open(t, s.options(t.TempDir())); f.Caps().Has(vfs.CanNoReplace) || !f.Caps().Has(vfs.AtomicCommit|vfs.CanSymlink) {
		t.Errorf("on a disk without hard links Caps has %v", f.Caps())
	}
}

// failing refuses requests of the kinds whose text holds what follows the kind.
func failing(rules ...any) func(byte, []byte) verdict {
	return func(kind byte, body []byte) verdict {
		for i := 0; i < len(rules); i += 2 {
			if int(kind) == rules[i] && bytes.Contains(body, []byte(rules[i+1].(string))) {
				return refuse
			}
		}
		return pass
	}
}

// Without a rename that replaces, and without leave to remove the old file first, an
// upload never costs what stands there.
func TestOverwriteRefused(t *testing.T) {
	s := newServer(t)
	s.faulty().hidden = []string{extPosixRename}
	dir := t.TempDir()
	f := open(t, s.options(dir))
	if want := vfs.AtomicCommit | vfs.AtomicRename; !f.Caps().Has(want) {
		t.Errorf("Caps has %v, want %v", f.Caps(), want)
	}
	for _, name := range []string{"old", "other"} {
		if err := write(t, f, name, []byte(name), vfs.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := write(t, f, "old", []byte("new"), vfs.CreateOptions{}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("an upload over a file: %v", err)
	}
	if err := f.Rename(t.Context(), "other", "old", vfs.RenameOptions{}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Rename onto a file: %v", err)
	}
	w, err := f.Create(t.Context(), "late", vfs.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	if err := os.WriteFile(filepath.Join(dir, "late"), []byte("first"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Commit onto a file that came meanwhile: %v", err)
	}
	holds(t, filepath.Join(dir, "old"), []byte("old"))
	holds(t, filepath.Join(dir, "other"), []byte("other"))
	holds(t, filepath.Join(dir, "late"), []byte("first"))
	if left := onDisk(t, dir); len(left) != 3 {
		t.Errorf("on the disk is %q", left)
	}
}

// Whether an upload whose last answer was lost has happened is found out, not
// guessed.
func TestLostAnswerToCommit(t *testing.T) {
	data := content(1, 100_000)
	for _, c := range []struct {
		name      string
		kind      byte
		verdict   verdict
		noReplace bool
	}{
		{"done, answer lost", packetExtended, lose, false},
		{"not done, connection lost", packetExtended, swallow, false},
		{"linked, answer lost", packetExtended, lose, true},
		{"linked, not removed", packetRemove, swallow, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t)
			faults := s.faulty()
			dir := t.TempDir()
			o := s.options(dir)
			o.Timeout = 2 * time.Second
			f := open(t, o)
			if !c.noReplace {
				if err := write(t, f, "f", []byte("old"), vfs.CreateOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			w, err := f.Create(t.Context(), "f", vfs.CreateOptions{NoReplace: c.noReplace})
			if err != nil {
				t.Fatal(err)
			}
			defer w.Abort()
			if _, err := w.Write(data); err != nil {
				t.Fatal(err)
			}
			if err := w.Sync(); err != nil {
				t.Fatal(err)
			}
			faults.once(c.kind, c.verdict)
			if err := w.Commit(); err != nil {
				t.Errorf("Commit: %v", err)
			}
			holds(t, filepath.Join(dir, "f"), data)
			if left := onDisk(t, dir); !slices.Equal(left, []string{"f"}) {
				t.Errorf("on the disk is %q", left)
			}
		})
	}
}

// What the server refuses without a reason, and where nothing is in the way any more,
// is tried again.
func TestRefusedForWhatIsGone(t *testing.T) {
	s := newServer(t)
	faults := s.faulty()
	dir := t.TempDir()
	f := open(t, s.options(dir))
	if err := write(t, f, "a", []byte("old"), vfs.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what string
		kind byte
		do   func() error
	}{
		{"mkdir", packetMkdir, func() error { return f.Mkdir(t.Context(), "d") }},
		{"symlink", packetSymlink, func() error { return f.Symlink(t.Context(), "a", "l") }},
		{"rename", packetExtended, func() error { return f.Rename(t.Context(), "a", "b", vfs.RenameOptions{NoReplace: true}) }},
		{"rename of a directory", packetRename, func() error { return f.Rename(t.Context(), "d", "e", vfs.RenameOptions{}) }},
		{"commit", packetExtended, func() error {
			return write(t, f, "n", []byte("new"), vfs.CreateOptions{NoReplace: true})
		}},
	} {
		faults.set(func(kind byte, _ []byte) verdict {
			if kind == c.kind {
				return refuse
			}
			return pass
		})
		if err := c.do(); err == nil {
			t.Errorf("%s succeeds although it is refused", c.what)
		}
		if n := faults.count(c.kind); n < 2 || n > 8 {
			t.Errorf("%s asks %d times for what is refused", c.what, n)
		}
		faults.once(c.kind, refuse)
		if err := c.do(); err != nil {
			t.Errorf("%s that is refused once: %v", c.what, err)
		}
	}
	faults.set(nil)
	if got, want := onDisk(t, dir), []string{"b", "e", "l", "n"}; !slices.Equal(got, want) {
		t.Errorf("on the disk is %q, want %q", got, want)
	}
}

// An upload that broke keeps what the server confirmed, and goes on there.
func TestResumeAfterLoss(t *testing.T) {
	const packetWrite = 6
	data := content(2, 5<<20)
	for _, after := range []int{0, 1, 10, 100} { // writes that are confirmed before
		s := newServer(t)
		faults := s.faulty()
		dir := t.TempDir()
		f := open(t, s.options(dir))
		old := content(3, 1000)
		if err := write(t, f, "f", old, vfs.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		w, err := f.Create(t.Context(), "f", vfs.CreateOptions{Owner: "ann"})
		if err != nil {
			t.Fatal(err)
		}
		writes := 0
		faults.set(func(kind byte, _ []byte) verdict {
			if kind != packetWrite {
				return pass
			}
			if writes++; writes == after+1 {
				s.cut()
			}
			return pass
		})
		_, err = w.ReadFrom(bytes.NewReader(data))
		if err == nil {
			err = w.Sync()
		}
		if !errors.Is(err, errLost) {
			t.Errorf("the connection broke after %d writes: %v", after, err)
		}
		faults.set(nil)
		if err := w.Park(); err != nil {
			t.Fatalf("Park: %v", err)
		}
		holds(t, filepath.Join(dir, "f"), old)
		at := int64(0)
		if info, err := f.StatStaged(t.Context(), "f", "ann"); err == nil {
			at = info.Size()
		} else if after > 64 || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after %d writes nothing is staged: %v", after, err)
		}
		if at > int64(after+1)*packetSize {
			t.Errorf("%d bytes are told of %d confirmed writes", at, after)
		}
		w, err = f.Create(t.Context(), "f", vfs.CreateOptions{Mode: vfs.WriteAt, Offset: at, Owner: "ann"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data[at:]); err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(); err != nil {
			t.Fatal(err)
		}
		holds(t, filepath.Join(dir, "f"), data)
		if left := onDisk(t, dir); !slices.Equal(left, []string{"f"}) {
			t.Errorf("on the disk is %q", left)
		}
	}
}

// A refused write is told as what it means, if the server says how much room it
// has.
func TestWriteFailures(t *testing.T) {
	const packetWrite = 6
	s := newServer(t)
	faults := s.faulty()
	dir := t.TempDir()
	f := open(t, s.options(dir))
	data := content(4, 3<<20)
	writes := 0
	faults.set(func(kind byte, _ []byte) verdict {
		if kind == packetWrite {
			if writes++; writes > 20 {
				return refuse
			}
		}
		return pass
	})
	w, err := f.Create(t.Context(), "f", vfs.CreateOptions{Owner: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.ReadFrom(bytes.NewReader(data))
	if err == nil {
		err = w.Sync()
	}
	var st *status
	if pe, ok := err.(*fs.PathError); !ok || pe.Path != "f" || !errors.As(err, &st) || st.code != statusFailure || strings.Contains(err.Error(), dir) {
		t.Errorf("a refused write: %v", err)
	}
	faults.set(nil)
	if err := w.Park(); err != nil {
		t.Fatal(err)
	}
	info, err := f.StatStaged(t.Context(), "f", "ann")
	if err != nil || info.Size() != 20*packetSize-1 {
		t.Errorf("staged: %v, %v; want what was written before the refusal", info, err)
	}
	if err := f.Remove(t.Context(), "f"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Remove of what is only staged: %v", err)
	}
}

// A connection that was lost while nobody used it costs a question nothing, and a
// change neither, if its loss was noticed.
func TestRecovery(t *testing.T) {
	s := newServer(t)
	dir := t.TempDir()
	o := s.options(dir)
	o.tuning.backoff = time.Millisecond
	f := open(t, o)
	for i := range 3 {
		life := f.pool.lines[0].current().life
		s.stop()
		<-life.Done()
		s.restart(t)
		name := string(rune('a' + i))
		if err := f.Mkdir(t.Context(), name); err != nil {
			t.Errorf("Mkdir after a restart: %v", err)
		}
		if err := write(t, f, name+"/f", []byte(name), vfs.CreateOptions{}); err != nil {
			t.Errorf("an upload after a restart: %v", err)
		}
		holds(t, filepath.Join(dir, name, "f"), []byte(name))
	}
	// A session that dies alone takes no connection along.
	_, before := s.connections()
	w, err := f.pool.metadata(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.stuck = func() {}
	w.forget(t.Context(), newRequest(255)) // which ends the server's session
	<-w.dead
	if _, err := f.Stat(t.Context(), "a"); err != nil {
		t.Errorf("Stat after the session's end: %v", err)
	}
	if _, after := s.connections(); after != before {
		t.Errorf("the end of a session cost %d connections", after-before)
	}
}

// A listing survives a connection that breaks before its first entry, and says so
// after that.
func TestListingLoss(t *testing.T) {
	s := newServer(t)
	faults := s.faulty()
	dir := t.TempDir()
	for i := range 2000 {
		if err := os.WriteFile(filepath.Join(dir, string(rune('a'+i%26))+strings.Repeat("x", i/26)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := open(t, s.options(dir))
	for _, after := range []int{1, 8} {
		pages := 0
		faults.set(func(kind byte, _ []byte) verdict {
			if kind == packetReaddir {
				if pages++; pages == after {
					return lose
				}
			}
			return pass
		})
		n := 0
		var err error
		for _, lerr := range f.ReadDir(t.Context(), ".", "") {
			if err = lerr; err == nil {
				n++
			}
		}
		if after == 1 && (err != nil || n != 2000) {
			t.Errorf("a listing whose first answer was lost: %d entries, %v", n, err)
		}
		if after > 1 && (!errors.Is(err, errLost) || n >= 2000 || n == 0) {
			t.Errorf("a listing that broke: %d entries, %v", n, err)
		}
	}
	// A listing that is left or cancelled closes the directory.
	faults.set(nil)
	gone := errors.New("gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	for range f.ReadDir(ctx, ".", "") {
		break
	}
	for _, err := range f.ReadDir(ctx, ".", "") {
		if cancel(gone); err != nil && !errors.Is(err, gone) {
			t.Error(err)
		}
	}
	if _, err := f.Stat(t.Context(), "."); err != nil { // what is sent before it is done by then
		t.Error(err)
	}
	if opened, closed := faults.count(packetOpendir), faults.count(packetClose); opened != 2 || closed != 2 {
		t.Errorf("%d directories were opened and %d closed", opened, closed)
	}
}

// A server that gives less than it is asked for is still read right.
func TestShortReads(t *testing.T) {
	data := content(5, 1<<20+77)
	for _, most := range []int64{packetSize, 20_000, 1000} {
		r, w := io.Pipe()
		d := &download{w: w, rest: int64(len(data))}
		go func() {
			src := &shortFile{data: data, most: most}
			w.CloseWithError(d.copy(src, 0))
		}()
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("reads of at most %d bytes: %d bytes, %v", most, len(got), err)
		}
	}
}

// shortFile is a remote file as pkg/sftp shows one whose server has a limit.
type shortFile struct {
	data []byte
	most int64
}

func (f *shortFile) Seek(offset int64, _ int) (int64, error) { return offset, nil }

// WriteTo goes on behind the gaps, as the library does.
func (f *shortFile) WriteTo(w io.Writer) (n int64, err error) {
	for at := int64(0); at < int64(len(f.data)); at += packetSize {
		end := min(at+packetSize, at+f.most, int64(len(f.data)))
		m, err := w.Write(f.data[at:end])
		if n += int64(m); err != nil {
			return n, err
		}
	}
	return n, nil
}

func (f *shortFile) ReadAt(p []byte, at int64) (int, error) {
	return bytes.NewReader(f.data).ReadAt(p, at)
}

// Expired uploads go as listings meet them, and by Sweep; running ones and fresh ones
// stay.
func TestExpiry(t *testing.T) {
	s := newServer(t)
	dir := t.TempDir()
	o := s.options(dir)
	o.StagedExpiry = time.Hour
	f := open(t, o)
	if err := os.MkdirAll(filepath.Join(dir, "d/e"), 0o755); err != nil {
		t.Fatal(err)
	}
	park := func(name string) {
		t.Helper()
		w, err := f.Create(t.Context(), name, vfs.CreateOptions{Owner: "ann"})
		if err == nil {
			_, err = w.Write([]byte("part"))
		}
		if err == nil {
			err = w.Park()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	age := func(path string, d time.Duration) {
		t.Helper()
		then := time.Now().Add(-d)
		if err := os.Chtimes(path, then, then); err != nil {
			t.Fatal(err)
		}
	}
	long := strings.Repeat("l", 250)
	for _, name := range []string{"old", "fresh", "d/old", "d/e/old", "d/e/" + long} {
		park(name)
		dir, base := filepath.Split(filepath.Join(dir, name))
		if base != "fresh" {
			age(filepath.Join(dir, parkedName("ann", base)), 2*time.Hour)
		}
	}
	running, err := f.Create(t.Context(), "d/running", vfs.CreateOptions{Owner: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	defer running.Abort()
	orphan := runningName()
	for _, path := range []string{"d/" + orphan, "d/e/" + runningName()} {
		if err := os.WriteFile(filepath.Join(dir, path), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(runningName(), filepath.Join(dir, "d", linkName("ann", "dangling"))); err != nil {
		t.Fatal(err)
	}
	for _, e := range onDisk(t, filepath.Join(dir, "d")) {
		if isRunningName(e) {
			age(filepath.Join(dir, "d", e), 48*time.Hour)
		}
	}
	for range f.ReadDir(t.Context(), ".", "") {
	}
	if left := onDisk(t, dir); !slices.Equal(left, []string{parkedName("ann", "fresh"), "d"}) {
		t.Errorf("after a listing there is %q", left)
	}
	removed, err := f.Sweep(t.Context())
	if removed != 4 || err != nil { // d/old, the orphan in d, d/e/old, d/e/lll…
		t.Errorf("Sweep = %d, %v", removed, err)
	}
	if left := onDisk(t, filepath.Join(dir, "d")); len(left) != 3 { // the running one, the link that is fresh, e
		t.Errorf("after Sweep there is %q", left)
	}
	if left := onDisk(t, filepath.Join(dir, "d/e")); len(left) != 1 {
		t.Errorf("after Sweep there is %q", left)
	}
	if _, err := f.StatStaged(t.Context(), "fresh", "ann"); err != nil {
		t.Error(err)
	}
}
