package daemon

import (
	"fmt"
	"io"
	"net/url"
	"os/exec"
	"strings"
)

// S3 is a running s3server with one empty bucket.
type S3 struct {
	*Process
	Endpoint, Access, Secret, Region, Bucket string

	life io.Closer // its standard input; the server ends with it
}

// StartS3 runs the s3server binary over dir; "": a temporary directory that the
// server removes when it ends.
func StartS3(binary, dir string) (*S3, error) {
	cmd := exec.Command(binary)
	if dir != "" {
		cmd.Args = append(cmd.Args, "-dir", dir)
	}
	life, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	s := &S3{life: life}
	fields := map[string]*string{
		"AWS_ENDPOINT_URL":      &s.Endpoint,
		"AWS_ACCESS_KEY_ID":     &s.Access,
		"AWS_SECRET_ACCESS_KEY": &s.Secret,
		"AWS_REGION":            &s.Region,
		"BUCKET":                &s.Bucket,
	}
	s.Process, err = start("s3server", cmd, func(line string) bool {
		name, value, _ := strings.Cut(line, "=")
		if field := fields[name]; field != nil {
			*field = value
		}
		return line == "READY=1"
	})
	return s, err
}

// Stop ends the server.
func (s *S3) Stop() error {
	s.life.Close()
	return s.Process.Stop()
}

// Env is the environment that gives the SDK's default chain its credentials and
// keeps it away from whatever this machine has configured.
func (s *S3) Env() []string {
	return []string{
		"AWS_ACCESS_KEY_ID=" + s.Access,
		"AWS_SECRET_ACCESS_KEY=" + s.Secret,
		"AWS_CONFIG_FILE=/dev/null",
		"AWS_SHARED_CREDENTIALS_FILE=/dev/null",
		"AWS_EC2_METADATA_DISABLED=true",
	}
}

// URL is what ftpgate serves to get at the bucket below prefix.
func (s *S3) URL(prefix string) string {
	q := url.Values{
		"endpoint":   {s.Endpoint},
		"region":     {s.Region},
		"path_style": {"true"},
		"provider":   {"generic"},
	}
	return fmt.Sprintf("s3://%s/%s?%s", s.Bucket, prefix, q.Encode())
}
