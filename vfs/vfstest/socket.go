package vfstest

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/ftpgate/ftpgate/vfs"
)

// testSockets moves files over TCP connections as the gateway does: in chunks of
// an io.LimitedReader, so that sendfile and splice may happen.
func testSockets(t *testing.T, s *store) {
	n := int64(s.h.Large)
	data := content(1, s.h.Large)
	s.put(t, "f", data)
	for _, r := range [][2]int64{{0, -1}, {n / 2, -1}, {n, -1}, {n / 3, n / 3}, {0, 1}, {5, 0}, {n - 5, 100}} {
		want := data[r[0]:]
		if r[1] >= 0 {
			want = want[:min(r[1], int64(len(want)))]
		}
		f, err := s.fs.Open(s.ctx, "f", r[0], r[1])
		if err != nil {
			t.Fatal(err)
		}
		if _, kernel := f.(syscall.Conn); s.h.Sendfile && r[1] < 0 && !kernel {
			t.Errorf("a %T has no syscall.Conn for sendfile", f)
		}
		if d := difference(download(t, f), want); d != "" {
			t.Errorf("[%d,+%d) over a connection: %s", r[0], r[1], d)
		}
		f.Close()
	}
	for _, opt := range []vfs.CreateOptions{{}, {SizeHint: n}} {
		w := s.create(t, "up", opt)
		far, near := socketPair(t)
		sent := make(chan error, 1)
		go func() {
			_, err := far.Write(data)
			sent <- errors.Join(err, far.CloseWrite())
		}()
		if total, err := receive(w, near); total != n || err != nil {
			t.Errorf("ReadFrom of a connection = %d, %v; want %d", total, err, n)
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
		commit(t, w)
		s.holds(t, "up", data)
	}
	testBrokenConnection(t, s, data)
}

// download copies f to a connection and returns what comes out of it.
func download(t *testing.T, f fs.File) []byte {
	t.Helper()
	far, near := socketPair(t)
	got := make(chan []byte, 1)
	go func() {
		data, _ := io.ReadAll(far)
		got <- data
	}()
	for {
		chunk := io.LimitedReader{R: f, N: 100_000}
		if _, err := near.ReadFrom(&chunk); err != nil {
			t.Errorf("copying a %T to a connection: %v", f, err)
			break
		}
		if chunk.N > 0 {
			break
		}
	}
	near.Close()
	return <-got
}

// receive copies a connection to w.
func receive(w vfs.Writer, conn net.Conn) (int64, error) {
	total := int64(0)
	for {
		chunk := &io.LimitedReader{R: conn, N: 100_000}
		n, err := w.ReadFrom(chunk)
		if total += n; err != nil || chunk.N > 0 {
			return total, err
		}
	}
}

// testBrokenConnection: the error of a connection is told from one of the store,
// whoever moved the bytes, and what came before it counts.
func testBrokenConnection(t *testing.T, s *store, data []byte) {
	for what, broken := range map[string]struct {
		end  func(far, near *net.TCPConn)
		kind error
	}{
		"reset":   {func(far, _ *net.TCPConn) { far.SetLinger(0); far.Close() }, syscall.ECONNRESET},
		"stalled": {func(_, near *net.TCPConn) { near.SetReadDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
		"closed":  {func(_, near *net.TCPConn) { near.Close() }, net.ErrClosed},
	} {
		w := s.create(t, "broken", vfs.CreateOptions{})
		far, near := socketPair(t)
		part := data[:min(len(data), 150_000)]
		go far.Write(part)
		if n, err := w.ReadFrom(&io.LimitedReader{R: near, N: int64(len(part))}); n != int64(len(part)) || err != nil {
			t.Errorf("%s: ReadFrom = %d, %v", what, n, err)
		}
		broken.end(far, near)
		n, err := receive(w, near)
		if _, store := err.(*fs.PathError); n != 0 || store || !errors.Is(err, broken.kind) {
			t.Errorf("a connection that is %s: ReadFrom = %d, %T %v; want %v from the connection itself", what, n, err, err, broken.kind)
		}
		if what == "stalled" { // the next chunk may come after all
			near.SetReadDeadline(time.Time{})
			far.Write([]byte("late"))
			far.CloseWrite()
			if n, err := receive(w, near); n != 4 || err != nil {
				t.Errorf("after a deadline: ReadFrom = %d, %v", n, err)
			}
			commit(t, w)
			s.holds(t, "broken", bytes.Join([][]byte{part, []byte("late")}, nil))
			if err := s.fs.Remove(s.ctx, "broken"); err != nil {
				t.Error(err)
			}
			continue
		}
		if err := w.Abort(); err != nil {
			t.Errorf("Abort: %v", err)
		}
		s.missing(t, "broken")
	}
}

// socketPair returns the two ends of a loopback connection.
func socketPair(t *testing.T) (far, near *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	far, near = conn.(*net.TCPConn), peer.(*net.TCPConn)
	t.Cleanup(func() {
		far.Close()
		near.Close()
	})
	return far, near
}
