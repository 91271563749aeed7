package s3

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"testing"

	"github.com/ftpgate/ftpgate/backends/s3/s3fake"
	"github.com/ftpgate/ftpgate/vfs"
)

// TestReadFaults: a download goes on at the exact byte, whatever breaks it off.
func TestReadFaults(t *testing.T) {
	t.Parallel()
	data := pattern(500_000)
	for _, c := range []struct {
		name   string
		faults []s3fake.Fault
	}{
		{"cut at the first byte", []s3fake.Fault{{CutBody: 1}}},
		{"cut in the middle", []s3fake.Fault{{CutBody: 250_000}}},
		{"cut before the last byte", []s3fake.Fault{{CutBody: 99_999}, {CutBody: 1}, {CutBody: 300_000}}},
		{"cut twelve times", slicesRepeat(s3fake.Fault{CutBody: 20_000}, 12)},
		{"cut, then SlowDown", []s3fake.Fault{{CutBody: 77}, {Status: 503, Code: "SlowDown"}, {Status: 500, Code: "InternalError"}, {CutBody: 10_000}}},
		{"SlowDown first", []s3fake.Fault{{Status: 503, Code: "SlowDown", Times: 3}}},
	} {
		for _, provider := range []Provider{Generic, AWS} {
			for _, span := range [][2]int64{{0, -1}, {100_000, -1}, {100_000, 350_000}} {
				t.Run(fmt.Sprint(c.name, provider, span), func(t *testing.T) {
					s, f := fake(t, s3fake.Options{}, func(o *Options) { o.Provider = provider })
					if err := upload1(t.Context(), f, "file", data, vfs.CreateOptions{}); err != nil {
						t.Fatal(err)
					}
					for _, fault := range c.faults {
						fault.Op = "GetObject"
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
				})
			}
		}
	}
}

func slicesRepeat(f s3fake.Fault, n int) []s3fake.Fault {
	all := make([]s3fake.Fault, n)
	for i := range all {
		all[i] = f
	}
	return all
}

// TestReadChanged: an object that is replaced or removed under a broken download
// ends it: never a mixed file.
func TestReadChanged(t *testing.T) {
	first, second := pattern(300_000), pattern(300_001)
	for _, c := range []struct {
		name   string
		change func(*s3fake.Server)
		want   error
	}{
		{"replaced", func(s *s3fake.Server) { s.Put("pre/fix/file", second) }, errChanged},
		{"removed", func(s *s3fake.Server) { s.Delete("pre/fix/file") }, fs.ErrNotExist},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, f := fake(t, s3fake.Options{})
			s.Put("pre/fix/file", first)
			s.Inject(s3fake.Fault{Op: "GetObject", CutBody: 100_000})
			r, err := f.Open(t.Context(), "file", 0, -1)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			c.change(s)
			got, err := io.ReadAll(r)
			if !errors.Is(err, c.want) || !bytes.HasPrefix(first, got) || len(got) < 1 {
				t.Errorf("%d bytes, %v; want %v", len(got), err, c.want)
			}
			var pe *fs.PathError
			if !errors.As(err, &pe) || pe.Path != "file" {
				t.Errorf("the error is %#v", err)
			}
		})
	}
}

// TestReadFails: what does not go away is an error, never a short file.
func TestReadFails(t *testing.T) {
	data := pattern(100_000)
	for _, c := range []struct {
		name  string
		fault s3fake.Fault
		want  error
	}{
		{"cut for ever without progress", s3fake.Fault{CutBody: -1, Times: -1}, io.ErrUnexpectedEOF},
		{"SlowDown for ever", s3fake.Fault{Status: 503, Code: "SlowDown", Times: -1}, vfs.ErrBusy},
		{"right lost", s3fake.Fault{Status: 403, Code: "AccessDenied", Times: -1}, fs.ErrPermission},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, f := fake(t, s3fake.Options{})
			s.Put("pre/fix/file", data)
			s.Inject(s3fake.Fault{Op: "GetObject", CutBody: 10_000})
			c.fault.Op = "GetObject"
			s.Inject(c.fault)
			r, err := f.Open(t.Context(), "file", 0, -1)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			got, err := io.ReadAll(r)
			if !errors.Is(err, c.want) || !bytes.HasPrefix(data, got) {
				t.Errorf("%d bytes, %v; want %v", len(got), err, c.want)
			}
		})
	}
}
