package wire

import (
	"bytes"
	"errors"
)

// ErrRecord is a control code that RFC 959 3.4.1 does not have, data behind the end of
// the file, or a file without its end.
var ErrRecord = errors.New("not in record structure")

// The codes of record structure in stream mode (RFC 959 3.4.1): two bytes, of which
// the first is all ones; a byte of data with all ones is sent twice.
const (
	escape      = 0xFF
	endOfRecord = 1
	endOfFile   = 2
)

// RecordEncoder turns local text into records (RFC 959 3.1.2.2 and 3.4.1): each line
// is one, and a last line without LF is data without an end of record, so that a
// RecordDecoder gets the same text back. The result does not depend on how the text
// is cut into calls. The zero value is ready.
type RecordEncoder struct{}

// Append appends the encoding of src, at most twice its length, to dst; the two must
// not overlap.
func (*RecordEncoder) Append(dst, src []byte) []byte {
	for len(src) > 0 {
		n := 0
		for n < len(src) && src[n] != '\n' && src[n] != escape {
			n++
		}
		dst = append(dst, src[:n]...)
		if n == len(src) {
			break
		}
		if src[n] == '\n' {
			dst = append(dst, escape, endOfRecord)
		} else {
			dst = append(dst, escape, escape)
		}
		src = src[n+1:]
	}
	return dst
}

// Flush appends the end of the file to dst.
func (*RecordEncoder) Flush(dst []byte) []byte { return append(dst, escape, endOfFile) }

// RecordDecoder turns records into local text: the end of each is LF. It also knows the
// code that is the end of a record and of the file in one. The result does not depend
// on how the records are cut into calls. The zero value is ready.
type RecordDecoder struct {
	escaped bool
	ended   bool
}

// Append appends the decoding of src, no longer than src, to dst; the two must not
// overlap. The error is ErrRecord.
func (d *RecordDecoder) Append(dst, src []byte) ([]byte, error) {
	for len(src) > 0 {
		if d.ended {
			return dst, ErrRecord
		}
		if d.escaped {
			d.escaped = false
			switch src[0] {
			case escape:
				dst = append(dst, escape)
			case endOfRecord:
				dst = append(dst, '\n')
			case endOfFile:
				d.ended = true
			case endOfRecord | endOfFile:
				dst, d.ended = append(dst, '\n'), true
			default:
				return dst, ErrRecord
			}
			src = src[1:]
			continue
		}
		n := bytes.IndexByte(src, escape)
		if n < 0 {
			return append(dst, src...), nil
		}
		dst = append(dst, src[:n]...)
		d.escaped = true
		src = src[n+1:]
	}
	return dst, nil
}

// Flush ends the text; without the code for the end of the file it is ErrRecord.
func (d *RecordDecoder) Flush(dst []byte) ([]byte, error) {
	if !d.ended {
		return dst, ErrRecord
	}
	return dst, nil
}

// Ended reports whether the code for the end of the file has come.
func (d *RecordDecoder) Ended() bool { return d.ended }
