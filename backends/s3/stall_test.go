package s3

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ftpgate/ftpgate/backends/s3/s3fake"
	"github.com/ftpgate/ftpgate/vfs"
)

// TestStall: a connection that falls silent is given up after 30 s and its work
// is done again; a client that pauses costs nothing.
func TestStall(t *testing.T) {
	data := pattern(300_000)
	t.Run("download", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, f, end := bubble(t, s3fake.Options{})
			defer end()
			s.Put("pre/fix/file", data)
			s.Inject(s3fake.Fault{Op: "GetObject", Stall: true, StallAt: 100_000})
			begin := time.Now()
			r, err := f.Open(t.Context(), "file", 0, -1)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			time.Sleep(time.Hour) // the client's pause, before the first byte
			head := make([]byte, 1000)
			if _, err := io.ReadFull(r, head); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour) // and behind it
			rest, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(append(head, rest...), data) {
				t.Errorf("read %d of %d bytes, %v", len(head)+len(rest), len(data), err)
			}
			if d := time.Since(begin) - 2*time.Hour; d != 30*time.Second {
				t.Errorf("the stall took %v, want 30s", d)
			}
			if n := s.Counts()["GetObject"]; n != 2 {
				t.Errorf("%d GETs, want 2", n)
			}
		})
	})
	t.Run("answer", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, f, end := bubble(t, s3fake.Options{})
			defer end()
			s.Put("pre/fix/file", data)
			s.Inject(s3fake.Fault{Op: "HeadObject", Stall: true})
			begin := time.Now()
			if info, err := f.Stat(t.Context(), "file"); err != nil || info.Size() != int64(len(data)) {
				t.Errorf("Stat = %v, %v", info, err)
			}
			if d := time.Since(begin); d < 30*time.Second || d > 31*time.Second {
				t.Errorf("the stall took %v, want 30s and a short pause", d)
			}
		})
	})
	t.Run("part", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, f, end := bubble(t, s3fake.Options{})
			defer end()
			s.Inject(s3fake.Fault{Op: "UploadPart", Stall: true})
			big := pattern(9 << 20)
			if err := upload1(t.Context(), f, "file", big, vfs.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			if got, _ := s.Get("pre/fix/file"); !bytes.Equal(got, big) {
				t.Error("the object has other bytes")
			}
		})
	})
	t.Run("slow completion", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, f, end := bubble(t, s3fake.Options{})
			defer end()
			// The store takes five minutes over it: that is no stall.
			s.Inject(s3fake.Fault{Op: "CompleteMultipartUpload", Do: func() { time.Sleep(5 * time.Minute) }})
			if err := upload1(t.Context(), f, "file", pattern(9<<20), vfs.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			if n := s.Counts()["CompleteMultipartUpload"]; n != 3 { // the probe has two
				t.Errorf("%d completions, want 3", n)
			}
		})
	})
	t.Run("cancelled", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, f, end := bubble(t, s3fake.Options{})
			defer end()
			s.Put("pre/fix/file", data)
			s.Inject(s3fake.Fault{Op: "GetObject", Stall: true, StallAt: 100_000, Times: -1})
			gone := errors.New("the client is gone")
			ctx, cancel := context.WithCancelCause(t.Context())
			r, err := f.Open(ctx, "file", 0, -1)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			begin := time.Now()
			go func() {
				time.Sleep(time.Second)
				cancel(gone)
			}()
			if _, err := io.ReadAll(r); !errors.Is(err, gone) {
				t.Errorf("Read = %v, want the cause", err)
			}
			if d := time.Since(begin); d != time.Second {
				t.Errorf("the cancelled read came back after %v, want 1s", d)
			}
		})
	})
}
