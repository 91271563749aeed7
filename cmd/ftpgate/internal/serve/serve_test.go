package serve

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"

	"go.uber.org/goleak"
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
