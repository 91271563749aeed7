package vfs

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gobwas/glob"
)

// The bounds of a pattern; see CompileGlob.
const (
	maxPatternBytes = 1024
	maxPatternStars = 64
	maxAlternatives = 64
	// maxExpanded is in characters of all alternatives together, each of which
	// may hold most of the pattern.
	maxExpanded = 4096
)

// HasMeta reports whether the last element of pattern has a character with a
// meaning for Glob, so that more than one name may match.
func HasMeta(pattern string) bool {
	_, base := Split(pattern)
	return strings.ContainsAny(base, `*?[{\`)
}

// Glob streams the entries of one directory that match the last element of
// pattern, in the order of ReadDir and with its errors. The directory part is a
// name: its characters are taken literally, and no other directory is read.
//
// A file or directory whose name is pattern itself wins: it is then the only
// match, described by Stat. A pattern without meta characters is nothing but
// such a name, and fs.ErrNotExist if there is none; a pattern with them that
// matches nothing is an empty stream. A pattern that CompileGlob refuses is
// fs.ErrInvalid.
func Glob(ctx context.Context, fsys FS, pattern string) iter.Seq2[fs.FileInfo, error] {
	return func(yield func(fs.FileInfo, error) bool) {
		if err := CheckName("glob", pattern); err != nil {
			yield(nil, err)
			return
		}
		info, err := fsys.Stat(ctx, pattern)
		if err == nil || !HasMeta(pattern) || !isNoSuchName(err) {
			yield(info, err)
			return
		}
		dir, base := Split(pattern)
		compiled, err := CompileGlob(base)
		if err != nil {
			yield(nil, PathError("glob", pattern, err))
			return
		}
		for info, err := range fsys.ReadDir(ctx, dir, compiled.Prefix()) {
			if err != nil {
				yield(nil, err)
				return
			}
			if compiled.Match(info.Name()) && !yield(info, nil) {
				return
			}
		}
	}
}

// isNoSuchName tells a store that has no such name, or could not have it or does
// not show it, from one that failed to answer.
func isNoSuchName(err error) bool {
	for _, kind := range []error{fs.ErrNotExist, fs.ErrInvalid, fs.ErrPermission, ErrNotDir} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// Pattern is a compiled glob for one element of a name. It is safe for
// concurrent use.
type Pattern struct {
	alternatives []alternative
	prefix       string
}

// CompileGlob compiles a pattern:
//
//	?        one character
//	*        any characters, also none, also a leading dot
//	[a-z_]   one of these; [!a-z] or [^a-z] one of the others; a ']' right
//	         after the opening is literal, as is a '-' that joins nothing
//	{a,b}    a or b, which are patterns and may hold braces themselves
//	\x       x itself
//
// A character is a rune of UTF-8, or a byte that is part of none. Whatever is
// left open is literal: "[a", "{a", a last "\"; so is "{}". A range from high
// to low holds nothing.
//
// Patterns over 1024 bytes, with more than 64 stars, with more than 64
// combinations of braces, or with combinations of more than 4096 characters in all
// are fs.ErrInvalid. Within these bounds a match takes time proportional to the
// length of the name times that of the combinations, and next to no memory.
func CompileGlob(pattern string) (*Pattern, error) {
	if len(pattern) > maxPatternBytes {
		return nil, PathError("glob", pattern, fs.ErrInvalid)
	}
	tokens := scanGlob(escapeRaw(pattern))
	stars := 0
	for _, t := range tokens {
		if t.kind == tokenStar {
			stars++
		}
	}
	expanded, ok := expandBraces(tokens)
	if stars > maxPatternStars || !ok {
		return nil, PathError("glob", pattern, fs.ErrInvalid)
	}
	p := &Pattern{}
	for _, tokens := range expanded {
		a, possible, err := compileAlternative(tokens)
		if err != nil {
			return nil, PathError("glob", pattern, errors.Join(fs.ErrInvalid, err))
		}
		if !possible {
			continue
		}
		prefix := unescapeRaw(literalPrefix(tokens))
		if len(p.alternatives) > 0 {
			prefix = commonPrefix(p.prefix, prefix)
		}
		p.prefix = prefix
		p.alternatives = append(p.alternatives, a)
	}
	return p, nil
}

// Prefix is what every matching name begins with.
func (p *Pattern) Prefix() string { return p.prefix }

// Match reports whether all of name matches.
func (p *Pattern) Match(name string) bool {
	var steps int
	return p.match(name, &steps)
}

// match adds to steps how many characters, or bytes of literal text, were looked at.
func (p *Pattern) match(name string, steps *int) bool {
	name = escapeRaw(name)
	for _, a := range p.alternatives {
		if a.match(name, steps) {
			return true
		}
	}
	return false
}

// alternative is a pattern without braces, cut at its stars: n stars make n+1
// pieces.
//
// gobwas/glob would match it as a whole, but takes time exponential in the number
// of stars. Because a star stands for anything, the leftmost place for each
// piece leaves the most to the pieces behind it, and no choice has to be revised.
type alternative []piece

func (a alternative) match(s string, steps *int) bool {
	n, ok := a[0].matchPrefix(s, steps)
	if !ok || len(a) == 1 {
		return ok && n == len(s)
	}
	s = s[n:]
	last := len(a) - 1
	n, ok = a[last].matchSuffix(s, steps)
	if !ok {
		return false
	}
	s = s[:len(s)-n]
	for _, p := range a[1:last] {
		end, ok := p.find(s, steps)
		if !ok {
			return false
		}
		s = s[end:]
	}
	return true
}

// piece is a pattern without braces and stars. It matches a fixed number of
// characters.
type piece struct {
	chars int
	text  string        // what a literal piece matches
	glob  *glob.Pattern // nil for a literal piece
}

// matchPrefix matches the beginning of s and returns how much of it, in bytes.
func (p piece) matchPrefix(s string, steps *int) (n int, ok bool) {
	*steps += p.chars
	if p.glob == nil {
		return len(p.text), strings.HasPrefix(s, p.text)
	}
	n, ok = skipChars(s, p.chars)
	return n, ok && p.glob.Match(s[:n])
}

// matchSuffix matches the end of s and returns how much of it, in bytes.
func (p piece) matchSuffix(s string, steps *int) (n int, ok bool) {
	*steps += p.chars
	if p.glob == nil {
		return len(p.text), strings.HasSuffix(s, p.text)
	}
	start := len(s)
	for range p.chars {
		if start == 0 {
			return 0, false
		}
		_, width := utf8.DecodeLastRuneInString(s[:start])
		start -= width
	}
	return len(s) - start, p.glob.Match(s[start:])
}

// find returns the end of the leftmost match in s, in bytes.
func (p piece) find(s string, steps *int) (end int, ok bool) {
	if p.glob == nil {
		i := strings.Index(s, p.text)
		if i < 0 {
			*steps += len(s)
			return 0, false
		}
		*steps += i + len(p.text)
		return i + len(p.text), true
	}
	start := 0
	end, ok = skipChars(s, p.chars)
	for ok {
		*steps += p.chars
		if p.glob.Match(s[start:end]) {
			return end, true
		}
		var first, next int
		first, _ = skipChars(s[start:], 1)
		next, ok = skipChars(s[end:], 1)
		start, end = start+first, end+next
	}
	return 0, false
}

// skipChars returns how many bytes the first n characters of s take.
func skipChars(s string, n int) (bytes int, ok bool) {
	for range n {
		if bytes == len(s) {
			return 0, false
		}
		_, width := utf8.DecodeRuneInString(s[bytes:])
		bytes += width
	}
	return bytes, true
}

// compileAlternative compiles tokens without braces. It is not possible for
// anything to match if a class is empty.
func compileAlternative(tokens []token) (a alternative, possible bool, err error) {
	for {
		n := slices.IndexFunc(tokens, func(t token) bool { return t.kind == tokenStar })
		run := tokens
		if n >= 0 {
			run = tokens[:n]
		}
		// Between two stars an empty piece asks nothing.
		if len(run) > 0 || len(a) == 0 || n < 0 {
			p, possible, err := compilePiece(run)
			if err != nil || !possible {
				return nil, false, err
			}
			a = append(a, p)
		}
		if n < 0 {
			return a, true, nil
		}
		tokens = tokens[n+1:]
	}
}

func compilePiece(tokens []token) (p piece, possible bool, err error) {
	var source, text strings.Builder
	literal := true
	for _, t := range tokens {
		switch t.kind {
		case tokenAny:
			source.WriteByte('?')
		case tokenClass:
			if len(t.class) == 0 {
				return piece{}, false, nil
			}
			writeClass(&source, t.class)
		default:
			source.WriteString(glob.QuoteMeta(t.text))
			text.WriteString(t.text)
			continue
		}
		literal = false
	}
	p = piece{chars: len(tokens), text: text.String()}
	if !literal {
		p.glob, err = glob.Compile(source.String())
	}
	return p, true, err
}

// writeClass writes a class for gobwas/glob, which has single ranges and their
// negation but no mixtures: those become alternatives. They are disjoint, so that
// at most one of them matches and backtracking into the others ends at once.
func writeClass(b *strings.Builder, class []runeRange) {
	if others := complement(slices.Clone(class)); len(others) == 1 {
		writeRange(b, "[!", others[0])
		return
	}
	b.WriteByte('{')
	for i, r := range class {
		if i > 0 {
			b.WriteByte(',')
		}
		if r.lo == '!' {
			// "[!-" would begin a negation.
			b.WriteByte('!')
			if r.lo == r.hi {
				continue
			}
			b.WriteByte(',')
			r.lo++
		}
		writeRange(b, "[", r)
	}
	b.WriteByte('}')
}

func writeRange(b *strings.Builder, open string, r runeRange) {
	b.WriteString(open)
	b.WriteRune(r.lo)
	b.WriteByte('-')
	b.WriteRune(r.hi)
	b.WriteByte(']')
}

// literalPrefix returns what every match of tokens without braces begins with.
func literalPrefix(tokens []token) string {
	var b strings.Builder
	for _, t := range tokens {
		if t.kind == tokenAny || t.kind == tokenClass || t.kind == tokenStar {
			break
		}
		b.WriteString(t.text)
	}
	return b.String()
}

func commonPrefix(a, b string) string {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return a[:n]
}

// A byte that is part of no rune becomes a rune of its own, the byte on top of
// rawBase, because gobwas/glob takes only valid UTF-8 and would not tell such
// bytes apart. These last runes of Unicode are private; where a name has one, each of its
// bytes counts as invalid, so that different names stay different.
const rawBase = 0x10FF00

// escapeRaw returns s as valid UTF-8.
func escapeRaw(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0xF4) < 0 {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, width := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && width == 1 || r >= rawBase+0x80 {
			r, width = rawBase+rune(s[0]), 1
		}
		b.WriteRune(r)
		s = s[width:]
	}
	return b.String()
}

// unescapeRaw undoes escapeRaw.
func unescapeRaw(s string) string {
	if strings.IndexByte(s, 0xF4) < 0 {
		return s
	}
	var b []byte
	for _, r := range s {
		if r >= rawBase+0x80 {
			b = append(b, byte(r))
		} else {
			b = utf8.AppendRune(b, r)
		}
	}
	return string(b)
}
