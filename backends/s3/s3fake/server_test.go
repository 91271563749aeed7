package s3fake_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/ftpgate/ftpgate/backends/s3/s3fake"
)

func client(t *testing.T, s *s3fake.Server, change ...func(*awss3.Options)) *awss3.Client {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	o := awss3.Options{
		Region: "us-east-1", BaseEndpoint: &s.URL, UsePathStyle: true, RetryMaxAttempts: 1, HTTPClient: &http.Client{Transport: transport},
		Credentials:                credentials.NewStaticCredentialsProvider("key", "secret", ""),
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired, ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	}
	return awss3.New(o, change...)
}

// code is the error code of an answer, its status where there is no body, "" for
// success.
func code(err error) string {
	var api smithy.APIError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &api):
		return api.ErrorCode()
	}
	return err.Error()
}

// TestStrict: what a real store refuses is refused, with its code.
func TestStrict(t *testing.T) {
	ctx := context.Background()
	s := s3fake.New(t, s3fake.Options{MinPart: 10})
	c := client(t, s)
	b, k := aws.String("bucket"), aws.String("key")
	put := func(in awss3.PutObjectInput) error {
		in.Bucket, in.Key = b, k
		if in.Body == nil {
			in.Body = strings.NewReader("content")
		}
		_, err := c.PutObject(ctx, &in)
		return err
	}
	get := func(in awss3.GetObjectInput) error {
		in.Bucket, in.Key = b, k
		out, err := c.GetObject(ctx, &in)
		if err == nil {
			out.Body.Close()
		}
		return err
	}
	copyTo := func(dst, src string, match *string) error {
		_, err := c.CopyObject(ctx, &awss3.CopyObjectInput{Bucket: b, Key: &dst, CopySource: &src, CopySourceIfMatch: match})
		return err
	}
	for _, step := range []struct {
		name string
		do   func() error
		want string
	}{
		{"missing object", func() error { return get(awss3.GetObjectInput{}) }, "NoSuchKey"},
		{"missing object, HEAD", func() error { _, err := c.HeadObject(ctx, &awss3.HeadObjectInput{Bucket: b, Key: k}); return err }, "NotFound"},
		{"missing bucket", func() error { _, err := c.GetObject(ctx, &awss3.GetObjectInput{Bucket: k, Key: k}); return err }, "NoSuchBucket"},
		{"wrong MD5", func() error { return put(awss3.PutObjectInput{ContentMD5: aws.String("AAAAAAAAAAAAAAAAAAAAAA==")}) }, "BadDigest"},
		{"wrong CRC", func() error { return put(awss3.PutObjectInput{ChecksumCRC64NVME: aws.String("AAAAAAAAAAA=")}) }, "BadDigest"},
		{"If-Match on nothing", func() error { return put(awss3.PutObjectInput{IfMatch: aws.String(`"x"`)}) }, "NoSuchKey"},
		{"If-None-Match on nothing", func() error { return put(awss3.PutObjectInput{IfNoneMatch: aws.String("*")}) }, ""},
		{"If-None-Match", func() error { return put(awss3.PutObjectInput{IfNoneMatch: aws.String("*")}) }, "PreconditionFailed"},
		{"wrong If-Match", func() error { return put(awss3.PutObjectInput{IfMatch: aws.String(`"x"`)}) }, "PreconditionFailed"},
		{"right If-Match", func() error {
			return put(awss3.PutObjectInput{IfMatch: aws.String(`"9a0364b9e99bb480dd25e1f0284c8555"`)})
		}, ""},
		{"GET with wrong If-Match", func() error { return get(awss3.GetObjectInput{IfMatch: aws.String(`"x"`)}) }, "PreconditionFailed"},
		{"range behind the end", func() error { return get(awss3.GetObjectInput{Range: aws.String("bytes=7-")}) }, "InvalidRange"},
		{"range over the end", func() error { return get(awss3.GetObjectInput{Range: aws.String("bytes=6-100")}) }, ""},
		{"copy onto itself", func() error { return copyTo("key", "bucket/key", nil) }, "InvalidRequest"},
		{"copy of nothing", func() error { return copyTo("dst", "bucket/none", nil) }, "NoSuchKey"},
		{"copy of another version", func() error { return copyTo("dst", "bucket/key", aws.String(`"x"`)) }, "PreconditionFailed"},
		{"copy", func() error { return copyTo("dst", "bucket/k%65y", nil) }, ""},
		{"long key", func() error { return copyTo(strings.Repeat("x", 1025), "bucket/key", nil) }, "KeyTooLongError"},
		{"unknown operation", func() error { _, err := c.GetBucketAcl(ctx, &awss3.GetBucketAclInput{Bucket: b}); return err }, "NotImplemented"},
	} {
		if got := code(step.do()); got != step.want {
			t.Errorf("%s: %q, want %q", step.name, got, step.want)
		}
	}
	for name, o := range map[string]func(*awss3.Options){
		"InvalidAccessKeyId":           func(o *awss3.Options) { o.Credentials = credentials.NewStaticCredentialsProvider("x", "secret", "") },
		"SignatureDoesNotMatch":        func(o *awss3.Options) { o.Credentials = credentials.NewStaticCredentialsProvider("key", "x", "") },
		"AuthorizationHeaderMalformed": func(o *awss3.Options) { o.Region = "eu-west-1" },
	} {
		_, err := client(t, s, o).GetObject(ctx, &awss3.GetObjectInput{Bucket: b, Key: k})
		if code(err) != name {
			t.Errorf("%s: %v", name, err)
		}
	}
	resp, err := http.Get(s.URL + "/bucket/key")
	if err != nil || resp.StatusCode != 403 {
		t.Errorf("without a signature: %v, %v", resp.Status, err)
	}
	resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
}

// TestStrictParts: the rules of multipart uploads.
func TestStrictParts(t *testing.T) {
	ctx := context.Background()
	s := s3fake.New(t, s3fake.Options{MinPart: 10})
	c := client(t, s)
	b, k := aws.String("bucket"), aws.String("key")
	begin := func() *string {
		out, err := c.CreateMultipartUpload(ctx, &awss3.CreateMultipartUploadInput{Bucket: b, Key: k})
		if err != nil {
			t.Fatal(err)
		}
		return out.UploadId
	}
	part := func(id *string, n int32, data string) types.CompletedPart {
		out, err := c.UploadPart(ctx, &awss3.UploadPartInput{Bucket: b, Key: k, UploadId: id, PartNumber: &n, Body: strings.NewReader(data)})
		if err != nil {
			t.Fatal(err)
		}
		return types.CompletedPart{PartNumber: &n, ETag: out.ETag}
	}
	complete := func(id *string, parts ...types.CompletedPart) string {
		_, err := c.CompleteMultipartUpload(ctx, &awss3.CompleteMultipartUploadInput{Bucket: b, Key: k, UploadId: id,
			MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}})
		return code(err)
	}
	id := begin()
	big1, big2, small := part(id, 1, "0123456789"), part(id, 2, "abcdefghij"), part(id, 3, "x")
	wrong := types.CompletedPart{PartNumber: aws.Int32(2), ETag: aws.String(`"00"`)}
	for _, step := range []struct {
		parts []types.CompletedPart
		want  string
	}{
		{[]types.CompletedPart{big2, big1}, "InvalidPartOrder"},
		{[]types.CompletedPart{big1, wrong}, "InvalidPart"},
		{[]types.CompletedPart{big1, {PartNumber: aws.Int32(9), ETag: big1.ETag}}, "InvalidPart"},
		{[]types.CompletedPart{small, part(id, 4, "0123456789")}, "EntityTooSmall"},
		{nil, "MalformedXML"},
		{[]types.CompletedPart{big1, big2, small}, ""},
		{[]types.CompletedPart{big1, big2, small}, "NoSuchUpload"},
	} {
		if got := complete(id, step.parts...); got != step.want {
			t.Errorf("%v: %q, want %q", len(step.parts), got, step.want)
		}
	}
	if got, _ := s.Get("key"); string(got) != "0123456789abcdefghijx" {
		t.Errorf("the object is %q", got)
	}
	// A part that was sent again no longer has the ETag that a zombie knows.
	id = begin()
	old := part(id, 1, "0123456789")
	part(id, 1, "9876543210")
	if got := complete(id, old); got != "InvalidPart" {
		t.Errorf("an overwritten part: %q", got)
	}
	if got := s.OpenUploads(); !slices.Equal(got, []string{"key"}) {
		t.Errorf("open uploads: %q", got)
	}
	if _, err := c.AbortMultipartUpload(ctx, &awss3.AbortMultipartUploadInput{Bucket: b, Key: k, UploadId: id}); err != nil {
		t.Error(err)
	}
	if got := s.OpenUploads(); len(got) != 0 {
		t.Errorf("open uploads: %q", got)
	}
}

// TestListing compares listings in pages of every size with what a simple model
// says.
func TestListing(t *testing.T) {
	s := s3fake.New(t, s3fake.Options{})
	c := client(t, s)
	r := rand.New(rand.NewPCG(1, 2))
	var keys []string
	for range 200 {
		var key strings.Builder
		for range 1 + r.IntN(6) {
			key.WriteByte("ab/-+ "[r.IntN(6)])
		}
		keys = append(keys, key.String())
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	s.PutAll(keys...)
	for _, prefix := range []string{"", "a", "a/", "b-", "/", "zz"} {
		for _, delimiter := range []string{"", "/"} {
			var want []string
			for _, k := range keys {
				rest, ok := strings.CutPrefix(k, prefix)
				if !ok {
					continue
				}
				if i := strings.Index(rest, "/"); delimiter != "" && i >= 0 {
					k = prefix + rest[:i+1]
				}
				if len(want) == 0 || want[len(want)-1] != k {
					want = append(want, k)
				}
			}
			for _, limit := range []int32{1, 2, 7, 1000} {
				got, pages := list(t, c, prefix, delimiter, limit)
				if !slices.Equal(got, want) {
					t.Errorf("prefix %q, delimiter %q, pages of %d: %q\nwant %q", prefix, delimiter, limit, got, want)
				}
				if most := len(want)/int(limit) + 1; pages > most {
					t.Errorf("prefix %q: %d pages, want at most %d", prefix, pages, most)
				}
			}
		}
	}
}

func list(t *testing.T, c *awss3.Client, prefix, delimiter string, limit int32) (all []string, pages int) {
	in := &awss3.ListObjectsV2Input{Bucket: aws.String("bucket"), Prefix: &prefix, MaxKeys: &limit}
	if delimiter != "" {
		in.Delimiter = &delimiter
	}
	for {
		out, err := c.ListObjectsV2(context.Background(), in)
		if err != nil {
			t.Fatal(err)
		}
		pages++
		var page []string
		for _, o := range out.Contents {
			page = append(page, *o.Key)
		}
		for _, p := range out.CommonPrefixes {
			page = append(page, *p.Prefix)
		}
		slices.Sort(page)
		all = append(all, page...)
		if !*out.IsTruncated {
			return all, pages
		}
		in.ContinuationToken = out.NextContinuationToken
	}
}

// TestFaults: each kind of fault shows once, and the requests behind it are
// served.
func TestFaults(t *testing.T) {
	ctx := context.Background()
	s := s3fake.New(t, s3fake.Options{})
	c := client(t, s)
	data := bytes.Repeat([]byte("x"), 200_000)
	s.Put("key", data)
	get := func() (int, error) {
		out, err := c.GetObject(ctx, &awss3.GetObjectInput{Bucket: aws.String("bucket"), Key: aws.String("key")})
		if err != nil {
			return 0, err
		}
		defer out.Body.Close()
		n, err := io.Copy(io.Discard, out.Body)
		return int(n), err
	}
	s.Inject(s3fake.Fault{Op: "GetObject", Skip: 1, Status: 503, Code: "SlowDown", Times: 2})
	s.Inject(s3fake.Fault{Op: "GetObject", CutBody: 1000})
	s.Inject(s3fake.Fault{Op: "GetObject", Key: "other", Status: 500, Times: -1})
	var got []string
	for range 5 {
		n, err := get()
		got = append(got, fmt.Sprint(n, code(err)))
	}
	// The request that Skip spares meets the next fault.
	want := []string{"1000unexpected EOF", "0SlowDown", "0SlowDown", "200000", "200000"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	put := func() string {
		_, err := c.PutObject(ctx, &awss3.PutObjectInput{Bucket: aws.String("bucket"), Key: aws.String("new"), Body: strings.NewReader("new")})
		return code(err)
	}
	s.Inject(s3fake.Fault{Op: "PutObject", Status: 500, Code: "InternalError"})
	s.Inject(s3fake.Fault{Op: "PutObject", Status: 500, Code: "InternalError", After: true})
	if got := put(); got != "InternalError" {
		t.Errorf("500: %q", got)
	}
	if _, ok := s.Get("new"); ok {
		t.Error("500 before has stored the object")
	}
	if got := put(); got != "InternalError" {
		t.Errorf("500 after: %q", got)
	}
	if got, _ := s.Get("new"); string(got) != "new" {
		t.Error("500 after has not stored the object")
	}
	if got := s.Counts()["PutObject"]; got != 2 {
		t.Errorf("%d puts are counted", got)
	}
}
