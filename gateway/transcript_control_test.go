package gateway_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// talk is one control connection with its data connection.
type talk struct {
	raw  net.Conn // below TLS
	conn net.Conn // nil when it has ended
	in   *bufio.Reader

	greeted  bool   // the server has said something
	sent     string // lines whose replies have not come
	begun    bool   // the first of them has been answered with 1yz
	protects bool   // data connections are under TLS

	listener net.Listener // of an active data connection, until it is used
	rawData  net.Conn
	dataConn net.Conn
	dataIn   *bufio.Reader
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// current is the control connection, which the first step opens.
func (r *runner) current() (*talk, error) {
	if r.now == nil {
		if err := r.connect("1"); err != nil {
			return nil, err
		}
	}
	if r.now.conn == nil {
		return nil, errors.New("the control connection has ended")
	}
	return r.now, nil
}

func (r *runner) connect(name string) error {
	raw, err := r.s.net.dial(r.s.addr.Addr(), r.s.addr)
	if err != nil {
		return err
	}
	c := &talk{raw: raw, conn: raw, in: bufio.NewReader(raw)}
	r.talks[name], r.now = c, c
	if r.s.v.tls {
		return r.protect(c)
	}
	return nil
}

func (r *runner) send(text string) error {
	c, err := r.current()
	if err != nil {
		return err
	}
	c.sent += text
	_, err = io.WriteString(c.conn, text)
	return err
}

// sendLine is "> TEXT".
func (r *runner) sendLine(s step) error {
	text, err := r.caught.expand(s.rest)
	if err != nil {
		return err
	}
	r.say("> %s", show(text))
	return r.send(text + "\r\n")
}

// sendSlowly is ">. TEXT": a packet for every byte.
func (r *runner) sendSlowly(s step) error {
	text, err := r.caught.expand(s.rest)
	if err != nil {
		return err
	}
	r.say(">. %s", show(text))
	for _, b := range []byte(text + "\r\n") {
		if err := r.send(string([]byte{b})); err != nil {
			return err
		}
	}
	return nil
}

// sendRaw is ">> STRING".
func (r *runner) sendRaw(s step) error {
	text, err := literal(s.rest)
	if err != nil {
		return err
	}
	r.say(">> %s", s.rest)
	return r.send(string(text))
}

// sendUrgent is ">! STRING".
func (r *runner) sendUrgent(s step) error {
	text, err := literal(s.rest)
	if err != nil {
		return err
	}
	c, err := r.current()
	if err != nil {
		return err
	}
	r.say(">! %s", s.rest)
	return r.s.net.urgent(c.raw, text)
}

// readLine reads a line of a reply, without its end.
func (r *runner) readLine(c *talk) (string, error) {
	_ = c.conn.SetReadDeadline(time.Now().Add(r.s.net.patience()))
	line, err := c.in.ReadString('\n')
	if err != nil {
		if line != "" {
			return "", fmt.Errorf("%w after %q", err, show(line))
		}
		return "", err
	}
	text, ok := strings.CutSuffix(line, "\r\n")
	r.say("< %s", show(text))
	c.greeted = true
	if !ok {
		return "", fmt.Errorf("the line %q does not end with CR LF", show(line))
	}
	return text, nil
}

// expectLine is "< PATTERN".
func (r *runner) expectLine(s step) error { return r.expect(s.rest) }

// expect compares the next line with a pattern. Three digits alone stand for a
// reply of one line with any text.
func (r *runner) expect(pattern string) error {
	if r.s.codes != nil {
		return r.expectCode(pattern)
	}
	c, err := r.current()
	if err != nil {
		return err
	}
	line, err := r.readLine(c)
	if err != nil {
		return fmt.Errorf("expected a line, got: %w", err)
	}
	if isCode(pattern) {
		pattern += " *"
	}
	if err := r.caught.match(pattern, line); err == errNoMatch {
		return fmt.Errorf("expected %s\n     got %s", pattern, show(line))
	} else if err != nil {
		return err
	}
	return nil
}

func isCode(s string) bool {
	return len(s) == 3 && strings.Trim(s, "0123456789") == ""
}

// expectReply is "<* CODE": a whole reply, however many lines it has.
func (r *runner) expectReply(s step) error {
	c, err := r.current()
	if err != nil {
		return err
	}
	if !isCode(s.rest) {
		return errors.New("write: <* CODE")
	}
	if r.s.codes != nil {
		return r.expectCode(s.rest)
	}
	for first := true; ; first = false {
		line, err := r.readLine(c)
		switch {
		case err != nil:
			return fmt.Errorf("expected a reply %s, got: %w", s.rest, err)
		case strings.HasPrefix(line, s.rest+" "):
			return nil
		case first && !strings.HasPrefix(line, s.rest+"-"):
			return fmt.Errorf("expected a reply %s, got %s", s.rest, show(line))
		}
	}
}

// expectNothing is "nothing": no reply comes.
func (r *runner) expectNothing(step) error {
	c, err := r.current()
	if err != nil {
		return err
	}
	if r.s.net.rest() && (c.in.Buffered() > 0 || !c.raw.(*memConn).in.empty()) {
		line, err := r.readLine(c)
		return fmt.Errorf("expected no reply, got %s %v", show(line), err)
	}
	return nil
}

// login is "login NAME [PASSWORD]".
func (r *runner) login(s step) error {
	fields := strings.Fields(s.rest)
	if len(fields) == 1 {
		fields = append(fields, "secret")
	}
	if len(fields) != 2 {
		return errors.New("write: login NAME [PASSWORD]")
	}
	c, err := r.current()
	if err != nil {
		return err
	}
	if !c.greeted {
		if err := r.expect("220"); err != nil {
			return err
		}
	}
	for _, exchange := range [][2]string{{"USER " + fields[0], "331"}, {"PASS " + fields[1], "230"}} {
		r.say("> %s", exchange[0])
		if err := r.send(exchange[0] + "\r\n"); err != nil {
			return err
		}
		if err := r.expect(exchange[1]); err != nil {
			return err
		}
	}
	return nil
}

// control is "control NUMBER" (which may be new), or an end of the current
// control connection.
func (r *runner) control(s step) error {
	r.say("%s", s.text)
	if strings.Trim(s.rest, "0123456789") == "" && s.rest != "" {
		if c := r.talks[s.rest]; c != nil {
			r.now = c
			return nil
		}
		return r.connect(s.rest)
	}
	c, err := r.current()
	if err != nil {
		return err
	}
	switch s.rest {
	case "close":
		err = c.conn.Close()
	case "reset":
		err = r.s.net.reset(c.raw)
	case "fin":
		return closeWrite(c.conn)
	case "tls":
		return r.handshake(c)
	case "clear":
		return r.unprotect(c)
	case "closed":
		line, err := r.readLine(c)
		for err == nil && r.goodbye(line) {
			line, err = r.readLine(c)
		}
		if err == nil {
			return fmt.Errorf("expected the end, got %s", show(line))
		} else if isTimeout(err) {
			return errors.New("expected the end, but the connection stays")
		}
		c.conn.Close()
	default:
		return errors.New("write: control NUMBER, close, reset, fin, closed, tls or clear")
	}
	c.conn = nil
	return err
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// closeWrite ends one direction.
func closeWrite(c net.Conn) error {
	half, ok := c.(interface{ CloseWrite() error })
	if !ok {
		return fmt.Errorf("%T has no CloseWrite", c)
	}
	return half.CloseWrite()
}

// hostPort is an address as PORT has it.
func hostPort(a netip.AddrPort) string {
	return fmt.Sprintf("%s,%d,%d", strings.ReplaceAll(a.Addr().String(), ".", ","), a.Port()>>8, a.Port()&0xff)
}
