package vfstest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ftpgate/ftpgate/vfs"
	"github.com/ftpgate/ftpgate/vfs/vfstest"
)

// A mapStore is a complete small backend: files in a map, without links, parking and
// renames of directories.
type mapStore struct {
	mu    sync.RWMutex
	nodes map[string]*node // never changed in place; "." is there
	next  int
	busy  map[string]bool // names that an upload continues
}

// node is one version of a file, or a directory.
type node struct {
	id       int
	data     []byte
	dir      bool
	modified time.Time
}

func newMapStore() *mapStore {
	return &mapStore{nodes: map[string]*node{".": {dir: true, modified: time.Now()}}, busy: map[string]bool{}}
}

// Caps says only what the code below does.
func (s *mapStore) Caps() vfs.Caps {
	return vfs.CanWrite | vfs.CanAppend | vfs.CanWriteAt | vfs.CanNoReplace | vfs.AtomicCommit | vfs.AtomicRename | vfs.RealDirs
}

// begin is the beginning of every method.
func begin(ctx context.Context, op, name string) error {
	if err := vfs.CheckName(op, name); err != nil {
		return err
	}
	return vfs.ContextError(ctx, op, name)
}

// get finds what is there. Below a file it is ErrNotDir.
func (s *mapStore) get(name string) (*node, error) {
	if n := s.nodes[name]; n != nil {
		return n, nil
	}
	for dir, _ := vfs.Split(name); dir != "."; dir, _ = vfs.Split(dir) {
		if n := s.nodes[dir]; n != nil && !n.dir {
			return nil, vfs.ErrNotDir
		}
	}
	return nil, fs.ErrNotExist
}

// parent checks that something can be made at name.
func (s *mapStore) parent(name string) error {
	dir, _ := vfs.Split(name)
	n, err := s.get(dir)
	if err == nil && !n.dir {
		return vfs.ErrNotDir
	}
	return err
}

// change runs do under the lock, and gives its error the caller's name.
func (s *mapStore) change(ctx context.Context, op, name string, do func() error) error {
	if err := begin(ctx, op, name); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return vfs.PathError(op, name, do())
}

func (s *mapStore) info(name string, n *node) vfs.Info {
	_, base := vfs.Split(name)
	mode := fs.FileMode(0o644)
	if n.dir {
		mode = fs.ModeDir | 0o755
	}
	return vfs.NewInfo(base, int64(len(n.data)), mode, n.modified, &vfs.Attr{Unique: fmt.Sprint(n.id)})
}

func (s *mapStore) Stat(ctx context.Context, name string) (fs.FileInfo, error) {
	if err := begin(ctx, "stat", name); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	n, err := s.get(name)
	if err != nil {
		return nil, vfs.PathError("stat", name, err)
	}
	return s.info(name, n), nil
}

// ReadDir holds the lock only while it copies. (A real store would go on in pages:
// this one holds all names at once.)
func (s *mapStore) ReadDir(ctx context.Context, name, prefix string) iter.Seq2[fs.FileInfo, error] {
	return func(yield func(fs.FileInfo, error) bool) {
		if err := begin(ctx, "readdir", name); err != nil {
			yield(nil, err)
			return
		}
		s.mu.RLock()
		n, err := s.get(name)
		if err == nil && !n.dir {
			err = vfs.ErrNotDir
		}
		nodes := maps.Clone(s.nodes)
		s.mu.RUnlock()
		if err != nil {
			yield(nil, vfs.PathError("readdir", name, err))
			return
		}
		for full, n := range nodes {
			dir, base := vfs.Split(full)
			if full == "." || dir != name || !strings.HasPrefix(base, prefix) {
				continue
			}
			if err := vfs.ContextError(ctx, "readdir", name); err != nil {
				yield(nil, err)
				return
			}
			if !yield(s.info(full, n), nil) {
				return
			}
		}
		if err := vfs.ContextError(ctx, "readdir", name); err != nil {
			yield(nil, err)
		}
	}
}

func (s *mapStore) Open(ctx context.Context, name string, offset, length int64) (fs.File, error) {
	if err := begin(ctx, "open", name); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	n, err := s.get(name)
	switch {
	case err != nil:
	case n.dir:
		err = vfs.ErrIsDir
	case offset < 0:
		err = fs.ErrInvalid
	case offset > int64(len(n.data)):
		err = &vfs.OffsetError{Offset: offset, Accept: int64(len(n.data))}
	}
	if err != nil {
		return nil, vfs.PathError("open", name, err)
	}
	data := n.data[offset:]
	if length >= 0 && length < int64(len(data)) {
		data = data[:length]
	}
	return &mapFile{ctx, name, s.info(name, n), bytes.NewReader(data), false}, nil
}

// mapFile reads the version that was opened.
type mapFile struct {
	ctx    context.Context
	name   string
	info   vfs.Info
	data   *bytes.Reader
	closed bool
}

func (f *mapFile) Stat() (fs.FileInfo, error) { return f.info, nil }

func (f *mapFile) Read(p []byte) (int, error) {
	if f.closed {
		return 0, vfs.PathError("read", f.name, fs.ErrClosed)
	}
	if err := vfs.ContextError(f.ctx, "read", f.name); err != nil {
		return 0, err
	}
	return f.data.Read(p)
}

func (f *mapFile) Close() error {
	f.closed = true
	return nil
}

func (s *mapStore) Create(ctx context.Context, name string, opt vfs.CreateOptions) (vfs.Writer, error) {
	w := &mapWriter{ctx: ctx, s: s, name: name, opt: opt}
	if err := s.change(ctx, "create", name, w.begin); err != nil {
		return nil, err
	}
	return w, nil
}

// mapWriter collects an upload; Commit puts it in place by one assignment.
type mapWriter struct {
	ctx    context.Context
	s      *mapStore
	name   string
	opt    vfs.CreateOptions
	offset int64
	data   bytes.Buffer
	done   bool
}

func (w *mapWriter) begin() error {
	n, err := w.s.get(w.name)
	switch {
	case err == nil && n.dir:
		return vfs.ErrIsDir
	case err == nil && w.opt.NoReplace:
		return fs.ErrExist
	case w.opt.Offset < 0:
		return fs.ErrInvalid
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case w.s.parent(w.name) != nil:
		return w.s.parent(w.name)
	}
	var old []byte
	if n != nil {
		old = n.data
	}
	switch w.opt.Mode {
	case vfs.Append:
		w.offset = int64(len(old))
	case vfs.WriteAt:
		if w.offset = w.opt.Offset; w.offset > int64(len(old)) {
			return &vfs.OffsetError{Offset: w.offset, Accept: int64(len(old))}
		}
	default:
		return nil
	}
	if w.s.busy[w.name] { // one upload at a time continues a file
		return vfs.ErrBusy
	}
	w.s.busy[w.name] = true
	w.data.Write(old[:w.offset])
	return nil
}

func (w *mapWriter) Offset() int64 { return w.offset }

func (w *mapWriter) check(op string) error {
	if w.done {
		return vfs.PathError(op, w.name, fs.ErrClosed)
	}
	return vfs.ContextError(w.ctx, op, w.name)
}

func (w *mapWriter) Write(p []byte) (int, error) {
	if err := w.check("write"); err != nil {
		return 0, err
	}
	return w.data.Write(p)
}

// ReadFrom returns errors of r as they are.
func (w *mapWriter) ReadFrom(r io.Reader) (int64, error) {
	if err := w.check("write"); err != nil {
		return 0, err
	}
	return io.Copy(&w.data, r)
}

func (w *mapWriter) Sync() error {
	if w.done {
		return nil
	}
	return w.check("sync")
}

func (w *mapWriter) Commit() error {
	return w.end("commit", func() error {
		if err := w.check("commit"); err != nil {
			return err
		}
		if err := w.s.parent(w.name); err != nil { // it may be gone by now
			return err
		}
		switch n := w.s.nodes[w.name]; {
		case n != nil && n.dir:
			return vfs.ErrIsDir
		case n != nil && w.opt.NoReplace:
			return fs.ErrExist
		}
		w.s.put(w.name, &node{data: w.data.Bytes()})
		return nil
	})
}

// Park can't; it aborts and says so.
func (w *mapWriter) Park() error {
	return w.end("park", func() error { return errors.ErrUnsupported })
}

func (w *mapWriter) Abort() error {
	return w.end("abort", func() error { return nil })
}

// end runs the first end, under the lock; later ones are nothing.
func (w *mapWriter) end(op string, do func() error) error {
	if w.done {
		return nil
	}
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	err := do()
	w.done = true
	if w.opt.Mode != vfs.Replace {
		delete(w.s.busy, w.name)
	}
	return vfs.PathError(op, w.name, err)
}

// put makes n the newest version of name, under the lock.
func (s *mapStore) put(name string, n *node) {
	s.next++
	n.id, n.modified = s.next, time.Now()
	s.nodes[name] = n
}

func (s *mapStore) Mkdir(ctx context.Context, name string) error {
	return s.change(ctx, "mkdir", name, func() error {
		if s.nodes[name] != nil {
			return fs.ErrExist
		}
		if err := s.parent(name); err != nil {
			return err
		}
		s.put(name, &node{dir: true})
		return nil
	})
}

func (s *mapStore) Remove(ctx context.Context, name string) error {
	return s.change(ctx, "remove", name, func() error {
		n, err := s.get(name)
		if err == nil && n.dir {
			err = vfs.ErrIsDir
		}
		if err == nil {
			delete(s.nodes, name)
		}
		return err
	})
}

func (s *mapStore) Rmdir(ctx context.Context, name string) error {
	return s.change(ctx, "rmdir", name, func() error {
		n, err := s.get(name)
		switch {
		case err != nil:
			return err
		case !n.dir:
			return vfs.ErrNotDir
		case name == ".":
			return fs.ErrPermission
		}
		for other := range s.nodes {
			if other != name && vfs.Within(other, name) {
				return vfs.ErrNotEmpty
			}
		}
		delete(s.nodes, name)
		return nil
	})
}

func (s *mapStore) Rename(ctx context.Context, oldname, newname string, opt vfs.RenameOptions) error {
	if err := vfs.CheckName("rename", newname); err != nil {
		return err
	}
	return s.change(ctx, "rename", oldname, func() error {
		from, err := s.get(oldname)
		to := s.nodes[newname]
		switch {
		case oldname == "." || newname == ".":
			return fs.ErrPermission
		case err != nil:
			return err
		case oldname == newname:
			return nil
		case s.parent(newname) != nil:
			return s.parent(newname)
		case from.dir && vfs.Within(newname, oldname):
			return fs.ErrInvalid
		case to != nil && (opt.NoReplace || to.dir || from.dir):
			return fs.ErrExist
		case from.dir:
			return errors.ErrUnsupported
		}
		s.nodes[newname] = from
		delete(s.nodes, oldname)
		return nil
	})
}

// The suite holds it to the contract.
func TestExampleBackend(t *testing.T) {
	h := vfstest.Harness{MaxEntries: 100, New: func(*testing.T) vfs.FS { return newMapStore() }}
	vfstest.Run(t, h)
	t.Run("mounted", func(t *testing.T) { vfstest.Run(t, h.Mounted()) })
}

// A backend is used by its methods; abilities that it may lack by the functions of
// package vfs.
func Example() {
	ctx := context.Background()
	var store vfs.FS = newMapStore()
	w, err := store.Create(ctx, "hello.txt", vfs.CreateOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer w.Abort() // nothing after Commit
	fmt.Fprint(w, "hello")
	_, err = store.Stat(ctx, "hello.txt")
	fmt.Println("before Commit:", err)
	if err := w.Commit(); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("copied by streaming:", vfs.Copy(ctx, store, "hello.txt", "copy.txt", vfs.CopyOptions{}))
	size, err := vfs.Size(ctx, store, "copy.txt")
	fmt.Println(size, err)
	_, err = vfs.Space(ctx, store, ".")
	fmt.Println(err)
	// Output:
	// before Commit: stat hello.txt: file does not exist
	// copied by streaming: <nil>
	// 5 <nil>
	// space .: unsupported operation
}
