package vfstest

import (
	"errors"
	"io/fs"
	"sync"
	"testing"

	"github.com/ftpgate/ftpgate/vfs"
)

// mountPlace is where Mounted puts the store, and subPlace what of it.
const mountPlace, subPlace = "mnt/store", "jail/in"

// Mounted returns the harness for h through a Mount of a Guard of a Sub, at a
// directory of the mount that has neighbours: what the gateway builds for a user of a
// configuration with mounts. It checks a little less of each part than h.
func (h Harness) Mounted() Harness {
	out, newStore, reopen := h, h.New, h.Reopen
	var stores sync.Map // of what New made: the store in it
	out.New = func(t *testing.T) vfs.FS {
		t.Helper()
		inner := newStore(t)
		for _, dir := range []string{"jail", subPlace, subPlace + "ner"} {
			if err := inner.Mkdir(t.Context(), dir); err != nil {
				t.Fatal(err)
			}
		}
		wrapped := mounted(t, inner)
		stores.Store(wrapped, inner)
		return wrapped
	}
	if reopen != nil {
		out.Reopen = func(t *testing.T, fsys vfs.FS) vfs.FS {
			t.Helper()
			inner, ok := stores.Load(fsys)
			if !ok {
				t.Fatal("Reopen of a store that New did not make")
			}
			return mounted(t, reopen(t, inner.(vfs.FS)))
		}
	}
	out.MaxEntries, out.ModelSteps, out.Large = 20, 100, 300_000
	return out
}

// mounted is the tree below mountPlace, reached by name and not by the store's own
// Sub, so that the Mount is in every path.
func mounted(t *testing.T, inner vfs.FS) vfs.FS {
	t.Helper()
	jail, err := vfs.Sub(inner, subPlace)
	if err != nil {
		t.Fatal(err)
	}
	if c, ok := jail.(interface{ Close() error }); ok {
		t.Cleanup(func() { c.Close() })
	}
	points := []vfs.MountPoint{
		{Dir: mountPlace, FS: vfs.Guard(jail, func(vfs.Op, string) error { return nil })},
		{Dir: mountPlace + "s", FS: vfs.ReadOnly(jail)},
	}
	m, err := vfs.Mount(points, vfs.MountOptions{})
	if err != nil {
		t.Fatal(err)
	}
	sub, err := vfs.Sub(byName{m.(vfs.Full)}, mountPlace)
	if err != nil {
		t.Fatal(err)
	}
	return sub
}

// byName hides that a tree can confine itself.
type byName struct{ vfs.Full }

func (byName) Sub(dir string) (vfs.FS, error) {
	return nil, &fs.PathError{Op: "sub", Path: dir, Err: errors.ErrUnsupported}
}
