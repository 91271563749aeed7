package integration

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/ftpgate/ftpgate/backends/sftp"
	"github.com/ftpgate/ftpgate/integration/internal/sshd"
	"github.com/ftpgate/ftpgate/vfs"
	"github.com/ftpgate/ftpgate/vfs/vfstest"
)

// startSSHD runs OpenSSH's server until the test ends.
func startSSHD(t testing.TB, lines ...string) *sshd.Server {
	t.Helper()
	server, err := sshd.Start(t.TempDir(), lines...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Kill()
		if t.Failed() {
			t.Logf("sshd:\n%.4000s", server.Output())
		}
	})
	return server
}

// sftpOptions are for the server, below dir.
func sftpOptions(server *sshd.Server, dir string) sftp.Options {
	return sftp.Options{
		Host: "127.0.0.1", Port: server.Port, User: server.User, Dir: dir,
		KnownHosts: []string{server.KnownHosts}, Identity: server.Identity,
	}
}

func openSFTP(t testing.TB, o sftp.Options) *sftp.FS {
	t.Helper()
	f, err := sftp.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// TestSFTPContract runs the contract over two connected file systems, which know
// nothing of each other: a directory of the one is opened again through the other.
func TestSFTPContract(t *testing.T) {
	t.Parallel()
	server := startSSHD(t)
	top := t.TempDir()
	one, other := openSFTP(t, sftpOptions(server, top)), openSFTP(t, sftpOptions(server, top))
	var mu sync.Mutex
	dirs := map[vfs.FS]string{}
	sub := func(t *testing.T, f *sftp.FS, dir string) vfs.FS {
		fsys, err := f.Sub(dir)
		if err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		defer mu.Unlock()
		dirs[fsys] = dir
		return fsys
	}
	h := vfstest.Harness{
		MaxEntries: 1001,
		New: func(t *testing.T) vfs.FS {
			path, err := os.MkdirTemp(top, "")
			if err != nil {
				t.Fatal(err)
			}
			return sub(t, one, filepath.Base(path))
		},
		Reopen: func(t *testing.T, fsys vfs.FS) vfs.FS {
			mu.Lock()
			dir := dirs[fsys]
			mu.Unlock()
			return sub(t, other, dir)
		},
	}
	vfstest.Run(t, h)
	t.Run("mounted", func(t *testing.T) { vfstest.Run(t, h.Mounted()) })
}

// atPort rewrites a known_hosts file for a server that is reached at another port.
func atPort(known []byte, from, to int) []byte {
	return bytes.Replace(known, fmt.Appendf(nil, ":%d ", from), fmt.Appendf(nil, ":%d ", to), 1)
}
