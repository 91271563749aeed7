package wire

import (
	"net/netip"
	"strconv"
	"strings"
)

// ParseHostPort parses the argument of PORT, h1,h2,h3,h4,p1,p2 (RFC 959
// 4.1.2): six decimal numbers up to 255. Spaces around a number are tolerated,
// as old clients send them. Port 0 is ErrSyntax, like everything else that fails.
func ParseHostPort(arg string) (netip.AddrPort, error) {
	var n [6]byte
	for i := range n {
		field, rest, more := strings.Cut(arg, ",")
		if more != (i < len(n)-1) {
			return netip.AddrPort{}, ErrSyntax
		}
		v, ok := parseDecimal(strings.Trim(field, " "), 3, 255)
		if !ok {
			return netip.AddrPort{}, ErrSyntax
		}
		n[i], arg = byte(v), rest
	}
	port := uint16(n[4])<<8 | uint16(n[5])
	if port == 0 {
		return netip.AddrPort{}, ErrSyntax
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(n[:4])), port), nil
}

// FormatHostPort writes h1,h2,h3,h4,p1,p2 for PORT and 227. An IPv6 address that
// is no mapped IPv4 one has no such form: ErrFamily.
func FormatHostPort(ap netip.AddrPort) (string, error) {
	addr := ap.Addr().Unmap()
	if !addr.Is4() {
		return "", ErrFamily
	}
	var dst [len("255,255,255,255,255,255")]byte
	b := dst[:0]
	for _, n := range addr.As4() {
		b = strconv.AppendUint(b, uint64(n), 10)
		b = append(b, ',')
	}
	b = strconv.AppendUint(b, uint64(ap.Port()>>8), 10)
	b = append(b, ',')
	b = strconv.AppendUint(b, uint64(ap.Port()&0xFF), 10)
	return string(b), nil
}

// Family is a network protocol by its number of RFC 2428.
type Family uint8

const (
	AnyFamily Family = 0 // EPSV without argument: that of the control connection
	IPv4      Family = 1
	IPv6      Family = 2
)

// ParseExtended parses the argument of EPRT, <d>family<d>address<d>port<d> with
// any delimiter from '!' to '~' (RFC 2428 2). A family other than 1 and 2 is
// ErrFamily, an address that is not of its family or has a zone is ErrSyntax. An
// IPv4 address mapped into IPv6 is returned as IPv4.
func ParseExtended(arg string) (netip.AddrPort, error) {
	arg = strings.Trim(arg, " ")
	if len(arg) < 2 || arg[0] < '!' || arg[0] > '~' || arg[len(arg)-1] != arg[0] {
		return netip.AddrPort{}, ErrSyntax
	}
	delim := arg[:1]
	first, rest, _ := strings.Cut(arg[1:], delim)
	family, err := parseFamily(first)
	if err != nil {
		return netip.AddrPort{}, err
	}
	host, rest, _ := strings.Cut(rest, delim)
	number, rest, more := strings.Cut(rest, delim)
	port, ok := parseDecimal(number, 5, 65535)
	if !more || rest != "" || !ok || port == 0 {
		return netip.AddrPort{}, ErrSyntax
	}
	addr, err := netip.ParseAddr(host)
	if err != nil || addr.Zone() != "" || addr.Is4() != (family == IPv4) {
		return netip.AddrPort{}, ErrSyntax
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(port)), nil
}

// FormatExtendedPassive writes what stands in the parentheses of 229.
func FormatExtendedPassive(port uint16) string {
	return "|||" + strconv.Itoa(int(port)) + "|"
}

// ParseExtendedPassive parses the argument of EPSV: empty, a family (ErrFamily
// if it is another than 1 and 2), or ALL in any case, after which the client
// will use nothing but EPSV (RFC 2428 3 and 4).
func ParseExtendedPassive(arg string) (family Family, all bool, err error) {
	arg = strings.Trim(arg, " ")
	switch {
	case arg == "":
		return AnyFamily, false, nil
	case strings.EqualFold(arg, "ALL"):
		return AnyFamily, true, nil
	}
	family, err = parseFamily(arg)
	return family, false, err
}

func parseFamily(s string) (Family, error) {
	n, ok := parseDecimal(s, 5, 65535)
	if !ok {
		return 0, ErrSyntax
	}
	if n != int(IPv4) && n != int(IPv6) {
		return 0, ErrFamily
	}
	return Family(n), nil
}

// parseDecimal parses 1 to digits decimal digits, at most limit, and nothing else.
func parseDecimal(s string, digits, limit int) (n int, ok bool) {
	if len(s) == 0 || len(s) > digits {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, n <= limit
}
