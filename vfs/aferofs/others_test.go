package aferofs_test

import (
	"archive/zip"
	"bytes"
	"testing"
	"time"

	"github.com/ftpgate/ftpgate/vfs"
	"github.com/ftpgate/ftpgate/vfs/aferofs"
	"github.com/ftpgate/ftpgate/vfs/vfstest"
	"github.com/spf13/afero"
	"github.com/spf13/afero/zipfs"
)

// A layer over another file system.
func TestContractOfCopyOnWrite(t *testing.T) {
	vfstest.Run(t, vfstest.Harness{MaxEntries: 20, Large: 100_000, ModelSteps: 100, New: func(*testing.T) vfs.FS {
		return aferofs.New(afero.NewCopyOnWriteFs(afero.NewReadOnlyFs(afero.NewMemMapFs()), afero.NewMemMapFs()))
	}})
}

// A cache makes each new file twice, and so can't make one that must be new: what it
// has can be read, and every upload is refused.
func TestCacheOnRead(t *testing.T) {
	base := afero.NewMemMapFs()
	if err := afero.WriteFile(base, "/f", []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	f := aferofs.New(afero.NewCacheOnReadFs(base, afero.NewMemMapFs(), time.Hour))
	for range 2 { // from below, and from the cache
		if got := get(t, f, "f"); got != "text" {
			t.Errorf("f holds %q", got)
		}
	}
	if w, err := f.Create(t.Context(), "g", vfs.CreateOptions{}); err == nil {
		w.Abort()
		t.Error("an upload works by now: take CacheOnReadFs into the contract")
	}
	if names := list(t, f, "."); names != "f" {
		t.Errorf("after a refused upload the root lists %q", names)
	}
}

// An archive can be read.
func TestZip(t *testing.T) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range []string{"d/", "d/f"} {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if name == "d/f" {
			if _, err := w.Write([]byte("text")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	f := vfs.ReadOnly(aferofs.New(zipfs.New(r)))
	if got := get(t, f, "d/f"); got != "text" {
		t.Errorf("d/f holds %q", got)
	}
	if names := list(t, f, "."); names != "d" {
		t.Errorf("the root lists %q", names)
	}
	if names := list(t, f, "d"); names != "f" {
		t.Errorf("d lists %q", names)
	}
}
