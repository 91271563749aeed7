package auth

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/ftpgate/ftpgate/vfs"
)

// Patterns are globs for single elements of names, as vfs.CompileGlob has them,
// which are compared without case and Unicode normal form: another spelling of a
// name is no way around them, whatever the store takes for the same. The zero value
// has none.
type Patterns struct {
	texts    []string
	compiled []*vfs.Pattern
}

// NewPatterns compiles patterns.
func NewPatterns(texts ...string) (Patterns, error) {
	p := Patterns{texts: texts}
	for _, text := range texts {
		if text == "" || strings.Contains(text, "/") {
			return Patterns{}, fmt.Errorf("pattern %q is not one for a single name, such as *.key; it must have no /", text)
		}
		compiled, err := vfs.CompileGlob(fold(text))
		if err != nil {
			return Patterns{}, fmt.Errorf("pattern %q is too long, or has too many stars or braces", text)
		}
		p.compiled = append(p.compiled, compiled)
	}
	return p, nil
}

// Texts are the patterns as they were given.
func (p Patterns) Texts() []string { return p.texts }

// match reports whether a pattern matches the folded element.
func (p Patterns) match(folded string) bool {
	for _, c := range p.compiled {
		if c.Match(folded) {
			return true
		}
	}
	return false
}

// fold makes names equal that differ in case or normal form alone (Unicode 3.13,
// D145), or in characters that don't show, which some file systems leave out when they
// compare (ext4 with casefold, HFS+); it leaves bytes that are no UTF-8 as they are.
func fold(s string) string {
	if isASCII(s) {
		return strings.ToLower(s)
	}
	if utf8.ValidString(s) {
		return norm.NFC.String(cases.Fold().String(norm.NFD.String(strings.Map(shown, s))))
	}
	var b strings.Builder
	for len(s) > 0 {
		n := 0
		for n < len(s) {
			r, width := utf8.DecodeRuneInString(s[n:])
			if r == utf8.RuneError && width == 1 {
				break
			}
			n += width
		}
		if n > 0 {
			b.WriteString(fold(s[:n]))
		} else {
			b.WriteByte(s[0])
			n = 1
		}
		s = s[n:]
	}
	return b.String()
}

// shown drops what has no form of its own.
func shown(r rune) rune {
	if unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) {
		return -1
	}
	return r
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
