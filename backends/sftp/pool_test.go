package sftp

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skeema/knownhosts"

	"github.com/ftpgate/ftpgate/vfs"
)

// pipeNet is a network of pipes to one server, for tests in virtual time.
type pipeNet struct {
	server *server
	down   atomic.Bool  // nobody listens
	mute   atomic.Bool  // bytes of new and old connections are kept back
	dials  atomic.Int64 // tries
}

// newPipeServer is called inside the bubble. Its server has no listener.
func newPipeServer(t *testing.T) (*pipeNet, Options) {
	t.Helper()
	s := &server{key: newSigner(t), conns: map[net.Conn]bool{}, sftp: serveSFTP}
	s.config.NoClientAuth = true
	s.config.AddHostKey(s.key)
	known := filepath.Join(t.TempDir(), "known_hosts")
	line := knownhosts.Line([]string{"server"}, s.key.PublicKey()) + "\n"
	if err := os.WriteFile(known, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &pipeNet{server: s}
	o := Options{Host: "server", User: testUser, Password: "none", Dir: t.TempDir(), KnownHosts: []string{known}}
	o.tuning.network = func(ctx context.Context, _, _ string) (net.Conn, error) {
		p.dials.Add(1)
		if p.down.Load() {
			return nil, errors.New("nobody listens")
		}
		near, far := sockets(p.mute.Load)
		s.tasks.Go(func() { s.serve(far) })
		return near, nil
	}
	return p, o
}

// openPipe opens an FS that is closed, like its server, at the end of the bubble.
func openPipe(t *testing.T, p *pipeNet, o Options) *FS {
	t.Helper()
	f, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.Close()
		p.server.cut()
		p.server.tasks.Wait()
	})
	return f
}

// took checks how much virtual time has passed.
func took(t *testing.T, what string, since time.Time, want time.Duration) {
	t.Helper()
	if d := time.Since(since); d != want {
		t.Errorf("%s took %v, want %v", what, d, want)
	}
}

// A server that falls silent is given up in the fourth keepalive period, and the
// next operation connects anew.
func TestKeepalive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, o := newPipeServer(t)
		f := openPipe(t, p, o)
		first := f.pool.lines[0].current()
		time.Sleep(10 * time.Minute)
		if !first.alive() {
			t.Fatal("an idle connection to a server that answers is given up")
		}
		begun := time.Now()
		p.mute.Store(true)
		<-first.life.Done()
		if d := time.Since(begun); d > 4*15*time.Second || d < 3*15*time.Second {
			t.Errorf("a silent server is given up after %v", d)
		}
		if cause := context.Cause(first.life); cause != errSilent {
			t.Errorf("the reason is %v", cause)
		}
		p.mute.Store(false)
		if _, err := f.Stat(t.Context(), "."); err != nil {
			t.Errorf("Stat after the server came back: %v", err)
		}
		if n := p.dials.Load(); n != 2 {
			t.Errorf("%d connections were made, want 2", n)
		}
	})
}

// An answer that does not come costs its deadline: a question is asked once more on
// a new connection, a change is not.
func TestWatchdog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, o := newPipeServer(t)
		faults := p.server.faulty()
		f := openPipe(t, p, o)
		faults.once(packetStat, swallow) // of the root
		begun := time.Now()
		if _, err := f.Stat(t.Context(), "."); err != nil {
			t.Errorf("Stat: %v", err)
		}
		took(t, "Stat with one lost answer", begun, 30*time.Second)

		faults.set(func(kind byte, _ []byte) verdict {
			if kind == packetStat {
				return swallow
			}
			return pass
		})
		begun = time.Now()
		_, err := f.Stat(t.Context(), ".")
		if !errors.Is(err, errStuck) {
			t.Errorf("Stat that is never answered: %v", err)
		}
		took(t, "Stat that is never answered", begun, 60*time.Second)

		faults.set(func(kind byte, _ []byte) verdict {
			if kind == packetMkdir || kind == packetRename {
				return swallow
			}
			return pass
		})
		for what, change := range map[string]func() error{
			"Mkdir":  func() error { return f.Mkdir(t.Context(), "d") },
			"Rename": func() error { return f.Rename(t.Context(), "dir", "other", vfs.RenameOptions{}) },
		} {
			if err := os.MkdirAll(filepath.Join(o.Dir, "dir"), 0o755); err != nil {
				t.Fatal(err)
			}
			begun = time.Now()
			if err := change(); !errors.Is(err, errLost) {
				t.Errorf("%s that is never answered: %v", what, err)
			}
			took(t, what+" that is never answered", begun, 30*time.Second)
		}
		if n := faults.count(packetMkdir) + faults.count(packetRename); n != 2 {
			t.Errorf("two changes were asked for %d times", n)
		}
		faults.set(nil)
		if _, err := f.Stat(t.Context(), "dir"); err != nil {
			t.Errorf("Stat afterwards: %v", err)
		}
	})
}

// Transfers whose server stops answering end at the deadline, too, however much was
// sent ahead.
func TestTransferWatchdog(t *testing.T) {
	const packetRead, packetWrite = 5, 6
	synctest.Test(t, func(t *testing.T) {
		p, o := newPipeServer(t)
		faults := p.server.faulty()
		f := openPipe(t, p, o)
		data := make([]byte, 8<<20)
		if err := os.WriteFile(filepath.Join(o.Dir, "big"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		faults.set(func(kind byte, body []byte) verdict {
			if kind == packetWrite || kind == packetRead {
				return swallow
			}
			return pass
		})
		begun := time.Now()
		r, err := f.Open(t.Context(), "big", 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.ReadAll(r)
		if pe, ok := err.(*fs.PathError); !ok || pe.Path != "big" || !errors.Is(err, errStuck) {
			t.Errorf("a download without data: %v", err)
		}
		r.Close()
		took(t, "a download without data", begun, 30*time.Second)

		w, err := f.Create(t.Context(), "new", vfs.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		begun = time.Now()
		if _, err = w.Write(data); !errors.Is(err, errStuck) {
			t.Errorf("an upload without answers: %v", err)
		}
		took(t, "an upload without answers", begun, 30*time.Second)
		faults.set(nil)
		begun = time.Now()
		if err := w.Abort(); err != nil {
			t.Errorf("Abort: %v", err)
		}
		took(t, "Abort on a new connection", begun, 0)
		synctest.Wait()
		if left, _ := os.ReadDir(o.Dir); len(left) != 1 {
			t.Errorf("the aborted upload leaves %v", left)
		}
	})
}

// A server that accepts connections and says nothing fails Open at its deadline.
func TestDialDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, o := newPipeServer(t)
		o.tuning.network = func(context.Context, string, string) (net.Conn, error) {
			near, _ := sockets(func() bool { return true })
			return near, nil
		}
		begun := time.Now()
		_, err := Open(t.Context(), o)
		if err == nil || !strings.Contains(err.Error(), "no connection within 15s") || strings.Contains(err.Error(), "\n") {
			t.Errorf("Open of a silent server: %v", err)
		}
		took(t, "Open of a silent server", begun, 15*time.Second)

		gone := errors.New("the operator is gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(gone) })
		begun = time.Now()
		if _, err := Open(ctx, o); !errors.Is(err, gone) {
			t.Errorf("Open cancelled: %v", err)
		}
		took(t, "Open cancelled", begun, time.Second)
	})
}

// While a server can't be reached, operations fail at once and it is asked less and
// less often; once it is back, the next one that is due succeeds.
func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, o := newPipeServer(t)
		f := openPipe(t, p, o)
		p.down.Store(true)
		p.server.cut()
		synctest.Wait()
		p.dials.Store(0)
		begun := time.Now()
		for time.Since(begun) < 10*time.Minute {
			now := time.Now()
			_, err := f.Stat(t.Context(), ".")
			if err == nil || !strings.Contains(err.Error(), "can't be reached: nobody listens") {
				t.Fatalf("Stat: %v", err)
			}
			took(t, "Stat of an unreachable server", now, 0)
			time.Sleep(100 * time.Millisecond)
		}
		// 0.5, 1, 2, 4, 8, 16 seconds and then 30 at most, each down to three quarters.
		if n := p.dials.Load(); n < 6+18 || n > 6+27 {
			t.Errorf("%d tries in 10 minutes", n)
		}
		p.down.Store(false)
		time.Sleep(30 * time.Second)
		if _, err := f.Stat(t.Context(), "."); err != nil {
			t.Errorf("Stat after the server came back: %v", err)
		}
	})
}

// An upload that loses its server is parked once that is back, if it comes back in
// time; else Park ends.
func TestParkWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, o := newPipeServer(t)
		f := openPipe(t, p, o)
		data := make([]byte, 300_000)
		for _, back := range []time.Duration{5 * time.Second, time.Minute} {
			w, err := f.Create(t.Context(), "f", vfs.CreateOptions{Owner: "ann"})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(data); err != nil {
				t.Fatal(err)
			}
			synctest.Wait() // the server has it all
			p.down.Store(true)
			p.server.cut()
			time.AfterFunc(back, func() { p.down.Store(false) })
			begun := time.Now()
			err = w.Park()
			d := time.Since(begun)
			time.Sleep(2 * time.Minute)
			info, serr := vfs.StatStaged(t.Context(), f, "f", "ann")
			if back < 20*time.Second {
				if err != nil || d > 20*time.Second || serr != nil || info.Size() < 200_000 {
					t.Errorf("Park while the server is away for %v: %v after %v; then %v, %v", back, err, d, info, serr)
				}
				if err := f.Discard(t.Context(), "f", "ann"); err != nil {
					t.Error(err)
				}
			} else if err == nil || d > 25*time.Second {
				t.Errorf("Park while the server is away for %v: %v after %v", back, err, d)
			}
		}
	})
}

// Transfers spread over the connections, share sessions where the server allows no
// more, and their connections end when they are not needed.
func TestConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, o := newPipeServer(t)
		p.server.channels = 3
		f := openPipe(t, p, o)
		if err := os.WriteFile(filepath.Join(o.Dir, "f"), make([]byte, 1<<20), 0o600); err != nil {
			t.Fatal(err)
		}
		var files []fs.File
		for i := range 12 {
			r, err := f.Open(t.Context(), "f", 0, -1)
			if err != nil {
				t.Fatalf("download %d: %v", i, err)
			}
			files = append(files, r)
			if now, _ := p.server.connections(); now != min(i+2, 4) {
				t.Errorf("%d downloads have %d connections", i+1, now)
			}
		}
		for _, r := range files {
			if data, err := io.ReadAll(r); len(data) != 1<<20 || err != nil {
				t.Errorf("one of many downloads: %d bytes, %v", len(data), err)
			}
			r.Close()
		}
		synctest.Wait()
		for _, l := range f.pool.lines[1:] {
			if l.load != 0 {
				t.Errorf("a line counts %d transfers after all ended", l.load)
			}
			if c := l.current(); c == nil || len(c.sessions) != 3 {
				t.Errorf("a connection has the sessions %v", c)
			}
		}
		time.Sleep(2 * time.Minute)
		if now, _ := p.server.connections(); now != 1 {
			t.Errorf("%d connections are kept without need", now)
		}
	})
}

// Where the server allows but one connection, transfers go over the first.
func TestOneConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, o := newPipeServer(t)
		network := o.tuning.network
		o.tuning.network = func(ctx context.Context, n, a string) (net.Conn, error) {
			if now, _ := p.server.connections(); now > 0 {
				return nil, errors.New("one is enough")
			}
			return network(ctx, n, a)
		}
		f := openPipe(t, p, o)
		for range 3 {
			w, err := f.Create(t.Context(), "f", vfs.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer w.Abort()
			if _, err := w.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			if err := w.Commit(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
		if now, ever := p.server.connections(); now != 1 || ever != 1 {
			t.Errorf("%d connections, %d in all", now, ever)
		}
	})
}
