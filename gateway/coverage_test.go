package gateway_test

import (
	"strings"
	"testing"

	"github.com/ftpgate/ftpgate/gateway"
)

// TestEveryCommandHasTranscript fails when a command has no transcript that gets
// beyond its login and its argument.
func TestEveryCommandHasTranscript(t *testing.T) {
	used := map[string]bool{}
	for _, tr := range transcripts(t) {
		for i, s := range tr.steps[:len(tr.steps)-1] {
			next := tr.steps[i+1]
			if s.verb[0] != '>' || next.verb[0] != '<' || refusesAtOnce(next.rest) {
				continue
			}
			line := strings.ToUpper(s.rest)
			verb, rest, _ := strings.Cut(line, " ")
			sub, _, _ := strings.Cut(rest, " ")
			used[verb], used[verb+" "+sub] = true, true
		}
	}
	for _, row := range gateway.Rows() {
		for _, name := range row.Names() {
			if !used[name] {
				t.Errorf("%s has no transcript that shows what it does", name)
			}
		}
	}
}

// refusesAtOnce reports whether a reply says nothing of what the command does.
func refusesAtOnce(pattern string) bool {
	for _, code := range []string{"500", "501", "530"} {
		if strings.HasPrefix(pattern, code) {
			return true
		}
	}
	return false
}

// TestEveryTranscriptRuns fails for a transcript that applies to no variant.
func TestEveryTranscriptRuns(t *testing.T) {
	runs := map[string]bool{}
	for _, v := range variants() {
		fsys, _ := v.open(t)
		for _, tr := range transcripts(t) {
			why, err := tr.applies(v, fsys.Caps())
			if err != nil {
				t.Fatal(err)
			}
			runs[tr.file] = runs[tr.file] || why == ""
		}
	}
	for file, anywhere := range runs {
		if !anywhere {
			t.Errorf("%s applies nowhere", file)
		}
	}
}
