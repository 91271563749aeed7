package sftp

import (
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
