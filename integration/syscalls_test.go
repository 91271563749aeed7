package integration

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ftpgate/ftpgate/integration/internal/control"
	"github.com/ftpgate/ftpgate/integration/internal/daemon"
)

// TestSystemCalls counts what the released binary asks the kernel for: between a
// disk and a clear data connection, bytes never pass through the process, also where
// rates are limited and sizes are.
func TestSystemCalls(t *testing.T) {
	limits := filepath.Join(t.TempDir(), "limits.yaml")
	if err := os.WriteFile(limits, []byte("rate: 64M\nshared_rates: {user: 32M, address: 128M, total: 256M}\npolicy: {max_size: 1G, hide: .git}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, flags := range map[string][]string{"unlimited": nil, "limited": {"--config", limits}} {
		t.Run(name, func(t *testing.T) { systemCalls(t, flags) })
	}
}

func systemCalls(t *testing.T, flags []string) {
	const size = 64 << 20
	root, home := t.TempDir(), t.TempDir()
	want := randomBytes(9, size)
	writeTree(t, root, tree{"down": want})
	trace := filepath.Join(home, "trace")
	gateway, err := daemon.StartGateway(daemon.GatewayConfig{
		Binary: shared.plain, Host: loopbacks[0].addr, Storage: root, Flags: flags,
		// -D makes the gateway the child and strace the grandchild, so that the
		// child's process id is the gateway's.
		Under: []string{"strace", "-D", "-f", "-q", "-e", "trace=sendfile,splice,copy_file_range,write,pwrite64,read,pread64,recvfrom,sendto",
			"-e", "signal=none", "-o", trace},
	})
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	defer func() {
		if !stopped {
			gateway.Kill()
		}
	}()
	c, err := control.Dial(gateway.Addr.String(), daemon.User, daemon.Password)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()

	data, err := c.Open("RETR down")
	if err != nil {
		t.Fatal(err)
	}
	data.SetDeadline(time.Now().Add(patience))
	got, err := io.ReadAll(data)
	if err != nil {
		t.Fatal(err)
	}
	data.Close()
	if _, err := c.Expect("226"); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("RETR brought %d bytes, or others", len(got))
	}

	data, err = c.Open("STOR up")
	if err != nil {
		t.Fatal(err)
	}
	data.SetDeadline(time.Now().Add(patience))
	if _, err := data.Write(want); err != nil {
		t.Fatal(err)
	}
	data.Close()
	if _, err := c.Expect("226"); err != nil {
		t.Fatal(err)
	}
	readTree(t, root).mustEqual(t, "on the disk", tree{"down": want, "up": want})
	c.Close()
	stopped = true
	if err := gateway.Stop(); err != nil {
		t.Fatal(err)
	}

	counted := countBytes(t, trace)
	t.Logf("%d bytes each way: %v", size, counted)
	if n := counted["sendfile"]; n.bytes != size {
		t.Errorf("RETR of %d bytes sent %d of them by sendfile, in %d calls", size, n.bytes, n.calls)
	}
	// From the socket to a pipe and from the pipe to the file, beside a byte or so of
	// what tells that a pipe works.
	if n := counted["splice"]; n.bytes < 2*size || n.bytes > 2*size+4096 {
		t.Errorf("STOR of %d bytes moved %d by splice, in %d calls, want twice the size", size, n.bytes, n.calls)
	}
	for _, call := range []string{"write", "read", "pread64", "pwrite64", "recvfrom", "sendto"} {
		if n := counted[call]; n.bytes > 1<<20 {
			t.Errorf("%d bytes passed through the process by %s", n.bytes, call)
		}
	}
}

type callCount struct{ calls, bytes int }

// countBytes adds up the results of the calls in a trace of strace -f.
func countBytes(t *testing.T, trace string) map[string]callCount {
	t.Helper()
	// strace writes the last lines after the gateway has ended.
	var text []byte
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		var err error
		if text, err = os.ReadFile(trace); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "+++ exited with 0 +++") || time.Now().After(end) {
			break
		}
	}
	call := regexp.MustCompile(`(?m)^\d+ +(?:<\.\.\. )?(\w+)(?:\(| resumed).* = (\d+)$`)
	counts := map[string]callCount{}
	for _, m := range call.FindAllStringSubmatch(string(text), -1) {
		n, err := strconv.Atoi(m[2])
		if err != nil {
			t.Fatal(err)
		}
		c := counts[m[1]]
		counts[m[1]] = callCount{c.calls + 1, c.bytes + n}
	}
	return counts
}
