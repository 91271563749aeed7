package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// uploading starts an upload that lasts until more or the end of data comes.
func uploading(t *testing.T, c *command) (*client, io.WriteCloser) {
	t.Helper()
	cl := dial(t, c.addr()).login(230, "anonymous", "x")
	data := cl.data()
	cl.do(150, "STOR file")
	if _, err := data.Write([]byte("first ")); err != nil {
		t.Fatal(err)
	}
	return cl, data
}

// The first signal lets a running transfer finish and tells idle sessions to go.
func TestDrain(t *testing.T) {
	for _, s := range []os.Signal{syscall.SIGTERM, os.Interrupt, syscall.SIGHUP} {
		t.Run(fmt.Sprint(s), func(t *testing.T) {
			c := start(t, nil, "serve", loopback, "--write", "mem:")
			idle := dial(t, c.addr())
			cl, data := uploading(t, c)
			c.signals <- s
			idle.expect(421)
			if _, err := data.Write([]byte("second")); err != nil {
				t.Error(err)
			}
			data.Close()
			cl.expect(226)
			if status := c.wait(); status != 0 {
				t.Errorf("status %d:\n%s", status, c.stderr)
			}
			if strings.Contains(c.stderr.String(), "were cut off") {
				t.Errorf("a transfer was cut off:\n%s", c.stderr)
			}
		})
	}
}

// The second signal cuts transfers off, and gives the signals back, so that a
// third would kill.
func TestSecondSignal(t *testing.T) {
	c := start(t, nil, "serve", loopback, "--write", "--grace=off", "mem:")
	cl, _ := uploading(t, c)
	c.signals <- syscall.SIGTERM
	c.stderr.wait(t, "msg=\"stopping")
	c.signals <- syscall.SIGHUP // does not count
	c.signals <- os.Interrupt
	cl.expect(426)
	if status := c.wait(); status != 1 || !strings.HasSuffix(c.stderr.String(), "\nftpgate: stopped at once, running transfers were cut off\n") {
		t.Errorf("status %d:\n%s", status, c.stderr)
	}
	if !c.stopped() {
		t.Error("the signals were not given back")
	}
}

// The end of the grace time does the same, and is no failure.
func TestGrace(t *testing.T) {
	c := start(t, nil, "serve", loopback, "--write", "--grace=0s", "mem:")
	cl, _ := uploading(t, c)
	c.signals <- syscall.SIGTERM
	cl.expect(426)
	if status := c.wait(); status != 0 {
		t.Errorf("status %d", status)
	}
	c.stderr.wait(t, "the grace time is over, running transfers were cut off")
}

// SIGHUP takes over the files; a broken one changes nothing and is told.
func TestReload(t *testing.T) {
	dir := tree(t, "users", "ftpgate.yaml", "first/", "second/")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const hash = bcryptHash
	write("users", "alice:"+hash+"\n")
	write("ftpgate.yaml", "url: first\nlisten: 127.0.0.1:0\nusers_files: users\n")
	c := start(t, nil, "serve", "--config", filepath.Join(dir, "ftpgate.yaml"), "--user", "flag:f")
	old := dial(t, c.addr()).login(230, "alice", "correct horse")
	dial(t, c.addr()).login(530, "bob", "correct horse")

	write("users", "bob:"+hash+"\n")
	write("ftpgate.yaml", "url: second\nlisten: 127.0.0.1:0\nusers_files: users\nbanner: new\nlog: {level: warn}\n")
	c.signals <- syscall.SIGHUP
	c.stderr.wait(t, `level=WARN msg="the change takes a restart" key=url`)
	// The level is warn now, so no line tells the end of the reload; the server has
	// the new users by then.
	dial(t, c.addr()).login(230, "bob", "correct horse")
	dial(t, c.addr()).login(530, "alice", "correct horse")
	dial(t, c.addr()).login(230, "flag", "f")
	old.do(421, "PWD") // alice was removed
	stays := dial(t, c.addr()).login(230, "bob", "correct horse")

	write("users", "bob:hunter2\n")
	c.signals <- syscall.SIGHUP
	line := c.stderr.wait(t, `.*can't be reloaded.*`)[0]
	if !strings.Contains(line, "users:1:5: not a password hash") || strings.Contains(line, "hunter2") {
		t.Error(line)
	}
	dial(t, c.addr()).login(230, "bob", "correct horse")
	stays.do(257, "PWD")
}

// The built program, with the signals of the system.
func TestProgram(t *testing.T) {
	dir := tree(t, "a.txt")
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		p := startProgram(t, dir, []string{"FTPGATE_USER=alice:s3cret"}, "serve", loopback, "--log-format=json")
		addr := p.stdout.wait(t, `curl --user alice ftp://([^/]+)/`)[1]
		p.stdout.wait(t, "Ctrl-C stops")
		cl := dial(t, addr).login(230, "alice", "s3cret")
		if got := cl.list(); got != "a.txt\r\n" {
			t.Errorf("the current directory holds %q", got)
		}
		p.signal(s)
		cl.expect(421)
		if status := p.status(); status != 0 {
			t.Errorf("%v: status %d\n%s", s, status, p.stderr)
		}
		log := p.stderr.String()
		for line := range strings.Lines(log) {
			if !strings.HasPrefix(line, `{"time":`) {
				t.Errorf("a line of the log is no JSON: %s", line)
			}
		}
		if strings.Contains(log, "s3cret") {
			t.Errorf("the password is logged:\n%s", log)
		}
	}
}

// A closed terminal ends the program when there is nothing to reload.
func TestProgramHangUp(t *testing.T) {
	p := startProgram(t, t.TempDir(), nil, "serve", loopback)
	p.stdout.wait(t, "Ctrl-C stops")
	p.signal(syscall.SIGHUP)
	if status := p.status(); status != 0 {
		t.Errorf("status %d\n%s", status, p.stderr)
	}
}

// What the start message says to paste works, as a shell reads it.
func TestProgramPaste(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Fatal("this test needs curl: ", err)
	}
	for _, listen := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
		p := startProgram(t, tree(t, "a.txt"), nil, "serve", "--listen", listen)
		line := p.stdout.wait(t, `(?m)^    curl (.*)$`)[1]
		cmd := exec.Command("sh", "-c", curl+" --silent --show-error --max-time 20 --list-only "+line)
		cmd.WaitDelay = 30 * time.Second
		out, err := cmd.CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != "a.txt" {
			t.Errorf("curl %s: %v %s", line, err, out)
		}
	}
}
