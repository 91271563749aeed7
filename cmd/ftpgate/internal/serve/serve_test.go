package serve

import (
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/ftpgate/ftpgate/auth"
	"github.com/ftpgate/ftpgate/backends/memory"
	"github.com/ftpgate/ftpgate/vfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestListenError(t *testing.T) {
	bind := func(errno syscall.Errno) error {
		return &net.OpError{Op: "listen", Net: "tcp", Err: os.NewSyscallError("bind", errno)}
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		err  error
		want string
	}{
		{bind(syscall.EACCES), `:21: ports below 1024 need a privilege: "sudo setcap cap_net_bind_service=+ep ` + program +
			`", or AmbientCapabilities=CAP_NET_BIND_SERVICE in a systemd unit, or NET_BIND_SERVICE in securityContext.capabilities.add ` +
			`of a container; or choose a higher port with --listen`},
		{bind(syscall.EADDRINUSE), ":21 is in use by another program; stop that, or choose another address with --listen"},
		{bind(syscall.EADDRNOTAVAIL), ":21 is not an address of this machine; choose one of them, or :PORT for all, with --listen"},
		{&net.OpError{Op: "listen", Err: &net.DNSError{Err: "no such host"}}, ":21: the host name is unknown; choose another address with --listen"},
		{errors.New("odd"), "can't listen on :21: odd"},
	} {
		if got := listenError(":21", c.err).Error(); got != c.want {
			t.Errorf("%v:\n got %s\nwant %s", c.err, got, c.want)
		}
	}
}

// closing is a store whose subtrees must be closed.
type closing struct {
	vfs.FS
	open int
}

type closingSub struct {
	vfs.FS
	of *closing
}

func (c *closing) Sub(dir string) (vfs.FS, error) {
	sub, err := vfs.Sub(c.FS, dir)
	c.open++
	return &closingSub{sub, c}, err
}

func (s *closingSub) Close() error {
	s.of.open--
	return nil
}

func TestOpenHome(t *testing.T) {
	root := &closing{FS: memory.New(memory.Options{})}
	if err := root.Mkdir(t.Context(), "home"); err != nil {
		t.Fatal(err)
	}
	w, err := root.Create(t.Context(), "home/file", vfs.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	open := openHome(root)
	for _, home := range []string{"", "/"} {
		fsys, release, err := open(t.Context(), &auth.Principal{Settings: auth.Settings{Home: home}})
		if fsys != vfs.FS(root) || release != nil || err != nil {
			t.Errorf("home %q: %v", home, err)
		}
	}
	fsys, release, err := open(t.Context(), &auth.Principal{Settings: auth.Settings{Home: "/home"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fsys.Stat(t.Context(), "file"); err != nil {
		t.Error(err)
	}
	if root.open != 1 {
		t.Errorf("%d subtrees are open", root.open)
	}
	release()
	if root.open != 0 {
		t.Errorf("%d subtrees are open after the release", root.open)
	}
	for _, home := range []string{"/missing", "/home/file", "/home/file/x"} {
		_, _, err := open(t.Context(), &auth.Principal{Settings: auth.Settings{Home: home}})
		if !errors.Is(err, os.ErrNotExist) || !strings.HasPrefix(err.Error(), "home "+home+" is not a directory of what is served; make it, or give the user another home") {
			t.Errorf("home %q: %v", home, err)
		}
	}
}

func TestSentenceAndQuote(t *testing.T) {
	for want, words := range map[string][]string{"": nil, "a": {"a"}, "a and b": {"a", "b"}, "a, b and c": {"a", "b", "c"}} {
		if got := sentence(words); got != want {
			t.Errorf("%v: %q", words, got)
		}
	}
	for word, want := range map[string]string{"": "''", "a.b-c@d": "a.b-c@d", "a b": "'a b'", "$x": "'$x'", "it's": `'it'\''s'`, "-": "-"} {
		if got := quote(word); got != want {
			t.Errorf("quote(%q) = %s", word, got)
		}
	}
}
