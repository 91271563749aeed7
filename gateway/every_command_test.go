package gateway_test

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ftpgate/ftpgate/auth"
	"github.com/ftpgate/ftpgate/backends/memory"
	"github.com/ftpgate/ftpgate/gateway"
	"github.com/ftpgate/ftpgate/vfs"
)

// memServer is a server on a network in memory, for one bubble. Everybody may log
// in and do everything.
type memServer struct {
	*memNet
	fsys vfs.FS
	addr netip.AddrPort
}

func serveMemory(t *testing.T, configure func(*gateway.Config), see ...func(*gateway.Server)) *memServer {
	t.Helper()
	s := &memServer{memNet: newMemNet(), fsys: memory.New(memory.Options{}), addr: netip.MustParseAddrPort("127.0.0.1:21")}
	cfg := gateway.Config{
		Auth: auth.AuthenticatorFunc(func(_ context.Context, a auth.Attempt) (*auth.Principal, error) {
			return &auth.Principal{Name: a.User}, nil
		}),
		Open:   func(context.Context, *auth.Principal) (vfs.FS, func(), error) { return s.fsys, nil, nil },
		Logger: slog.New(slog.DiscardHandler),
		Data:   gateway.Data{Network: s.memNet},
	}
	if configure != nil {
		configure(&cfg)
	}
	srv, err := gateway.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range see {
		f(srv)
	}
	l, err := s.Listen(t.Context(), s.addr)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() {
		srv.Close()
		<-done
	})
	return s
}

func (s *memServer) dial(t *testing.T, from netip.Addr, to netip.AddrPort) net.Conn {
	t.Helper()
	conn, err := s.Dial(t.Context(), netip.AddrPortFrom(from, 0), to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// memClient is a control connection to a memServer.
type memClient struct {
	t    *testing.T
	s    *memServer
	conn net.Conn
	in   *bufio.Reader
}

func (s *memServer) connect(t *testing.T) *memClient {
	t.Helper()
	conn := s.dial(t, s.addr.Addr(), s.addr)
	c := &memClient{t: t, s: s, conn: conn, in: bufio.NewReader(conn)}
	c.want("220")
	return c
}

func (s *memServer) login(t *testing.T) *memClient {
	t.Helper()
	c := s.connect(t)
	c.ask("USER joe", "331")
	c.ask("PASS secret", "230")
	c.ask("TYPE I", "200")
	return c
}

func (c *memClient) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, text); err != nil {
		c.t.Fatalf("sending %q: %v", text, err)
	}
}

// reply reads a reply and returns its last line.
func (c *memClient) reply() string {
	c.t.Helper()
	text, err := wholeReply(c.in)
	if err != nil {
		c.t.Fatalf("waiting for a reply: %v", err)
	}
	lines := strings.Split(strings.TrimSuffix(text, "\r\n"), "\r\n")
	return lines[len(lines)-1]
}

func (c *memClient) want(code string) string {
	c.t.Helper()
	got := c.reply()
	if !strings.HasPrefix(got, code) {
		c.t.Fatalf("got %q, want %s", got, code)
	}
	return got
}

func (c *memClient) ask(line, code string) string {
	c.t.Helper()
	c.send(line + "\r\n")
	return c.want(code)
}

// settle lets virtual time pass, so that the server does what it has put off for a
// moment, and waits until it has come to rest.
func settle() {
	time.Sleep(10 * time.Millisecond)
	synctest.Wait()
}

// pending reports whether the server has said something.
func (c *memClient) pending() bool {
	settle()
	return c.in.Buffered() > 0 || !c.conn.(*memConn).in.empty()
}

// silent fails if the server has said something.
func (c *memClient) silent() {
	c.t.Helper()
	if c.pending() {
		c.t.Fatalf("nobody asked for %q", c.reply())
	}
}

// data agrees on a data connection and opens it.
func (c *memClient) data() net.Conn {
	c.t.Helper()
	line := c.ask("EPSV", "229")
	port, err := strconv.ParseUint(strings.Trim(line[strings.Index(line, "|||"):], "|)."), 10, 16)
	if err != nil {
		c.t.Fatal(line, err)
	}
	return c.s.dial(c.t, c.conn.(*memConn).local.Addr(), netip.AddrPortFrom(c.s.addr.Addr(), uint16(port)))
}

// names are those of the whole table.
func names() map[string]gateway.Row {
	all := map[string]gateway.Row{}
	for _, row := range gateway.Rows() {
		for _, name := range row.Names() {
			all[name] = row
		}
	}
	return all
}

// TestEveryCommandRefuses: what every command of its kind has to refuse.
func TestEveryCommandRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serveMemory(t, nil)
		for name, row := range names() {
			if row.TLS {
				s.login(t).ask(name+" f", "502")
				continue
			}
			if row.Login {
				s.connect(t).ask(name, "530")
				s.connect(t).ask(name+" f", "530")
			}
			if row.WantArg {
				s.login(t).ask(name, "50")
				s.login(t).ask(name+" ", "50")
			}
			if row.NoArg {
				s.login(t).ask(name+" x", "50")
			}
			s.login(t).ask(name+" a\x00b", "50")
			if row.Data {
				s.login(t).ask(name+" f", "425")
			}
			c := s.login(t)
			c.send(name) // half a line is no command
			c.silent()
		}
	})
}

// TestEveryCommandDuringTransfer: however a line arrives during a transfer, it waits
// for the end, and gets one reply behind that of the transfer. NOOP and STAT don't
// wait, ABOR ends the transfer.
func TestEveryCommandDuringTransfer(t *testing.T) {
	arrivals := map[string]func(c *memClient, line string){
		"alone": func(c *memClient, line string) {
			c.send("STOR up\r\n")
			c.want("150")
			settle()
			c.send(line + "\r\n")
		},
		"in one packet": func(c *memClient, line string) {
			c.send("STOR up\r\n" + line + "\r\n")
		},
		"byte by byte": func(c *memClient, line string) {
			c.send("STOR up\r\n")
			c.want("150")
			for _, b := range []byte(line + "\r\n") {
				settle()
				c.send(string([]byte{b}))
			}
		},
	}
	for how, arrive := range arrivals {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := serveMemory(t, nil)
				for name, row := range names() {
					duringTransfer(t, s, name, row, arrive)
				}
			})
		})
	}
}

func duringTransfer(t *testing.T, s *memServer, name string, row gateway.Row, arrive func(*memClient, string)) {
	t.Helper()
	c := s.login(t)
	data := c.data()
	arrive(c, name)
	switch {
	case name == "ABOR":
		got := c.reply()
		if strings.HasPrefix(got, "150") {
			got = c.reply()
		}
		if !strings.HasPrefix(got, "426") {
			t.Errorf("%s is answered %q", name, got)
		}
		c.want("226")
		c.ask("NOOP", "200")
		return
	case row.Immediate:
		answered := false
		for c.pending() { // 150 may not have been read yet
			if got := c.reply(); got[0] == '2' {
				answered = true
			} else if !strings.HasPrefix(got, "150") {
				t.Errorf("%s during a transfer is answered %q", name, got)
			}
		}
		if !answered {
			t.Errorf("%s is not answered during the transfer", name)
		}
	default:
		for c.pending() {
			if got := c.reply(); !strings.HasPrefix(got, "150") {
				t.Errorf("%s was answered %q before the transfer was over", name, got)
			}
		}
	}
	if _, err := io.WriteString(data, "whole"); err != nil {
		t.Errorf("%s: the data connection: %v", name, err)
	}
	data.Close()
	if got := c.want("226"); got != "226 Transfer complete." {
		t.Errorf("%s: %q", name, got)
	}
	if !row.Immediate {
		if got := c.reply(); got[0] == '1' {
			t.Errorf("%s is answered %q", name, got)
		}
	}
	if name != "QUIT" {
		c.ask("NOOP", "200")
	}
	c.silent()
	if info, err := s.fsys.Stat(t.Context(), "up"); err != nil || info.Size() != 5 {
		t.Errorf("%s: the upload is %v, %v", name, info, err)
	}
}
