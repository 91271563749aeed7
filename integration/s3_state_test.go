package integration

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/ftpgate/ftpgate/integration/internal/control"
	"github.com/ftpgate/ftpgate/integration/internal/daemon"
)

// smallPart is the part size of these tests: the smallest that S3 takes.
const smallPart = 5 << 20

// room is a part of the real S3 server's bucket, for one test, that several gateways
// serve.
type room struct {
	t      *testing.T
	prefix string
	door   bucket
	client *s3.Client
}

func newRoom(t *testing.T) *room {
	prefix := strings.NewReplacer("/", "-", "#", "-").Replace(t.Name())
	return &room{t: t, prefix: prefix, door: bucket{prefix}, client: s3.New(s3.Options{
		BaseEndpoint: aws.String(shared.s3.Endpoint), Region: shared.s3.Region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(shared.s3.Access, shared.s3.Secret, ""),
	})}
}

// url is what a gateway serves; the keys are added to it.
func (r *room) url(keys string) string {
	return shared.s3.URL(r.prefix) + "&part_size=5MiB" + keys
}

// gateway starts one over the room. Whoever stops or kills it first is right.
func (r *room) gateway(binary string, flags ...string) *daemon.Gateway {
	r.t.Helper()
	return r.gatewayAt(r.url(""), binary, flags...)
}

func (r *room) gatewayAt(url, binary string, flags ...string) *daemon.Gateway {
	r.t.Helper()
	g, err := daemon.StartGateway(daemon.GatewayConfig{
		Binary: binary, Host: loopbacks[0].addr, Storage: url, Env: shared.s3.Env(), Flags: flags,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		g.Kill()
		if crash := g.Crashes(); crash != "" {
			r.t.Errorf("the gateway crashed or raced:\n%s", crash)
		}
	})
	return g
}

func (r *room) key(name string) string { return path.Join(r.prefix, name) }

// put stores an object by the S3 API.
func (r *room) put(name string, data []byte) {
	r.t.Helper()
	if _, err := r.client.PutObject(r.t.Context(), &s3.PutObjectInput{
		Bucket: &shared.s3.Bucket, Key: aws.String(r.key(name)), Body: bytes.NewReader(data),
	}); err != nil {
		r.t.Fatal(err)
	}
}

// get reads an object by the S3 API; nil if there is none.
func (r *room) get(ctx context.Context, name string) ([]byte, error) {
	out, err := r.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &shared.s3.Bucket, Key: aws.String(r.key(name))})
	var answer *awshttp.ResponseError
	if errors.As(err, &answer) && answer.HTTPStatusCode() == http.StatusNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer out.Body.Close()
	return io.ReadAll(out.Body)
}

// holds checks the content of an object.
func (r *room) holds(name string, want []byte) {
	r.t.Helper()
	got, err := r.get(r.t.Context(), name)
	if err != nil || !bytes.Equal(got, want) {
		r.t.Errorf("%s has %d bytes, want %d, and differs from byte %d on; %v", name, len(got), len(want), common(got, want), err)
	}
}

// leftovers are the multipart uploads, manifests, tails and journals.
func (r *room) leftovers() []string {
	r.t.Helper()
	var left []string
	for _, key := range r.door.uploads(r.t) {
		left = append(left, "upload of "+key)
	}
	return append(left, r.door.list(r.t, r.prefix+"/.ftpgate/", "list-type")...)
}

// watch reads the object all the time, until the function that it returns is called,
// and fails the test if it ever is something else than one of the contents, of which nil
// is none.
func (r *room) watch(name string, contents ...[]byte) (stop func()) {
	r.t.Helper()
	known := map[[sha256.Size]byte]bool{}
	for _, c := range contents {
		known[sha256.Sum256(c)] = true
	}
	ctx, cancel := context.WithCancel(r.t.Context())
	var done sync.WaitGroup
	polls := 0
	done.Go(func() {
		etag := ""
		for ctx.Err() == nil {
			out, err := r.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &shared.s3.Bucket, Key: aws.String(r.key(name))})
			if polls++; err == nil && aws.ToString(out.ETag) != etag { // another version
				etag = aws.ToString(out.ETag)
				data, err := r.get(ctx, name)
				if err == nil && !known[sha256.Sum256(data)] {
					r.t.Errorf("a reader sees %d bytes of %s, which are no content that anybody stored", len(data), name)
				}
			}
			select {
			case <-ctx.Done():
			case <-time.After(2 * time.Millisecond):
			}
		}
	})
	return func() {
		cancel()
		done.Wait()
		if polls == 0 {
			r.t.Error("the reader never looked")
		}
	}
}

// resumer is a client that goes on with an upload, or sends all of it again.
type resumer struct {
	name string
	send func(t *testing.T, g *daemon.Gateway, local, remote string) (said string, err error)
}

// sweep runs "ftpgate s3 sweep" over the room, for uploads of any age.
func (r *room) sweep() string {
	r.t.Helper()
	cmd := command(r.t, r.t.TempDir(), shared.plain, "s3", "sweep", "--older-than", "0s", r.url(""))
	cmd.Env = append(cmd.Env, shared.s3.Env()...)
	said, err := run(cmd)
	if err != nil {
		r.t.Fatalf("s3 sweep: %v\n%s", err, said)
	}
	return said
}

// localFile writes a file for clients.
func localFile(t *testing.T, data []byte) string {
	t.Helper()
	home := t.TempDir()
	writeTree(t, home, tree{"file": data})
	return filepath.Join(home, "file")
}

func siteOf(g *daemon.Gateway) *site { return &site{Gateway: g} }

// resumers are what people do after an upload that broke off: each has to end in the
// whole file.
func resumers() []resumer {
	curl := func(flags ...string) func(t *testing.T, g *daemon.Gateway, local, remote string) (string, error) {
		return func(t *testing.T, g *daemon.Gateway, local, remote string) (string, error) {
			args := append(curlArgs(epsv), flags...)
			return run(command(t, t.TempDir(), "curl", append(args, "--upload-file", local, g.URL(escape(remote)))...))
		}
	}
	lftp := func(format string) func(t *testing.T, g *daemon.Gateway, local, remote string) (string, error) {
		return func(t *testing.T, g *daemon.Gateway, local, remote string) (string, error) {
			j := &job{t: t, site: siteOf(g), mode: epsv, home: t.TempDir()}
			return j.lftp("set ftp:ssl-allow no", lftpf(format, local, remote))
		}
	}
	ftplib := func(verb string) func(t *testing.T, g *daemon.Gateway, local, remote string) (string, error) {
		return func(t *testing.T, g *daemon.Gateway, local, remote string) (string, error) {
			j := &job{t: t, site: siteOf(g), mode: pasv, home: t.TempDir()}
			return j.ftplib(verb, local, remote)
		}
	}
	return []resumer{
		{"curl SIZE APPE", curl("--continue-at", "-")},
		{"lftp SIZE REST STOR", lftp("put -c %s -o %s")},
		{"ftplib SIZE REST STOR", ftplib("again_upload")},
		{"curl STOR", curl()},
		{"lftp STOR", lftp("put %s -o %s")},
		{"ftplib SIZE APPE", ftplib("append_upload")},
		{"ftplib STOR", ftplib("store_upload")},
	}
}

// toldSize is what the user who uploads is told by SIZE, -1 if that is nothing.
func toldSize(t *testing.T, g *daemon.Gateway, name string) int {
	t.Helper()
	c, err := control.Dial(g.Addr.String(), daemon.User, daemon.Password)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Send("SIZE " + name); err != nil {
		t.Fatal(err)
	}
	reply, err := c.Expect("213", "550")
	if err != nil {
		t.Fatal(err)
	}
	n := -1
	fmt.Sscanf(reply, "213 %d", &n)
	return n
}
