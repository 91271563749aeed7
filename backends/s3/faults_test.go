package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/ftpgate/ftpgate/backends/s3/s3fake"
	"github.com/ftpgate/ftpgate/vfs"
)

// faultyStep is one thing that a session does, while the store fails once or for long.
type faultyStep struct {
	name string
	// prepare puts into the store what the step needs.
	prepare func(t *testing.T, s *s3fake.Server, f *FS)
	do      func(ctx context.Context, f *FS) error
	// results are the bucket's visible objects, of which one set must be there after the
	// step: by the name below the prefix. The first is what success leaves.
	results []map[string][]byte
	// sweeps says that what a failure leaves may have to be ended by the sweeper.
	sweeps bool
	// again says how to do it again after a failure; nil: as before.
	again func(ctx context.Context, f *FS) error
}

var (
	faultOld  = pattern(200 << 10)
	faultData = pattern(3*128<<10 + 500)
)

func faultySteps() []faultyStep {
	none := func(*testing.T, *s3fake.Server, *FS) {}
	stored := func(keys ...string) func(*testing.T, *s3fake.Server, *FS) {
		return func(_ *testing.T, s *s3fake.Server, _ *FS) {
			for i, k := range keys {
				s.Put("pre/fix/"+k, faultOld[i:])
			}
		}
	}
	old := map[string][]byte{"file": faultOld}
	whole := map[string][]byte{"file": faultData}
	upload := func(mode vfs.CreateOptions, data []byte) func(ctx context.Context, f *FS) error {
		return func(ctx context.Context, f *FS) error {
			w, err := f.Create(ctx, "file", mode)
			if err != nil {
				return err
			}
			defer w.Park()
			if _, err := w.ReadFrom(bytes.NewReader(data)); err != nil {
				return err
			}
			if err := w.Sync(); err != nil {
				return err
			}
			return w.Commit()
		}
	}
	// finish goes on with whatever the owner has, as a client does.
	finish := func(ctx context.Context, f *FS) error {
		opt := vfs.CreateOptions{Owner: "ann"}
		if info, err := f.StatStaged(ctx, "file", "ann"); err == nil {
			opt = resumeAt(info.Size())
		}
		return upload(opt, faultData[opt.Offset:])(ctx, f)
	}
	parked := func(t *testing.T, s *s3fake.Server, f *FS) {
		if err := write1(t, f, "file", faultData[:300<<10], vfs.CreateOptions{Owner: "ann"}).Park(); err != nil {
			t.Fatal(err)
		}
	}
	ann := vfs.CreateOptions{Owner: "ann"}
	dir := map[string][]byte{"d/a": faultOld, "d/b": faultOld[1:], "d/s/c": faultOld[2:]}
	moved := map[string][]byte{"e/a": faultOld, "e/b": faultOld[1:], "e/s/c": faultOld[2:]}
	both := maps.Clone(dir)
	maps.Copy(both, moved)
	return []faultyStep{
		{name: "small upload", prepare: none, do: upload(ann, faultData[:1000]),
			results: []map[string][]byte{{"file": faultData[:1000]}, {}}},
		{name: "upload", prepare: stored("file"), do: upload(ann, faultData), results: []map[string][]byte{whole, old}, again: finish},
		{name: "upload that must not replace", prepare: none, do: upload(vfs.CreateOptions{NoReplace: true}, faultData),
			results: []map[string][]byte{whole, {}}},
		{name: "park", prepare: stored("file"), do: func(ctx context.Context, f *FS) error {
			w, err := f.Create(ctx, "file", ann)
			if err != nil {
				return err
			}
			_, err = w.Write(faultData[:300<<10])
			return errors.Join(err, w.Park())
		}, results: []map[string][]byte{old}, again: finish},
		{name: "resume", prepare: parked, do: finish, results: []map[string][]byte{whole, {}}},
		{name: "append", prepare: stored("file"), do: upload(vfs.CreateOptions{Mode: vfs.Append, Owner: "ann"}, faultData),
			results: []map[string][]byte{{"file": slices.Concat(faultOld, faultData)}, old},
			again: func(ctx context.Context, f *FS) error {
				opt := vfs.CreateOptions{Mode: vfs.Append, Owner: "ann"}
				if info, err := f.StatStaged(ctx, "file", "ann"); err == nil {
					opt = resumeAt(info.Size())
					return upload(opt, slices.Concat(faultOld, faultData)[opt.Offset:])(ctx, f)
				}
				return upload(opt, faultData)(ctx, f)
			}},
		{name: "rename", prepare: stored("file"), do: func(ctx context.Context, f *FS) error {
			return f.Rename(ctx, "file", "new", vfs.RenameOptions{})
		}, results: []map[string][]byte{{"new": faultOld}, old, {"file": faultOld, "new": faultOld}}},
		{name: "rename of a directory", prepare: stored("d/a", "d/b", "d/s/c"), do: func(ctx context.Context, f *FS) error {
			return f.Rename(ctx, "d", "e", vfs.RenameOptions{})
		}, results: []map[string][]byte{moved, dir, both}, sweeps: true},
		{name: "copy in parts", prepare: stored("file"), do: func(ctx context.Context, f *FS) error {
			return f.Copy(ctx, "file", "new", vfs.CopyOptions{NoReplace: true})
		}, results: []map[string][]byte{{"file": faultOld, "new": faultOld}, old}},
		{name: "read ahead", prepare: stored("file"), do: func(ctx context.Context, f *FS) error {
			r, err := f.Open(ctx, "file", 0, -1)
			if err != nil {
				return err
			}
			defer r.Close()
			got, err := io.ReadAll(r)
			if !bytes.HasPrefix(faultOld, got) || err == nil && len(got) != len(faultOld) {
				return fmt.Errorf("WRONG: %d bytes that are not the file's, %w", len(got), err)
			}
			return err
		}, results: []map[string][]byte{old}},
		{name: "list", prepare: stored("d/a", "d/b", "d/s/c"), do: func(ctx context.Context, f *FS) error {
			n := 0
			for _, err := range f.ReadDir(ctx, "d", "") {
				if err != nil {
					return err
				}
				n++
			}
			if n != 3 {
				return fmt.Errorf("WRONG: %d entries", n)
			}
			return nil
		}, results: []map[string][]byte{dir}},
		{name: "stat of a parked upload", prepare: parked, do: func(ctx context.Context, f *FS) error {
			info, err := f.StatStaged(ctx, "file", "ann")
			if err == nil && info.Size() != 300<<10-1 {
				err = fmt.Errorf("WRONG: %d bytes", info.Size())
			}
			return err
		}, results: []map[string][]byte{{}}, again: finish},
	}
}

// faultKind is a way in which a store fails.
type faultKind struct {
	name  string
	fault s3fake.Fault
	// passes says that it must not be noticed.
	passes bool
}

func faultKinds() []faultKind {
	const always = -1
	return []faultKind{
		{"503 SlowDown", s3fake.Fault{Status: 503, Code: "SlowDown", Times: 2}, true},
		{"503 SlowDown for long", s3fake.Fault{Status: 503, Code: "SlowDown", Times: always}, false},
		{"500", s3fake.Fault{Status: 500, Code: "InternalError"}, true},
		{"500 after it was done", s3fake.Fault{Status: 500, Code: "InternalError", After: true}, true},
		{"500 after it was done, for long", s3fake.Fault{Status: 500, Code: "InternalError", After: true, Times: always}, false},
		{"request cut", s3fake.Fault{CutRequest: 1, Times: 2}, true},
		{"answer cut", s3fake.Fault{CutBody: -1, Times: 2}, true},
		{"answer cut later", s3fake.Fault{CutBody: 100}, true},
		{"stall", s3fake.Fault{Stall: true}, true},
		{"clock skew", s3fake.Fault{Status: 403, Code: "RequestTimeTooSkewed"}, false},
		{"412", s3fake.Fault{Status: 412, Code: "PreconditionFailed"}, false},
		{"409", s3fake.Fault{Status: 409, Code: "ConditionalRequestConflict"}, false},
	}
}

// inFaulty runs do in a bubble, where stalls and pauses take no time and nothing else
// takes long.
func inFaulty(t *testing.T, do func(t *testing.T, s *s3fake.Server, f *FS)) {
	synctest.Test(t, func(t *testing.T) {
		s, f, end := bubble(t, s3fake.Options{MinPart: 128 << 10, PageLimit: 2}, smallParts, eager, func(o *Options) {
			o.tuning.copyLimit, o.tuning.copyPart, o.tuning.attempts = 150<<10, 128<<10, 4
		})
		defer end()
		do(t, s, f)
		if !f.buffers.sem.TryAcquire(f.buffers.total) {
			t.Error("memory of the budget is still held")
		}
		s.AbortUploads() // what is left was looked at
	})
}

// TestFaults makes each request of each step fail, the first and the last of its kind, in
// every way that stores fail. Each ends in success that nobody notices, or in an error that
// leaves what was there, or the new content whole; and when the store is well again, doing it
// again succeeds. No multipart upload, tail or manifest is left that nobody can go on with.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, step := range faultySteps() {
		t.Run(step.name, func(t *testing.T) {
			t.Parallel()
			var counts map[string]int
			inFaulty(t, func(t *testing.T, s *s3fake.Server, f *FS) {
				step.prepare(t, s, f)
				s.ResetCounts()
				if err := step.do(t.Context(), f); err != nil {
					t.Fatal(err)
				}
				counts = s.Counts()
			})
			n := 0
			for _, op := range slices.Sorted(maps.Keys(counts)) {
				for i, kind := range faultKinds() {
					for _, skip := range slices.Compact([]int{0, counts[op] - 1}) {
						if skip > 0 && i%2 == 0 { // half of them at the last one, where much is repeated
							continue
						}
						if n++; !thorough && n%3 != 0 {
							continue
						}
						t.Run(fmt.Sprint(op, " ", skip, " ", kind.name), func(t *testing.T) {
							fault := kind.fault
							fault.Op, fault.Skip = op, skip
							inFaulty(t, func(t *testing.T, s *s3fake.Server, f *FS) {
								runFaulty(t, s, f, step, fault, kind.passes)
							})
						})
					}
				}
			}
		})
	}
}

func runFaulty(t *testing.T, s *s3fake.Server, f *FS, step faultyStep, fault s3fake.Fault, passes bool) {
	step.prepare(t, s, f)
	s.Inject(fault)
	err := step.do(t.Context(), f)
	s.ClearFaults()
	if err != nil && (passes || strings.Contains(err.Error(), "WRONG")) {
		t.Errorf("it fails: %v", err)
	}
	// It is the store's fault, and no answer to what the client asked for. (HEAD can't say
	// more than 403, and here the clocks agree.)
	if kind := vfs.Kind(err); kind != nil && kind != vfs.ErrBusy && fault.Status != 412 && fault.Op != "HeadObject" {
		t.Errorf("it ends in %v: %v", kind, err)
	}
	if errors.Is(err, context.Canceled) {
		t.Errorf("an error that looks like the client's: %v", err)
	}
	got := visible(t, s)
	found := slices.IndexFunc(step.results, func(r map[string][]byte) bool { return maps.EqualFunc(r, got, bytes.Equal) })
	switch {
	case err == nil && found != 0, err != nil && found < 0 && !step.sweeps:
		t.Fatalf("after %v there is %v", err, sizes(got))
	case err != nil && step.sweeps: // each file is at its old place, its new one, or both
		for name, data := range step.results[1] {
			to := strings.Replace(name, "d/", "e/", 1)
			if !bytes.Equal(got[name], data) && !bytes.Equal(got[to], data) {
				t.Fatalf("after %v %s is missing: %v", err, name, sizes(got))
			}
		}
	}
	if fault.Op == "CreateMultipartUpload" && (fault.After || fault.CutBody != 0 || fault.Stall) {
		s.AbortUploads() // nobody but the sweeper can know of it
		return
	}
	unclaimed(t, s)
	if step.sweeps {
		if _, err := f.Sweep(t.Context(), 0); err != nil {
			t.Error(err)
		}
		if found = slices.IndexFunc(step.results[:2], func(r map[string][]byte) bool { return maps.EqualFunc(r, visible(t, s), bytes.Equal) }); found < 0 {
			t.Fatalf("after the sweeper there is %v", sizes(visible(t, s)))
		}
	}
	if err == nil && step.again == nil || found == 0 && len(step.results) > 1 {
		return // it is done
	}
	again := step.again
	if again == nil {
		again = step.do
	}
	if err := again(t.Context(), f); err != nil {
		t.Errorf("after %v, again: %v", err, err)
	}
	if len(step.results) > 1 && !maps.EqualFunc(step.results[0], visible(t, s), bytes.Equal) {
		t.Errorf("after doing it again there is %v", sizes(visible(t, s)))
	}
}

// visible are the objects that clients see, by their names.
func visible(t *testing.T, s *s3fake.Server) map[string][]byte {
	t.Helper()
	got := map[string][]byte{}
	for _, key := range s.Keys() {
		name := strings.TrimPrefix(key, "pre/fix/")
		if !strings.HasPrefix(name, stateDir) && !strings.HasSuffix(name, "/") {
			got[name], _ = s.Get(key)
		}
	}
	return got
}

func sizes(files map[string][]byte) map[string]int {
	out := map[string]int{}
	for name, data := range files {
		out[name] = len(data)
	}
	return out
}
