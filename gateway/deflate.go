package gateway

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/ftpgate/ftpgate/gateway/wire"
)

// deflated is a data connection in MODE Z (draft-preston-ftpext-deflate): all of its
// data is one zlib stream. What is counted, limited and held against ALLO and the
// rate is the data as it is in the file, so that no bomb gets past.
type deflated struct {
	p *pump

	buf bytes.Buffer // compressed, to be sent next
	w   *zlib.Writer

	r       io.Reader
	arrived bool // at least one byte
	ended   bool // with the checksum of the stream: all has arrived
}

// write compresses and sends b. It holds nothing back, because a listing has to move.
func (z *deflated) write(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if err := z.compress(); err != nil {
		return err
	}
	if _, err := z.w.Write(b); err != nil {
		return err
	}
	if err := z.w.Flush(); err != nil {
		return err
	}
	if err := z.send(); err != nil {
		return err
	}
	return z.p.moved(int64(len(b)), nil)
}

// compress begins the stream, once.
func (z *deflated) compress() (err error) {
	if z.w == nil {
		z.w, err = zlib.NewWriterLevel(&z.buf, z.p.s.level)
	}
	return err
}

// finish ends the stream; also one without data is there.
func (z *deflated) finish() error {
	if err := z.compress(); err != nil {
		return err
	}
	if err := z.w.Close(); err != nil {
		return err
	}
	return z.send()
}

// send sends what is compressed, in full.
func (z *deflated) send() error {
	for z.buf.Len() > 0 {
		_ = z.p.conn.SetWriteDeadline(z.p.deadline())
		n, err := z.p.conn.Write(z.buf.Bytes())
		z.buf.Next(n)
		if err := z.p.progress(int64(n), err); err != nil {
			return err
		}
	}
	return nil
}

// read reads what is in the stream; io.EOF is its checked end. An upload without a
// single byte is an empty file: some clients begin no stream without data.
func (z *deflated) read(b []byte) (int, error) {
	if z.r == nil {
		r, err := zlib.NewReader((*compressed)(z))
		if err != nil {
			if !z.arrived && errors.Is(err, io.ErrUnexpectedEOF) {
				return 0, io.EOF
			}
			return 0, damage(err)
		}
		z.r = r
	}
	n, err := z.r.Read(b)
	if err == io.EOF {
		z.ended = true
		drain(z.p.conn) // closing over the client's close_notify would look like an abort
	} else if err != nil {
		err = damage(err)
	}
	return n, err
}

// damage tells data that is no zlib stream from a connection that ended.
func damage(err error) error {
	var corrupt flate.CorruptInputError
	if errors.As(err, &corrupt) || errors.Is(err, zlib.ErrHeader) || errors.Is(err, zlib.ErrChecksum) || errors.Is(err, zlib.ErrDictionary) {
		return errDeflate
	}
	return err
}

// compressed is what arrives. A deadline that passes is no error here before it is a
// stall, because zlib would remember it.
type compressed deflated

func (z *compressed) Read(b []byte) (int, error) {
	for {
		_ = z.p.conn.SetReadDeadline(z.p.deadline())
		n, err := z.p.conn.Read(b)
		z.arrived = z.arrived || n > 0
		if err == io.EOF {
			return n, err
		}
		if err := z.p.progress(int64(n), err); err != nil {
			return n, err
		}
		if n > 0 {
			return n, nil
		}
	}
}

// defaultLevel is that of compress/flate: more costs time and gains little.
const defaultLevel = 6

// draft-preston-ftpext-deflate 3.4: options are words and their values; without any
// they are as at first. There is one engine, and one method.
func (s *session) cmdOptsMode(c *call) (wire.Reply, error) {
	words := strings.Fields(strings.ToUpper(c.text))
	if s.cfg.Data.Deflate == DeflateOff || len(words) == 0 || words[0] != "Z" {
		return wire.Reply{}, refuse(504, "That mode has no options.")
	}
	level := defaultLevel
	for words = words[1:]; len(words) > 0; words = words[2:] {
		if len(words) == 1 {
			return wire.Reply{}, refuse(501, "Syntax: OPTS MODE Z [LEVEL <0 to 9>].")
		}
		switch value := words[1]; words[0] {
		case "LEVEL":
			n, err := strconv.ParseUint(value, 10, 8)
			if err != nil || n > flate.BestCompression {
				return wire.Reply{}, refuse(501, "Level must be 0 to 9.")
			}
			level = int(n)
		case "ENGINE", "METHOD":
			if value != "ZLIB" && value != "8" {
				return wire.Reply{}, refuse(504, "Only zlib and its method 8 are supported.")
			}
		default:
			return wire.Reply{}, refuse(504, "Unknown option; there is LEVEL.")
		}
	}
	s.level = level
	return replyf(200, "MODE Z LEVEL set to %d.", level), nil
}

// draft-preston-ftpext-deflate 3.5.
func featMode(s *session) []string {
	if s.cfg.Data.Deflate != DeflateOffer {
		return nil
	}
	return []string{"MODE Z"}
}
