package ftptest_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/ftpgate/ftpgate/auth"
	"github.com/ftpgate/ftpgate/backends/memory"
	"github.com/ftpgate/ftpgate/gateway"
	"github.com/ftpgate/ftpgate/gateway/ftptest"
	"github.com/ftpgate/ftpgate/vfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// dialogue sends lines and expects the beginnings of their replies.
func dialogue(t *testing.T, conn net.Conn, lines ...string) {
	t.Helper()
	in := bufio.NewReader(conn)
	for _, line := range lines {
		if say, ok := strings.CutPrefix(line, "> "); ok {
			if _, err := io.WriteString(conn, say+"\r\n"); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := in.ReadString('\n')
		if err != nil || !strings.HasPrefix(got, line) {
			t.Fatalf("got %q, %v, want %q", got, err, line)
		}
	}
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestNewServesMemoryToEverybody(t *testing.T) {
	srv := ftptest.New(t)
	dialogue(t, dial(t, srv.Addr), "220 ", "> USER anyone", "331 ", "> PASS whatever", "230 ", "> MKD dir", "257 ", "> QUIT", "221 ")
	if info, err := srv.FS.Stat(t.Context(), "dir"); err != nil || !info.IsDir() {
		t.Errorf("the directory is not in srv.FS: %v", err)
	}
	if want := "ftp://" + srv.Addr + "/"; srv.URL != want {
		t.Errorf("URL %s, want %s", srv.URL, want)
	}
}

func TestUsersPolicyAndStore(t *testing.T) {
	fsys := memory.New(memory.Options{})
	srv := ftptest.Start(t, ftptest.Options{
		FS: fsys, Users: map[string]string{"joe": "secret"}, Policy: &auth.Policy{Permissions: auth.ReadOnly},
		Network: "tcp6", Configure: func(c *gateway.Config) { c.Banner = "hello" },
	})
	if srv.FS != vfs.FS(fsys) {
		t.Error("srv.FS is another one")
	}
	dialogue(t, dial(t, srv.Addr), "220 hello", "> USER joe", "331 ", "> PASS wrong", "530 ", "> USER joe", "331 ", "> PASS secret", "230 ",
		"> MKD dir", "550 ")
}

func TestTLS(t *testing.T) {
	srv := ftptest.Start(t, ftptest.Options{TLS: true})
	conn := dial(t, srv.Addr)
	dialogue(t, conn, "220 ", "> AUTH TLS", "234 ")
	secure := tls.Client(conn, srv.ClientTLS)
	dialogue(t, secure, "> USER joe", "331 ", "> PASS x", "230 ", "> PBSZ 0", "200 ", "> PROT P", "200 ")
	secure.Close()
}
