package wire

import "bytes"

// ASCIIEncoder turns local text into TYPE A (RFC 959 3.1.1.1): LF becomes CR LF,
// a CR LF that is already there stays, a CR elsewhere is left alone. The result
// does not depend on how the text is cut into calls. The zero value is ready.
type ASCIIEncoder struct {
	cr bool // the last byte was CR
}

// Append appends the encoding of src, at most twice its length, to dst; the two
// must not overlap.
func (e *ASCIIEncoder) Append(dst, src []byte) []byte {
	for len(src) > 0 {
		n := bytes.IndexByte(src, '\n')
		if n < 0 {
			e.cr = src[len(src)-1] == '\r'
			return append(dst, src...)
		}
		if n > 0 {
			e.cr = src[n-1] == '\r'
		}
		dst = append(dst, src[:n]...)
		if !e.cr {
			dst = append(dst, '\r')
		}
		dst = append(dst, '\n')
		e.cr = false
		src = src[n+1:]
	}
	return dst
}

// Flush ends the text; an encoder holds nothing back, so dst stays as it is.
func (e *ASCIIEncoder) Flush(dst []byte) []byte {
	e.cr = false
	return dst
}

// ASCIIDecoder turns TYPE A into local text: CR LF becomes LF, a CR before
// anything else is kept. The result does not depend on how the text is cut into
// calls. The zero value is ready.
type ASCIIDecoder struct {
	cr bool // a CR is held back until the next byte is known
}

// Append appends the decoding of src, at most one byte longer than src, to dst;
// the two must not overlap.
func (d *ASCIIDecoder) Append(dst, src []byte) []byte {
	for len(src) > 0 {
		if d.cr {
			d.cr = false
			if src[0] != '\n' {
				dst = append(dst, '\r')
			}
		}
		n := bytes.IndexByte(src, '\r')
		if n < 0 {
			return append(dst, src...)
		}
		dst = append(dst, src[:n]...)
		d.cr = true
		src = src[n+1:]
	}
	return dst
}

// Flush ends the text: a CR that was held back is appended to dst.
func (d *ASCIIDecoder) Flush(dst []byte) []byte {
	if d.cr {
		d.cr = false
		dst = append(dst, '\r')
	}
	return dst
}
