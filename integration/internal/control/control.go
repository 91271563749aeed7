// Package control speaks FTP line by line, for what no client does: opening no data
// connection, reading none of it, measuring when a reply comes.
package control

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"time"
)

// patience bounds the wait for a reply.
const patience = time.Minute

// Conn is a control connection, for one goroutine.
type Conn struct {
	raw   net.Conn
	conn  net.Conn // raw, or TLS over it
	lines *bufio.Reader
}

// Dial connects, waits for the greeting and logs in.
func Dial(address, user, password string) (*Conn, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	c := &Conn{raw: conn, conn: conn, lines: bufio.NewReader(conn)}
	if _, err := c.Expect("220"); err != nil {
		conn.Close()
		return nil, err
	}
	if err := c.login(user, password); err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

func (c *Conn) login(user, password string) error {
	for _, step := range [][2]string{{"331", "USER " + user}, {"230", "PASS " + password}, {"200", "TYPE I"}} {
		if _, err := c.Do(step[0], step[1]); err != nil {
			return err
		}
	}
	return nil
}

// Close cuts the connection.
func (c *Conn) Close() error { return c.raw.Close() }

// Conn is the connection below, without TLS.
func (c *Conn) Conn() net.Conn { return c.raw }

// Secure secures the control connection, logs in anew, and announces TLS for data
// connections, whose handshake is the caller's.
func (c *Conn) Secure(config *tls.Config, user, password string) error {
	if _, err := c.Do("234", "AUTH TLS"); err != nil {
		return err
	}
	c.conn = tls.Client(c.raw, config)
	c.lines = bufio.NewReader(c.conn)
	for _, command := range []string{"PBSZ 0", "PROT P"} {
		if _, err := c.Do("200", command); err != nil {
			return err
		}
	}
	return c.login(user, password)
}

// Send sends a command and waits for nothing.
func (c *Conn) Send(command string) error {
	_, err := fmt.Fprintf(c.conn, "%s\r\n", command)
	return err
}

// reply reads one reply and returns its last line.
func (c *Conn) reply(patience time.Duration) (string, error) {
	c.conn.SetReadDeadline(time.Now().Add(patience))
	code := ""
	for {
		line, err := c.lines.ReadString('\n')
		if err != nil {
			return "", err
		}
		line = strings.TrimRight(line, "\r\n")
		switch {
		case code == "" && len(line) > 3 && line[3] == '-':
			code = line[:3]
		case code == "" || strings.HasPrefix(line, code+" "):
			return line, nil
		}
	}
}

// Expect reads one reply, which must begin with one of the codes.
func (c *Conn) Expect(codes ...string) (string, error) {
	return c.ExpectWithin(patience, codes...)
}

// ExpectWithin is Expect for replies that may take longer.
func (c *Conn) ExpectWithin(patience time.Duration, codes ...string) (string, error) {
	reply, err := c.reply(patience)
	if err != nil {
		return "", fmt.Errorf("waiting for %v: %w", codes, err)
	}
	for _, code := range codes {
		if strings.HasPrefix(reply, code) {
			return reply, nil
		}
	}
	return reply, fmt.Errorf("%q instead of %v", reply, codes)
}

// Do sends a command and expects a reply with the code.
func (c *Conn) Do(code, command string) (string, error) {
	if err := c.Send(command); err != nil {
		return "", err
	}
	reply, err := c.Expect(code)
	if err != nil {
		err = fmt.Errorf("%s: %w", command, err)
	}
	return reply, err
}

// Passive agrees on a passive data connection and returns its address.
func (c *Conn) Passive() (string, error) {
	reply, err := c.Do("229", "EPSV")
	if err != nil {
		return "", err
	}
	_, rest, _ := strings.Cut(reply, "(|||")
	port, _, ok := strings.Cut(rest, "|")
	if !ok {
		return "", fmt.Errorf("no port in %q", reply)
	}
	host, _, err := net.SplitHostPort(c.conn.RemoteAddr().String())
	return net.JoinHostPort(host, port), err
}

// Open agrees on a passive data connection, opens it, sends the command and waits
// for the preliminary reply.
func (c *Conn) Open(command string) (net.Conn, error) {
	address, err := c.Passive()
	if err != nil {
		return nil, err
	}
	data, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	if _, err := c.Do("150", command); err != nil {
		data.Close()
		return nil, err
	}
	return data, nil
}
