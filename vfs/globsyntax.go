package vfs

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// token is one character of a pattern, what stands for one, a star, or a part
// of the brace syntax. text is how it is written, a backslash left out: a brace or
// comma that turns out to be no syntax is literal.
type token struct {
	kind  tokenKind
	text  string
	class []runeRange
	// match is the index of the closing brace of an opening one that is syntax.
	match int
}

type tokenKind uint8

const (
	tokenLiteral tokenKind = iota
	tokenAny
	tokenClass
	tokenStar
	tokenOpen
	tokenComma
	tokenClose
)

// scanGlob splits a pattern into tokens and pairs its braces.
func scanGlob(s string) []token {
	var (
		tokens   []token
		open     []int
		unclosed bool // no class can end any more
	)
	for len(s) > 0 {
		_, n := utf8.DecodeRuneInString(s)
		t := token{text: s[:n]}
		switch s[0] {
		case '*':
			t.kind = tokenStar
		case '?':
			t.kind = tokenAny
		case '\\':
			if _, width := utf8.DecodeRuneInString(s[1:]); width > 0 {
				n = 1 + width
				t.text = s[1:n]
			}
		case '[':
			if unclosed {
				break
			}
			class, length, ok := scanClass(s)
			if ok {
				t.kind, t.class, n = tokenClass, class, length
			}
			unclosed = !ok
		case '{':
			open = append(open, len(tokens))
		case ',':
			t.kind = tokenComma
		case '}':
			if len(open) == 0 {
				break
			}
			i := open[len(open)-1]
			open = open[:len(open)-1]
			if i < len(tokens)-1 {
				tokens[i].kind, tokens[i].match = tokenOpen, len(tokens)
				t.kind = tokenClose
			}
		}
		tokens = append(tokens, t)
		s = s[n:]
	}
	return tokens
}

// runeRange is the characters from lo to hi, both included.
type runeRange struct{ lo, hi rune }

// scanClass reads the class that s begins with and returns its characters as
// disjoint ranges in order, and its length in s. It is not ok if the class never
// ends.
func scanClass(s string) (class []runeRange, length int, ok bool) {
	i := 1
	negated := i < len(s) && (s[i] == '!' || s[i] == '^')
	if negated {
		i++
	}
	next := func() (r rune, ok bool) {
		if i < len(s) && s[i] == '\\' {
			i++
		}
		r, width := utf8.DecodeRuneInString(s[i:])
		i += width
		return r, width > 0
	}
	for first := true; ; first = false {
		if i < len(s) && s[i] == ']' && !first {
			break
		}
		lo, ok := next()
		if !ok {
			return nil, 0, false
		}
		hi := lo
		if strings.HasPrefix(s[i:], "-") && !strings.HasPrefix(s[i:], "-]") {
			i++
			if hi, ok = next(); !ok {
				return nil, 0, false
			}
		}
		if lo <= hi {
			class = append(class, runeRange{lo, hi})
		}
	}
	if negated {
		return complement(class), i + 1, true
	}
	return disjoint(class), i + 1, true
}

// disjoint sorts ranges and joins those that touch.
func disjoint(class []runeRange) []runeRange {
	slices.SortFunc(class, func(a, b runeRange) int { return int(a.lo - b.lo) })
	joined := class[:0]
	for _, r := range class {
		if last := len(joined) - 1; last >= 0 && r.lo <= joined[last].hi+1 {
			joined[last].hi = max(joined[last].hi, r.hi)
		} else {
			joined = append(joined, r)
		}
	}
	return joined
}

// complement returns all other characters; surrogates are none.
func complement(class []runeRange) []runeRange {
	var others []runeRange
	next := rune(0)
	for _, r := range disjoint(append(class, runeRange{0xD800, 0xDFFF})) {
		if next < r.lo {
			others = append(others, runeRange{next, r.lo - 1})
		}
		next = r.hi + 1
	}
	if next <= utf8.MaxRune {
		others = append(others, runeRange{next, utf8.MaxRune})
	}
	return others
}

// expandBraces returns the combinations of all braces, as patterns without; it is
// not ok if there are too many, or they are too long.
func expandBraces(tokens []token) (expanded [][]token, ok bool) {
	combinations, ok := combine(tokens, 0, len(tokens), false)
	total := 0
	for _, c := range combinations {
		total += len(c)
	}
	if !ok || total > maxExpanded {
		return nil, false
	}
	for _, c := range combinations {
		alternative := make([]token, len(c))
		for i, index := range c {
			alternative[i] = tokens[index]
		}
		expanded = append(expanded, alternative)
	}
	return expanded, true
}

// combine returns the combinations of tokens[from:to] as lists of indexes; inside
// of braces a comma begins another.
func combine(tokens []token, from, to int, braces bool) (done [][]uint16, ok bool) {
	current := [][]uint16{nil}
	for i := from; i < to; i++ {
		switch t := tokens[i]; {
		case t.kind == tokenOpen:
			inner, ok := combine(tokens, i+1, t.match, true)
			if !ok || len(current)*len(inner) > maxAlternatives {
				return nil, false
			}
			var product [][]uint16
			for _, a := range current {
				for _, b := range inner {
					product = append(product, slices.Concat(a, b))
				}
			}
			current, i = product, t.match
		case t.kind == tokenComma && braces:
			done, current = append(done, current...), [][]uint16{nil}
		default:
			for k := range current {
				current[k] = append(current[k], uint16(i))
			}
		}
	}
	done = append(done, current...)
	return done, len(done) <= maxAlternatives
}
