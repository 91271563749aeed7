package memory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ftpgate/ftpgate/vfs"
	"github.com/ftpgate/ftpgate/vfs/vfstest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// audited returns a store whose books are checked at the end of the test.
func audited(t *testing.T, opt Options) *FS {
	f := New(opt)
	t.Cleanup(func() { audit(t, f) })
	return f
}

// audit counts everything again and compares it with what the store believes.
func audit(t *testing.T, f *FS) {
	t.Helper()
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	var size, files int64
	parked := 0
	var count func(dir *node)
	count = func(dir *node) {
		live := 0
		for _, e := range dir.order {
			if e.node == nil {
				continue
			}
			live++
			files++
			size += e.node.content.size
			if dir.entries[e.name] != e {
				t.Errorf("%q is in the order of its directory and not in the map", e.name)
			}
			if n := int64(0); !e.node.isDir() {
				for _, c := range e.node.content.chunks {
					n += int64(len(c))
				}
				if n != e.node.content.size {
					t.Errorf("%q has %d bytes in chunks and size %d", e.name, n, e.node.content.size)
				}
				continue
			}
			if e.node.parent != dir || e.node.dead {
				t.Errorf("%q has another parent, or is dead", e.name)
			}
			count(e.node)
		}
		if live != len(dir.entries) || dir.gaps != len(dir.order)-live {
			t.Errorf("a directory orders %d entries, %d are live, %d in the map, %d gaps", len(dir.order), live, len(dir.entries), dir.gaps)
		}
		for _, st := range dir.staged {
			files++
			parked++
			size += st.charged()
		}
	}
	count(f.s.root)
	if got := f.s.bytes.Load(); got != size {
		t.Errorf("%d bytes are charged, the files hold %d", got, size)
	}
	if f.s.files != files || f.s.parked.Len() != parked || len(f.s.live) != 0 {
		t.Errorf("%d files counted, %d are there; %d parked, %d are there; %d live", f.s.files, files, f.s.parked.Len(), parked, len(f.s.live))
	}
}

func TestContract(t *testing.T) {
	vfstest.Run(t, vfstest.Harness{
		New:    func(t *testing.T) vfs.FS { return audited(t, Options{}) },
		Reopen: func(t *testing.T, fsys vfs.FS) vfs.FS { return fsys },
	})
}

// The suite passes below a directory, whatever stands beside it.
func TestContractOfSub(t *testing.T) {
	vfstest.Run(t, vfstest.Harness{New: func(t *testing.T) vfs.FS {
		f := audited(t, Options{MaxBytes: -1, MaxFiles: -1})
		for _, dir := range []string{"jail", "jail/inner", "jail2"} {
			if err := f.Mkdir(t.Context(), dir); err != nil {
				t.Fatal(err)
			}
		}
		put(t, f, "file", "outside")
		sub, err := vfs.Sub(f, "jail/inner")
		if err != nil {
			t.Fatal(err)
		}
		return sub
	}})
}

func put(t *testing.T, f vfs.FS, name, text string) {
	t.Helper()
	if err := write(f, name, text, vfs.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func write(f vfs.FS, name, text string, opt vfs.CreateOptions) error {
	w, err := f.Create(context.Background(), name, opt)
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := w.ReadFrom(bytes.NewReader([]byte(text))); err != nil {
		return err
	}
	return w.Commit()
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

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v; want %v", what, err, want)
	}
}

func TestLinksDoNotLeaveASub(t *testing.T) {
	f, ctx := audited(t, Options{}), t.Context()
	for _, dir := range []string{"jail", "jail/in", "jail2"} {
		if err := f.Mkdir(ctx, dir); err != nil {
			t.Fatal(err)
		}
	}
	put(t, f, "secret", "s")
	put(t, f, "jail2/secret", "s")
	put(t, f, "jail/in/f", "own")
	for name, target := range map[string]string{
		"jail/a": "secret", "jail/b": ".", "jail/c": "jail2", "jail/d": "jail2/secret", "jail/e": "jail/in/f", "jail/f": "jail",
		"jail/in/up": "jail/a", "in-jail": "jail/in", "jail/g": "none", "jail/h": "jail/e",
	} {
		if err := f.Symlink(ctx, target, name); err != nil {
			t.Fatal(err)
		}
	}
	jail, err := vfs.Sub(f, "jail")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b", "c", "d", "in/up", "b/secret", "c/secret", "f/a", "f/f/c"} {
		_, err := jail.Stat(ctx, name)
		wantErr(t, "Stat of the link "+name, err, fs.ErrPermission)
		_, err = jail.Open(ctx, name, 0, -1)
		wantErr(t, "Open of the link "+name, err, fs.ErrPermission)
		wantErr(t, "upload to the link "+name, write(jail, name, "x", vfs.CreateOptions{}), fs.ErrPermission)
		wantErr(t, "SetModTime of the link "+name, vfs.SetModTime(ctx, jail, name, time.Now()), fs.ErrPermission)
	}
	for _, name := range []string{"e", "h", "f/e", "f/f/in/f"} {
		if got := get(t, jail, name); got != "own" {
			t.Errorf("%s holds %q", name, got)
		}
	}
	wantErr(t, "Rmdir of the top by a link", jail.Rmdir(ctx, "f"), vfs.ErrNotDir)
	wantErr(t, "Rename into the top", jail.Rename(ctx, "in", "f/in/x", vfs.RenameOptions{}), fs.ErrInvalid)
	targets := map[string]string{"e": "in/f", "f": ".", "h": "e"}
	for info, err := range jail.ReadDir(ctx, ".", "") {
		if err != nil {
			t.Fatal(err)
		}
		if got := vfs.AttrOf(info).Target; got != targets[info.Name()] {
			t.Errorf("%s shows the target %q, want %q", info.Name(), got, targets[info.Name()])
		}
	}
	// A Sub through a link is confined by its outer FS and by where the link leads.
	linked, err := vfs.Sub(f, "in-jail")
	if err != nil {
		t.Fatal(err)
	}
	if got := get(t, linked, "f"); got != "own" {
		t.Errorf("through a link: %q", got)
	}
	out, err := vfs.Sub(jail, "c")
	if err != nil {
		t.Fatal(err)
	}
	_, err = out.Stat(ctx, "secret")
	wantErr(t, "Stat in a Sub that leads out", err, fs.ErrPermission)
	gone, err := vfs.Sub(jail, "in")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Rename(ctx, "jail/in", "elsewhere", vfs.RenameOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err = gone.Stat(ctx, ".")
	wantErr(t, "Stat in a Sub that is gone", err, fs.ErrNotExist)
	file, err := vfs.Sub(f, "secret")
	if err != nil {
		t.Fatal(err)
	}
	_, err = file.Stat(ctx, ".")
	wantErr(t, "Stat in a Sub of a file", err, vfs.ErrNotDir)
	if got := get(t, f, "secret") + get(t, f, "jail2/secret"); got != "ss" {
		t.Errorf("the files outside hold %q", got)
	}
}

func TestMaxBytes(t *testing.T) {
	const limit = 300_000
	f, ctx := audited(t, Options{MaxBytes: limit}), t.Context()
	free := func(want int64) {
		t.Helper()
		if sp, err := f.Space(ctx, "."); err != nil || sp.Total != limit || sp.Free != want {
			t.Errorf("Space = %+v, %v; want %d free", sp, err, want)
		}
	}
	text := string(bytes.Repeat([]byte("x"), 200_000))
	put(t, f, "a", text)
	free(100_000)

	for name, upload := range map[string]func(vfs.Writer) (int64, error){
		"Write":    func(w vfs.Writer) (int64, error) { n, err := w.Write([]byte(text)); return int64(n), err },
		"ReadFrom": func(w vfs.Writer) (int64, error) { return w.ReadFrom(bytes.NewReader([]byte(text))) },
	} {
		w, err := f.Create(ctx, "b", vfs.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		n, err := upload(w)
		wantErr(t, name, err, vfs.ErrNoSpace)
		if n != 100_000 {
			t.Errorf("%s takes %d bytes where 100000 fit", name, n)
		}
		free(0)
		wantErr(t, "Commit of a part", w.Commit(), vfs.ErrNoSpace)
		free(100_000)
	}
	_, err := f.Create(ctx, "b", vfs.CreateOptions{SizeHint: 100_001})
	wantErr(t, "Create with an announced size", err, vfs.ErrNoSpace)
	wantErr(t, "Copy", f.Copy(ctx, "a", "b", vfs.CopyOptions{}), vfs.ErrNoSpace)
	if err := f.Copy(ctx, "a", "a", vfs.CopyOptions{}); err != nil {
		t.Errorf("Copy onto itself: %v", err)
	}
	free(100_000)

	// What is parked counts as far as it arrived, and no more when it shares.
	w, err := f.Create(ctx, "a", vfs.CreateOptions{Mode: vfs.Append, Owner: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(text)); !errors.Is(err, vfs.ErrNoSpace) {
		t.Errorf("Write: %v", err)
	}
	if err := w.Park(); err != nil {
		t.Fatal(err)
	}
	free(0)
	// Replacing what it shares takes room for both.
	wantErr(t, "upload beside", write(f, "a", "y", vfs.CreateOptions{}), vfs.ErrNoSpace)
	w, err = f.Create(ctx, "a", vfs.CreateOptions{Mode: vfs.WriteAt, Offset: 250_000, Owner: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	free(50_000)
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	free(50_000)
	if err := f.Remove(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	free(limit)
}

// A parked upload shares what it continues only as long as that is there.
func TestCommitWithoutRoomForWhatWasShared(t *testing.T) {
	f, ctx := audited(t, Options{MaxBytes: 1000}), t.Context()
	put(t, f, "a", string(make([]byte, 900)))
	w, err := f.Create(ctx, "a", vfs.CreateOptions{Mode: vfs.Append})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, 50)); err != nil {
		t.Fatal(err)
	}
	if err := f.Remove(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	put(t, f, "b", string(make([]byte, 900)))
	wantErr(t, "Commit", w.Commit(), vfs.ErrNoSpace)
	if _, err := f.Stat(ctx, "a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Stat: %v", err)
	}
}

func TestMaxFiles(t *testing.T) {
	f, ctx := audited(t, Options{MaxFiles: 4}), t.Context()
	if err := f.Mkdir(ctx, "d"); err != nil {
		t.Fatal(err)
	}
	put(t, f, "a", "a")
	if err := f.Symlink(ctx, "a", "l"); err != nil {
		t.Fatal(err)
	}
	w, err := f.Create(ctx, "parked", vfs.CreateOptions{Owner: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	late, err := f.Create(ctx, "late", vfs.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("xx")); err != nil {
		t.Fatal(err)
	}
	if err := w.Park(); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "Mkdir", f.Mkdir(ctx, "e"), vfs.ErrNoSpace)
	wantErr(t, "Symlink", f.Symlink(ctx, "a", "m"), vfs.ErrNoSpace)
	wantErr(t, "Copy", f.Copy(ctx, "a", "b", vfs.CopyOptions{}), vfs.ErrNoSpace)
	wantErr(t, "upload", write(f, "b", "b", vfs.CreateOptions{}), vfs.ErrNoSpace)
	wantErr(t, "Commit", late.Commit(), vfs.ErrNoSpace)
	put(t, f, "a", "replaced") // takes no more
	if err := f.Rename(ctx, "a", "d/a", vfs.RenameOptions{}); err != nil {
		t.Error(err)
	}
	if err := f.Discard(ctx, "parked", "ann"); err != nil {
		t.Error(err)
	}
	put(t, f, "b", "b")
}

// The lock is free while the reader of a listing is slow, the listing shows what
// stays exactly once, and no batch is larger than listBatch.
func TestListingOfAChangingDirectory(t *testing.T) {
	f, ctx := audited(t, Options{}), t.Context()
	const n = 10 * listBatch
	for i := range n {
		put(t, f, fmt.Sprintf("%c%d", 'a'+i%2, i), "") // the a's stay, the b's go
	}
	seen := map[string]int{}
	i := 0
	for info, err := range f.ReadDir(ctx, ".", "") {
		if err != nil {
			t.Fatal(err)
		}
		seen[info.Name()]++
		if i++; i%3 == 0 {
			put(t, f, fmt.Sprintf("c%d", i), "")
		}
		if b := n - i*2 + 1; b > 0 {
			if err := f.Remove(ctx, fmt.Sprintf("b%d", b)); err != nil {
				t.Fatal(err)
			}
		}
		if i > 4*n {
			break // what is added meanwhile may be listed as well
		}
	}
	for i := 0; i < n; i += 2 {
		if name := fmt.Sprintf("a%d", i); seen[name] != 1 {
			t.Fatalf("%s is listed %d times", name, seen[name])
		}
	}
	infos := make([]vfs.Info, 0, listBatch)
	infos, _, more := f.nextEntries(infos, f.s.root, "", 0)
	if len(infos) > listBatch || !more {
		t.Errorf("a batch of %d, more: %v", len(infos), more)
	}
}

// stubborn takes at most n bytes of each Write.
type stubborn struct {
	bytes.Buffer
	n int
}

func (s *stubborn) Write(p []byte) (int, error) {
	if len(p) <= s.n {
		return s.Buffer.Write(p)
	}
	s.Buffer.Write(p[:s.n])
	return s.n, io.ErrShortWrite
}

func TestWriteToGoesOnWhereTheWriterStopped(t *testing.T) {
	f := audited(t, Options{})
	text := make([]byte, 3*chunkSize+17)
	for i := range text {
		text[i] = byte(i * 7 >> 3)
	}
	put(t, f, "a", string(text))
	file, err := f.Open(t.Context(), "a", 5, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	to := &stubborn{n: 40_000}
	total := int64(0)
	for {
		n, err := file.(io.WriterTo).WriteTo(to)
		if total += n; err == nil {
			break
		}
		wantErr(t, "WriteTo", err, io.ErrShortWrite)
	}
	if total != int64(len(text)-5) || !bytes.Equal(to.Bytes(), text[5:]) {
		t.Errorf("%d bytes, want %d; equal: %v", total, len(text)-5, bytes.Equal(to.Bytes(), text[5:]))
	}
}

func TestParkedUploadsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, ctx := New(Options{StagedExpiry: time.Hour}), t.Context()
		park := func(name string) {
			w, err := f.Create(ctx, name, vfs.CreateOptions{Owner: "ann"})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write([]byte("xx")); err != nil {
				t.Fatal(err)
			}
			if err := w.Park(); err != nil {
				t.Fatal(err)
			}
		}
		park("a")
		time.Sleep(30 * time.Minute)
		park("b")
		time.Sleep(30*time.Minute - 1)
		if _, err := f.StatStaged(ctx, "a", "ann"); err != nil {
			t.Errorf("just before it expires: %v", err)
		}
		time.Sleep(time.Nanosecond)
		_, err := f.StatStaged(ctx, "a", "ann")
		wantErr(t, "StatStaged", err, fs.ErrNotExist)
		if _, err := f.StatStaged(ctx, "b", "ann"); err != nil {
			t.Errorf("the younger: %v", err)
		}
		time.Sleep(time.Hour)
		put(t, f, "c", "")
		audit(t, f)
		if f.s.files != 1 {
			t.Errorf("%d files are left, want 1", f.s.files)
		}
	})
}

// A Commit that is refused because the session is gone parks the upload.
func TestCommitUnderADoneContextParks(t *testing.T) {
	f := audited(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	w, err := f.Create(ctx, "a", vfs.CreateOptions{Owner: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("xyz")); err != nil {
		t.Fatal(err)
	}
	cancel()
	wantErr(t, "Commit", w.Commit(), context.Canceled)
	if info, err := f.StatStaged(t.Context(), "a", "ann"); err != nil || info.Size() != 2 {
		t.Errorf("StatStaged = %v, %v", info, err)
	}
}

// A snapshot has everything, shares nothing that changes, and is a store like any.
// A file is born when its name is new: what replaces its content keeps the node, as
// O_TRUNC does, and what the client was told of it before stays true.
func TestTimeOfBirth(t *testing.T) {
	f, ctx, old := New(Options{}), t.Context(), time.Unix(1e9, 0)
	told := func(name string) *vfs.Attr {
		t.Helper()
		info, err := f.Stat(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		return vfs.AttrOf(info)
	}
	put(t, f, "f", "first")
	put(t, f, "g", "other")
	before := told("f")
	if err := f.SetCreateTime(ctx, "f", old); err != nil {
		t.Fatal(err)
	}
	if before.Created.Equal(old) {
		t.Error("SetCreateTime changes an info that was given out")
	}
	snapshot, err := f.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if err := snapshot.SetCreateTime(ctx, "f", time.Unix(2e9, 0)); err != nil {
		t.Fatal(err)
	}
	put(t, f, "f", "second")
	if err := f.Copy(ctx, "g", "f", vfs.CopyOptions{}); err != nil {
		t.Fatal(err)
	}
	if a := told("f"); !a.Created.Equal(old) || a.Unique != before.Unique {
		t.Errorf("replaced: %+v, before: %+v", a, before)
	}
	if err := errors.Join(f.Rename(ctx, "g", "f", vfs.RenameOptions{}), f.Rename(ctx, "f", "g", vfs.RenameOptions{})); err != nil {
		t.Fatal(err)
	}
	if a := told("g"); time.Since(a.Created) > 5*time.Minute {
		t.Errorf("a rename onto a file takes its time of birth: %+v", a)
	}
	put(t, f, "f", "third")
	if a := told("f"); time.Since(a.Created) > 5*time.Minute || a.Unique == before.Unique {
		t.Errorf("a new file: %+v", a)
	}
}

func TestSnapshot(t *testing.T) {
	ctx := t.Context()
	f := audited(t, Options{MaxBytes: 1 << 20, MaxFiles: 50})
	for _, dir := range []string{"a", "a/b", "gone"} {
		if err := f.Mkdir(ctx, dir); err != nil {
			t.Fatal(err)
		}
	}
	put(t, f, "a/f", "first")
	put(t, f, "top", strings.Repeat("x", 3*chunkSize/2))
	for name, target := range map[string]string{"a/b/in": "a/f", "a/out": "top", "link": "a"} {
		if err := f.Symlink(ctx, target, name); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Rmdir(ctx, "gone"); err != nil {
		t.Fatal(err)
	}
	stamp := time.Unix(1e9, 0)
	if err := errors.Join(f.SetModTime(ctx, "a/f", stamp), f.SetMode(ctx, "a/f", 0o600)); err != nil {
		t.Fatal(err)
	}
	parked := func(f *FS, name, text string) {
		t.Helper()
		w, err := f.Create(ctx, name, vfs.CreateOptions{Owner: "ann"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := w.Park(); err != nil {
			t.Fatal(err)
		}
	}
	parked(f, "a/half", "half of it")
	parked(f, "half", "of this")
	running, err := f.Create(ctx, "top", vfs.CreateOptions{Mode: vfs.Append})
	if err != nil {
		t.Fatal(err)
	}
	defer running.Abort()

	snap, err := f.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { audit(t, snap) })
	if got, want := snap.s.files, f.s.files; got != want {
		t.Errorf("the snapshot counts %d files, the store %d", got, want)
	}
	if got, want := snap.s.bytes.Load(), f.s.bytes.Load(); got != want {
		t.Errorf("the snapshot counts %d bytes, the store %d", got, want)
	}
	// Changes of the one are none of the other.
	put(t, f, "a/f", "second")
	put(t, snap, "a/g", "third")
	if err := write(snap, "top", "!", vfs.CreateOptions{Mode: vfs.Append}); err != nil {
		t.Errorf("an upload that runs in the store blocks the snapshot: %v", err)
	}
	if err := errors.Join(running.Abort(), f.Remove(ctx, "link"), f.Discard(ctx, "half", "ann")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a/f": "first", "link/b/in": "first", "a/out": strings.Repeat("x", 3*chunkSize/2) + "!", "link/g": "third"} {
		if got := get(t, snap, name); got != want {
			t.Errorf("%s of the snapshot holds %d bytes, want %d", name, len(got), len(want))
		}
	}
	if got := get(t, f, "a/f"); got != "second" {
		t.Errorf("the store holds %q", got)
	}
	_, err = f.Stat(ctx, "a/g")
	wantErr(t, "the snapshot's file in the store", err, fs.ErrNotExist)
	info, err := snap.Stat(ctx, "a/f")
	if err != nil || !info.ModTime().Equal(stamp) || info.Mode() != 0o600 {
		t.Errorf("a/f of the snapshot is %v, %v", info, err)
	}
	for name, size := range map[string]int64{"a/half": 9, "half": 6} {
		if info, err := snap.StatStaged(ctx, name, "ann"); err != nil || info.Size() != size {
			t.Errorf("%s is staged in the snapshot as %v, %v", name, info, err)
		}
	}
	if err := write(snap, "half", "t!", vfs.CreateOptions{Owner: "ann", Mode: vfs.WriteAt, Offset: 6}); err != nil {
		t.Fatal(err)
	}
	if got := get(t, snap, "half"); got != "of thit!" {
		t.Errorf("resumed in the snapshot: %q", got)
	}

	// Of a part.
	sub, err := vfs.Sub(snap, "a")
	if err != nil {
		t.Fatal(err)
	}
	part, err := sub.(*FS).Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { audit(t, part) })
	if got := get(t, part, "b/in"); got != "first" {
		t.Errorf("a link in the part leads to %q", got)
	}
	_, err = part.Stat(ctx, "out")
	wantErr(t, "a link out of the part", err, fs.ErrNotExist)
	if _, err := part.StatStaged(ctx, "half", "ann"); err != nil {
		t.Errorf("what is staged in the part: %v", err)
	}
	if err := f.Rename(ctx, "a", "z", vfs.RenameOptions{}); err != nil {
		t.Fatal(err)
	}
	sub, err = vfs.Sub(f, "a")
	if err != nil {
		t.Fatal(err)
	}
	_, err = sub.(*FS).Snapshot()
	wantErr(t, "Snapshot of what is gone", err, fs.ErrNotExist)
	if snap.s.opt != f.s.opt {
		t.Errorf("the limits are %+v and %+v", snap.s.opt, f.s.opt)
	}
}
