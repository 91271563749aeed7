package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/ftpgate/ftpgate/backends/memory"
	"github.com/ftpgate/ftpgate/backends/s3"
	"github.com/ftpgate/ftpgate/backends/s3/s3fake"
	"github.com/ftpgate/ftpgate/vfs"
)

func TestS3Housekeeping(t *testing.T) {
	server := s3fake.New(t, s3fake.Options{})
	open := func(ctx context.Context, url string) (vfs.FS, io.Closer, error) {
		if url != "s3://bucket" {
			f := memory.New(memory.Options{})
			return f, io.NopCloser(nil), nil
		}
		f, err := s3.Open(ctx, s3.Options{Bucket: server.Bucket(), Endpoint: server.URL,
			Credentials: credentials.NewStaticCredentialsProvider("key", "secret", "")})
		return f, f, err
	}
	f, closer, err := open(t.Context(), "s3://bucket")
	if err != nil {
		t.Fatal(err)
	}
	defer closer.Close()
	w, err := f.Create(t.Context(), "d/two words", vfs.CreateOptions{Owner: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("half")); err != nil {
		t.Fatal(err)
	}
	if err := w.Park(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args   []string
		status int
		out    []string
		errs   string
	}{
		{[]string{"staged", "s3://bucket"}, statusOK, []string{"TOUCHED", "\"d/two words\"", " 4 ", " parked ", " ann "}, ""},
		{[]string{"sweep", "s3://bucket"}, statusOK, []string{"deleted: 0 staged uploads"}, ""},
		{[]string{"sweep", "--older-than", "soon", "s3://bucket"}, statusUsage, nil, "it must be a time like 48h or 0s"},
		{[]string{"sweep", "--older-than", "1h", "s3://bucket"}, statusOK, []string{"deleted: 0 staged uploads"}, ""},
		{[]string{"sweep", "--older-than", "0s", "s3://bucket"}, statusOK, []string{"deleted: 1 staged uploads"}, ""},
		{[]string{"sweep", "mem:"}, statusUsage, nil, "that is no bucket"},
		{[]string{"sweep"}, statusUsage, nil, "give one URL"},
	} {
		var out, errs bytes.Buffer
		p := surroundings{stdin: strings.NewReader(""), stdout: &out, stderr: &errs, open: open}
		status := p.run(t.Context(), append([]string{"s3"}, c.args...))
		if status != c.status || !strings.Contains(errs.String(), c.errs) {
			t.Errorf("%q: status %d, %q; want %d, %q", c.args, status, errs.String(), c.status, c.errs)
		}
		for _, want := range c.out {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%q prints %q, want %q in it", c.args, out.String(), want)
			}
		}
	}
}
