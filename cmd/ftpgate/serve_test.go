package main

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/ftpgate/ftpgate/backends/s3/s3fake"
	"github.com/ftpgate/ftpgate/vfs"
)

const loopback = "--listen=127.0.0.1:0"

// Without flags the directory is there for anonymous, to be read.
func TestServeAnonymous(t *testing.T) {
	c := start(t, nil, "serve", loopback, tree(t, "a.txt", "sub/b.txt"))
	cl := dial(t, c.addr()).login(230, "anonymous", "me@example.org")
	if got := cl.list(); got != "a.txt\r\nsub\r\n" && got != "sub\r\na.txt\r\n" {
		t.Errorf("the listing is %q", got)
	}
	cl.do(550, "MKD new")
	cl.do(550, "DELE a.txt")
	cl.do(221, "QUIT")
	dial(t, c.addr()).login(530, "alice", "x")
	c.signals <- syscall.SIGTERM
	if status := c.wait(); status != 0 {
		t.Errorf("exit status %d", status)
	}
	if log := c.stderr.String(); !strings.Contains(log, "msg=stopped") {
		t.Errorf("the log does not end:\n%s", log)
	}
	if _, err := net.Dial("tcp", c.addr()); err == nil {
		t.Error("the port is still open")
	}
}

func TestServeUsers(t *testing.T) {
	const hash, password = bcryptHash, "correct horse"
	dir := tree(t, "home/erin/erins.txt", "users", "ftpgate.yaml")
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	users := write("users", "frank:"+hash+":perm=elr\nalice:"+hash+"\n")
	file := write("ftpgate.yaml", "listen: 127.0.0.1:0\nurl: .\nbanner: |\n  hello\n  there\nusers:\n"+
		"- {name: erin, hash: "+hash+", home: /home/erin}\n- {name: gone, password: g, home: /nowhere}\n- {name: bob, home: /home}\n")
	c := start(t, map[string]string{"FTPGATE_USERS": "bob:b1:2\ncarol:c", "FTPGATE_USER": "dan:d"},
		"serve", "--config", file, "--users-file", users, "--write", "--user", "alice:a")
	addr := c.addr()
	for _, l := range []struct {
		code           int
		user, password string
	}{
		{230, "alice", "a"}, {530, "alice", password}, // the command line wins over the users file
		{230, "bob", "b1:2"}, {230, "carol", "c"}, {230, "dan", "d"}, {230, "erin", password}, {230, "frank", password},
		{530, "dan", "D"}, {530, "anonymous", "x"}, {530, "gone", "g"}, {530, "nobody", "x"},
	} {
		t.Run(l.user, func(t *testing.T) { dial(t, addr).login(l.code, l.user, l.password) })
	}
	if log := c.stderr.wait(t, `.*home /nowhere.*`)[0]; !strings.Contains(log, "home /nowhere is not a directory of what is served; make it, or set stores.make_home, or give the user another home") {
		t.Errorf("the missing home is logged as %s", log)
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	greeting := make([]byte, 64)
	n, _ := conn.Read(greeting)
	conn.Close()
	if got := string(greeting[:n]); got != "220-hello\r\n220 there\r\n" {
		t.Errorf("greeting %q", got)
	}

	erin := dial(t, addr).login(230, "erin", password)
	if got := erin.do(257, "PWD"); !strings.HasPrefix(got, `"/"`) {
		t.Errorf("erin is in %s", got)
	}
	if got := erin.list(); got != "erins.txt\r\n" {
		t.Errorf("erin sees %q", got)
	}
	erin.do(257, "MKD new") // --write
	erin.do(550, "CWD ../..//home")
	dial(t, addr).login(230, "frank", password).do(550, "MKD new") // has permissions of his own
	if got := dial(t, addr).login(230, "bob", "b1:2").list(); got != "erin\r\n" {
		t.Errorf("bob, whose home is in the file and whose password is in the environment, sees %q", got)
	}

	for _, secret := range []string{"b1:2", hash} {
		if strings.Contains(c.stderr.String()+c.stdout.String(), secret) {
			t.Errorf("%s is printed", secret)
		}
	}
}

func TestServeAnonymousBesideUsers(t *testing.T) {
	c := start(t, nil, "serve", loopback, "--user", "alice:a", "--anonymous", "mem:")
	dial(t, c.addr()).login(230, "ftp", "x")
	dial(t, c.addr()).login(230, "alice", "a").do(550, "MKD x")
}

func TestStartMessage(t *testing.T) {
	dir := tree(t, "users")
	users := filepath.Join(dir, "users")
	if err := os.WriteFile(users, []byte("zoe:!:disabled\nyan:!:perm=elr\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	listen := func(at string) string {
		return "Listening on " + at + ", with passive ports 61000-65535.\nTry it in another terminal:\n\n"
	}
	const end = "\n\nCtrl-C stops.\n"
	for _, c := range []struct {
		args []string
		want string
		warn string // in the log
	}{
		{[]string{loopback, dir}, "Serving " + dir + " to anonymous, read-only.\n" + listen("127.0.0.1:1") + "    curl ftp://127.0.0.1:1/" + end, ""},
		{[]string{loopback, "mem:", "--user", "it's me:x", "--write"}, "Serving mem: to it's me, for reading and writing.\n" + listen("127.0.0.1:1") +
			"    curl --user 'it'\\''s me' ftp://127.0.0.1:1/\n    curl --user 'it'\\''s me' --upload-file FILE ftp://127.0.0.1:1/" + end, ""},
		{[]string{loopback, "mem:", "--users-file", users, "--user=a:x", "--user=b:x"}, "Serving mem: to a, b, zoe and 1 more, read-only.\n" +
			listen("127.0.0.1:1") + "    curl --user a ftp://127.0.0.1:1/" + end, ""},
		{[]string{loopback, "mem:", "--users-file", users, "--write"}, "Serving mem: to zoe and yan, each with their own permissions.\n" +
			listen("127.0.0.1:1") + "    curl --user yan ftp://127.0.0.1:1/" + end, ""},
		{[]string{"--listen=[::1]:0,:0", "mem:", "--write"}, "Serving mem: to anonymous, for reading and writing.\n" + listen("[::1]:1 and [::]:2") +
			"    curl 'ftp://[::1]:1/'\n    curl --upload-file FILE 'ftp://[::1]:1/'" + end, "anybody who reaches this address may change and delete files"},
		{[]string{"--listen=:0", "mem:"}, "Serving mem: to anonymous, read-only.\n" + listen("[::]:1") + "    curl ftp://127.0.0.1:1/" + end, "FTP without TLS"},
		{[]string{loopback, "mem:", "--passive-ports=50000-50010"}, "Serving mem: to anonymous, read-only.\n" +
			"Listening on 127.0.0.1:1, with passive ports 50000-50010.\nTry it in another terminal:\n\n    curl ftp://127.0.0.1:1/" + end, ""},
	} {
		cmd := start(t, nil, append([]string{"serve"}, c.args...)...)
		// The ports that the system chose become 1, 2 as they come up.
		ports := map[string]string{}
		got := regexp.MustCompile(`(\.1|\]):\d+`).ReplaceAllStringFunc(cmd.started(), func(s string) string {
			i := strings.LastIndexByte(s, ':')
			if ports[s[i:]] == "" {
				ports[s[i:]] = string(rune('1' + len(ports)))
			}
			return s[:i+1] + ports[s[i:]]
		})
		if got != c.want {
			t.Errorf("%v:\n got %q\nwant %q", c.args, got, c.want)
		}
		if c.warn != "" {
			cmd.stderr.wait(t, c.warn)
		}
	}
}

// Every mistake ends with one line that says what to do, before anything listens.
func TestServeErrors(t *testing.T) {
	dir := tree(t, "file", "users", "bad.yaml", "data/")
	if err := os.WriteFile(filepath.Join(dir, "users"), []byte("alice:!\nbob:hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bad.yaml"), []byte("limits:\n  session: 3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "empty"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	busy := taken(t)
	usage := `; see "ftpgate serve --help"`
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"gopher://x"}, 1, "there is no storage of the kind gopher://: write file:///directory, mem:, s3://bucket/prefix, sftp://user@host:port/directory, or the path of a directory"},
		{[]string{"s3://"}, 1, "s3://: the bucket is missing; write s3://BUCKET/PREFIX"},
		{[]string{"missing"}, 1, "the directory missing does not exist: create it, or give another one"},
		{[]string{"file"}, 1, "file is not a directory: give the directory to serve"},
		{[]string{"mem:", "--listen", busy}, 1, busy + " is in use by another program; stop that, or choose another address with --listen"},
		{[]string{"mem:", "--listen", "127.0.0.1:0," + busy}, 1, busy + " is in use by another program; stop that, or choose another address with --listen"},
		{[]string{"mem:", "--listen", "192.0.2.1:2121"}, 1, "192.0.2.1:2121 is not an address of this machine; choose one of them, or :PORT for all, with --listen"},
		{[]string{"mem:", "--users-file", "none"}, 1, `users file: open none: no such file or directory; make it with "ftpgate passwd --file none NAME"`},
		{[]string{"mem:", "--users-file", "data"}, 1, "users file: read data: is a directory"},
		{[]string{"mem:", "--users-file", "users"}, 1, `users:2:5: not a password hash; make one with "ftpgate passwd"`},
		{[]string{"mem:", "--users-file", "empty"}, 1, "nobody could log in; add users with --user or a users file, or allow --anonymous"},
		{[]string{"mem:", "--anonymous=false"}, 1, "nobody could log in; add users with --user or a users file, or allow --anonymous"},
		{[]string{"mem:", "--config", "none.yaml"}, 1, "configuration: open none.yaml: no such file or directory"},
		{[]string{"mem:", "--config", "bad.yaml"}, 1, `bad.yaml:2:3: key "limits.session" is unknown; is it sessions?`},
		{[]string{"mem:", "--user", "secret"}, 2, "--user: it must be NAME:PASSWORD, but has no colon" + usage},
		{[]string{"mem:", "--rate", "fast"}, 2, `--rate: rate "fast" is not bytes a second such as 500K or 1.5M, nor off` + usage},
		{[]string{"mem:", "--no-such-flag"}, 2, "unknown flag: --no-such-flag" + usage},
		{[]string{"mem:", "secret"}, 2, "2 arguments are given, at most 1 is taken" + usage},
		{[]string{""}, 2, "the URL is empty; write . for the current directory" + usage},
	} {
		cmd := start(t, nil, append([]string{"serve", loopback}, c.args...)...)
		status := cmd.wait()
		if got := cmd.stderr.String(); got != "ftpgate: "+c.want+"\n" || status != c.status {
			t.Errorf("serve %v: status %d\n got %s\nwant ftpgate: %s", c.args, status, got, c.want)
		}
		if got := cmd.stdout.String(); got != "" {
			t.Errorf("serve %v prints %q", c.args, got)
		}
	}
	for _, c := range []struct{ args, want string }{
		{"srve", `ftpgate: command "srve" is unknown; see "ftpgate --help"`},
		{"--bad", `ftpgate: unknown flag: --bad; see "ftpgate --help"`},
	} {
		cmd := start(t, nil, c.args)
		if status := cmd.wait(); status != 2 || cmd.stderr.String() != c.want+"\n" {
			t.Errorf("%s: %d %s", c.args, status, cmd.stderr)
		}
	}
	env := start(t, map[string]string{"FTPGATE_USERS": "a:b\nsecret"}, "serve", "mem:")
	if status := env.wait(); status != 1 || env.stderr.String() != "ftpgate: FTPGATE_USERS, line 2: it must be NAME:PASSWORD, but has no colon\n" {
		t.Errorf("%d %s", status, env.stderr)
	}
}

// The store is asked before anybody can connect; what is wrong with it is one line
// of the real program, in its real environment.
func TestServeStoreErrors(t *testing.T) {
	fake := s3fake.New(t, s3fake.Options{})
	gone := taken(t)
	credentials := []string{"AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret"}
	query := "?region=us-east-1&path_style=true&provider=generic&endpoint="
	for _, c := range []struct {
		name, url string
		env       []string
		mention   []string
	}{
		{"bucket", "s3://nosuch" + query + fake.URL, credentials, []string{"nosuch", "bucket"}},
		{"credentials", "s3://bucket" + query + fake.URL, []string{"AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=wrong-one"}, []string{"AWS_SECRET_ACCESS_KEY"}},
		{"no credentials", "s3://bucket" + query + fake.URL, nil, []string{"credentials"}},
		{"endpoint", "s3://bucket" + query + "http://127.0.0.1:1", credentials, []string{"127.0.0.1:1"}},
		{"parameter", "s3://bucket?regoin=x", credentials, []string{"regoin"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := startProgram(t, t.TempDir(), c.env, "serve", "--listen", gone, c.url)
			status := p.status()
			got := p.stderr.String()
			if status != 1 || strings.Count(got, "\n") != 1 || !strings.HasPrefix(got, "ftpgate: ") || p.stdout.String() != "" {
				t.Errorf("status %d, stdout %q, stderr:\n%s", status, p.stdout, got)
			}
			for _, m := range c.mention {
				if !strings.Contains(got, m) {
					t.Errorf("no word of %s in %s", m, got)
				}
			}
			// The address is taken, so the program would have said so if it had come to
			// listening before the store.
			if strings.Contains(got, "in use") || strings.Contains(got, "wrong-one") {
				t.Error(got)
			}
		})
	}
}

// A signal ends the wait for a store that does not answer.
func TestSignalWhileOpening(t *testing.T) {
	c := &command{t: t, stdout: newOutput(), stderr: newOutput(), signals: make(chan os.Signal, 4), status: make(chan int, 1)}
	opening := make(chan struct{})
	p := surroundings{
		stdout: c.stdout, stderr: c.stderr, getenv: func(string) string { return "" },
		notify: func() (<-chan os.Signal, func()) { return c.signals, func() {} },
		open: func(ctx context.Context, _ string) (vfs.FS, io.Closer, error) {
			close(opening)
			<-ctx.Done()
			return nil, nil, errors.New("the client gave up: " + ctx.Err().Error())
		},
	}
	go func() { c.status <- p.run(context.Background(), []string{"serve", "s3://slow"}) }()
	<-opening
	c.signals <- syscall.SIGHUP // nothing to reload yet
	c.signals <- os.Interrupt
	if status := c.wait(); status != 1 || c.stderr.String() != "ftpgate: stopped before the store answered\n" {
		t.Errorf("%d %s", status, c.stderr)
	}
}
