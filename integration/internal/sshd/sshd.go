// Package sshd runs OpenSSH's server for tests: on a free loopback port, with keys
// and a configuration of its own, for the user that the tests run as. It is ended by
// the process ids of what it started, and dies with its parent.
package sshd

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// startTime is how long the server may take to answer.
const startTime = 20 * time.Second

// Server is a running sshd. Its methods are for one goroutine at a time, except
// Output.
type Server struct {
	Port       int
	User       string
	KnownHosts string // a file with the server's key
	Identity   string // a private key that it lets in
	// HostKey and Authority are the server's key, and a key whose certificates let
	// users in, as files.
	HostKey, Authority string

	dir    string
	config string
	cmd    *exec.Cmd
	done   chan struct{} // closed when cmd has ended
	output *output
}

type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

// Output is what the server logged so far.
func (s *Server) Output() string {
	s.output.mu.Lock()
	defer s.output.mu.Unlock()
	return s.output.buf.String()
}

// Start runs a server whose files are in dir. Lines are added to its configuration,
// before the others.
func Start(dir string, lines ...string) (*Server, error) {
	path, err := find()
	if err != nil {
		return nil, err
	}
	who, err := user.Current()
	if err != nil {
		return nil, err
	}
	s := &Server{
		User: who.Username, dir: dir, config: filepath.Join(dir, "sshd_config"), output: &output{},
		HostKey: filepath.Join(dir, "host_key"), Authority: filepath.Join(dir, "authority"),
		Identity: filepath.Join(dir, "id"), KnownHosts: filepath.Join(dir, "known_hosts"),
	}
	if os.Getuid() == 0 { // where it locks up its process without privileges
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			return nil, err
		}
	}
	for _, key := range []string{s.HostKey, s.Authority, s.Identity} {
		if err := Keygen("-t", "ed25519", "-N", "", "-f", key); err != nil {
			return nil, err
		}
	}
	if err := s.Authorize(s.Identity + ".pub"); err != nil {
		return nil, err
	}
	for range 5 { // the free port may be taken in between
		if s.Port, err = freePort(); err != nil {
			return nil, err
		}
		if err = s.configure(lines); err != nil {
			return nil, err
		}
		if err = s.start(path); err == nil {
			return s, nil
		}
	}
	return nil, err
}

// find looks also where sshd is on machines whose users don't have it on PATH.
func find() (string, error) {
	path, err := exec.LookPath("sshd")
	if err == nil {
		return filepath.Abs(path) // it runs itself again, by this path
	}
	for _, path := range []string{"/usr/sbin/sshd", "/sbin/sshd", "/usr/local/sbin/sshd"} {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w; integration/tools/install installs it", err)
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// Keygen runs ssh-keygen.
func Keygen(args ...string) error {
	if out, err := exec.Command("ssh-keygen", append([]string{"-q"}, args...)...).CombinedOutput(); err != nil {
		return fmt.Errorf("ssh-keygen %q: %w\n%s", args, err, out)
	}
	return nil
}

// Authorize lets in whoever has the private key of the public one in the file pub.
func (s *Server) Authorize(pub string) error {
	key, err := os.ReadFile(pub)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(s.authorized(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(key)
	return errors.Join(err, f.Close())
}

func (s *Server) authorized() string { return filepath.Join(s.dir, "authorized_keys") }

func (s *Server) configure(lines []string) error {
	config := strings.Join(append(lines,
		"Port "+strconv.Itoa(s.Port),
		"ListenAddress 127.0.0.1",
		"HostKey "+s.HostKey,
		"PidFile none",
		"AuthorizedKeysFile "+s.authorized(),
		"TrustedUserCAKeys "+s.Authority+".pub",
		"StrictModes no",
		"UsePAM no",
		"PasswordAuthentication no",
		"KbdInteractiveAuthentication no",
		"PermitRootLogin yes",
		"MaxStartups 1000",
		"LogLevel INFO",
		"Subsystem sftp internal-sftp",
	), "\n") + "\n"
	key, err := os.ReadFile(s.HostKey + ".pub")
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(s.config, []byte(config), 0o600),
		os.WriteFile(s.KnownHosts, fmt.Appendf(nil, "[127.0.0.1]:%d %s", s.Port, key), 0o600))
}

func (s *Server) start(path string) error {
	s.cmd = exec.Command(path, "-D", "-e", "-f", s.config)
	s.cmd.Stdout, s.cmd.Stderr = s.output, s.output
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	s.cmd.WaitDelay = time.Second // children that it leaves keep its output open
	if err := s.cmd.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	s.done = done
	cmd := s.cmd
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	for deadline := time.Now().Add(startTime); time.Now().Before(deadline); {
		select {
		case <-done:
			return fmt.Errorf("sshd ended before it was ready\n%s", s.Output())
		case <-time.After(10 * time.Millisecond):
		}
		conn, err := net.DialTimeout("tcp", s.Addr(), time.Second)
		if err != nil {
			continue
		}
		banner := make([]byte, 4)
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		_, err = conn.Read(banner)
		conn.Close()
		if err == nil && string(banner) == "SSH-" {
			return nil
		}
	}
	s.Kill()
	return fmt.Errorf("sshd was not ready after %v\n%s", startTime, s.Output())
}

// Addr is where it listens.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)) }

// Kill ends the server and the processes of its connections as a power cut would:
// first those that begin others.
func (s *Server) Kill() {
	for {
		pids := append([]int{s.cmd.Process.Pid}, descendants(s.cmd.Process.Pid)...)
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		if len(pids) == 1 {
			break
		}
	}
	<-s.done
}

// KillSessions ends the processes of all connections and leaves the server alone.
func (s *Server) KillSessions() {
	for _, pid := range descendants(s.cmd.Process.Pid) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// Freeze stops the processes of all connections, so that they keep their
// connections and answer nothing; Thaw lets them go on.
func (s *Server) Freeze() {
	for _, pid := range descendants(s.cmd.Process.Pid) {
		_ = syscall.Kill(pid, syscall.SIGSTOP)
	}
}

// Thaw ends Freeze.
func (s *Server) Thaw() {
	for _, pid := range descendants(s.cmd.Process.Pid) {
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
}

// Restart runs it again at the same port, after Kill.
func (s *Server) Restart() error {
	path, err := find()
	if err != nil {
		return err
	}
	return s.start(path)
}

// descendants are the processes that pid began, and those that they began, as far
// as they are not orphans. Whatever ended is left out.
func descendants(pid int) []int {
	children := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		data, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		// pid (command) state ppid …
		fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
		if len(fields) < 2 || fields[0] == "Z" {
			continue
		}
		child, _ := strconv.Atoi(strings.Split(name, "/")[2])
		parent, _ := strconv.Atoi(fields[1])
		children[parent] = append(children[parent], child)
	}
	var all []int
	for todo := []int{pid}; len(todo) > 0; {
		next := children[todo[0]]
		all, todo = append(all, next...), append(todo[1:], next...)
	}
	return all
}

// URL is what ftpgate serves to get at dir.
func (s *Server) URL(dir string) string {
	q := url.Values{"known_hosts": {s.KnownHosts}, "identity": {s.Identity}}
	u := url.URL{Scheme: "sftp", User: url.User(s.User), Host: s.Addr(), Path: dir, RawQuery: q.Encode()}
	return u.String()
}
