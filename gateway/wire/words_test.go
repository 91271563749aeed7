package wire

import (
	"slices"
	"strings"
	"testing"
)

func TestSplitWords(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want []string // nil: ErrSyntax
	}{
		{"a", []string{"a"}},
		{"a b", []string{"a", "b"}},
		{"  a   b ", []string{"a", "b"}},
		{`"a"`, []string{"a"}},
		{`"two words" b`, []string{"two words", "b"}},
		{`"a""b" """"`, []string{`a"b`, `"`}},
		{`" a "`, []string{" a "}},
		{`a\ b`, []string{`a\`, "b"}},
		{"", nil}, {"   ", nil}, {`"`, nil}, {`""`, nil}, {`"a`, nil}, {`"a""`, nil}, {`"a"b`, nil}, {`a"b`, nil}, {`a "b`, nil}, {`"a" ""`, nil},
	} {
		got, err := SplitWords(tt.in)
		if !slices.Equal(got, tt.want) || (err == ErrSyntax) != (tt.want == nil) {
			t.Errorf("%q: %q, %v; want %q", tt.in, got, err, tt.want)
		}
	}
}

func TestCutQuoted(t *testing.T) {
	for _, tt := range []struct {
		in, word, rest string
		ok             bool
	}{
		{`"a b" 1 2`, "a b", " 1 2", true},
		{`"a"`, "a", "", true},
		{`a b`, "", "a b", false},
		{`"a`, "", "", false},
		{"", "", "", false},
	} {
		word, rest, ok := CutQuoted(tt.in)
		if ok != tt.ok || ok && (word != tt.word || rest != tt.rest) {
			t.Errorf("%q: %q, %q, %v", tt.in, word, rest, ok)
		}
	}
}

// What is split is what was quoted, and nothing in a word is lost.
func FuzzSplitWords(f *testing.F) {
	for _, s := range []string{`a b`, `"a b" c`, `"a""b"`, `"`, `""`, ` "x" `, "a\x00\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		words, err := SplitWords(in)
		if err != nil {
			if len(words) > 0 {
				t.Errorf("words with an error: %q", words)
			}
			return
		}
		var quoted []string
		for _, w := range words {
			if w == "" {
				t.Errorf("%q has an empty word", in)
			}
			quoted = append(quoted, Quote(w))
		}
		again, err := SplitWords(strings.Join(quoted, " "))
		if err != nil || !slices.Equal(again, words) {
			t.Errorf("%q: quoted again %q, %v, want %q", in, again, err, words)
		}
	})
}
