package sftp

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"
)

// hostKeyError refuses a server by its key.
type hostKeyError struct{ text string }

func (e *hostKeyError) Error() string { return e.text }

// knownHostsFiles returns the files to read, and the one in which a new key would
// be written.
func (o Options) knownHostsFiles() (files []string, own string) {
	files = o.KnownHosts
	if len(files) == 0 {
		if home, err := os.UserHomeDir(); err == nil {
			files = append(files, filepath.Join(home, ".ssh", "known_hosts"))
		}
		files = append(files, "/etc/ssh/ssh_known_hosts")
	}
	return files, files[0]
}

// hostKeys returns the check of the server's key, and the algorithms to ask for:
// those of the keys that are known. An unknown server is asked for a key that can be
// accepted, and not for a certificate.
func (o Options) hostKeys() (check ssh.HostKeyCallback, algorithms []string, err error) {
	files, own := o.knownHostsFiles()
	var there []string
	for _, name := range files {
		if _, err := os.Stat(name); err == nil {
			there = append(there, name)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, nil, fmt.Errorf("the known_hosts file can't be read: %w", err)
		}
	}
	db, err := knownhosts.NewDB(there...)
	if err != nil {
		return nil, nil, fmt.Errorf("the known_hosts file can't be read: %w", err)
	}
	known := db.HostKeyCallback()
	check = func(host string, remote net.Addr, key ssh.PublicKey) error {
		return judge(known(host, remote, key), host, key, own)
	}
	if algorithms = db.HostKeyAlgorithms(o.address()); len(algorithms) == 0 {
		algorithms = slices.DeleteFunc(ssh.SupportedAlgorithms().HostKeys, func(name string) bool { return strings.Contains(name, "-cert-") })
	}
	return check, algorithms, nil
}

// judge turns what the files say of a key into what to do about it.
func judge(err error, host string, key ssh.PublicKey, own string) error {
	if err == nil {
		return nil
	}
	shown := fmt.Sprintf("the server %s shows the host key %s %s", host, key.Type(), ssh.FingerprintSHA256(key))
	line := knownhosts.Line([]string{host}, key)
	var revoked *xknownhosts.RevokedError
	var mismatch *xknownhosts.KeyError
	switch {
	case errors.As(err, &revoked):
		return &hostKeyError{fmt.Sprintf("%s, which is revoked by %s line %d: do not connect to it", shown, revoked.Revoked.Filename, revoked.Revoked.Line)}
	case !errors.As(err, &mismatch): // a certificate
		return &hostKeyError{fmt.Sprintf("%s, which is not acceptable: %v", shown, err)}
	case len(mismatch.Want) == 0:
		return &hostKeyError{fmt.Sprintf("%s, which is not known: compare it with what 'ssh-keygen -lf' prints on the server for the public key in /etc/ssh, "+
			"and accept it by adding this line to %s: %s", shown, own, line)}
	}
	want := mismatch.Want[0]
	for _, w := range mismatch.Want {
		if w.Key.Type() == key.Type() {
			want = w
		}
	}
	return &hostKeyError{fmt.Sprintf("%s, but HAS ANOTHER KEY in %s line %d, %s %s: somebody may be between, or the server was set up anew; "+
		"if you know that it was, remove that line and add this one: %s",
		shown, want.Filename, want.Line, want.Key.Type(), ssh.FingerprintSHA256(want.Key), line)}
}
