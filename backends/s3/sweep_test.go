package s3

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ftpgate/ftpgate/backends/s3/s3fake"
	"github.com/ftpgate/ftpgate/vfs"
)

// TestSweep: what was left behind goes when its time has come, and nothing else.
func TestSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f, end := bubble(t, s3fake.Options{MinPart: 128 << 10, PageLimit: 2}, smallParts)
		defer end()
		f.stop()
		data := pattern(300 << 10)
		sweep := func(want Swept) {
			t.Helper()
			if n, err := f.Sweep(t.Context(), ByExpiry); n != want || err != nil {
				t.Errorf("swept %+v, %v; want %+v", n, err, want)
			}
		}
		ann := vfs.CreateOptions{Owner: "ann"}
		for _, key := range []string{"pre/fix/a b", "pre/fix/ü", "pre/fix/quiet", "pre/fix/busy", "pre/other"} {
			if _, err := f.createMultipart(t.Context(), key, attributes{}, false); err != nil {
				t.Fatal(err)
			}
		}
		busy, err := f.createMultipart(t.Context(), "pre/fix/busy", attributes{}, false)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(26 * time.Hour)
		settled(write1(t, f, "killed", data, ann))
		for _, name := range []string{"parked", "kept"} {
			if err := write1(t, f, name, data, ann).Park(); err != nil {
				t.Fatal(err)
			}
		}
		for _, key := range []string{"tail/a/b/c/id/old", "probe/x", "up/a/b/c/broken"} {
			s.Put("pre/fix/.ftpgate/"+key, []byte("{"))
		}
		s.Put("pre/fix/file", nil)
		sweep(Swept{})
		time.Sleep(23 * time.Hour)
		if err := f.sendPart(t.Context(), "pre/fix/busy", busy, data); err != nil {
			t.Fatal(err)
		}
		s.Put("pre/fix/.ftpgate/tail/a/b/c/id/young", nil)
		// One of them is taken up again before the sweeper comes.
		at := told(t, f, "kept", "ann")
		w := write1(t, f, "kept", data[at:], resumeAt(at))
		settled(w)
		time.Sleep(90 * time.Minute)

		sweep(Swept{Uploads: 3, Tails: 1, Orphans: 4, Probes: 1})
		sweep(Swept{})
		for _, name := range []string{"killed", "parked"} {
			if _, err := f.StatStaged(t.Context(), name, "ann"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s is still staged: %v", name, err)
			}
		}
		if err := w.Commit(); err != nil {
			t.Fatal(err)
		}
		if got, _ := s.Get("pre/fix/kept"); !bytes.Equal(got, data) {
			t.Error("the object has other bytes")
		}
		if got, want := s.Keys(), []string{"pre/fix/.ftpgate/tail/a/b/c/id/young", "pre/fix/file", "pre/fix/kept"}; !slices.Equal(got, want) {
			t.Errorf("left are %q, want %q", got, want)
		}
		if got, want := s.OpenUploads(), []string{"pre/fix/busy", "pre/other"}; !slices.Equal(got, want) {
			t.Errorf("open are %q, want %q", got, want)
		}
		s.AbortUploads()
	})
}

// sendPart sends part 1 of an upload.
func (f *FS) sendPart(ctx context.Context, key, id string, data []byte) error {
	m := f.newMultipart(ctx, key, id, false)
	defer m.cancel()
	p := &part{number: 1, limit: int64(len(data))}
	for len(data) > 0 {
		c, err := f.buffers.get(ctx)
		if err != nil {
			return err
		}
		p.chunks = append(p.chunks, c)
		n := copy(c[:], data)
		p.size, data = p.size+int64(n), data[n:]
	}
	return errors.Join(m.send(ctx, p, false), m.wait(ctx))
}

// TestSweepErrors: what can't be deleted is told, and does not stop the rest.
func TestSweepErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f, end := bubble(t, smallFake, smallParts)
		defer end()
		f.stop()
		for _, name := range []string{"a", "b"} {
			if err := write1(t, f, name, pattern(300<<10), vfs.CreateOptions{Owner: "ann"}).Park(); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(25 * time.Hour)
		s.Inject(s3fake.Fault{Op: "AbortMultipartUpload", Status: 403, Code: "AccessDenied"})
		if n, err := f.Sweep(t.Context(), ByExpiry); err == nil || n.Uploads != 1 {
			t.Errorf("swept %+v, %v; want 1 upload and an error", n, err)
		}
		time.Sleep(25 * time.Hour)
		if n, err := f.Sweep(t.Context(), ByExpiry); err != nil || n.Uploads != 1 {
			t.Errorf("swept %+v, %v; want the other upload", n, err)
		}
		clean(t, s)
	})
}

// TestLongUpload: an upload that takes days, byte by byte, is not swept, here or on
// another gateway; one that nobody comes back for is.
func TestLongUpload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f, end := bubble(t, smallFake, smallParts)
		defer end()
		data := pattern(256 << 10)
		w := write1(t, f, "file", data[:200<<10], vfs.CreateOptions{Owner: "ann"})
		if err := write1(t, f, "left", data, vfs.CreateOptions{Owner: "ann"}).Park(); err != nil {
			t.Fatal(err)
		}
		for i := 200 << 10; i < len(data); i += 1 << 10 {
			time.Sleep(2*time.Hour + time.Second)
			if _, err := w.Write(data[i : i+1<<10]); err != nil {
				t.Fatal(err)
			}
			if n, err := f.Sweep(t.Context(), ByExpiry); err != nil || n.Uploads > 1 {
				t.Fatal(n, err)
			}
		}
		if err := w.Commit(); err != nil {
			t.Fatal(err)
		}
		if got, _ := s.Get("pre/fix/file"); !bytes.Equal(got, data) {
			t.Error("the object has other bytes")
		}
		clean(t, s, "pre/fix/file")
	})
}
