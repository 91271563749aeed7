package gateway_test

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// data is "data WHAT …"; README.md lists them.
func (r *runner) data(s step) error {
	if _, err := r.current(); err != nil && (r.now == nil || r.now.dataConn == nil) {
		return err // without a control connection only what is open can go on
	}
	c := r.now
	what, arg, _ := strings.Cut(s.rest, " ")
	r.say("%s", s.text)
	if len(s.block) > 0 && what != "lists" {
		return errors.New("only data lists has lines below it")
	}
	switch what {
	case "epsv":
		return r.dataExtended(c)
	case "port":
		return r.dataActive(c)
	case "connect":
		return r.dataConnect(c, arg)
	case "refused":
		return r.dataRefused(c, arg)
	case "tls", "clear":
		c.protects = what == "tls"
		return nil
	case "listen":
		return r.dataListen(c, arg)
	}
	if err := r.dataAccept(c); err != nil {
		return err
	}
	_ = c.dataConn.SetDeadline(time.Now().Add(r.s.net.patience()))
	if r.s.codes != nil && slices.Contains([]string{"is", "lists", "eof", "ends"}, what) {
		// The client has seen the end; some servers wait until it has closed, too.
		defer c.rawData.Close()
	}
	switch what {
	case "send":
		return r.dataSend(c, arg)
	case "close":
		return c.dataConn.Close()
	case "fin":
		return closeWrite(c.dataConn)
	case "reset":
		return r.s.net.reset(c.rawData)
	case "cut":
		return c.rawData.Close()
	case "deflated":
		c.dataConn = &deflatedConn{Conn: c.dataConn, w: zlib.NewWriter(c.dataConn)}
		c.dataIn = bufio.NewReader(c.dataConn)
		return nil
	case "expect":
		return r.dataExpect(c, arg)
	case "is":
		return r.dataIs(c, arg)
	case "from":
		if from := netip.MustParseAddrPort(c.rawData.RemoteAddr().String()); from.String() != arg {
			return fmt.Errorf("it comes from %s", from)
		}
		return nil
	case "line":
		line, err := r.dataLine(c)
		if err != nil {
			return fmt.Errorf("expected a line, got: %w", err)
		}
		return r.sameLine(arg, line)
	case "lists":
		return r.dataLists(c, s.block)
	case "eof":
		return r.dataIs(c, `""`)
	case "ends":
		return r.dataEnds(c)
	}
	return errors.New("there is no such step with data")
}

// dataExtended is "data epsv": EPSV, and the connection.
func (r *runner) dataExtended(c *talk) error {
	r.say("> EPSV")
	if err := r.send("EPSV\r\n"); err != nil {
		return err
	}
	delete(r.caught, "epsv")
	if err := r.expect("229 Entering Extended Passive Mode (|||{epsv}|)."); err != nil {
		return err
	}
	return r.dataConnect(c, "{epsv}")
}

// dataActive is "data port": a listener, and PORT or EPRT.
func (r *runner) dataActive(c *talk) error {
	delete(r.caught, "port")
	if err := r.dataListen(c, "{port}"); err != nil {
		return err
	}
	line := "PORT " + r.caught["port"]
	if r.s.addr.Addr().Is6() {
		line = "EPRT " + r.caught["port.eprt"]
	}
	r.say("> %s", line)
	if err := r.send(line + "\r\n"); err != nil {
		return err
	}
	return r.expect("200")
}

// place reads an address as 227 and 229 tell it.
func (r *runner) place(text string) (netip.AddrPort, error) {
	text, err := r.caught.expand(text)
	if err != nil {
		return netip.AddrPort{}, err
	}
	numbers := strings.Split(text, ",")
	if len(numbers) == 6 {
		hi, err1 := strconv.Atoi(numbers[4])
		lo, err2 := strconv.Atoi(numbers[5])
		host, err3 := netip.ParseAddr(strings.Join(numbers[:4], "."))
		return netip.AddrPortFrom(host, uint16(hi<<8|lo)), errors.Join(err1, err2, err3)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	return netip.AddrPortFrom(r.s.addr.Addr(), uint16(port)), err
}

// dataConnect is "data connect {ADDRESS} [from HOST]".
func (r *runner) dataConnect(c *talk, arg string) error {
	where, host, other := strings.Cut(arg, " from ")
	to, err := r.place(where)
	if err != nil {
		return err
	}
	from := r.s.addr.Addr()
	if other {
		if from, err = netip.ParseAddr(host); err != nil {
			return err
		}
	}
	r.closeData(c)
	c.stopListening()
	conn, err := r.s.net.dial(from, to)
	if err != nil {
		return err
	}
	return r.useData(c, conn)
}

func (r *runner) useData(c *talk, raw net.Conn) error {
	c.rawData, c.dataConn = raw, raw
	if c.protects {
		c.dataConn = r.s.secured(raw)
	}
	c.dataIn = bufio.NewReader(c.dataConn)
	return nil
}

// dataRefused is "data refused {ADDRESS}": nobody listens there.
func (r *runner) dataRefused(c *talk, arg string) error {
	to, err := r.place(arg)
	if err != nil {
		return err
	}
	if conn, err := r.s.net.dial(r.s.addr.Addr(), to); err == nil {
		conn.Close()
		return errors.New("somebody listens there")
	}
	return nil
}

// dataListen is "data listen {NAME}": it captures the address for PORT, and as
// {NAME.eprt} and {NAME.port}.
func (r *runner) dataListen(c *talk, arg string) error {
	name := captureName.FindStringSubmatch(arg)
	if name == nil {
		return errors.New("write: data listen {NAME}")
	}
	r.closeData(c)
	l, err := r.s.net.listen(r.s.addr.Addr())
	if err != nil {
		return err
	}
	at := netip.MustParseAddrPort(l.Addr().String())
	family := 1
	if at.Addr().Is6() {
		family = 2
	}
	r.caught[name[1]] = hostPort(at)
	r.caught[name[1]+".eprt"] = fmt.Sprintf("|%d|%s|%d|", family, at.Addr(), at.Port())
	r.caught[name[1]+".port"] = strconv.Itoa(int(at.Port()))
	c.stopListening()
	c.listener = l
	return nil
}

func (c *talk) stopListening() {
	if c.listener != nil {
		c.listener.Close()
		c.listener = nil
	}
}

// dataAccept takes the server's connection, if one is expected.
func (r *runner) dataAccept(c *talk) error {
	if c.listener == nil {
		if c.dataConn == nil {
			return errors.New("there is no data connection")
		}
		return nil
	}
	l := c.listener
	c.listener = nil
	timer := time.AfterFunc(r.s.net.patience(), func() { l.Close() })
	defer timer.Stop()
	defer l.Close()
	conn, err := l.Accept()
	if err != nil {
		return fmt.Errorf("the server does not connect: %w", err)
	}
	return r.useData(c, conn)
}

func (r *runner) closeData(c *talk) {
	if c.dataConn != nil {
		c.rawData.Close()
		c.dataConn = nil
	}
}

func (r *runner) dataSend(c *talk, arg string) error {
	content, err := literal(arg)
	if err != nil {
		return err
	}
	if err := r.finishHandshake(c); err != nil {
		return err
	}
	_, err = c.dataConn.Write(content)
	return err
}

// dataExpect is "data expect STRING": these bytes come next.
func (r *runner) dataExpect(c *talk, arg string) error {
	want, err := literal(arg)
	if err != nil {
		return err
	}
	got := make([]byte, len(want))
	n, err := io.ReadFull(c.dataIn, got)
	if err != nil {
		return fmt.Errorf("expected %d bytes, got %d and %w: %q", len(want), n, err, abridged(got[:n]))
	}
	return sameBytes(got, want)
}

// dataIs is "data is STRING": these bytes come, and then the end.
func (r *runner) dataIs(c *talk, arg string) error {
	want, err := literal(arg)
	if err != nil {
		return err
	}
	got, err := io.ReadAll(c.dataIn)
	if err != nil {
		return fmt.Errorf("after %d bytes (%q): %w", len(got), abridged(got), err)
	}
	return sameBytes(got, want)
}

func (r *runner) dataEnds(c *talk) error {
	_, err := io.Copy(io.Discard, c.dataIn)
	if isTimeout(err) {
		return errors.New("the data connection stays open")
	}
	return nil
}

func sameBytes(got, want []byte) error {
	if bytes.Equal(got, want) {
		return nil
	}
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	return fmt.Errorf("expected %d bytes, got %d; they differ from byte %d on\nexpected %q\n     got %q",
		len(want), len(got), at, abridged(want[at:]), abridged(got[at:]))
}

func abridged(b []byte) string {
	if len(b) > 200 {
		return string(b[:200]) + "…"
	}
	return string(b)
}

// dataLine reads a line of a listing; io.EOF is its end.
func (r *runner) dataLine(c *talk) (string, error) {
	line, err := c.dataIn.ReadString('\n')
	if err == io.EOF && line == "" {
		return "", err
	}
	if err != nil {
		return "", fmt.Errorf("expected a line, got %q and %w", show(line), err)
	}
	text, ok := strings.CutSuffix(line, "\r\n")
	r.say("  %s", show(text))
	if !ok {
		return "", fmt.Errorf("the line %q does not end with CR LF", show(line))
	}
	return text, nil
}

func (r *runner) sameLine(pattern, line string) error {
	err := r.matchEntry(pattern, line)
	if err == errNoMatch {
		return fmt.Errorf("expected %s\n     got %s", pattern, show(line))
	}
	return err
}

// matchEntry compares a line of a listing with a pattern.
func (r *runner) matchEntry(pattern, line string) error {
	if r.s.codes != nil {
		return r.sameEntry(pattern, line)
	}
	return r.caught.match(pattern, line)
}

// dataLists is "data lists": the lines below, in any order, and then the end.
func (r *runner) dataLists(c *talk, patterns []string) error {
	open := append([]string(nil), patterns...)
	for {
		line, err := r.dataLine(c)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if open, err = r.take(open, line); err != nil {
			return err
		}
	}
	if len(open) > 0 {
		return fmt.Errorf("these lines are missing:\n%s", strings.Join(open, "\n"))
	}
	return nil
}

// take removes the first pattern that line matches.
func (r *runner) take(open []string, line string) ([]string, error) {
	for i, pattern := range open {
		err := r.matchEntry(pattern, line)
		if err == nil {
			return append(open[:i:i], open[i+1:]...), nil
		}
		if err != errNoMatch {
			return nil, err
		}
	}
	return nil, fmt.Errorf("nobody expected the line %s; still open are\n%s", show(line), strings.Join(open, "\n"))
}

// deflatedConn is a data connection in MODE Z.
type deflatedConn struct {
	net.Conn
	w *zlib.Writer
	r io.Reader
}

func (c *deflatedConn) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	if err == nil {
		err = c.w.Flush()
	}
	return n, err
}

// Read gives io.EOF only where both the stream and the connection end.
func (c *deflatedConn) Read(p []byte) (n int, err error) {
	if c.r == nil {
		if c.r, err = zlib.NewReader(c.Conn); err != nil {
			return 0, err
		}
	}
	n, err = c.r.Read(p)
	if err == io.EOF {
		if extra, _ := c.Conn.Read(make([]byte, 1)); extra > 0 {
			return n, errors.New("data behind the end of the zlib stream")
		}
	}
	return n, err
}

func (c *deflatedConn) CloseWrite() error {
	if err := c.w.Close(); err != nil {
		return err
	}
	return closeWrite(c.Conn)
}

func (c *deflatedConn) Close() error {
	return errors.Join(c.w.Close(), c.Conn.Close())
}
