package memory_test

import (
	"testing"

	"github.com/ftpgate/ftpgate/backends/memory"
	"github.com/ftpgate/ftpgate/vfs"
	"github.com/ftpgate/ftpgate/vfs/vfstest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestContract(t *testing.T) {
	vfstest.Run(t, vfstest.Harness{
		New:    func(t *testing.T) vfs.FS { return memory.New(memory.Options{}) },
		Reopen: func(t *testing.T, fsys vfs.FS) vfs.FS { return fsys },
	})
}
