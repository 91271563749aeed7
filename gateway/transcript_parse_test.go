package gateway_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/ftpgate/ftpgate/vfs"
)

// transcript is a dialogue file; testdata/wire/README.md describes the format.
type transcript struct {
	file  string
	head  []step // settings, which come before the first step
	steps []step
}

// step is one line, with the indented lines below it.
type step struct {
	at    string // file:line
	text  string
	verb  string // the first word
	rest  string // what follows it
	block []string
}

func isSetting(verb string) bool {
	return slices.Contains([]string{"config", "profile", "user", "network", "tls", "needs", "only", "not", "broken"}, verb)
}

// transcripts reads testdata/wire.
func transcripts(t *testing.T) []*transcript {
	t.Helper()
	files, err := filepath.Glob("testdata/wire/*.ftp")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	var all []*transcript
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		tr, err := parseTranscript(file, string(src))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, tr)
	}
	return all
}

func parseTranscript(file, src string) (*transcript, error) {
	tr := &transcript{file: filepath.Base(file)}
	for i, line := range strings.Split(src, "\n") {
		at := fmt.Sprintf("%s:%d", tr.file, i+1)
		switch {
		case strings.TrimSpace(line) == "", strings.HasPrefix(line, "#"):
			continue
		case strings.HasPrefix(line, "  "):
			if len(tr.steps) == 0 {
				return nil, fmt.Errorf("%s: an indented line belongs to a step", at)
			}
			last := &tr.steps[len(tr.steps)-1]
			last.block = append(last.block, strings.TrimPrefix(line, "  "))
			continue
		}
		verb, rest, _ := strings.Cut(line, " ")
		s := step{at: at, text: line, verb: verb, rest: rest}
		if !isSetting(verb) {
			tr.steps = append(tr.steps, s)
			continue
		}
		if len(tr.steps) > 0 {
			return nil, fmt.Errorf("%s: %s has to come before the first step", at, verb)
		}
		tr.head = append(tr.head, s)
	}
	if len(tr.steps) == 0 {
		return nil, fmt.Errorf("%s: nothing happens", tr.file)
	}
	return tr, nil
}

// setting returns the arguments of each line of the head that begins with verb.
func (tr *transcript) setting(verb string) []step {
	var found []step
	for _, s := range tr.head {
		if s.verb == verb {
			found = append(found, s)
		}
	}
	return found
}

// because splits "what because why"; the why is obligatory.
func (s step) because() (what, why string, err error) {
	what, why, ok := strings.Cut(s.rest, " because ")
	if !ok || what == "" || why == "" {
		return "", "", fmt.Errorf("%s: write: %s … because …", s.at, s.verb)
	}
	return what, why, nil
}

// applies tells why the transcript does not run in v, empty if it does.
func (tr *transcript) applies(v variant, caps vfs.Caps) (string, error) {
	for _, s := range tr.head {
		switch s.verb {
		case "only", "not", "needs":
		default:
			continue
		}
		what, why, err := s.because()
		if err != nil {
			return "", err
		}
		words := strings.Fields(what)
		matched := slices.ContainsFunc(words, func(w string) bool { return slices.Contains(v.traits, w) })
		switch s.verb {
		case "only":
			if !matched {
				return why, nil
			}
		case "not":
			if matched {
				return why, nil
			}
		case "needs":
			have := strings.Split(caps.String(), "|")
			for _, w := range words {
				if !isCap(w) {
					return "", fmt.Errorf("%s: there is no capability %s", s.at, w)
				}
				if !slices.Contains(have, w) {
					return why, nil
				}
			}
		}
	}
	return "", nil
}

func isCap(name string) bool {
	return slices.Contains(strings.Split((^vfs.Caps(0)).String(), "|"), name)
}

// show writes bytes so that a person can read them and unescape gets them back.
func show(b string) string {
	var out strings.Builder
	for len(b) > 0 {
		r, width := utf8.DecodeRuneInString(b)
		switch {
		case r == '\\':
			out.WriteString(`\\`)
		case r == utf8.RuneError && width == 1, !unicode.IsPrint(r):
			for _, c := range []byte(b[:width]) {
				switch c {
				case '\t':
					out.WriteString(`\t`)
				case '\r':
					out.WriteString(`\r`)
				case '\n':
					out.WriteString(`\n`)
				default:
					fmt.Fprintf(&out, `\x%02x`, c)
				}
			}
		default:
			out.WriteString(b[:width])
		}
		b = b[width:]
	}
	return out.String()
}

// token is a piece of a line: literal text, a wildcard, or the name of a capture.
type token struct {
	kind byte // 'l', '*', '#' or '{'
	text string
}

// tokens reads a line with escapes (\xff, \t, \\ and so on as in Go; \*, \# and \{
// stand for themselves) and captures; wild makes * and # wildcards.
func tokens(text string, wild bool) ([]token, error) {
	var all []token
	literal := func(s string) {
		if n := len(all); n > 0 && all[n-1].kind == 'l' {
			all[n-1].text += s
			return
		}
		all = append(all, token{'l', s})
	}
	for len(text) > 0 {
		switch c := text[0]; {
		case c == '\\' && len(text) > 1 && strings.IndexByte("*#{", text[1]) >= 0:
			literal(text[1:2])
			text = text[2:]
		case c == '\\':
			r, multibyte, tail, err := strconv.UnquoteChar(text, 0)
			if err != nil {
				return nil, fmt.Errorf("bad escape in %q", text)
			}
			if multibyte {
				literal(string(r))
			} else {
				literal(string([]byte{byte(r)}))
			}
			text = tail
		case wild && (c == '*' || c == '#'):
			all = append(all, token{kind: c})
			text = text[1:]
		case c == '{' && captureName.MatchString(text):
			name := captureName.FindStringSubmatch(text)[1]
			all = append(all, token{'{', name})
			text = text[len(name)+2:]
		default:
			literal(text[:1])
			text = text[1:]
		}
	}
	return all, nil
}

var captureName = regexp.MustCompile(`^\{([a-z][a-z0-9.]*)\}`)

// captures are the texts that earlier lines caught, as show writes them.
type captures map[string]string

// expand makes the bytes of a line that is sent.
func (c captures) expand(text string) (string, error) {
	all, err := tokens(text, false)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for _, tok := range all {
		if tok.kind == 'l' {
			out.WriteString(tok.text)
			continue
		}
		value, ok := c[tok.text]
		if !ok {
			return "", fmt.Errorf("{%s} was not captured; write \\{ for the character", tok.text)
		}
		bytes, err := captures(nil).expand(value)
		if err != nil {
			return "", err
		}
		out.WriteString(bytes)
	}
	return out.String(), nil
}

// match compares a line that came with a pattern, and keeps what it captures.
func (c captures) match(pattern, line string) error {
	all, err := tokens(pattern, true)
	if err != nil {
		return err
	}
	var expr strings.Builder
	var names []string
	for _, tok := range all {
		switch tok.kind {
		case 'l':
			expr.WriteString(regexp.QuoteMeta(show(tok.text)))
		case '*':
			expr.WriteString(".*")
		case '#':
			expr.WriteString("[0-9]")
		case '{':
			if value, ok := c[tok.text]; ok {
				expr.WriteString(regexp.QuoteMeta(value))
				continue
			}
			expr.WriteString("(.+?)")
			names = append(names, tok.text)
		}
	}
	re, err := regexp.Compile("^(?s:" + expr.String() + ")$")
	if err != nil {
		return err
	}
	found := re.FindStringSubmatch(show(line))
	if found == nil {
		return errNoMatch
	}
	for i, name := range names {
		c[name] = found[i+1]
	}
	return nil
}

var errNoMatch = errors.New("no match")

// literal reads quoted strings joined by "+", each with an optional "x COUNT".
func literal(text string) ([]byte, error) {
	var out []byte
	for {
		text = strings.TrimLeft(text, " ")
		quoted, err := strconv.QuotedPrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%q does not begin with a string in double quotes", text)
		}
		s, err := strconv.Unquote(quoted)
		if err != nil {
			return nil, err
		}
		text = strings.TrimLeft(text[len(quoted):], " ")
		count := 1
		if rest, ok := strings.CutPrefix(text, "x "); ok {
			number, after, _ := strings.Cut(rest, " ")
			if count, err = strconv.Atoi(number); err != nil {
				return nil, err
			}
			text = after
		}
		out = append(out, bytes.Repeat([]byte(s), count)...)
		if text == "" {
			return out, nil
		}
		if !strings.HasPrefix(text, "+ ") {
			return nil, fmt.Errorf("%q follows a string", text)
		}
		text = text[2:]
	}
}

// words splits at spaces; a word in double quotes is a Go string.
func words(text string) ([]string, error) {
	var all []string
	for text = strings.TrimLeft(text, " "); text != ""; text = strings.TrimLeft(text, " ") {
		if text[0] == '"' {
			quoted, err := strconv.QuotedPrefix(text)
			if err != nil {
				return nil, err
			}
			s, err := strconv.Unquote(quoted)
			if err != nil {
				return nil, err
			}
			all, text = append(all, s), text[len(quoted):]
			continue
		}
		word, rest, _ := strings.Cut(text, " ")
		all, text = append(all, word), rest
	}
	return all, nil
}
