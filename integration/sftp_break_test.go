package integration

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ftpgate/ftpgate/backends/sftp"
	"github.com/ftpgate/ftpgate/integration/internal/daemon"
	"github.com/ftpgate/ftpgate/integration/internal/link"
	"github.com/ftpgate/ftpgate/integration/internal/sshd"
	"github.com/ftpgate/ftpgate/vfs"
)

// brokenSFTP is an FS over a server that can be broken in several ways.
type brokenSFTP struct {
	*sftp.FS
	dir    string
	server *sshd.Server
	proxy  *link.Proxy
}

// answerTime is how long the tests let an answer take before the server counts as
// stuck, and twice as long as a connection may take: a busy machine needs a second.
const answerTime = 6 * time.Second

func newBrokenSFTP(t *testing.T) *brokenSFTP {
	t.Helper()
	b := &brokenSFTP{server: startSSHD(t), dir: t.TempDir()}
	var err error
	if b.proxy, err = link.New(b.server.Addr(), link.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.proxy.Close)
	b.FS = b.open(t)
	return b
}

// open connects another time, as another gateway would.
func (b *brokenSFTP) open(t *testing.T) *sftp.FS {
	t.Helper()
	o := sftpOptions(b.server, b.dir)
	o.Port = b.proxy.Port()
	o.Timeout = answerTime
	known, err := os.ReadFile(b.server.KnownHosts)
	if err != nil {
		t.Fatal(err)
	}
	o.KnownHosts = []string{filepath.Join(t.TempDir(), "known_hosts")}
	if err := os.WriteFile(o.KnownHosts[0], atPort(known, b.server.Port, b.proxy.Port()), 0o600); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; {
		f, err := sftp.Open(t.Context(), o)
		if err == nil {
			t.Cleanup(func() { f.Close() })
			return f
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// breakage is a way to lose the server, and to get it back.
type breakage struct {
	name        string
	lose, mend  func(t *testing.T, b *brokenSFTP)
	mendsItself bool // at once
}

func breakages() []breakage {
	nothing := func(*testing.T, *brokenSFTP) {}
	return []breakage{
		{name: "sshd killed", lose: func(t *testing.T, b *brokenSFTP) { b.server.Kill() }, mend: func(t *testing.T, b *brokenSFTP) {
			if err := b.server.Restart(); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "sessions killed", lose: func(t *testing.T, b *brokenSFTP) { b.server.KillSessions() }, mend: nothing, mendsItself: true},
		{name: "link cut", lose: func(t *testing.T, b *brokenSFTP) { b.proxy.Cut() }, mend: nothing, mendsItself: true},
		{name: "link silent", lose: func(t *testing.T, b *brokenSFTP) { b.proxy.Silence() }, mend: func(t *testing.T, b *brokenSFTP) { b.proxy.Speak() }},
		{name: "sessions frozen", lose: func(t *testing.T, b *brokenSFTP) { b.server.Freeze() }, mend: func(t *testing.T, b *brokenSFTP) { b.server.Thaw() }},
	}
}

// tripwire calls break once when a byte is read.
type tripwire struct {
	io.Reader
	after int64
	trip  func()
}

func (w *tripwire) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if w.after -= int64(n); w.after <= 0 && w.trip != nil {
		w.trip()
		w.trip = nil
	}
	return n, err
}

// noise returns n bytes that repeat nowhere.
func noise(seed uint64, n int) []byte {
	var key [32]byte
	key[0] = byte(seed)
	b := make([]byte, n)
	rand.NewChaCha8(key).Read(b)
	return b
}

// visible lists what is in the directory of the server and not hidden.
func (b *brokenSFTP) visible(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, name := range b.all(t) {
		if !strings.HasPrefix(name, ".ftpgate-") {
			names = append(names, name)
		}
	}
	return names
}

func (b *brokenSFTP) all(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// holdsOnly waits until there is one file. Hidden names go by requests whose answers
// nobody waits for.
func (b *brokenSFTP) holdsOnly(t *testing.T, name string) {
	t.Helper()
	for deadline := time.Now().Add(patience / 4); ; time.Sleep(10 * time.Millisecond) {
		got := b.all(t)
		if slices.Equal(got, []string{name}) {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("on the server is %q", got)
			return
		}
	}
}

func (b *brokenSFTP) holds(t *testing.T, name string, want []byte) {
	t.Helper()
	if got, err := os.ReadFile(filepath.Join(b.dir, name)); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s holds %d bytes and differs from byte %d on, %v; want %d", name, len(got), common(got, want), err, len(want))
	}
}

// TestSFTPUploadsSurvive loses the server in the middle of uploads, several times in
// each: nothing half-written shows, the file system finds back by itself, and what is
// resumed is what was sent.
func TestSFTPUploadsSurvive(t *testing.T) {
	for i, how := range breakages() {
		t.Run(how.name, func(t *testing.T) {
			t.Parallel() // they mostly wait
			b := newBrokenSFTP(t)
			old, data := noise(uint64(100+i), 10_000), noise(uint64(i), 12<<20)
			if err := os.WriteFile(filepath.Join(b.dir, "f"), old, 0o644); err != nil {
				t.Fatal(err)
			}
			var told []int64
			at := int64(0)
			for _, next := range []int64{300_000, 3_000_000, 5_000_000} {
				b.interrupted(t, how, data, at, next)
				if got := b.visible(t); !slices.Equal(got, []string{"f"}) {
					t.Errorf("the directory shows %q", got)
				}
				b.holds(t, "f", old)
				at = b.toldSize(t, "f")
				told = append(told, at)
			}
			t.Logf("told after each loss: %d", told)
			// What was confirmed before the loss is not lost: at most what was under way.
			if at < 300_000+3_000_000+5_000_000-3*(4<<20) {
				t.Errorf("after three losses only %d bytes are there", at)
			}
			w, err := b.Create(t.Context(), "f", vfs.CreateOptions{Mode: vfs.WriteAt, Offset: at, Owner: "ann"})
			if err != nil {
				t.Fatal(err)
			}
			defer w.Abort()
			if _, err := w.ReadFrom(bytes.NewReader(data[at:])); err != nil {
				t.Fatal(err)
			}
			b.holds(t, "f", old)
			if err := w.Commit(); err != nil {
				t.Fatal(err)
			}
			b.holds(t, "f", data)
			b.holdsOnly(t, "f")
		})
	}
}

// interrupted uploads data from an offset, loses the server next bytes later, and
// parks what arrived while the server comes back.
func (b *brokenSFTP) interrupted(t *testing.T, how breakage, data []byte, at, next int64) {
	t.Helper()
	opt := vfs.CreateOptions{Owner: "ann"}
	if at > 0 {
		opt.Mode, opt.Offset = vfs.WriteAt, at
	}
	w, err := b.Create(t.Context(), "f", opt)
	if err != nil {
		t.Fatalf("Create at %d: %v", at, err)
	}
	defer w.Abort()
	src := &tripwire{Reader: bytes.NewReader(data[at:]), after: next, trip: func() { how.lose(t, b) }}
	_, err = w.ReadFrom(src)
	if err == nil {
		err = w.Sync()
	}
	if pe, ok := err.(*fs.PathError); !ok || pe.Path != "f" {
		t.Errorf("the upload ends with %#v", err)
	}
	var mended sync.WaitGroup
	mended.Go(func() {
		if !how.mendsItself {
			time.Sleep(300 * time.Millisecond) // so that Park meets a server that is away
		}
		how.mend(t, b)
	})
	err = w.Park()
	mended.Wait()
	if err != nil {
		t.Errorf("Park: %v", err)
	}
}

// toldSize is what the owner is told of his upload; 0: there is none.
func (b *brokenSFTP) toldSize(t *testing.T, name string) int64 {
	t.Helper()
	info, err := b.StatStaged(t.Context(), name, "ann")
	if errors.Is(err, fs.ErrNotExist) {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// TestSFTPDownloadsFail loses the server in the middle of downloads: they fail, with
// right bytes before, and the next one succeeds by itself.
func TestSFTPDownloadsFail(t *testing.T) {
	data := noise(7, 24<<20)
	for _, how := range breakages() {
		t.Run(how.name, func(t *testing.T) {
			t.Parallel()
			b := newBrokenSFTP(t)
			if err := os.WriteFile(filepath.Join(b.dir, "f"), data, 0o644); err != nil {
				t.Fatal(err)
			}
			f, err := b.Open(t.Context(), "f", 0, -1)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			var got bytes.Buffer
			if _, err = io.CopyN(&got, f, 1<<20); err != nil {
				t.Fatal(err)
			}
			how.lose(t, b)
			_, err = io.Copy(&got, struct{ io.Reader }{f})
			if pe, ok := err.(*fs.PathError); !ok || pe.Path != "f" {
				t.Errorf("the download ends with %#v after %d bytes", err, got.Len())
			}
			if !bytes.HasPrefix(data, got.Bytes()) {
				t.Error("other bytes than the file's")
			}
			how.mend(t, b)
			b.recovers(t)
			rest, err := b.Open(t.Context(), "f", int64(got.Len()), -1)
			if err != nil {
				t.Fatal(err)
			}
			defer rest.Close()
			if _, err := io.Copy(&got, struct{ io.Reader }{rest}); err != nil || !bytes.Equal(got.Bytes(), data) {
				t.Errorf("afterwards %d bytes, %v", got.Len(), err)
			}
		})
	}
}

// recovers waits until the FS works again, as it has to by itself.
func (b *brokenSFTP) recovers(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		_, err := b.Stat(t.Context(), ".")
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the file system does not recover: %v", err)
		}
	}
}

// TestSFTPStorm lets sessions work while the server is lost again and again: every
// operation ends, and every file is one that was sent whole.
func TestSFTPStorm(t *testing.T) {
	b := newBrokenSFTP(t)
	stop := make(chan struct{})
	var sessions sync.WaitGroup
	var mu sync.Mutex
	longest, done, failed := time.Duration(0), 0, 0
	for i := range 6 {
		sessions.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 1))
			for {
				select {
				case <-stop:
					return
				default:
				}
				begun := time.Now()
				err := b.step(t, r, i)
				d := time.Since(begun)
				mu.Lock()
				if done++; err != nil {
					failed++
				}
				longest = max(longest, d)
				mu.Unlock()
				if err != nil { // as a person would pause
					time.Sleep(20 * time.Millisecond)
				}
			}
		})
	}
	for round := range 2 {
		for _, how := range breakages() {
			time.Sleep(300 * time.Millisecond)
			how.lose(t, b)
			time.Sleep(time.Duration(200+300*round) * time.Millisecond)
			how.mend(t, b)
		}
	}
	close(stop)
	sessions.Wait()
	b.recovers(t)
	t.Logf("%d operations, %d of them failed, the longest took %v", done, failed, longest)
	if failed == done {
		t.Error("no operation succeeds")
	}
	// An upload has five steps, of which each may take its answer's time twice, and a
	// clean-up of 20 s; a hang would be endless.
	if longest > patience {
		t.Errorf("an operation took %v", longest)
	}
	for _, name := range b.visible(t) {
		got, err := os.ReadFile(filepath.Join(b.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if len(got) == 0 || !bytes.Equal(got, noise(uint64(got[0]), len(got))) && !sealed(got) {
			t.Errorf("%s holds %d bytes that nobody sent", name, len(got))
		}
	}
}

// seal makes a content that sealed knows again.
func seal(seed byte, n int) []byte {
	b := noise(uint64(seed), n)
	b[0], b[1], b[2], b[3] = seed, byte(n>>16), byte(n>>8), byte(n)
	return b
}

func sealed(b []byte) bool {
	if len(b) < 4 {
		return false
	}
	n := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
	return n == len(b) && bytes.Equal(b, seal(b[0], n))
}

// step is one operation of a session.
func (b *brokenSFTP) step(t *testing.T, r *rand.Rand, session int) error {
	name := fmt.Sprintf("f%d", r.IntN(4))
	switch r.IntN(5) {
	case 0, 1:
		w, err := b.Create(t.Context(), name, vfs.CreateOptions{Owner: fmt.Sprint(session)})
		if err != nil {
			return err
		}
		defer w.Abort()
		if _, err := w.ReadFrom(bytes.NewReader(seal(byte(r.IntN(256)), 4+r.IntN(1<<20)))); err != nil {
			_ = w.Park()
			return err
		}
		return w.Commit()
	case 2:
		f, err := b.Open(t.Context(), name, 0, -1)
		if err != nil {
			return err
		}
		defer f.Close()
		data, err := io.ReadAll(f)
		if err == nil && !sealed(data) {
			t.Errorf("%s reads as %d bytes that nobody sent", name, len(data))
		}
		return err
	case 3:
		for _, err := range b.ReadDir(t.Context(), ".", "") {
			if err != nil {
				return err
			}
		}
		return nil
	}
	return b.Rename(t.Context(), name, fmt.Sprintf("f%d", r.IntN(4)), vfs.RenameOptions{})
}

// TestSFTPTakeOver resumes, through one gateway, what another one is still writing:
// the other's upload can't be committed any more, and whatever it still writes does
// not get into the file.
func TestSFTPTakeOver(t *testing.T) {
	b := newBrokenSFTP(t)
	other := b.open(t)
	mine, theirs := noise(1, 6<<20), noise(2, 6<<20)
	theirs = append(slices.Clone(mine[:3<<20]), theirs[3<<20:]...)
	w, err := other.Create(t.Context(), "f", vfs.CreateOptions{Owner: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	if _, err := w.Write(theirs[:4<<20]); err != nil {
		t.Fatal(err)
	}
	at := int64(0)
	for at == 0 { // the link to it is made beside
		at = b.toldSize(t, "f")
	}
	if _, err := other.StatStaged(t.Context(), "f", "ann"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the gateway whose upload runs tells of it as staged: %v", err)
	}
	at = min(at, 3<<20)
	v, err := b.Create(t.Context(), "f", vfs.CreateOptions{Mode: vfs.WriteAt, Offset: at, Owner: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Abort()
	if _, err := w.Write(theirs[4<<20:]); err != nil {
		t.Fatal(err)
	}
	if err := w.Sync(); err != nil {
		t.Errorf("the other's Sync: %v", err)
	}
	if _, err := v.Write(mine[at:]); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the other's Commit: %v", err)
	}
	if got := b.visible(t); len(got) != 0 {
		t.Errorf("the directory shows %q", got)
	}
	if err := v.Commit(); err != nil {
		t.Fatal(err)
	}
	b.holds(t, "f", mine)
	b.holdsOnly(t, "f")
}

// TestSFTPGateway runs the real gateway over OpenSSH's server with a real client, and
// kills first the one and then the other in the middle of an upload; the client goes
// on where it was.
func TestSFTPGateway(t *testing.T) {
	server := startSSHD(t)
	dir := t.TempDir()
	home := t.TempDir()
	data := noise(9, 24<<20)
	local := filepath.Join(home, "f")
	if err := os.WriteFile(local, data, 0o600); err != nil {
		t.Fatal(err)
	}
	var gateway *daemon.Gateway
	start := func() {
		t.Helper()
		var err error
		if gateway, err = daemon.StartGateway(daemon.GatewayConfig{Binary: shared.ftpgate, Host: loopbacks[0].addr, Storage: server.URL(dir)}); err != nil {
			t.Fatal(err)
		}
	}
	start()
	upload := func(args ...string) *exec.Cmd {
		return command(t, home, "curl", append(args, "--silent", "--show-error", "--user", daemon.User+":"+daemon.Password,
			"--continue-at", "-", "--upload-file", local, gateway.URL("f"))...)
	}
	// half waits until about half of the file is on the server's disk.
	half := func() {
		t.Helper()
		for deadline := time.Now().Add(patience / 4); ; time.Sleep(10 * time.Millisecond) {
			if size := hiddenBytes(dir); size > int64(len(data))/2 {
				return
			} else if time.Now().After(deadline) {
				t.Fatalf("only %d bytes arrive\n%s", size, gateway.Output())
			}
		}
	}
	for _, victim := range []string{"the gateway", "the server"} {
		slow := upload("--limit-rate", "12M")
		var said bytes.Buffer
		slow.Stdout, slow.Stderr = &said, &said
		if err := slow.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("curl: %s", said.String())
			}
		})
		half()
		if victim == "the gateway" {
			gateway.Kill()
			_ = slow.Wait()
			start()
		} else {
			server.Kill()
			if err := server.Restart(); err != nil {
				t.Fatal(err)
			}
			if err := slow.Wait(); err == nil {
				t.Error("the client is told that an upload that lost its server succeeded")
			}
		}
		if _, err := os.Stat(filepath.Join(dir, "f")); err == nil {
			t.Errorf("after %s was killed a part of the file shows", victim)
		}
		before := hiddenBytes(dir)
		// The first tries may meet a server that is not back for the gateway yet.
		const sent = "%{size_upload}"
		out, err := run(upload("--write-out", sent))
		for deadline := time.Now().Add(patience); err != nil && time.Now().Before(deadline); out, err = run(upload("--write-out", sent)) {
			time.Sleep(100 * time.Millisecond)
		}
		if err != nil {
			t.Fatalf("after %s was killed: %v\n%s", victim, err, out)
		}
		if n, err := strconv.ParseInt(out, 10, 64); err != nil || n > int64(len(data))*3/4 {
			t.Errorf("after %s was killed the client sent %s of %d bytes again", victim, out, len(data))
		}
		if got, err := os.ReadFile(filepath.Join(dir, "f")); err != nil || !bytes.Equal(got, data) {
			t.Errorf("after %s was killed, %d bytes are resumed to %d that differ from byte %d on, %v", victim, before, len(got), common(got, data), err)
		}
		(&brokenSFTP{dir: dir}).holdsOnly(t, "f")
		if err := os.Remove(filepath.Join(dir, "f")); err != nil {
			t.Fatal(err)
		}
	}
	if err := gateway.Stop(); err != nil || gateway.Crashes() != "" {
		t.Errorf("stopping the gateway: %v\n%s", err, gateway.Crashes())
	}
}

// hiddenBytes is the size of the largest upload in dir.
func hiddenBytes(dir string) (size int64) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			size = max(size, info.Size())
		}
	}
	return size
}
