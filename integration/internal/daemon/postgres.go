package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Postgres is a running database server with one user, ftpgate, whose password is
// PostgresPassword.
type Postgres struct {
	*Process
	Port int

	dir, bin string
	owner    *syscall.Credential // who runs it; nil: this user
}

// PostgresPassword is that of the user ftpgate.
const PostgresPassword = "p0stgres-Pass"

// StartPostgres makes a database in a temporary directory and serves it on a free
// loopback port, with TLS by the files cert and key. PostgreSQL refuses to run as root, who
// therefore hands it to the user nobody.
func StartPostgres(cert string) (p *Postgres, err error) {
	p = &Postgres{}
	if p.bin, err = postgresBin(); err != nil {
		return nil, err
	}
	if p.dir, err = os.MkdirTemp("", "ftpgate-postgres-*"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(p.dir)
		}
	}()
	pem, err := os.ReadFile(cert)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(
		os.WriteFile(filepath.Join(p.dir, "password"), []byte(PostgresPassword), 0o600),
		os.WriteFile(filepath.Join(p.dir, "server.pem"), pem, 0o600),
		p.disown(),
	); err != nil {
		return nil, err
	}
	data := filepath.Join(p.dir, "data")
	initdb := p.command("initdb", "--pgdata="+data, "--username=ftpgate", "--auth=scram-sha-256", "--pwfile="+filepath.Join(p.dir, "password"),
		"--encoding=UTF8", "--locale=C", "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	for range 5 { // the free port may be taken in between
		if p.Port, err = freePort(); err != nil {
			return nil, err
		}
		cmd := p.command("postgres", "-D", data, "-p", strconv.Itoa(p.Port), "-h", "127.0.0.1", "-k", "", "-F",
			"-c", "ssl=on", "-c", "ssl_cert_file="+filepath.Join(p.dir, "server.pem"), "-c", "ssl_key_file="+filepath.Join(p.dir, "server.pem"))
		p.Process, err = start("postgres", cmd, func(line string) bool {
			return strings.Contains(line, "database system is ready to accept connections")
		})
		if err == nil {
			return p, nil
		}
	}
	return nil, err
}

// URL is that of the database with the parameters.
func (p *Postgres) URL(parameters string) string {
	return fmt.Sprintf("postgres://ftpgate@127.0.0.1:%d/postgres?%s", p.Port, parameters)
}

// Run runs statements as psql does.
func (p *Postgres) Run(statements string) error {
	cmd := exec.Command(filepath.Join(p.bin, "psql"), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", p.URL("sslmode=disable"))
	cmd.Env = append(os.Environ(), "PGPASSWORD="+PostgresPassword)
	cmd.Stdin = strings.NewReader(statements)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("psql: %w\n%s", err, out)
	}
	return nil
}

// Interrupt ends the server, also under its clients.
func (p *Postgres) Interrupt() error {
	p.cmd.Process.Signal(syscall.SIGINT) // SIGTERM would wait for clients
	select {
	case <-p.done:
	case <-time.After(stopTime):
		p.Kill()
	}
	return p.err
}

// Stop is Interrupt, and removes the server's files.
func (p *Postgres) Stop() error {
	return errors.Join(p.Interrupt(), os.RemoveAll(p.dir))
}

// disown gives the files to the user who runs the server.
func (p *Postgres) disown() error {
	if os.Getuid() != 0 {
		return nil
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(nobody.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(nobody.Gid)
	if err != nil {
		return err
	}
	p.owner = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return filepath.WalkDir(p.dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Chown(path, uid, gid))
	})
}

func (p *Postgres) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(p.bin, name), args...)
	cmd.Dir = p.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "HOME=" + p.dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.owner}
	return cmd
}

// postgresBin is where Debian has the server's commands.
func postgresBin() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		path, err = filepath.EvalSymlinks(path)
		return filepath.Dir(path), err
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return "", errors.New("there is no initdb; integration/tools/install installs PostgreSQL")
	}
	return filepath.Dir(found[len(found)-1]), nil
}
