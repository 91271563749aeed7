package wire

import (
	"io/fs"
	"strconv"
	"strings"
	"time"
)

// FactChange is one fact that MFF is to change (draft-somers-ftp-mfxx 5).
type FactChange struct {
	Fact FactSet     // FactModify, FactCreate, FactMode, or another single fact, or 0 for an unknown one
	Time time.Time   // of FactModify and FactCreate
	Mode fs.FileMode // of FactMode
}

// ParseFactChanges splits the argument of MFF, "modify=20240229120000;UNIX.mode=644;
// name", into its facts and the name behind the one space that ends them. A fact
// without '=' or ';', one that comes twice, and a value that does not fit its fact
// are ErrSyntax.
func ParseFactChanges(text string) (changes []FactChange, name string, err error) {
	list, name, _ := strings.Cut(text, " ")
	list, ended := strings.CutSuffix(list, ";")
	if !ended || name == "" {
		return nil, "", ErrSyntax
	}
	var seen FactSet
	for item := range strings.SplitSeq(list, ";") {
		change, err := parseFactChange(item)
		if err != nil || seen&change.Fact != 0 {
			return nil, "", ErrSyntax
		}
		seen |= change.Fact
		changes = append(changes, change)
	}
	return changes, name, nil
}

func parseFactChange(item string) (FactChange, error) {
	fact, value, ok := strings.Cut(item, "=")
	if !ok || fact == "" {
		return FactChange{}, ErrSyntax
	}
	c := FactChange{Fact: ParseFactList(fact)}
	var err error
	switch c.Fact {
	case FactModify, FactCreate:
		c.Time, err = ParseTime(value)
	case FactMode:
		c.Mode, err = ParseMode(value)
	}
	return c, err
}

// AppendTo appends the change as the reply to MFF has it, "Modify=20240229120000;".
func (c FactChange) AppendTo(dst []byte) []byte {
	switch c.Fact {
	case FactModify:
		return append(appendTime(append(dst, "Modify="...), c.Time), ';')
	case FactCreate:
		return append(appendTime(append(dst, "Create="...), c.Time), ';')
	case FactMode:
		return append(appendMode(append(dst, "UNIX.mode="...), c.Mode), ';')
	}
	return dst
}

// ParseMode parses permission bits in three or four octal digits. Only the nine
// bits of fs.ModePerm can be told; others are ErrSyntax.
func ParseMode(text string) (fs.FileMode, error) {
	n, err := strconv.ParseUint(text, 8, 12)
	if err != nil || len(text) < 3 || len(text) > 4 || n > 0o777 {
		return 0, ErrSyntax
	}
	return fs.FileMode(n), nil
}

// ParseUtime parses the argument of SITE UTIME in both of its forms, times in UTC:
//
//	YYYYMMDDhhmm[ss] name
//	name ATIME MTIME CTIME UTC
//
// at is the time of modification.
func ParseUtime(text string) (at time.Time, name string, err error) {
	if rest, ok := cutSuffixFold(text, " UTC"); ok {
		var times [3]time.Time
		for i := len(times) - 1; i >= 0 && ok; i-- {
			space := strings.LastIndexByte(rest, ' ')
			if ok = space > 0; ok {
				times[i], err = parseShortTime(rest[space+1:])
				rest, ok = rest[:space], err == nil
			}
		}
		if ok {
			return times[1], rest, nil
		}
	}
	stamp, name, _ := strings.Cut(text, " ")
	if at, err = parseShortTime(stamp); err != nil || name == "" {
		return time.Time{}, "", ErrSyntax
	}
	return at, name, nil
}

// parseShortTime parses a time whose seconds may be missing.
func parseShortTime(text string) (time.Time, error) {
	if len(text) == 12 {
		text += "00"
	}
	if len(text) != 14 {
		return time.Time{}, ErrSyntax
	}
	return ParseTime(text)
}

func cutSuffixFold(text, suffix string) (string, bool) {
	n := len(text) - len(suffix)
	if n < 0 || !strings.EqualFold(text[n:], suffix) {
		return text, false
	}
	return text[:n], true
}
