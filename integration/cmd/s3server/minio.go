package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// minioStart is how long MinIO may take until it makes the bucket.
const minioStart = time.Minute

// serveMinIO is serve with MinIO's program instead of versitygw.
func serveMinIO(ctx context.Context, program, dir, access, secret, bucket string) error {
	address, err := freeAddress()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var output bytes.Buffer // read only when the process is gone
	cmd := exec.CommandContext(ctx, program, "server", "--quiet", "--address", address, "--console-address", "127.0.0.1:0", filepath.Join(dir, "data"))
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.Env = append(os.Environ(), "HOME="+dir, "MINIO_ROOT_USER="+access, "MINIO_ROOT_PASSWORD="+secret, "MINIO_SITE_REGION="+region, "MINIO_BROWSER=off", "MINIO_UPDATE=off")
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()

	endpoint := "http://" + address
	ready := make(chan error, 1)
	go func() { ready <- bucketOnceUp(ctx, endpoint, access, secret, bucket) }()
	for {
		select {
		case err := <-ready:
			if err != nil {
				cancel()
				return errors.Join(fmt.Errorf("MinIO can't make the bucket: %w", err), <-ended)
			}
			announce(endpoint, access, secret, bucket)
			ready = nil
		case err := <-ended:
			switch {
			case ctx.Err() != nil: // it was told to end
				return nil
			case strings.Contains(output.String(), "address already in use"):
				return syscall.EADDRINUSE
			}
			return fmt.Errorf("MinIO ended: %w\n%s", err, output.Bytes())
		}
	}
}

// bucketOnceUp makes the bucket as soon as the server answers.
func bucketOnceUp(ctx context.Context, endpoint, access, secret, bucket string) error {
	ctx, cancel := context.WithTimeout(ctx, minioStart)
	defer cancel()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		err := makeBucket(ctx, endpoint, access, secret, bucket)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-again.C:
		}
	}
}
