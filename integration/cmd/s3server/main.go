// Command s3server is the real S3 server of the tests: versitygw over a
// directory, on a free port of the loopback interface; or MinIO, if the environment
// has the path of its program in FTPGATE_TEST_MINIO.
//
// When it is ready it prints what a client needs as lines of NAME=VALUE, of which
// the last is READY=1:
//
//	AWS_ENDPOINT_URL=http://127.0.0.1:40123
//	AWS_ACCESS_KEY_ID=...
//	AWS_SECRET_ACCESS_KEY=...
//	AWS_REGION=us-east-1
//	BUCKET=ftpgate
//
// It ends when its standard input ends, so that it never outlives the process
// that started it, and at SIGTERM and SIGINT. It is a command and not a library
// because versitygw allows one instance a process and changes the working
// directory.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
	"github.com/versity/versitygw/s3api"
)

const (
	region = "us-east-1"
	// binds is how often another free port is tried when somebody took the
	// chosen one between its choice and its use.
	binds = 10
)

func main() {
	dir := flag.String("dir", "", "`directory` that holds the buckets, on a file system with extended attributes (default: a temporary one, removed at the end)")
	bucket := flag.String("bucket", "ftpgate", "`name` of the bucket to make")
	flag.Parse()
	if err := run(*dir, *bucket); err != nil {
		fmt.Fprintln(os.Stderr, "s3server:", err)
		os.Exit(1)
	}
}

func run(dir, bucket string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()

	if dir == "" {
		temp, err := os.MkdirTemp("", "ftpgate-s3-*")
		if err != nil {
			return err
		}
		defer os.RemoveAll(temp)
		dir = temp
	}
	access, secret := "AKIA"+rand.Text()[:16], rand.Text()+rand.Text()
	start := func() error { return serve(ctx, dir, access, secret, bucket, meta.XattrMeta{}) }
	if program := os.Getenv("FTPGATE_TEST_MINIO"); program != "" {
		start = func() error { return serveMinIO(ctx, program, dir, access, secret, bucket) }
	} else if err := (meta.XattrMeta{}).Test(dir); err != nil {
		return fmt.Errorf("%s can't hold S3 objects: %w; set TMPDIR to a directory on ext4, xfs or btrfs", dir, err)
	}
	for range binds {
		err := start()
		if !errors.Is(err, syscall.EADDRINUSE) {
			return err
		}
	}
	return fmt.Errorf("no free port after %d tries", binds)
}

// serve runs one instance until ctx is done. Once it listens it makes the bucket
// and prints the access data.
func serve(ctx context.Context, dir, access, secret, bucket string, store meta.MetadataStorer) error {
	address, err := freeAddress()
	if err != nil {
		return err
	}
	backend, err := posix.New(dir, store, posix.PosixOpts{CopyObjectThreshold: 5 << 30})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var failed error // set before cancel
	err = embedgw.RunVersityGW(ctx, backend, &embedgw.Config{
		RootUserAccess:    access,
		RootUserSecret:    secret,
		Region:            region,
		Ports:             []string{address},
		MaxConnections:    4096,
		MaxRequests:       4096,
		MultipartMaxParts: 10_000,
		KeepAlive:         true,
		Quiet:             true,
		S3Options: []s3api.Option{s3api.WithOnListen(func() {
			go func() {
				if err := makeBucket(ctx, "http://"+address, access, secret, bucket); err != nil {
					failed = err
					cancel()
					return
				}
				announce("http://"+address, access, secret, bucket)
			}()
		})},
	})
	return errors.Join(err, failed)
}

// announce prints what a client needs.
func announce(endpoint, access, secret, bucket string) {
	fmt.Printf("AWS_ENDPOINT_URL=%s\nAWS_ACCESS_KEY_ID=%s\nAWS_SECRET_ACCESS_KEY=%s\nAWS_REGION=%s\nBUCKET=%s\nREADY=1\n",
		endpoint, access, secret, region, bucket)
}

// makeBucket makes the bucket unless an earlier run in the same directory did.
func makeBucket(ctx context.Context, endpoint, access, secret, bucket string) error {
	client := s3.New(s3.Options{
		BaseEndpoint: aws.String(endpoint),
		Region:       region,
		Credentials:  credentials.NewStaticCredentialsProvider(access, secret, ""),
		UsePathStyle: true,
	})
	_, err := client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(bucket)})
	var owned *types.BucketAlreadyOwnedByYou
	if errors.As(err, &owned) {
		return nil
	}
	return err
}

// freeAddress returns a loopback address with a port that is free right now.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
