package sftp

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	pkgsftp "github.com/pkg/sftp"
	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
)

// server is an SSH server with SFTP on a free port, or on a pipe, of this process.
type server struct {
	key    ssh.Signer
	config ssh.ServerConfig
	known  string // a known_hosts file with its key
	// sftp serves one session; by default it is pkg/sftp over the whole disk.
	sftp func(io.ReadWriteCloser)
	// channels is how many sessions it allows on a connection; 0: any number.
	channels int

	tasks    sync.WaitGroup
	mu       sync.Mutex
	listener net.Listener
	conns    map[net.Conn]bool
	accepted int
}

const (
	testUser     = "ann"
	testPassword = "open sesame"
)

// newServer starts a server that ends with the test.
func newServer(t testing.TB) *server {
	t.Helper()
	s := &server{key: newSigner(t), conns: map[net.Conn]bool{}, sftp: serveSFTP}
	s.config.PasswordCallback = func(c ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
		if c.User() != testUser || string(password) != testPassword {
			return nil, errors.New("wrong password")
		}
		return nil, nil
	}
	s.config.AddHostKey(s.key)
	s.listen(t, "127.0.0.1:0")
	s.known = filepath.Join(t.TempDir(), "known_hosts")
	s.writeKnown(t, s.key.PublicKey())
	t.Cleanup(func() {
		s.stop()
		s.tasks.Wait()
	})
	return s
}

func newSigner(t testing.TB) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func (s *server) writeKnown(t testing.TB, key ssh.PublicKey) {
	t.Helper()
	line := knownhosts.Line([]string{s.address()}, key) + "\n"
	if err := os.WriteFile(s.known, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
}

// configure changes what new connections meet.
func (s *server) configure(change func(*ssh.ServerConfig)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.config)
}

func (s *server) address() string { return s.listener.Addr().String() }

func (s *server) listen(t testing.TB, address string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.listener = l
	s.mu.Unlock()
	s.tasks.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.tasks.Go(func() { s.serve(c) })
		}
	})
}

// stop ends the server as a crash would.
func (s *server) stop() {
	s.mu.Lock()
	s.listener.Close()
	s.mu.Unlock()
	s.cut()
}

// restart starts it again at the same address.
func (s *server) restart(t testing.TB) {
	t.Helper()
	s.listen(t, s.address())
}

// cut ends all connections.
func (s *server) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Close()
	}
}

// connections returns how many there are, and were in all.
func (s *server) connections() (now, ever int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns), s.accepted
}

func (s *server) serve(c net.Conn) {
	defer c.Close()
	s.mu.Lock()
	s.conns[c] = true
	s.accepted++
	config := s.config
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
	conn, channels, requests, err := ssh.NewServerConn(c, &config)
	if err != nil {
		return
	}
	defer conn.Close()
	var sessions sync.WaitGroup
	defer sessions.Wait()
	sessions.Go(func() { ssh.DiscardRequests(requests) })
	open := make(chan struct{}, max(s.channels, 1))
	for ch := range channels {
		if s.channels > 0 {
			select {
			case open <- struct{}{}:
			default:
				_ = ch.Reject(ssh.ResourceShortage, "no more sessions")
				continue
			}
		}
		channel, requests, err := ch.Accept()
		if err != nil {
			return
		}
		sessions.Go(func() {
			defer func() {
				if s.channels > 0 {
					<-open
				}
			}()
			defer channel.Close()
			for r := range requests {
				ok := r.Type == "subsystem" && string(r.Payload[4:]) == "sftp"
				_ = r.Reply(ok, nil)
				if ok {
					sessions.Go(func() { ssh.DiscardRequests(requests) })
					s.sftp(channel)
					return
				}
			}
		})
	}
}

func serveSFTP(rw io.ReadWriteCloser) {
	srv, err := pkgsftp.NewServer(rw)
	if err == nil {
		_ = srv.Serve()
	}
}

// options are for the server, below dir.
func (s *server) options(dir string) Options {
	host, port, _ := net.SplitHostPort(s.address())
	n, _ := strconv.Atoi(port)
	return Options{Host: host, Port: n, User: testUser, Dir: dir, Password: testPassword, KnownHosts: []string{s.known}}
}
