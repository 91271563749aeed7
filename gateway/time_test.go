package gateway

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ftpgate/ftpgate/backends/memory"
	"github.com/ftpgate/ftpgate/vfs"
)

// hanging is a store that hangs in the operations that hang names; deaf ones
// ignore their context, too.
type hanging struct {
	*memory.FS
	hang  map[vfs.Op]bool
	deaf  bool
	freed chan struct{} // ends what is deaf
}

func (h *hanging) wait(ctx context.Context, op vfs.Op) error {
	if !h.hang[op] {
		return nil
	}
	if h.deaf {
		<-h.freed
		return nil
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

func (h *hanging) Stat(ctx context.Context, name string) (fs.FileInfo, error) {
	if err := h.wait(ctx, vfs.OpStat); err != nil {
		return nil, err
	}
	return h.FS.Stat(ctx, name)
}

func (h *hanging) Open(ctx context.Context, name string, offset, length int64) (fs.File, error) {
	if err := h.wait(ctx, vfs.OpRead); err != nil {
		return nil, err
	}
	return h.FS.Open(ctx, name, offset, length)
}

func (h *hanging) Create(ctx context.Context, name string, opt vfs.CreateOptions) (vfs.Writer, error) {
	if err := h.wait(ctx, vfs.OpWrite); err != nil {
		return nil, err
	}
	return h.FS.Create(ctx, name, opt)
}

func store(t *testing.T, fsys vfs.FS, name, content string) {
	t.Helper()
	w, err := fsys.Create(t.Context(), name, vfs.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, content); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
}

func content(t *testing.T, fsys vfs.FS, name string) string {
	t.Helper()
	f, err := fsys.Open(t.Context(), name, 0, -1)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// inBubble runs a test in virtual time over a memory store with the file "f".
func inBubble(t *testing.T, configure func(*Config), test func(t *testing.T, b *bench, fsys *hanging)) {
	synctest.Test(t, func(t *testing.T) {
		fsys := &hanging{FS: memory.New(memory.Options{}), hang: map[vfs.Op]bool{}, freed: make(chan struct{})}
		store(t, fsys, "f", "0123456789")
		b := newBench(t, fsys, configure)
		defer b.close()
		test(t, b, fsys)
	})
}

func TestIdleSessionEndsOnTime(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, b *bench, _ *hanging) {
		c := b.login()
		time.Sleep(4 * time.Minute)
		c.cmd("NOOP", "200 ")
		start := time.Now()
		c.expect("421 Idle")
		took(t, start, 5*time.Minute)
		c.eof()
	})
}

func TestLoginEndsOnTime(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, b *bench, _ *hanging) {
		start := time.Now()
		c := b.dial()
		time.Sleep(9 * time.Second)
		c.cmd("USER joe", "331 ")
		c.expect("421 Login")
		took(t, start, 10*time.Second)
		c.eof()
	})
}

func TestReinStartsLoginTimeAnew(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, b *bench, _ *hanging) {
		c := b.login()
		time.Sleep(time.Minute)
		c.cmd("REIN", "220 ")
		start := time.Now()
		c.expect("421 Login")
		took(t, start, 10*time.Second)
	})
}

func TestDataConnectionThatNeverOpens(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, b *bench, fsys *hanging) {
		c := b.login()
		for _, agree := range []func(){
			func() { c.pasv() },
			func() { c.cmd("PORT 198,51,100,7,200,1", "200 ") },
		} {
			agree()
			start := time.Now()
			c.cmd("STOR f", "425 ")
			took(t, start, 30*time.Second)
		}
		if got := content(t, fsys, "f"); got != "0123456789" {
			t.Errorf("a client that never connected left %q", got)
		}
		c.cmd("NOOP", "200 ")
	})
}

func TestStalledDataConnection(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, b *bench, fsys *hanging) {
		c := b.login()
		data := c.data()
		c.cmd("RETR f", "150 ")
		start := time.Now()
		c.expect("426 ")
		took(t, start, time.Minute)
		data.Close()

		data = c.data()
		c.cmd("STOR g", "150 ")
		_, _ = io.WriteString(data, "abc")
		start = time.Now()
		c.expect("426 ")
		took(t, start, time.Minute+15*time.Second) // noticed up to a quarter late
		if _, err := fsys.Stat(t.Context(), "g"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("stalled upload is visible: %v", err)
		}
		c.cmd("SIZE g", "213 2") // parked: one byte less than arrived
	})
}

func TestAborIsAnsweredAtOnce(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(c *client, fsys *hanging)
		command string
		opening string
	}{
		{"data connection not yet open", func(c *client, _ *hanging) { c.pasv() }, "RETR f", ""},
		{"active connection not yet open", func(c *client, _ *hanging) { c.cmd("PORT 198,51,100,7,200,1", "200 ") }, "STOR g", ""},
		{"store hangs in Open", func(c *client, fsys *hanging) { c.data(); fsys.hang[vfs.OpRead] = true }, "RETR f", ""},
		{"store hangs in Create", func(c *client, fsys *hanging) { c.data(); fsys.hang[vfs.OpWrite] = true }, "STOR g", "150 "},
		{"client does not read", func(c *client, _ *hanging) { c.data() }, "RETR f", "150 "},
		{"client does not send", func(c *client, _ *hanging) { c.data() }, "STOR g", "150 "},
		{"client does not read a listing", func(c *client, _ *hanging) { c.data() }, "LIST", "150 "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, b *bench, fsys *hanging) {
				c := b.login()
				test.prepare(c, fsys)
				c.send(test.command)
				if test.opening != "" {
					c.expect(test.opening)
				}
				time.Sleep(time.Second)
				start := time.Now()
				c.send("ABOR")
				c.expect("426 ", "226 ")
				took(t, start, 0)
				c.cmd("PWD", "257 ") // the session goes on
				if got := content(t, fsys.FS, "f"); got != "0123456789" {
					t.Errorf("f is %q", got)
				}
			})
		})
	}
}

// A worker that ignores its context must not hold up ABOR either; the session then
// ends, and the store is released when the worker is really gone.
func TestAborWithDeafStore(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, b *bench, fsys *hanging) {
		c := b.login()
		c.data()
		fsys.hang[vfs.OpRead], fsys.deaf = true, true
		c.send("RETR f")
		time.Sleep(time.Second)
		start := time.Now()
		c.send("ABOR")
		c.expect("426 ", "226 ")
		took(t, start, 0)
		c.send("PWD")
		c.expect("421 ")
		took(t, start, 10*time.Second)
		c.eof()
		synctest.Wait()
		if n := b.srv.abandoned.Load(); n != 1 {
			t.Errorf("%d workers abandoned, want 1", n)
		}
		select {
		case <-b.released:
			t.Error("file system released while a worker uses it")
		default:
		}
		close(fsys.freed)
		<-b.released
		synctest.Wait()
		if n := b.srv.abandoned.Load(); n != 0 {
			t.Errorf("%d workers abandoned, want 0", n)
		}
	})
}

// Effects may overtake, replies keep their order.
// A store that comes back when its session is over finds nothing that would make the
// process panic, and can still be given back.
func TestDeafStoreComesBack(t *testing.T) {
	for _, test := range []struct {
		line string
		op   vfs.Op
	}{
		{"RETR f", vfs.OpRead}, {"STOR f", vfs.OpStat}, {"STOR f", vfs.OpWrite}, {"APPE f", vfs.OpStat}, {"STOU", vfs.OpWrite},
		{"LIST f", vfs.OpStat}, {"MLSD", vfs.OpStat}, {"SIZE f", vfs.OpStat}, {"HASH f", vfs.OpRead}, {"RMDA f", vfs.OpStat},
		{"COMB g f f", vfs.OpWrite}, {"SITE COPY f g", vfs.OpStat}, {"SITE MKDIR a/b", vfs.OpStat}, {"CWD f", vfs.OpStat},
	} {
		t.Run(test.line+" "+string(test.op), func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, b *bench, fsys *hanging) {
				c := b.login()
				c.data()
				fsys.hang[test.op], fsys.deaf = true, true
				c.send(test.line)
				time.Sleep(time.Second)
				c.conn.Close()
				time.Sleep(time.Minute)
				close(fsys.freed)
				<-b.released
				synctest.Wait()
				if n := b.srv.abandoned.Load(); n != 0 {
					t.Errorf("%d workers abandoned", n)
				}
			})
		})
	}
}

func TestAborPassesQueuedLines(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, b *bench, _ *hanging) {
		c := b.login()
		c.data()
		c.cmd("RETR f", "150 ")
		c.send("SIZE f", "ABOR", "NOOP")
		c.expect("426 ", "213 10", "226 ", "200 ")
	})
}

func TestNoopAndStatDuringTransfer(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, b *bench, _ *hanging) {
		c := b.login()
		data := c.data()
		c.cmd("RETR f", "150 ")
		c.cmd("NOOP", "200 ")
		c.cmd("STAT", "211-")
		for c.expect("")[:4] != "211 " {
		}
		if b, err := io.ReadAll(data); err != nil || string(b) != "0123456789" {
			t.Errorf("%q, %v", b, err)
		}
		c.expect("226 ")
	})
}

// A ninth line waits in TCP, and everything is answered in order.
func TestFullQueuePushesBack(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, b *bench, _ *hanging) {
		c := b.login()
		data := c.data()
		c.cmd("RETR f", "150 ")
		go c.send("SIZE f", "SIZE f", "SIZE f", "SIZE f", "SIZE f", "SIZE f", "SIZE f", "SIZE f", "SIZE f", "SIZE f", "PWD")
		synctest.Wait()
		if _, err := io.ReadAll(data); err != nil {
			t.Error(err)
		}
		c.expect("226 ")
		for range 10 {
			c.expect("213 10")
		}
		c.expect("257 ")
	})
}

func TestShutdown(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, b *bench, fsys *hanging) {
		idle := b.login()
		finishes, stuck := b.login(), b.login()
		good, bad := finishes.data(), stuck.data()
		finishes.cmd("STOR good", "150 ")
		stuck.cmd("STOR bad", "150 ")
		_, _ = io.WriteString(bad, "half")

		start := time.Now()
		done := make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			done <- b.srv.Shutdown(ctx)
		}()
		idle.expect("421 ")
		idle.eof()
		took(t, start, 0)
		if _, err := b.listener.connect(clientAddr()); err == nil {
			t.Error("still accepting")
		}
		time.Sleep(5 * time.Second)
		_, _ = io.WriteString(good, "whole")
		good.Close()
		finishes.expect("226 ", "421 ")
		finishes.eof()
		stuck.expect("426 ", "421 ")
		stuck.eof()
		took(t, start, 20*time.Second)
		if err := <-done; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: %v", err)
		}
		if got := content(t, fsys, "good"); got != "whole" {
			t.Errorf("good is %q", got)
		}
		if _, err := fsys.Stat(t.Context(), "bad"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("half an upload is visible: %v", err)
		}
		if info, err := vfs.StatStaged(t.Context(), fsys, "bad", "joe"); err != nil || info.Size() != 3 {
			t.Errorf("not parked: %v, %v", info, err)
		}
	})
}

// The end of the data connection alone does not tell a whole upload from a killed
// client, whose control connection ends a moment later.
func TestEndOfUpload(t *testing.T) {
	tests := []struct {
		name    string
		finish  func(c *client, end func())
		visible bool
		config  func(*Config)
	}{
		{"data ends, client waits", func(c *client, end func()) { end(); c.expect("226 ") }, true, nil},
		{"data ends, control too", func(c *client, end func()) { end(); c.conn.Close() }, false, nil},
		{"control ends first", func(c *client, end func()) { c.conn.Close(); synctest.Wait(); end() }, false, nil},
		{"QUIT pipelined, then both end", func(c *client, end func()) { c.send("QUIT"); end(); c.expect("226 ", "221 ") }, true, nil},
		{"QUIT pipelined, control ends first", func(c *client, end func()) { c.send("QUIT"); synctest.Wait(); c.conn.Close(); end() }, true, nil},
		{"ALLO matched", func(c *client, end func()) { end(); c.conn.Close() }, true, nil},
		{"both end, configured to commit", func(c *client, end func()) { end(); c.conn.Close() }, true,
			func(cfg *Config) { cfg.Uploads.CommitOnControlLost = true }},
		{"control ends first, configured to commit", func(c *client, end func()) { c.conn.Close(); synctest.Wait(); end() }, true,
			func(cfg *Config) { cfg.Uploads.CommitOnControlLost = true }},
		{"ABOR", func(c *client, end func()) { c.send("ABOR"); c.expect("426 ", "226 ") }, false, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, test.config, func(t *testing.T, b *bench, fsys *hanging) {
				c := b.login()
				data := c.data()
				if test.name == "ALLO matched" {
					c.cmd("ALLO 4", "200 ")
				}
				c.cmd("STOR up", "150 ")
				_, _ = io.WriteString(data, "data")
				test.finish(c, func() { data.Close() })
				c.conn.Close()
				synctest.Wait()
				time.Sleep(time.Second)
				_, err := fsys.Stat(t.Context(), "up")
				if visible := err == nil; visible != test.visible {
					t.Errorf("visible: %v (%v), want %v", visible, err, test.visible)
				}
				if _, err := vfs.StatStaged(t.Context(), fsys, "up", "joe"); (err == nil) == test.visible {
					t.Errorf("staged: %v", err)
				}
			})
		})
	}
}
