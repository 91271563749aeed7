package integration

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ftpgate/ftpgate/integration/internal/daemon"
)

// tlsJob is one client that shall upload a directory, list it, and download it again.
type tlsJob struct {
	t                   *testing.T
	pki                 *tlsFiles
	home                string // of the client
	local, remote, back string
	implicit            bool
	port                string // of explicit or implicit TLS
}

// mode is the name of what the client shall do.
func (j *tlsJob) mode() string {
	if j.implicit {
		return "implicit"
	}
	return "explicit"
}

func (j *tlsJob) run(name string, args ...string) (string, error) {
	return run(command(j.t, j.home, name, args...))
}

// script runs one of testdata/tls, with what all of them take.
func (j *tlsJob) script(interpreter, name string, first ...string) (listed []string, said string, err error) {
	path, err := filepath.Abs(filepath.Join("testdata", "tls", name))
	if err != nil {
		return nil, "", err
	}
	args := slices.Concat([]string{path}, first, []string{"127.0.0.1", j.port, daemon.User, daemon.Password, j.pki.ca, j.mode(), j.local, j.remote, j.back})
	said, err = j.run(interpreter, args...)
	for _, line := range lines(said) {
		if name, ok := strings.CutPrefix(line, "NAME "); ok {
			listed = append(listed, name)
		}
	}
	return listed, said, err
}

// tlsClient is a way to do a job. All of them verify the server's certificate.
type tlsClient struct {
	name     string
	transfer func(j *tlsJob) (listed []string, said string, err error)
	// notEmpty spares it empty files.
	notEmpty bool
	// required says that it works with tls.resumption: require.
	required bool
	// unsure says that with it the one or the other may happen.
	unsure bool
}

func tlsClients() []tlsClient {
	return []tlsClient{
		{name: "curl", transfer: func(j *tlsJob) ([]string, string, error) { return curlTLS(j) }},
		{name: "curl-1.2", transfer: func(j *tlsJob) ([]string, string, error) { return curlTLS(j, "--tls-max", "1.2") }},
		{name: "lftp", transfer: lftpTLS, required: true},
		{name: "python", transfer: func(j *tlsJob) ([]string, string, error) { return j.script("python3", "ftplib_tls.py") }},
		// basic-ftp takes the cipher of the session that it wants to resume for the end of the
		// handshake, and may close before it when there is nothing to send.
		{name: "basic-ftp", notEmpty: true, required: true, transfer: func(j *tlsJob) ([]string, string, error) {
			module, err := filepath.Abs(filepath.Join("tools", "node_modules", "basic-ftp"))
			if err != nil {
				return nil, "", err
			}
			return j.script("node", "basic-ftp.js", module)
		}},
		{name: "net-ftp", transfer: func(j *tlsJob) ([]string, string, error) { return j.script("perl", "net-ftp.pl") }},
		// rclone offers the tickets of each of its sessions to all of them; where tickets are
		// required it works for sure with one session alone.
		{name: "rclone", unsure: true, transfer: func(j *tlsJob) ([]string, string, error) { return rcloneTLS(j) }},
		{name: "rclone-1", required: true, transfer: func(j *tlsJob) ([]string, string, error) {
			return rcloneTLS(j, "--transfers", "1", "--checkers", "1", "--ftp-concurrency", "1")
		}},
	}
}

func curlTLS(j *tlsJob, flags ...string) ([]string, string, error) {
	scheme := "ftp://"
	if j.implicit {
		scheme = "ftps://"
	}
	url := scheme + "127.0.0.1:" + j.port + "/" + j.remote + "/"
	args := append([]string{"--silent", "--show-error", "--verbose", "--globoff", "--user", account, "--cacert", j.pki.ca, "--ssl-reqd", "--ftp-create-dirs"}, flags...)
	names := readTree(j.t, j.local).names()
	up, down := slices.Clone(args), slices.Clone(args)
	for _, name := range names {
		up = append(up, "--upload-file", filepath.Join(j.local, name), url+escape(name))
		down = append(down, "--output", filepath.Join(j.back, name), url+escape(name))
	}
	said, err := j.run("curl", up...)
	if err != nil {
		return nil, said, err
	}
	list := filepath.Join(j.home, "list")
	more, err := j.run("curl", append(args, "--list-only", "--output", list, url)...)
	if err != nil {
		return nil, said + more, err
	}
	text, _ := os.ReadFile(list)
	again, err := j.run("curl", down...)
	return lines(string(text)), said + more + again, err
}

func lftpTLS(j *tlsJob) ([]string, string, error) {
	scheme := "ftp://"
	if j.implicit {
		scheme = "ftps://"
	}
	list := filepath.Join(j.home, "list")
	said, err := j.run("lftp", "--norc", "-c", strings.Join([]string{
		"debug -o /dev/stderr 9", "set cmd:fail-exit yes", "set net:max-retries 1", "set net:timeout 30",
		"set ftp:ssl-force yes", "set ftp:ssl-protect-data yes", lftpf("set ssl:ca-file %s", j.pki.ca),
		"open -p " + j.port + " -u " + daemon.User + "," + daemon.Password + " " + scheme + "127.0.0.1",
		lftpf("mirror -R %s %s", j.local, j.remote), lftpf("cls -1 %s > %s", j.remote+"/", list), lftpf("mirror %s %s", j.remote, j.back),
	}, "; "))
	text, _ := os.ReadFile(list)
	var names []string
	for _, line := range lines(string(text)) {
		names = append(names, filepath.Base(line))
	}
	return names, said, err
}

func rcloneTLS(j *tlsJob, flags ...string) ([]string, string, error) {
	password, err := j.run("rclone", "obscure", daemon.Password)
	if err != nil {
		return nil, password, err
	}
	option := map[bool]string{false: "explicit_tls", true: "tls"}[j.implicit]
	remote := ":ftp,host=127.0.0.1,port=" + j.port + ",user=" + daemon.User + ",pass=" + strings.TrimSpace(password) + "," + option + "=true:" + j.remote
	rclone := func(args ...string) (string, error) {
		cmd := command(j.t, j.home, "rclone", slices.Concat(args, flags, []string{"--config", os.DevNull, "--retries", "1"})...)
		cmd.Env = append(cmd.Env, "SSL_CERT_FILE="+j.pki.ca) // its flag --ca-cert is not for FTP
		return run(cmd)
	}
	said, err := rclone("copy", j.local, remote, "-vv")
	if err != nil {
		return nil, said, err
	}
	names, err := rclone("lsf", remote)
	if err != nil {
		return nil, said + names, err
	}
	more, err := rclone("copy", remote, j.back, "-vv")
	return slices.DeleteFunc(lines(names), func(line string) bool { return strings.Contains(line, " NOTICE: ") }), said + more, err
}

// tlsSite is a gateway with both kinds of TLS.
type tlsSite struct {
	*site
	explicit, implicit string // ports
}

func startTLSSite(t *testing.T, b storage, pki *tlsFiles, flags ...string) *tlsSite {
	t.Helper()
	s := startSite(t, b, loopbacks[0].addr, append(append(pki.flags(), "--implicit-listen", "127.0.0.1:0"), flags...)...)
	m := regexp.MustCompile(`127\.0\.0\.1:(\d+) \(implicit TLS\)`).FindStringSubmatch(s.Output())
	if m == nil {
		t.Fatalf("no word of implicit TLS in\n%s", s.Output())
	}
	return &tlsSite{site: s, explicit: strconv.Itoa(int(s.Addr.Port())), implicit: m[1]}
}

// try has the client do a job, and checks what arrived.
func (c tlsClient) try(t *testing.T, s *tlsSite, pki *tlsFiles, implicit bool) (said string, ok bool) {
	t.Helper()
	files := tree{"plain.bin": randomBytes(1, s.large), "empty": {}, "one": {'1'}, "a b": randomBytes(2, 70_000), "ü": randomBytes(3, 1000)}
	if c.notEmpty {
		delete(files, "empty")
	}
	j := &tlsJob{t: t, pki: pki, home: t.TempDir(), remote: c.name, implicit: implicit, port: s.explicit}
	if implicit {
		j.remote, j.port = c.name+"-implicit", s.implicit
	}
	j.local, j.back = filepath.Join(j.home, "local"), filepath.Join(j.home, "back")
	writeTree(t, j.local, files)
	if err := os.Mkdir(j.back, 0o755); err != nil {
		t.Fatal(err)
	}
	listed, said, err := c.transfer(j)
	if err != nil {
		return said + "\n" + err.Error(), false
	}
	slices.Sort(listed)
	if !slices.Equal(listed, files.names()) {
		t.Errorf("listed %q, want %q\n%s", listed, files.names(), said)
	}
	readTree(t, j.back).mustEqual(t, "downloaded", files)
	if s.door != nil && s.name != "memory" {
		s.door.fetch(t, j.remote).mustEqual(t, "in the store", files)
	}
	return said, true
}

// TestTLSClients runs the clients over FTPS against every storage, with the default
// configuration.
func TestTLSClients(t *testing.T) {
	pki := newTLSFiles(t)
	for _, b := range storages() {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			s := startTLSSite(t, b, pki)
			for _, c := range tlsClients() {
				for _, implicit := range []bool{false, true} {
					t.Run(c.name+map[bool]string{true: "/implicit"}[implicit], func(t *testing.T) {
						if said, ok := c.try(t, s, pki, implicit); !ok {
							t.Error(said)
						}
					})
				}
			}
		})
	}
}

// TestTLSResumptionRequired tells which clients can do with tls.resumption: require. The
// table in docs/tls.md has it; a change here is news for it.
func TestTLSResumptionRequired(t *testing.T) {
	pki := newTLSFiles(t)
	config := filepath.Join(t.TempDir(), "ftpgate.yaml")
	if err := os.WriteFile(config, []byte("tls:\n  resumption: require\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startTLSSite(t, storages()[0], pki, "--config", config)
	for _, c := range tlsClients() {
		if c.unsure {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			from := len(s.Output())
			said, ok := c.try(t, s, pki, false)
			if ok != c.required {
				t.Errorf("works: %v, want %v\n%s", ok, c.required, said)
			}
			if log := s.Output()[from:]; !ok && !strings.Contains(log, "did not resume the TLS session") {
				t.Errorf("there is another reason:\n%s\n%s", log, said)
			}
		})
	}
}
