package integration

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ftpgate/ftpgate/integration/internal/daemon"
)

// tree is the files below a directory, by path.
type tree map[string][]byte

// backDoor reaches a gateway's storage by another way than the gateway, or at
// least by another client than the one that is tested.
type backDoor interface {
	// fetch returns all files below dir, none if there is no dir.
	fetch(t *testing.T, dir string) tree
	// store puts files below dir, and makes the directories.
	store(t *testing.T, dir string, files tree)
}

// storage is one kind of storage behind a gateway.
type storage struct {
	name string
	// large is the size in bytes of the largest file that the clients send: more
	// than one part of a multipart upload on S3.
	large int
	// open returns a fresh empty storage: the URL for ftpgate and the back door, which
	// is nil where the gateway is the only way in.
	open func(t *testing.T) (url string, env []string, door backDoor)
}

func storages() []storage {
	return []storage{
		{name: "memory", large: 1<<20 + 7, open: func(*testing.T) (string, []string, backDoor) {
			return "mem:", nil, nil
		}},
		{name: "local", large: 1<<20 + 7, open: func(t *testing.T) (string, []string, backDoor) {
			dir := t.TempDir()
			return "file://" + dir, nil, disk{dir}
		}},
		{name: "s3", large: 9<<20 + 7, open: func(t *testing.T) (string, []string, backDoor) {
			prefix := strings.Map(func(r rune) rune {
				if r == '/' || r == '#' {
					return '-'
				}
				return r
			}, t.Name())
			return shared.s3.URL(prefix), shared.s3.Env(), bucket{prefix}
		}},
	}
}

var loopbacks = []struct {
	name string
	addr netip.Addr
}{
	{"IPv4", netip.MustParseAddr("127.0.0.1")},
	{"IPv6", netip.MustParseAddr("::1")},
}

// site is a gateway under test with its storage.
type site struct {
	*daemon.Gateway
	storage
	door backDoor
}

// startSite serves a fresh storage of b until the test ends. It fails the test
// if the gateway then did not drain cleanly, raced or panicked.
func startSite(t *testing.T, b storage, host netip.Addr, flags ...string) *site {
	t.Helper()
	storageURL, env, door := b.open(t)
	gateway, err := daemon.StartGateway(daemon.GatewayConfig{
		Binary: shared.ftpgate, Host: host, Storage: storageURL, Env: env, Flags: flags,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := gateway.Stop()
		if crash := gateway.Crashes(); crash != "" {
			t.Errorf("the gateway crashed or raced:\n%s", crash)
		} else if err != nil {
			t.Errorf("stopping the gateway: %v", err)
		}
	})
	s := &site{Gateway: gateway, storage: b, door: door}
	if s.door == nil {
		s.door = curlDoor{gateway}
	}
	return s
}

// disk is a directory of this machine.
type disk struct{ root string }

func (d disk) fetch(t *testing.T, dir string) tree {
	t.Helper()
	return readTree(t, filepath.Join(d.root, dir))
}

func (d disk) store(t *testing.T, dir string, files tree) {
	t.Helper()
	writeTree(t, filepath.Join(d.root, dir), files)
}

// bucket is the S3 server's, below a prefix, seen by curl, which signs requests
// (and by s3cmd, see TestS3cmd).
type bucket struct{ prefix string }

// curl runs curl with the S3 server's credentials. Its arguments go through a file:
// there are many.
func (b bucket) curl(t *testing.T, args ...string) string {
	t.Helper()
	home := t.TempDir()
	var config strings.Builder
	for _, arg := range append([]string{
		"--silent", "--show-error", "--fail", "--globoff", "--aws-sigv4", "aws:amz:" + shared.s3.Region + ":s3",
		"--user", shared.s3.Access + ":" + shared.s3.Secret, "--header", "x-amz-content-sha256: UNSIGNED-PAYLOAD",
	}, args...) {
		if option, ok := strings.CutPrefix(arg, "--"); ok {
			fmt.Fprintf(&config, "\n%s ", option)
		} else {
			fmt.Fprintf(&config, "%s", strconv.Quote(arg))
		}
	}
	writeTree(t, home, tree{"config": []byte(config.String() + "\n")})
	out, err := run(command(t, home, "curl", "--config", "config"))
	if err != nil {
		t.Fatalf("curl: %v\n%s\n%s", err, out, &config)
	}
	return out
}

// list asks for the keys below prefix, or for the open multipart uploads.
func (b bucket) list(t *testing.T, prefix, kind string) (keys []string) {
	t.Helper()
	for token := ""; ; {
		query := map[string]string{"prefix": prefix, kind: map[string]string{"list-type": "2"}[kind]}
		if token != "" {
			query["continuation-token"] = token
		}
		var pairs []string
		for _, name := range slices.Sorted(maps.Keys(query)) { // as the signature wants it
			pairs = append(pairs, name+"="+escapeAll(query[name]))
		}
		var page struct {
			Contents []struct{ Key string }
			Upload   []struct{ Key string }

			NextContinuationToken string
		}
		text := b.curl(t, "--url", shared.s3.Endpoint+"/"+shared.s3.Bucket+"?"+strings.Join(pairs, "&"))
		if err := xml.Unmarshal([]byte(text), &page); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		for _, object := range append(page.Contents, page.Upload...) {
			keys = append(keys, object.Key)
		}
		if token = page.NextContinuationToken; token == "" {
			return keys
		}
	}
}

func (b bucket) url(key string) string {
	parts := strings.Split(path.Join(shared.s3.Bucket, b.prefix, key), "/")
	for i, part := range parts {
		parts[i] = escapeAll(part)
	}
	return shared.s3.Endpoint + "/" + strings.Join(parts, "/")
}

// escapeAll escapes all that is not unreserved, as S3's signature wants it.
func escapeAll(s string) string {
	return strings.NewReplacer("+", "%20").Replace(url.QueryEscape(s))
}

func (b bucket) fetch(t *testing.T, dir string) tree {
	t.Helper()
	local := t.TempDir()
	below := path.Join(b.prefix, dir) + "/"
	var args, names []string
	for _, key := range b.list(t, below, "list-type") {
		if name := strings.TrimPrefix(key, below); name != "" && !strings.HasSuffix(name, "/") { // no marker
			args = append(args, "--url", b.url(path.Join(dir, name)), "--output", filepath.Join(local, strconv.Itoa(len(names))))
			names = append(names, name)
		}
	}
	files := tree{}
	if len(names) == 0 {
		return files
	}
	b.curl(t, args...)
	for i, name := range names {
		data, err := os.ReadFile(filepath.Join(local, strconv.Itoa(i)))
		if err != nil && !os.IsNotExist(err) { // curl makes no file of no bytes
			t.Fatal(err)
		}
		files[name] = data
	}
	return files
}

func (b bucket) store(t *testing.T, dir string, files tree) {
	t.Helper()
	local := t.TempDir()
	var args []string
	for i, name := range files.names() {
		file := filepath.Join(local, strconv.Itoa(i))
		if err := os.WriteFile(file, files[name], 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--upload-file", file, "--url", b.url(path.Join(dir, name)))
	}
	b.curl(t, args...)
}

// uploads lists the multipart uploads that are open below the prefix.
func (b bucket) uploads(t *testing.T) []string {
	t.Helper()
	return b.list(t, b.prefix+"/", "uploads")
}

// ftplibDoor reaches a storage through the gateway by Python's ftplib.
type ftplibDoor struct{ gateway *daemon.Gateway }

func (f ftplibDoor) fetch(t *testing.T, dir string) tree {
	t.Helper()
	local := t.TempDir()
	f.run(t, "fetch", dir, local)
	return readTree(t, local)
}

func (f ftplibDoor) store(t *testing.T, dir string, files tree) {
	t.Helper()
	local := t.TempDir()
	writeTree(t, local, files)
	f.run(t, "store", local, dir)
}

// readTree returns the files below root, hidden ones too.
func readTree(t *testing.T, root string) tree {
	t.Helper()
	files := tree{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if os.IsNotExist(err) && path == root {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		name, _ := filepath.Rel(root, path)
		files[filepath.ToSlash(name)] = data
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func writeTree(t *testing.T, root string, files tree) {
	t.Helper()
	for name, data := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// names returns the sorted paths.
func (files tree) names() []string { return slices.Sorted(maps.Keys(files)) }

// only returns those of the files that have these names.
func (files tree) only(names ...string) tree {
	some := tree{}
	for _, name := range names {
		if data, ok := files[name]; ok {
			some[name] = data
		}
	}
	return some
}

// difference says what got lacks, has too much or has otherwise; "" if nothing.
func (files tree) difference(want tree) string {
	var out strings.Builder
	for _, name := range want.names() {
		data, ok := files[name]
		switch {
		case !ok:
			fmt.Fprintf(&out, "%q is missing\n", name)
		case !bytes.Equal(data, want[name]):
			fmt.Fprintf(&out, "%q has %d bytes, want %d, and differs from byte %d on\n", name, len(data), len(want[name]), common(data, want[name]))
		}
	}
	for _, name := range files.names() {
		if _, ok := want[name]; !ok {
			fmt.Fprintf(&out, "%q should not be there (%d bytes)\n", name, len(files[name]))
		}
	}
	return out.String()
}

func common(a, b []byte) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

func (files tree) mustEqual(t *testing.T, what string, want tree) {
	t.Helper()
	if d := files.difference(want); d != "" {
		t.Errorf("%s:\n%s", what, d)
	}
}
