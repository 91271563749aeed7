package gateway_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// testFunctions are the tests and fuzz targets of the repository, by name, with the
// directories of their packages.
func testFunctions(t *testing.T) map[string][]string {
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Z]\w*)\(`)
	all := map[string][]string{}
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == ".git") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel("..", filepath.Dir(path))
		for _, found := range function.FindAllSubmatch(text, -1) {
			all[string(found[1])] = append(all[string(found[1])], filepath.ToSlash(dir))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestDocumentsNameWhatExists checks the names of transcripts and tests in the pages
// that rest on them.
func TestDocumentsNameWhatExists(t *testing.T) {
	tests := testFunctions(t)
	name := regexp.MustCompile("`([^`\\s]+\\.ftp|(?:Test|Fuzz)[A-Z]\\w*)`")
	for _, page := range []string{"compatibility.md", "testing.md"} {
		text, err := os.ReadFile(filepath.Join("..", "docs", page))
		if err != nil {
			t.Fatal(err)
		}
		found := name.FindAllStringSubmatch(string(text), -1)
		if len(found) == 0 {
			t.Errorf("%s names nothing", page)
		}
		for _, f := range found {
			if !strings.HasSuffix(f[1], ".ftp") {
				if tests[f[1]] == nil {
					t.Errorf("%s names %s, which does not exist", page, f[1])
				}
				continue
			}
			files, err := filepath.Glob(filepath.Join("testdata", "wire", filepath.Base(f[1])))
			if err != nil || len(files) == 0 {
				t.Errorf("%s names %s, which does not exist", page, f[1])
			}
		}
	}
}

// TestFuzzTargetsAreListed compares the table of docs/testing.md with the code.
func TestFuzzTargetsAreListed(t *testing.T) {
	text, err := os.ReadFile("../docs/testing.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	row := regexp.MustCompile("(?m)^\\| `(\\S+ Fuzz\\w+)` \\| (.+) \\| .*\\|$")
	for _, found := range row.FindAllStringSubmatch(string(text), -1) {
		listed[found[1]] = true
	}
	for name, dirs := range testFunctions(t) {
		if !strings.HasPrefix(name, "Fuzz") {
			continue
		}
		for _, dir := range dirs {
			if key := dir + " " + name; !listed[key] {
				t.Errorf("docs/testing.md has no row for %s", key)
			} else {
				delete(listed, key)
			}
		}
	}
	for key := range listed {
		t.Errorf("docs/testing.md lists %s, which does not exist", key)
	}
}
