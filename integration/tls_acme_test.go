package integration

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// authority is Pebble, the ACME server that Let's Encrypt has for tests, with a DNS in
// which every name leads to loopback.
type authority struct {
	directory string
	httpPort  string // where it looks for http-01
	tlsPort   string // where it looks for tls-alpn-01
	roots     *x509.CertPool
	stop      func()
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// listening runs a server until stop, and waits until it accepts connections.
func listening(t *testing.T, addrs, env []string, name string, args ...string) (stop func()) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	var said bytes.Buffer // written until the end of the process
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cmd.Process.Kill()
			cmd.Wait()
			if t.Failed() {
				t.Logf("%s:\n%s", filepath.Base(name), &said)
			}
		})
	}
	t.Cleanup(stop)
	end := time.Now().Add(patience)
	for _, addr := range addrs {
		for {
			conn, err := net.Dial("tcp", addr)
			if err == nil {
				conn.Close()
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%s does not listen: %v", filepath.Base(name), err)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	return stop
}

// startAuthority issues certificates that are valid for life.
func startAuthority(t *testing.T, pki *tlsFiles, life time.Duration) *authority {
	t.Helper()
	dir := t.TempDir()
	build := exec.Command("go", "build", "-C", filepath.Join("tools", "pebble"), "-o", dir+"/", "tool")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	dns, management, listen := "127.0.0.1:"+freePort(t), "127.0.0.1:"+freePort(t), "127.0.0.1:"+freePort(t)
	a := &authority{directory: "https://" + listen + "/dir", httpPort: freePort(t), tlsPort: freePort(t)}
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": listen, "managementListenAddress": management, "certificate": pki.server, "privateKey": pki.server,
		"httpPort": json.Number(a.httpPort), "tlsPort": json.Number(a.tlsPort), "retryAfter": map[string]int{"authz": 1, "order": 1},
		"profiles": map[string]any{"default": map[string]any{"description": "the only one", "validityPeriod": int(life.Seconds())}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	configuration := filepath.Join(dir, "pebble.json")
	if err := os.WriteFile(configuration, config, 0o600); err != nil {
		t.Fatal(err)
	}
	stopDNS := listening(t, []string{dns}, nil, filepath.Join(dir, "pebble-challtestsrv"), "-dnsserver", dns, "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "",
		"-management", "127.0.0.1:"+freePort(t), "-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", "")
	stopPebble := listening(t, []string{listen, management}, []string{"PEBBLE_VA_NOSLEEP=1"}, filepath.Join(dir, "pebble"), "-config", configuration, "-dnsserver", dns)
	a.stop = func() { stopPebble(); stopDNS() }
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pki.pool}}}
	defer client.CloseIdleConnections()
	answer, err := client.Get("https://" + management + "/roots/0")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	root, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	a.roots = x509.NewCertPool()
	if !a.roots.AppendCertsFromPEM(root) {
		t.Fatalf("no root: %s", root)
	}
	return a
}

// certificateOf is what a gateway shows to who asks for name, verified by roots.
func certificateOf(t *testing.T, s *site, name string, roots *x509.CertPool) *x509.Certificate {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	text := textproto.NewConn(conn)
	if _, _, err := text.ReadResponse(220); err != nil {
		t.Fatal(err)
	}
	if err := text.PrintfLine("AUTH TLS"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := text.ReadResponse(234); err != nil {
		t.Fatal(err)
	}
	secured := tls.Client(conn, &tls.Config{ServerName: name, RootCAs: roots})
	if err := secured.Handshake(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return secured.ConnectionState().PeerCertificates[0]
}

// TestACME gets certificates by either challenge, renews them, and finds them in the
// cache when the authority is gone.
func TestACME(t *testing.T) {
	pki := newTLSFiles(t)
	for _, challenge := range []string{"http-01", "tls-alpn-01"} {
		t.Run(challenge, func(t *testing.T) {
			life := 24 * time.Hour
			if challenge == "http-01" {
				life = 12 * time.Second
			}
			a := startAuthority(t, pki, life)
			dir := t.TempDir()
			listen := "http_listen: 127.0.0.1:" + a.httpPort
			if challenge == "tls-alpn-01" {
				listen = "http_listen: off, tls_listen: 127.0.0.1:" + a.tlsPort
			}
			config := filepath.Join(dir, "ftpgate.yaml")
			if err := os.WriteFile(config, []byte("tls:\n  acme: {domains: [ftp.example.org, files.example.org], email: admin@example.org, cache: cache, ca: "+
				pki.ca+", directory: '"+a.directory+"', "+listen+"}\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			names := []string{"ftp.example.org", "files.example.org"}
			t.Run("issued", func(t *testing.T) {
				s := startSite(t, storages()[0], loopbacks[0].addr, "--config", config, "--tls-cert", pki.server)
				issued := []string{`msg="certificate issued" domain=ftp.example.org`, `msg="certificate issued" domain=files.example.org`}
				if err := s.Await(0, patience, issued...); err != nil {
					t.Fatal(err)
				}
				from := len(s.Output())
				for _, name := range names {
					if life == 24*time.Hour {
						certificateOf(t, s, name, a.roots)
					}
				}
				if life == 24*time.Hour {
					return
				}
				if err := s.Await(from, patience, issued...); err != nil {
					t.Errorf("no renewal: %v", err)
				}
			})
			a.stop()
			if life < 24*time.Hour {
				return
			}
			t.Run("cached", func(t *testing.T) {
				s := startSite(t, storages()[0], loopbacks[0].addr, "--config", config, "--tls-cert", pki.server)
				for _, name := range names {
					if got := certificateOf(t, s, name, a.roots).DNSNames; len(got) != 1 || got[0] != name {
						t.Errorf("%s gets the certificate of %q", name, got)
					}
				}
			})
			t.Run("keys are private", func(t *testing.T) {
				files := readTree(t, filepath.Join(dir, "cache"))
				if len(files) != 3 {
					t.Errorf("the cache holds %q", files.names())
				}
				for name, data := range files {
					if block, _ := pem.Decode(data); block == nil || block.Type != "PRIVATE KEY" {
						t.Errorf("%s holds no key", name)
					}
					info, err := os.Stat(filepath.Join(dir, "cache", name))
					if err != nil || info.Mode().Perm() != 0o600 {
						t.Errorf("%s: %v, %v", name, info.Mode(), err)
					}
				}
			})
		})
	}
}

// TestACMEFailure tells the reason in one line, and goes on serving.
func TestACMEFailure(t *testing.T) {
	pki := newTLSFiles(t)
	a := startAuthority(t, pki, 24*time.Hour)
	config := filepath.Join(t.TempDir(), "ftpgate.yaml")
	// It listens where the authority does not look.
	if err := os.WriteFile(config, []byte("tls:\n  acme: {domains: ftp.example.org, cache: cache, ca: "+pki.ca+", directory: '"+a.directory+
		"', http_listen: '127.0.0.1:0'}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startSite(t, storages()[0], loopbacks[0].addr, "--config", config)
	if err := s.Await(0, patience, `msg="no certificate by ACME" domain=ftp.example.org`, "retry=5m0s"); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(s.Output()) {
		if strings.Contains(line, "no certificate by ACME") && (!strings.Contains(line, "http-01") || !strings.Contains(line, "connection refused")) {
			t.Error(line)
		}
	}
	if out, err := run(command(t, t.TempDir(), "curl", "--silent", "--show-error", "--user", account, s.URL(""))); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
