package local_test

import (
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/ftpgate/ftpgate/backends/local"
	"github.com/ftpgate/ftpgate/vfs"
	"github.com/ftpgate/ftpgate/vfs/vfstest"
)

func TestContract(t *testing.T) {
	for _, c := range []struct {
		name string
		opt  local.Options
	}{
		{"default", local.Options{}},
		{"copy", local.Options{CopyLimit: -1, NoSync: true}},
		// Every Append of something to something takes the way of huge files.
		{"tail", local.Options{CopyLimit: 1, NoSync: true}},
	} {
		t.Run(c.name, func(t *testing.T) { vfstest.Run(t, harness(c.opt)) })
	}
}

// harness serves new directories with opt.
func harness(opt local.Options) vfstest.Harness {
	var mu sync.Mutex
	dirs := map[vfs.FS]string{}
	serve := func(t *testing.T, dir string) vfs.FS {
		opt := opt
		opt.Dir = dir
		fsys := open(t, opt)
		mu.Lock()
		defer mu.Unlock()
		dirs[fsys] = dir
		return fsys
	}
	return vfstest.Harness{
		New: func(t *testing.T) vfs.FS { return serve(t, t.TempDir()) },
		Reopen: func(t *testing.T, fsys vfs.FS) vfs.FS {
			mu.Lock()
			dir := dirs[fsys]
			mu.Unlock()
			return serve(t, dir)
		},
		InPlace: opt.Direct,
	}
}

func open(t testing.TB, opt local.Options) *local.FS {
	t.Helper()
	fsys, err := local.Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := fsys.Close(); err != nil {
			t.Error(err)
		}
	})
	return fsys
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
