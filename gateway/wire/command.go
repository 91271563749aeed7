package wire

import "strings"

// SplitCommand splits a line into the verb, with a–z upper-cased, and its
// argument. Exactly one space ends the verb; the argument is everything behind it
// and is never trimmed, because names may begin and end with spaces. hasArg tells
// "CWD " from "CWD". A line that begins with a space has an empty verb.
func SplitCommand(line string) (verb, arg string, hasArg bool) {
	verb, arg, hasArg = strings.Cut(line, " ")
	for i := range len(verb) {
		if 'a' <= verb[i] && verb[i] <= 'z' {
			return upper(verb), arg, hasArg
		}
	}
	return verb, arg, hasArg
}

// upper changes ASCII only: other bytes of a verb are no text in any known
// charset.
func upper(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'a' <= c && c <= 'z' {
			b[i] = c - 'a' + 'A'
		}
	}
	return string(b)
}
