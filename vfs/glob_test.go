package vfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var globTests = []struct {
	pattern string
	yes, no []string
}{
	{"", []string{""}, []string{"a"}},
	{"abc", []string{"abc"}, []string{"", "ab", "abcd", "Abc", "xabc"}},
	{"*", []string{"", "a", ".hidden", "a b", "\xff", "ü"}, nil},
	{"***", []string{"", "a", "abc"}, nil},
	{"a*", []string{"a", "ab", "a.b"}, []string{"", "ba"}},
	{"*a", []string{"a", "ba", "aaa"}, []string{"", "ab"}},
	{"a*a", []string{"aa", "aba", "aaa"}, []string{"a", "ab", ""}},
	{"ab*ba", []string{"abba", "abxba"}, []string{"aba", "abab"}},
	{"*.txt", []string{".txt", "a.txt", "a.txt.txt"}, []string{"a.txt~", "txt"}},
	{"a*b*c", []string{"abc", "aXbYc", "abbcc", "abcbc"}, []string{"acb", "ab", "bc", "abcd"}},
	{"*ab*ab*", []string{"abab", "xabxabx"}, []string{"aba", "ab", "xabxa"}},
	{"*aab", []string{"aaab", "aab"}, []string{"aaba"}},
	{"a*ba*c", []string{"abac", "abbac", "abaxc"}, []string{"abc"}},

	{"?", []string{"a", "ü", "€", "😀", "\xff", "\xe4"}, []string{"", "ab", "\xc3\x28", "\xe2\x82"}},
	{"??", []string{"ab", "üä", "\xff\xfe", "\xe2\x82"}, []string{"a", "€", "abc"}},
	{"a?c", []string{"abc", "aüc", "a\xffc"}, []string{"ac", "abbc"}},
	{"?*", []string{"a", "abc"}, []string{""}},
	{"*?", []string{"a", "ü"}, []string{""}},
	{"*??x*", []string{"abx", "üüxz", "aabx"}, []string{"ax", "üx", "x"}},
	{"?*?", []string{"ab", "aüb", "üü"}, []string{"a", "€"}},

	{"[abc]", []string{"a", "b", "c"}, []string{"", "d", "ab"}},
	{"[a-c]", []string{"a", "b", "c"}, []string{"d", "-"}},
	{"[a-cx-z_]", []string{"a", "c", "x", "z", "_"}, []string{"d", "w", "-"}},
	{"[c-a]", nil, []string{"a", "b", "c", "-", ""}},
	{"[!c-a]", []string{"a", "-"}, []string{"", "ab"}},
	{"[!a-c]", []string{"d", "ü", "\xff"}, []string{"", "a", "b"}},
	{"[^a-c]", []string{"d", "!", "^"}, []string{"a", "c"}},
	{"[!a-cx]", []string{"d", "y"}, []string{"a", "x"}},
	{"[a^]", []string{"a", "^"}, []string{"b"}},
	{"[a!]", []string{"a", "!"}, []string{"b"}},
	{"[]]", []string{"]"}, []string{"", "[]]", "[]"}},
	{"[]a]", []string{"]", "a"}, []string{"b", "]a"}},
	{"[^]a]", []string{"b", "["}, []string{"]", "a"}},
	{"[!]]", []string{"b"}, []string{"]"}},
	{"[]-a]", []string{"]", "^", "a"}, []string{"-", "b"}},
	{"[a-]", []string{"a", "-"}, []string{"b"}},
	{"[-a]", []string{"a", "-"}, []string{"b"}},
	{"[!-a]", []string{"b"}, []string{"a", "-"}},
	{"[-]", []string{"-"}, []string{"a"}},
	{"[!-]", []string{"a"}, []string{"-"}},
	{"[--]", []string{"-"}, []string{"a"}},
	{"[--0]", []string{"-", ".", "/", "0"}, []string{",", "1"}},
	{"[+--]", []string{"+", ",", "-"}, []string{"*", "."}},
	{"[!!]", []string{"a"}, []string{"!"}},
	{"[\\!-a]", []string{"!", "\"", "A", "a"}, []string{" ", "b"}},
	{"[a-c-e]", []string{"a", "c", "-", "e"}, []string{"d"}},
	{"[*?{},[]", []string{"*", "?", "{", "}", ",", "["}, []string{"a", "]"}},
	{"[\\]]", []string{"]"}, []string{"\\"}},
	{"[a\\-c]", []string{"a", "-", "c"}, []string{"b"}},
	{"[\\\\-a]", []string{"\\", "^", "a"}, []string{"[", "-"}},
	{"[a-\\]]", nil, []string{"a", "]", "b"}},
	{"[\\^a]", []string{"^", "a"}, []string{"b"}},
	{"[ä-ü]", []string{"ä", "ö", "ü"}, []string{"ý", "a", "\xe4"}},
	{"[一-龥x]", []string{"中", "x"}, []string{"a", "あ"}},
	{"[!一-龥a-z]", []string{"あ", "A", "\xff"}, []string{"中", "a"}},
	{"[\uD7FF-\uE000]", []string{"\uD7FF", "\uE000"}, []string{"\uD7FE", "\xff", "\uFFFD"}},
	{"[!\uD7FE]", []string{"\uD7FF", "\uFFFD", "\xff", "\x00", "\U0010FFFF"[:1]}, []string{"\uD7FE"}},
	{"[aaaaa]", []string{"a"}, []string{"aa"}},
	{"[aa-cb]x", []string{"ax", "cx"}, []string{"dx"}},
	{"*[0-9]*[a-z]", []string{"1a", "x1a", "x12xa"}, []string{"a1", "1", "a"}},
	{"x[0-9][0-9]*", []string{"x00", "x12y"}, []string{"x1", "x1a"}},

	// What is open at the end is literal.
	{"[", []string{"["}, []string{"", "a"}},
	{"[]", []string{"[]"}, []string{"]", "["}},
	{"[!]", []string{"[!]"}, []string{"a"}},
	{"[a", []string{"[a"}, []string{"a"}},
	{"[a-", []string{"[a-"}, []string{"a"}},
	{"[a\\", []string{"[a\\"}, []string{"a"}},
	{"[[a]", []string{"[", "a"}, []string{"[[a]"}},
	{"[a[b", []string{"[a[b"}, []string{"ab"}},
	{"*[a", []string{"[a", "x[a"}, []string{"a"}},
	{"]", []string{"]"}, nil},
	{"a\\", []string{"a\\"}, []string{"a"}},
	{"\\", []string{"\\"}, []string{""}},

	{"\\*", []string{"*"}, []string{"a", "\\*"}},
	{"\\a\\?\\[x\\]\\\\", []string{"a?[x]\\"}, []string{"ab[x]\\"}},
	{"\\{a,b\\}", []string{"{a,b}"}, []string{"a", "b"}},
	{"\\ü", []string{"ü"}, nil},
	{"\\\xff", []string{"\xff"}, nil},

	{"{a,b}", []string{"a", "b"}, []string{"", "ab", "{a,b}", ","}},
	{"{a}", []string{"a"}, []string{"{a}"}},
	{"{}", []string{"{}"}, []string{""}},
	{"{,a}", []string{"", "a"}, []string{","}},
	{"x{,a,}y", []string{"xy", "xay"}, []string{"x,y"}},
	{"{a,b}{1,2}", []string{"a1", "a2", "b1", "b2"}, []string{"a", "ab"}},
	{"{a{1,2},b}x", []string{"a1x", "a2x", "bx"}, []string{"ax", "b1x"}},
	{"*.{jpg,png,tar.{gz,xz}}", []string{"a.jpg", "b.png", "c.tar.gz", "c.tar.xz"}, []string{"a.gif", "c.tar", "c.gz"}},
	{"{*a,b*}", []string{"xa", "bx", "a", "b"}, []string{"xb"}},
	{"{a", []string{"{a"}, []string{"a"}},
	{"{a,b", []string{"{a,b"}, []string{"a"}},
	{"a,b", []string{"a,b"}, []string{"a"}},
	{"a}", []string{"a}"}, []string{"a"}},
	{"{a,b}}", []string{"a}", "b}"}, []string{"a"}},
	{"{{a,b}", []string{"{a", "{b"}, []string{"a"}},
	{"{a,{b}", []string{"{a,b"}, []string{"a", "b"}},
	{"{a{}b,c}", []string{"a{}b", "c"}, []string{"ab"}},
	{"{[,],x}", []string{",", "x"}, []string{"[", "]"}},
	{"{[}],x}", []string{"}", "x"}, nil},
	{"{a\\,b,c}", []string{"a,b", "c"}, []string{"a", "b"}},
	{"{a\\},b}", []string{"a}", "b"}, []string{"a"}},
	{"{[a,b}", []string{"[a", "b"}, []string{"a"}},
	{"{?,[0-9]*}", []string{"x", "12"}, []string{"xy"}},

	// Bytes that are no UTF-8 are characters of their own.
	{"gr\xfcn*", []string{"gr\xfcn", "gr\xfcn.txt"}, []string{"grün", "gr\xffn", "gr\uFFFDn"}},
	{"[\xe4\xfc]", []string{"\xe4", "\xfc"}, []string{"ä", "ü", "\xff", "\uFFFD"}},
	{"[\xe0-\xff]", []string{"\xe4", "\xfc"}, []string{"ä", "\xdf", "\uFFFD"}},
	{"[!\xe4]", []string{"\xe5", "ä"}, []string{"\xe4"}},
	{"\uFFFD", []string{"\uFFFD"}, []string{"\xff"}},
	{"*\xa4", []string{"\xa4", "x\xa4"}, []string{"ä"}},
	{"*\xa4*", []string{"\xa4\xa4"}, []string{"ä"}},
	{"?\U0010FFFF", []string{"a\U0010FFFF"}, []string{"a\xff", "a\xf4\x8f\xbf"}},
	{"\xff", []string{"\xff"}, []string{"\U0010FFFF", "\U0010FF80"}},
	{"\U00100000*", []string{"\U00100000", "\U00100000a"}, []string{"\xf4"}},
}

func TestMatch(t *testing.T) {
	for _, tt := range globTests {
		p, err := CompileGlob(tt.pattern)
		if err != nil {
			t.Errorf("%q: %v", tt.pattern, err)
			continue
		}
		for _, name := range tt.yes {
			if !p.Match(name) {
				t.Errorf("%q does not match %q", tt.pattern, name)
			}
			if !strings.HasPrefix(name, p.Prefix()) {
				t.Errorf("%q: %q matches without its prefix %q", tt.pattern, name, p.Prefix())
			}
		}
		for _, name := range tt.no {
			if p.Match(name) {
				t.Errorf("%q matches %q", tt.pattern, name)
			}
		}
	}
}

func TestPrefix(t *testing.T) {
	for pattern, want := range map[string]string{
		"": "", "abc": "abc", "abc*": "abc", "*abc": "", "a?c": "a", "a[b]c": "a", "a\\*b*": "a*b", "ab{c,d}": "ab",
		"{abc,abd}*": "ab", "{a,b}": "", "x{,y}": "x", "{abc,ab[c-a]}": "abc", "[c-a]": "", "gr\xfcn*": "gr\xfcn",
		"ü{ä,ö}": "ü\xc3", "[a": "[a", "\U0010FFFF*": "\U0010FFFF", "{a}b,c*": "ab,c",
	} {
		p, err := CompileGlob(pattern)
		if err != nil || p.Prefix() != want {
			t.Errorf("%q: prefix %q, %v; want %q", pattern, p.Prefix(), err, want)
		}
	}
}

func TestGlobBounds(t *testing.T) {
	braces := func(n int) string { return "{" + strings.TrimSuffix(strings.Repeat("a,", n), ",") + "}" }
	for _, tt := range []struct {
		name, pattern string
		ok            bool
	}{
		{"1024 bytes", strings.Repeat("a", 1024), true},
		{"1025 bytes", strings.Repeat("a", 1025), false},
		{"64 stars", strings.Repeat("a*", 64), true},
		{"65 stars", strings.Repeat("a*", 65), false},
		{"64 stars in a row", strings.Repeat("*", 64), true},
		{"65 stars in a row", strings.Repeat("*", 65), false},
		{"100 stars that are none", strings.Repeat("\\*", 50) + "[" + strings.Repeat("*", 50) + "]", true},
		{"65 stars in braces", "{" + strings.Repeat("*,", 65) + "a}", false},
		{"64 alternatives", braces(64), true},
		{"65 alternatives", braces(65), false},
		{"2 to the 6th", strings.Repeat("{a,b}", 6), true},
		{"2 to the 7th", strings.Repeat("{a,b}", 7), false},
		{"2 to the 200th", strings.Repeat("{a,b}", 200), false},
		{"8 by 8 nested", "{" + strings.TrimSuffix(strings.Repeat(braces(8)+",", 8), ",") + "}", true},
		{"8 by 8 nested, and one", "{" + strings.Repeat(braces(8)+",", 8) + "a}", false},
		{"nested 512 deep", strings.Repeat("{", 511) + "a}" + strings.Repeat("}", 510), true},
		{"512 open braces", strings.Repeat("{", 512), true},
		{"1024 open brackets", strings.Repeat("[", 1024), true},
		{"4096 characters in all", braces(64) + strings.Repeat("b", 63), true},
		{"4160 characters in all", braces(64) + strings.Repeat("b", 64), false},
		{"all classes", strings.Repeat("[ac]", 256), true},
	} {
		_, err := CompileGlob(tt.pattern)
		if tt.ok && err != nil || !tt.ok && !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%s: %v", tt.name, err)
		}
		var pe *fs.PathError
		if err != nil && (!errors.As(err, &pe) || pe.Path != tt.pattern) {
			t.Errorf("%s: %#v does not carry the pattern", tt.name, err)
		}
	}
}

// hostile are patterns within the bounds with names on which naive matchers take
// exponential or cubic time.
func hostile() map[string]string {
	a255 := strings.Repeat("a", 255)
	return map[string]string{
		strings.Repeat("*a", 6) + "*?c?":                                                              a255[:254] + "b",
		strings.Repeat("a*", 64) + "b":                                                                a255,
		strings.Repeat("*a", 64) + "b*"[:1]:                                                           a255,
		strings.Repeat("*?", 63) + "*"[:0] + "b":                                                      a255,
		strings.Repeat("[a-z]*", 63) + "[0-9]":                                                        a255,
		strings.Repeat("*[ac]", 63) + "b":                                                             a255,
		"*" + strings.Repeat("?", 127) + "b*":                                                         a255,
		"*" + strings.Repeat("[ac]", 120) + "b*":                                                      a255,
		"*" + strings.Repeat("[ab-za-c0]", 100) + "!*":                                                a255,
		"*" + strings.Repeat("[!b]", 120) + "b*":                                                      a255,
		"*" + strings.Repeat("[ac]", 120) + "[b]*":                                                    strings.Repeat("c", 255),
		"*" + strings.Repeat("a", 127) + "b*":                                                         a255,
		strings.Repeat("*", 32) + "a" + strings.Repeat("*", 31) + "b":                                 a255,
		strings.Repeat("{a,[ab]}", 6) + "*" + strings.Repeat("?", 50) + "c*":                          a255,
		"{" + strings.TrimSuffix(strings.Repeat("*,", 64), ",") + "}" + strings.Repeat("a", 60) + "b": a255,
		strings.Repeat("{*,?}", 6) + "b":                                                              a255,
		"*[一-龥x]" + strings.Repeat("[一-龥x]", 100) + "y*":                                              strings.Repeat("中", 255),
		strings.Repeat("*\xff", 64):                                                                   strings.Repeat("\xff", 63),
	}
}

// The work is at most the product of the lengths of the expanded pattern and of
// the name. What gobwas/glob does with one piece is counted as one step a
// character; were it to backtrack, as it would with overlapping alternatives, the
// test would not end.
func TestMatchIsLinear(t *testing.T) {
	for pattern, name := range hostile() {
		p, err := CompileGlob(pattern)
		if err != nil {
			t.Errorf("%q: %v", pattern, err)
			continue
		}
		steps := 0
		if p.match(name, &steps) {
			t.Errorf("%q matches %q", pattern, name)
		}
		size := 0
		for _, a := range p.alternatives {
			for _, piece := range a {
				size += 1 + piece.chars
			}
		}
		if limit := size * (1 + len(escapeRaw(name))); steps > limit {
			t.Errorf("%.40q…: %d steps for a pattern of %d and a name of %d characters", pattern, steps, size, len(name))
		}
	}
}

// Twice the stars, or twice the name, is at most about twice the work.
func TestMatchGrowth(t *testing.T) {
	work := func(stars, length int) int {
		p, err := CompileGlob(strings.Repeat("*[a-z]", stars) + "0")
		if err != nil {
			t.Fatal(err)
		}
		steps := 0
		if p.match(strings.Repeat("a", length), &steps) {
			t.Fatal("matched")
		}
		return steps
	}
	if few, many := work(30, 10000), work(60, 10000); many > 3*few {
		t.Errorf("30 stars take %d steps, 60 take %d", few, many)
	}
	if short, long := work(60, 10000), work(60, 20000); long > 3*short {
		t.Errorf("10000 characters take %d steps, 20000 take %d", short, long)
	}
}

func TestMatchAllocs(t *testing.T) {
	for pattern, name := range map[string]string{
		"*.txt": "report.txt", "*[0-9]*": "report-2024.txt", "[!a-z]?*.{jpg,png}": "IMG_0001.png", "*a*b*c*": "xaxbxcx",
	} {
		p, err := CompileGlob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(1000, func() {
			if !p.Match(name) {
				t.Fatalf("%q does not match %q", pattern, name)
			}
		}); n != 0 {
			t.Errorf("%q: %v allocations", pattern, n)
		}
	}
	for pattern, name := range hostile() {
		p, err := CompileGlob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		// gobwas/glob pools the states of its alternatives, but a pool may
		// forget (under -race it does so at random): then each comparison allocates a
		// few times.
		if n := testing.AllocsPerRun(20, func() { p.Match(name) }); n > float64(8*len(name)) {
			t.Errorf("%.40q…: %v allocations", pattern, n)
		}
	}
}

func TestMatchConcurrently(t *testing.T) {
	p, err := CompileGlob("*[a-c0-9]*{x,y}")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan bool)
	for range 4 {
		go func() {
			ok := true
			for i := range 500 {
				ok = ok && p.Match(fmt.Sprint("name", i, "x")) && !p.Match(fmt.Sprint("name", i))
			}
			done <- ok
		}()
	}
	for range 4 {
		if !<-done {
			t.Error("wrong answer")
		}
	}
}

func TestHasMeta(t *testing.T) {
	for pattern, want := range map[string]bool{
		"a": false, "a*": true, "a?": true, "[a": true, "a\\b": true, "{a": true, "a]}": false, ".": false, "": false,
		"x/a*": true, "x*/a": false, "[x]/{y}/a": false,
	} {
		if got := HasMeta(pattern); got != want {
			t.Errorf("HasMeta(%q) = %v", pattern, got)
		}
	}
}

// globFS is one directory "d" beside files in the root; it notes what is asked.
type globFS struct {
	FS      // every other method panics
	entries []Info
	statErr error
	listErr error
	stats   []string
	lists   []string
	yielded int
}

func (g *globFS) Stat(_ context.Context, name string) (fs.FileInfo, error) {
	g.stats = append(g.stats, name)
	if g.statErr != nil {
		return nil, PathError("stat", name, g.statErr)
	}
	for _, e := range g.entries {
		if Join("d", e.Name()) == name {
			return e, nil
		}
	}
	return nil, PathError("stat", name, fs.ErrNotExist)
}

func (g *globFS) ReadDir(_ context.Context, name, prefix string) iter.Seq2[fs.FileInfo, error] {
	return func(yield func(fs.FileInfo, error) bool) {
		g.lists = append(g.lists, name+"|"+prefix)
		if name != "d" {
			yield(nil, PathError("readdir", name, fs.ErrNotExist))
			return
		}
		for _, e := range g.entries {
			if strings.HasPrefix(e.Name(), prefix) {
				g.yielded++
				if !yield(e, nil) {
					return
				}
			}
		}
		if g.listErr != nil {
			yield(nil, PathError("readdir", name, g.listErr))
		}
	}
}

func newGlobFS(names ...string) *globFS {
	g := &globFS{}
	for i, name := range names {
		g.entries = append(g.entries, NewInfo(name, int64(i), 0o644, time.Unix(0, 0), nil))
	}
	return g
}

func globNames(fsys FS, pattern string) (names []string, err error) {
	for info, err := range Glob(context.Background(), fsys, pattern) {
		if err != nil {
			return names, err
		}
		names = append(names, info.Name())
	}
	return names, nil
}

func TestGlob(t *testing.T) {
	names := []string{"a.txt", "b.txt", ".hidden", "[001]", "0", "1", "a*", "ab", "{x,y}", "x", "back\\slash"}
	for _, tt := range []struct {
		pattern string
		want    []string
		list    string // of ReadDir; empty: not asked
		err     error
	}{
		{"d/*", names, "d|", nil},
		{"d/*.txt", []string{"a.txt", "b.txt"}, "d|", nil},
		{"d/a?*", []string{"a.txt", "a*", "ab"}, "d|a", nil},
		{"d/.*", []string{".hidden"}, "d|.", nil},
		{"d/nothing*", nil, "d|nothing", nil},
		{"d/[01]", []string{"0", "1"}, "d|", nil},

		// The name itself wins.
		{"d/[001]", []string{"[001]"}, "", nil},
		{"d/a*", []string{"a*"}, "", nil},
		{"d/{x,y}", []string{"{x,y}"}, "", nil},
		{"d/back\\slash", []string{"back\\slash"}, "", nil},
		{"d/ab", []string{"ab"}, "", nil},
		{"d/a\\*", []string{"a*"}, "d|a*", nil},

		{"d/absent", nil, "", fs.ErrNotExist},
		{"d*/a.txt", nil, "", fs.ErrNotExist},
		{"[d]/*.txt", nil, "[d]|", fs.ErrNotExist},
		{"absent/*", nil, "absent|", fs.ErrNotExist},
		{"d/" + strings.Repeat("*", 65), nil, "", fs.ErrInvalid},
		{"d/" + strings.Repeat("a", 1024) + "*", nil, "", fs.ErrInvalid},
		{"../*", nil, "", fs.ErrInvalid},
		{"d//*", nil, "", fs.ErrInvalid},
		{"d/*\x00", nil, "", fs.ErrInvalid},
		{"d/*/", nil, "", fs.ErrInvalid},
		{"/d/*", nil, "", fs.ErrInvalid},
		{"", nil, "", fs.ErrInvalid},
	} {
		g := newGlobFS(names...)
		got, err := globNames(g, tt.pattern)
		if !slices.Equal(got, tt.want) || !errors.Is(err, tt.err) {
			t.Errorf("%.40q: %q, %v; want %q, %v", tt.pattern, got, err, tt.want, tt.err)
		}
		if lists := strings.Join(g.lists, " "); lists != tt.list {
			t.Errorf("%.40q: listed %q, want %q", tt.pattern, lists, tt.list)
		}
		if errors.Is(tt.err, fs.ErrInvalid) && len(g.stats) > 1 {
			t.Errorf("%.40q: asked for %q", tt.pattern, g.stats)
		}
	}
}

// Entries are passed on as they come, and nothing is read behind the last one wanted.
func TestGlobStreams(t *testing.T) {
	var names []string
	for i := range 1000 {
		names = append(names, fmt.Sprint("f", i))
	}
	g := newGlobFS(names...)
	for info, err := range Glob(context.Background(), g, "d/f*0") {
		if err != nil {
			t.Fatal(err)
		}
		if info.Name() == "f20" {
			break
		}
	}
	if g.yielded != 21 {
		t.Errorf("read %d entries to find the third match", g.yielded)
	}
}

func TestGlobErrors(t *testing.T) {
	broken := errors.New("broken")
	g := newGlobFS("a", "b")
	g.listErr = broken
	if got, err := globNames(g, "d/*"); !errors.Is(err, broken) || len(got) != 2 {
		t.Errorf("a listing that breaks off: %q, %v", got, err)
	}
	// A store that can't look the pattern up as a name may still list.
	for _, statErr := range []error{fs.ErrNotExist, fs.ErrInvalid, fs.ErrPermission, ErrNotDir} {
		g := newGlobFS("a", "b")
		g.statErr = statErr
		if got, err := globNames(g, "d/*"); err != nil || len(got) != 2 {
			t.Errorf("Stat says %v: %q, %v", statErr, got, err)
		}
		if _, err := globNames(g, "d/a"); !errors.Is(err, statErr) {
			t.Errorf("Stat says %v: %v", statErr, err)
		}
	}
	for _, statErr := range []error{broken, context.Canceled, ErrBusy} {
		g := newGlobFS("a", "b")
		g.statErr = statErr
		if got, err := globNames(g, "d/*"); !errors.Is(err, statErr) || len(got) > 0 || len(g.lists) > 0 {
			t.Errorf("Stat says %v: %q, %v", statErr, got, err)
		}
	}
}

func TestSize(t *testing.T) {
	ctx := context.Background()
	g := &globFS{entries: []Info{
		NewInfo("f", 12, 0o644, time.Time{}, nil),
		NewInfo("dir", 4096, fs.ModeDir|0o755, time.Time{}, nil),
		NewInfo("fifo", 0, fs.ModeNamedPipe|0o644, time.Time{}, nil),
		NewInfo("part", 5, 0o644, time.Time{}, &Attr{Staged: true}),
	}}
	for _, tt := range []struct {
		name string
		want int64
		err  error
	}{
		{"d/f", 12, nil}, {"d/part", 5, nil}, {"d/dir", 0, ErrIsDir}, {"d/fifo", 0, fs.ErrPermission}, {"d/absent", 0, fs.ErrNotExist},
	} {
		got, err := Size(ctx, g, tt.name)
		if got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("Size(%s) = %d, %v; want %d, %v", tt.name, got, err, tt.want, tt.err)
		}
		var pe *fs.PathError
		if err != nil && (!errors.As(err, &pe) || pe.Path != tt.name || pe.Op != "size") {
			t.Errorf("Size(%s): %#v", tt.name, err)
		}
	}
	if len(g.lists) > 0 {
		t.Error("Size reads directories")
	}
}

// FuzzGlobPathMatch compares with path.Match where the two mean the same. They
// differ on purpose in:
//
//   - braces and "[!", which path.Match doesn't know, and '/', which no element holds;
//   - patterns that path.Match refuses: they are literal here;
//   - bytes that are no UTF-8, which path.Match takes for U+FFFD in classes;
//   - stars before other things than ASCII: path.Match tries the inside of a rune.
func FuzzGlobPathMatch(f *testing.F) {
	for _, tt := range globTests {
		for _, name := range append(tt.yes, tt.no...) {
			f.Add(tt.pattern, name)
		}
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		p, err := CompileGlob(pattern)
		if err != nil {
			if !errors.Is(err, fs.ErrInvalid) || strings.Contains(err.Error(), "glob: syntax error") {
				t.Fatal(err)
			}
			t.Skip()
		}
		got := p.Match(name)
		if got && !strings.HasPrefix(name, p.Prefix()) {
			t.Fatalf("%q matches %q, but its prefix is %q", pattern, name, p.Prefix())
		}
		ascii := strings.IndexFunc(name, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
		if strings.ContainsAny(pattern+name, "/{}") || strings.Contains(pattern, "[!") ||
			!utf8.ValidString(pattern) || !utf8.ValidString(name) || strings.Contains(pattern, "*") && !ascii {
			t.Skip()
		}
		want, err := path.Match(pattern, name)
		if err != nil {
			t.Skip()
		}
		if got != want {
			t.Fatalf("%q on %q: %v, path.Match says %v", pattern, name, got, want)
		}
	})
}

// FuzzGlobRegexp compares the matching of pieces with a regular expression made of
// the same tokens, on all names, and bounds the work.
func FuzzGlobRegexp(f *testing.F) {
	for _, tt := range globTests {
		for _, name := range append(tt.yes, tt.no...) {
			f.Add(tt.pattern, name)
		}
	}
	for pattern, name := range hostile() {
		f.Add(pattern, name)
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if len(name) > 300 {
			t.Skip()
		}
		p, err := CompileGlob(pattern)
		if err != nil {
			t.Skip()
		}
		steps, size := 0, 0
		got := p.match(name, &steps)
		expanded, _ := expandBraces(scanGlob(escapeRaw(pattern)))
		want := false
		for _, tokens := range expanded {
			size += len(tokens) + 2
			want = want || tokenRegexp(tokens).MatchString(escapeRaw(name))
		}
		if got != want {
			t.Fatalf("%q on %q: %v, as a regular expression %v", pattern, name, got, want)
		}
		if limit := size * (1 + len(escapeRaw(name))); steps > limit {
			t.Fatalf("%q on %q: %d steps", pattern, name, steps)
		}
		if back := unescapeRaw(escapeRaw(name)); back != name || !utf8.ValidString(escapeRaw(name)) {
			t.Fatalf("%q came back as %q", name, back)
		}
	})
}

func tokenRegexp(tokens []token) *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	for _, t := range tokens {
		switch t.kind {
		case tokenStar:
			b.WriteString(".*")
		case tokenAny:
			b.WriteByte('.')
		case tokenClass:
			if len(t.class) == 0 {
				b.WriteString(`[^\x{0}-\x{10FFFF}]`)
				continue
			}
			b.WriteByte('[')
			for _, r := range t.class {
				fmt.Fprintf(&b, `\x{%x}-\x{%x}`, r.lo, r.hi)
			}
			b.WriteByte(']')
		default:
			b.WriteString(regexp.QuoteMeta(t.text))
		}
	}
	b.WriteString(`\z`)
	return regexp.MustCompile(b.String())
}

func BenchmarkMatch(b *testing.B) {
	for _, pattern := range []string{"*.txt", "*[0-9]*", "[a-zA-Z]*.{txt,log}", "*??x*"} {
		p, err := CompileGlob(pattern)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(pattern, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.Match("report-of-the-year-2024-final.txt")
			}
		})
	}
}
