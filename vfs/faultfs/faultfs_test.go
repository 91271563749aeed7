package faultfs_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/ftpgate/ftpgate/backends/memory"
	"github.com/ftpgate/ftpgate/vfs"
	"github.com/ftpgate/ftpgate/vfs/faultfs"
	"github.com/ftpgate/ftpgate/vfs/vfstest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A store without faults, and one whose faults are met without harm, is the store.
func TestContract(t *testing.T) {
	t.Run("no faults", func(t *testing.T) {
		vfstest.Run(t, vfstest.Harness{
			MaxEntries: 1001, Large: 300_000,
			New: func(t *testing.T) vfs.FS { return faultfs.New(memory.New(memory.Options{})) },
		})
	})
	t.Run("short and slow", func(t *testing.T) {
		vfstest.Run(t, vfstest.Harness{
			MaxEntries: 100, Large: 300_000, ModelSteps: 50,
			New: func(t *testing.T) vfs.FS {
				f := faultfs.New(memory.New(memory.Options{}))
				f.Inject(faultfs.Fault{Op: faultfs.Read, Short: 4999})
				f.Inject(faultfs.Fault{Op: faultfs.Write, After: 70_000, Delay: 1})
				f.Inject(faultfs.Fault{Op: faultfs.Commit, Delay: 1})
				return f
			},
		})
	})
	t.Run("in a sub", func(t *testing.T) {
		vfstest.Run(t, vfstest.Harness{MaxEntries: 100, Large: 300_000, ModelSteps: 50, New: func(t *testing.T) vfs.FS {
			f := faultfs.New(memory.New(memory.Options{}))
			if err := f.Mkdir(t.Context(), "d"); err != nil {
				t.Fatal(err)
			}
			sub, err := vfs.Sub(f, "d")
			if err != nil {
				t.Fatal(err)
			}
			return sub
		}})
	})
}

// The suite passes with each ability and fact taken away, and with all.
func TestContractWithout(t *testing.T) {
	all := memory.New(memory.Options{}).Caps()
	for bit := vfs.Caps(1); bit != 0; bit <<= 1 {
		if all&bit != 0 {
			testWithout(t, bit)
		}
	}
	testWithout(t, all&^vfs.CanWrite)
	testWithout(t, vfs.Facts)
	testWithout(t, vfs.CanAppend|vfs.CanWriteAt)
}

func testWithout(t *testing.T, missing vfs.Caps) {
	t.Run(missing.String(), func(t *testing.T) {
		vfstest.Run(t, vfstest.Harness{
			MaxEntries: 20, Large: 100_000, ModelSteps: 100,
			New: func(t *testing.T) vfs.FS {
				f := faultfs.Without(memory.New(memory.Options{}), missing)
				if f.Caps()&missing != 0 {
					t.Errorf("Caps still has %v", f.Caps()&missing)
				}
				return f
			},
		})
	})
}

var errBroken = errors.New("the disk is on fire")

func store(t *testing.T) *faultfs.FS {
	t.Helper()
	f := faultfs.New(memory.New(memory.Options{}))
	for _, name := range []string{"a", "b", "d/a"} {
		if dir, _ := vfs.Split(name); dir != "." {
			if err := f.Mkdir(t.Context(), dir); err != nil {
				t.Fatal(err)
			}
		}
		put(t, f, name, 100_000)
	}
	return f
}

func put(t *testing.T, f vfs.FS, name string, size int) {
	t.Helper()
	w, err := f.Create(t.Context(), name, vfs.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	if _, err := w.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
}

// operations are all that fail by an error, on the file "a".
func operations(ctx context.Context, f *faultfs.FS) map[faultfs.Op]func() error {
	upload := func(end func(vfs.Writer) error) func() error {
		return func() error {
			w, err := f.Create(ctx, "a", vfs.CreateOptions{Owner: "ann"})
			if err != nil {
				return err
			}
			defer w.Abort()
			if _, err := w.Write([]byte("new")); err != nil {
				return err
			}
			return end(w)
		}
	}
	last := func(seq func(func(fs.FileInfo, error) bool)) (last error) {
		for _, err := range seq {
			last = err
		}
		return last
	}
	return map[faultfs.Op]func() error{
		faultfs.Stat:    func() error { _, err := f.Stat(ctx, "a"); return err },
		faultfs.ReadDir: func() error { return last(f.ReadDir(ctx, "d", "")) },
		faultfs.Open:    func() error { _, err := f.Open(ctx, "a", 0, -1); return err },
		faultfs.Read: func() error {
			file, err := f.Open(ctx, "a", 0, -1)
			if err != nil {
				return err
			}
			defer file.Close()
			_, err = io.Copy(io.Discard, file)
			return err
		},
		faultfs.Create:        upload(vfs.Writer.Abort),
		faultfs.Write:         upload(vfs.Writer.Abort),
		faultfs.Sync:          upload(vfs.Writer.Sync),
		faultfs.Commit:        upload(vfs.Writer.Commit),
		faultfs.Park:          upload(vfs.Writer.Park),
		faultfs.Abort:         upload(vfs.Writer.Abort),
		faultfs.Mkdir:         func() error { return f.Mkdir(ctx, "new") },
		faultfs.Remove:        func() error { return f.Remove(ctx, "a") },
		faultfs.Rmdir:         func() error { return f.Rmdir(ctx, "empty") },
		faultfs.Rename:        func() error { return f.Rename(ctx, "a", "z", vfs.RenameOptions{}) },
		faultfs.Copy:          func() error { return vfs.ServerCopy(ctx, f, "a", "z", vfs.CopyOptions{}) },
		faultfs.Hash:          func() error { _, err := vfs.ServerHash(ctx, f, "a", vfs.MD5, 0, -1); return err },
		faultfs.SetModTime:    func() error { return vfs.SetModTime(ctx, f, "a", time.Unix(1, 0)) },
		faultfs.SetCreateTime: func() error { return vfs.SetCreateTime(ctx, f, "a", time.Unix(1, 0)) },
		faultfs.SetMode:       func() error { return vfs.SetMode(ctx, f, "a", 0o600) },
		faultfs.Space:         func() error { _, err := vfs.Space(ctx, f, "a"); return err },
		faultfs.Symlink:       func() error { return vfs.Symlink(ctx, f, "a", "l") },
		faultfs.Staged:        func() error { return last(vfs.Staged(ctx, f, "d", "ann")) },
		faultfs.StatStaged:    func() error { _, err := vfs.StatStaged(ctx, f, "a", "ann"); return err },
		faultfs.Discard:       func() error { return vfs.Discard(ctx, f, "a", "ann") },
	}
}

// Every operation fails with the error, as often as it was asked, and no other
// operation does.
func TestErrors(t *testing.T) {
	for op := range operations(t.Context(), store(t)) {
		t.Run(string(op), func(t *testing.T) {
			f := store(t)
			if err := f.Mkdir(t.Context(), "empty"); err != nil {
				t.Fatal(err)
			}
			fault := faultfs.Fault{Op: op, Skip: 1, Count: 2, Err: errBroken}
			if op == faultfs.Read || op == faultfs.ReadDir {
				fault.Skip = 0 // they are struck several times in one go
			}
			rule := f.Inject(fault)
			do := operations(t.Context(), f)[op]
			for range fault.Skip {
				if err := do(); errors.Is(err, errBroken) {
					t.Fatalf("the one to let pass fails: %v", err)
				}
			}
			for i := range 2 {
				err := do()
				var pe *fs.PathError
				if !errors.Is(err, errBroken) || !errors.As(err, &pe) || !slices.Contains([]string{"a", "d", "new", "empty", "l"}, pe.Path) {
					t.Errorf("strike %d: %#v", i+1, err)
				}
			}
			if err := do(); errors.Is(err, errBroken) {
				t.Errorf("strikes a third time")
			}
			if rule.Struck() != 2 {
				t.Errorf("Struck is %d", rule.Struck())
			}
			for other, do := range operations(t.Context(), f) {
				if err := do(); errors.Is(err, errBroken) {
					t.Errorf("%s fails too", other)
				}
			}
		})
	}
}

func TestPatterns(t *testing.T) {
	f, ctx := store(t), t.Context()
	f.Inject(faultfs.Fault{Op: faultfs.Stat, Pattern: "d/*", Err: errBroken})
	renamed := f.Inject(faultfs.Fault{Op: faultfs.Rename, Pattern: "target", Err: errBroken})
	for name, broken := range map[string]bool{"a": false, "d": false, "d/a": true} {
		if _, err := f.Stat(ctx, name); errors.Is(err, errBroken) != broken {
			t.Errorf("Stat(%q): %v", name, err)
		}
	}
	sub, err := vfs.Sub(f, "d")
	if err != nil {
		t.Fatal(err)
	}
	var pe *fs.PathError
	if _, err := sub.Stat(ctx, "a"); !errors.Is(err, errBroken) || !errors.As(err, &pe) || pe.Path != "a" {
		t.Errorf("Stat in the Sub: %v", err)
	}
	if err := f.Rename(ctx, "a", "target", vfs.RenameOptions{}); !errors.Is(err, errBroken) {
		t.Errorf("Rename: %v", err)
	}
	renamed.Release()
	if err := f.Rename(ctx, "a", "target", vfs.RenameOptions{}); err != nil {
		t.Errorf("Rename after Release: %v", err)
	}
	defer func() {
		if recover() == nil {
			t.Error("a malformed pattern is accepted")
		}
	}()
	f.Inject(faultfs.Fault{Pattern: "["})
}

// A transfer breaks at the byte that was asked for, by whatever method.
func TestBreakAfter(t *testing.T) {
	f, ctx := store(t), t.Context()
	const after = 66_666
	f.Inject(faultfs.Fault{Op: faultfs.Read, Pattern: "a", After: after, Err: errBroken})
	f.Inject(faultfs.Fault{Op: faultfs.Write, After: after, Err: vfs.ErrNoSpace})
	f.Inject(faultfs.Fault{Op: faultfs.ReadDir, After: 2, Err: errBroken})
	file, err := f.Open(ctx, "a", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if n, err := io.Copy(io.Discard, file); n != after || !errors.Is(err, errBroken) {
		t.Errorf("reading = %d, %v", n, err)
	}
	data := make([]byte, 100_000)
	for name, upload := range map[string]func(vfs.Writer) (int64, error){
		"Write": func(w vfs.Writer) (int64, error) { n, err := w.Write(data); return int64(n), err },
		"in pieces": func(w vfs.Writer) (n int64, err error) {
			for err == nil {
				var part int
				part, err = w.Write(data[:1000])
				n += int64(part)
			}
			return n, err
		},
		"ReadFrom":         func(w vfs.Writer) (int64, error) { return w.ReadFrom(bytes.NewReader(data)) },
		"ReadFrom, slowly": func(w vfs.Writer) (int64, error) { return w.ReadFrom(iotest.OneByteReader(bytes.NewReader(data))) },
	} {
		w, err := f.Create(ctx, "new", vfs.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if n, err := upload(w); n != after || !errors.Is(err, vfs.ErrNoSpace) {
			t.Errorf("%s = %d, %v", name, n, err)
		}
		w.Abort()
	}
	n := 0
	var last error
	for info, err := range f.ReadDir(ctx, ".", "") {
		if last = err; err == nil {
			n++
		} else if info != nil {
			t.Errorf("the listing yields %v with its error", info)
		}
	}
	if n != 2 || !errors.Is(last, errBroken) {
		t.Errorf("the listing ends after %d entries with %v", n, last)
	}
}

// An upload that does not reach the fault is not touched, nor is its reader.
func TestReaderReachesTheStoreUnwrapped(t *testing.T) {
	var got io.Reader
	f := faultfs.New(spy{memory.New(memory.Options{}), &got})
	f.Inject(faultfs.Fault{Op: faultfs.Commit, Err: errBroken})
	w, err := f.Create(t.Context(), "a", vfs.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	r := &io.LimitedReader{R: bytes.NewReader(make([]byte, 10)), N: 10}
	if _, err := w.ReadFrom(r); err != nil || got != io.Reader(r) {
		t.Errorf("the store reads from %T, %v", got, err)
	}
}

type spy struct {
	vfs.FS
	got *io.Reader
}

func (s spy) Create(ctx context.Context, name string, opt vfs.CreateOptions) (vfs.Writer, error) {
	w, err := s.FS.Create(ctx, name, opt)
	return spyWriter{w, s.got}, err
}

type spyWriter struct {
	vfs.Writer
	got *io.Reader
}

func (s spyWriter) ReadFrom(r io.Reader) (int64, error) {
	*s.got = r
	return s.Writer.ReadFrom(r)
}

// A failed Commit leaves what was there and parks; one whose answer is lost has
// happened.
func TestCommit(t *testing.T) {
	for _, late := range []bool{false, true} {
		f, ctx := store(t), t.Context()
		rule := f.Inject(faultfs.Fault{Op: faultfs.Commit, Err: errBroken, Late: late})
		w, err := f.Create(ctx, "a", vfs.CreateOptions{Owner: "ann"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(make([]byte, 7)); err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(); !errors.Is(err, errBroken) {
			t.Errorf("Commit: %v", err)
		}
		if err := w.Commit(); err != nil {
			t.Errorf("the second end: %v", err)
		}
		rule.Release()
		want := int64(100_000)
		if late {
			want = 7
		}
		if info, err := f.Stat(ctx, "a"); err != nil || info.Size() != want {
			t.Errorf("late %v: %v, %v", late, info, err)
		}
		if _, err := f.StatStaged(ctx, "a", "ann"); (err == nil) == late {
			t.Errorf("late %v: StatStaged: %v", late, err)
		}
	}
}

func TestHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := store(t)
		gone := errors.New("gone")
		start := time.Now()

		// Until the context is done.
		ctx, cancel := context.WithCancelCause(t.Context())
		rule := f.Inject(faultfs.Fault{Op: faultfs.Stat, Hang: true})
		result := make(chan error, 1)
		go func() { _, err := f.Stat(ctx, "a"); result <- err }()
		<-rule.Reached()
		synctest.Wait()
		select {
		case err := <-result:
			t.Errorf("Stat returns %v", err)
		default:
		}
		cancel(gone)
		if err := <-result; !errors.Is(err, gone) {
			t.Errorf("Stat: %v", err)
		}
		rule.Release()
		rule.Release() // again is nothing

		// Until it is released, whatever becomes of the context.
		deaf := f.Inject(faultfs.Fault{Op: faultfs.Remove, Hang: true, Deaf: true})
		ctx, cancel = context.WithCancelCause(t.Context())
		go func() { result <- f.Remove(ctx, "b") }()
		<-deaf.Reached()
		cancel(gone)
		synctest.Wait()
		select {
		case err := <-result:
			t.Errorf("Remove hears its context: %v", err)
		default:
		}
		deaf.Release()
		if err := <-result; !errors.Is(err, gone) { // from the store
			t.Errorf("Remove: %v", err)
		}
		if time.Since(start) != 0 {
			t.Errorf("%v passed", time.Since(start))
		}

		// For a time, or until the context's deadline.
		f.Inject(faultfs.Fault{Op: faultfs.Mkdir, Delay: time.Minute})
		if err := f.Mkdir(t.Context(), "m"); err != nil || time.Since(start) != time.Minute {
			t.Errorf("Mkdir: %v after %v", err, time.Since(start))
		}
		short, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if err := f.Mkdir(short, "n"); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Minute+time.Second {
			t.Errorf("Mkdir: %v after %v", err, time.Since(start))
		}

		// Park and Abort do not hear the session's context.
		park := f.Inject(faultfs.Fault{Op: faultfs.Park, Hang: true})
		ctx, cancel = context.WithCancelCause(t.Context())
		w, err := f.Create(ctx, "p", vfs.CreateOptions{Owner: "ann"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte("xx")); err != nil {
			t.Fatal(err)
		}
		cancel(gone)
		go func() { result <- w.Park() }()
		synctest.Wait()
		select {
		case err := <-result:
			t.Errorf("Park returns %v", err)
		default:
		}
		park.Release()
		if err := <-result; err != nil {
			t.Errorf("Park: %v", err)
		}
	})
}
