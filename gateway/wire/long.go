package wire

import (
	"strconv"
	"time"
)

// AppendLong appends one line of "ls -l", without a line end, in the form that
// clients have learned to parse:
//
//	-rw-r--r--   1 ftp      ftp          1234 Jan 02 15:04 name
//	drwxr-xr-x   1 ftp      ftp             0 Jan 02  2006 name
//	lrwxrwxrwx   1 ftp      ftp             0 Jan 02 15:04 name -> target
//
// Times are shown in loc (nil: UTC), as form says. A time
// before 1970-01-02 is what stores give for "unknown", and makes clients drop the
// line: it is shown as 1980-01-01, one after the year 9999 as the last day of that.
//
// Clients that parse links expect an arrow (curl refuses the whole listing
// without), so a Link without Target points at "?".
func AppendLong(dst []byte, e Entry, form DateForm, now time.Time, loc *time.Location) []byte {
	dst = appendModeLetters(dst, e)
	dst = append(dst, "   1 "...)
	dst = appendColumn(dst, e.Owner)
	dst = appendColumn(dst, e.Group)
	dst = appendSize(dst, max(e.Size, 0))
	dst = append(dst, ' ')
	dst = appendListTime(dst, e.Modify, form, now, loc)
	dst = append(dst, ' ')
	dst = appendName(dst, e.Name)
	if e.Type == Link {
		target := e.Target
		if target == "" {
			target = "?"
		}
		dst = appendName(append(dst, " -> "...), target)
	}
	return dst
}

// DateForm is how the second half of a time in a line of LIST looks.
type DateForm uint8

// DateByAge shows the hour of times that are not older than 180 days and not more than
// one day ahead, and the year of others, as ls does. DateYear always shows the year,
// DateHour always the hour, for programs that know but one form.
const (
	DateByAge DateForm = iota
	DateYear
	DateHour
)

func appendModeLetters(dst []byte, e Entry) []byte {
	mode := e.Mode
	switch {
	case e.Type.isDir():
		dst = append(dst, 'd')
	case e.Type == Link:
		dst = append(dst, 'l')
		mode = 0o777
	default:
		dst = append(dst, '-')
	}
	const letters = "rwxrwxrwx"
	for i := range len(letters) {
		if mode&(1<<(8-i)) != 0 {
			dst = append(dst, letters[i])
		} else {
			dst = append(dst, '-')
		}
	}
	return dst
}

// appendColumn writes an owner or group as one word, padded to eight.
func appendColumn(dst []byte, name string) []byte {
	if name == "" {
		name = "ftp"
	}
	for i := range len(name) {
		if b := name[i]; b <= ' ' || b == 0x7F {
			dst = append(dst, '_')
		} else {
			dst = append(dst, b)
		}
	}
	for n := len(name); n < 8; n++ {
		dst = append(dst, ' ')
	}
	return append(dst, ' ')
}

// appendSize pads to eight; a longer number moves the rest of the line, as ls
// does, and every client goes by words.
func appendSize(dst []byte, size int64) []byte {
	for limit := int64(10_000_000); limit > 1 && size < limit; limit /= 10 {
		dst = append(dst, ' ')
	}
	return strconv.AppendInt(dst, size, 10)
}

// appendListTime writes twelve characters.
func appendListTime(dst []byte, t time.Time, form DateForm, now time.Time, loc *time.Location) []byte {
	if loc == nil {
		loc = time.UTC
	}
	const (
		day    = 24 * time.Hour
		recent = 180 * day
	)
	switch {
	case t.Unix() < int64(day/time.Second):
		t = time.Date(1980, 1, 1, 0, 0, 0, 0, loc)
	case t.In(loc).Year() > 9999:
		t = time.Date(9999, 12, 31, 0, 0, 0, 0, loc)
	default:
		t = t.In(loc)
	}
	const months = "JanFebMarAprMayJunJulAugSepOctNovDec"
	year, month, dayOfMonth := t.Date()
	dst = append(dst, months[3*(month-1):3*month]...)
	dst = append2(append(dst, ' '), dayOfMonth)
	dst = append(dst, ' ')
	if form == DateYear || form == DateByAge && (t.Before(now.Add(-recent)) || t.After(now.Add(day))) {
		dst = append(dst, ' ')
		return append2(append2(dst, year/100), year%100)
	}
	hour, minute, _ := t.Clock()
	dst = append(append2(dst, hour), ':')
	return append2(dst, minute)
}
