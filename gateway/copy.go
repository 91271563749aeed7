package gateway

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"math"
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
	rate throttle
	idle time.Duration // without a byte, in slices
	z    *deflated     // in MODE Z
}

// stallSlices is in how many parts the stall time is waited for. A chunk that
// ends by its deadline tells that bytes moved, not when: the stall is noticed at
// most one slice late.
const stallSlices = 4

func (s *session) pump(c *call, conn net.Conn, rate throttle) *pump {
	p := &pump{s: s, c: c, conn: conn, rate: rate}
	if s.mode == 'Z' {
		p.z = &deflated{p: p}
	}
	return p
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
// wants.
func (p *pump) moved(n int64, err error) error {
	p.c.task.bytes.Add(n)
	if err := p.progress(n, err); err != nil {
		return err
	}
	return p.rate.wait(p.c, n)
}

// progress judges the end of a chunk. A deadline that passed is no error before the
// whole stall time has.
func (p *pump) progress(n int64, err error) error {
	if n > 0 {
		p.idle = 0
	}
	if err == nil {
		return nil
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) || p.c.Err() != nil {
		return p.failure(err)
	}
	if n == 0 {
		p.idle += p.slice()
	}
	if p.idle >= p.s.cfg.Timeouts.Stall {
		return errStalled
	}
	return nil
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
	if !kernel || !tcp || p.z != nil {
		return p.sendBuffered(f, nil)
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

// encoder turns the bytes of a file into those that are sent; Flush gives the last.
type encoder interface {
	Append(dst, src []byte) []byte
	Flush(dst []byte) []byte
}

// window lets through, of what an encoder would send, the bytes [skip,skip+left).
type window struct {
	encoder
	skip, left int64
}

// cut is applied to all of what the encoder gave.
func (w *window) cut(b []byte) []byte {
	n := min(w.skip, int64(len(b)))
	w.skip -= n
	b = b[n:]
	n = min(w.left, int64(len(b)))
	w.left -= n
	return b[:n]
}

// sendText sends f as NVT text (RFC 959 3.1.1.1), or in records, as far as the
// offset and the part that were asked for want it: they count what is sent.
func (p *pump) sendText(f fs.File) error {
	w := window{encoder: &wire.ASCIIEncoder{}, skip: p.c.rest, left: math.MaxInt64}
	if p.s.stru == 'R' {
		w.encoder = &wire.RecordEncoder{}
	}
	if part := p.c.span; part != (byteRange{}) {
		w.skip, w.left = part.from, part.to-part.from
	}
	err := p.sendBuffered(f, &w)
	if err == nil && w.skip > 0 && p.c.rest > 0 {
		return &vfs.OffsetError{Offset: p.c.rest, Accept: p.c.rest - w.skip}
	}
	return err
}

// sendBuffered sends what text makes of f; nil leaves it as it is.
func (p *pump) sendBuffered(f io.Reader, text *window) error {
	buf := p.s.srv.buffer()
	defer p.s.srv.recycle(buf)
	var encoded []byte
	for text == nil || text.left > 0 {
		n, err := f.Read((*buf)[:min(int64(len(*buf)), p.rate.size())])
		out := (*buf)[:n]
		if text != nil {
			encoded = text.Append(encoded[:0], out)
			out = text.cut(encoded)
		}
		if err := p.write(out); err != nil {
			return err
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
	if text != nil {
		return p.write(text.cut(text.Flush(encoded[:0])))
	}
	return nil
}

// write sends b in full.
func (p *pump) write(b []byte) error {
	if p.z != nil {
		return p.z.write(b)
	}
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
	if p.z != nil {
		return p.receiveBuffered(w, nil)
	}
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

// decoder turns what arrives into the bytes of a file; Flush gives the last, and an
// error if the end can't be here.
type decoder interface {
	Append(dst, src []byte) ([]byte, error)
	Flush(dst []byte) ([]byte, error)
}

// textDecoder is NVT text, of which nothing is wrong.
type textDecoder struct{ wire.ASCIIDecoder }

func (d *textDecoder) Append(dst, src []byte) ([]byte, error) {
	return d.ASCIIDecoder.Append(dst, src), nil
}
func (d *textDecoder) Flush(dst []byte) ([]byte, error) { return d.ASCIIDecoder.Flush(dst), nil }

// receiveBuffered copies what dec makes of what arrives to w; nil leaves it as it is.
func (p *pump) receiveBuffered(w vfs.Writer, dec decoder) error {
	buf := p.s.srv.buffer()
	defer p.s.srv.recycle(buf)
	var decoded []byte
	for {
		n, err := p.read((*buf)[:min(int64(len(*buf)), p.rate.size())])
		out := (*buf)[:n]
		if dec != nil {
			var bad error
			if decoded, bad = dec.Append(decoded[:0], out); bad == nil && err == io.EOF {
				decoded, bad = dec.Flush(decoded)
			}
			if bad != nil {
				return bad
			}
			out = decoded
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

func (p *pump) read(b []byte) (int, error) {
	if p.z != nil {
		return p.z.read(b)
	}
	_ = p.conn.SetReadDeadline(p.deadline())
	return p.conn.Read(b)
}

// What a sender does at most about a client that sends on a connection that is
// not for sending: closing over unread bytes would reset the connection, and the
// client would lose the end of the file.
const (
	drainBytes = 64 << 10
	drainTime  = 100 * time.Millisecond
)

// finish ends the data with what is left of it and FIN, and swallows what the client
// may have sent.
func (p *pump) finish() error {
	if p.z != nil {
		if err := p.z.finish(); err != nil {
			return err
		}
	}
	half, ok := p.conn.(interface{ CloseWrite() error })
	if ok && half.CloseWrite() == nil && unread(p.conn) {
		drain(p.conn)
	}
	return nil
}

func drain(conn net.Conn) {
	_ = conn.SetReadDeadline(time.Now().Add(drainTime))
	_, _ = io.CopyN(io.Discard, conn, drainBytes)
}
