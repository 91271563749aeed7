package s3

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ftpgate/ftpgate/backends/s3/s3fake"
)

// eager makes downloads of few bytes take several streams.
func eager(o *Options) {
	o.tuning.eager, o.tuning.window, o.tuning.segment, o.tuning.maxSegment = true, 16<<10, 20_000, 80_000
}

// TestAheadFaults: whichever of the requests breaks off, the bytes come whole and in
// order, and no memory is kept.
func TestAheadFaults(t *testing.T) {
	t.Parallel()
	data := pattern(1_000_000)
	for _, fault := range []s3fake.Fault{
		{}, {CutBody: 1}, {CutBody: 30_000, Times: 4}, {Status: 503, Code: "SlowDown", Times: 3}, {Status: 500, Code: "InternalError"},
	} {
		for skip := range 6 {
			for _, span := range [][2]int64{{0, -1}, {123_456, -1}, {5, 700_000}} {
				t.Run(fmt.Sprint(fault.CutBody, fault.Status, skip, span), func(t *testing.T) {
					s, f := fake(t, s3fake.Options{}, eager)
					s.Put("pre/fix/file", data)
					fault.Op, fault.Skip = "GetObject", skip
					if fault.CutBody != 0 || fault.Status != 0 {
						s.Inject(fault)
					}
					want := data[span[0]:]
					if span[1] >= 0 {
						want = want[:span[1]]
					}
					r, err := f.Open(t.Context(), "file", span[0], span[1])
					if err != nil {
						t.Fatal(err)
					}
					defer r.Close()
					got, err := io.ReadAll(r)
					if err != nil || !bytes.Equal(got, want) {
						t.Errorf("%d bytes, %v; want %d", len(got), err, len(want))
					}
					if s.Counts()["GetObject"] < 8 {
						t.Error("nothing was read ahead")
					}
				})
			}
		}
	}
}

// TestAheadChanged: an object that is replaced while it is read ahead ends the
// download: what came is of the first version.
func TestAheadChanged(t *testing.T) {
	first, second := pattern(1_000_000), pattern(1_000_001)
	for skip := 1; skip < 8; skip++ {
		s, f := fake(t, s3fake.Options{}, eager)
		s.Put("pre/fix/file", first)
		s.Inject(s3fake.Fault{Op: "GetObject", Skip: skip, Do: func() { s.Put("pre/fix/file", second) }})
		r, err := f.Open(t.Context(), "file", 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if !errors.Is(err, errChanged) || !bytes.HasPrefix(first, got) {
			t.Errorf("%d bytes, %v; want %v", len(got), err, errChanged)
		}
		r.Close()
	}
}

// TestAheadClosed: a download that is given up in the middle keeps no memory and no
// request.
func TestAheadClosed(t *testing.T) {
	for _, n := range []int64{1, 20_000, 150_000, 400_000} {
		s, f := fake(t, s3fake.Options{}, eager)
		s.Put("pre/fix/file", pattern(1_000_000))
		r, err := f.Open(t.Context(), "file", 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, r, n); err != nil {
			t.Fatal(err)
		}
		r.Close()
		if !f.buffers.sem.TryAcquire(f.buffers.total) || !f.buffers.ahead.TryAcquire(f.buffers.total/2) {
			t.Fatal("memory of the budget is still held")
		}
		f.buffers.sem.Release(f.buffers.total)
		f.buffers.ahead.Release(f.buffers.total / 2)
	}
}

// TestAheadMemory: without memory a download is one plain request.
func TestAheadMemory(t *testing.T) {
	s, f := fake(t, s3fake.Options{}, eager)
	data := pattern(1_000_000)
	s.Put("pre/fix/file", data)
	if !f.buffers.sem.TryAcquire(f.buffers.total) {
		t.Fatal("the budget is in use")
	}
	defer f.buffers.sem.Release(f.buffers.total)
	r, err := f.Open(t.Context(), "file", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if n := s.Counts()["GetObject"]; n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

// TestAheadAdapts: a reader that waits for the store gets more streams, and a reader
// that makes the store wait gets one.
func TestAheadAdapts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f, end := bubble(t, s3fake.Options{}, func(o *Options) { eager(o); o.tuning.eager = false })
		defer end()
		data := pattern(4_000_000)
		s.Put("pre/fix/file", data)
		read := func(pause time.Duration) *file {
			r, err := f.Open(t.Context(), "file", 0, -1)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			d := r.(*file).from
			for {
				// The store's pace, in virtual time: 40 ms for 16 KiB of one stream.
				d.waited += 40 * time.Millisecond / time.Duration(d.streams)
				time.Sleep(40*time.Millisecond/time.Duration(d.streams) + pause)
				_, err := io.CopyN(&got, r, 16<<10)
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(got.Bytes(), data) {
				t.Error("other bytes")
			}
			return r.(*file)
		}
		r := read(0)
		if r.from.streams != maxStreams {
			t.Errorf("a reader that waits has %d streams, want %d", r.from.streams, maxStreams)
		}
		r.Close()
		s.ResetCounts()
		r = read(time.Second)
		if n := s.Counts()["GetObject"]; r.from.streams != 1 || n != 1 {
			t.Errorf("a slow reader has %d streams and made %d requests, want 1", r.from.streams, n)
		}
		r.Close()
	})
}
