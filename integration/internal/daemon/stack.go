package daemon

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
)

// Binaries are what a stack is made of, built from the checkout into a directory
// of their own.
type Binaries struct {
	dir               string
	Ftpgate, S3Server string // the gateway as released, and the s3server
}

// BuildAll builds the binaries; the working directory is the integration module.
func BuildAll() (*Binaries, error) {
	dir, err := os.MkdirTemp("", "ftpgate-*")
	if err != nil {
		return nil, err
	}
	b := &Binaries{dir: dir, Ftpgate: filepath.Join(dir, "ftpgate"), S3Server: filepath.Join(dir, "s3server")}
	if err := errors.Join(Build("..", "./cmd/ftpgate", b.Ftpgate), Build(".", "./cmd/s3server", b.S3Server)); err != nil {
		return nil, errors.Join(err, b.Remove())
	}
	return b, nil
}

// Remove removes the binaries.
func (b *Binaries) Remove() error { return os.RemoveAll(b.dir) }

// Loopback is where the programs of this module listen.
func Loopback() netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 0, 1}) }
