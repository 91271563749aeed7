package gateway_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ftpgate/ftpgate/gateway"
	"github.com/ftpgate/ftpgate/vfs"
)

// FuzzSession plays a session that the input describes: commands of the table with
// arguments that fit and arguments that don't, raw bytes, and everything that can
// happen to a data connection, in any order. Whatever comes, every line has one final
// reply, the session can go on, no goroutine stays behind (the bubble would not end),
// and the next client is served.
func FuzzSession(f *testing.F) {
	verbs := dictionary()
	at := func(verb string) byte { return byte(slices.Index(verbs, verb)) }
	command := func(verb string, arg int) []byte { return []byte{0, at(verb), byte(arg)} }
	join := func(parts ...[]byte) []byte { return slices.Concat(parts...) }
	data, send, closeData := []byte{opData}, []byte{opSend, 200}, []byte{opClose}
	f.Add([]byte{})
	f.Add(join(data, command("STOR", argNew), send, closeData))
	f.Add(join(data, command("STOR", argNew), send, []byte{opRest}, command("ABOR", 0), command("SIZE", argNew), command("REST", argTen), data, command("STOR", argNew), send, closeData))
	f.Add(join(data, command("STOR", argNew), send, []byte{opReset}, command("MLST", argNew)))
	f.Add(join(data, command("RETR", argFile), command("PWD", 0), command("NOOP", 0), command("ABOR", 0)))
	f.Add(join([]byte{opActive}, command("LIST", 0), []byte{opRead}, command("STAT", argDir)))
	f.Add(join(data, command("APPE", argFile), send, command("QUIT", 0), closeData))
	f.Add(join(data, command("STOU", 0), command("REIN", 0), []byte{opFin}, []byte{opLogin}, command("CWD", argDir)))
	f.Add(join(command("RNFR", argFile), command("RNTO", argNew), []byte{opRaw, 9}, []byte("\xff\xf4\xff\xf2ABOR"), []byte{opSplit, 3}, command("DELE", argNew)))
	f.Add(join(data, []byte{opPacket}, command("NLST", argGlob), command("MKD", argNew), command("RMD", argNew), []byte{opPacket}, []byte{opRead}))
	f.Fuzz(func(t *testing.T, program []byte) {
		synctest.Test(t, func(t *testing.T) { fuzzSession(t, verbs, program) })
	})
}

// The steps of a program: a number, and what it needs. Every number is a step.
const (
	opCommand = iota // verb, argument
	opRaw            // length, bytes: a line as it stands
	opData           // EPSV, and connect
	opActive         // listen, and PORT
	opSend           // length: on the data connection
	opRead           // a part of the data connection
	opClose
	opFin
	opReset
	opRest   // let the server come to rest
	opSplit  // length: the next line goes in two packets
	opPacket // hold lines back, or send what was held back in one packet
	opLogin
	opCount
)

// maxSteps bounds a program.
const maxSteps = 48

func dictionary() []string {
	verbs := []string{"NONSENSE", "GET", ""}
	for _, row := range gateway.Rows() {
		verbs = append(verbs, row.Names()...)
	}
	return verbs
}

// Places in arguments that the seeds use.
const (
	argNone = iota
	argFile
	argDir
	argNew
	argTen
	argGlob
)

func arguments() []string {
	return []string{
		"", " f", " d", " new", " 10", " *",
		" ", " d/g", " /", " ..", " ../../f", " d//g/", " .", " -la", " -a d", " --", " [a-", " {f,d}", " missing/x", " a b", " \xff\xff\xe4",
		" 0", " 1", " 9", " 9223372036854775807", " -1", " 5 R 8", " 2 7",
		" A", " I", " L 8", " E", " S", " Z", " B", " F", " R", " C", " P", " TLS",
		" joe", " secret", " UTF8 ON", " MLST type;size;", " MLST", " HASH MD5", " 1", " 2", " ALL",
		" 127,0,0,1,200,1", " 192,0,2,1,200,1", " |1|127.0.0.1|51201|", " |2|::1|51201|",
		" 20240229120000 f", " modify=20240229120000; f", " 644 f", " f f2", " \"f\" \"d/g\" new", " f 0 5", " \x00",
	}
}

// fuzzed is the client of a program.
type fuzzed struct {
	t       *testing.T
	s       *memServer
	verbs   []string
	program []byte

	conn     net.Conn
	listener net.Listener
	data     net.Conn
	held     []byte // lines of a packet that is not yet sent
	holding  bool
	split    int
	lines    int  // sent
	opaque   bool // Telnet may have taken line ends away

	mu      sync.Mutex
	replies []string // last lines
	done    chan struct{}
}

func fuzzSession(t *testing.T, verbs []string, program []byte) {
	s := serveMemory(t, func(c *gateway.Config) {
		c.Limits.Unknown, c.Limits.LoginFailures = -1, -1
		c.Timeouts.DataOpen, c.Timeouts.Stall = 5*time.Second, 5*time.Second
	})
	prepare(t, s)
	c := &fuzzed{t: t, s: s, verbs: verbs, program: program, conn: s.dial(t, s.addr.Addr(), s.addr), done: make(chan struct{})}
	go c.listen()
	c.login()
	for range maxSteps {
		if len(c.program) == 0 {
			break
		}
		c.step(c.next())
	}
	c.finish()

	next := s.login(t)
	next.ask("NOOP", "200")
	next.ask("QUIT", "221")
}

func prepare(t *testing.T, s *memServer) {
	t.Helper()
	if err := s.fsys.Mkdir(t.Context(), "d"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"f", "d/g"} {
		w, err := s.fsys.Create(t.Context(), name, vfs.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(bytes.Repeat([]byte("line\n"), 1000)); err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(); err != nil {
			t.Fatal(err)
		}
	}
}

// next takes a byte of the program; behind its end are zeros.
func (c *fuzzed) next() byte {
	if len(c.program) == 0 {
		return 0
	}
	b := c.program[0]
	c.program = c.program[1:]
	return b
}

// listen reads all replies.
func (c *fuzzed) listen() {
	defer close(c.done)
	in := bufio.NewReader(c.conn)
	for {
		text, err := wholeReply(in)
		if err != nil {
			return
		}
		lines := strings.Split(strings.TrimSuffix(text, "\r\n"), "\r\n")
		c.mu.Lock()
		c.replies = append(c.replies, lines[len(lines)-1])
		c.mu.Unlock()
	}
}

// heard are the replies so far.
func (c *fuzzed) heard() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.replies)
}

func (c *fuzzed) login() {
	for _, line := range []string{"USER joe", "PASS secret", "TYPE I"} {
		c.line(line)
	}
}

// line sends a line.
func (c *fuzzed) line(text string) {
	c.lines++
	text += "\r\n"
	switch {
	case c.holding:
		c.held = append(c.held, text...)
	case c.split > 0 && c.split < len(text):
		c.write(text[:c.split])
		settle()
		c.write(text[c.split:])
	default:
		c.write(text)
	}
	c.split = 0
}

func (c *fuzzed) write(text string) {
	_ = c.conn.SetWriteDeadline(time.Now().Add(time.Minute))
	_, _ = io.WriteString(c.conn, text) // the session may be over
}

func (c *fuzzed) step(op byte) {
	switch op % opCount {
	case opCommand:
		verb := c.verbs[int(c.next())%len(c.verbs)]
		all := arguments()
		c.line(verb + all[int(c.next())%len(all)])
	case opRaw:
		n := min(int(c.next()), len(c.program))
		raw := string(c.program[:n])
		c.program = c.program[n:]
		c.lines += strings.Count(raw, "\n")
		c.opaque = c.opaque || strings.Contains(raw, "\xff")
		c.line(raw)
	case opData:
		c.connect()
	case opActive:
		c.offer()
	case opSend:
		if conn := c.taken(); conn != nil {
			_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
			_, _ = conn.Write(bytes.Repeat([]byte("0123456789\r\n"), int(c.next())))
		}
	case opRead:
		if conn := c.taken(); conn != nil {
			_ = conn.SetReadDeadline(time.Now().Add(time.Second))
			_, _ = io.CopyN(io.Discard, conn, 1000)
		}
	case opClose:
		if conn := c.taken(); conn != nil {
			conn.Close()
		}
	case opFin:
		if conn := c.taken(); conn != nil {
			_ = closeWrite(conn)
		}
	case opReset:
		if conn := c.taken(); conn != nil {
			conn.(*memConn).reset()
		}
	case opRest:
		settle()
	case opSplit:
		c.split = int(c.next())
	case opPacket:
		c.flush()
		c.holding = !c.holding
	case opLogin:
		c.login()
	}
}

// flush sends what was held back.
func (c *fuzzed) flush() {
	if len(c.held) > 0 {
		c.write(string(c.held))
		c.held = nil
	}
}

// connect agrees on a passive connection and opens it, if the server is not busy
// with something else.
func (c *fuzzed) connect() {
	before := len(c.heard())
	c.line("EPSV")
	settle()
	heard := c.heard()
	if len(heard) == before || !strings.HasPrefix(heard[len(heard)-1], "229 ") {
		return
	}
	_, port, _ := strings.Cut(heard[len(heard)-1], "|||")
	port, _, _ = strings.Cut(port, "|")
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		c.t.Fatalf("%q: %v", heard[len(heard)-1], err)
	}
	conn, err := c.s.Dial(c.t.Context(), netip.AddrPortFrom(c.s.addr.Addr(), 0), netip.AddrPortFrom(c.s.addr.Addr(), uint16(n)))
	if err == nil {
		c.use(conn)
	}
}

// offer listens and sends PORT.
func (c *fuzzed) offer() {
	l, err := c.s.Listen(c.t.Context(), netip.AddrPortFrom(c.s.addr.Addr(), 0))
	if err != nil {
		c.t.Fatal(err)
	}
	c.use(nil)
	c.listener = l
	c.line("PORT " + hostPort(netip.MustParseAddrPort(l.Addr().String())))
}

func (c *fuzzed) use(conn net.Conn) {
	if c.listener != nil {
		c.listener.Close()
		c.listener = nil
	}
	if c.data != nil {
		c.data.Close()
	}
	c.data = conn
}

// taken is the data connection. An active one is accepted if the server has made
// it.
func (c *fuzzed) taken() net.Conn {
	if c.listener != nil {
		settle()
		l := c.listener.(*memListener)
		l.mu.Lock()
		waiting := len(l.queue) > 0
		l.mu.Unlock()
		if waiting {
			conn, err := l.Accept()
			if err != nil {
				c.t.Fatal(err)
			}
			c.use(conn)
		}
	}
	return c.data
}

// finish ends the session and looks at all that was said.
func (c *fuzzed) finish() {
	c.flush()
	c.holding = false
	c.use(nil)
	if c.opaque {
		c.write("\xff\xf0\xff\xf0") // the end of a subnegotiation that may be open
	}
	c.line("")
	c.line("NOOP")
	_ = closeWrite(c.conn)
	<-c.done
	c.conn.Close()

	final := 0
	for _, r := range c.heard() {
		if len(r) < 4 || r[3] != ' ' || r[0] < '1' || r[0] > '5' || r[1] < '0' || r[1] > '5' {
			c.t.Errorf("%q is no reply", r)
		}
		if r[0] != '1' {
			final++
		}
		switch r[:3] {
		case "221", "421":
			return // the session has ended in between
		case "500":
			if r != "500 Unknown command." {
				return
			}
		}
	}
	heard := c.heard()
	if last := heard[len(heard)-1]; last != "200 OK." {
		c.t.Errorf("NOOP at the end was answered %q", last)
	}
	if want := c.lines + 1; final != want && !c.opaque { // and the greeting
		c.t.Errorf("%d final replies to %d lines and the connection:\n%s", final, c.lines, strings.Join(heard, "\n"))
	}
}
