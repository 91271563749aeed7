// Command demo shows the main job without an S3 account: a real S3 server on this
// machine with ftpgate in front of it, and lines to try, until Ctrl-C.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/ftpgate/ftpgate/integration/internal/daemon"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run() (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	fmt.Println("Building ftpgate and the S3 server ...")
	built, err := daemon.BuildAll()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, built.Remove()) }()
	if ctx.Err() != nil {
		return nil
	}
	s3, err := daemon.StartS3(built.S3Server, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s3.Stop()) }()
	gateway, err := daemon.StartGateway(daemon.GatewayConfig{
		Binary: built.Ftpgate, Host: daemon.Loopback(), Storage: s3.URL("demo"), Env: s3.Env(),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, gateway.Stop()) }()

	url := fmt.Sprintf("ftp://%s:%s@%s/", daemon.User, daemon.Password, gateway.Addr)
	fmt.Printf(`
%s, an S3 server, holds the bucket %s.
%s, ftpgate, serves it by FTP. In another terminal:

    curl -T README.md %sreadme.txt                     # upload
    curl %s                                            # list
    curl -o copy.txt %sreadme.txt                      # download
    curl -Q "RNFR readme.txt" -Q "RNTO read.me" %s     # rename
    curl -Q "DELE read.me" %s                          # delete

The objects are below s3://%s/demo/. To look at them with another S3 client:

    export AWS_ENDPOINT_URL=%s AWS_REGION=%s
    export AWS_ACCESS_KEY_ID=%s AWS_SECRET_ACCESS_KEY=%s

Ctrl-C ends both servers and removes the bucket.
`, s3.Endpoint, s3.Bucket, gateway.Addr, url, url, url, url, url, s3.Bucket, s3.Endpoint, s3.Region, s3.Access, s3.Secret)

	select {
	case <-ctx.Done():
		fmt.Println("\nEnding.")
		return nil
	case <-s3.Done():
		return errors.New("the S3 server ended by itself")
	case <-gateway.Done():
		return errors.New("ftpgate ended by itself")
	}
}
