package wire

import (
	"io/fs"
	"strconv"
	"strings"
	"time"
)

// FactSet is a set of facts of MLST and MLSD (RFC 3659 7.5).
type FactSet uint16

// The facts, in the order in which they are written.
const (
	FactType FactSet = 1 << iota
	FactSize
	FactModify
	FactCreate
	FactPerm
	FactUnique
	FactMediaType
	FactMode  // UNIX.mode
	FactOwner // UNIX.owner
	FactGroup // UNIX.group

	factEnd

	// NoFacts is what "OPTS MLST" without a list selects: names only.
	NoFacts FactSet = 0
	// AllFacts is every fact that AppendFacts can write.
	AllFacts = factEnd - 1
)

// name returns how a single fact is written: in lower case, as every client
// reads it, but UNIX.* as registered, which some compare with case.
func (f FactSet) name() string {
	switch f {
	case FactType:
		return "type"
	case FactSize:
		return "size"
	case FactModify:
		return "modify"
	case FactCreate:
		return "create"
	case FactPerm:
		return "perm"
	case FactUnique:
		return "unique"
	case FactMediaType:
		return "media-type"
	case FactMode:
		return "UNIX.mode"
	case FactOwner:
		return "UNIX.owner"
	case FactGroup:
		return "UNIX.group"
	}
	return ""
}

// Has reports whether all facts of want are in the set.
func (f FactSet) Has(want FactSet) bool { return f&want == want }

// String lists the facts as the reply to OPTS MLST does, "type;size;"; it is
// empty for none.
func (f FactSet) String() string { return f.Features(NoFacts) }

// Features lists the facts as FEAT does, with the selected ones marked:
// "type*;size*;create;".
func (f FactSet) Features(selected FactSet) string {
	var b strings.Builder
	for one := FactType; one < factEnd; one <<= 1 {
		if !f.Has(one) {
			continue
		}
		b.WriteString(one.name())
		if selected.Has(one) {
			b.WriteByte('*')
		}
		b.WriteByte(';')
	}
	return b.String()
}

// ParseFactList parses the list of OPTS MLST, "size;modify;", in any case.
// Unknown facts are ignored (RFC 3659 7.9); a missing last ';' is tolerated.
func ParseFactList(list string) FactSet {
	var set FactSet
	for item := range strings.SplitSeq(list, ";") {
		item = strings.Trim(item, " ")
		for one := FactType; one < factEnd; one <<= 1 {
			if strings.EqualFold(item, one.name()) {
				set |= one
			}
		}
	}
	return set
}

// AppendFacts appends the selected facts of e that are known, a space and the
// name (RFC 3659 7.2), without a line end:
//
//	type=file;size=1024;modify=20240229120000; name
//
// A dangling link is "type=OS.unix=slink". Bytes that the grammar forbids in
// values are replaced by '_', in unique by %XX so that it stays unique.
func AppendFacts(dst []byte, e Entry, selected FactSet) []byte {
	if selected.Has(FactType) {
		dst = append(append(dst, "type="...), e.Type.fact()...)
		dst = append(dst, ';')
	}
	if selected.Has(FactSize) && e.Type == File && e.Size >= 0 {
		dst = strconv.AppendInt(append(dst, "size="...), e.Size, 10)
		dst = append(dst, ';')
	}
	if selected.Has(FactModify) {
		dst = appendTimeFact(dst, "modify=", e.Modify)
	}
	if selected.Has(FactCreate) {
		dst = appendTimeFact(dst, "create=", e.Create)
	}
	if selected.Has(FactPerm) {
		dst = appendValue(append(dst, "perm="...), e.Perm, false)
		dst = append(dst, ';')
	}
	if selected.Has(FactUnique) && e.Unique != "" {
		dst = appendValue(append(dst, "unique="...), e.Unique, true)
		dst = append(dst, ';')
	}
	if selected.Has(FactMediaType) && e.MediaType != "" {
		// Parameters such as charset can't be written: they begin with ';'.
		media, _, _ := strings.Cut(e.MediaType, ";")
		dst = appendValue(append(dst, "media-type="...), strings.Trim(media, " "), false)
		dst = append(dst, ';')
	}
	if selected.Has(FactMode) {
		dst = appendMode(append(dst, "UNIX.mode="...), e.Mode)
		dst = append(dst, ';')
	}
	if selected.Has(FactOwner) && e.Owner != "" {
		dst = appendValue(append(dst, "UNIX.owner="...), e.Owner, false)
		dst = append(dst, ';')
	}
	if selected.Has(FactGroup) && e.Group != "" {
		dst = appendValue(append(dst, "UNIX.group="...), e.Group, false)
		dst = append(dst, ';')
	}
	return appendName(append(dst, ' '), e.Name)
}

func (t EntryType) fact() string {
	switch t {
	case Dir:
		return "dir"
	case CurrentDir:
		return "cdir"
	case ParentDir:
		return "pdir"
	case Link:
		return "OS.unix=slink"
	}
	return "file"
}

// appendTimeFact leaves out a time that is unknown.
func appendTimeFact(dst []byte, name string, t time.Time) []byte {
	if t.IsZero() {
		return dst
	}
	return append(appendTime(append(dst, name...), t), ';')
}

// appendMode writes four octal digits.
func appendMode(dst []byte, mode fs.FileMode) []byte {
	m := mode.Perm()
	return append(dst, '0', byte('0'+m>>6), byte('0'+m>>3&7), byte('0'+m&7))
}

// appendValue writes what RFC 3659 7.2 allows in a value (SCHAR), and the rest
// as %XX with escape, else as '_'.
func appendValue(dst []byte, value string, escape bool) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(value) {
		switch b := value[i]; {
		case isValueByte(b) && !(escape && b == '%'):
			dst = append(dst, b)
		case escape:
			dst = append(dst, '%', hex[b>>4], hex[b&15])
		default:
			dst = append(dst, '_')
		}
	}
	return dst
}

// isValueByte reports whether b is an SCHAR of RFC 3659 7.2.
func isValueByte(b byte) bool {
	const (
		digits  = (1<<10 - 1) << '0'
		letters = (1<<26 - 1) << ('A' - 64)
		low     = digits | 1<<'!' | 1<<'"' | 1<<'#' | 1<<'$' | 1<<'%' | 1<<'&' | 1<<'\'' | 1<<'(' | 1<<')' |
			1<<'+' | 1<<',' | 1<<'-' | 1<<'.' | 1<<'/' | 1<<':' | 1<<'=' | 1<<'?'
		high = letters | letters<<('a'-'A') | 1<<('@'-64) | 1<<('\\'-64) | 1<<('^'-64) | 1<<('_'-64)
	)
	if b < 64 {
		return uint64(low)>>b&1 != 0
	}
	return uint64(high)>>(b-64)&1 != 0 && b < 128
}
