package wire

import (
	"strings"
	"testing"
)

func TestSplitCommand(t *testing.T) {
	for _, tt := range []struct {
		line, verb, arg string
		hasArg          bool
	}{
		{"NOOP", "NOOP", "", false},
		{"noop", "NOOP", "", false},
		{"", "", "", false},
		{" ", "", "", true},
		{" NOOP", "", "NOOP", true},
		{"CWD ", "CWD", "", true},
		{"CWD  ", "CWD", " ", true},
		{"ReTr  a b ", "RETR", " a b ", true},
		{"STOR\ta", "STOR\tA", "", false},
		{"retr grün", "RETR", "grün", true},
		{"retß\xe4 a", "RETß\xe4", "a", true},
		{"NOOP\r", "NOOP\r", "", false},
		{"PASS a\x00b", "PASS", "a\x00b", true},
	} {
		verb, arg, hasArg := SplitCommand(tt.line)
		if verb != tt.verb || arg != tt.arg || hasArg != tt.hasArg {
			t.Errorf("SplitCommand(%q) = %q, %q, %v; want %q, %q, %v", tt.line, verb, arg, hasArg, tt.verb, tt.arg, tt.hasArg)
		}
	}
	if n := testing.AllocsPerRun(100, func() { SplitCommand("RETR a") }); n != 0 {
		t.Errorf("%v allocations for an upper-case verb", n)
	}
}

// FuzzSplitCommand: no byte is lost, and the verb is what a case-blind
// comparison of ASCII letters takes for the same.
func FuzzSplitCommand(f *testing.F) {
	for _, line := range []string{"NOOP", "retr a b", " x", "CWD ", "\xe4 \xff", "a  b"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		verb, arg, hasArg := SplitCommand(line)
		if hasArg != strings.Contains(line, " ") || strings.Contains(verb, " ") || !hasArg && arg != "" {
			t.Fatalf("%q: %q, %q, %v", line, verb, arg, hasArg)
		}
		back := verb
		if hasArg {
			back += " " + arg
		}
		if len(back) != len(line) {
			t.Fatalf("%q: %q, %q", line, verb, arg)
		}
		for i := range len(back) {
			c := line[i]
			if i < len(verb) && 'a' <= c && c <= 'z' {
				c -= 'a' - 'A'
			}
			if back[i] != c {
				t.Fatalf("%q: byte %d of %q", line, i, back)
			}
		}
	})
}
