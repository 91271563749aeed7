package wire

import "strings"

// Reply is what the server says: a code of three digits and its text. No
// Lines is one empty line. A Code outside 100…599 is sent as 451.
type Reply struct {
	Code  int
	Lines []string
}

// AppendTo appends the reply, with its CR LF, as RFC 959 4.2 has it:
//
//	211-Extensions supported:
//	 SIZE
//	211 End
//
// Every line between the first and the last begins with one space, so that
// none can be taken for the end. Control characters other than TAB are replaced by
// '?', because a name that came from a store must not break the protocol, and
// 0xFF is doubled for Telnet.
func (r Reply) AppendTo(dst []byte) []byte {
	code := r.Code
	if code < 100 || code > 599 {
		code = 451
	}
	if len(r.Lines) == 0 {
		return append(appendCode(dst, code, ' '), "\r\n"...)
	}
	last := len(r.Lines) - 1
	for i, line := range r.Lines {
		switch i {
		case last:
			dst = appendCode(dst, code, ' ')
		case 0:
			dst = appendCode(dst, code, '-')
		default:
			dst = append(dst, ' ')
		}
		dst = append(appendText(dst, line), "\r\n"...)
	}
	return dst
}

func appendCode(dst []byte, code int, sep byte) []byte {
	return append(dst, byte('0'+code/100), byte('0'+code/10%10), byte('0'+code%10), sep)
}

func appendText(dst []byte, text string) []byte {
	for i := range len(text) {
		switch b := text[i]; {
		case b < ' ' && b != '\t' || b == 0x7F:
			dst = append(dst, '?')
		case b == iac:
			dst = append(dst, iac, iac)
		default:
			dst = append(dst, b)
		}
	}
	return dst
}

// Quote puts a path in double quotes, with its own doubled (RFC 959, Appendix
// II), for 257.
func Quote(path string) string {
	return `"` + strings.ReplaceAll(path, `"`, `""`) + `"`
}
