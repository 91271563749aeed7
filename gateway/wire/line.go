package wire

import (
	"bytes"
	"io"
)

// windowSize is how much one Read may bring. Most commands fit; what is longer
// costs more reads, and an idle session holds no more than this.
const windowSize = 256

// LineReader reads command lines from a Telnet stream (RFC 959 5.3, RFC 854).
//
// CR LF ends a line, LF alone does too. Telnet commands are dropped: IAC
// WILL, WONT, DO, DONT with their option, IAC SB up to IAC SE, and every other
// IAC with a command of RFC 854. IAC IAC is the byte 0xFF; so is an IAC
// followed by anything else, because clients send Latin-1 names without doubling
// it. CR NUL is Telnet's carriage return that ends no line (RFC 854, "The NVT
// Printer and Keyboard"): it reads as CR, and so does a CR before any other byte.
// A NUL elsewhere is kept, for the dispatcher to refuse.
//
// ABOR is often announced by IAC IP and the Synch, IAC DM, partly sent as urgent
// data. Depending on where the client puts the urgent mark, and on whether the
// receiver takes urgent data in line, single bytes of the sequence lack their
// partner; at the start of a line, where no verb could have them, a lone
// DM, IP or IAC is dropped as well.
//
// A LineReader at rest holds 256 bytes; the longest line being read is held in
// a buffer that grows up to the limit and is dropped with the line.
type LineReader struct {
	r     io.Reader
	limit int

	window [windowSize]byte
	pos    int // next byte of window to decode
	end    int // end of what was read into window

	line   []byte // decoded so far
	telnet telnetState
	cr     bool // a CR that may belong to the line's end
	sub    int  // bytes dropped in this subnegotiation
	failed bool // a line was too long
}

type telnetState uint8

const (
	telnetData   telnetState = iota
	telnetIAC                // after IAC
	telnetOption             // after IAC WILL, WONT, DO, DONT
	telnetSub                // inside IAC SB
	telnetSubIAC             // after IAC inside IAC SB
)

// The bytes of RFC 854 that have a name here.
const (
	telnetSE   = 0xF0 // the lowest command
	telnetDM   = 0xF2
	telnetIP   = 0xF4
	telnetSB   = 0xFA
	telnetWill = 0xFB // WILL, WONT, DO, DONT follow one another
	telnetDont = 0xFE
	iac        = 0xFF
)

// NewLineReader returns a reader of lines of at most limit bytes, line end not
// counted.
func NewLineReader(r io.Reader, limit int) *LineReader {
	return &LineReader{r: r, limit: limit}
}

// ReadLine returns the next line without its end.
//
// A line above the limit is ErrLineTooLong, now and for ever: what follows can't
// be told from its rest. The end of the stream is io.EOF between lines and
// io.ErrUnexpectedEOF inside one: half a command is never run. Every other
// error is that of the underlying reader, and what was read of the line is kept:
// after os.ErrDeadlineExceeded the next call goes on where this one stopped.
func (l *LineReader) ReadLine() (string, error) {
	for !l.failed {
		if line, done := l.plainLine(); done {
			return line, nil
		}
		for l.pos < l.end {
			b := l.window[l.pos]
			l.pos++
			done, ok := l.decode(b)
			if !ok {
				l.line, l.failed = nil, true
				return "", ErrLineTooLong
			}
			if done {
				line := string(l.line)
				l.line = nil
				return line, nil
			}
		}
		if err := l.fill(); err != nil {
			return "", err
		}
	}
	return "", ErrLineTooLong
}

// plainLine takes a line that is whole in the window and needs no decoding,
// which is nearly every line, without a second buffer.
func (l *LineReader) plainLine() (string, bool) {
	if len(l.line) > 0 || l.telnet != telnetData || l.cr {
		return "", false
	}
	rest := l.window[l.pos:l.end]
	n := bytes.IndexByte(rest, '\n')
	if n < 0 {
		return "", false
	}
	line := rest[:n]
	if n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	if len(line) > l.limit || bytes.IndexByte(line, '\r') >= 0 || bytes.IndexByte(line, iac) >= 0 ||
		len(line) > 0 && line[0] >= telnetSE {
		return "", false
	}
	l.pos += n + 1
	return string(line), true
}

// fill reads into the empty window. An error that comes with bytes is left to the
// next Read to repeat.
func (l *LineReader) fill() error {
	l.pos, l.end = 0, 0
	for range 100 {
		n, err := l.r.Read(l.window[:])
		if n > 0 {
			l.end = n
			return nil
		}
		if err == io.EOF && l.pending() > 0 {
			return io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// decode takes one byte of the Telnet layer. ok is false when a limit is
// exceeded, done is true at the end of the line.
func (l *LineReader) decode(b byte) (done, ok bool) {
	switch l.telnet {
	case telnetData:
		switch {
		case b == iac:
			l.telnet = telnetIAC
			return false, true
		case (b == telnetDM || b == telnetIP) && len(l.line) == 0 && !l.cr:
			return false, true
		}
		return l.data(b)
	case telnetIAC:
		return l.command(b)
	case telnetOption:
		l.telnet = telnetData
		return false, true
	case telnetSubIAC:
		if b == telnetSE {
			l.telnet = telnetData
			return false, true
		}
		l.telnet = telnetSub
	case telnetSub:
		if b == iac {
			l.telnet = telnetSubIAC
		}
	}
	l.sub++
	return false, l.sub <= l.limit
}

// command takes the byte after an IAC.
func (l *LineReader) command(b byte) (done, ok bool) {
	l.telnet = telnetData
	switch {
	case b == iac:
		return l.data(iac)
	case b >= telnetWill && b <= telnetDont:
		l.telnet = telnetOption
		return false, true
	case b == telnetSB:
		l.telnet, l.sub = telnetSub, 0
		return false, true
	case b >= telnetSE:
		return false, true
	}
	if len(l.line) > 0 || l.cr {
		if _, ok := l.data(iac); !ok {
			return false, false
		}
	}
	return l.data(b)
}

// data takes one byte of the text that the Telnet layer carried.
func (l *LineReader) data(b byte) (done, ok bool) {
	if l.cr {
		l.cr = false
		if b == '\n' {
			return true, true
		}
		if !l.store('\r') {
			return false, false
		}
		if b == 0 {
			return false, true
		}
	}
	switch b {
	case '\n':
		return true, true
	case '\r':
		l.cr = true
		return false, true
	}
	return false, l.store(b)
}

// store appends to the line, whose buffer never exceeds the limit.
func (l *LineReader) store(b byte) bool {
	if len(l.line) == cap(l.line) {
		if len(l.line) >= l.limit {
			return false
		}
		grown := make([]byte, len(l.line), min(max(2*cap(l.line), windowSize), l.limit))
		copy(grown, l.line)
		l.line = grown
	}
	l.line = append(l.line, b)
	return true
}

// pending counts the bytes of an unfinished line or Telnet command.
func (l *LineReader) pending() int {
	n := len(l.line)
	if l.cr {
		n++
	}
	if l.telnet != telnetData {
		n++
	}
	return n
}

// Buffered tells how many bytes were read and are not part of a line that
// ReadLine returned, an unfinished line included. Behind AUTH TLS it must be
// 0: anything else was injected in clear.
func (l *LineReader) Buffered() int {
	return l.end - l.pos + l.pending()
}

// Reset goes on with another stream, such as the TLS layer over the first one.
// It refuses with ErrBuffered while bytes of the old one are buffered.
func (l *LineReader) Reset(r io.Reader) error {
	if l.Buffered() > 0 {
		return ErrBuffered
	}
	l.r = r
	return nil
}
