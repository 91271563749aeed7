// Command campaign measures what the gateway needs for the largest things, against
// a real S3 server: the peak resident set (VmHWM) for an upload and a download, and for
// the listing of many keys, whose first line must not wait for the last page. It
// prints a table, and fails where a bound is broken.
package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/ftpgate/ftpgate/integration/internal/control"
	"github.com/ftpgate/ftpgate/integration/internal/daemon"
)

// The bounds of the goal, in bytes.
const (
	transferBound = 120 << 20
	listingBound  = 80 << 20
)

func main() {
	size := flag.Int64("size", 3<<30, "`bytes` to upload and download")
	keys := flag.Int("keys", 100_000, "how `many` keys to list")
	flag.Parse()
	if err := run(*size, *keys); err != nil {
		fmt.Fprintln(os.Stderr, "campaign:", err)
		os.Exit(1)
	}
}

// campaign is the servers under measurement.
type campaign struct {
	built *daemon.Binaries
	s3    *daemon.S3
}

func run(size int64, keys int) (err error) {
	built, err := daemon.BuildAll()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, built.Remove()) }()
	server, err := daemon.StartS3(built.S3Server, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	c := &campaign{built: built, s3: server}
	fmt.Printf("| work over S3 | seconds | first line ms | MB/s | peak RSS MiB | bound |\n|---|---|---|---|---|---|\n")
	err = c.transfers(size)
	if listErr := c.listings(keys); listErr != nil {
		err = errors.Join(err, listErr)
	}
	return err
}

// result is one row of the table.
type result struct {
	work  string
	took  time.Duration
	first time.Duration // until the first byte of a listing
	bytes int64
	peak  int64
	bound int64
}

func (r result) print() error {
	first, rate := "", ""
	if r.first > 0 {
		first = fmt.Sprintf("%.0f", r.first.Seconds()*1000)
	}
	if r.bytes > 0 {
		rate = fmt.Sprintf("%.0f", float64(r.bytes)/1e6/r.took.Seconds())
	}
	fmt.Printf("| %s | %.2f | %s | %s | %.0f | %d |\n", r.work, r.took.Seconds(), first, rate, float64(r.peak)/(1<<20), r.bound>>20)
	if r.peak > r.bound {
		return fmt.Errorf("%s: a peak RSS of %d MiB breaks the bound of %d", r.work, r.peak>>20, r.bound>>20)
	}
	return nil
}

// measured runs work on a gateway of its own, so that its peak is that of this work.
func (c *campaign) measured(prefix string, bound int64, work func(conn *control.Conn) (result, error)) (err error) {
	gateway, err := daemon.StartGateway(daemon.GatewayConfig{
		Binary: c.built.Ftpgate, Host: daemon.Loopback(), Storage: c.s3.URL(prefix), Env: c.s3.Env(),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, gateway.Stop()) }()
	conn, err := control.Dial(gateway.Addr.String(), daemon.User, daemon.Password)
	if err != nil {
		return err
	}
	defer conn.Close()
	r, err := work(conn)
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", r.work, err, gateway.Output())
	}
	r.bound = bound
	if r.peak, err = gateway.PeakRSS(); err != nil {
		return err
	}
	return r.print()
}

// transfers uploads random bytes and downloads them again.
func (c *campaign) transfers(size int64) error {
	var sum []byte
	name := fmt.Sprintf("%.1f GiB", float64(size)/(1<<30))
	err := c.measured("transfers", transferBound, func(conn *control.Conn) (result, error) {
		r := result{work: "upload of " + name, bytes: size}
		start := time.Now()
		data, err := conn.Open("STOR file")
		if err != nil {
			return r, err
		}
		sum, err = send(data, size)
		if err = errors.Join(err, data.Close()); err != nil {
			return r, err
		}
		_, err = conn.ExpectWithin(10*time.Minute, "226")
		r.took = time.Since(start)
		return r, err
	})
	if sum == nil {
		return err
	}
	return errors.Join(err, c.measured("transfers", transferBound, func(conn *control.Conn) (result, error) {
		r := result{work: "download of " + name, bytes: size}
		start := time.Now()
		data, err := conn.Open("RETR file")
		if err != nil {
			return r, err
		}
		defer data.Close()
		h := sha256.New()
		n, err := io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{data}, make([]byte, 1<<20))
		if err != nil {
			return r, err
		}
		if _, err := conn.Expect("226"); err != nil {
			return r, err
		}
		r.took = time.Since(start)
		if got := h.Sum(nil); string(got) != string(sum) {
			return r, fmt.Errorf("%d bytes with the SHA-256 %x came back, want %d with %x", n, got, size, sum)
		}
		return r, nil
	}))
}

// send writes size random bytes and returns their SHA-256.
func send(w io.Writer, size int64) ([]byte, error) {
	source := rand.NewChaCha8([32]byte{1})
	var h hash.Hash = sha256.New()
	for buffer := make([]byte, 1<<20); size > 0; {
		piece := buffer[:min(int64(len(buffer)), size)]
		source.Read(piece)
		h.Write(piece)
		n, err := w.Write(piece)
		if size -= int64(n); err != nil {
			return nil, err
		}
	}
	return h.Sum(nil), nil
}

// listings lists a directory of many keys by each command.
func (c *campaign) listings(keys int) error {
	if err := c.fill(keys); err != nil {
		return err
	}
	var all error
	for _, command := range []string{"LIST", "MLSD", "NLST"} {
		all = errors.Join(all, c.measured("listings", listingBound, func(conn *control.Conn) (result, error) {
			r := result{work: fmt.Sprintf("%s of %d keys", command, keys)}
			start := time.Now()
			data, err := conn.Open(command)
			if err != nil {
				return r, err
			}
			defer data.Close()
			n, err := r.count(data, start)
			if err != nil {
				return r, err
			}
			_, err = conn.Expect("226")
			r.took = time.Since(start)
			if n != keys {
				err = errors.Join(err, fmt.Errorf("%d lines, want %d", n, keys))
			}
			return r, err
		}))
	}
	return all
}

// count counts the lines, and notes when the first one came.
func (r *result) count(data net.Conn, start time.Time) (int, error) {
	lines := bufio.NewReaderSize(data, 64<<10)
	for n := 0; ; n++ {
		_, err := lines.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF):
			return n, nil
		case err != nil:
			return n, err
		case n == 0:
			r.first = time.Since(start)
		}
	}
}

// fill puts small objects by the S3 API, many at a time.
func (c *campaign) fill(keys int) error {
	client := s3.New(s3.Options{
		BaseEndpoint: aws.String(c.s3.Endpoint),
		Region:       c.s3.Region,
		Credentials:  credentials.NewStaticCredentialsProvider(c.s3.Access, c.s3.Secret, ""),
		UsePathStyle: true,
	})
	numbers := make(chan int)
	var wg sync.WaitGroup
	var once sync.Once
	var failed error
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for range 32 {
		wg.Go(func() {
			for i := range numbers {
				_, err := client.PutObject(ctx, &s3.PutObjectInput{
					Bucket: aws.String(c.s3.Bucket),
					Key:    aws.String(fmt.Sprintf("listings/file-%08d.bin", i)),
					Body:   strings.NewReader("x"),
				})
				if err != nil {
					once.Do(func() { failed = err; cancel() })
				}
			}
		})
	}
	for i := 0; i < keys && ctx.Err() == nil; i++ {
		numbers <- i
	}
	close(numbers)
	wg.Wait()
	return failed
}
