package s3

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ftpgate/ftpgate/backends/s3/s3fake"
	"github.com/ftpgate/ftpgate/vfs"
)

// write1 begins an upload and writes data, but does not end it.
func write1(t *testing.T, f *FS, name string, data []byte, opt vfs.CreateOptions) vfs.Writer {
	t.Helper()
	w, err := f.Create(t.Context(), name, opt)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	return w
}

func told(t *testing.T, f *FS, name, owner string) int64 {
	t.Helper()
	info, err := f.StatStaged(t.Context(), name, owner)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func resumeAt(at int64) vfs.CreateOptions {
	return vfs.CreateOptions{Mode: vfs.WriteAt, Offset: at, Owner: "ann"}
}

// settled waits until the parts of an upload that is left behind are in the store.
func settled(w vfs.Writer) {
	if u := w.(*upload); u.multi != nil {
		u.multi.sending.Wait()
	}
}

// clean checks that only these keys are left, and no multipart upload.
func clean(t *testing.T, s *s3fake.Server, keys ...string) {
	t.Helper()
	if got := s.Keys(); strings.Join(got, " ") != strings.Join(keys, " ") {
		t.Errorf("the bucket holds %q, want %q", got, keys)
	}
	if left := s.OpenUploads(); len(left) > 0 {
		t.Errorf("multipart uploads are left open: %q", left)
	}
}

var stores = []struct {
	name   string
	opt    s3fake.Options
	change func(*Options)
}{
	{"generic", s3fake.Options{MinPart: 128 << 10, PageLimit: 3}, func(*Options) {}},
	{"aws", smallFake, func(o *Options) { o.Provider = AWS }},
	{"r2", s3fake.Options{MinPart: 128 << 10, EqualParts: true, OpaqueETags: true}, func(o *Options) { o.Provider = R2 }},
}

// TestKill: a gateway is killed again and again at random bytes of one upload, and
// each time another one goes on where the store says. Nothing shows before the
// commit, the object is whole, and nothing is left.
func TestKill(t *testing.T) {
	t.Parallel()
	for _, v := range stores {
		t.Run(v.name, func(t *testing.T) {
			s, f := fake(t, v.opt, smallParts, v.change)
			o := fakeOptions(s, "pre/fix")
			smallParts(&o)
			v.change(&o)
			data := pattern(3<<20 + 12345)
			rnd := rand.New(rand.NewPCG(1, 2))
			opt, at := vfs.CreateOptions{Owner: "ann"}, int64(0)
			for range 12 {
				f := attach(t, o)
				n := min(rnd.Int64N(700<<10), int64(len(data))-at)
				w := write1(t, f, "d/file", data[at:at+n], opt)
				if w.Offset() != at {
					t.Fatalf("the writer is at %d, want %d", w.Offset(), at)
				}
				if rnd.IntN(3) == 0 {
					if err := w.Park(); err != nil {
						t.Fatal(err)
					}
				} else {
					settled(w) // and then the gateway is gone
				}
				if _, ok := s.Get("pre/fix/d/file"); ok {
					t.Fatal("a part shows")
				}
				opt, at = vfs.CreateOptions{Owner: "ann"}, 0
				if info, err := attach(t, o).StatStaged(t.Context(), "d/file", "ann"); err == nil {
					at = info.Size()
					opt = resumeAt(at)
				} else if !errors.Is(err, fs.ErrNotExist) {
					t.Fatal(err)
				}
			}
			if at < 1<<20 {
				t.Errorf("after twelve rounds the upload is at %d: it does not get on", at)
			}
			w := write1(t, f, "d/file", data[at:], opt)
			if err := w.Commit(); err != nil {
				t.Fatal(err)
			}
			if got, _ := s.Get("pre/fix/d/file"); !bytes.Equal(got, data) {
				t.Error("the object has other bytes")
			}
			clean(t, s, "pre/fix/d/file")
		})
	}
}

// TestZombieParts: the parts of a dead gateway that land late, where the
// next one never looks, harm nothing; nor do short parts that memory forced.
func TestZombieParts(t *testing.T) {
	s, f := fake(t, smallFake, smallParts)
	data := pattern(10 * 128 << 10)
	zombie := write1(t, f, "file", data[:128<<10+5], vfs.CreateOptions{Owner: "ann"})
	settled(zombie)
	release, held := make(chan struct{}), make(chan struct{})
	s.Inject(s3fake.Fault{Op: "UploadPart", Times: 2, Do: func() { held <- struct{}{}; <-release }})
	zombie.Write(data[128<<10+5 : 3*128<<10+5])
	<-held
	<-held
	zombie.Write(data[3*128<<10+5 : 4*128<<10+5])
	for s.Counts()["UploadPart"] < 5 || zombie.(*upload).multi.size() < 2*128<<10 { // parts 1 and 4 are there, 2 and 3 are not
		runtime.Gosched()
	}
	o := fakeOptions(s, "pre/fix")
	smallParts(&o)
	g := attach(t, o)
	at := told(t, g, "file", "ann")
	if at != 0 {
		t.Errorf("told %d with part 1 alone, want its start", at)
	}
	var oe *vfs.OffsetError
	if _, err := g.Create(t.Context(), "file", resumeAt(128<<10+7)); !errors.As(err, &oe) || oe.Accept != 128<<10 {
		t.Errorf("resuming behind what is safe: %v, want Accept 131072", err)
	}
	w := write1(t, g, "file", data[128<<10:5*128<<10], resumeAt(128<<10))
	close(release)
	settled(zombie)
	settled(w)
	if _, err := zombie.Write(data[:1<<20]); err == nil {
		err = zombie.Commit()
		if !errors.Is(err, vfs.ErrBusy) {
			t.Errorf("the zombie's Commit = %v, want vfs.ErrBusy", err)
		}
	}
	if err := zombie.Abort(); err != nil {
		t.Errorf("Abort: %v", err)
	}
	// The second gateway dies, too; the third finds only what belongs together.
	h := attach(t, o)
	at = told(t, h, "file", "ann")
	if at != 3*128<<10 {
		t.Errorf("told %d, want %d", at, 3*128<<10)
	}
	w = write1(t, h, "file", data[at:], resumeAt(at))
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	if got, _ := s.Get("pre/fix/file"); !bytes.Equal(got, data) {
		t.Error("the object has other bytes")
	}
	clean(t, s, "pre/fix/file")
}

// TestClaims: no writer sends a part under a number that its manifest does not
// claim.
func TestClaims(t *testing.T) {
	s, f := fake(t, smallFake, smallParts)
	data := pattern(40*128<<10 + 1)
	w := write1(t, f, "file", data, vfs.CreateOptions{Owner: "ann"})
	settled(w)
	r, err := f.claimed(t.Context(), "pre/fix/file", "ann")
	if err != nil || len(r) != 1 {
		t.Fatal(r, err)
	}
	if r[0].Limit < 40 || r[0].Limit > 40+reserve {
		t.Errorf("40 parts are sent, %d numbers are claimed", r[0].Limit)
	}
	if got := s.Counts()["PutObject"]; got != 4+3 { // the probe's, and 16, 32, 48
		t.Errorf("%d manifests were written for 40 parts", got-4)
	}
	if err := w.Abort(); err != nil {
		t.Fatal(err)
	}
	clean(t, s)
}

// TestTakeOver: in the same process a session that has fallen silent loses its
// upload to the next one of its owner; one that runs does not.
func TestTakeOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f, end := bubble(t, smallFake, smallParts)
		defer end()
		data := pattern(1 << 20)
		w := write1(t, f, "file", data[:300<<10], vfs.CreateOptions{Owner: "ann"})
		settled(w)
		if _, err := f.StatStaged(t.Context(), "file", "ann"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a running upload shows as staged: %v", err)
		}
		if _, err := f.Create(t.Context(), "file", resumeAt(128<<10)); !errors.Is(err, vfs.ErrBusy) {
			t.Errorf("resuming a running upload: %v, want vfs.ErrBusy", err)
		}
		time.Sleep(6 * time.Second)
		at := told(t, f, "file", "ann")
		if at != 128<<10 {
			t.Errorf("told %d, want %d", at, 128<<10)
		}
		next := write1(t, f, "file", data[at:], resumeAt(at))
		if _, err := w.Write(data); !errors.Is(err, vfs.ErrBusy) {
			t.Errorf("Write of the upload that was taken over: %v, want vfs.ErrBusy", err)
		}
		if err := w.Commit(); !errors.Is(err, vfs.ErrBusy) {
			t.Errorf("Commit of the upload that was taken over: %v, want vfs.ErrBusy", err)
		}
		if err := next.Commit(); err != nil {
			t.Fatal(err)
		}
		if got, _ := s.Get("pre/fix/file"); !bytes.Equal(got, data) {
			t.Error("the object has other bytes")
		}
		clean(t, s, "pre/fix/file")
	})
}

// TestTakeOverRead: an upload is taken from a writer that sits in a read.
func TestTakeOverRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f, end := bubble(t, smallFake, smallParts)
		defer end()
		data := pattern(1 << 20)
		w, err := f.Create(t.Context(), "file", vfs.CreateOptions{Owner: "ann"})
		if err != nil {
			t.Fatal(err)
		}
		silence := make(chan struct{})
		src := &stuckReader{data: data[:200<<10], until: silence}
		done := make(chan error)
		go func() {
			_, err := w.ReadFrom(src)
			done <- errors.Join(err, w.Abort())
		}()
		time.Sleep(6 * time.Second)
		next, err := f.Create(t.Context(), "file", vfs.CreateOptions{Mode: vfs.Append, Owner: "ann"})
		if err != nil {
			t.Fatal(err)
		}
		if next.Offset() != 200<<10-1 {
			t.Errorf("it goes on at %d, want %d", next.Offset(), 200<<10-1)
		}
		close(silence)
		if err := <-done; !errors.Is(err, vfs.ErrBusy) {
			t.Errorf("ReadFrom of the upload that was taken over: %v, want vfs.ErrBusy", err)
		}
		if _, err := next.Write(data[next.Offset():]); err != nil {
			t.Fatal(err)
		}
		if err := next.Commit(); err != nil {
			t.Fatal(err)
		}
		if got, _ := s.Get("pre/fix/file"); !bytes.Equal(got, data) {
			t.Error("the object has other bytes")
		}
		if !f.buffers.sem.TryAcquire(f.buffers.total) {
			t.Error("memory of the budget is still held")
		}
		clean(t, s, "pre/fix/file")
	})
}

// stuckReader gives its data, and then garbage into the whole buffer, late.
type stuckReader struct {
	data  []byte
	until <-chan struct{}
}

func (r *stuckReader) Read(p []byte) (int, error) {
	if len(r.data) == 0 {
		<-r.until
		for i := range p {
			p[i] = '!'
		}
		return len(p), nil
	}
	n := copy(p, r.data)
	r.data = r.data[n:]
	return n, nil
}

// TestRacingResume: of many gateways that resume one upload at once, one gets it.
func TestRacingResume(t *testing.T) {
	t.Parallel()
	s, f := fake(t, smallFake, smallParts)
	data := pattern(600 << 10)
	if err := write1(t, f, "file", data[:400<<10], vfs.CreateOptions{Owner: "ann"}).Park(); err != nil {
		t.Fatal(err)
	}
	o := fakeOptions(s, "pre/fix")
	smallParts(&o)
	at := told(t, f, "file", "ann")
	var wg sync.WaitGroup
	won := make([]vfs.Writer, 8)
	for i := range won {
		g := attach(t, o)
		wg.Go(func() {
			w, err := g.Create(t.Context(), "file", resumeAt(at))
			if err != nil && !errors.Is(err, vfs.ErrBusy) {
				var oe *vfs.OffsetError // it saw the winner, who has sent nothing yet
				if !errors.As(err, &oe) {
					t.Errorf("resuming: %v", err)
				}
			}
			if err == nil {
				if _, err := w.Write(data[at:]); err != nil {
					t.Logf("writing: %v", err) // fenced by the winner
				}
			}
			won[i] = w
		})
	}
	wg.Wait()
	committed := 0
	for _, w := range won {
		if w != nil && w.Commit() == nil {
			committed++
		}
	}
	if committed != 1 {
		t.Errorf("%d of 8 gateways commit, want 1", committed)
	}
	if got, _ := s.Get("pre/fix/file"); !bytes.Equal(got, data) {
		t.Error("the object has other bytes")
	}
	clean(t, s, "pre/fix/file")
}

// TestNewerUpload: a whole file that the owner sends anew hides what a killed
// gateway left of the old one.
func TestNewerUpload(t *testing.T) {
	s, f := fake(t, smallFake, smallParts)
	o := fakeOptions(s, "pre/fix")
	smallParts(&o)
	live := write1(t, attach(t, o), "file", pattern(500<<10), vfs.CreateOptions{Owner: "ann"})
	settled(live)
	told(t, f, "file", "ann")
	if err := upload1(t.Context(), f, "file", []byte("new"), vfs.CreateOptions{Owner: "ann"}); err != nil {
		t.Fatal(err)
	}
	if info, err := f.StatStaged(t.Context(), "file", "ann"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the old upload still shows: %v, %v", info, err)
	}
	// It was not dead after all: the last Commit wins.
	if err := live.Commit(); err != nil {
		t.Fatal(err)
	}
	if got, _ := s.Get("pre/fix/file"); !bytes.Equal(got, pattern(500<<10)) {
		t.Error("the object has other bytes")
	}
	clean(t, s, "pre/fix/file")
}

// TestParkFaults: whatever the store does once, an upload that is cut, resumed and
// committed is whole, and nothing is left.
func TestParkFaults(t *testing.T) {
	t.Parallel()
	data := pattern(5*128<<10 + 77)
	skips := []int{0, 2}
	if thorough {
		skips = []int{0, 1, 2, 3}
	}
	for _, op := range []string{"PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "ListObjectsV2", "ListParts", "GetObject", "DeleteObject", "AbortMultipartUpload"} {
		for _, fault := range []s3fake.Fault{
			{Status: 503, Code: "SlowDown"}, {Status: 500, Code: "InternalError"}, {Status: 500, Code: "InternalError", After: true}, {CutBody: -1}, {CutRequest: 10},
		} {
			for _, skip := range skips {
				if fault.CutBody != 0 && op != "GetObject" && op != "ListObjectsV2" && op != "ListParts" ||
					fault.CutRequest != 0 && op != "PutObject" && op != "UploadPart" && op != "CompleteMultipartUpload" ||
					fault.After && op == "CreateMultipartUpload" { // S3 makes two of them; the sweeper knows
					continue
				}
				fault.Op, fault.Skip = op, skip
				t.Run(fmt.Sprintf("%s/%d-%v-%d-%d/%d", op, fault.Status, fault.After, fault.CutBody, fault.CutRequest, skip), func(t *testing.T) {
					s, f := fake(t, smallFake, smallParts)
					s.Inject(fault)
					at := 0
					for _, end := range []int{300 << 10, 400 << 10, len(data)} {
						opt := vfs.CreateOptions{Owner: "ann"}
						if at > 0 {
							opt = resumeAt(told(t, f, "file", "ann"))
						}
						w := write1(t, f, "file", data[opt.Offset:end], opt)
						if at = end; at < len(data) {
							if err := w.Park(); err != nil {
								t.Fatal(err)
							}
						} else if err := w.Commit(); err != nil {
							t.Fatal(err)
						}
					}
					if got, _ := s.Get("pre/fix/file"); !bytes.Equal(got, data) {
						t.Error("the object has other bytes")
					}
					clean(t, s, "pre/fix/file")
				})
			}
		}
	}
}

// TestCommitFails: what the store could not finish is parked, and finished later.
func TestCommitFails(t *testing.T) {
	t.Parallel()
	data := pattern(5*128<<10 + 77)
	for _, c := range []struct {
		name  string
		fault s3fake.Fault
	}{
		{"Complete", s3fake.Fault{Op: "CompleteMultipartUpload", Status: 500, Code: "InternalError", Times: fastAttempts}},
		{"lost parts", s3fake.Fault{Op: "CompleteMultipartUpload", Status: 400, Code: "InvalidPart"}},
		{"last part", s3fake.Fault{Op: "UploadPart", Skip: 5, Status: 503, Code: "SlowDown", Times: fastAttempts}},
		{"middle part", s3fake.Fault{Op: "UploadPart", Skip: 2, Status: 403, Code: "AccessDenied"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, f := fake(t, smallFake, smallParts)
			s.Inject(c.fault)
			w, err := f.Create(t.Context(), "file", vfs.CreateOptions{Owner: "ann"})
			if err != nil {
				t.Fatal(err)
			}
			if _, err = w.Write(data); err == nil {
				err = w.Sync()
			}
			if err == nil {
				err = w.Commit()
			}
			if err == nil {
				t.Fatal("the upload succeeds")
			}
			_ = w.Park()
			s.ClearFaults()
			opt := vfs.CreateOptions{Owner: "ann"}
			if info, err := f.StatStaged(t.Context(), "file", "ann"); err == nil {
				opt = resumeAt(info.Size())
			} else if c.name != "middle part" { // there nothing may be safe
				t.Fatal(err)
			}
			if err := write1(t, f, "file", data[opt.Offset:], opt).Commit(); err != nil {
				t.Fatal(err)
			}
			if got, _ := s.Get("pre/fix/file"); !bytes.Equal(got, data) {
				t.Error("the object has other bytes")
			}
			clean(t, s, "pre/fix/file")
		})
	}
}

// fastAttempts is how often a request is tried in tests.
const fastAttempts = 6

// TestAppend: what is complete is copied inside the store, and never read but
// for less than a part.
func TestAppend(t *testing.T) {
	t.Parallel()
	for _, v := range stores {
		for _, size := range []int{10, 128<<10 - 1, 128 << 10, 1 << 20} {
			t.Run(fmt.Sprintf("%s/%d", v.name, size), func(t *testing.T) {
				s, f := fake(t, v.opt, smallParts, v.change, func(o *Options) { o.tuning.copyPart = 300 << 10 })
				old := pattern(size)
				if err := upload1(t.Context(), f, "log", old, vfs.CreateOptions{}); err != nil {
					t.Fatal(err)
				}
				s.ResetCounts()
				w := write1(t, f, "log", []byte("line"), vfs.CreateOptions{Mode: vfs.Append, Owner: "ann"})
				if err := w.Commit(); err != nil {
					t.Fatal(err)
				}
				got := s.Counts()
				if copied := got["UploadPartCopy"] > 0; copied != (size >= 128<<10) || copied && v.name != "r2" && got["GetObject"] > 0 {
					t.Errorf("%v", got)
				}
				if got, _ := s.Get("pre/fix/log"); !bytes.Equal(got, append(old, "line"...)) {
					t.Error("the object has other bytes")
				}
				clean(t, s, "pre/fix/log")
			})
		}
	}
}

// TestAppendChanged: two gateways append at once. The second one to commit is
// refused, and the first one's line stays.
func TestAppendChanged(t *testing.T) {
	for _, old := range []bool{false, true} {
		for _, size := range []int{100, 300 << 10} {
			s, f := fake(t, s3fake.Options{MinPart: 128 << 10, IgnoreConditions: old}, smallParts)
			o := fakeOptions(s, "pre/fix")
			smallParts(&o)
			g := attach(t, o)
			if err := upload1(t.Context(), f, "log", pattern(size), vfs.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			mode := vfs.CreateOptions{Mode: vfs.Append, Owner: "ann"}
			a, b := write1(t, f, "log", []byte("first"), mode), write1(t, g, "log", []byte("second"), mode)
			if err := a.Commit(); err != nil {
				t.Fatal(err)
			}
			if err := b.Commit(); !errors.Is(err, vfs.ErrBusy) {
				t.Errorf("the second Commit = %v, want vfs.ErrBusy", err)
			}
			if got, _ := s.Get("pre/fix/log"); !bytes.HasSuffix(got, []byte("first")) {
				t.Error("a line is lost")
			}
			clean(t, s, "pre/fix/log")
		}
	}
}

// TestParkCosts is the part of the table that resumable uploads add.
func TestParkCosts(t *testing.T) {
	s, f := fake(t, smallFake, smallParts)
	s.PutAll("pre/fix/d/other")
	data := pattern(300 << 10)
	check := func(what string, want map[string]int) {
		t.Helper()
		if got := s.Counts(); !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
		s.ResetCounts()
	}
	s.ResetCounts()
	if err := upload1(t.Context(), f, "d/small", data[:1000], vfs.CreateOptions{Owner: "ann"}); err != nil {
		t.Fatal(err)
	}
	check("small upload", map[string]int{"ListObjectsV2": 3, "PutObject": 1})
	if err := upload1(t.Context(), f, "d/large", data, vfs.CreateOptions{Owner: "ann"}); err != nil {
		t.Fatal(err)
	}
	check("upload of three parts", map[string]int{"ListObjectsV2": 3, "CreateMultipartUpload": 1, "UploadPart": 3,
		"CompleteMultipartUpload": 1, "PutObject": 2, "DeleteObject": 1})
	w := write1(t, f, "d/cut", data, vfs.CreateOptions{Owner: "ann"})
	settled(w)
	s.ResetCounts()
	if err := w.Park(); err != nil {
		t.Fatal(err)
	}
	check("park", map[string]int{"ListObjectsV2": 2, "GetObject": 1, "PutObject": 2})
	at := told(t, f, "d/cut", "ann")
	check("size of a parked upload", map[string]int{"ListObjectsV2": 1, "GetObject": 1})
	if _, err := f.StatStaged(t.Context(), "d/none", "ann"); err == nil {
		t.Error("something is staged")
	}
	check("size of no parked upload", map[string]int{"ListObjectsV2": 1})
	w = write1(t, f, "d/cut", data[at:], resumeAt(at))
	check("resume", map[string]int{"ListObjectsV2": 3, "HeadObject": 1, "GetObject": 2, "ListParts": 1, "PutObject": 1})
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	check("its commit", map[string]int{"UploadPart": 1, "PutObject": 1, "CompleteMultipartUpload": 1, "DeleteObject": 2})
}

// TestStagedUploads: an operator sees what waits, of whom and how much.
func TestStagedUploads(t *testing.T) {
	s, f := fake(t, smallFake, smallParts)
	data := pattern(300 << 10)
	if err := write1(t, f, "d/parked", data, vfs.CreateOptions{Owner: "ann"}).Park(); err != nil {
		t.Fatal(err)
	}
	w := write1(t, f, "running", data, vfs.CreateOptions{Owner: "bob\xff"})
	settled(w)
	if err := upload1(t.Context(), f, "running", []byte("new"), vfs.CreateOptions{Owner: "bob\xff"}); err != nil {
		t.Fatal(err)
	}
	got, err := f.StagedUploads(t.Context())
	if err != nil || len(got) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	for _, u := range got {
		want := StagedUpload{Name: "d/parked", Owner: "ann", Size: int64(len(data)), Parked: true, Node: u.Node, Touched: u.Touched}
		if u.Name == "running" {
			want = StagedUpload{Name: "running", Owner: "bob\xff", Size: 256 << 10, Hidden: true, Node: u.Node, Touched: u.Touched}
		}
		if u != want || time.Since(u.Touched) > time.Hour {
			t.Errorf("%+v, want %+v", u, want)
		}
	}
	if err := w.Abort(); err != nil {
		t.Fatal(err)
	}
	if err := f.Discard(t.Context(), "d/parked", "ann"); err != nil {
		t.Fatal(err)
	}
	clean(t, s, "pre/fix/running")
}

// TestResumeAtOnce: a client that was cut off and comes back before its old session
// is parked finds its upload all the same.
func TestResumeAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f, end := bubble(t, smallFake, smallParts)
		defer end()
		data := pattern(1 << 20)
		w := write1(t, f, "file", data[:300<<10], vfs.CreateOptions{Owner: "ann"})
		settled(w)
		s.Inject(s3fake.Fault{Op: "PutObject", Do: func() { time.Sleep(3 * time.Second) }})
		parked := make(chan error)
		go func() { parked <- w.Park() }()
		synctest.Wait()
		at := told(t, f, "file", "ann")
		if err := <-parked; err != nil {
			t.Fatal(err)
		}
		if at != 300<<10-1 {
			t.Errorf("told %d, want %d", at, 300<<10-1)
		}
		if err := write1(t, f, "file", data[at:], resumeAt(at)).Commit(); err != nil {
			t.Fatal(err)
		}
		if got, _ := s.Get("pre/fix/file"); !bytes.Equal(got, data) {
			t.Error("the object has other bytes")
		}
		clean(t, s, "pre/fix/file")
	})
}
