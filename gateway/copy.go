package gateway

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/ftpgate/ftpgate/gateway/wire"
	"github.com/ftpgate/ftpgate/vfs"
)

// bufferSize is that of the copy loop where the kernel can't copy by itself.
const bufferSize = 256 << 10

// pump moves the bytes of one transfer. Counting, the rate, the stall deadline
// and cancellation happen between chunks, so that a chunk can be one call of
// sendfile or splice.
type pump struct {
	s    *session
	c    *call
	conn net.Conn
	rate *throttle
	idle time.Duration // without a byte, in slices
}

// stallSlices is in how many parts the stall time is waited for. A chunk that
// ends by its deadline tells that bytes moved, not when: the stall is noticed at
// most one slice late.
const stallSlices = 4

func (s *session) pump(c *call, conn net.Conn, rate *throttle) *pump {
	return &pump{s: s, c: c, conn: conn, rate: rate}
}

// failure is what ended a chunk: the context's cause if that is done, the
// store's own error, or what happened to the connection.
func (p *pump) failure(err error) error {
	if p.c.Err() != nil {
		return context.Cause(p.c)
	}
	var pe *fs.PathError
	switch {
	case errors.As(err, &pe):
		return err
	case isConnError(err):
		return errDataClosed
	}
	return err
}

// isConnError tells what a connection suffers from what a file suffers: sendfile
// reports both alike.
func isConnError(err error) bool {
	for _, e := range []error{syscall.EPIPE, syscall.ECONNRESET, syscall.ECONNABORTED, syscall.ENOTCONN, syscall.ETIMEDOUT,
		syscall.EHOSTUNREACH, syscall.ENETUNREACH, net.ErrClosed, io.ErrClosedPipe, io.ErrUnexpectedEOF} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// moved accounts for a chunk of n bytes that ended with err, and waits as the rate
// wants. A deadline that passed is no error before the whole stall time has.
func (p *pump) moved(n int64, err error) error {
	p.c.task.bytes.Add(n)
	if n > 0 {
		p.idle = 0
	}
	if err != nil {
		if !errors.Is(err, os.ErrDeadlineExceeded) || p.c.Err() != nil {
			return p.failure(err)
		}
		if n == 0 {
			p.idle += p.slice()
		}
		if p.idle >= p.s.cfg.Timeouts.Stall {
			return errStalled
		}
	}
	return p.rate.wait(p.c, n)
}

func (p *pump) slice() time.Duration { return max(p.s.cfg.Timeouts.Stall/stallSlices, 1) }

// deadline is that of the next chunk.
func (p *pump) deadline() time.Time {
	if p.s.cfg.Timeouts.Stall <= 0 {
		return time.Time{}
	}
	return time.Now().Add(p.slice())
}

// send copies f to the connection: by sendfile where f is a file of the kernel,
// else through a buffer.
func (p *pump) send(f fs.File) error {
	_, kernel := f.(syscall.Conn)
	to, tcp := p.conn.(*net.TCPConn)
	if !kernel || !tcp {
		return p.sendBuffered(f, func(b []byte) []byte { return b }, nil)
	}
	for {
		_ = p.conn.SetWriteDeadline(p.deadline())
		lr := io.LimitedReader{R: f, N: p.rate.size()}
		n, err := to.ReadFrom(&lr)
		if err := p.moved(n, err); err != nil {
			return err
		}
		if err == nil && lr.N > 0 {
			return nil
		}
	}
}

// sendText sends f as NVT text (RFC 959 3.1.1.1), less the first skip bytes of
// what would be sent.
func (p *pump) sendText(f fs.File, skip int64) error {
	var enc wire.ASCIIEncoder
	var out []byte
	trim := func(b []byte) []byte {
		n := min(skip, int64(len(b)))
		skip -= n
		return b[n:]
	}
	err := p.sendBuffered(f, func(b []byte) []byte {
		out = enc.Append(out[:0], b)
		return trim(out)
	}, func() []byte { return trim(enc.Flush(nil)) })
	if err == nil && skip > 0 {
		return &vfs.OffsetError{Offset: p.c.rest, Accept: p.c.rest - skip}
	}
	return err
}

// sendBuffered sends what convert makes of each piece of f, and then last.
func (p *pump) sendBuffered(f io.Reader, convert func([]byte) []byte, last func() []byte) error {
	buf := p.s.srv.buffer()
	defer p.s.srv.recycle(buf)
	for {
		n, err := f.Read((*buf)[:min(int64(len(*buf)), p.rate.size())])
		if n > 0 {
			if err := p.write(convert((*buf)[:n])); err != nil {
				return err
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			if p.c.Err() != nil {
				return context.Cause(p.c)
			}
			return vfs.PathError("read", p.c.name, err)
		}
	}
	if last != nil {
		return p.write(last())
	}
	return nil
}

// write sends b in full.
func (p *pump) write(b []byte) error {
	for len(b) > 0 {
		_ = p.conn.SetWriteDeadline(p.deadline())
		n, err := p.conn.Write(b)
		if err := p.moved(int64(n), err); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// receive copies the connection to w until its clean end. The writer gets the
// connection itself, so that it can splice.
func (p *pump) receive(w vfs.Writer) error {
	for {
		_ = p.conn.SetReadDeadline(p.deadline())
		lr := io.LimitedReader{R: p.conn, N: p.rate.size()}
		n, err := w.ReadFrom(&lr)
		if err := p.moved(n, err); err != nil {
			return err
		}
		if err == nil && lr.N > 0 {
			return nil
		}
	}
}

// receiveText is receive for NVT text.
func (p *pump) receiveText(w vfs.Writer) error {
	buf := p.s.srv.buffer()
	defer p.s.srv.recycle(buf)
	var dec wire.ASCIIDecoder
	var out []byte
	for {
		_ = p.conn.SetReadDeadline(p.deadline())
		n, err := p.conn.Read((*buf)[:min(int64(len(*buf)), p.rate.size())])
		out = dec.Append(out[:0], (*buf)[:n])
		if err == io.EOF {
			out = dec.Flush(out)
		}
		if _, err := w.Write(out); err != nil {
			return p.failure(err)
		}
		if err == io.EOF {
			p.c.task.bytes.Add(int64(n))
			return nil
		}
		if err := p.moved(int64(n), err); err != nil {
			return err
		}
	}
}

// What a sender does at most about a client that sends on a connection that is
// not for sending: closing over unread bytes would reset the connection, and the
// client would lose the end of the file.
const (
	drainBytes = 64 << 10
	drainTime  = 100 * time.Millisecond
)

// finishSending ends the data with FIN and swallows what the client may have sent.
func finishSending(conn net.Conn) {
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || !unread(conn) {
		return
	}
	_ = conn.SetReadDeadline(time.Now().Add(drainTime))
	_, _ = io.CopyN(io.Discard, conn, drainBytes)
}
