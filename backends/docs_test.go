package backends_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ftpgate/ftpgate/backends"
)

// TestDocumentedKeys compares the tables of docs/backends with what the URLs of each
// store may hold, which the refusal of an unknown key tells and the parser knows.
func TestDocumentedKeys(t *testing.T) {
	for _, c := range []struct{ doc, url, parser string }{
		{"local.md", "file://" + t.TempDir() + "?", "local/url.go"},
		{"memory.md", "mem:?", ""},
		{"s3.md", "s3://bucket?", ""},
		{"sftp.md", "sftp://user@host?", "sftp/url.go"},
	} {
		text, err := os.ReadFile("../docs/backends/" + c.doc)
		if err != nil {
			t.Fatal(err)
		}
		_, table, ok := strings.Cut(string(text), "| key | default | meaning |\n|---|---|---|\n")
		if !ok {
			t.Errorf("%s has no table of keys", c.doc)
			continue
		}
		table, _, _ = strings.Cut(table, "\n\n")
		var documented []string
		for line := range strings.Lines(table) {
			first, _, _ := strings.Cut(strings.TrimPrefix(line, "|"), "|")
			for key := range strings.SplitSeq(first, ",") {
				documented = append(documented, strings.Trim(key, " `"))
			}
		}
		slices.Sort(documented)

		_, _, err = backends.Open(t.Context(), c.url+"no_such_key=1")
		if err == nil {
			t.Fatalf("%s takes an unknown key", c.url)
		}
		list := regexp.MustCompile("(?:may have|allowed are) (.*)$").FindStringSubmatch(err.Error())
		if list == nil {
			t.Fatalf("%s: %v", c.url, err)
		}
		told := strings.Fields(strings.NewReplacer(",", " ", " and ", " ").Replace(list[1]))
		slices.Sort(told)
		if !slices.Equal(documented, told) {
			t.Errorf("%s documents %q, the URL may hold %q", c.doc, documented, told)
		}
		if c.parser == "" {
			continue
		}
		source, err := os.ReadFile(c.parser)
		if err != nil {
			t.Fatal(err)
		}
		var parsed []string
		_, set, _ := strings.Cut(string(source), "Options) set(")
		for _, m := range regexp.MustCompile(`(?m)^\tcase "(\w+)":$`).FindAllStringSubmatch(set, -1) {
			parsed = append(parsed, m[1])
		}
		slices.Sort(parsed)
		if !slices.Equal(parsed, told) {
			t.Errorf("the URL may hold %q, its parser knows %q", told, parsed)
		}
	}
}
