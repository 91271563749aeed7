package integration

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// uploads is how often each case of truncation is tried.
const uploads = 15

// uploadBody is what testdata/tls/upload.py sends.
func uploadBody(size int) []byte {
	block := make([]byte, 1021)
	for i := range block {
		block[i] = byte(i % 251)
	}
	return bytes.Repeat(block, size/len(block)+1)[:size]
}

// TestTicketsTruncateUploads is the reason why ftpgate's data connections that receive
// issue no tickets: a plain server that does loses the end of uploads. It reads only when the
// client has closed, so nothing depends on luck. The table in docs/tls.md is what it logs.
func TestTicketsTruncateUploads(t *testing.T) {
	pki := newTLSFiles(t)
	const size = 300_000
	for _, c := range []struct {
		client, version string
		tickets, asks   bool // the server issues tickets, asks for certificates
		cut             bool
	}{
		{"Python/OpenSSL", "1.3", true, false, true},
		{"Python/OpenSSL", "1.3", true, true, true},
		{"Python/OpenSSL", "1.3", false, false, false},
		{"Python/OpenSSL", "1.3", false, true, false},
		{"Python/OpenSSL", "1.2", true, false, false},
		{"Python/OpenSSL", "1.2", false, false, false},
		{"Go", "1.3", true, true, true},
		{"Go", "1.3", false, true, false},
		{"Go", "1.2", true, true, false},
	} {
		t.Run(fmt.Sprintf("%s TLS %s tickets=%v asks=%v", c.client, c.version, c.tickets, c.asks), func(t *testing.T) {
			config := &tls.Config{Certificates: []tls.Certificate{pki.pair}, SessionTicketsDisabled: !c.tickets}
			if c.asks {
				config.ClientAuth = tls.RequestClientCert
			}
			l, err := net.Listen("tcp4", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			upload := uploadByPython
			if c.client == "Go" {
				upload = uploadByGo
			}
			next, closed := upload(t, l.Addr().String(), c.version, size, pki)
			lost := 0
			for range uploads {
				got := receiveLate(t, l, config, next, closed)
				if !bytes.Equal(got, uploadBody(size)) {
					lost++
				}
			}
			t.Logf("%d of %d uploads cut", lost, uploads)
			if want := map[bool]int{true: uploads}[c.cut]; lost != want {
				t.Errorf("%d of %d uploads were cut, want %d", lost, uploads, want)
			}
		})
	}
}

// receiveLate takes one upload, and reads it only when the client has closed.
func receiveLate(t *testing.T, l net.Listener, config *tls.Config, next func(), closed func() error) []byte {
	t.Helper()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if err := conn.(*net.TCPConn).SetReadBuffer(128 << 10); err != nil {
		t.Fatal(err)
	}
	secured := tls.Server(conn, config)
	if err := secured.Handshake(); err != nil {
		t.Fatal(err)
	}
	next()
	if err := closed(); err != nil {
		t.Fatal(err)
	}
	got, _ := io.ReadAll(secured) // an error is what a cut upload ends with
	return got
}

// uploadByPython runs the script for all uploads: next lets it send one, closed waits
// until it has closed it.
func uploadByPython(t *testing.T, addr, version string, size int, pki *tlsFiles) (next func(), closed func() error) {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	script, err := filepath.Abs("testdata/tls/upload.py")
	if err != nil {
		t.Fatal(err)
	}
	cmd := command(t, t.TempDir(), "python3", script, "bare", port, version, strconv.Itoa(uploads), strconv.Itoa(size), pki.client)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("upload.py: %v\n%s", err, &said)
		}
	})
	lines := bufio.NewReader(out)
	return func() { fmt.Fprintln(in) }, func() error {
		line, err := lines.ReadString('\n')
		if err == nil && line != "closed\n" {
			err = fmt.Errorf("upload.py says %q", line)
		}
		return err
	}
}

func uploadByGo(t *testing.T, addr, version string, size int, pki *tlsFiles) (next func(), closed func() error) {
	t.Helper()
	config := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pki.person},
		ClientSessionCache: tls.NewLRUClientSessionCache(1)} // else the server issues no tickets
	if version == "1.3" {
		config.MinVersion, config.MaxVersion = tls.VersionTLS13, tls.VersionTLS13
	}
	start, done := make(chan struct{}), make(chan error)
	go func() {
		for range uploads {
			done <- func() error {
				conn, err := net.Dial("tcp4", addr)
				if err != nil {
					return err
				}
				defer conn.Close()
				if err := conn.(*net.TCPConn).SetWriteBuffer(4 << 20); err != nil {
					return err
				}
				secured := tls.Client(conn, config)
				if err := secured.Handshake(); err != nil {
					return err
				}
				<-start
				if _, err := secured.Write(uploadBody(size)); err != nil {
					return err
				}
				return secured.CloseWrite()
			}()
		}
	}()
	return func() { start <- struct{}{} }, func() error { return <-done }
}

// TestUploadsAreWhole is the same client against ftpgate: it reads slowly, and loses
// nothing.
func TestUploadsAreWhole(t *testing.T) {
	t.Parallel()
	pki := newTLSFiles(t)
	dir := t.TempDir()
	b := storage{name: "local", open: func(*testing.T) (string, []string, backDoor) { return "file://" + dir, nil, disk{dir} }}
	s := startSite(t, b, loopbacks[0].addr, append(pki.flags(), "--rate", "4M")...)
	const size = 1 << 20
	script, err := filepath.Abs("testdata/tls/upload.py")
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"1.2", "1.3"} {
		for _, handshake := range []string{"full", "resumed"} {
			t.Run("TLS "+version+" "+handshake, func(t *testing.T) {
				user, password, _ := strings.Cut(account, ":")
				said, err := run(command(t, t.TempDir(), "python3", script, "ftp", "127.0.0.1", strconv.Itoa(int(s.Addr.Port())),
					user, password, version, handshake, strconv.Itoa(uploads), strconv.Itoa(size)))
				if err != nil {
					t.Fatalf("%v\n%s", err, said)
				}
				whole := 0
				for i := range uploads {
					got, err := os.ReadFile(filepath.Join(dir, strconv.Itoa(i)))
					if err == nil && bytes.Equal(got, uploadBody(size)) {
						whole++
					}
					os.Remove(filepath.Join(dir, strconv.Itoa(i)))
				}
				t.Logf("%d of %d uploads whole", whole, uploads)
				if n := strings.Count(said, "226 "); whole != uploads || n != uploads {
					t.Errorf("%d of %d uploads are whole, %d answered 226\n%s", whole, uploads, n, said)
				}
				want := 0
				if handshake == "resumed" {
					want = uploads
				}
				if !strings.Contains(said, fmt.Sprintf("resumed %d\n", want)) {
					t.Errorf("want %d resumed\n%s", want, said)
				}
			})
		}
	}
}
