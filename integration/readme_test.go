package integration

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestReadme runs every sh block of README.md as a newcomer does, in a copy of the
// source without its history: what serves keeps running until the next block that
// serves, and the other lines go into another terminal. The only changes are a free port
// instead of 2121, and that "make test", which is what runs this test, is a dry run.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{t: t, dir: t.TempDir(), address: freeAddress(t), checked: map[string]bool{}}
	r.copySource("..")
	defer r.interrupt()
	blocks := regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllStringSubmatch(string(text), -1)
	if len(blocks) < 4 {
		t.Fatalf("README.md has %d sh blocks", len(blocks))
	}
	for _, block := range blocks {
		r.block(block[1])
	}
	for _, c := range r.checks() {
		if !r.checked[c.command] {
			t.Errorf("README.md has no command with %q any more: this test proves less than it says", c.command)
		}
	}
}

// reader is a newcomer at two terminals.
type reader struct {
	t       *testing.T
	dir     string // the checkout, where both terminals are
	address string // instead of 127.0.0.1:2121
	exports []string
	serving *exec.Cmd
	said    *bytes.Buffer
	checked map[string]bool
}

// checks are what must be true after the commands that hold a text.
func (r *reader) checks() []struct {
	command string
	holds   func(output string) error
} {
	scans := bucket{"scans"}
	readme, err := os.ReadFile(filepath.Join(r.dir, "README.md"))
	if err != nil {
		r.t.Fatal(err)
	}
	same := func(got, want tree) error {
		if d := got.difference(want); d != "" {
			return fmt.Errorf("%s", d)
		}
		return nil
	}
	return []struct {
		command string
		holds   func(output string) error
	}{
		{"-T README.md", func(string) error { return same(scans.fetch(r.t, ""), tree{"readme.txt": readme}) }},
		{"-o copy.txt", func(string) error { return same(readTree(r.t, r.dir).only("copy.txt"), tree{"copy.txt": readme}) }},
		{"RNTO read.me", func(string) error { return same(scans.fetch(r.t, ""), tree{"read.me": readme}) }},
		{"DELE read.me", func(string) error { return same(scans.fetch(r.t, ""), tree{}) }},
		{"curl ftp://alice:secret@127.0.0.1:2121/", func(output string) error {
			if !strings.Contains(output, "readme.txt") {
				return fmt.Errorf("the listing lacks readme.txt")
			}
			return nil
		}},
		{"curl ftp://127.0.0.1:2121/", func(output string) error {
			if !strings.Contains(output, "README.md") || !strings.Contains(output, "go.mod") {
				return fmt.Errorf("the listing lacks the files of the current directory")
			}
			return nil
		}},
	}
}

// copySource copies what a clone would have.
func (r *reader) copySource(root string) {
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		switch {
		case name == ".":
			return nil
		case d.IsDir() && (name == ".git" || name == "bin" || name == "integration"):
			return fs.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(r.dir, name), 0o755)
		case !d.Type().IsRegular():
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(r.dir, name), data, 0o644)
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// block runs the lines of one block, one after another.
func (r *reader) block(text string) {
	r.t.Helper()
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		switch line = strings.TrimSpace(line); {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "export "):
			r.exports = append(r.exports, line)
		case strings.Contains(line, "ftpgate serve"):
			r.serve(line)
		case line == "make test":
			r.run("make -C " + absolute(r.t, "..") + " --dry-run test")
		default:
			r.run(line)
		}
	}
}

// command is one line in a shell in the checkout, with what was exported before.
func (r *reader) command(line string) *exec.Cmd {
	line = strings.ReplaceAll(line, "127.0.0.1:2121", r.address)
	if strings.Contains(line, "ftpgate serve") && !strings.Contains(line, "--listen") {
		line = strings.Replace(line, "ftpgate serve", "ftpgate serve --listen "+r.address, 1)
	}
	script := strings.Join(append(append([]string{"set -eu"}, r.exports...), line), "\n")
	cmd := command(r.t, r.dir, "bash", "-c", script)
	cmd.Env = append(os.Environ(), append(shared.s3.Env(), "HOME="+r.t.TempDir(), "LC_ALL=C.UTF-8",
		"GOPATH="+goEnv(r.t, "GOPATH"), "GOCACHE="+goEnv(r.t, "GOCACHE"), "GOMODCACHE="+goEnv(r.t, "GOMODCACHE"), "GOFLAGS="+goEnv(r.t, "GOFLAGS"),
		"BUCKET="+shared.s3.Bucket, "ENDPOINT="+shared.s3.Endpoint)...)
	return cmd
}

func (r *reader) run(line string) {
	r.t.Helper()
	out, err := run(r.command(line))
	if err != nil {
		r.t.Fatalf("%s: %v\n%s\nthe server said:\n%s", line, err, out, r.said)
	}
	for _, c := range r.checks() {
		if strings.Contains(line, c.command) {
			r.checked[c.command] = true
			if err := c.holds(out); err != nil {
				r.t.Errorf("after %s: %v\n%s", line, err, out)
			}
		}
	}
}

// serve starts a line in the first terminal, after Ctrl-C for the one before.
func (r *reader) serve(line string) {
	r.t.Helper()
	r.interrupt()
	cmd := r.command("exec " + line)
	r.said = &bytes.Buffer{}
	out, err := cmd.StdoutPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	cmd.Stderr = r.said
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.serving = cmd
	// The start message names the address when clients can connect.
	seen := make([]byte, 0, 4096)
	for !bytes.Contains(seen, []byte(r.address+"/")) {
		n, err := out.Read(seen[len(seen):cap(seen)])
		if seen = seen[:len(seen)+n]; err != nil {
			r.t.Fatalf("%s printed %q and %q: %v", line, seen, r.said, err)
		}
	}
	go io.Copy(io.Discard, out) // nobody reads on, but the pipe must not fill
}

// interrupt is Ctrl-C.
func (r *reader) interrupt() {
	if r.serving == nil {
		return
	}
	r.serving.Process.Signal(syscall.SIGINT)
	timer := time.AfterFunc(patience, func() { r.serving.Process.Kill() })
	defer timer.Stop()
	if err := r.serving.Wait(); err != nil {
		r.t.Errorf("after Ctrl-C: %v\n%s", err, r.said)
	}
	r.serving = nil
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	abs, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
