//go:build linux

package local_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ftpgate/ftpgate/backends/local"
	"github.com/ftpgate/ftpgate/vfs"
)

// pipe returns both ends of a TCP connection.
func pipe(t testing.TB) (client, server *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); s.Close() })
	return c.(*net.TCPConn), s.(*net.TCPConn)
}

// countedConn counts the reads that the kernel does not do by itself.
type countedConn struct {
	*net.TCPConn
	reads atomic.Int64
}

func (c *countedConn) Read(p []byte) (int, error) {
	c.reads.Add(1)
	return c.TCPConn.Read(p)
}

// An upload that comes in chunks from a connection is moved by the kernel.
func TestSplice(t *testing.T) {
	for _, opt := range []local.Options{{}, {Direct: true}} {
		fsys, dir := serve(t, opt)
		client, server := pipe(t)
		data := pattern(5<<20 + 123)
		var sender sync.WaitGroup
		sender.Go(func() {
			if _, err := client.Write(data); err != nil {
				t.Error(err)
			}
			client.CloseWrite()
		})
		w := started(t, fsys, "f", []byte("head"), vfs.CreateOptions{})
		conn := &countedConn{TCPConn: server}
		var total int64
		for {
			chunk := &io.LimitedReader{R: conn, N: 1 << 20}
			n, err := w.ReadFrom(chunk)
			if err != nil {
				t.Fatal(err)
			}
			if total += n; n != 1<<20-chunk.N {
				t.Fatalf("ReadFrom = %d, but %d were taken", n, 1<<20-chunk.N)
			}
			if n < 1<<20 {
				break
			}
		}
		sender.Wait()
		if _, err := w.Write([]byte("foot")); err != nil {
			t.Error(err)
		}
		if err := w.Commit(); err != nil {
			t.Fatal(err)
		}
		holds(t, dir+"/f", append(append([]byte("head"), data...), "foot"...))
		if total != int64(len(data)) || conn.reads.Load() != 0 {
			t.Errorf("%d of %d bytes, %d of the reads not in the kernel", total, len(data), conn.reads.Load())
		}
	}
}

// A dead connection is told as it is, not as an error of the store.
func TestConnectionErrors(t *testing.T) {
	for what, c := range map[string]struct {
		end  func(client, server *net.TCPConn)
		want error
	}{
		"reset":    {func(c, _ *net.TCPConn) { c.SetLinger(0); c.Close() }, syscall.ECONNRESET},
		"deadline": {func(_, s *net.TCPConn) { s.SetReadDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
		"closed":   {func(_, s *net.TCPConn) { s.Close() }, net.ErrClosed},
	} {
		fsys, _ := serve(t, local.Options{})
		client, server := pipe(t)
		w := started(t, fsys, "f", nil, vfs.CreateOptions{Owner: "ann"})
		if _, err := client.Write(pattern(100_000)); err != nil {
			t.Fatal(err)
		}
		if n, err := w.ReadFrom(&io.LimitedReader{R: server, N: 100_000}); n != 100_000 || err != nil {
			t.Fatalf("ReadFrom = %d, %v", n, err)
		}
		c.end(client, server)
		n, err := w.ReadFrom(&io.LimitedReader{R: server, N: 1 << 20})
		var pe *fs.PathError
		if n != 0 || !errors.Is(err, c.want) || errors.As(err, &pe) {
			t.Errorf("%s: ReadFrom = %d, %#v; want %v", what, n, err, c.want)
		}
		var timeout net.Error
		if what == "deadline" && (!errors.As(err, &timeout) || !timeout.Timeout()) {
			t.Errorf("the deadline is no time-out: %#v", err)
		}
		if err := w.Park(); err != nil {
			t.Errorf("Park: %v", err)
		}
		if info, err := fsys.StatStaged(t.Context(), "f", "ann"); err != nil || info.Size() != 99_999 {
			t.Errorf("StatStaged = %v, %v", info, err)
		}
	}
}

// countedFile counts the reads that the kernel does not do by itself.
type countedFile struct {
	fs.File
	syscall.Conn
	reads int
}

func (f *countedFile) Read(p []byte) (int, error) {
	f.reads++
	return f.File.Read(p)
}

// A file that is sent in chunks to a connection is read by the kernel.
func TestSendfile(t *testing.T) {
	fsys, _ := serve(t, local.Options{})
	data := pattern(5<<20 + 123)
	if err := write(t, fsys, "f", data, vfs.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	const offset = 1000
	for _, length := range []int64{-1, int64(len(data)) - offset, 1 << 40} {
		f, err := fsys.Open(t.Context(), "f", offset, length)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		client, server := pipe(t)
		var got []byte
		var receiver sync.WaitGroup
		receiver.Go(func() { got, _ = io.ReadAll(client) })
		counted := &countedFile{File: f, Conn: f.(syscall.Conn)}
		var total int64
		for {
			n, err := server.ReadFrom(&io.LimitedReader{R: counted, N: 1 << 20})
			if err != nil {
				t.Fatal(err)
			}
			if total += n; n == 0 {
				break
			}
		}
		server.CloseWrite()
		receiver.Wait()
		if !bytes.Equal(got, data[offset:]) || total != int64(len(data)-offset) {
			t.Errorf("length %d: %d bytes sent, %d arrived, want %d", length, total, len(got), len(data)-offset)
		}
		if counted.reads > 1 { // the one that finds the end
			t.Errorf("length %d: %d reads outside of the kernel", length, counted.reads)
		}
	}
}

// A part of a file can't be left to the kernel, which would run past it.
func TestRangeWithoutSendfile(t *testing.T) {
	fsys, _ := serve(t, local.Options{})
	if err := write(t, fsys, "f", pattern(100_000), vfs.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	f, err := fsys.Open(t.Context(), "f", 10, 50_000)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, ok := f.(syscall.Conn); ok {
		t.Error("a part of a file is a syscall.Conn")
	}
	client, server := pipe(t)
	var got []byte
	var receiver sync.WaitGroup
	receiver.Go(func() { got, _ = io.ReadAll(client) })
	if n, err := server.ReadFrom(f); n != 50_000 || err != nil {
		t.Errorf("ReadFrom = %d, %v", n, err)
	}
	server.CloseWrite()
	receiver.Wait()
	if !bytes.Equal(got, pattern(100_000)[10:50_010]) {
		t.Errorf("%d bytes arrived", len(got))
	}
}

// A file that somebody cuts short while it is read is not sent as a whole one.
func TestCutShort(t *testing.T) {
	for _, kernel := range []bool{true, false} {
		fsys, dir := serve(t, local.Options{})
		if err := write(t, fsys, "f", pattern(100_000), vfs.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		f, err := fsys.Open(t.Context(), "f", 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		client, server := pipe(t)
		var receiver sync.WaitGroup
		receiver.Go(func() { io.Copy(io.Discard, client) })
		src := io.Reader(f)
		if !kernel {
			src = struct{ io.Reader }{f}
		}
		if _, err := server.ReadFrom(&io.LimitedReader{R: src, N: 1000}); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(dir+"/f", 2000); err != nil {
			t.Fatal(err)
		}
		for err == nil {
			var n int64
			if n, err = server.ReadFrom(&io.LimitedReader{R: src, N: 50_000}); n == 0 && err == nil {
				t.Fatal("a cut file ends like a whole one")
			}
		}
		var pe *fs.PathError
		if !errors.As(err, &pe) || pe.Path != "f" || vfs.Kind(err) != nil {
			t.Errorf("in the kernel %v: %v", kernel, err)
		}
		server.CloseWrite()
		receiver.Wait()
	}
}

// A file that grows while it is read, like a log, is sent without harm.
func TestGrows(t *testing.T) {
	fsys, dir := serve(t, local.Options{})
	data := pattern(100_000)
	if err := write(t, fsys, "f", data[:50_000], vfs.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	f, err := fsys.Open(t.Context(), "f", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.WriteFile(dir+"/f", data, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, data[:50_000]) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}
