package s3

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ftpgate/ftpgate/backends/s3/s3fake"
	"github.com/ftpgate/ftpgate/vfs"
)

const (
	costsDoc   = "../../docs/backends/s3.md"
	costsBegin = "<!-- costs: written by UPDATE_COSTS=1 go test ./backends/s3 -run TestCostTable -->\n"
	costsEnd   = "<!-- end of costs -->\n"
)

// bill is what S3 charges of requests: its prices know four kinds.
type bill struct{ list, put, get, free int }

func billOf(counts map[string]int) (b bill) {
	for op, n := range counts {
		switch op {
		case "ListObjectsV2", "ListMultipartUploads", "ListParts":
			b.list += n
		case "GetObject", "HeadObject", "GetObjectTagging":
			b.get += n
		case "DeleteObject", "AbortMultipartUpload":
			b.free += n
		default:
			b.put += n
		}
	}
	return b
}

// TestCostTable measures the table of costs in the manual.
func TestCostTable(t *testing.T) {
	ann := vfs.CreateOptions{Owner: "ann"}
	data := pattern(3*128<<10 - 1000) // three parts
	upload := func(size int, opt vfs.CreateOptions) func(*FS) error {
		return func(f *FS) error { return upload1(t.Context(), f, "d/new", data[:size], opt) }
	}
	stat := func(name string) func(*FS) error {
		return func(f *FS) error { _, err := f.Stat(t.Context(), name); return err }
	}
	told := func(name string) func(*FS) error {
		return func(f *FS) error {
			_, err := vfs.Size(t.Context(), vfs.ForOwner(f, "ann", vfs.ShowExact), name)
			return err
		}
	}
	list := func(dir string) func(*FS) error {
		return func(f *FS) error {
			for _, err := range f.ReadDir(t.Context(), dir, "") {
				if err != nil {
					return err
				}
			}
			return nil
		}
	}
	park := func(s *s3fake.Server, f *FS) func() error {
		w := write1(t, f, "d/new", data[:300<<10], ann)
		settled(w)
		return w.Park
	}
	parked := func(s *s3fake.Server, f *FS) {
		if err := park(s, f)(); err != nil {
			t.Fatal(err)
		}
	}
	times := func(o *Options) { o.KeepModTime = true }
	var table strings.Builder
	table.WriteString("| operation | List | Put | Get | free |\n|---|---|---|---|---|\n")
	row := func(what string, prepare func(*s3fake.Server, *FS), do func(*FS) error, change ...func(*Options)) {
		s, f := fake(t, s3fake.Options{MinPart: 128 << 10}, append([]func(*Options){smallParts}, change...)...)
		s.Put("pre/fix/d/file", pattern(1000))
		s.Put("pre/fix/d/large", pattern(600<<10))
		s.PutAll("pre/fix/d/other", "pre/fix/three/a", "pre/fix/three/b", "pre/fix/three/c", "pre/fix/single/file", "pre/fix/empty/")
		if prepare != nil {
			prepare(s, f)
		}
		s.ResetCounts()
		if err := do(f); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		b := billOf(s.Counts())
		fmt.Fprintf(&table, "| %s | %d | %d | %d | %d |\n", what, b.list, b.put, b.get, b.free)
	}
	s := s3fake.New(t, s3fake.Options{})
	open(t, s, fakeOptions(s, ""))
	b := billOf(s.Counts())
	fmt.Fprintf(&table, "| start | %d | %d | %d | %d |\n", b.list, b.put, b.get, b.free)
	s.ResetCounts()
	o := fakeOptions(s, "")
	o.ReadOnly = true
	open(t, s, o)
	b = billOf(s.Counts())
	fmt.Fprintf(&table, "| start with `read_only=true` | %d | %d | %d | %d |\n", b.list, b.put, b.get, b.free)

	row("CWD, MLST of a file or directory", nil, stat("d/file"))
	row("SIZE, MDTM for a user who may resume", nil, told("d/file"))
	row("the same, if an upload of the name is parked", parked, told("d/new"))
	row("LIST of up to 1,000 entries, and each further thousand", nil, list("d"))
	row("the same of three files with `mtime=meta`", nil, list("d"), times)
	row("RETR, and one Get more for each range that is read ahead", nil, func(f *FS) error {
		r, err := f.Open(t.Context(), "d/file", 0, -1)
		if err == nil {
			defer r.Close()
			_, err = io.Copy(io.Discard, r)
		}
		return err
	})
	row("STOR of less than a part", nil, upload(1000, vfs.CreateOptions{}))
	row("the same by a user who may resume", nil, upload(1000, ann))
	row("STOR of three parts", nil, upload(len(data), vfs.CreateOptions{}))
	row("the same by a user who may resume (one Put more for 16 further parts)", nil, upload(len(data), ann))
	row("APPE of a line to a file of 600 KiB", nil, func(f *FS) error {
		return upload1(t.Context(), f, "d/large", []byte("line"), vfs.CreateOptions{Mode: vfs.Append, Owner: "ann"})
	})
	var end func() error
	row("an upload of three parts breaks off: it is parked", func(s *s3fake.Server, f *FS) { end = park(s, f) }, func(*FS) error { return end() })
	row("it is resumed, and ends with one part more", parked, func(f *FS) error {
		at := int64(300<<10 - 1)
		return upload1(t.Context(), f, "d/new", data[at:], resumeAt(at))
	})
	row("DELE", nil, func(f *FS) error { return f.Remove(t.Context(), "d/file") })
	row("DELE of the last file of a directory without marker", nil, func(f *FS) error { return f.Remove(t.Context(), "single/file") })
	row("MKD", nil, func(f *FS) error { return f.Mkdir(t.Context(), "d/sub") })
	row("RMD", nil, func(f *FS) error { return f.Rmdir(t.Context(), "empty") })
	row("RNFR, RNTO of a file", nil, func(f *FS) error { return f.Rename(t.Context(), "d/file", "d/new", vfs.RenameOptions{}) })
	row("RNFR, RNTO of a directory of three objects", nil, func(f *FS) error { return f.Rename(t.Context(), "three", "four", vfs.RenameOptions{}) })
	row("SITE COPY", nil, func(f *FS) error { return f.Copy(t.Context(), "d/file", "d/new", vfs.CopyOptions{}) })
	row("HASH, where the store knows it", nil, func(f *FS) error {
		_, err := f.Hash(t.Context(), "d/file", vfs.MD5, 0, -1)
		return err
	})
	row("MFMT with `mtime=meta`", nil, func(f *FS) error { return f.SetModTime(t.Context(), "d/file", time.Unix(1e9, 0)) }, times)
	row("the sweeper, each hour, with nothing to do", nil, func(f *FS) error { _, err := f.Sweep(t.Context(), ByExpiry); return err })

	doc, err := os.ReadFile(costsDoc)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(doc), costsBegin)
	written, after, closed := strings.Cut(rest, costsEnd)
	if !found || !closed {
		t.Fatalf("%s has no place for the table", costsDoc)
	}
	if written == table.String() {
		return
	}
	if os.Getenv("UPDATE_COSTS") == "" {
		t.Fatalf("%s is stale; it says\n%s\nbut measured is\n%s\nwrite it anew by UPDATE_COSTS=1 go test ./backends/s3 -run TestCostTable", costsDoc, written, table.String())
	}
	if err := os.WriteFile(costsDoc, []byte(before+costsBegin+table.String()+costsEnd+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
