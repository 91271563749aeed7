package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ftpgate/ftpgate/backends"
)

// binary is the path of the built command.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "ftpgate")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "ftpgate")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		os.Exit(1)
	}
	status := m.Run()
	if err := os.RemoveAll(dir); err != nil && status == 0 {
		status = 1
	}
	if status == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			status = 1
		}
	}
	os.Exit(status)
}

// output is what a command writes, for tests that wait for it.
type output struct {
	mu      sync.Mutex
	changed *sync.Cond
	b       bytes.Buffer
	ended   bool
}

func newOutput() *output {
	o := &output{}
	o.changed = sync.NewCond(&o.mu)
	return o
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.changed.Broadcast()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

func (o *output) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
	o.changed.Broadcast()
}

// wait returns what pattern first matches, and its groups; the command's end
// without a match is fatal.
func (o *output) wait(t *testing.T, pattern string) []string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		if m := re.FindStringSubmatch(o.b.String()); m != nil {
			return m
		}
		if o.ended {
			t.Fatalf("the command ended without %q:\n%s", pattern, o.b.String())
		}
		o.changed.Wait()
	}
}

// command is one run of the command line in this process.
type command struct {
	t              *testing.T
	stdout, stderr *output
	signals        chan os.Signal
	status         chan int
	stopped        func() bool // whether the signals were given back
}

// start runs args; env is all of its environment.
func start(t *testing.T, env map[string]string, args ...string) *command {
	t.Helper()
	return startEvery(t, time.Hour, env, args...)
}

// startPolling is start that looks at files all the time.
func startPolling(t *testing.T, args ...string) *command {
	t.Helper()
	return startEvery(t, 5*time.Millisecond, nil, args...)
}

func startEvery(t *testing.T, poll time.Duration, env map[string]string, args ...string) *command {
	t.Helper()
	c := &command{t: t, stdout: newOutput(), stderr: newOutput(), signals: make(chan os.Signal, 4), status: make(chan int, 1)}
	var once sync.Once
	stopped := make(chan struct{})
	c.stopped = func() bool {
		select {
		case <-stopped:
			return true
		default:
			return false
		}
	}
	p := surroundings{
		stdin: strings.NewReader(""), stdout: c.stdout, stderr: c.stderr, open: backends.Open, poll: poll,
		getenv: func(key string) string { return env[key] },
		notify: func() (<-chan os.Signal, func()) { return c.signals, func() { once.Do(func() { close(stopped) }) } },
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		status := p.run(ctx, args)
		c.stdout.end()
		c.stderr.end()
		c.status <- status
	}()
	t.Cleanup(func() {
		cancel()
		c.wait()
	})
	return c
}

// wait returns the exit status.
func (c *command) wait() int {
	status := <-c.status
	c.status <- status
	return status
}

// addr is where the first listener is.
func (c *command) addr() string {
	c.t.Helper()
	c.started()
	return regexp.MustCompile(`ftp://([^/]+)/`).FindStringSubmatch(c.stdout.String())[1]
}

// started waits for the start message.
func (c *command) started() string {
	c.t.Helper()
	c.stdout.wait(c.t, "Ctrl-C stops")
	return c.stdout.String()
}

// client is one control connection.
type client struct {
	t    *testing.T
	conn net.Conn
	*textproto.Reader
}

func dial(t *testing.T, addr string) *client {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := &client{t, conn, textproto.NewReader(bufio.NewReader(conn))}
	c.expect(220)
	return c
}

func (c *client) expect(code int) string {
	c.t.Helper()
	got, text, err := c.ReadResponse(code)
	if err != nil {
		c.t.Errorf("wanted %d, got %d %s (%v)", code, got, text, err)
	}
	return text
}

// do sends a line and wants a reply with the code.
func (c *client) do(code int, line string) string {
	c.t.Helper()
	if _, err := fmt.Fprintf(c.conn, "%s\r\n", line); err != nil {
		c.t.Fatal(err)
	}
	return c.expect(code)
}

// login wants code for the password.
func (c *client) login(code int, user, password string) *client {
	c.t.Helper()
	c.do(331, "USER "+user)
	c.do(code, "PASS "+password)
	return c
}

// data opens a passive data connection.
func (c *client) data() net.Conn {
	c.t.Helper()
	text := c.do(229, "EPSV")
	port := regexp.MustCompile(`\|\|\|(\d+)\|`).FindStringSubmatch(text)
	if port == nil {
		c.t.Fatalf("no port in %q", text)
	}
	host, _, err := net.SplitHostPort(c.conn.RemoteAddr().String())
	if err != nil {
		c.t.Fatal(err)
	}
	conn, err := net.Dial("tcp", net.JoinHostPort(host, port[1]))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { conn.Close() })
	return conn
}

// list returns the names of the working directory.
func (c *client) list() string {
	c.t.Helper()
	conn := c.data()
	c.do(150, "NLST")
	var b bytes.Buffer
	_, err := b.ReadFrom(conn)
	if err != nil {
		c.t.Error(err)
	}
	c.expect(226)
	return b.String()
}

// tree makes a directory with files and directories (names that end in /).
func tree(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, n := range names {
		path := filepath.Join(dir, filepath.FromSlash(n))
		var err error
		if strings.HasSuffix(n, "/") {
			err = os.MkdirAll(path, 0o755)
		} else {
			if err = os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
				err = os.WriteFile(path, []byte(n), 0o644)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// program is one run of the built binary.
type program struct {
	t              *testing.T
	cmd            *exec.Cmd
	stdout, stderr *output
	done           chan struct{}
}

// startProgram runs the binary with env added to an environment without AWS_ and
// FTPGATE_ variables.
func startProgram(t *testing.T, dir string, env []string, args ...string) *program {
	t.Helper()
	p := &program{t: t, cmd: exec.Command(binary, args...), stdout: newOutput(), stderr: newOutput(), done: make(chan struct{})}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "AWS_") && !strings.HasPrefix(v, "FTPGATE_") {
			p.cmd.Env = append(p.cmd.Env, v)
		}
	}
	// No credentials of this machine, and no requests to a cloud's metadata service.
	p.cmd.Env = append(p.cmd.Env, "AWS_CONFIG_FILE=/nonexistent", "AWS_SHARED_CREDENTIALS_FILE=/nonexistent", "AWS_EC2_METADATA_DISABLED=true")
	p.cmd.Env = append(p.cmd.Env, env...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, p.stdout, p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		p.stdout.end()
		p.stderr.end()
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
	})
	return p
}

// status waits for the end.
func (p *program) status() int {
	<-p.done
	return p.cmd.ProcessState.ExitCode()
}

func (p *program) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// taken is an address that a listener holds.
func taken(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}
