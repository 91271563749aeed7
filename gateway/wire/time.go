package wire

import "time"

// ParseTime parses a time-val of RFC 3659 2.3, YYYYMMDDHHMMSS with an optional
// fraction, in UTC. Digits beyond nanoseconds are dropped. The second 60, which
// the RFC allows for leap seconds, is the first of the next minute. Everything
// that is no date of the years 0001 to 9999 is ErrSyntax.
func ParseTime(s string) (time.Time, error) {
	if len(s) < 14 {
		return time.Time{}, ErrSyntax
	}
	// YYYY MM DD HH MM SS
	var v [6]int
	for i, rest := 0, s[:14]; i < len(v); i++ {
		n := 2
		if i == 0 {
			n = 4
		}
		var ok bool
		if v[i], ok = parseDecimal(rest[:n], n, 9999); !ok {
			return time.Time{}, ErrSyntax
		}
		rest = rest[n:]
	}
	nsec, ok := parseFraction(s[14:])
	if !ok || v[0] < 1 || v[1] < 1 || v[1] > 12 || v[2] < 1 || v[3] > 23 || v[4] > 59 || v[5] > 60 {
		return time.Time{}, ErrSyntax
	}
	t := time.Date(v[0], time.Month(v[1]), v[2], v[3], v[4], v[5], nsec, time.UTC)
	if midnight := time.Date(v[0], time.Month(v[1]), v[2], 0, 0, 0, 0, time.UTC); midnight.Day() != v[2] || t.Year() > 9999 {
		return time.Time{}, ErrSyntax
	}
	return t, nil
}

// parseFraction parses "" or "." and digits into nanoseconds.
func parseFraction(s string) (nsec int, ok bool) {
	if s == "" {
		return 0, true
	}
	if len(s) < 2 || s[0] != '.' {
		return 0, false
	}
	for i, scale := 1, 100_000_000; i < len(s); i, scale = i+1, scale/10 {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		nsec += int(s[i]-'0') * scale
	}
	return nsec, true
}

// FormatTime writes t as YYYYMMDDHHMMSS in UTC, for MDTM and MFMT, with the
// year held within 0001 and 9999. The fraction that RFC 3659 allows is left out,
// as the common servers do: scripts parse exactly fourteen digits.
func FormatTime(t time.Time) string {
	return string(appendTime(nil, t))
}

func appendTime(dst []byte, t time.Time) []byte {
	t = t.UTC()
	switch y := t.Year(); {
	case y < 1:
		t = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	case y > 9999:
		t = lastTime()
	}
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	dst = append2(append2(dst, year/100), year%100)
	dst = append2(append2(dst, int(month)), day)
	return append2(append2(append2(dst, hour), minute), second)
}

func lastTime() time.Time { return time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) }

// append2 writes two digits.
func append2(dst []byte, n int) []byte {
	return append(dst, byte('0'+n/10), byte('0'+n%10))
}
