package integration

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/ftpgate/ftpgate/backends"
	"github.com/ftpgate/ftpgate/vfs"
	"github.com/ftpgate/ftpgate/vfs/vfstest"
)

// TestContract runs the contract suite on the S3 backend with a real S3 server, each
// store a prefix of its own. TestMain has set the credentials.
func TestContract(t *testing.T) {
	t.Parallel()
	vfstest.Run(t, s3Harness())
	t.Run("mounted", func(t *testing.T) { vfstest.Run(t, s3Harness().Mounted()) })
}

// s3Harness opens fresh prefixes of the bucket.
func s3Harness() vfstest.Harness {
	var urls sync.Map // vfs.FS → string
	open := func(t *testing.T, url string) vfs.FS {
		t.Helper()
		fsys, closer, err := backends.Open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := closer.Close(); err != nil {
				t.Errorf("closing the store: %v", err)
			}
		})
		urls.Store(fsys, url)
		return fsys
	}
	return vfstest.Harness{
		New: func(t *testing.T) vfs.FS {
			return open(t, shared.s3.URL(fmt.Sprintf("contract/%d", rand.Uint64())))
		},
		Reopen: func(t *testing.T, fsys vfs.FS) vfs.FS {
			url, ok := urls.Load(fsys)
			if !ok {
				t.Fatal("Reopen of a store that New did not make")
			}
			return open(t, url.(string))
		},
		Large:      17<<20 + 7, // three parts
		MaxEntries: 1001,       // two pages
	}
}
