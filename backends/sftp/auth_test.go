package sftp

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// cleanEnv hides what this machine has to log in with.
func cleanEnv(t *testing.T) (home string) {
	t.Helper()
	home = t.TempDir()
	t.Setenv("HOME", home)
	for _, v := range []string{envAgent, envPassword, envPassphrase} {
		t.Setenv(v, "")
	}
	return home
}

// keyFile writes a new private key.
func keyFile(t *testing.T, path string) (ssh.Signer, ed25519.PrivateKey) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, string(pem.EncodeToMemory(block)))
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer, private
}

// lockedKeyFile is a private key that passphrase opens, made by "ssh-keygen -a 1":
// with the usual 16 rounds each use takes seconds under the race detector.
const (
	lockedKeyFile = "testdata/encrypted_key"
	passphrase    = "xyzzy"
)

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// onlyKey makes the server let in the one key.
func (s *server) onlyKey(key ssh.PublicKey) {
	s.configure(func(c *ssh.ServerConfig) {
		c.PasswordCallback = nil
		c.PublicKeyCallback = func(_ ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
			if !bytes.Equal(k.Marshal(), key.Marshal()) {
				return nil, errors.New("another key")
			}
			return nil, nil
		}
	})
}

// opens checks how Open ends: well for an empty want, else with one line that holds
// it.
func opens(t *testing.T, what string, o Options, want string) {
	t.Helper()
	f, err := Open(t.Context(), o)
	if err == nil {
		f.Close()
		if want != "" {
			t.Errorf("%s: Open succeeds, want %q", what, want)
		}
		return
	}
	if want == "" || !strings.Contains(err.Error(), want) || strings.ContainsAny(err.Error(), "\r\n") ||
		!strings.HasPrefix(err.Error(), "sftp://"+testUser+"@"+o.Host) {
		t.Errorf("%s: %q; want one line with %q", what, err, want)
	}
	if strings.Contains(err.Error(), testPassword) {
		t.Errorf("%s: the error shows the password", what)
	}
}

func TestPassword(t *testing.T) {
	cleanEnv(t)
	s := newServer(t)
	o := s.options(t.TempDir())
	o.Password = ""
	opens(t, "nothing to log in with", o, "nothing to log in with: name a private key by identity=FILE")
	file := filepath.Join(t.TempDir(), "password")
	for _, text := range []string{testPassword, testPassword + "\n", testPassword + "\r\nanother line\n"} {
		writeFile(t, file, text)
		o.PasswordFile = file
		opens(t, fmt.Sprintf("password file %q", text), o, "")
	}
	writeFile(t, file, "\n"+testPassword)
	opens(t, "empty first line", o, "the first line is empty")
	writeFile(t, file, "wrong")
	opens(t, "wrong password", o, "the server does not let ann in with a password: check the user")
	o.PasswordFile = filepath.Join(t.TempDir(), "none")
	opens(t, "no password file", o, "the file with the secret can't be read")
	o.PasswordFile = ""
	t.Setenv(envPassword, testPassword)
	opens(t, "password from the environment", o, "")
	o.User = "bob"
	if _, err := Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), "does not let bob in") {
		t.Errorf("unknown user: %v", err)
	}

	// Many servers ask for the password by a question.
	o = s.options(t.TempDir())
	asking := func(questions ...string) {
		s.configure(func(c *ssh.ServerConfig) {
			c.PasswordCallback = nil
			c.KeyboardInteractiveCallback = func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
				answers, err := ask("", "", questions, make([]bool, len(questions)))
				if err != nil || answers[0] != testPassword {
					return nil, errors.New("wrong answer")
				}
				return nil, nil
			}
		})
	}
	asking("Password: ")
	opens(t, "a question for the password", o, "")
	asking("Password: ", "Code: ")
	opens(t, "a question for more", o, "the server asks for more than a password")
}

func TestKeys(t *testing.T) {
	home := cleanEnv(t)
	s := newServer(t)
	dir := t.TempDir()
	o := s.options(t.TempDir())
	o.Password = ""

	o.Identity = filepath.Join(dir, "plain")
	plain, _ := keyFile(t, o.Identity)
	s.onlyKey(plain.PublicKey())
	opens(t, "a key", o, "")
	o.Identity = filepath.Join(dir, "other")
	keyFile(t, o.Identity)
	opens(t, "another key", o, "the server does not let ann in with the key "+o.Identity+": check the user")

	o.Identity = lockedKeyFile
	text, err := os.ReadFile(lockedKeyFile)
	if err != nil {
		t.Fatal(err)
	}
	locked, err := ssh.ParsePrivateKeyWithPassphrase(text, []byte(passphrase))
	if err != nil {
		t.Fatal(err)
	}
	s.onlyKey(locked.PublicKey())
	opens(t, "an encrypted key", o, "is encrypted: give its passphrase in FTPGATE_SFTP_PASSPHRASE or by passphrase_file=FILE")
	t.Setenv(envPassphrase, "wrong")
	opens(t, "a wrong passphrase", o, "the passphrase does not open the private key")
	t.Setenv(envPassphrase, passphrase)
	opens(t, "the passphrase from the environment", o, "")
	t.Setenv(envPassphrase, "")
	o.PassphraseFile = filepath.Join(dir, "phrase")
	writeFile(t, o.PassphraseFile, passphrase+"\n")
	opens(t, "the passphrase from a file", o, "")
	o.PassphraseFile = filepath.Join(dir, "none")
	opens(t, "no passphrase file", o, "can't be read")

	o.Identity = filepath.Join(dir, "none")
	opens(t, "no key file", o, "the private key can't be read")
	o.Identity = filepath.Join(dir, "junk")
	writeFile(t, o.Identity, "junk")
	opens(t, "junk for a key", o, "holds no private key that can be used")

	// Without a hint the usual files are tried, and those that need a passphrase left
	// out.
	o = s.options(t.TempDir())
	o.Password = ""
	usual, _ := keyFile(t, filepath.Join(home, ".ssh", "id_rsa"))
	writeFile(t, filepath.Join(home, ".ssh", "id_ed25519"), string(text))
	s.onlyKey(usual.PublicKey())
	opens(t, "a key in its usual place", o, "")
	o.Agent = AgentOn
	opens(t, "an agent that is not there", o, "SSH_AUTH_SOCK is not set")
}

func TestCertificate(t *testing.T) {
	cleanEnv(t)
	s := newServer(t)
	authority := newSigner(t)
	checker := ssh.CertChecker{IsUserAuthority: func(key ssh.PublicKey) bool { return bytes.Equal(key.Marshal(), authority.PublicKey().Marshal()) }}
	s.configure(func(c *ssh.ServerConfig) { c.PasswordCallback, c.PublicKeyCallback = nil, checker.Authenticate })
	dir := t.TempDir()
	o := s.options(t.TempDir())
	o.Password, o.Identity = "", filepath.Join(dir, "key")
	signer, _ := keyFile(t, o.Identity)
	opens(t, "a key without its certificate", o, "does not let ann in")
	certify := func(key ssh.PublicKey, principal string, until time.Time) string {
		cert := &ssh.Certificate{
			Key: key, CertType: ssh.UserCert, ValidPrincipals: []string{principal}, KeyId: "test",
			ValidAfter: uint64(time.Now().Add(-time.Hour).Unix()), ValidBefore: uint64(until.Unix()),
		}
		if err := cert.SignCert(rand.Reader, authority); err != nil {
			t.Fatal(err)
		}
		return string(ssh.MarshalAuthorizedKey(cert))
	}
	soon := time.Now().Add(time.Hour)
	writeFile(t, o.Identity+"-cert.pub", certify(signer.PublicKey(), testUser, soon))
	opens(t, "a certificate beside the key", o, "")
	o.Certificate = filepath.Join(dir, "cert")
	writeFile(t, o.Certificate, certify(signer.PublicKey(), "bob", soon))
	opens(t, "another's certificate", o, "with the certificate "+o.Certificate+", the key")
	writeFile(t, o.Certificate, certify(signer.PublicKey(), testUser, time.Now().Add(-time.Minute)))
	opens(t, "an expired certificate", o, "does not let ann in")
	writeFile(t, o.Certificate, certify(newSigner(t).PublicKey(), testUser, soon))
	opens(t, "a certificate of another key", o, "is not of the private key given")
	writeFile(t, o.Certificate, "junk")
	opens(t, "junk for a certificate", o, "holds no SSH certificate")
	o.Certificate = filepath.Join(dir, "none")
	opens(t, "no certificate file", o, "the certificate can't be read")
}

func TestAgent(t *testing.T) {
	cleanEnv(t)
	s := newServer(t)
	dir := t.TempDir()
	signer, private := keyFile(t, filepath.Join(dir, "key"))
	s.onlyKey(signer.PublicKey())
	socket := filepath.Join(dir, "agent")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	keys := agent.NewKeyring()
	s.tasks.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.tasks.Go(func() {
				_ = agent.ServeAgent(keys, c)
				c.Close()
			})
		}
	})
	t.Cleanup(func() { l.Close() })
	o := s.options(t.TempDir())
	o.Password = ""
	t.Setenv(envAgent, socket)
	o.Agent = AgentOn
	opens(t, "an empty agent", o, "it holds no key: add one by ssh-add")
	if err := keys.Add(agent.AddedKey{PrivateKey: private}); err != nil {
		t.Fatal(err)
	}
	opens(t, "the agent on", o, "")
	o.Agent = AgentAuto
	opens(t, "the agent because there is nothing else", o, "")
	o.Agent = AgentOff
	opens(t, "the agent off", o, "nothing to log in with")
	o.Agent = AgentAuto
	o.Identity = filepath.Join(dir, "other")
	keyFile(t, o.Identity)
	opens(t, "another key beside the agent", o, "with the key "+o.Identity)
	o.Agent = AgentOn
	opens(t, "both", o, "")
	t.Setenv(envAgent, filepath.Join(dir, "none"))
	opens(t, "an agent that is gone", o, "the SSH agent can't be reached")
}

// The key of the server is always checked, and what is wrong with it told with what to
// do.
func TestHostKeys(t *testing.T) {
	home := cleanEnv(t)
	s := newServer(t)
	o := s.options(t.TempDir())
	host := s.address()
	line := knownhosts.Line([]string{host}, s.key.PublicKey())
	print := ssh.FingerprintSHA256(s.key.PublicKey())
	other := newSigner(t).PublicKey()

	opens(t, "a known host", o, "")
	for _, there := range []bool{true, false} {
		if writeFile(t, s.known, ""); !there {
			os.Remove(s.known)
		}
		opens(t, "an unknown host", o, "shows the host key ssh-ed25519 "+print+", which is not known")
		opens(t, "an unknown host", o, "accept it by adding this line to "+s.known+": "+line)
	}
	// Which is what an operator does then.
	writeFile(t, s.known, line+"\n")
	opens(t, "an accepted host", o, "")

	writeFile(t, s.known, "# a comment\n"+knownhosts.Line([]string{host}, other)+"\n")
	opens(t, "a changed key", o, "HAS ANOTHER KEY in "+s.known+" line 2, ssh-ed25519 "+ssh.FingerprintSHA256(other))
	opens(t, "a changed key", o, print)
	writeFile(t, s.known, line+"\n@revoked * "+strings.SplitN(line, " ", 2)[1]+"\n")
	opens(t, "a revoked key", o, "is revoked by "+s.known+" line 2")
	writeFile(t, s.known, "nonsense\n")
	opens(t, "a broken file", o, "the known_hosts file can't be read")

	// A server with several keys is asked for the one that is known.
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	second, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	s.configure(func(c *ssh.ServerConfig) { c.AddHostKey(second) })
	for _, key := range []ssh.PublicKey{s.key.PublicKey(), second.PublicKey()} {
		s.writeKnown(t, key)
		opens(t, "one of two keys", o, "")
	}

	// A certified key needs no line of its own.
	authority := newSigner(t)
	name, _, _ := net.SplitHostPort(host)
	cert := &ssh.Certificate{Key: s.key.PublicKey(), CertType: ssh.HostCert, ValidPrincipals: []string{name}, ValidBefore: ssh.CertTimeInfinity}
	if err := cert.SignCert(rand.Reader, authority); err != nil {
		t.Fatal(err)
	}
	certified, err := ssh.NewCertSigner(cert, s.key)
	if err != nil {
		t.Fatal(err)
	}
	s.configure(func(c *ssh.ServerConfig) { c.AddHostKey(certified) })
	opens(t, "a host that shows a certificate, too", o, "")
	for _, pattern := range []string{"*", knownhosts.Normalize(host)} {
		writeFile(t, s.known, "@cert-authority "+pattern+" "+string(ssh.MarshalAuthorizedKey(authority.PublicKey())))
		opens(t, "a certified key", o, "")
		writeFile(t, s.known, "@cert-authority "+pattern+" "+string(ssh.MarshalAuthorizedKey(other)))
		opens(t, "a key certified by another", o, "which is not acceptable")
	}

	// Without a file given, it is the user's.
	o.KnownHosts = nil
	own := filepath.Join(home, ".ssh", "known_hosts")
	opens(t, "no file at all", o, "adding this line to "+own)
	if err := os.MkdirAll(filepath.Dir(own), 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, own, line+"\n")
	opens(t, "the user's file", o, "")
}

// What else can be wrong at the start.
func TestOpenErrors(t *testing.T) {
	cleanEnv(t)
	s := newServer(t)
	dir := t.TempDir()
	o := s.options(dir)
	o.Dir = filepath.Join(dir, "none")
	opens(t, "a missing directory", o, "the directory "+o.Dir+" does not exist on the server: create it")
	o.Dir = filepath.Join(dir, "file")
	writeFile(t, o.Dir, "")
	opens(t, "a file", o, "is not a directory on the server")
	o = s.options(dir)
	o.Host = "sftp.invalid"
	o.tuning.network = nil
	opens(t, "an unknown name", o, "the name sftp.invalid is not known")
	o = s.options(dir)
	s.listener.Close()
	opens(t, "nobody listens", o, "connection refused")
	s.restart(t)
	s.sftp = nil
	o.tuning.sessions = 1
	faults := s.faulty()
	faults.set(func(kind byte, _ []byte) verdict {
		if kind == packetRealpath {
			return deny
		}
		return pass
	})
	opens(t, "a server that refuses the directory", o, "permission denied")
	web, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer web.Close()
	s.tasks.Go(func() {
		if c, err := web.Accept(); err == nil {
			_, _ = c.Write([]byte(strings.Repeat("HTTP/1.1 400 Bad Request\r\n", 100)))
			c.Close()
		}
	})
	o.Port = web.Addr().(*net.TCPAddr).Port
	opens(t, "no SSH server", o, "sftp://")
	for _, o := range []Options{{}, {Host: "h"}, {User: "u"}, {Host: "h", User: "u", Dir: "a\x00"}, {Host: "h", User: "u", Port: -1}, {Host: "h", User: "u", Connections: -1}} {
		if _, err := Open(t.Context(), o); err == nil {
			t.Errorf("Open(%+v) succeeds", o)
		}
	}
}

// A directory that can't be written is served with what the server says it can do.
func TestOpenReadOnlyDirectory(t *testing.T) {
	s := newServer(t)
	s.faulty().set(func(kind byte, _ []byte) verdict {
		if kind == packetOpen {
			return deny
		}
		return pass
	})
	f := open(t, s.options(t.TempDir()))
	if !f.facts.link || !f.facts.setMode || f.facts.symlink {
		t.Errorf("facts: %+v", f.facts)
	}
}
