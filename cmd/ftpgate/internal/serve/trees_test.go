package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ftpgate/ftpgate/auth"
	"github.com/ftpgate/ftpgate/backends"
	"github.com/ftpgate/ftpgate/backends/memory"
	"github.com/ftpgate/ftpgate/cmd/ftpgate/internal/config"
	"github.com/ftpgate/ftpgate/vfs"
)

// counted is a backend that counts what is open.
type counted struct {
	mu     sync.Mutex
	open   map[string]int // by URL
	opened int
	err    error
	wait   time.Duration
}

type countedStore struct {
	vfs.FS
	of  *counted
	url string
}

func (c *counted) Open(ctx context.Context, url string) (vfs.FS, io.Closer, error) {
	select {
	case <-time.After(c.wait):
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return nil, nil, c.err
	}
	if c.open == nil {
		c.open = map[string]int{}
	}
	c.open[url]++
	c.opened++
	s := &countedStore{memory.New(memory.Options{}), c, url}
	return s, s, nil
}

func (s *countedStore) Close() error {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	s.of.open[s.url]--
	return nil
}

// count is how often url is open.
func (c *counted) count(url string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open[url]
}

func TestStoresAreSharedAndClosedWhenIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &counted{wait: time.Second}
		s := newStores(b.Open, time.Minute, slog.New(slog.DiscardHandler))
		var wg sync.WaitGroup
		var releases [8]func()
		for i := range releases {
			wg.Go(func() {
				_, release, err := s.acquire(t.Context(), "url", "x://ann", false)
				if err != nil {
					t.Error(err)
				}
				releases[i] = release
			})
		}
		wg.Wait()
		if b.opened != 1 {
			t.Errorf("opened %d times by %d sessions", b.opened, len(releases))
		}
		for _, release := range releases {
			release()
			release() // counts once
			time.Sleep(59 * time.Second)
			if b.count("x://ann") != 1 {
				t.Fatal("closed while it is in use, or too early")
			}
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if b.count("x://ann") != 0 {
			t.Error("open when it has been idle for a minute")
		}
		// It opens again; a memory, and what is fixed, stays open.
		for url, keep := range map[string]bool{"x://ann": false, "mem:": false, "x://all": true} {
			_, release, err := s.acquire(t.Context(), "url", url, keep)
			if err != nil {
				t.Fatal(err)
			}
			release()
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if b.count("x://ann") != 0 || b.count("mem:") != 1 || b.count("x://all") != 1 {
			t.Error("open after an hour is not what it should be")
		}
		if _, release, err := s.acquire(t.Context(), "another place", "mem:", false); err != nil || b.count("mem:") != 2 {
			t.Errorf("two places share a memory: %v", err)
		} else {
			release()
		}
		s.close()
		for _, url := range []string{"x://ann", "x://all", "mem:"} {
			if b.count(url) != 0 {
				t.Errorf("%s is open after the end", url)
			}
		}
		if _, _, err := s.acquire(t.Context(), "url", "x://ann", false); !errors.Is(err, errClosing) {
			t.Errorf("after the end: %v", err)
		}
	})
}

func TestStoreThatDoesNotOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &counted{wait: 20 * time.Second, err: errors.New("no route")}
		s := newStores(b.Open, time.Minute, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, _, err := s.acquire(ctx, "url", "x://", false); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a login that has no more time: %v", err)
		}
		if _, _, err := s.acquire(t.Context(), "url", "x://", false); err != b.err {
			t.Errorf("the next one: %v", err)
		}
		b.err = nil
		if _, release, err := s.acquire(t.Context(), "url", "x://", false); err != nil {
			t.Errorf("when it works: %v", err)
		} else {
			release()
		}
		b.wait = time.Hour
		go s.acquire(t.Context(), "url", "y://", false)
		synctest.Wait()
		s.close() // ends what is being opened
	})
}

// open makes the trees of a configuration over real backends.
func openTrees(t *testing.T, text string) (tr *trees, dir string, log *strings.Builder) {
	t.Helper()
	dir = t.TempDir()
	file := filepath.Join(dir, "ftpgate.yaml")
	if err := os.WriteFile(file, []byte(text+"\nquota: {state: state}"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	log = &strings.Builder{}
	s := newStores(backends.Open, time.Duration(cfg.Stores.CloseAfter), slog.New(slog.NewTextHandler(log, nil)))
	s.ledger = ledgerPlace(cfg.Quota.State)
	tr = &trees{s, cfg}
	t.Cleanup(tr.close)
	return tr, dir, log
}

func principal(name string, set auth.Settings) *auth.Principal {
	return &auth.Principal{Name: name, Settings: set}
}

func write(ctx context.Context, f vfs.FS, name string, n int) error {
	w, err := f.Create(ctx, name, vfs.CreateOptions{})
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := w.Write(make([]byte, n)); err != nil {
		return err
	}
	return w.Commit()
}

func entries(t *testing.T, f vfs.FS, dir string) string {
	t.Helper()
	var out []string
	for info, err := range f.ReadDir(t.Context(), dir, "") {
		if err != nil {
			return err.Error()
		}
		out = append(out, info.Name())
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func TestTrees(t *testing.T) {
	tr, dir, _ := openTrees(t, `
url: root
mounts:
- {path: /shared/in, url: in, permissions: elrw}
- {path: /archive, url: archive, read_only: true}
- {path: /scratch, url: "mem:", names: insensitive, quota_bytes: 1000}
stores: {make_home: true}
`)
	for _, d := range []string{"root", "in", "archive/2024"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	if err := tr.openFixed(ctx); err != nil {
		t.Fatal(err)
	}
	open := func(p *auth.Principal) vfs.FS {
		t.Helper()
		f, release, err := tr.open(ctx, p)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(release)
		return f
	}
	all := open(principal("all", auth.Settings{}))
	if got := entries(t, all, "."); got != "archive scratch shared" {
		t.Errorf("the root: %s", got)
	}
	for name, want := range map[string]error{"f": nil, "shared/in/f": nil, "shared/f": fs.ErrPermission, "archive/f": fs.ErrPermission} {
		if err := write(ctx, all, name, 10); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	if err := all.Remove(ctx, "shared/in/f"); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("Remove without the permission: %v", err)
	}
	// A name that differs in case is the same one below /scratch, and the quota counts
	// once.
	for i, name := range []string{"scratch/File", "scratch/FILE", "scratch/file"} {
		if err := write(ctx, all, name, 900+i); err != nil {
			t.Error(err)
		}
	}
	if err := write(ctx, all, "scratch/more", 100); !errors.Is(err, vfs.ErrQuota) {
		t.Errorf("beyond the quota of a mount: %v", err)
	}
	// Homes, in the root, in a mount and above one; in the quota of the mount they stay.
	ann := open(principal("ann", auth.Settings{Home: "/home/{user}"}))
	if err := write(ctx, ann, "hers", 1); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "root/home/ann/hers")); err != nil {
		t.Error(err)
	}
	bob := open(principal("bob", auth.Settings{Home: "/scratch/{user}", Quota: auth.Quota{Bytes: 60}}))
	for n, want := range map[int]error{59: nil, 61: vfs.ErrQuota} {
		if err := write(ctx, bob, fmt.Sprint(n), n); !errors.Is(err, want) {
			t.Errorf("%d bytes of a home in a mount: %v", n, err)
		}
		_ = bob.Remove(ctx, fmt.Sprint(n))
	}
	if err := write(ctx, open(principal("carl", auth.Settings{Home: "/scratch"})), "99", 99); !errors.Is(err, vfs.ErrQuota) {
		t.Errorf("another home in the mount: %v", err)
	}
	if got := entries(t, open(principal("dan", auth.Settings{Home: "/shared"})), "."); got != "in" {
		t.Errorf("a home above a mount: %s", got)
	}
}

// A policy holds for the real name, however it is spelled.
func TestFoldedNamesKeepThePolicy(t *testing.T) {
	tr, dir, _ := openTrees(t, "url: root\nstores: {names: insensitive}")
	if err := os.MkdirAll(filepath.Join(dir, "root"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "root", "Secret.key"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	hidden, err := auth.NewPatterns("*.key")
	if err != nil {
		t.Fatal(err)
	}
	policy := &auth.Policy{Permissions: auth.ReadWrite, Hidden: hidden}
	f, release, err := tr.open(t.Context(), principal("ann", auth.Settings{Policy: policy}))
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	for _, name := range []string{"Secret.key", "SECRET.KEY", "secret.Key"} {
		if _, err := f.Stat(t.Context(), name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Stat(%q): %v", name, err)
		}
		if err := f.Remove(t.Context(), name); err == nil {
			t.Errorf("%q can be removed", name)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "root", "Secret.key")); err != nil {
		t.Error(err)
	}
}

func TestUserURLs(t *testing.T) {
	tr, dir, _ := openTrees(t, "url: root/{user}\nstores: {make_home: true}")
	if err := os.MkdirAll(filepath.Join(dir, "root"), 0o700); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if err := tr.openFixed(ctx); err != nil {
		t.Fatal(err)
	}
	for user, place := range map[string]string{"ann": "root/ann", "a b%41+é": "root/a b%41+é", "..x": "root/..x"} {
		for _, u := range []string{"", "file://" + dir + "/root/{user}"} {
			f, release, err := tr.open(ctx, principal(user, auth.Settings{Store: u}))
			if err != nil {
				t.Errorf("%q: %v", user, err)
				continue
			}
			if err := write(ctx, f, "f", 1); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(filepath.Join(dir, place, "f")); err != nil {
				t.Errorf("%q at %q: %v", user, u, err)
			}
			release()
		}
	}
	for _, user := range []string{"", ".", "..", "a/b", "/", `a\b`, "a\x00b", "a\nb", "\xff", ".ftpgate", ".FTPGATE-x", ".ftpgaté", "{user}", strings.Repeat("x", 256)} {
		for _, set := range []auth.Settings{{}, {Store: "mem:", Home: "/{user}"}, {Store: "s3://bucket/{user}"}} {
			if user == ".ftpgaté" {
				continue // is another name
			}
			_, _, err := tr.open(ctx, principal(user, set))
			if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "can't stand for {user}") {
				t.Errorf("%q with %+v: %v", user, set, err)
			}
		}
	}
	if got, err := fillURL("sftp://{user}@host/home/{user}?identity=/keys/{user}", "a:b@c&d e"); err != nil ||
		got != "sftp://a%3Ab%40c%26d%20e@host/home/a%3Ab%40c%26d%20e?identity=/keys/a%3Ab%40c%26d%20e" {
		t.Errorf("%s, %v", got, err)
	}
	// Nobody makes a directory where a disk is not mounted.
	tr, dir, _ = openTrees(t, "url: disk/users/{user}\nstores: {make_home: true}")
	if _, _, err := tr.open(ctx, principal("ann", auth.Settings{})); err == nil {
		t.Error("a home is made without its parent")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
}

// What is used survives a restart, and two users of one home share it.
func TestQuotaOfUsers(t *testing.T) {
	const text = "url: root\n"
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "home"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "home", "old"), make([]byte, 30), 0o600); err != nil {
		t.Fatal(err)
	}
	state := t.TempDir()
	for round := range 3 {
		tr, _, log := openTrees(t, text)
		tr.ledger = ledgerPlace(state)
		var open []vfs.FS
		for name, limit := range map[string]int64{"ann": 100, "bob": 200} {
			f, release, err := tr.open(t.Context(), principal(name, auth.Settings{Store: dir, Home: "/home", Quota: auth.Quota{Bytes: limit}}))
			if err != nil {
				t.Fatal(err)
			}
			defer release()
			if sp, err := vfs.Space(t.Context(), f, "."); err != nil || sp.Total != limit || sp.Free != limit-30-20*int64(round) {
				t.Errorf("round %d, %s: %+v, %v", round, name, sp, err)
			}
			open = append(open, f)
		}
		for i, f := range open {
			if err := write(t.Context(), f, fmt.Sprint(round, i), 10); err != nil {
				t.Error(err)
			}
		}
		tr.close()
		if round == 1 { // a change that nobody sees: the file of the state was clean
			continue
		}
		files, err := os.ReadDir(state)
		if err != nil || len(files) != 1 {
			t.Fatalf("%v, %v\n%s", files, err, log)
		}
		data, err := os.ReadFile(filepath.Join(state, files[0].Name()))
		if err != nil || !strings.Contains(string(data), `"clean": true`) || !strings.Contains(string(data), fmt.Sprintf(`"bytes": %d`, 50+20*round)) {
			t.Errorf("%s, %v", data, err)
		}
	}
}
