package sftp

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/ftpgate/ftpgate/vfs"
	"github.com/ftpgate/ftpgate/vfs/vfstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB, o Options) *FS {
	t.Helper()
	f, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// harness serves new directories of the server, each by connections of its own.
func (s *server) harness() vfstest.Harness {
	var mu sync.Mutex
	dirs := map[vfs.FS]string{}
	serve := func(t *testing.T, dir string) vfs.FS {
		f := open(t, s.options(dir))
		mu.Lock()
		defer mu.Unlock()
		dirs[f] = dir
		return f
	}
	return vfstest.Harness{
		MaxEntries: 300, // more than two pages of the server
		New:        func(t *testing.T) vfs.FS { return serve(t, t.TempDir()) },
		Reopen: func(t *testing.T, fsys vfs.FS) vfs.FS {
			mu.Lock()
			dir := dirs[fsys]
			mu.Unlock()
			return serve(t, dir)
		},
	}
}

func TestContract(t *testing.T) {
	vfstest.Run(t, newServer(t).harness())
	t.Run("mounted", func(t *testing.T) { vfstest.Run(t, newServer(t).harness().Mounted()) })
}

// A user's tree that is closed takes nobody else's connections along.
func TestCloseOfSub(t *testing.T) {
	s := newServer(t)
	dir := t.TempDir()
	for _, name := range []string{"alice", "bob"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	f := open(t, s.options(dir))
	alice, err := f.Sub("alice")
	if err != nil {
		t.Fatal(err)
	}
	bob, err := f.Sub("bob")
	if err != nil {
		t.Fatal(err)
	}
	if err := alice.(*FS).Close(); err != nil {
		t.Error(err)
	}
	if err := bob.Mkdir(t.Context(), "d"); err != nil {
		t.Error(err)
	}
	if _, err := f.Stat(t.Context(), "bob/d"); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if _, err := bob.Stat(t.Context(), "d"); !errors.Is(err, errClosed) {
		t.Errorf("after the end of all: %v", err)
	}
}
