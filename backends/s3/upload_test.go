package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ftpgate/ftpgate/backends/s3/s3fake"
	"github.com/ftpgate/ftpgate/vfs"
)

// pattern returns n bytes that repeat nowhere near.
func pattern(n int) []byte {
	b := make([]byte, n)
	x := uint32(n)*2654435761 + 1
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x)
	}
	return b
}

func upload1(ctx context.Context, f vfs.FS, name string, data []byte, opt vfs.CreateOptions) error {
	w, err := f.Create(ctx, name, opt)
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := w.ReadFrom(bytes.NewReader(data)); err != nil {
		return err
	}
	if err := w.Sync(); err != nil {
		return err
	}
	return w.Commit()
}

// smallParts makes uploads of few bytes have several parts.
func smallParts(o *Options) { o.tuning.part, o.tuning.minPart = 128<<10, 128<<10 }

var smallFake = s3fake.Options{MinPart: 128 << 10}

// TestUploadInvisible: nothing is to be seen under the name before Commit, by the
// store's own listing, whichever way the upload goes.
func TestUploadInvisible(t *testing.T) {
	for _, size := range []int{0, 1, 100_000, 128 << 10, 128<<10 + 1, 1 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			s, f := fake(t, smallFake, smallParts)
			data := pattern(size)
			w, err := f.Create(t.Context(), "d/file", vfs.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer w.Abort()
			for _, step := range []func() error{
				func() error { _, err := w.ReadFrom(io.LimitReader(bytes.NewReader(data), int64(size/2))); return err },
				func() error { _, err := w.Write(data[size/2:]); return err },
				w.Sync,
			} {
				if err := step(); err != nil {
					t.Fatal(err)
				}
				if keys := s.Keys(); len(keys) != 0 {
					t.Fatalf("before Commit there is %q", keys)
				}
			}
			if err := w.Commit(); err != nil {
				t.Fatal(err)
			}
			if got, _ := s.Get("pre/fix/d/file"); !bytes.Equal(got, data) {
				t.Error("the object has other bytes")
			}
		})
	}
}

// TestUploadFaults: whatever the store does once in an upload, the object is whole
// and nothing is left over.
func TestUploadFaults(t *testing.T) {
	t.Parallel()
	const parts = 5
	big, small := pattern(parts*128<<10+77), pattern(5000)
	for _, c := range []struct {
		name  string
		fault s3fake.Fault
	}{
		{"SlowDown at the start", s3fake.Fault{Op: "CreateMultipartUpload", Status: 503, Code: "SlowDown", Times: 2}},
		{"SlowDown of a part", s3fake.Fault{Op: "UploadPart", Status: 503, Code: "SlowDown", Times: 4}},
		{"500 of a part", s3fake.Fault{Op: "UploadPart", Skip: 2, Status: 500, Code: "InternalError"}},
		{"500 of a part that is kept", s3fake.Fault{Op: "UploadPart", Skip: 1, Status: 500, Code: "InternalError", After: true}},
		{"cut in a part", s3fake.Fault{Op: "UploadPart", CutRequest: 50_000, Times: 3}},
		{"500 of Complete", s3fake.Fault{Op: "CompleteMultipartUpload", Status: 500, Code: "InternalError"}},
		{"500 after Complete", s3fake.Fault{Op: "CompleteMultipartUpload", Status: 500, Code: "InternalError", After: true}},
		{"503 after Complete, and nothing looks done", s3fake.Fault{Op: "CompleteMultipartUpload", Status: 503, Code: "SlowDown", After: true}},
		{"cut of Complete", s3fake.Fault{Op: "CompleteMultipartUpload", CutRequest: 10}},
		{"conflict at Complete", s3fake.Fault{Op: "CompleteMultipartUpload", Status: 409, Code: "ConditionalRequestConflict"}},
		{"429", s3fake.Fault{Op: "UploadPart", Status: 429, Code: "TooManyRequests", Times: 2}},
		{"500 of Put", s3fake.Fault{Op: "PutObject", Status: 500, Code: "InternalError"}},
		{"500 after Put", s3fake.Fault{Op: "PutObject", Status: 500, Code: "InternalError", After: true}},
		{"cut of Put", s3fake.Fault{Op: "PutObject", CutRequest: 10}},
		{"conflict at Put", s3fake.Fault{Op: "PutObject", Status: 409, Code: "ConditionalRequestConflict"}},
		{"SlowDown of lookups", s3fake.Fault{Op: "ListObjectsV2", Status: 503, Code: "SlowDown"}},
	} {
		for _, v := range []struct {
			name   string
			opt    s3fake.Options
			change func(*Options)
		}{
			{"generic", smallFake, func(*Options) {}},
			{"aws", smallFake, func(o *Options) { o.Provider = AWS }},
			{"opaque", s3fake.Options{MinPart: 128 << 10, OpaqueETags: true}, func(*Options) {}},
		} {
			if v.name != "generic" && c.fault.Op != "CompleteMultipartUpload" && c.fault.Op != "PutObject" {
				continue // the stores differ only in how an end is recognised
			}
			for _, once := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/%v", c.name, v.name, once), func(t *testing.T) {
					s, f := fake(t, v.opt, smallParts, v.change)
					s.Inject(c.fault)
					for name, data := range map[string][]byte{"big": big, "small": small} {
						err := upload1(t.Context(), f, name, data, vfs.CreateOptions{NoReplace: once})
						if c.fault.After && c.fault.Op == "PutObject" && v.name == "opaque" && once && name == "small" {
							// Nothing tells this object from another's: the honest answer is an error.
							if !errors.Is(err, fs.ErrExist) {
								t.Errorf("upload = %v, want fs.ErrExist", err)
							}
						} else if err != nil {
							t.Errorf("upload of %s: %v", name, err)
						}
						if got, _ := s.Get("pre/fix/" + name); !bytes.Equal(got, data) {
							t.Errorf("%s has other bytes", name)
						}
					}
				})
			}
		}
	}
}

// TestUploadDoubt: after an end that the store did not confirm, another file of the
// same size is not taken for the upload.
func TestUploadDoubt(t *testing.T) {
	for _, size := range []int{5000, 300_000} {
		for _, other := range []string{"old", "a rival's"} {
			s, f := fake(t, smallFake, smallParts)
			data := pattern(size)
			rival := bytes.Repeat([]byte("r"), size)
			if other == "old" {
				s.Put("pre/fix/file", rival)
			} else if err := upload1(t.Context(), f, "file", rival, vfs.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			s.Inject(s3fake.Fault{Op: "CompleteMultipartUpload", Status: 500, Code: "InternalError"})
			s.Inject(s3fake.Fault{Op: "PutObject", Status: 500, Code: "InternalError"})
			if err := upload1(t.Context(), f, "file", data, vfs.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			if got, _ := s.Get("pre/fix/file"); !bytes.Equal(got, data) {
				t.Errorf("%d bytes over %s file: it has other bytes", size, other)
			}
		}
	}
}

// TestUploadFails: what does not go away ends the upload with an error that says
// what it is, with nothing visible and nothing left.
func TestUploadFails(t *testing.T) {
	big := pattern(5*128<<10 + 77)
	for _, c := range []struct {
		name  string
		fault s3fake.Fault
		want  error // nil: any that means a broken store
	}{
		{"SlowDown for ever", s3fake.Fault{Op: "UploadPart", Status: 503, Code: "SlowDown", Times: -1}, vfs.ErrBusy},
		{"no right", s3fake.Fault{Op: "UploadPart", Status: 403, Code: "AccessDenied", Times: -1}, fs.ErrPermission},
		{"no right to begin", s3fake.Fault{Op: "CreateMultipartUpload", Status: 403, Code: "AccessDenied", Times: -1}, fs.ErrPermission},
		{"quota", s3fake.Fault{Op: "UploadPart", Status: 403, Code: "QuotaExceeded", Times: -1}, vfs.ErrNoSpace},
		{"disk full", s3fake.Fault{Op: "UploadPart", Status: 507, Code: "XMinioStorageFull", Times: -1}, vfs.ErrNoSpace},
		{"too large", s3fake.Fault{Op: "CompleteMultipartUpload", Status: 400, Code: "EntityTooLarge", Times: -1}, vfs.ErrTooLarge},
		{"parts lost", s3fake.Fault{Op: "CompleteMultipartUpload", Status: 400, Code: "InvalidPart", Times: -1}, nil},
		{"upload lost", s3fake.Fault{Op: "UploadPart", Status: 404, Code: "NoSuchUpload", Times: -1}, nil},
		{"500 for ever", s3fake.Fault{Op: "CompleteMultipartUpload", Status: 500, Code: "InternalError", Times: -1}, nil},
		{"cut for ever", s3fake.Fault{Op: "UploadPart", CutRequest: 10, Times: -1}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, f := fake(t, smallFake, smallParts)
			s.Inject(c.fault)
			err := upload1(t.Context(), f, "d/file", big, vfs.CreateOptions{})
			var pe *fs.PathError
			if !errors.As(err, &pe) || pe.Path != "d/file" {
				t.Fatalf("the error is %v", err)
			}
			if c.want != nil && !errors.Is(err, c.want) || c.want == nil && vfs.Kind(err) != nil {
				t.Errorf("the error is %v, want %v", err, c.want)
			}
			if strings.Contains(err.Error(), "pre/fix") || strings.Contains(err.Error(), s.URL) {
				t.Errorf("the error shows the store's own path: %v", err)
			}
			if keys := s.Keys(); len(keys) > 0 {
				t.Errorf("left over: %q", keys)
			}
		})
	}
}

// TestUploadBackpressure: while no part gets through, an upload takes five parts on
// their way and one that waits, and not a byte more.
func TestUploadBackpressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f, end := bubble(t, smallFake, smallParts)
		defer end()
		release := make(chan struct{})
		s.Inject(s3fake.Fault{Op: "UploadPart", Times: -1, Do: func() { <-release }})
		w, err := f.Create(t.Context(), "file", vfs.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Abort()
		data := pattern(40 * 128 << 10)
		var taken atomic.Int64
		done := make(chan error)
		go func() {
			_, err := w.ReadFrom(io.TeeReader(bytes.NewReader(data), countTo(&taken)))
			done <- err
		}()
		synctest.Wait()
		if n := taken.Load(); n != (partsInFlight+1)*128<<10 {
			t.Errorf("the upload took %d bytes, want 6 parts: %d", n, (partsInFlight+1)*128<<10)
		}
		close(release)
		if err := errors.Join(<-done, w.Commit()); err != nil {
			t.Fatal(err)
		}
		if got, _ := s.Get("pre/fix/file"); !bytes.Equal(got, data) {
			t.Error("the object has other bytes")
		}
	})
}

func countTo(n *atomic.Int64) io.Writer {
	return writerFunc(func(b []byte) (int, error) { n.Add(int64(len(b))); return len(b), nil })
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// TestUploadBudget: many uploads share one budget. While nothing gets through,
// they hold at most that; a client that waits too long for memory is told that the
// server is busy, and the others go on.
func TestUploadBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f, end := bubble(t, smallFake, smallParts)
		defer end()
		const total = 2 << 20
		f.buffers = newBudget(total, f.tuning.bufferWait)
		release := make(chan struct{})
		s.Inject(s3fake.Fault{Op: "UploadPart", Times: -1, Do: func() { <-release }})
		const clients = 20
		var taken atomic.Int64
		errs := make([]error, clients)
		data := pattern(1 << 20)
		var wg sync.WaitGroup
		for i := range clients {
			wg.Go(func() {
				name := fmt.Sprintf("f%02d", i)
				w, err := f.Create(t.Context(), name, vfs.CreateOptions{})
				if err != nil {
					errs[i] = err
					return
				}
				defer w.Abort()
				if _, errs[i] = w.ReadFrom(io.TeeReader(bytes.NewReader(data), countTo(&taken))); errs[i] == nil {
					errs[i] = w.Commit()
				}
			})
		}
		synctest.Wait()
		if n := taken.Load(); n > total || n < total-clients*chunkSize {
			t.Errorf("the uploads hold %d bytes, want the budget of %d", n, total)
		}
		time.Sleep(31 * time.Second)
		synctest.Wait()
		close(release)
		wg.Wait()
		whole := 0
		for i, err := range errs {
			switch {
			case err == nil:
				whole++
				if got, _ := s.Get(fmt.Sprintf("pre/fix/f%02d", i)); !bytes.Equal(got, data) {
					t.Errorf("object %d has other bytes", i)
				}
			case !errors.Is(err, vfs.ErrBusy):
				t.Errorf("upload %d: %v, want vfs.ErrBusy", i, err)
			}
		}
		if whole == 0 || whole == clients {
			t.Errorf("%d of %d uploads came through", whole, clients)
		}
		if !f.buffers.sem.TryAcquire(f.buffers.total) {
			t.Error("memory of the budget is still held")
		}
	})
}

// TestUploadEarlyFlush: slow clients that all are in the middle of a part hold the
// whole budget, and none gets on; those that have enough for a part send it before
// it is full, so that all of them come through.
func TestUploadEarlyFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f, end := bubble(t, s3fake.Options{MinPart: 320 << 10}, func(o *Options) { o.tuning.part, o.tuning.minPart = 512<<10, 320<<10 })
		defer end()
		const clients = 10 // with parts of 320 to 512 KiB: up to 5 MiB together
		f.buffers = newBudget(4<<20, f.tuning.bufferWait)
		data := pattern(2 << 20)
		var wg sync.WaitGroup
		for i := range clients {
			wg.Go(func() {
				w, err := f.Create(t.Context(), fmt.Sprint(i), vfs.CreateOptions{})
				if err != nil {
					t.Error(err)
					return
				}
				defer w.Abort()
				for off := 0; off < len(data); off += 64 << 10 { // all slow, in step
					time.Sleep(time.Second)
					if _, err := w.Write(data[off : off+64<<10]); err != nil {
						t.Errorf("upload %d at %d: %v", i, off, err)
						return
					}
				}
				if err := w.Commit(); err != nil {
					t.Errorf("upload %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		for i := range clients {
			if got, _ := s.Get("pre/fix/" + fmt.Sprint(i)); !bytes.Equal(got, data) {
				t.Errorf("object %d has other bytes", i)
			}
		}
	})
}

// TestUploadEnds: after one end the others do nothing, and a cancelled upload fails
// with the cause.
func TestUploadEnds(t *testing.T) {
	s, f := fake(t, smallFake, smallParts)
	w, err := f.Create(t.Context(), "parked", vfs.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.Write(pattern(1 << 20))
	if err := w.Park(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Park = %v", err)
	}
	if err := errors.Join(w.Commit(), w.Abort(), w.Park()); err != nil {
		t.Errorf("ends after the end: %v", err)
	}
	if _, err := w.Write([]byte("x")); err == nil {
		t.Error("Write after the end succeeds")
	}

	gone := errors.New("the client is gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	w, err = f.Create(ctx, "cancelled", vfs.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.Write(pattern(1 << 20))
	cancel(gone)
	if _, err := w.Write(pattern(1 << 20)); !errors.Is(err, gone) {
		t.Errorf("Write = %v, want the cause", err)
	}
	if err := w.Commit(); !errors.Is(err, gone) {
		t.Errorf("Commit = %v, want the cause", err)
	}
	if keys := s.Keys(); len(keys) > 0 {
		t.Errorf("left over: %q", keys)
	}

	broken := errors.New("the reader is broken")
	w, err = f.Create(t.Context(), "reader", vfs.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	n, err := w.ReadFrom(io.MultiReader(bytes.NewReader(pattern(200_000)), errReader{broken}))
	if n != 200_000 || err != broken {
		t.Errorf("ReadFrom = %d, %v; want the reader's own error", n, err)
	}
	w.Abort()
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

// TestNoReplaceLate: with conditional writes a file that appears during the upload
// is not replaced; without them it is found by looking first, and Caps says so.
func TestNoReplaceLate(t *testing.T) {
	for _, size := range []int{10, 1 << 20} {
		for _, old := range []bool{false, true} {
			s, f := fake(t, s3fake.Options{MinPart: 128 << 10, IgnoreConditions: old}, smallParts)
			if f.Caps().Has(vfs.CanNoReplace) == old {
				t.Errorf("caps: %v", f.Caps())
			}
			w, err := f.Create(t.Context(), "file", vfs.CreateOptions{NoReplace: true})
			if err != nil {
				t.Fatal(err)
			}
			w.Write(pattern(size))
			s.Put("pre/fix/file", []byte("first"))
			if err := w.Commit(); !errors.Is(err, fs.ErrExist) {
				t.Errorf("Commit = %v, want fs.ErrExist", err)
			}
			if got, _ := s.Get("pre/fix/file"); string(got) != "first" {
				t.Errorf("the file is now %d bytes", len(got))
			}
		}
	}
}

// TestContentType: an object has the type that its name tells, in one part or many,
// and keeps its own when it is appended to.
func TestContentType(t *testing.T) {
	s, f := fake(t, smallFake, smallParts)
	for _, size := range []int{10, 300 << 10} {
		for name, want := range map[string]string{"a.json": "application/json", "a.PNG": "image/png", "noext": "application/octet-stream"} {
			if err := upload1(t.Context(), f, name, pattern(size), vfs.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			if got := s.Header("pre/fix/" + name).Get("Content-Type"); got != want {
				t.Errorf("%s has the type %q, want %q", name, got, want)
			}
			if err := f.Rename(t.Context(), name, "other.txt", vfs.RenameOptions{}); err != nil {
				t.Fatal(err)
			}
			if err := upload1(t.Context(), f, "other.txt", []byte("more"), vfs.CreateOptions{Mode: vfs.Append}); err != nil {
				t.Fatal(err)
			}
			if got := s.Header("pre/fix/other.txt").Get("Content-Type"); got != want {
				t.Errorf("after an append %s has the type %q, want %q", name, got, want)
			}
		}
	}
}
