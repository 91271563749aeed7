//go:build linux

package local_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/ftpgate/ftpgate/backends/local"
	"github.com/ftpgate/ftpgate/vfs"
)

// The tests of this file run the test binary once more, in a role, to kill it.
const (
	childRole = "FTPGATE_LOCAL_TEST_CHILD"
	childDir  = "FTPGATE_LOCAL_TEST_DIR"
)

// pattern is n bytes of a content in which every place is different.
func pattern(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{}).Read(b)
	return b
}

// holds checks a file's content on the disk, past the FS.
func holds(t testing.TB, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s holds %d bytes, %v; want %d", filepath.Base(path), len(got), err, len(want))
	}
}

func TestMain(m *testing.M) {
	if role := os.Getenv(childRole); role != "" {
		child(role)
	}
	goleak.VerifyTestMain(m)
}

// child is the process that gets killed. It never returns.
func child(role string) {
	fail := func(err error) {
		if err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
	}
	fsys, err := local.Open(local.Options{Dir: os.Getenv(childDir), CopyLimit: 100 << 10, Direct: strings.HasPrefix(role, "direct")})
	fail(err)
	ctx := context.Background()
	var opt vfs.CreateOptions
	switch role {
	case "replace", "direct":
	case "owned":
		opt.Owner = "ann"
	case "append":
		opt = vfs.CreateOptions{Owner: "ann", Mode: vfs.Append}
	case "middle":
		opt = vfs.CreateOptions{Owner: "ann", Mode: vfs.WriteAt, Offset: 1000}
	case "direct append":
		opt.Mode = vfs.Append
	case "loop":
		fail(loop(ctx, fsys))
	case "full":
		fail(full(ctx, fsys))
		fmt.Println("ok")
		os.Exit(0)
	}
	w, err := fsys.Create(ctx, "f", opt)
	fail(err)
	_, err = w.Write(pattern(50_000))
	fail(err)
	fmt.Println("written")
	select {}
}

// loop replaces a file for ever.
func loop(ctx context.Context, fsys vfs.FS) error {
	for i := 1; ; i++ {
		w, err := fsys.Create(ctx, "f", vfs.CreateOptions{Owner: "ann"})
		if err != nil {
			return err
		}
		for _, b := range [][]byte{pattern(i * 1000), []byte("end"), strconv.AppendInt(nil, int64(i*1000), 10)} {
			if _, err := w.Write(b); err != nil {
				return err
			}
		}
		if err := w.Commit(); err != nil {
			return err
		}
		fmt.Println("committed", i)
	}
}

// full uploads from a connection beyond what the system allows for one file.
func full(ctx context.Context, fsys *local.FS) error {
	signal.Ignore(unix.SIGXFSZ)
	limit := uint64(1 << 20)
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() {
		if conn, err := net.Dial("tcp", l.Addr().String()); err == nil {
			conn.Write(pattern(3 << 20))
			conn.Close()
		}
	}()
	conn, err := l.Accept()
	if err != nil {
		return err
	}
	w, err := fsys.Create(ctx, "f", vfs.CreateOptions{Owner: "ann"})
	if err != nil {
		return err
	}
	for err == nil {
		_, err = w.ReadFrom(&io.LimitedReader{R: conn, N: 300 << 10})
	}
	if vfs.Kind(err) != vfs.ErrTooLarge || err.Error() != "write f: file too large" {
		return fmt.Errorf("ReadFrom: %w", err)
	}
	if err := w.Park(); err != nil {
		return err
	}
	info, err := fsys.StatStaged(ctx, "f", "ann")
	if err == nil && info.Size() != int64(limit)-1 {
		err = fmt.Errorf("parked at %d", info.Size())
	}
	return err
}

// start runs a child in dir and waits for its first line.
func start(t *testing.T, role, dir string) (cmd *exec.Cmd, lines *bufio.Scanner) {
	t.Helper()
	cmd = exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childRole+"="+role, childDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kill(cmd) })
	lines = bufio.NewScanner(out)
	if !lines.Scan() || strings.HasPrefix(lines.Text(), "failed") {
		t.Fatalf("the child %q says %q, %v", role, lines.Text(), lines.Err())
	}
	return cmd, lines
}

// kill is kill -9, and waits for the process to be gone.
func kill(cmd *exec.Cmd) {
	cmd.Process.Kill()
	cmd.Wait()
}

// A process that is killed in the middle of an upload leaves nothing visible, and
// its owner goes on where it was.
func TestKilledUpload(t *testing.T) {
	data := pattern(80_000)
	for _, c := range []struct {
		role string
		old  []byte // nil: none
		kept int    // bytes of it
	}{
		{"owned", nil, 0},
		{"owned", []byte("old"), 0},
		{"append", pattern(60_000), 60_000},   // in a copy
		{"append", pattern(300_000), 300_000}, // as a tail
		{"middle", pattern(60_000), 1000},
		{"middle", pattern(300_000), 1000},
		{"append", nil, 0},
	} {
		t.Run(fmt.Sprintf("%s over %d", c.role, len(c.old)), func(t *testing.T) {
			fsys, dir := serve(t, local.Options{CopyLimit: 100 << 10})
			if c.old != nil {
				if err := write(t, fsys, "f", c.old, vfs.CreateOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			unchanged := func() {
				t.Helper()
				if c.old != nil {
					holds(t, dir+"/f", c.old)
				} else if got := list(t, fsys, "."); len(got) > 0 {
					t.Errorf("listed: %q", got)
				}
			}
			cmd, _ := start(t, c.role, dir)
			// While it lives, it is not parked, and keeps its place.
			_, err := fsys.StatStaged(t.Context(), "f", "ann")
			wants(t, "StatStaged of a running upload", err, "f", os.ErrNotExist)
			wants(t, "Discard of a running upload", fsys.Discard(t.Context(), "f", "ann"), "f", os.ErrNotExist)
			_, err = fsys.Create(t.Context(), "f", vfs.CreateOptions{Owner: "ann", Mode: vfs.WriteAt, Offset: 10})
			wants(t, "REST onto a running upload", err, "f", vfs.ErrBusy)
			unchanged()
			kill(cmd)
			unchanged()

			want := append(c.old[:c.kept:c.kept], data...)
			info, err := fsys.StatStaged(t.Context(), "f", "ann")
			if err != nil || info.Size() != int64(c.kept)+50_000-1 || !vfs.AttrOf(info).Staged {
				t.Fatalf("StatStaged = %v, %v; want a size of %d", info, err, c.kept+50_000-1)
			}
			w := started(t, fsys, "f", want[info.Size():], vfs.CreateOptions{Owner: "ann", Mode: vfs.WriteAt, Offset: info.Size()})
			unchanged()
			if err := w.Commit(); err != nil {
				t.Fatal(err)
			}
			holds(t, dir+"/f", want)
			if got := onDisk(t, dir); len(got) != 1 {
				t.Errorf("left over: %q", got)
			}
		})
	}
}

// What was being written when the machine went down is not resumed, because the
// disk may have kept what came later and not what came before. What was parked in
// order is.
func TestReboot(t *testing.T) {
	fsys, dir := serve(t, local.Options{StagedExpiry: -1})
	cmd, _ := start(t, "owned", dir)
	kill(cmd)
	beforeBoot := time.Now().Add(-10 * 365 * 24 * time.Hour)
	age(t, dir, beforeBoot)
	_, err := fsys.StatStaged(t.Context(), "f", "ann")
	wants(t, "StatStaged after a crash of the machine", err, "f", os.ErrNotExist)
	w, err := fsys.Create(t.Context(), "f", vfs.CreateOptions{Owner: "ann", Mode: vfs.Append})
	if err != nil || w.Offset() != 0 {
		t.Fatalf("Create = %v", err)
	}
	if _, err := w.Write(pattern(1000)); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int64{1000, 1500} {
		if err := w.Park(); err != nil {
			t.Fatal(err)
		}
		age(t, dir, beforeBoot)
		info, err := fsys.StatStaged(t.Context(), "f", "ann")
		if err != nil || info.Size() != n-1 {
			t.Fatalf("StatStaged = %v, %v; want %d", info, err, n-1)
		}
		w = started(t, fsys, "f", pattern(1500)[n-1:], vfs.CreateOptions{Owner: "ann", Mode: vfs.Append})
	}
	age(t, dir, beforeBoot) // it is written once more, and so in danger again
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	holds(t, dir+"/f", pattern(1500))
	attrs := make([]byte, 1000)
	if n, err := unix.Listxattr(dir+"/f", attrs); err == nil && bytes.Contains(attrs[:n], []byte("ftpgate")) {
		t.Errorf("the complete file has the attributes %q", attrs[:n])
	}
	cmd, _ = start(t, "owned", dir)
	kill(cmd)
	age(t, dir, beforeBoot)
	_, err = fsys.StatStaged(t.Context(), "f", "ann")
	wants(t, "StatStaged after a second crash", err, "f", os.ErrNotExist)
}

// What has no owner is swept, and what is written directly stays as it is.
func TestKilledWithoutOwner(t *testing.T) {
	fsys, dir := serve(t, local.Options{})
	cmd, _ := start(t, "replace", dir)
	old := time.Now().Add(-time.Hour)
	age(t, dir, old)
	list(t, fsys, ".")
	if got := onDisk(t, dir); len(got) != 1 {
		t.Errorf("a running upload was swept: %q", got)
	}
	kill(cmd)
	if got := list(t, fsys, "."); len(got) > 0 {
		t.Errorf("listed: %q", got)
	}
	if got := onDisk(t, dir); len(got) > 0 {
		t.Errorf("left over: %q", got)
	}

	cmd, _ = start(t, "direct", dir)
	kill(cmd)
	holds(t, dir+"/f", pattern(50_000))
	cmd, _ = start(t, "direct append", dir)
	kill(cmd)
	holds(t, dir+"/f", append(pattern(50_000), pattern(50_000)...))
}

// age dates everything in dir, hidden names too.
func age(t *testing.T, dir string, to time.Time) {
	t.Helper()
	for _, name := range onDisk(t, dir) {
		if err := os.Chtimes(filepath.Join(dir, name), to, to); err != nil {
			t.Fatal(err)
		}
	}
}

// Whenever a process is killed, the file is one of its versions, whole.
func TestKilledAnywhere(t *testing.T) {
	fsys, dir := serve(t, local.Options{})
	r := rand.New(rand.NewPCG(1, 2))
	for range 15 {
		cmd, lines := start(t, "loop", dir)
		for range r.IntN(10) {
			lines.Scan()
		}
		kill(cmd)
		data, err := os.ReadFile(dir + "/f")
		if err != nil {
			t.Fatal(err)
		}
		n := len(data) / 1000 * 1000
		if string(data) != fmt.Sprintf("%send%d", pattern(n), n) {
			t.Fatalf("the file has %d bytes that nobody committed", len(data))
		}
		if got := list(t, fsys, "."); len(got) != 1 {
			t.Errorf("listed: %q", got)
		}
		info, err := fsys.StatStaged(t.Context(), "f", "ann")
		if err == nil && info.Size() >= 1<<20 {
			t.Errorf("staged: %d bytes", info.Size())
		}
	}
}

// A file that may not grow further fails as the disk's error, also where the
// kernel moves the bytes, and what arrived is kept.
func TestFileTooLarge(t *testing.T) {
	_, dir := serve(t, local.Options{})
	cmd, lines := start(t, "full", dir)
	if lines.Text() != "ok" {
		t.Errorf("the child says %q", lines.Text())
	}
	cmd.Wait()
}
