package integration

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"slices"
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
	// resumes says that complete files can be appended to and written from an
	// offset; S3 can't yet.
	resumes bool
	// large is the size in bytes of the largest file that the clients send: more
	// than one part of a multipart upload on S3.
	large int
	// open returns a fresh empty storage: the URL for ftpgate and the back door, which
	// is nil where the gateway is the only way in.
	open func(t *testing.T) (url string, env []string, door backDoor)
}

func storages() []storage {
	return []storage{
		{name: "memory", resumes: true, large: 1<<20 + 7, open: func(*testing.T) (string, []string, backDoor) {
			return "mem:", nil, nil
		}},
		{name: "local", resumes: true, large: 1<<20 + 7, open: func(t *testing.T) (string, []string, backDoor) {
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
	url, env, door := b.open(t)
	gateway, err := daemon.StartGateway(daemon.GatewayConfig{
		Binary: shared.ftpgate, Host: host, Storage: url, Env: env, Flags: flags,
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
		s.door = ftplibDoor{gateway}
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

// bucket is the S3 server's, below a prefix, seen by s3cmd.
type bucket struct{ prefix string }

func (b bucket) url(dir string) string {
	return "s3://" + path.Join(shared.s3.Bucket, b.prefix, dir) + "/"
}

func (b bucket) s3cmd(t *testing.T, args ...string) string {
	t.Helper()
	cmd := command(t, t.TempDir(), "s3cmd", append([]string{"-c", shared.s3cmd}, args...)...)
	out, err := run(cmd)
	if err != nil {
		t.Fatalf("s3cmd %q: %v\n%s", args, err, out)
	}
	return out
}

func (b bucket) fetch(t *testing.T, dir string) tree {
	t.Helper()
	local := t.TempDir()
	b.s3cmd(t, "sync", "--no-check-md5", b.url(dir), local+"/")
	return readTree(t, local)
}

func (b bucket) store(t *testing.T, dir string, files tree) {
	t.Helper()
	local := t.TempDir()
	writeTree(t, local, files)
	b.s3cmd(t, "sync", local+"/", b.url(dir))
}

// uploads lists the multipart uploads that are open below the prefix.
func (b bucket) uploads(t *testing.T) []string {
	t.Helper()
	var open []string
	for line := range strings.Lines(b.s3cmd(t, "multipart", "s3://"+shared.s3.Bucket)) {
		if strings.Contains(line, "s3://"+shared.s3.Bucket+"/"+b.prefix+"/") {
			open = append(open, strings.TrimSpace(line))
		}
	}
	return open
}

// ftplibDoor reaches a storage that has no other way in through the gateway, by
// Python's ftplib.
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
