package integration

import (
	"testing"
)

// TestS3cmd goes there and back between FTP and s3cmd, S3's oldest command line
// client, with all names and more than one part.
func TestS3cmd(t *testing.T) {
	s3 := storages()[2]
	s := startSite(t, s3, loopbacks[0].addr)
	remote := "s3://" + shared.s3.Bucket + "/" + s.door.(bucket).prefix
	s3cmd := func(args ...string) {
		t.Helper()
		if out, err := run(command(t, t.TempDir(), "s3cmd", append([]string{"-c", shared.s3cmd}, args...)...)); err != nil {
			t.Fatalf("s3cmd %q: %v\n%s", args, err, out)
		}
	}
	files := s.samples()

	curlDoor{s.Gateway}.store(t, "by ftp", files)
	local := t.TempDir()
	s3cmd("sync", remote+"/by ftp/", local+"/") // checks MD5 where the ETag is one
	readTree(t, local).mustEqual(t, "sent by FTP, fetched by s3cmd", files)

	s3cmd("sync", "--multipart-chunk-size-mb=5", local+"/", remote+"/by s3cmd/")
	curlDoor{s.Gateway}.fetch(t, "by s3cmd").mustEqual(t, "sent by s3cmd, fetched by FTP", files)
}
