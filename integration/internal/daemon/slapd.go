package daemon

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Slapd is a running directory server, OpenLDAP's.
type Slapd struct {
	*Process
	LDAP, LDAPS, Socket string // URLs
}

// SlapdConfig says what the server holds.
type SlapdConfig struct {
	Dir      string // its files
	Suffix   string // the DN above everything
	LDIF     string // the entries
	Cert, CA string // PEM; Cert with its key
	Overlays string // further lines for the database, such as those of an overlay
}

const slapdConfig = `include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/nis.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload ppolicy
pidfile %[1]s/pid
argsfile %[1]s/args
TLSCACertificateFile %[3]s
TLSCertificateFile %[2]s
TLSCertificateKeyFile %[2]s
# Dangerous, and what some servers do: a bind without a password succeeds.
allow bind_anon_cred bind_anon_dn
database mdb
suffix "%[4]s"
directory %[1]s/db
maxsize 16777216
access to attrs=userPassword by anonymous auth by * none
access to dn.subtree="ou=secret,%[4]s" by anonymous auth by * none
access to * by anonymous auth by users read by * none
%[5]s
`

// StartSlapd runs a server on free loopback ports.
func StartSlapd(c SlapdConfig) (*Slapd, error) {
	slapd, err := lookSbin("slapd")
	if err != nil {
		return nil, err
	}
	slapadd, err := lookSbin("slapadd")
	if err != nil {
		return nil, err
	}
	conf, ldif := filepath.Join(c.Dir, "slapd.conf"), filepath.Join(c.Dir, "entries.ldif")
	if err := errors.Join(
		os.MkdirAll(filepath.Join(c.Dir, "db"), 0o700),
		os.WriteFile(conf, fmt.Appendf(nil, slapdConfig, c.Dir, c.Cert, c.CA, c.Suffix, c.Overlays), 0o600),
		os.WriteFile(ldif, []byte(c.LDIF), 0o600),
	); err != nil {
		return nil, err
	}
	if out, err := exec.Command(slapadd, "-f", conf, "-l", ldif).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("slapadd: %w\n%s", err, out)
	}
	for range 5 { // a free port may be taken in between
		var ports [2]int
		for i := range ports {
			if ports[i], err = freePort(); err != nil {
				return nil, err
			}
		}
		s := &Slapd{LDAP: fmt.Sprintf("ldap://127.0.0.1:%d", ports[0]), LDAPS: fmt.Sprintf("ldaps://127.0.0.1:%d", ports[1])}
		socket := filepath.Join(c.Dir, "socket")
		s.Socket = "ldapi://" + socket
		listen := s.LDAP + "/ " + s.LDAPS + "/ ldapi://" + strings.ReplaceAll(socket, "/", "%2F")
		s.Process, err = start("slapd", exec.Command(slapd, "-f", conf, "-h", listen, "-d", "stats"), func(line string) bool {
			return strings.Contains(line, "slapd starting")
		})
		if err == nil {
			return s, s.await(socket, ports[:])
		}
	}
	return nil, err
}

// await waits until all listeners accept: that comes after the server says that it is
// starting.
func (s *Slapd) await(socket string, ports []int) error {
	addresses := [][2]string{{"unix", socket}}
	for _, port := range ports {
		addresses = append(addresses, [2]string{"tcp", fmt.Sprintf("127.0.0.1:%d", port)})
	}
	for begin := time.Now(); len(addresses) > 0; {
		conn, err := net.Dial(addresses[0][0], addresses[0][1])
		if err == nil {
			conn.Close()
			addresses = addresses[1:]
			continue
		}
		if time.Since(begin) > startTime {
			s.Kill()
			return fmt.Errorf("slapd does not accept after %v: %w\n%s", startTime, err, s.Output())
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil
}

// lookSbin also finds commands that are not on everybody's PATH.
func lookSbin(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} {
		if path := filepath.Join(dir, name); isFile(path) {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w; integration/tools/install installs it", err)
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
