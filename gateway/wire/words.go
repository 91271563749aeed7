package wire

import "strings"

// SplitWords splits the argument of a command that takes several names. Words are
// separated by spaces; one in double quotes may hold spaces, and double quotes that
// are doubled, as in the reply to PWD (RFC 959, Appendix II). An argument without a
// word, an empty word, a quote that stays open and one inside a bare word are
// ErrSyntax.
func SplitWords(text string) ([]string, error) {
	var words []string
	for text = strings.TrimLeft(text, " "); text != ""; text = strings.TrimLeft(text, " ") {
		word, rest, err := cutWord(text)
		if err != nil {
			return nil, err
		}
		words, text = append(words, word), rest
	}
	if len(words) == 0 {
		return nil, ErrSyntax
	}
	return words, nil
}

// CutQuoted splits a word in double quotes from what follows it. It is false if text
// doesn't begin with one.
func CutQuoted(text string) (word, rest string, ok bool) {
	if !strings.HasPrefix(text, `"`) {
		return "", text, false
	}
	word, rest, err := cutWord(text)
	return word, rest, err == nil
}

// cutWord splits off the first word of text, which has one.
func cutWord(text string) (word, rest string, err error) {
	if text[0] != '"' {
		word, rest, _ = strings.Cut(text, " ")
		if strings.Contains(word, `"`) {
			return "", "", ErrSyntax
		}
		return word, rest, nil
	}
	var b strings.Builder
	for rest = text[1:]; ; {
		piece, after, closed := strings.Cut(rest, `"`)
		if !closed {
			return "", "", ErrSyntax
		}
		b.WriteString(piece)
		if rest = after; !strings.HasPrefix(rest, `"`) {
			break
		}
		b.WriteByte('"')
		rest = rest[1:]
	}
	if b.Len() == 0 || rest != "" && rest[0] != ' ' {
		return "", "", ErrSyntax
	}
	return b.String(), rest, nil
}
