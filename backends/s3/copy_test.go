package s3

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/ftpgate/ftpgate/backends/s3/s3fake"
	"github.com/ftpgate/ftpgate/vfs"
)

// tinyCopies makes copies above 300 KB go in parts of 128 KiB.
func tinyCopies(o *Options) { o.tuning.copyLimit, o.tuning.copyPart = 300_000, 128<<10 }

// TestCopyKeepsAll: whichever way an object is copied, what is stored beside its
// bytes comes along.
func TestCopyKeepsAll(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 1000, 1_000_000} {
		for _, once := range []bool{false, true} {
			for _, provider := range []Provider{Generic, AWS} {
				t.Run(fmt.Sprint(size, once, provider), func(t *testing.T) {
					s, f := fake(t, s3fake.Options{MinPart: 128 << 10, MaxCopy: 300_000}, tinyCopies, func(o *Options) { o.Provider = provider })
					data := pattern(size)
					_, err := f.client.PutObject(t.Context(), &awss3.PutObjectInput{
						Bucket: &f.bucket, Key: aws.String("pre/fix/d/file"), Body: bytes.NewReader(data),
						ContentType: aws.String("text/x-test; charset=utf-8"), CacheControl: aws.String("max-age=5"),
						ContentDisposition: aws.String(`attachment; filename="x"`), ContentEncoding: aws.String("gzip"),
						ContentLanguage: aws.String("de"), Metadata: map[string]string{"mtime": "1700000000.5", "owner": "a%20b"},
						StorageClass: types.StorageClassStandardIa, Tagging: aws.String("k=v+w&x=y%26z"),
					})
					if err != nil {
						t.Fatal(err)
					}
					if err := f.Rename(t.Context(), "d/file", "e/new", vfs.RenameOptions{NoReplace: once}); err != nil {
						t.Fatal(err)
					}
					if got, _ := s.Get("pre/fix/e/new"); !bytes.Equal(got, data) {
						t.Error("the copy has other bytes")
					}
					h := s.Header("pre/fix/e/new")
					for k, want := range map[string]string{
						"Content-Type": "text/x-test; charset=utf-8", "Cache-Control": "max-age=5", "Content-Disposition": `attachment; filename="x"`,
						"Content-Encoding": "gzip", "Content-Language": "de", "X-Amz-Meta-Mtime": "1700000000.5", "X-Amz-Meta-Owner": "a%20b",
						"X-Amz-Storage-Class": "STANDARD_IA",
					} {
						if h.Get(k) != want {
							t.Errorf("%s is %q, want %q", k, h.Get(k), want)
						}
					}
					tags, err := f.client.GetObjectTagging(t.Context(), &awss3.GetObjectTaggingInput{Bucket: &f.bucket, Key: aws.String("pre/fix/e/new")})
					if err != nil || len(tags.TagSet) != 2 {
						t.Fatalf("tags: %v, %v", tags, err)
					}
					if got := s.Keys(); !slices.Equal(got, []string{"pre/fix/d/", "pre/fix/e/new"}) {
						t.Errorf("keys are %q", got)
					}
				})
			}
		}
	}
}

// TestRenameFaults: a rename that fails leaves the original whole, and no upload.
func TestRenameFaults(t *testing.T) {
	data := pattern(1_000_000)
	for _, c := range []struct {
		name  string
		once  bool
		fault s3fake.Fault
		want  error // nil: it comes through
	}{
		{"SlowDown of the copy", false, s3fake.Fault{Op: "CopyObject", Status: 503, Code: "SlowDown", Times: 2}, nil},
		{"500 after the copy", false, s3fake.Fault{Op: "CopyObject", Status: 500, Code: "InternalError", After: true}, nil},
		{"no right to copy", false, s3fake.Fault{Op: "CopyObject", Status: 403, Code: "AccessDenied"}, fs.ErrPermission},
		{"no right to delete", false, s3fake.Fault{Op: "DeleteObject", Status: 403, Code: "AccessDenied"}, fs.ErrPermission},
		{"SlowDown of the deletion", false, s3fake.Fault{Op: "DeleteObject", Status: 503, Code: "SlowDown", Times: 2}, nil},
		{"500 of a part", true, s3fake.Fault{Op: "UploadPartCopy", Status: 500, Code: "InternalError"}, nil},
		{"no right to a part", true, s3fake.Fault{Op: "UploadPartCopy", Skip: 3, Status: 403, Code: "AccessDenied"}, fs.ErrPermission},
		{"500 after Complete", true, s3fake.Fault{Op: "CompleteMultipartUpload", Status: 500, Code: "InternalError", After: true}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, f := fake(t, s3fake.Options{MinPart: 128 << 10}, func(o *Options) { o.tuning.copyPart = 128 << 10 })
			s.Put("pre/fix/old", data)
			s.Inject(c.fault)
			err := f.Rename(t.Context(), "old", "new", vfs.RenameOptions{NoReplace: c.once})
			if !errors.Is(err, c.want) {
				t.Errorf("Rename = %v, want %v", err, c.want)
			}
			where := "pre/fix/old"
			if c.want == nil {
				where = "pre/fix/new"
			}
			if got, _ := s.Get(where); !bytes.Equal(got, data) {
				t.Errorf("%s does not hold the file", where)
			}
		})
	}
}

// TestRenameChanged: a file that is replaced while it is renamed is not lost.
func TestRenameChanged(t *testing.T) {
	first, second := pattern(1000), pattern(1001)
	for _, c := range []struct{ op string }{{"CopyObject"}, {"HeadObject"}} {
		s, f := fake(t, s3fake.Options{})
		s.Put("pre/fix/old", first)
		skip := 0
		if c.op == "HeadObject" { // the look before the deletion
			skip = 1
		}
		s.Inject(s3fake.Fault{Op: c.op, Skip: skip, Do: func() { s.Put("pre/fix/old", second) }})
		if err := f.Rename(t.Context(), "old", "new", vfs.RenameOptions{}); !errors.Is(err, vfs.ErrBusy) {
			t.Errorf("changed at %s: Rename = %v, want vfs.ErrBusy", c.op, err)
		}
		if got, _ := s.Get("pre/fix/old"); !bytes.Equal(got, second) {
			t.Errorf("changed at %s: the new content is gone", c.op)
		}
		if got, ok := s.Get("pre/fix/new"); ok && !bytes.Equal(got, first) {
			t.Errorf("changed at %s: the copy is of another version", c.op)
		}
	}
}

// TestCopyChanged: whatever the store says of a source that shrank or went since it
// was looked at, the answer is that it changed.
func TestCopyChanged(t *testing.T) {
	for _, c := range []struct {
		op     string
		change func(*s3fake.Server)
		fault  s3fake.Fault
	}{
		{"CopyObject", func(s *s3fake.Server) { s.Delete("pre/fix/old") }, s3fake.Fault{}},
		{"UploadPartCopy", func(s *s3fake.Server) { s.Delete("pre/fix/old") }, s3fake.Fault{}},
		{"UploadPartCopy", func(s *s3fake.Server) { s.Put("pre/fix/old", []byte("short")) }, s3fake.Fault{Status: 400, Code: "InvalidArgument"}},
		{"UploadPartCopy", func(s *s3fake.Server) { s.Put("pre/fix/old", []byte("short")) }, s3fake.Fault{Status: 416, Code: "InvalidRange"}},
	} {
		s, f := fake(t, s3fake.Options{})
		s.Put("pre/fix/old", pattern(1000))
		c.fault.Op, c.fault.Do = c.op, func() { c.change(s) }
		s.Inject(c.fault)
		err := f.Copy(t.Context(), "old", "new", vfs.CopyOptions{NoReplace: c.op == "UploadPartCopy"})
		if !errors.Is(err, vfs.ErrBusy) {
			t.Errorf("%s: %v, want vfs.ErrBusy", c.op, err)
		}
		if _, ok := s.Get("pre/fix/new"); ok {
			t.Errorf("%s: there is a copy", c.op)
		}
	}
}

// TestStatuses: the HTTP status decides what an error means, on HEAD too, which has
// no code.
func TestStatuses(t *testing.T) {
	for _, c := range []struct {
		status int
		code   string
		want   error
	}{
		{404, "NoSuchKey", fs.ErrNotExist}, {404, "SomethingElse", fs.ErrNotExist},
		{403, "AccessDenied", fs.ErrPermission}, {401, "Unauthorized", fs.ErrPermission}, {405, "MethodNotAllowed", fs.ErrPermission},
		{403, "InvalidObjectState", vfs.ErrOffline},
		{429, "TooManyRequests", vfs.ErrBusy}, {503, "SlowDown", vfs.ErrBusy}, {503, "", vfs.ErrBusy}, {409, "OperationAborted", vfs.ErrBusy},
		{507, "", vfs.ErrNoSpace}, {413, "EntityTooLarge", vfs.ErrTooLarge}, {501, "NotImplemented", errors.ErrUnsupported},
		{500, "InternalError", nil}, {400, "Strange", nil}, {301, "PermanentRedirect", nil}, {418, "", nil},
	} {
		for _, op := range []string{"GetObject", "HeadObject"} {
			if op == "HeadObject" && (c.code == "InvalidObjectState" || c.status == http.StatusNotFound) {
				continue
			}
			s, f := fake(t, s3fake.Options{}, func(o *Options) { o.tuning.attempts = 2 })
			s.Put("pre/fix/secret", []byte("x"))
			s.Inject(s3fake.Fault{Op: op, Status: c.status, Code: c.code, Times: -1})
			var err error
			if op == "GetObject" {
				_, err = f.Open(t.Context(), "secret", 0, -1)
			} else {
				_, err = f.Stat(t.Context(), "secret")
			}
			var pe *fs.PathError
			if !errors.As(err, &pe) || pe.Path != "secret" || bytes.Contains([]byte(err.Error()), []byte("pre/fix")) {
				t.Errorf("%s %d %s: the error is %v", op, c.status, c.code, err)
			}
			if kind := vfs.Kind(err); kind != c.want && !(errors.Is(err, c.want) && c.want != nil) {
				t.Errorf("%s %d %s: %v, want %v", op, c.status, c.code, err, c.want)
			}
		}
	}
	s, f := fake(t, s3fake.Options{})
	s.Put("pre/fix/ice", []byte("x"))
	s.Archive("pre/fix/ice")
	if _, err := f.Open(t.Context(), "ice", 0, -1); !errors.Is(err, vfs.ErrOffline) {
		t.Errorf("archived: %v, want vfs.ErrOffline", err)
	}
}
