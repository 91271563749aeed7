package integration

import (
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ftpgate/ftpgate/integration/internal/daemon"
)

// mode is how a client opens data connections: the verb that it sends.
type mode string

const (
	epsv mode = "EPSV"
	pasv mode = "PASV"
	eprt mode = "EPRT"
	port mode = "PORT"
)

func (m mode) active() bool { return m == eprt || m == port }

// client is how to make one FTP client do a step; nil: it can't. Every step is one
// run of the client, or one for all the names; paths on the server start at the
// login directory. A step returns what the client said, with the dialogue.
type client struct {
	name string
	// modes over IPv4 and IPv6; no IPv6 modes: the client speaks only IPv4.
	modes4, modes6 []mode

	upload   func(j *job, local, remote string, names []string) (string, error)
	download func(j *job, remote, local string, names []string) (string, error)
	// list returns the names in a directory.
	list           func(j *job, remote string) ([]string, string, error)
	rename         func(j *job, from, to string) (string, error)
	remove         func(j *job, path string) (string, error)
	mkdir, rmdir   func(j *job, path string) (string, error)
	resumeDownload func(j *job, remote, local string) (string, error)
	resumeUpload   func(j *job, local, remote string) (string, error)
	uploadTree     func(j *job, local, remote string) (string, error)
	downloadTree   func(j *job, remote, local string) (string, error)
	// more are this client's own tests, after the common ones.
	more func(t *testing.T, j *job)
}

func clients() []client {
	return []client{curlClient(), lftpClient(), ncftpClient(), tnftpClient(), wgetClient(), pythonClient()}
}

// job is one client in one mode against one site.
type job struct {
	t    *testing.T
	site *site
	mode mode
	home string // of the client
	dir  string // on the server, for this job alone
	said strings.Builder
}

// host is the address as clients want it beside a port.
func (j *job) host() string { return j.site.Addr.Addr().String() }

func (j *job) run(name string, args ...string) (string, error) {
	return run(command(j.t, j.home, name, args...))
}

func (j *job) runWith(input, name string, args ...string) (string, error) {
	cmd := command(j.t, j.home, name, args...)
	cmd.Stdin = strings.NewReader(input)
	return run(cmd)
}

// must fails the test if a step failed, and keeps the dialogue.
func (j *job) must(t *testing.T, step string) func(said string, err error) {
	return func(said string, err error) {
		t.Helper()
		j.said.WriteString(said)
		if err != nil {
			t.Fatalf("%s: %v\n%s", step, err, said)
		}
	}
}

// TestClients runs every client against every storage, over IPv4 and IPv6, in
// every mode that the client has.
func TestClients(t *testing.T) {
	t.Parallel()
	for _, b := range storages() {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			for _, loopback := range loopbacks {
				t.Run(loopback.name, func(t *testing.T) {
					s := startSite(t, b, loopback.addr)
					for _, c := range clients() {
						testClient(t, s, c)
					}
				})
			}
		})
	}
}

func testClient(t *testing.T, s *site, c client) {
	modes := c.modes4
	if s.Addr.Addr().Is6() {
		if modes = c.modes6; modes == nil {
			t.Run(c.name, func(t *testing.T) { refusesIPv6(t, s, c) })
		}
	}
	for _, m := range modes {
		t.Run(c.name+"/"+string(m), func(t *testing.T) {
			j := &job{t: t, site: s, mode: m, home: t.TempDir(), dir: c.name + "-" + string(m)}
			exercise(t, j, c)
			if c.more != nil {
				c.more(t, j)
			}
			sent := map[mode]bool{}
			for _, match := range dataCommand.FindAllStringSubmatch(j.said.String(), -1) {
				sent[mode(match[1])] = true
			}
			for _, verb := range []mode{epsv, pasv, eprt, port} {
				if verb == m && !sent[verb] || verb.active() != m.active() && sent[verb] {
					t.Errorf("the client sent %v, want %s:\n%s", sent, m, &j.said)
				}
			}
		})
	}
}

// dataCommand finds the commands for data connections in the dialogues of all the
// clients.
var dataCommand = regexp.MustCompile(`(?m)^(?:> |--->? |-->|[0-9: -]*Cmd: |\*cmd\* ')[ ]*(EPSV|PASV|EPRT|PORT)\b`)

// refusesIPv6 holds a client to the claim that it speaks no IPv6, so that the day
// it learns it, it gets its tests.
func refusesIPv6(t *testing.T, s *site, c client) {
	j := &job{t: t, site: s, mode: pasv, home: t.TempDir()}
	if _, said, err := c.list(j, "."); err == nil {
		t.Errorf("%s speaks IPv6 now: give it modes6\n%s", c.name, said)
	}
}

// samples are the files of the tests: no byte, one byte, a large one, and the names
// that quoting, globs, URLs and S3 keys get wrong.
func (b storage) samples() tree {
	files := tree{
		"plain.bin": randomBytes(1, b.large),
		"empty":     {},
		"one":       {'1'},
		"lines.txt": []byte(strings.Repeat("a line\r\nanother\n\r", 5000)),
	}
	for i, name := range []string{"a b", "a+b", "100%", "%41", "ü", "x#y", "b[1]", "-dash", "semi;colon"} {
		files[name] = randomBytes(uint64(i+2), 1000+i)
	}
	return files
}

func randomBytes(seed uint64, n int) []byte {
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	b := make([]byte, n)
	rand.NewChaCha8(key).Read(b)
	return b
}

// exercise takes a client through the life of files: there and back, checked at
// the back door, and from the back door, checked at the client.
func exercise(t *testing.T, j *job, c client) {
	files := j.site.samples()
	local := filepath.Join(j.home, "local")
	writeTree(t, local, files)
	door := j.site.door
	if c.name == "curl" && j.site.name == "memory" {
		door = ftplibDoor{j.site.Gateway} // another client
	}

	if c.upload == nil {
		door.store(t, j.dir, files)
	} else {
		j.must(t, "mkdir")(c.mkdir(j, j.dir))
		j.must(t, "upload")(c.upload(j, local, j.dir, files.names()))
		door.fetch(t, j.dir).mustEqual(t, "after the upload", files)
	}

	listed, said, err := c.list(j, j.dir)
	j.must(t, "list")(said, err)
	slices.Sort(listed)
	if !slices.Equal(listed, files.names()) {
		t.Errorf("listed %q, want %q\n%s", listed, files.names(), said)
	}

	back := filepath.Join(j.home, "back")
	os.Mkdir(back, 0o755)
	j.must(t, "download")(c.download(j, j.dir, back, files.names()))
	readTree(t, back).mustEqual(t, "downloaded", files)

	exerciseResume(t, j, c, door, files["plain.bin"])
	exerciseTrees(t, j, c, door, files)
	exerciseNames(t, j, c, door, files)
}

func exerciseResume(t *testing.T, j *job, c client, door backDoor, whole []byte) {
	half := len(whole)/2 + 1
	dir := j.dir + "-resume"
	if c.resumeDownload != nil {
		door.store(t, dir, tree{"down.bin": whole})
		local := filepath.Join(j.home, "down.bin")
		writeTree(t, j.home, tree{"down.bin": whole[:half]})
		said, err := c.resumeDownload(j, dir+"/down.bin", local)
		j.must(t, "resume a download")(said, err)
		if !strings.Contains(said, "REST ") {
			t.Errorf("the client did not send REST:\n%s", said)
		}
		readTree(t, j.home).only("down.bin").mustEqual(t, "resumed download", tree{"down.bin": whole})
	}
	if c.resumeUpload != nil {
		door.store(t, dir, tree{"up.bin": whole[:half]})
		writeTree(t, j.home, tree{"up.bin": whole})
		said, err := c.resumeUpload(j, filepath.Join(j.home, "up.bin"), dir+"/up.bin")
		j.must(t, "resume an upload")(said, err)
		if !strings.Contains(said, "REST ") && !strings.Contains(said, "APPE ") {
			t.Errorf("the client sent neither REST nor APPE:\n%s", said)
		}
		door.fetch(t, dir).only("up.bin").mustEqual(t, "resumed upload", tree{"up.bin": whole})
	}
}

func exerciseTrees(t *testing.T, j *job, c client, door backDoor, files tree) {
	nested := files.only("one", "a b", "ü")
	nested["sub/deeper/leaf"] = files["plain.bin"]
	nested["sub/100%"] = files["a+b"]
	if c.uploadTree != nil {
		local, remote := filepath.Join(j.home, "up-tree"), j.dir+"-up-tree"
		writeTree(t, local, nested)
		j.must(t, "upload a tree")(c.uploadTree(j, local, remote))
		door.fetch(t, remote).mustEqual(t, "uploaded tree", nested)
	}
	if c.downloadTree != nil {
		local, remote := filepath.Join(j.home, "down-tree"), j.dir+"-down-tree"
		door.store(t, remote, nested)
		j.must(t, "download a tree")(c.downloadTree(j, remote, local))
		readTree(t, local).mustEqual(t, "downloaded tree", nested)
	}
}

func exerciseNames(t *testing.T, j *job, c client, door backDoor, files tree) {
	if c.rename == nil {
		return
	}
	dir := j.dir + "-names"
	j.must(t, "mkdir")(c.mkdir(j, dir))
	j.must(t, "mkdir")(c.mkdir(j, dir+"/in side"))
	door.store(t, dir, files.only("a b", "one"))
	j.must(t, "rename a file")(c.rename(j, dir+"/a b", dir+"/in side/100% ü"))
	door.fetch(t, dir).mustEqual(t, "after a rename", tree{"one": files["one"], "in side/100% ü": files["a b"]})
	j.must(t, "rename over a file")(c.rename(j, dir+"/in side/100% ü", dir+"/one"))
	door.fetch(t, dir).mustEqual(t, "after a rename over a file", tree{"one": files["a b"]})
	j.must(t, "remove")(c.remove(j, dir+"/one"))
	door.fetch(t, dir).mustEqual(t, "after a removal", tree{})
	j.must(t, "rmdir")(c.rmdir(j, dir+"/in side"))
	listed, said, err := c.list(j, dir)
	j.must(t, "list an empty directory")(said, err)
	if len(listed) != 0 {
		t.Errorf("an empty directory lists %q", listed)
	}
	j.must(t, "rmdir")(c.rmdir(j, dir))
	listed, _, _ = c.list(j, ".")
	if !slices.Contains(listed, j.dir+"-resume") || slices.Contains(listed, dir) {
		t.Errorf("the root lists %q, want it without %q", listed, dir)
	}
}

// account is the credentials as curl, lftp and friends want them.
const account = daemon.User + ":" + daemon.Password

// literal is an address as it stands in a URL.
func literal(a netip.Addr) string {
	if a.Is6() {
		return "[" + a.String() + "]"
	}
	return a.String()
}
