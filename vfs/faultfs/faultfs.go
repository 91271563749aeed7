// Package faultfs makes a store fail on purpose: a backend that hangs, a disk that
// is full in the middle of a transfer, a Commit whose answer is lost.
//
//	f := faultfs.New(store)
//	full := f.Inject(faultfs.Fault{Op: faultfs.Write, After: 1 << 20, Err: vfs.ErrNoSpace})
//	...
//	if full.Struck() == 0 { ... }
//
// What no fault matches reaches the store unchanged, and a reader given to
// ReadFrom reaches it unwrapped.
package faultfs

import (
	"context"
	"io/fs"
	"iter"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/ftpgate/ftpgate/vfs"
)

// Op is what a fault happens to.
type Op string

// The methods of the FS and its abilities, and of what Open and Create return.
const (
	Stat          Op = "stat"
	ReadDir       Op = "readdir" // before each entry
	Open          Op = "open"
	Create        Op = "create"
	Mkdir         Op = "mkdir"
	Remove        Op = "remove"
	Rmdir         Op = "rmdir"
	Rename        Op = "rename"
	Copy          Op = "copy"
	Hash          Op = "hash"
	SetModTime    Op = "settime"
	SetCreateTime Op = "setcreatetime"
	SetMode       Op = "setmode"
	Space         Op = "space"
	Symlink       Op = "symlink"
	Staged        Op = "staged" // before each entry
	StatStaged    Op = "statstaged"
	Discard       Op = "discard"

	Read   Op = "read"  // of a file, by whichever method
	Write  Op = "write" // of an upload, by Write or ReadFrom
	Sync   Op = "sync"
	Commit Op = "commit"
	Park   Op = "park"
	Abort  Op = "abort"
)

// Fault says what goes wrong, when, and to what. First it waits (Delay, Hang), then
// it fails (Err); without Err the operation goes on.
type Fault struct {
	Op      Op     // empty: every operation
	Pattern string // of the name, as in path.Match; empty: every name. Rename and Copy are known by either name
	Skip    int    // how many times it lets pass first
	Count   int    // how many times it strikes then; 0: always
	// After is for Read and Write: the bytes of the file or upload that pass first;
	// and for ReadDir and Staged: the entries.
	After int64

	Delay time.Duration // waits so long, or until the context is done
	Hang  bool          // waits until Release, or until the context is done
	Deaf  bool          // Delay and Hang ignore the context, as in Park and Abort they always do
	Short int           // Read returns at most so many bytes; 0: no limit
	Err   error         // what the operation fails with, as an *fs.PathError
	Late  bool          // Err comes after the operation has taken effect: its answer is lost
}

// FS is a store with faults. Its methods may be called concurrently.
type FS struct {
	inner  vfs.FS
	prefix string // of a Sub, in the names that patterns see
	rules  *rules
}

var (
	_ vfs.Full   = (*FS)(nil)
	_ vfs.Subber = (*FS)(nil)
)

// rules are shared by an FS and its Subs.
type rules struct {
	mu   sync.Mutex
	list []*Rule
}

// Rule is an injected fault. Its methods may be called concurrently.
type Rule struct {
	fault   Fault
	rules   *rules
	struck  int
	passed  int
	reached chan struct{} // closed at the first strike
	release chan struct{} // closed by Release
}

// New returns fsys with no faults yet.
func New(fsys vfs.FS) *FS { return &FS{inner: fsys, prefix: ".", rules: &rules{}} }

// Inject adds a fault. Several that match strike in the order of their injection,
// up to the first error. It panics if the pattern is malformed.
func (f *FS) Inject(fault Fault) *Rule {
	if _, err := path.Match(fault.Pattern, ""); err != nil {
		panic("faultfs: " + err.Error() + ": " + fault.Pattern)
	}
	r := &Rule{fault: fault, rules: f.rules, reached: make(chan struct{}), release: make(chan struct{})}
	f.rules.mu.Lock()
	defer f.rules.mu.Unlock()
	f.rules.list = append(f.rules.list, r)
	return r
}

// Release takes the fault away and lets go what hangs in it.
func (r *Rule) Release() {
	r.rules.mu.Lock()
	defer r.rules.mu.Unlock()
	if i := slices.Index(r.rules.list, r); i >= 0 {
		r.rules.list = slices.Delete(r.rules.list, i, i+1)
		close(r.release)
	}
}

// Struck returns how many times the fault struck.
func (r *Rule) Struck() int {
	r.rules.mu.Lock()
	defer r.rules.mu.Unlock()
	return r.struck
}

// Reached is closed when the fault strikes for the first time, before it waits.
func (r *Rule) Reached() <-chan struct{} { return r.reached }

// matches reports whether the fault is one of op on one of names. The caller holds
// the lock.
func (r *Rule) matches(op Op, names []string) bool {
	if r.fault.Op != "" && r.fault.Op != op {
		return false
	}
	return r.fault.Pattern == "" || slices.ContainsFunc(names, func(name string) bool {
		ok, _ := path.Match(r.fault.Pattern, name)
		return ok
	})
}

// due takes the rules that strike now.
func (rs *rules) due(op Op, at int64, names []string) []*Rule {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	var due []*Rule
	for _, r := range rs.list {
		if at < r.fault.After || !r.matches(op, names) {
			continue
		}
		if r.passed < r.fault.Skip {
			r.passed++
			continue
		}
		if r.fault.Count > 0 && r.struck >= r.fault.Count {
			continue
		}
		if r.struck++; r.struck == 1 {
			close(r.reached)
		}
		due = append(due, r)
		if r.fault.Err != nil {
			break
		}
	}
	return due
}

// next returns how many bytes may pass from at before another fault has to be
// looked for, and the longest read that is allowed; 0 is no limit.
func (rs *rules) next(op Op, at int64, names []string) (pass int64, short int) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for _, r := range rs.list {
		if !r.matches(op, names) {
			continue
		}
		if to := r.fault.After - at; to > 0 && (pass == 0 || to < pass) {
			pass = to
		}
		if s := r.fault.Short; s > 0 && at >= r.fault.After && (short == 0 || s < short) {
			short = s
		}
	}
	return pass, short
}

// strike lets the faults happen that are due. late is the error to return although
// the operation is done.
func (f *FS) strike(ctx context.Context, op Op, at int64, names ...string) (late, err error) {
	for _, r := range f.rules.due(op, at, f.full(names)) {
		if err := r.wait(ctx, op); err != nil {
			return nil, vfs.PathError(string(op), names[0], err)
		}
		if r.fault.Err != nil {
			failure := vfs.PathError(string(op), names[0], r.fault.Err)
			if r.fault.Late {
				return failure, nil
			}
			return nil, failure
		}
	}
	return nil, nil
}

func (f *FS) full(names []string) []string {
	if f.prefix == "." {
		return names
	}
	full := make([]string, len(names))
	for i, name := range names {
		full[i] = vfs.Join(f.prefix, name)
	}
	return full
}

func (r *Rule) wait(ctx context.Context, op Op) error {
	done := ctx.Done()
	if r.fault.Deaf || op == Park || op == Abort {
		done = nil
	}
	if r.fault.Delay > 0 {
		timer := time.NewTimer(r.fault.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.release:
		case <-done:
			return context.Cause(ctx)
		}
	}
	if r.fault.Hang {
		select {
		case <-r.release:
		case <-done:
			return context.Cause(ctx)
		}
	}
	return nil
}

// do runs an operation between its faults.
func (f *FS) do(ctx context.Context, op Op, call func() error, names ...string) error {
	late, err := f.strike(ctx, op, 0, names...)
	if err != nil {
		return err
	}
	if err := call(); err != nil {
		return err
	}
	return late
}

// value runs an operation that returns something.
func value[T any](f *FS, ctx context.Context, op Op, name string, call func() (T, error)) (T, error) {
	var v, none T
	err := f.do(ctx, op, func() (err error) {
		v, err = call()
		return err
	}, name)
	if err != nil {
		return none, err
	}
	return v, nil
}

// Caps implements vfs.FS; faults change nothing about it.
func (f *FS) Caps() vfs.Caps { return f.inner.Caps() }

// Sub implements vfs.Subber: the faults stay, and their patterns see the names of
// f.
func (f *FS) Sub(dir string) (vfs.FS, error) {
	sub, err := vfs.Sub(f.inner, dir)
	if err != nil {
		return nil, err
	}
	return &FS{inner: sub, prefix: vfs.Join(f.prefix, dir), rules: f.rules}, nil
}

// Stat implements vfs.FS.
func (f *FS) Stat(ctx context.Context, name string) (fs.FileInfo, error) {
	return value(f, ctx, Stat, name, func() (fs.FileInfo, error) { return f.inner.Stat(ctx, name) })
}

// ReadDir implements vfs.FS.
func (f *FS) ReadDir(ctx context.Context, name, prefix string) iter.Seq2[fs.FileInfo, error] {
	return f.list(ctx, ReadDir, name, func() iter.Seq2[fs.FileInfo, error] { return f.inner.ReadDir(ctx, name, prefix) })
}

// list strikes before each entry, and before the end.
func (f *FS) list(ctx context.Context, op Op, name string, inner func() iter.Seq2[fs.FileInfo, error]) iter.Seq2[fs.FileInfo, error] {
	return func(yield func(fs.FileInfo, error) bool) {
		_, failure := f.strike(ctx, op, 0, name)
		if failure != nil {
			yield(nil, failure)
			return
		}
		i := int64(0)
		for info, err := range inner() {
			if i > 0 && err == nil {
				if _, err = f.strike(ctx, op, i, name); err != nil {
					info = nil
				}
			}
			if i++; !yield(info, err) || err != nil {
				return
			}
		}
		if i > 0 {
			if _, failure = f.strike(ctx, op, i, name); failure != nil {
				yield(nil, failure)
			}
		}
	}
}

// Open implements vfs.FS. A file that no Read fault matches when it is opened is
// the store's own, with its shortcuts; a fault injected later does not reach it.
func (f *FS) Open(ctx context.Context, name string, offset, length int64) (file fs.File, err error) {
	err = f.do(ctx, Open, func() error {
		file, err = f.inner.Open(ctx, name, offset, length)
		return err
	}, name)
	if err != nil {
		if file != nil {
			file.Close()
		}
		return nil, err
	}
	if !f.rules.any(Read, f.full([]string{name})) {
		return file, nil
	}
	return &faultFile{File: file, ctx: ctx, f: f, name: name}, nil
}

// any reports whether a fault may strike op on names.
func (rs *rules) any(op Op, names []string) bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return slices.ContainsFunc(rs.list, func(r *Rule) bool { return r.matches(op, names) })
}

// Create implements vfs.FS.
func (f *FS) Create(ctx context.Context, name string, opt vfs.CreateOptions) (w vfs.Writer, err error) {
	err = f.do(ctx, Create, func() error {
		w, err = f.inner.Create(ctx, name, opt)
		return err
	}, name)
	if err != nil {
		if w != nil {
			w.Abort()
		}
		return nil, err
	}
	return &writer{inner: w, ctx: ctx, f: f, name: name}, nil
}

// Mkdir implements vfs.FS.
func (f *FS) Mkdir(ctx context.Context, name string) error {
	return f.do(ctx, Mkdir, func() error { return f.inner.Mkdir(ctx, name) }, name)
}

// Remove implements vfs.FS.
func (f *FS) Remove(ctx context.Context, name string) error {
	return f.do(ctx, Remove, func() error { return f.inner.Remove(ctx, name) }, name)
}

// Rmdir implements vfs.FS.
func (f *FS) Rmdir(ctx context.Context, name string) error {
	return f.do(ctx, Rmdir, func() error { return f.inner.Rmdir(ctx, name) }, name)
}

// Rename implements vfs.FS.
func (f *FS) Rename(ctx context.Context, oldname, newname string, opt vfs.RenameOptions) error {
	return f.do(ctx, Rename, func() error { return f.inner.Rename(ctx, oldname, newname, opt) }, oldname, newname)
}
