//go:build unix

package aferofs_test

import (
	"io/fs"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/ftpgate/ftpgate/vfs"
	"github.com/ftpgate/ftpgate/vfs/aferofs"
	"github.com/spf13/afero"
)

// A pipe would hold a session for ever.
func TestPipesAreRefused(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := aferofs.New(afero.NewBasePathFs(afero.NewOsFs(), dir))
	_, err := f.Open(t.Context(), "pipe", 0, -1)
	wantErr(t, "Open", err, fs.ErrPermission)
	_, err = f.Create(t.Context(), "pipe", vfs.CreateOptions{})
	wantErr(t, "Create", err, fs.ErrPermission)
}
