// Package integration runs the clients that people have against the ftpgate that
// people get: the built command, over every backend, among them a real S3 server.
//
// Whatever a test needs and does not find fails it; "make test" installs it all.
package integration

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ftpgate/ftpgate/integration/internal/daemon"
)

// shared is what TestMain prepares for all tests; nobody changes it afterwards.
var shared struct {
	ftpgate string // the command, built with the race detector
	plain   string // the command as it is released
	s3      *daemon.S3
	s3cmd   string // configuration of s3cmd for s3
}

// tools are the commands that the tests run; integration/tools/install has their
// packages.
var tools = []string{
	"argon2", "curl", "htpasswd", "lftp", "mkpasswd", "ncftp", "ncftpget", "ncftpls", "ncftpput", "openssl", "python3", "s3cmd", "strace", "tnftp", "wget",
}

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := prepareAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "integration:", err)
		code = 1
	}
	os.Exit(code)
}

func prepareAndRun(m *testing.M) (code int, err error) {
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			return 1, fmt.Errorf("%w; integration/tools/install installs it", err)
		}
	}
	dir, err := os.MkdirTemp("", "ftpgate-integration-*")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	shared.ftpgate, shared.plain = filepath.Join(dir, "ftpgate"), filepath.Join(dir, "ftpgate-plain")
	server := filepath.Join(dir, "s3server")
	if err := errors.Join(
		daemon.Build("..", "./cmd/ftpgate", shared.ftpgate, "-race"),
		daemon.Build("..", "./cmd/ftpgate", shared.plain),
		daemon.Build(".", "./cmd/s3server", server),
	); err != nil {
		return 1, err
	}
	if shared.s3, err = daemon.StartS3(server, ""); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, shared.s3.Stop()) }()
	// For the SDK's default chain, in this process and in the gateways.
	for _, pair := range shared.s3.Env() {
		name, value, _ := strings.Cut(pair, "=")
		if err := os.Setenv(name, value); err != nil {
			return 1, err
		}
	}
	shared.s3cmd = filepath.Join(dir, "s3cmd.cfg")
	if err := os.WriteFile(shared.s3cmd, []byte(s3cmdConfig(shared.s3)), 0o600); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

func s3cmdConfig(s *daemon.S3) string {
	host := strings.TrimPrefix(s.Endpoint, "http://")
	return fmt.Sprintf(`[default]
access_key = %s
secret_key = %s
host_base = %s
host_bucket = %s
bucket_location = %s
use_https = False
guess_mime_type = False
stats = False
progress_meter = False
preserve_attrs = False
`, s.Access, s.Secret, host, host, s.Region)
}

// patience bounds one run of a client, so that a hang fails with the transcript
// and not with the time-out of the whole test.
const patience = 2 * time.Minute

// command prepares a client: at home in an empty directory, in a UTF-8 locale,
// with nothing of this machine's configuration.
func command(t *testing.T, home, name string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = home
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "LC_ALL=C.UTF-8", "TERM=dumb", "TMPDIR=" + os.TempDir()}
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// run runs cmd and returns what it printed to either stream.
func run(cmd *exec.Cmd) (string, error) {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// status is the exit status in a command's error, 0 without one.
func status(err error) int {
	if err == nil {
		return 0
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return -1
}
