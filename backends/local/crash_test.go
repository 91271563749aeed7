//go:build linux

package local

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ftpgate/ftpgate/vfs"
)

// observe makes w see every change of f from now on; nil: nobody.
func (f *FS) observe(w witness) { f.witness, f.top.witness = w, w }

// version is what an inode holds at a time.
type version struct {
	data  []byte
	attrs map[string]string
}

func (v version) equal(o version) bool {
	return bytes.Equal(v.data, o.data) && maps.Equal(v.attrs, o.attrs)
}

// inode tells files apart, also those that had the same number one after the other.
type inode struct {
	number uint64
	birth  int64
}

func inodeOf(t *testing.T, f *os.File) inode {
	t.Helper()
	st, err := statFile(f)
	if err != nil {
		t.Fatal(err)
	}
	return inode{st.id.ino, st.birth.UnixNano()}
}

// picture is a directory at a time.
type picture struct {
	names  map[string]inode
	inodes map[inode]version
}

// take makes a picture of the directory path.
func take(t *testing.T, path string) picture {
	t.Helper()
	p := picture{names: map[string]inode{}, inodes: map[inode]version{}}
	entries, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		f, err := os.Open(filepath.Join(path, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		ino := inodeOf(t, f)
		p.names[e.Name()] = ino
		v := version{attrs: map[string]string{}}
		if v.data, err = os.ReadFile(f.Name()); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{safeAttr, keptAttr} {
			if text := attrOf(f, name); text != "" {
				v.attrs[name] = text
			}
		}
		p.inodes[ino] = v
		f.Close()
	}
	return p
}

// edit is what one call did to the names of a directory.
type edit struct {
	set map[string]inode
	del []string
}

// recorder knows what of a directory survives a crash of the machine: the content
// of a file as it was at its last fsync, the names as they were at that of the
// directory, and of everything later any part.
type recorder struct {
	t       *testing.T
	path    string
	last    picture             // after the call before
	pending string              // the call that is being made: an fsync, or empty
	synced  inode               // of this file; zero: the directory
	kept    map[inode][]version // by inode: at its last fsync, and all since then
	names   map[string]inode    // durable
	edits   []edit              // since then
	crash   func(state map[string]version)
	calls   int
}

func record(t *testing.T, path string, crash func(map[string]version)) *recorder {
	p := take(t, path) // all that is there at the beginning is old
	r := &recorder{t: t, path: path, last: p, kept: map[inode][]version{}, names: maps.Clone(p.names), crash: crash}
	for ino, v := range p.inodes {
		r.kept[ino] = []version{v}
	}
	return r
}

// witness is called before a change: then the one before is complete.
func (r *recorder) witness(c change) error {
	r.settle()
	r.crashes()
	r.calls++
	if r.pending = ""; c.call == "fsync" {
		r.pending, r.synced = c.call, inode{}
		if c.file != nil {
			r.synced = inodeOf(r.t, c.file)
		}
	}
	return nil
}

// settle notes what the last call did.
func (r *recorder) settle() {
	p := take(r.t, r.path)
	e := edit{set: map[string]inode{}}
	for name, ino := range p.names {
		if r.last.names[name] != ino {
			e.set[name] = ino
		}
	}
	for name := range r.last.names {
		if _, ok := p.names[name]; !ok {
			e.del = append(e.del, name)
		}
	}
	if len(e.set)+len(e.del) > 0 {
		r.edits = append(r.edits, e)
	}
	for ino, v := range p.inodes {
		if _, old := r.last.inodes[ino]; !old {
			r.kept[ino] = []version{{}}
		}
		if !v.equal(r.last.inodes[ino]) {
			r.kept[ino] = append(r.kept[ino], v)
		}
	}
	switch {
	case r.pending == "":
	case r.synced == (inode{}):
		r.names, r.edits = maps.Clone(p.names), nil
	default:
		r.kept[r.synced] = []version{p.inodes[r.synced]}
	}
	// A file that lost its name may still come back by the loss of that loss.
	for ino, v := range r.last.inodes {
		if _, ok := p.inodes[ino]; !ok {
			p.inodes[ino] = v
		}
	}
	r.last = p
}

// fates are what a crash may leave of an inode: content and attributes of any time
// since its last fsync, whole or with parts that were not written.
func (r *recorder) fates(ino inode) []version {
	kept := r.kept[ino]
	var contents [][]byte
	for _, v := range kept {
		if !slices.ContainsFunc(contents, func(b []byte) bool { return bytes.Equal(b, v.data) }) {
			contents = append(contents, v.data)
		}
	}
	if len(contents) > 1 {
		was, now := contents[0], r.last.inodes[ino].data
		safe := 0 // what is as it was
		for safe < min(len(was), len(now)) && was[safe] == now[safe] {
			safe++
		}
		middle := safe + (len(now)-safe)/2
		holes, half := slices.Clone(now), slices.Clone(now)
		clear(holes[safe:])
		clear(half[safe:middle])
		contents = append(contents, now[:middle], holes, half)
	}
	var all []version
	for _, data := range contents {
		for _, v := range kept {
			v.data = data
			if !slices.ContainsFunc(all, v.equal) {
				all = append(all, v)
			}
		}
	}
	return all
}

// crashes hands every directory that a crash could leave now to crash.
func (r *recorder) crashes() {
	if len(r.edits) > 8 {
		r.t.Fatalf("%d changes of names are not durable", len(r.edits))
	}
	for subset := range 1 << len(r.edits) {
		names := maps.Clone(r.names)
		for i, e := range r.edits {
			if subset>>i&1 == 0 {
				continue
			}
			for _, name := range e.del {
				delete(names, name)
			}
			maps.Copy(names, e.set)
		}
		r.spread(slices.Sorted(maps.Keys(names)), names, map[inode]version{}, map[string]version{})
	}
}

// spread goes through the fates of the inodes of names.
func (r *recorder) spread(todo []string, names map[string]inode, chosen map[inode]version, state map[string]version) {
	if len(todo) == 0 {
		r.crash(state)
		return
	}
	name, ino := todo[0], names[todo[0]]
	if v, ok := chosen[ino]; ok { // its second name
		state[name] = v
		r.spread(todo[1:], names, chosen, state)
		return
	}
	for _, v := range r.fates(ino) {
		chosen[ino], state[name] = v, v
		r.spread(todo[1:], names, chosen, state)
	}
	delete(chosen, ino)
}

// story is something that a session does to the file f.
type story struct {
	name string
	opt  Options
	old  []byte // stands there before; nil: nothing
	data []byte // of the whole upload
	ends bool   // in a Commit
	tail bool   // is added in place, so that a part of it may show behind what is old
	do   func(f *FS, data []byte) error
}

// storyOwner uploads in the stories.
const storyOwner = "ann"

// uploadTo begins an upload to f, writes what of data follows up to byte n in pieces,
// and ends it by end.
func uploadTo(opt vfs.CreateOptions, n int, end func(vfs.Writer) error) func(*FS, []byte) error {
	return func(f *FS, data []byte) error {
		w, err := f.Create(context.Background(), "f", opt)
		if err != nil {
			return err
		}
		defer w.Abort()
		for at := int(w.Offset()); at < n; at += 2000 {
			if _, err := w.Write(data[at:min(at+2000, n)]); err != nil {
				_ = w.Park()
				return err
			}
		}
		return end(w)
	}
}

// inOrder does one thing after the other.
func inOrder(steps ...func(*FS, []byte) error) func(*FS, []byte) error {
	return func(f *FS, data []byte) error {
		for _, step := range steps {
			if err := step(f, data); err != nil {
				return err
			}
		}
		return nil
	}
}

// bytesWithoutZero returns n bytes of which none is 0, so that a hole is no content.
func bytesWithoutZero(seed byte, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	for i := range b {
		b[i] |= 1
	}
	return b
}

// stories are all kinds of uploads, with all ends.
func stories() []story {
	commit, park, abort := vfs.Writer.Commit, vfs.Writer.Park, vfs.Writer.Abort
	synced := func(w vfs.Writer) error {
		err := w.Sync()
		if cerr := w.Commit(); err == nil {
			err = cerr
		}
		return err
	}
	anybody, owned := vfs.CreateOptions{}, vfs.CreateOptions{Owner: storyOwner}
	at := func(offset int64) vfs.CreateOptions {
		return vfs.CreateOptions{Owner: storyOwner, Mode: vfs.WriteAt, Offset: offset}
	}
	old, data := bytesWithoutZero(1, 3000), bytesWithoutZero(2, 5000)
	all := len(data)
	begun := uploadTo(owned, 3000, park)
	return []story{
		{"new", Options{}, nil, data, true, false, uploadTo(anybody, all, commit)},
		{"new, of an owner", Options{}, nil, data, true, false, uploadTo(owned, all, commit)},
		{"new, not to replace", Options{}, nil, data, true, false, uploadTo(vfs.CreateOptions{NoReplace: true}, all, commit)},
		{"of announced size", Options{}, nil, data, true, false, uploadTo(vfs.CreateOptions{SizeHint: 8000}, all, commit)},
		{"replacing", Options{}, old, data, true, false, uploadTo(anybody, all, commit)},
		{"replacing, of an owner", Options{FileMode: 0o640}, old, data, true, false, uploadTo(owned, all, synced)},
		{"aborted", Options{}, old, data, false, false, uploadTo(owned, 3000, abort)},
		{"parked", Options{}, old, data, false, false, begun},
		{"resumed", Options{}, old, data, true, false, inOrder(begun, uploadTo(at(2999), all, commit))},
		{"resumed twice", Options{}, old, data, true, false, inOrder(begun, uploadTo(at(1000), 2500, park), uploadTo(at(2499), all, commit))},
		{"resumed, aborted", Options{}, old, data, false, false, inOrder(begun, uploadTo(at(1000), 2500, abort))},
		{"anew", Options{}, old, data, true, false, inOrder(begun, uploadTo(owned, all, commit))},
		{"appending", Options{CopyLimit: -1}, old, slices.Concat(old, data), true, false,
			uploadTo(vfs.CreateOptions{Owner: storyOwner, Mode: vfs.Append}, 8000, commit)},
		{"appending in place", Options{CopyLimit: 1}, old, slices.Concat(old, data), true, true,
			uploadTo(vfs.CreateOptions{Owner: storyOwner, Mode: vfs.Append}, 8000, commit)},
		{"from the middle on", Options{}, old, slices.Concat(old[:1000], data), true, false, uploadTo(at(1000), 6000, commit)},
	}
}

// stage makes a directory in which the story can begin.
func (s story) stage(t *testing.T) (*FS, string) {
	t.Helper()
	path := t.TempDir()
	if s.old != nil {
		if err := os.WriteFile(path+"/f", s.old, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s.opt.Dir = path
	f, err := Open(s.opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, path
}

// isOld reports whether got is what stood there before the story.
func (s story) isOld(got []byte) bool {
	if s.tail && len(got) > len(s.old) {
		got = got[:len(s.old)]
	}
	return bytes.Equal(got, s.old) && (got == nil) == (s.old == nil)
}

// visible returns what f holds, nil if it is not there, and fails if more is there.
func visible(t *testing.T, f *FS) []byte {
	t.Helper()
	var data []byte
	for info, err := range f.ReadDir(t.Context(), ".", "") {
		if err != nil || info.Name() != "f" {
			t.Fatalf("the directory shows %v, %v", info, err)
		}
		if data, err = os.ReadFile(filepath.Join(f.opt.Dir, "f")); err != nil {
			t.Fatal(err)
		}
	}
	return data
}

// TestPowerCut lets the machine go down between any two changes of the disk in every
// kind of upload, with any part of what was not synced lost. Then the file is the old
// one or the new one, after the confirmation the new one; what is told of as parked
// becomes the new one when it is resumed; and whatever is left over is swept.
func TestPowerCut(t *testing.T) {
	for _, s := range stories() {
		t.Run(s.name, func(t *testing.T) {
			f, path := s.stage(t)
			states, done := map[[32]byte]bool{}, false
			after := t.TempDir()
			r := record(t, path, func(state map[string]version) {
				if key := digestOf(done, state); !states[key] {
					states[key] = true
					s.survives(t, after, state, done)
				}
			})
			f.observe(r.witness)
			if err := s.do(f, s.data); err != nil {
				t.Fatal(err)
			}
			r.settle()
			done = true
			r.crashes()
			if r.calls < 4 || len(states) < 4 {
				t.Errorf("only %d changes and %d states were seen", r.calls, len(states))
			}
			t.Logf("%d changes, %d states", r.calls, len(states))
		})
	}
}

// digestOf tells states apart.
func digestOf(done bool, state map[string]version) [32]byte {
	all := fmt.Append(nil, done)
	for _, name := range slices.Sorted(maps.Keys(state)) {
		sum := sha256.Sum256(state[name].data)
		all = fmt.Append(append(all, sum[:]...), name, state[name].attrs)
	}
	return sha256.Sum256(all)
}

// survives checks one state of the disk after a crash; done says that the session
// had its confirmation.
func (s story) survives(t *testing.T, path string, state map[string]version, done bool) {
	t.Helper()
	describe := func() string {
		var all []string
		for name, v := range state {
			all = append(all, fmt.Sprintf("%s (%d bytes, %v)", name, len(v.data), v.attrs))
		}
		return strings.Join(all, ", ")
	}
	f := s.reopen(t, path, state)
	defer f.Close()
	got := visible(t, f)
	fresh := s.ends && bytes.Equal(got, s.data)
	if !fresh && !s.isOld(got) || done && s.ends && !fresh {
		t.Fatalf("confirmed %v: f holds %d bytes, neither old nor new, of %s", done, len(got), describe())
	}
	if info, err := f.StatStaged(t.Context(), "f", storyOwner); err == nil {
		opt := vfs.CreateOptions{Owner: storyOwner, Mode: vfs.WriteAt, Offset: info.Size()}
		if err := uploadTo(opt, len(s.data), vfs.Writer.Commit)(f, s.data); err != nil {
			t.Fatalf("resuming at %d: %v; of %s", info.Size(), err, describe())
		}
		if got := visible(t, f); !bytes.Equal(got, s.data) {
			t.Fatalf("resumed at %d to something else, of %s", info.Size(), describe())
		}
		f.Close()
		f = s.reopen(t, path, state)
	}
	sweepAll(t, f)
}

// reopen makes state the content of the directory path and serves it after a reboot.
func (s story) reopen(t *testing.T, path string, state map[string]version) *FS {
	t.Helper()
	if err := errors.Join(os.RemoveAll(path), os.Mkdir(path, 0o755)); err != nil {
		t.Fatal(err)
	}
	for name, v := range state {
		file, err := os.Create(filepath.Join(path, name))
		if err != nil {
			t.Fatal(err)
		}
		_, err = file.Write(v.data)
		for attr, text := range v.attrs {
			err = errors.Join(err, setAttr(file, attr, text))
		}
		if err = errors.Join(err, file.Close()); err != nil {
			t.Fatal(err)
		}
	}
	s.opt.Dir, s.opt.NoSync = path, true
	f, err := Open(s.opt)
	if err != nil {
		t.Fatal(err)
	}
	f.boot = time.Now().Add(time.Minute)
	return f
}

// sweepAll sweeps when everything has expired, after which f alone may be there.
func sweepAll(t *testing.T, f *FS) {
	t.Helper()
	past := time.Now().Add(-48 * time.Hour)
	entries, err := os.ReadDir(f.opt.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if err := os.Chtimes(filepath.Join(f.opt.Dir, e.Name()), past, past); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(f.opt.Dir)
	if err != nil || len(left) > 1 || len(left) == 1 && left[0].Name() != "f" {
		t.Fatalf("the sweep leaves %v, %v", left, err)
	}
}

// TestBrokenDisk lets each change of the disk fail in every kind of upload, for every
// reason once, and for some from then on for ever. The error is the right one, the file is the
// old one or complete, the next upload succeeds, and whatever is left over is swept.
func TestBrokenDisk(t *testing.T) {
	reasons := []syscall.Errno{unix.EIO, unix.ENOSPC, unix.EDQUOT, unix.EROFS, unix.ENAMETOOLONG}
	for _, s := range stories() {
		t.Run(s.name, func(t *testing.T) {
			for _, noSync := range []bool{true, false} {
				s.opt.NoSync = noSync
				f, _ := s.stage(t)
				var calls []string
				f.observe(func(c change) error { calls = append(calls, c.call); return nil })
				if err := s.do(f, s.data); err != nil {
					t.Fatal(err)
				}
				for i, call := range calls {
					for _, errno := range reasons {
						// With fsync, which takes its time, only that fails, as it may.
						if noSync {
							s.breaks(t, errno, i+1, false)
							if errno == unix.EIO || errno == unix.ENOSPC {
								s.breaks(t, errno, i+1, true)
							}
						} else if call == "fsync" && errno != unix.EROFS && errno != unix.ENAMETOOLONG {
							s.breaks(t, errno, i+1, errno == unix.EIO)
						}
					}
				}
			}
		})
	}
}

// breaks lets the change number at fail, and if forever those that follow.
func (s story) breaks(t *testing.T, errno syscall.Errno, at int, forever bool) {
	t.Helper()
	f, path := s.stage(t)
	calls, broke := 0, ""
	f.observe(func(c change) error {
		if calls++; calls == at || forever && calls > at {
			if broke == "" {
				broke = c.call + " " + c.base
			}
			return errno
		}
		return nil
	})
	err := s.do(f, s.data)
	f.observe(nil)
	f.opt.NoSync = true
	what := fmt.Sprintf("%s at %q (change %d, forever %v)", errno, broke, at, forever)
	pe, isPath := err.(*fs.PathError)
	switch {
	case err == nil:
	case !isPath || pe.Path != "f" || strings.Contains(err.Error(), path):
		t.Errorf("%s: %#v", what, err)
	case vfs.Kind(err) != errnoMeaning(errno):
		t.Errorf("%s ends in %v", what, err)
	}
	got := visible(t, f)
	fresh := s.ends && bytes.Equal(got, s.data)
	if !fresh && !s.isOld(got) || err == nil && s.ends && !fresh {
		t.Errorf("%s: f holds %d bytes, neither old nor new; %v", what, len(got), err)
	}
	// A disk that takes no change can't be rolled back either.
	if fresh && err != nil && broke != "fsync ." && !(s.tail && forever) {
		t.Errorf("%s: the new file is there, although %v", what, err)
	}
	next := []byte("the next one")
	if err := uploadTo(vfs.CreateOptions{Owner: storyOwner}, len(next), vfs.Writer.Commit)(f, next); err != nil {
		t.Errorf("%s: the next upload: %v", what, err)
	}
	if got := visible(t, f); !bytes.Equal(got, next) {
		t.Errorf("%s: after the next upload f holds %d bytes", what, len(got))
	}
	sweepAll(t, f)
}
