package integration

import (
	"os"
	"testing"

	"github.com/pkg/sftp"
	"github.com/spf13/afero"
	"github.com/spf13/afero/sftpfs"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/ftpgate/ftpgate/integration/internal/sshd"
	"github.com/ftpgate/ftpgate/vfs"
	"github.com/ftpgate/ftpgate/vfs/aferofs"
	"github.com/ftpgate/ftpgate/vfs/vfstest"
)

// sftpClient is a client of pkg/sftp, as somebody who embeds ftpgate makes it.
func sftpClient(t *testing.T, server *sshd.Server) *sftp.Client {
	t.Helper()
	pem, err := os.ReadFile(server.Identity)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.ParsePrivateKey(pem)
	if err != nil {
		t.Fatal(err)
	}
	known, err := knownhosts.New(server.KnownHosts)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := ssh.Dial("tcp", server.Addr(), &ssh.ClientConfig{
		User: server.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, HostKeyCallback: known, HostKeyAlgorithms: []string{ssh.KeyAlgoED25519},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	client, err := sftp.NewClient(conn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// TestAferoSFTPContract runs the contract over an afero file system that talks to
// another machine: afero's own for SFTP.
func TestAferoSFTPContract(t *testing.T) {
	t.Parallel()
	client := sftpClient(t, startSSHD(t))
	vfstest.Run(t, vfstest.Harness{
		New: func(t *testing.T) vfs.FS {
			return aferofs.New(afero.NewBasePathFs(sftpfs.New(client), t.TempDir()))
		},
		Large: 35_000, MaxEntries: 41, ModelSteps: 50, // a request takes its time; more than a packet
	})
}
