package gateway

import (
	"bytes"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ftpgate/ftpgate/auth"
	"github.com/ftpgate/ftpgate/backends/memory"
	"github.com/ftpgate/ftpgate/vfs"
	"github.com/ftpgate/ftpgate/vfs/faultfs"
)

// features are the lines of FEAT.
func (c *client) features() []string {
	c.t.Helper()
	c.cmd("FEAT", "211-")
	var all []string
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			c.t.Fatal(err)
		}
		if strings.HasPrefix(line, "211 ") {
			return all
		}
		all = append(all, strings.TrimSpace(line))
	}
}

// What the user's store can't do is no command, and not in FEAT.
func TestCommandsThatTheStoreLacks(t *testing.T) {
	everything := vfs.CanSetModTime | vfs.CanSetCreateTime | vfs.CanSetMode | vfs.CanSpace | vfs.CanSymlink
	for _, tt := range []struct {
		missing vfs.Caps
		absent  []string          // from FEAT
		present []string          // still in FEAT
		replies map[string]string // of commands
	}{
		{0, nil, []string{"MFMT", "MFCT", "MFF modify;create;UNIX.mode;", "AVBL", "SITE UTIME", "SITE SYMLINK", "RMDA", "COMB", "SITE COPY"}, nil},
		{vfs.CanSetModTime, []string{"MFMT", "MFF modify;create;UNIX.mode;", "SITE UTIME"}, []string{"MDTM", "MFCT", "AVBL"}, map[string]string{
			"MFMT 20240229000000 f": "502", "MFF modify=20240229000000; f": "502", "SITE UTIME 202402290000 f": "504",
			"MDTM 20240229000000 f": "550", "MDTM f": "213", "HELP MFMT": "502",
		}},
		{vfs.CanSetCreateTime, []string{"MFCT", "MFF modify;create;UNIX.mode;"}, []string{"MFF modify;UNIX.mode;", "MFMT"}, map[string]string{
			"MFCT 20240229000000 f": "502", "MFF create=20240229000000; f": "504", "MFF modify=20240229000000;create=20240229000000; f": "504",
			"MFF modify=20240229000000; f": "213", "HELP MFCT": "502",
		}},
		{vfs.CanSetMode, []string{"MFF modify;create;UNIX.mode;"}, []string{"MFF modify;create;", "MFMT", "MFCT"}, map[string]string{
			"SITE CHMOD 640 f": "504", "MFF UNIX.mode=640; f": "504", "MFF modify=20240229000000;UNIX.mode=640; f": "504",
			"MFF modify=20240229000000; f": "213",
		}},
		{vfs.CanSpace, []string{"AVBL"}, []string{"DSIZ"}, map[string]string{"AVBL": "502", "DSIZ": "213"}},
		{vfs.CanSymlink, []string{"SITE SYMLINK"}, []string{"SITE COPY"}, map[string]string{"SITE SYMLINK f l": "504"}},
		{vfs.CanAppend, nil, []string{"COMB"}, map[string]string{"COMB f p": "502", "COMB new p": "250"}},
		{vfs.CanWrite | everything, []string{"RMDA", "COMB", "SITE COPY", "SITE MKDIR", "SITE RMDIR", "MFMT", "MFCT"}, []string{"DSIZ", "HASH SHA-256*;SHA-512;SHA-1;MD5;CRC32;", "XCRC"}, map[string]string{
			"RMDA d": "502", "COMB f p": "502", "SITE COPY f g": "504", "SITE CPFR f": "504", "SITE MKDIR a": "504", "HASH f": "213", "XCRC f": "250",
		}},
	} {
		t.Run(tt.missing.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mem := memory.New(memory.Options{})
				store(t, mem, "f", "0123456789")
				store(t, mem, "p", "part")
				b := newBench(t, faultfs.Without(mem, tt.missing), nil)
				defer b.close()
				c := b.dial()
				if before := c.features(); !slices.Contains(before, "MFMT") {
					t.Errorf("before the login FEAT has %q", before)
				}
				c = b.login()
				feat := c.features()
				for _, line := range tt.absent {
					if slices.Contains(feat, line) {
						t.Errorf("FEAT has %s", line)
					}
				}
				for _, line := range tt.present {
					if !slices.Contains(feat, line) {
						t.Errorf("FEAT lacks %s: %q", line, feat)
					}
				}
				for command, code := range tt.replies {
					c.cmd(command, code+" ")
				}
			})
		})
	}
}

// NOOP behind a command that takes long waits for its reply: a client that pipelines
// tells replies by their order.
func TestRepliesKeepTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &slowHash{FS: memory.New(memory.Options{}), takes: 5 * time.Second}
		store(t, slow.FS, "f", "0123456789")
		b := newBench(t, slow, nil)
		defer b.close()
		c := b.login()
		c.send("XCRC f", "NOOP", "STAT")
		c.expect("250 ", "200 ", "211-")
	})
}

// A client that waits for a hash hears about it every ten seconds, and ABOR ends it.
func TestHashThatTakesLong(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, b *bench, fsys *hanging) {
		c := b.login()
		fsys.hang[vfs.OpRead] = true
		start := time.Now()
		c.send("HASH f")
		c.cmd("ABOR", "426 ")
		c.expect("226 ")
		took(t, start, lazyReader)
	})
	synctest.Test(t, func(t *testing.T) {
		slow := &slowHash{FS: memory.New(memory.Options{}), takes: 25 * time.Second}
		store(t, slow.FS, "f", "0123456789")
		b := newBench(t, slow, nil)
		defer b.close()
		c := b.login()
		start := time.Now()
		c.cmd("HASH f", "213-Computing")
		took(t, start, 10*time.Second)
		c.expect("213-Computing")
		took(t, start, 20*time.Second)
		c.expect("213 SHA-256 0-9 00ff f")
		took(t, start, 25*time.Second)

		c.cmd("XCRC f", "250-Computing")
		c.send("ABOR")
		c.expect("250 Aborted.", "226 ")
		took(t, start, 35*time.Second)
		c.cmd("XCRC f", "250-Computing")
		c.expect("250-", "250 00FF")

		slow.err = &fs.PathError{Op: "hash", Path: "f", Err: errors.New("secret")}
		c.cmd("MD5 f", "251-Computing")
		c.expect("251-", "251 Local error")
		slow.takes = time.Second
		c.cmd("MD5 f", "451 Local error")
	})
}

// slowHash is a store whose own hash takes a while.
type slowHash struct {
	*memory.FS
	takes time.Duration
	err   error
}

func (s *slowHash) Hash(ctx context.Context, _ string, _ vfs.HashAlgorithm, _, _ int64) ([]byte, error) {
	select {
	case <-time.After(s.takes):
		return []byte{0, 0xff}, s.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Hashes beyond the server's places wait for one.
func TestHashesWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &slowHash{FS: memory.New(memory.Options{}), takes: 4 * time.Second}
		store(t, slow.FS, "f", "0123456789")
		b := newBench(t, slow, nil)
		defer b.close()
		places := cap(b.srv.hashing)
		start := time.Now()
		var clients []*client
		for range places + 1 {
			c := b.login()
			c.send("HASH f")
			clients = append(clients, c)
			synctest.Wait()
		}
		last := b.login()
		last.send("HASH f")
		synctest.Wait()
		last.cmd("ABOR", "426 ")
		last.expect("226 ")
		took(t, start, lazyReader)
		for _, c := range clients[:places] {
			c.expect("213 ")
		}
		took(t, start, 4*time.Second)
		clients[places].expect("213 ")
		took(t, start, 8*time.Second)
	})
}

func TestSiteIdleIsExact(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, b *bench, _ *hanging) {
		c := b.login()
		c.cmd("SITE IDLE 3600", "200 ")
		start := time.Now()
		c.expect("421 Idle")
		took(t, start, time.Hour)
		c.eof()
	})
}

// A bomb fills no more than the store allows, and moves no faster than the rate.
func TestDeflateBomb(t *testing.T) {
	var bomb bytes.Buffer
	z := zlib.NewWriter(&bomb)
	zeros := make([]byte, 1<<20)
	for range 16 {
		_, _ = z.Write(zeros)
	}
	z.Close()
	if bomb.Len() > 1<<15 {
		t.Fatal("no bomb:", bomb.Len())
	}
	for _, tt := range []struct {
		name      string
		max       int64
		rate      int64
		reply     string
		takes     time.Duration
		remaining string
	}{
		{"too large", 1 << 20, 0, "452 ", 0, "no such"},
		{"slow", 1 << 30, 1 << 20, "226 ", 16 * time.Second, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fsys := memory.New(memory.Options{MaxBytes: tt.max})
				b := newBench(t, fsys, func(c *Config) { c.Rates.Session = auth.Both(tt.rate) })
				defer b.close()
				c := b.login()
				c.cmd("MODE Z", "200 ")
				data := c.data()
				start := time.Now()
				c.cmd("STOR f", "150 ")
				go func() {
					_, _ = data.Write(bomb.Bytes())
					data.Close()
				}()
				c.expect(tt.reply)
				if took := time.Since(start); took < tt.takes-time.Second {
					t.Errorf("16 MiB at %d bytes a second took %v", tt.rate, took)
				}
				info, err := fsys.Stat(t.Context(), "f")
				if tt.remaining == "" {
					if err != nil || info.Size() != 16<<20 {
						t.Errorf("stored %v, %v", info, err)
					}
				} else if !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("stored %v, %v", info, err)
				}
			})
		})
	}
}

// stuck is a store in which removing "d/2" waits for the end of its context.
type stuck struct{ *memory.FS }

func (s stuck) Remove(ctx context.Context, name string) error {
	if name == "d/2" {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	return s.FS.Remove(ctx, name)
}

// ABOR, and the loss of the control connection, stop RMDA where it is.
func TestRmdaStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := stuck{memory.New(memory.Options{})}
		if err := fsys.Mkdir(t.Context(), "d"); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"d/1", "d/2", "d/3"} {
			store(t, fsys, name, "x")
		}
		b := newBench(t, fsys, nil)
		defer b.close()
		c := b.login()
		start := time.Now()
		c.send("RMDA d")
		c.cmd("ABOR", "426 ")
		c.expect("226 ")
		c.cmd("DSIZ", "213 ")
		c.send("RMDA d")
		time.Sleep(time.Second)
		c.conn.Close()
		<-b.released
		took(t, start, time.Second+lazyReader)
		if content(t, fsys, "d/2") != "x" {
			t.Error("what was being removed is gone")
		}
	})
}

// ABOR during COMB leaves the parts, and nothing of the target.
func TestAborDuringComb(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, b *bench, fsys *hanging) {
		c := b.login()
		fsys.hang[vfs.OpRead] = true
		c.send("COMB new f")
		c.cmd("ABOR", "426 ")
		c.expect("226 ")
		c.cmd("SIZE new", "550 ")
		c.cmd("SIZE f", "213 10")
	})
}

func TestHostReachesTheAuthenticator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hosts []string
		b := newBench(t, memory.New(memory.Options{}), func(c *Config) {
			c.Auth = auth.AuthenticatorFunc(func(_ context.Context, a auth.Attempt) (*auth.Principal, error) {
				hosts = append(hosts, a.Host)
				return &auth.Principal{Name: a.User}, nil
			})
			c.Host = func(name string) bool { return name != "other.example" }
		})
		defer b.close()
		c := b.login()
		c.cmd("REIN", "220 ")
		c.cmd("HOST FTP.Example.Com.", "220 ")
		c.cmd("HOST other.example", "504 ")
		c.cmd("USER joe", "331 ")
		c.cmd("PASS x", "230 ")
		c.cmd("REIN", "220 ")
		c.cmd("USER joe", "331 ")
		c.cmd("PASS x", "230 ")
		if want := []string{"", "ftp.example.com", ""}; !slices.Equal(hosts, want) {
			t.Errorf("hosts %q, want %q", hosts, want)
		}
	})
}

// siteLog is a logger that a test can read.
func siteLog() (*slog.Logger, *bytes.Buffer) {
	var b bytes.Buffer
	return slog.New(slog.NewTextHandler(&b, nil)), &b
}

func TestCustomSiteCommands(t *testing.T) {
	var got SiteSession
	answer := func(code int, lines []string, err error) func(context.Context, SiteSession) (int, []string, error) {
		return func(_ context.Context, s SiteSession) (int, []string, error) {
			got = s
			return code, lines, err
		}
	}
	logger, log := siteLog()
	inBubble(t, func(c *Config) {
		c.Logger = logger
		c.Auth = auth.AuthenticatorFunc(func(_ context.Context, a auth.Attempt) (*auth.Principal, error) {
			p := auth.ReadOnly
			return &auth.Principal{Name: a.User, Settings: auth.Settings{Policy: &auth.Policy{Permissions: p}}}, nil
		})
		c.Site = []SiteCommand{
			{Name: "whoami", Help: "Tell the name.", Run: answer(200, []string{"one", "two\r\nthree"}, nil)},
			{Name: "COUNT", Syntax: "<path>", Op: vfs.OpRead, Path: true, Run: func(ctx context.Context, s SiteSession) (int, []string, error) {
				size, err := vfs.Size(ctx, s.FS, s.Name)
				return 213, []string{fmt.Sprint(size)}, err
			}},
			{Name: "WIPE", Op: vfs.OpRemove, Path: true, Run: answer(250, nil, nil)},
			{Name: "PURGE", Op: vfs.OpRemove, Run: answer(250, nil, nil)},
			{Name: "SNEAK", Run: func(ctx context.Context, s SiteSession) (int, []string, error) {
				return 250, nil, s.FS.Remove(ctx, "f")
			}},
			{Name: "BROKEN", Run: answer(0, nil, errors.New("secret"))},
			{Name: "ODD", Run: answer(150, nil, nil)},
			{Name: "PANIC", Run: func(context.Context, SiteSession) (int, []string, error) { panic("secret") }},
			{Name: "WAIT", Run: func(ctx context.Context, _ SiteSession) (int, []string, error) {
				<-ctx.Done()
				return 0, nil, context.Cause(ctx)
			}},
			{Name: "BYE", Run: answer(421, []string{"Enough."}, nil)},
		}
	}, func(t *testing.T, b *bench, fsys *hanging) {
		c := b.dial()
		c.cmd("SITE WHOAMI", "530 ")
		c = b.login()
		c.cmd("SITE whoami  me ", "200-one")
		c.expect("200 two??three")
		if got.User.Name != "joe" || got.Argument != " me " || got.Name != "" || got.Dir != "." || got.Remote != clientAddr() {
			t.Errorf("the session is %+v", got)
		}
		c.cmd("SITE COUNT", "501 Syntax: SITE COUNT <path>.")
		c.cmd("SITE COUNT /./f", "213 10")
		c.cmd("SITE COUNT missing", "550 ")
		c.cmd("SITE WIPE f", "550 ")
		c.cmd("SITE PURGE", "550 ")
		c.cmd("SITE SNEAK", "550 ")
		if content(t, fsys.FS, "f") != "0123456789" {
			t.Error("the file is gone")
		}
		if line := c.cmd("SITE BROKEN", "451 "); strings.Contains(line, "secret") {
			t.Error(line)
		}
		c.cmd("SITE ODD", "451 ")
		if line := c.cmd("SITE PANIC", "451 "); strings.Contains(line, "secret") {
			t.Error(line)
		}
		c.send("SITE WAIT", "NOOP")
		c.cmd("ABOR", "426 ")
		c.expect("200 ", "226 ")
		c.cmd("SITE HELP WHOAMI", "214 SITE WHOAMI: Tell the name.")
		c.cmd("SITE NONE", "504 ")
		c.cmd("SITE BYE", "421 Enough.")
		c.eof()
	})
	if strings.Count(log.String(), "secret") != 2 {
		t.Errorf("the log does not have the errors:\n%s", log)
	}
}

func TestBadSiteCommands(t *testing.T) {
	run := func(context.Context, SiteSession) (int, []string, error) { return 200, nil, nil }
	base := Config{Auth: auth.AuthenticatorFunc(nil), Open: func(context.Context, *auth.Principal) (vfs.FS, func(), error) { return nil, nil, nil }}
	for want, site := range map[string][]SiteCommand{
		"one word":       {{Name: "TWO WORDS", Run: run}},
		"has no Run":     {{Name: "X"}},
		"exists already": {{Name: "chmod", Run: run}},
		"\"y\", which":   {{Name: "Y", Run: run}, {Name: "y", Run: run}},
	} {
		cfg := base
		cfg.Site = site
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v", site, err)
		}
	}
}

// A reload changes the SITE commands of new sessions, and no others.
func TestReloadedSiteCommands(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, b *bench, _ *hanging) {
		old := b.login()
		old.cmd("SITE NEW", "504 ")
		cfg := *b.srv.cfg.Load()
		cfg.Site = []SiteCommand{{Name: "NEW", Run: func(context.Context, SiteSession) (int, []string, error) { return 200, nil, nil }}}
		if err := b.srv.Reload(cfg); err != nil {
			t.Fatal(err)
		}
		old.cmd("SITE NEW", "504 ")
		b.login().cmd("SITE NEW", "200 OK.")
	})
}

// FuzzInflate sends anything in MODE Z: what the gateway stores is what zlib makes of
// it, or nothing.
func FuzzInflate(f *testing.F) {
	for _, s := range []string{"", "x\x9c", "x\x9cKLJ\x06\x00\x02M\x01'", "x\x9cKLJ\x06\x00\x02M\x01(", "x\x9cKLJ\x06\x00\x02M\x01'more", "x\xbb\x00\x00\x00\x02"} {
		f.Add([]byte(s), byte('I'), uint8(1))
	}
	fsys := memory.New(memory.Options{MaxBytes: 1 << 22})
	f.Fuzz(func(t *testing.T, in []byte, typ byte, chunk uint8) {
		want, err := io.ReadAll(io.LimitReader(zlibReader(in), 1<<21))
		if len(want) == 1<<21 {
			t.Skip("a bomb; TestDeflateBomb has one")
		}
		p, client := deflatedPump(t, fsys)
		defer client.Close()
		go func() {
			for len(in) > 0 {
				n := min(len(in), int(chunk)+1)
				if _, err := client.Write(in[:n]); err != nil {
					return
				}
				in = in[n:]
			}
			client.Close()
		}()
		w, cerr := fsys.Create(t.Context(), "f", vfs.CreateOptions{})
		if cerr != nil {
			t.Fatal(cerr)
		}
		defer w.Abort()
		got := p.receiveBuffered(w, nil)
		if (got == nil) != (err == nil) {
			t.Fatalf("zlib says %v, the gateway %v", err, got)
		}
		if got != nil && got != errDeflate && got != errDataClosed {
			t.Fatalf("the client would hear of %v", got)
		}
		if got != nil {
			return
		}
		if err := w.Commit(); err != nil {
			t.Fatal(err)
		}
		if stored := content(t, fsys, "f"); stored != string(want) || p.c.task.bytes.Load() != int64(len(want)) {
			t.Fatalf("stored %d bytes, counted %d, want %d", len(stored), p.c.task.bytes.Load(), len(want))
		}
	})
}

// zlibReader reads what in inflates to; nothing at all is nothing.
func zlibReader(in []byte) io.Reader {
	if len(in) == 0 {
		return bytes.NewReader(nil)
	}
	r, err := zlib.NewReader(bytes.NewReader(in))
	if err != nil {
		return errReader{err}
	}
	return r
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }
