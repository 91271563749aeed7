package s3

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"go.uber.org/goleak"

	"github.com/ftpgate/ftpgate/backends/s3/s3fake"
	"github.com/ftpgate/ftpgate/vfs"
	"github.com/ftpgate/ftpgate/vfs/vfstest"
)

// TestMain hides the machine's own AWS configuration from all tests.
func TestMain(m *testing.M) {
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AWS_") {
			os.Unsetenv(name)
		}
	}
	os.Setenv("AWS_CONFIG_FILE", os.DevNull)
	os.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	os.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	goleak.VerifyTestMain(m)
}

// fastTuning makes retries quick.
var fastTuning = tuning{backoff: time.Millisecond}

func fakeOptions(s *s3fake.Server, prefix string) Options {
	return Options{
		Bucket: s.Bucket(), Prefix: prefix, Endpoint: s.URL, Region: "us-east-1",
		Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
		tuning:      fastTuning,
	}
}

// open opens a bucket and checks at the end of the test that no multipart upload
// and no memory is left.
func open(t testing.TB, s *s3fake.Server, o Options) *FS {
	t.Helper()
	f := attach(t, o)
	t.Cleanup(func() {
		if !f.buffers.sem.TryAcquire(f.buffers.total) {
			t.Error("memory of the budget is still held")
		} else {
			f.buffers.sem.Release(f.buffers.total)
		}
		unclaimed(t, s)
	})
	return f
}

// attach opens a bucket for a gateway that may be killed: its uploads are just left.
func attach(t testing.TB, o Options) *FS {
	t.Helper()
	f, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// unclaimed checks that every open multipart upload and every tail belongs to a
// manifest: nothing else could ever go on with it.
func unclaimed(t testing.TB, s *s3fake.Server) {
	t.Helper()
	uploads, tails := map[string]bool{}, map[string]bool{}
	for _, key := range s.Keys() {
		if strings.Contains("/"+key, "/"+manifestDir) {
			var m manifest
			data, _ := s.Get(key)
			if err := json.Unmarshal(data, &m); err != nil && len(data) > 0 {
				t.Errorf("%s: %v", key, err)
			}
			prefix, _, _ := strings.Cut(key, stateDir)
			uploads[prefix+m.Key] = uploads[prefix+m.Key] || m.Upload != ""
			if m.Tail != nil {
				tails[m.Tail.Key] = true
			}
		}
	}
	for _, key := range s.OpenUploads() {
		if !uploads[key] {
			t.Errorf("a multipart upload is left open: %q", key)
		}
	}
	for _, key := range s.Keys() {
		if strings.Contains("/"+key, "/"+tailDir) && !tails[key] {
			t.Errorf("a tail is left: %q", key)
		}
	}
}

// fake starts a server and opens its bucket below "pre/fix".
func fake(t testing.TB, opt s3fake.Options, change ...func(*Options)) (*s3fake.Server, *FS) {
	s := s3fake.New(t, opt)
	o := fakeOptions(s, "pre/fix")
	for _, c := range change {
		c(&o)
	}
	return s, open(t, s, o)
}

func TestContract(t *testing.T) {
	t.Parallel()
	type variant struct {
		name    string
		entries int
		steps   int // of the random model
		opt     s3fake.Options
		change  func(*Options)
	}
	variants := []variant{
		// As plain as its defaults it runs over a real server, in integration.
		{"generic", 101, 150, s3fake.Options{RefuseChecksums: true}, func(o *Options) {
			o.Prefix, o.KeepModTime, o.tuning.copyLimit = "", true, 300<<10
		}},
		{"aws", 101, 150, s3fake.Options{MinPart: 64 << 10, PageLimit: 50}, func(o *Options) {
			o.Provider, o.tuning.part, o.tuning.minPart, o.tuning.copyLimit, o.tuning.copyPart = AWS, 64<<10, 64<<10, 300<<10, 128<<10
			o.tuning.eager, o.tuning.window, o.tuning.segment, o.tuning.maxSegment = true, 32<<10, 10_000, 70_000
		}},
		{"readonly", 10, 10, s3fake.Options{ReadOnly: true}, func(o *Options) {}},
	}
	if thorough { // what is theirs alone has tests of its own
		variants = append(variants, []variant{
			{"r2", 101, 50, s3fake.Options{PageLimit: 100, EqualParts: true, OpaqueETags: true, RefuseChecksums: true, MinPart: 64 << 10}, func(o *Options) {
				o.Provider, o.tuning.part, o.tuning.minPart = R2, 64<<10, 64<<10
			}},
			{"old", 41, 50, s3fake.Options{IgnoreConditions: true, PlainListing: true, PageLimit: 10}, func(o *Options) { o.Prefix = "" }},
		}...)
	}
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			type origin struct {
				s *s3fake.Server
				o Options
			}
			opened := map[vfs.FS]origin{}
			h := vfstest.Harness{
				New: func(t *testing.T) vfs.FS {
					s := s3fake.New(t, v.opt)
					o := fakeOptions(s, "pre/fix")
					v.change(&o)
					f := open(t, s, o)
					opened[f] = origin{s, o}
					if v.name == "aws" { // as the sessions of a gateway see it
						f := f.Session()
						opened[f] = origin{s, o}
						return f
					}
					return f
				},
				Reopen: func(t *testing.T, fsys vfs.FS) vfs.FS {
					from := opened[fsys]
					return open(t, from.s, from.o)
				},
				MaxEntries: v.entries,
				Large:      500_000,
				ModelSteps: v.steps,
			}
			vfstest.Run(t, h)
			if v.name == "aws" {
				t.Run("mounted", func(t *testing.T) { vfstest.Run(t, h.Mounted()) })
			}
		})
	}
}
