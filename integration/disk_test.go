package integration

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ftpgate/ftpgate/integration/internal/control"
	"github.com/ftpgate/ftpgate/integration/internal/daemon"
)

// dialed logs in, and stays until the test ends.
func dialed(t *testing.T, g *daemon.Gateway, user string) *control.Conn {
	t.Helper()
	c, err := control.Dial(g.Addr.String(), user, daemon.Password)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// stor sends data and returns what the server says at the end, or before the
// beginning.
func stor(t *testing.T, c *control.Conn, name string, data []byte, codes ...string) string {
	t.Helper()
	address, err := c.Passive()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := c.Send("STOR " + name); err != nil {
		t.Fatal(err)
	}
	reply, err := c.Expect(append([]string{"150"}, codes...)...)
	if strings.HasPrefix(reply, "150") {
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, _ = conn.Write(data) // a server without room closes it
		_ = conn.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, conn)
		reply, err = c.Expect(codes...)
	}
	if err != nil {
		t.Errorf("STOR %.20s of %d bytes: %v", name, len(data), err)
	}
	return reply
}

// retrieves checks what RETR brings.
func retrieves(t *testing.T, c *control.Conn, name string, want []byte) {
	t.Helper()
	conn, err := c.Open("RETR " + name)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	got, err := io.ReadAll(conn)
	if _, rerr := c.Expect("226"); rerr != nil || err != nil || string(got) != string(want) {
		t.Errorf("RETR %s brings %d bytes, want %d; %v, %v", name, len(got), len(want), err, rerr)
	}
}

// TestSmallDisk serves a disk of 4 MiB with few inodes, which exists in a mount
// namespace of the gateway's own. When it is full, or read-only, or a name is too long,
// clients are told so, the old content stays whole, and when there is room again the
// upload goes on where it was. It needs the right to mount.
func TestSmallDisk(t *testing.T) {
	dir := t.TempDir()
	gateway, err := daemon.StartGateway(daemon.GatewayConfig{
		Binary: shared.ftpgate, Host: loopbacks[0].addr, Storage: dir,
		Under: []string{"unshare", "--mount", "--propagation", "private", "sh", "-c",
			"mount -t tmpfs -o size=4m,nr_inodes=20 tmpfs " + dir + ` && exec "$@"`, "sh"},
	})
	if err != nil {
		t.Fatalf("%v\nThis test mounts a file system: run it as root, in a container with CAP_SYS_ADMIN.", err)
	}
	defer func() {
		if err := gateway.Stop(); err != nil || gateway.Crashes() != "" {
			t.Errorf("stopping the gateway: %v\n%s", err, gateway.Crashes())
		}
	}()
	c, other := dialed(t, gateway, daemon.User), dialed(t, gateway, daemon.Other)
	old, large := randomBytes(1, 100_000), randomBytes(2, 6<<20)
	stor(t, c, "kept", old, "226")

	stor(t, c, "kept", large, "452")
	retrieves(t, c, "kept", old)
	retrieves(t, other, "kept", old)
	stor(t, c, "new", large, "452")
	if reply, err := other.Do("550", "SIZE new"); err != nil {
		t.Errorf("a file that found no room shows: %q, %v", reply, err)
	}
	// Nothing is left for anybody, until the owner gives up what is parked.
	stor(t, other, "theirs", large[:1<<20], "452")
	for _, name := range []string{"kept", "new"} {
		if _, err := c.Do("", "DELE "+name); err != nil {
			t.Error(err)
		}
	}
	stor(t, other, "kept", old, "226")

	// What is announced and does not fit is refused before it is sent.
	if _, err := c.Do("", "ALLO "+strconv.Itoa(len(large))); err != nil {
		t.Error(err)
	}
	stor(t, c, "announced", nil, "452")

	// Interrupted for lack of room, it goes on when there is room.
	stor(t, other, "ballast", large[:3<<20], "226")
	stor(t, c, "long", large[:2<<20], "452")
	if _, err := other.Do("250", "DELE ballast"); err != nil {
		t.Error(err)
	}
	reply, err := c.Do("213", "SIZE long")
	if err != nil {
		t.Fatal(err)
	}
	at, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(reply, "213")))
	if err != nil || at < 100_000 || at >= 2<<20 {
		t.Fatalf("%q: %v", reply, err)
	}
	if _, err := c.Do("350", fmt.Sprintf("REST %d", at)); err != nil {
		t.Fatal(err)
	}
	stor(t, c, "long", large[at:2<<20], "226")
	retrieves(t, other, "long", large[:2<<20])
	if _, err := c.Do("250", "DELE long"); err != nil {
		t.Error(err)
	}

	for i := 0; ; i++ { // inodes
		reply, err := c.Do("", fmt.Sprintf("MKD d%d", i))
		if err != nil || i > 20 {
			t.Fatalf("MKD %d: %q, %v", i, reply, err)
		}
		if !strings.HasPrefix(reply, "257") {
			if !strings.HasPrefix(reply, "452") {
				t.Errorf("without inodes MKD ends in %q", reply)
			}
			break
		}
	}
	stor(t, c, "none", nil, "452")
	stor(t, c, "kept", large[:10], "452") // a replacement needs one for a while
	retrieves(t, c, "kept", old)
	if _, err := c.Do("250", "RMD d0"); err != nil {
		t.Error(err)
	}
	stor(t, c, strings.Repeat("n", 256), nil, "553")
	stor(t, c, strings.Repeat("n", 255), old, "226")

	remount := exec.Command("nsenter", "--mount", "--target", strconv.Itoa(gateway.PID()), "mount", "-o", "remount,ro", dir)
	if out, err := remount.CombinedOutput(); err != nil {
		t.Fatalf("nsenter: %v\n%s", err, out)
	}
	stor(t, c, "kept", large[:10], "550", "553")
	stor(t, c, "readonly", nil, "550", "553")
	for _, line := range []string{"DELE kept", "MKD readonly", "RMD d1"} {
		if _, err := c.Do("550", line); err != nil {
			t.Error(err)
		}
	}
	retrieves(t, c, "kept", old)
	if left, err := os.ReadDir(dir); len(left) > 0 || err != nil {
		t.Errorf("outside of the namespace there is %v, %v", left, err)
	}
}

// TestFailingDisk lets the kernel refuse the released binary a call, for good: the
// client is told why, and the old content stays whole.
func TestFailingDisk(t *testing.T) {
	for _, c := range []struct{ calls, errno, code string }{
		{"fsync", "EIO", "451"},
		{"fsync", "ENOSPC", "452"},
		{"fsync", "EDQUOT", "552"},
		{"splice", "EIO", "451"},
		{"splice", "EDQUOT", "552"},
		{"splice", "ENOSPC", "452"},
		{"renameat,renameat2", "EIO", "451"},
		{"renameat,renameat2", "EROFS", "553"},
		{"renameat,renameat2", "EDQUOT", "552"},
	} {
		t.Run(c.calls+" "+c.errno, func(t *testing.T) {
			dir := t.TempDir()
			old := randomBytes(1, 50_000)
			writeTree(t, dir, tree{"f": old})
			gateway, err := daemon.StartGateway(daemon.GatewayConfig{Binary: shared.plain, Host: loopbacks[0].addr, Storage: dir})
			if err != nil {
				t.Fatal(err)
			}
			defer gateway.Kill()
			session := dialed(t, gateway, daemon.User)
			stop := failCalls(t, gateway.PID(), dir, c.calls, c.errno)
			reply := stor(t, session, "f", randomBytes(2, 3<<20), "450", "451", "452", "550", "552", "553")
			if !strings.HasPrefix(reply, c.code) {
				t.Errorf("the client is told %q, want %s", reply, c.code)
			}
			stop()
			seen := readTree(t, dir)
			for name := range seen {
				if strings.HasPrefix(filepath.Base(name), ".ftpgate-") {
					delete(seen, name)
				}
			}
			seen.mustEqual(t, "on the disk", tree{"f": old})
			retrieves(t, session, "f", old)
			next := randomBytes(3, 60_000)
			stor(t, session, "f", next, "226")
			retrieves(t, session, "f", next)
		})
	}
}

// failCalls makes the kernel refuse calls of the process pid that concern the
// directory dir, until the function that it returns is called.
func failCalls(t *testing.T, pid int, dir, calls, errno string) (stop func()) {
	t.Helper()
	cmd := exec.Command("strace", "-f", "-p", strconv.Itoa(pid), "-e", "trace="+calls, "-e", "signal=none",
		"-e", "inject="+calls+":error="+errno, "-o", "/dev/null")
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	attached := make([]byte, 1000)
	if n, err := said.Read(attached); err != nil || !strings.Contains(string(attached[:n]), "attached") {
		t.Fatalf("strace says %q, %v", attached[:n], err)
	}
	return func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_, _ = io.Copy(io.Discard, said)
		_ = cmd.Wait()
	}
}
