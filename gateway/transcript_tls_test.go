package gateway_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// protect is what a client does before everything else in a transcript that runs
// over TLS. The transcript still finds the greeting.
func (r *runner) protect(c *talk) error {
	greeting, err := wholeReply(c.in)
	if err != nil {
		return err
	}
	if strings.HasPrefix(greeting, "220") {
		if err := exchange(c.conn, c.in, "AUTH TLS", "234 "); err != nil {
			return err
		}
		if err := r.handshake(c); err != nil {
			return err
		}
		for _, line := range []string{"PBSZ 0", "PROT P"} {
			if err := exchange(c.conn, c.in, line, "200 "); err != nil {
				return err
			}
		}
		c.protects = true
	}
	c.in = bufio.NewReader(io.MultiReader(strings.NewReader(greeting), c.in))
	return nil
}

// wholeReply reads a reply of any number of lines.
func wholeReply(in *bufio.Reader) (string, error) {
	var all strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return "", err
		}
		all.WriteString(line)
		if len(line) > 3 && line[3] == ' ' && isCode(line[:3]) {
			return all.String(), nil
		}
	}
}

func exchange(conn net.Conn, in *bufio.Reader, line, prefix string) error {
	if _, err := io.WriteString(conn, line+"\r\n"); err != nil {
		return err
	}
	got, err := wholeReply(in)
	if err == nil && !strings.HasPrefix(got, prefix) {
		err = fmt.Errorf("%s: %s", line, got)
	}
	return err
}

// handshake puts TLS on the control connection.
func (r *runner) handshake(c *talk) error {
	if r.s.tls == nil {
		return errors.New("the server has no TLS: write the setting tls")
	}
	t := r.s.secured(c.raw)
	_ = t.SetDeadline(time.Now().Add(r.s.net.patience()))
	if err := t.Handshake(); err != nil {
		return err
	}
	c.conn, c.in = t, bufio.NewReader(t)
	return nil
}

// unprotect takes TLS off the control connection again (CCC).
func (r *runner) unprotect(c *talk) error {
	t, ok := c.conn.(*securedConn)
	if !ok {
		return errors.New("there is no TLS")
	}
	if err := t.CloseWrite(); err != nil {
		return err
	}
	if n, err := t.Read(make([]byte, 1)); n > 0 || err != io.EOF {
		return fmt.Errorf("expected close_notify, got %d bytes and %v", n, err)
	}
	c.conn, c.in = c.raw, bufio.NewReader(c.raw)
	return c.raw.SetDeadline(time.Time{}) // CloseWrite has left one behind
}

// finishHandshake does it on the data connection, if that has TLS, and waits until
// the server has read its end. What is sent afterwards can't be read with it, before
// there is somebody to take it.
func (r *runner) finishHandshake(c *talk) error {
	t, ok := c.dataConn.(*securedConn)
	if !ok || t.ConnectionState().HandshakeComplete {
		return nil
	}
	if err := t.Handshake(); err != nil {
		return err
	}
	return r.s.net.drained(c.rawData)
}

// securedConn is the client's side of TLS. It never closes without a handshake: the
// server is about to do one.
type securedConn struct{ *tls.Conn }

func (s *served) secured(raw net.Conn) *securedConn { return &securedConn{tls.Client(raw, s.tls)} }

func (c *securedConn) Close() error {
	if err := c.Handshake(); err != nil {
		return errors.Join(err, c.Conn.Close())
	}
	return c.Conn.Close()
}

func (c *securedConn) CloseWrite() error {
	if err := c.Handshake(); err != nil {
		return err
	}
	return c.Conn.CloseWrite()
}
