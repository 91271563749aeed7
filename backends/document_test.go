package backends_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"
	pkgsftp "github.com/pkg/sftp"
	"github.com/skeema/knownhosts"
	"github.com/spf13/afero"
	"golang.org/x/crypto/ssh"

	"github.com/ftpgate/ftpgate/backends/local"
	"github.com/ftpgate/ftpgate/backends/memory"
	"github.com/ftpgate/ftpgate/backends/s3"
	"github.com/ftpgate/ftpgate/backends/s3/s3fake"
	"github.com/ftpgate/ftpgate/backends/sftp"
	"github.com/ftpgate/ftpgate/vfs"
	"github.com/ftpgate/ftpgate/vfs/aferofs"
)

var update = flag.Bool("update", false, "write the generated part of docs/vfs.md")

// The generated part of docs/vfs.md stands between these lines.
const (
	tableBegin = "<!-- Generated from Caps by \"make generate\"; do not edit. -->\n"
	tableEnd   = "<!-- End of the generated part. -->\n"
)

// TestStoresDocument keeps the table of abilities in docs/vfs.md true; -update writes
// it.
func TestStoresDocument(t *testing.T) {
	path := filepath.Join("..", "docs", "vfs.md")
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, found := bytes.Cut(old, []byte(tableBegin))
	_, tail, closed := bytes.Cut(rest, []byte(tableEnd))
	if !found || !closed {
		t.Fatalf("%s lacks the lines around its generated part", path)
	}
	text := bytes.Join([][]byte{head, []byte(tableBegin), []byte(capsTable(t)), []byte(tableEnd), tail}, nil)
	if *update {
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
	} else if !bytes.Equal(old, text) {
		t.Errorf("%s is stale; run make generate", path)
	}
}

// documented are the stores of the table, and what of their Caps depends on where they
// are.
func documented(t *testing.T) (names []string, stores []vfs.FS, depends []vfs.Caps) {
	add := func(name string, f vfs.FS, changing vfs.Caps) {
		names, stores, depends = append(names, name), append(stores, f), append(depends, changing)
	}
	disk := func(opt local.Options) vfs.FS {
		opt.Dir = t.TempDir()
		f, err := local.Open(opt)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	bucket := func(opt s3fake.Options) vfs.FS {
		s := s3fake.New(t, opt)
		f, err := s3.Open(t.Context(), s3.Options{Bucket: s.Bucket(), Endpoint: s.URL, Region: "us-east-1",
			Credentials: credentials.NewStaticCredentialsProvider("key", "secret", "")})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	add("`file:`", disk(local.Options{}), vfs.AtomicCommit)
	add("`file:` with `publish=direct`", disk(local.Options{Direct: true}), 0)
	add("`mem:`", memory.New(memory.Options{}), 0)
	add("`s3:`", bucket(s3fake.Options{}), 0)
	add("`s3:` without conditions", bucket(s3fake.Options{IgnoreConditions: true}), 0)
	add("`sftp:`", sshStore(t), vfs.CanCopy)
	add("afero `OsFs`", aferofs.New(afero.NewBasePathFs(afero.NewOsFs(), t.TempDir())), 0)
	add("afero `MemMapFs`", aferofs.New(afero.NewMemMapFs()), 0)
	return names, stores, depends
}

func capsTable(t *testing.T) string {
	names, stores, depends := documented(t)
	var b strings.Builder
	fmt.Fprintf(&b, "| | %s |\n|---%s|\n", strings.Join(names, " | "), strings.Repeat("|---", len(names)))
	for bit := vfs.Caps(1); bit != 0; bit <<= 1 {
		if bit.String() == "" {
			continue
		}
		fmt.Fprintf(&b, "| %s |", bit)
		for i, f := range stores {
			switch {
			case depends[i].Has(bit):
				b.WriteString(" depends |")
			case f.Caps().Has(bit):
				b.WriteString(" yes |")
			default:
				b.WriteString(" |")
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

// sshStore is a directory behind an SFTP server of this process.
func sshStore(t *testing.T) vfs.FS {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	config := &ssh.ServerConfig{NoClientAuth: true}
	config.AddHostKey(signer)
	var tasks sync.WaitGroup
	tasks.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			tasks.Go(func() { serveSSH(c, config) })
		}
	})
	t.Cleanup(tasks.Wait)
	t.Cleanup(func() { l.Close() })
	known := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(known, []byte(knownhosts.Line([]string{l.Addr().String()}, signer.PublicKey())+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(l.Addr().String())
	n, _ := strconv.Atoi(port)
	f, err := sftp.Open(t.Context(), sftp.Options{Host: host, Port: n, User: "ann", Password: "x", Dir: t.TempDir(), KnownHosts: []string{known}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func serveSSH(c net.Conn, config *ssh.ServerConfig) {
	defer c.Close()
	conn, channels, requests, err := ssh.NewServerConn(c, config)
	if err != nil {
		return
	}
	defer conn.Close()
	var sessions sync.WaitGroup
	defer sessions.Wait()
	sessions.Go(func() { ssh.DiscardRequests(requests) })
	for ch := range channels {
		channel, requests, err := ch.Accept()
		if err != nil {
			return
		}
		sessions.Go(func() {
			for r := range requests {
				_ = r.Reply(r.Type == "subsystem", nil)
			}
		})
		sessions.Go(func() {
			defer channel.Close()
			if srv, err := pkgsftp.NewServer(channel); err == nil {
				_ = srv.Serve()
			}
		})
	}
}
