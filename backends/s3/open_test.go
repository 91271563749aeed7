package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/ftpgate/ftpgate/backends/s3/s3fake"
	"github.com/ftpgate/ftpgate/vfs"
)

func TestOptionsFromURL(t *testing.T) {
	yes, no := true, false
	for _, c := range []struct {
		url  string
		want Options
	}{
		{"s3://bucket", Options{Bucket: "bucket"}},
		{"s3://bucket/", Options{Bucket: "bucket"}},
		{"s3://bucket/a/b/", Options{Bucket: "bucket", Prefix: "a/b"}},
		{"s3://bucket/a%23b%20%25", Options{Bucket: "bucket", Prefix: "a#b %"}},
		{"s3://my.bucket_1/p?endpoint=http://127.0.0.1:7070&region=eu-west-1&path_style=true&provider=generic&profile=work",
			Options{Bucket: "my.bucket_1", Prefix: "p", Endpoint: "http://127.0.0.1:7070", Region: "eu-west-1", PathStyle: &yes, Provider: Generic, Profile: "work"}},
		{"s3://bucket?endpoint=https%3A%2F%2Fx.r2.example&path_style=false&provider=r2",
			Options{Bucket: "bucket", Endpoint: "https://x.r2.example", PathStyle: &no, Provider: R2}},
		{"s3://bucket?provider=aws", Options{Bucket: "bucket", Provider: AWS}},
		{"s3://bucket?read_only=true&mtime=meta&part_size=16MiB&buffers=1GiB&min_rate=64KiB&max_parked=7&max_parked_size=5000&requester_pays=true&expiry=48h",
			Options{Bucket: "bucket", ReadOnly: true, KeepModTime: true, PartSize: 16 << 20, Buffers: 1 << 30, MinRate: 64 << 10, MaxParked: 7, MaxParkedSize: 5000, RequesterPays: true, Expiry: 48 * time.Hour}},
		{"s3://bucket?mtime=store&storage_class=STANDARD_IA&acl=bucket-owner-full-control&cache_control=max-age%3D60&tags=a%3D1%26b%3Dx%2520y&meta.from=ftp&sse=kms&sse_kms_key=arn:aws:kms:x",
			Options{Bucket: "bucket", StorageClass: "STANDARD_IA", ACL: "bucket-owner-full-control", CacheControl: "max-age=60", Tags: map[string]string{"a": "1", "b": "x y"},
				Metadata: map[string]string{"from": "ftp"}, Encryption: KMSEncryption, KMSKey: "arn:aws:kms:x"}},
		{"s3://bucket?role=arn:aws:iam::1:role/r&external_id=e&sse=c&sse_c_key_file=/k",
			Options{Bucket: "bucket", Role: "arn:aws:iam::1:role/r", ExternalID: "e", Encryption: CustomerEncryption, CustomerKeyFile: "/k"}},
	} {
		u, err := url.Parse(c.url)
		if err != nil {
			t.Fatal(err)
		}
		got, err := OptionsFromURL(u)
		if err != nil {
			t.Errorf("%s: %v", c.url, err)
			continue
		}
		if (got.PathStyle == nil) != (c.want.PathStyle == nil) || got.PathStyle != nil && *got.PathStyle != *c.want.PathStyle {
			t.Errorf("%s: path style %v", c.url, got.PathStyle)
		}
		got.PathStyle, c.want.PathStyle = nil, nil
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", c.want) {
			t.Errorf("%s:\n%+v, want\n%+v", c.url, got, c.want)
		}
	}
	for _, c := range []struct{ url, want string }{
		{"http://bucket", "not an s3:// URL"},
		{"s3://key:secret@bucket", "credentials come from the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), a profile (profile=NAME) or a role"},
		{"s3:///prefix", "write s3://BUCKET/PREFIX"},
		{"s3:bucket", "write s3://BUCKET/PREFIX"},
		{"s3://127.0.0.1:9000/bucket", "endpoint=http://HOST:PORT"},
		{"s3://bucket/a#b", "%23"},
		{"s3://bucket/a//b", "plain names"},
		{"s3://bucket/a/../b", "plain names"},
		{"s3://bucket/a%0Ab", "plain names"},
		{"s3://bucket/.FTPGATE/up", "own directory"},
		{"s3://bucket?region=", "region is empty"},
		{"s3://bucket?region=a&region=b", "given 2 times"},
		{"s3://bucket?endpoint=127.0.0.1:7070", "must look like http://HOST:PORT"},
		{"s3://bucket?endpoint=http://k:s@127.0.0.1", "must look like http://HOST:PORT"},
		{"s3://bucket?path_style=1", "it is true or false"},
		{"s3://bucket?provider=minio", "must be aws, generic or r2"},
		{"s3://bucket?access_key=x", "allowed are acl, buffers, cache_control, endpoint, "},
		{"s3://bucket?endpoint=http://k:secret@127.0.0.1:%zz", "invalid URL escape"},
		{"s3://bucket?endpoint=http://k:secret@127.0.0.1", "endpoint holds credentials"},
		{"s3://bucket?endpoint=http%3A%2F%2Fk:secret@[bad&region=x", "endpoint holds credentials"},
		{"s3://bucket?read_only=yes", "it is true or false"},
		{"s3://bucket?part_size=4MiB", "from 5 MiB to 1 GiB"},
		{"s3://bucket?part_size=8M", "it is a size like"},
		{"s3://bucket?part_size=-1", "it is a size like"},
		{"s3://bucket?part_size=100MiB&buffers=64MiB", "buffers of eight times that"},
		{"s3://bucket?buffers=1MiB", "below 64 MiB"},
		{"s3://bucket?max_parked=0", "a number above 0"},
		{"s3://bucket?mtime=yes", "must be store or meta"},
		{"s3://bucket?sse=aes", "must be s3, kms, kms-dsse or c"},
		{"s3://bucket?sse_kms_key=abc", "is for sse=kms"},
		{"s3://bucket?sse_c_key_file=/x", "is for sse=c"},
		{"s3://bucket?sse=c&endpoint=http://store.example", "needs an endpoint with https://"},
		{"s3://bucket?sse_c_key=secret", "sse_c_key is unknown"},
		{"s3://bucket?storage_class=GLACIER", "can't be read without restoring"},
		{"s3://bucket?storage_class=a%0Ab", "can't stand in a header"},
		{"s3://bucket?acl=everybody", "must be one of [private"},
		{"s3://bucket?tags=a=1%26a=2", "is given 2 times"},
		{"s3://bucket?tags=%3Dx", "a key has 1 to 128 characters"},
		{"s3://bucket?meta.=x", "must be of a-z"},
		{"s3://bucket?meta.Über=x", "must be of a-z"},
		{"s3://bucket?mtime=meta&meta.mtime=1", "keeps the time of files"},
		{"s3://bucket?role=admin", "is not an ARN"},
		{"s3://bucket?external_id=x", "add role=ARN"},
		{"s3://bucket?expiry=1h", "two hours at least"},
		{"s3://bucket?a=%zz", "invalid URL escape"},
	} {
		u, err := url.Parse(c.url)
		if err != nil {
			t.Fatal(err)
		}
		_, err = OptionsFromURL(u)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.url, err, c.want)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error shows the secret: %v", c.url, err)
		}
	}
}

// TestOpenProblems: whatever is wrong at the start is one line that says what to do.
func TestOpenProblems(t *testing.T) {
	s := s3fake.New(t, s3fake.Options{})
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	tlsOnly := httptest.NewUnstartedServer(s)
	tlsOnly.Config.ErrorLog = log.New(io.Discard, "", 0)
	tlsOnly.StartTLS()
	defer tlsOnly.Close()

	for _, c := range []struct {
		name   string
		change func(*Options)
		want   string
	}{
		{"missing bucket", func(o *Options) { o.Bucket = "nowhere" }, "there is no such bucket at " + s.URL + "; create it or correct its name"},
		{"wrong key", func(o *Options) { o.Credentials = credentials.NewStaticCredentialsProvider("other", "secret", "") },
			s.URL + " does not know the access key; check AWS_ACCESS_KEY_ID or the profile"},
		{"wrong secret", func(o *Options) { o.Credentials = credentials.NewStaticCredentialsProvider("key", "other", "") },
			s.URL + " refuses the secret key; check AWS_SECRET_ACCESS_KEY or the profile"},
		{"no credentials", func(o *Options) { o.Credentials = nil }, "no credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a profile with profile=NAME, or give the machine a role"},
		{"unknown profile", func(o *Options) { o.Credentials, o.Profile = nil, "work" }, `the profile "work" is not in the AWS configuration files; correct profile= or add it to ~/.aws/config`},
		{"wrong region", func(o *Options) { o.Region = "eu-west-1" }, "the bucket is in the region us-east-1; add region=us-east-1 to the URL"},
		{"no region", func(o *Options) { o.Region, o.Endpoint = "", "" }, "the region is not known; add region= to the URL or set AWS_REGION"},
		{"nobody listens", func(o *Options) { o.Endpoint = "http://" + closed.Addr().String() }, "connection refused); check endpoint= and that the server runs"},
		{"nobody answers", func(o *Options) {
			o.Endpoint = "http://" + silent.Addr().String()
			o.tuning.check = 300 * time.Millisecond
		},
			"did not answer within 300ms; check endpoint= and the network"},
		{"unknown host", func(o *Options) { o.Endpoint = "http://s3.invalid" }, "the name s3.invalid of the S3 endpoint is not known; check endpoint= and region=, or add path_style=true"},
		{"not an S3 server", func(o *Options) { o.Endpoint = web.URL }, "there is no such bucket at " + web.URL + ", or it is not an S3 server; check the bucket and endpoint="},
		{"no TLS", func(o *Options) { o.Endpoint = strings.Replace(s.URL, "http", "https", 1) }, "does not speak TLS; write endpoint=http://…"},
		{"unknown authority", func(o *Options) { o.Endpoint = tlsOnly.URL }, "is not trusted; name its authority's file in AWS_CA_BUNDLE"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := fakeOptions(s, "")
			c.change(&o)
			f, err := Open(t.Context(), o)
			if err == nil {
				f.Close()
				t.Fatal("Open succeeds")
			}
			if text := err.Error(); !strings.Contains(text, c.want) || strings.Contains(text, "\n") || !strings.HasPrefix(text, "s3://"+o.Bucket+": ") {
				t.Errorf("%s\nwant …%s", text, c.want)
			}
		})
	}
	for _, c := range []struct {
		fault s3fake.Fault
		want  string
	}{
		{s3fake.Fault{Op: "ListObjectsV2", Status: 403, Code: "AccessDenied", Times: -1}, "these credentials may not list the bucket; grant s3:ListBucket, or use others"},
		{s3fake.Fault{Op: "ListObjectsV2", Status: 403, Code: "RequestTimeTooSkewed", Times: -1}, "the clock of this machine differs too much"},
		{s3fake.Fault{Op: "ListObjectsV2", Status: 400, Code: "ExpiredToken", Times: -1}, "the session token has expired or is wrong"},
		{s3fake.Fault{Op: "ListObjectsV2", Status: 500, Code: "InternalError", Times: -1}, "answers S3 ListObjectsV2: 500 InternalError (request REQ"},
		{s3fake.Fault{Op: "PutObject", Status: 500, Code: "InternalError", Times: -1}, "answers S3 PutObject: 500 InternalError (request REQ"},
	} {
		s := s3fake.New(t, s3fake.Options{})
		s.Inject(c.fault)
		_, err := Open(t.Context(), fakeOptions(s, ""))
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: %v, want %q", c.fault, err, c.want)
		}
		if left := s.OpenUploads(); len(left) > 0 {
			t.Errorf("multipart uploads are left open: %q", left)
		}
	}
	gone := errors.New("the operator is gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	if _, err := Open(ctx, fakeOptions(s, "")); err == nil || !strings.Contains(err.Error(), gone.Error()) {
		t.Errorf("cancelled: %v", err)
	}
	for _, o := range []Options{{}, {Bucket: "b", Buffers: 5}, {Bucket: "b", Prefix: "a/"}, {Bucket: "b", Provider: "x"}} {
		if _, err := Open(t.Context(), o); err == nil {
			t.Errorf("Open(%+v) succeeds", o)
		}
	}
}

// TestOpenEnvironment: endpoint, credentials and region may come from the default
// chain.
func TestOpenEnvironment(t *testing.T) {
	s := s3fake.New(t, s3fake.Options{RefuseChecksums: true})
	t.Setenv("AWS_ENDPOINT_URL_S3", s.URL)
	config := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(config, []byte("[profile work]\nregion = us-east-1\naws_access_key_id = key\naws_secret_access_key = secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CONFIG_FILE", config)
	f := open(t, s, Options{Bucket: "bucket", Profile: "work"})
	if f.profile.provider != Generic || !f.Caps().Has(vfs.CanWrite) {
		t.Errorf("provider %v, caps %v", f.profile.provider, f.Caps())
	}
}

// TestReadOnlyCredentials: credentials that may not write give a read-only FS, which
// says so.
func TestReadOnlyCredentials(t *testing.T) {
	s, f := fake(t, s3fake.Options{ReadOnly: true})
	if f.Caps() != vfs.AtomicCommit {
		t.Errorf("caps are %v", f.Caps())
	}
	s.ResetCounts()
	if err := f.Mkdir(t.Context(), "d"); vfs.Kind(err) == nil {
		t.Errorf("Mkdir = %v", err)
	}
	if n := len(s.Counts()); n != 0 {
		t.Errorf("the refusal cost %v", s.Counts())
	}
}
