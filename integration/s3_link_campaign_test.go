//go:build campaign

package integration

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/ftpgate/ftpgate/integration/internal/control"
	"github.com/ftpgate/ftpgate/integration/internal/daemon"
	"github.com/ftpgate/ftpgate/integration/internal/link"
)

const (
	farDelay = 40 * time.Millisecond // there and back
	farRate  = 20 << 20              // bytes a second, of each connection
)

// farStore puts the link in front of the S3 server; its URL serves the room through it.
func farStore(t *testing.T, r *room) (storage, endpoint string) {
	t.Helper()
	u, err := url.Parse(shared.s3.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	proxy, err := link.New(u.Host, link.Options{Delay: farDelay / 2, Rate: farRate})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	endpoint = fmt.Sprintf("http://127.0.0.1:%d", proxy.Port())
	return strings.Replace(shared.s3.URL(r.prefix), url.QueryEscape(shared.s3.Endpoint), url.QueryEscape(endpoint), 1), endpoint
}

// megabytes is a rate for people.
func megabytes(n int64, d time.Duration) float64 { return float64(n) / 1e6 / d.Seconds() }

// TestS3CampaignLink moves 512 MiB over a link of 40 ms and 20 MiB/s a connection, through
// a gateway, and to compare over one connection.
func TestS3CampaignLink(t *testing.T) {
	const size = 512 << 20
	r := newRoom(t)
	storage, endpoint := farStore(t, r)
	far := s3.New(s3.Options{
		BaseEndpoint: &endpoint, Region: shared.s3.Region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(shared.s3.Access, shared.s3.Secret, ""),
	})
	g := r.gatewayAt(storage, shared.plain)
	c, err := control.Dial(g.Addr.String(), daemon.User, daemon.Password)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()

	data := randomBytes(1, size)
	start := time.Now()
	conn, err := c.Open("STOR file")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(data); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if _, err := c.ExpectWithin(10*time.Minute, "226"); err != nil {
		t.Fatal(err)
	}
	up := megabytes(size, time.Since(start))
	r.holds("file", data)

	start = time.Now()
	conn, err = c.Open("RETR file")
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(conn)
	if err != nil || string(got) != string(data) {
		t.Fatalf("%d bytes came back, %v", len(got), err)
	}
	if _, err := c.Expect("226"); err != nil {
		t.Fatal(err)
	}
	down := megabytes(size, time.Since(start))

	// One connection: a plain GET, and parts of the same size one after the other, as a
	// client without parallelism sends them; the quarter of the file is enough.
	oneDown := oneConnectionDown(t, far, r.key("file"))
	oneUp := oneConnectionUp(t, far, r.key("one"), data[:size/4])
	t.Logf("| | MB/s | one connection | times |")
	t.Logf("| download of 512 MiB | %.1f | %.1f | %.2f |", down, oneDown, down/oneDown)
	t.Logf("| upload of 512 MiB | %.1f | %.1f | %.2f |", up, oneUp, up/oneUp)
	if down < 3.5*oneDown {
		t.Errorf("the download is only %.2f times as fast as one connection", down/oneDown)
	}
	if up < 3.3*oneUp {
		t.Errorf("the upload is only %.2f times as fast as one connection", up/oneUp)
	}
}

func oneConnectionDown(t *testing.T, far *s3.Client, key string) float64 {
	t.Helper()
	const size = 128 << 20
	start := time.Now()
	out, err := far.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &shared.s3.Bucket, Key: &key, Range: aws.String(fmt.Sprintf("bytes=0-%d", size-1))})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	n, err := io.Copy(io.Discard, out.Body)
	if n != size || err != nil {
		t.Fatal(n, err)
	}
	return megabytes(size, time.Since(start))
}

func oneConnectionUp(t *testing.T, far *s3.Client, key string, data []byte) float64 {
	t.Helper()
	start := time.Now()
	begun, err := far.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &shared.s3.Bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	for n, rest := int32(1), data; len(rest) > 0; n++ {
		part := rest[:min(8<<20, len(rest))]
		rest = rest[len(part):]
		if _, err := far.UploadPart(t.Context(), &s3.UploadPartInput{
			Bucket: &shared.s3.Bucket, Key: &key, UploadId: begun.UploadId, PartNumber: &n, Body: strings.NewReader(string(part)),
		}); err != nil {
			t.Fatal(err)
		}
	}
	took := time.Since(start)
	if _, err := far.AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{Bucket: &shared.s3.Bucket, Key: &key, UploadId: begun.UploadId}); err != nil {
		t.Fatal(err)
	}
	return megabytes(int64(len(data)), took)
}

// TestS3CampaignRename renames a directory of 640 keys over 40 ms, and to compare as many
// files one by one, as other gateways do: HEAD, copy and delete of each.
func TestS3CampaignRename(t *testing.T) {
	const keys = 640
	r := newRoom(t)
	storage, endpoint := farStore(t, r)
	var put sync.WaitGroup
	for worker := range 16 {
		put.Go(func() {
			for i := worker; i < keys; i += 16 {
				r.put(fmt.Sprintf("dir/sub %d/file %d", i%7, i), []byte(fmt.Sprint(i)))
			}
		})
	}
	put.Wait()
	g := r.gatewayAt(storage, shared.plain)
	c, err := control.Dial(g.Addr.String(), daemon.User, daemon.Password)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	start := time.Now()
	if _, err := c.Do("350", "RNFR dir"); err != nil {
		t.Fatal(err)
	}
	if err := c.Send("RNTO moved"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ExpectWithin(10*time.Minute, "250"); err != nil {
		t.Fatal(err)
	}
	took := time.Since(start)
	if n := len(r.door.list(t, r.prefix+"/moved/", "list-type")); n != keys {
		t.Errorf("%d keys have moved", n)
	}
	if n := len(r.door.list(t, r.prefix+"/dir/", "list-type")); n != 0 {
		t.Errorf("%d keys have stayed", n)
	}
	far := s3.New(s3.Options{
		BaseEndpoint: &endpoint, Region: shared.s3.Region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(shared.s3.Access, shared.s3.Secret, ""),
	})
	const some = keys / 10
	start = time.Now()
	for i := range some {
		moveOne(t, far, r.key(fmt.Sprintf("moved/sub %d/file %d", i%7, i)), r.key(fmt.Sprintf("one/%d", i)))
	}
	one := time.Since(start) * keys / some
	t.Logf("rename of %d keys: %.2f s; one by one %.1f s (from %d); %.1f times", keys, took.Seconds(), one.Seconds(), some, one.Seconds()/took.Seconds())
	if one < 10*took {
		t.Errorf("only %.1f times as fast as one by one", one.Seconds()/took.Seconds())
	}
}

func moveOne(t *testing.T, far *s3.Client, from, to string) {
	t.Helper()
	ctx := t.Context()
	source := strings.ReplaceAll(shared.s3.Bucket+"/"+from, " ", "%20")
	for _, step := range []func(context.Context) error{
		func(ctx context.Context) error {
			_, err := far.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &shared.s3.Bucket, Key: &from})
			return err
		},
		func(ctx context.Context) error {
			_, err := far.CopyObject(ctx, &s3.CopyObjectInput{Bucket: &shared.s3.Bucket, Key: &to, CopySource: &source})
			return err
		},
		func(ctx context.Context) error {
			_, err := far.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &shared.s3.Bucket, Key: &from})
			return err
		},
	} {
		if err := step(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

// TestS3CampaignCrowd lets 100 sessions upload at once, fast ones and then ones that all
// are slow, and looks at the peak of the gateway's memory.
func TestS3CampaignCrowd(t *testing.T) {
	const (
		sessions = 100
		bound    = 700 << 20
	)
	for _, c := range []struct {
		name  string
		size  int
		pause time.Duration // between pieces of 256 KiB
	}{
		{"fast", 40 << 20, 0},
		{"slow", 12 << 20, 500 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRoom(t)
			g := r.gatewayAt(shared.s3.URL(r.prefix), shared.plain, "--log-level", "warn")
			data := randomBytes(9, c.size)
			var all sync.WaitGroup
			for i := range sessions {
				all.Go(func() {
					if err := uploadSlowly(g, fmt.Sprintf("file%d", i), data, c.pause); err != nil {
						t.Errorf("session %d: %v", i, err)
					}
				})
			}
			all.Wait()
			peak, err := g.PeakRSS()
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d uploads of %d MiB at once, %s: peak RSS %d MiB", sessions, c.size>>20, c.name, peak>>20)
			if peak > bound {
				t.Errorf("a peak RSS of %d MiB is above %d", peak>>20, bound>>20)
			}
			for _, i := range []int{0, sessions / 2, sessions - 1} {
				r.holds(fmt.Sprintf("file%d", i), data)
			}
			if left := r.leftovers(); len(left) > 0 {
				t.Errorf("left over: %q", left)
			}
		})
	}
}

func uploadSlowly(g *daemon.Gateway, name string, data []byte, pause time.Duration) error {
	c, err := control.Dial(g.Addr.String(), daemon.User, daemon.Password)
	if err != nil {
		return err
	}
	defer c.Close()
	conn, err := c.Open("STOR " + name)
	if err != nil {
		return err
	}
	defer conn.Close()
	for rest := data; len(rest) > 0; {
		n := min(256<<10, len(rest))
		if _, err := conn.Write(rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
		time.Sleep(pause)
	}
	conn.Close()
	_, err = c.ExpectWithin(10*time.Minute, "226")
	return err
}
