package sftp

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// The environment variables for what must not stand in a URL.
const (
	envPassword   = "FTPGATE_SFTP_PASSWORD"
	envPassphrase = "FTPGATE_SFTP_PASSPHRASE"
	envAgent      = "SSH_AUTH_SOCK"
)

// credentials are what one connection may log in with. They are read anew for each,
// so that renewed certificates and changed passwords count.
type credentials struct {
	signers  []ssh.Signer
	password string
	tried    []string // what they are, for people
	agent    io.Closer
}

func (c *credentials) close() {
	if c.agent != nil {
		c.agent.Close()
	}
}

// methods are the credentials in the order in which they are tried.
func (c *credentials) methods() []ssh.AuthMethod {
	var m []ssh.AuthMethod
	if len(c.signers) > 0 {
		m = append(m, ssh.PublicKeys(c.signers...))
	}
	if c.password != "" {
		m = append(m, ssh.Password(c.password), ssh.KeyboardInteractive(c.answer))
	}
	return m
}

// answer gives the password to a server that asks for it by a question.
func (c *credentials) answer(_, _ string, questions []string, echos []bool) ([]string, error) {
	answers := make([]string, len(questions))
	for i := range questions {
		if echos[i] || len(questions) > 1 {
			return nil, errors.New("the server asks for more than a password")
		}
		answers[i] = c.password
	}
	return answers, nil
}

// credentials reads what o names. The caller closes them.
func (o Options) credentials() (*credentials, error) {
	c := &credentials{}
	var err error
	if c.password, err = secret(o.Password, o.PasswordFile, envPassword); err != nil {
		return nil, err
	}
	guess := o.Identity == "" && c.password == ""
	if o.Identity != "" {
		if err := c.addKey(o, o.Identity); err != nil {
			return nil, err
		}
	}
	if o.Agent == AgentOn || o.Agent == AgentAuto && guess && os.Getenv(envAgent) != "" {
		if err := c.addAgent(o.tuning.dial); err != nil && o.Agent == AgentOn {
			return nil, err
		}
	}
	if guess && o.Agent != AgentOn {
		c.addDefaultKeys(o)
	}
	if c.password != "" {
		c.tried = append(c.tried, "a password")
	}
	if len(c.tried) == 0 {
		c.close()
		return nil, fmt.Errorf("there is nothing to log in with: name a private key by identity=FILE, start an SSH agent, or give a password in %s or by password_file=FILE", envPassword)
	}
	return c, nil
}

// addDefaultKeys adds the keys that OpenSSH takes if it is told none, as far as they
// can be used without asking anybody.
func (c *credentials) addDefaultKeys(o Options) {
	home, err := os.UserHomeDir()
	if err != nil {
		return
	}
	for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
		if path := filepath.Join(home, ".ssh", name); exists(path) {
			if err := c.addKey(o, path); err != nil {
				o.Logger.Warn("private key left out", "error", err)
			}
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// addKey adds the private key in the file path, and the certificate that goes with
// it.
func (c *credentials) addKey(o Options, path string) error {
	signer, err := o.readKey(path)
	if err != nil {
		return err
	}
	cert := o.Certificate
	if cert == "" {
		if beside := path + "-cert.pub"; exists(beside) {
			cert = beside
		}
	}
	if cert != "" {
		certified, err := readCertificate(cert, signer)
		if err != nil {
			return err
		}
		c.signers = append(c.signers, certified)
		c.tried = append(c.tried, "the certificate "+cert)
	}
	c.signers = append(c.signers, signer)
	c.tried = append(c.tried, "the key "+path)
	return nil
}

func (o Options) readKey(path string) (ssh.Signer, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the private key can't be read: %w", err)
	}
	signer, err := ssh.ParsePrivateKey(pem)
	var locked *ssh.PassphraseMissingError
	switch {
	case err == nil:
		return signer, nil
	case !errors.As(err, &locked):
		return nil, fmt.Errorf("the file %s holds no private key that can be used: %w", path, err)
	}
	phrase, err := secret(o.Passphrase, o.PassphraseFile, envPassphrase)
	if err != nil {
		return nil, err
	}
	if phrase == "" {
		return nil, fmt.Errorf("the private key %s is encrypted: give its passphrase in %s or by passphrase_file=FILE, or load it into an agent and say agent=on", path, envPassphrase)
	}
	if signer, err = ssh.ParsePrivateKeyWithPassphrase(pem, []byte(phrase)); err != nil {
		return nil, fmt.Errorf("the passphrase does not open the private key %s", path)
	}
	return signer, nil
}

func readCertificate(path string, signer ssh.Signer) (ssh.Signer, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the certificate can't be read: %w", err)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(data)
	cert, ok := key.(*ssh.Certificate)
	if err != nil || !ok {
		return nil, fmt.Errorf("the file %s holds no SSH certificate", path)
	}
	certified, err := ssh.NewCertSigner(cert, signer)
	if err != nil {
		return nil, fmt.Errorf("the certificate %s is not of the private key given", path)
	}
	return certified, nil
}

// addAgent adds the keys of the agent, which has to answer, and to sign, within
// wait.
func (c *credentials) addAgent(wait time.Duration) error {
	socket := os.Getenv(envAgent)
	if socket == "" {
		return fmt.Errorf("there is no SSH agent: %s is not set", envAgent)
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return fmt.Errorf("the SSH agent can't be reached: %w", err)
	}
	_ = conn.SetDeadline(time.Now().Add(wait))
	signers, err := agent.NewClient(conn).Signers()
	if err != nil || len(signers) == 0 {
		conn.Close()
		if err == nil {
			err = errors.New("it holds no key: add one by ssh-add")
		}
		return fmt.Errorf("the SSH agent is of no use: %w", err)
	}
	c.agent = conn
	c.signers = append(c.signers, signers...)
	c.tried = append(c.tried, fmt.Sprintf("%d of the agent's keys", len(signers)))
	return nil
}

// secret returns value, else the first line of the file, else the environment
// variable; empty: there is none.
func secret(value, file, env string) (string, error) {
	if value != "" {
		return value, nil
	}
	if file == "" {
		return os.Getenv(env), nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("the file with the secret can't be read: %w", err)
	}
	line, _, _ := strings.Cut(string(data), "\n")
	if line = strings.TrimSuffix(line, "\r"); line == "" {
		return "", &fs.PathError{Op: "read", Path: file, Err: errors.New("the first line is empty")}
	}
	return line, nil
}
