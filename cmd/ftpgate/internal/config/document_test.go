package config

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/config.md")

// section is a struct of the configuration.
type section struct {
	path string // of its key; empty: the top
	text string // what the key means
	keys []key
}

type key struct {
	path, name, text, preset string
	isSection                bool
}

// document reads the comments and tags of the package.
func document(t testing.TB) []section {
	t.Helper()
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	structs := map[string]*ast.StructType{}
	for _, source := range sources {
		file, err := parser.ParseFile(token.NewFileSet(), source, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.TYPE {
				continue
			}
			spec := g.Specs[0].(*ast.TypeSpec)
			if s, ok := spec.Type.(*ast.StructType); ok && hasKeys(s) {
				structs[spec.Name.Name] = s
			}
		}
	}
	var out []section
	var walk func(name, path, text string)
	walk = func(name, path, text string) {
		at := len(out)
		out = append(out, section{path: path, text: text})
		for _, f := range structs[name].Fields.List {
			if f.Tag == nil {
				continue
			}
			tag := reflect.StructTag(strings.Trim(f.Tag.Value, "`"))
			typ := strings.TrimPrefix(strings.TrimPrefix(fmt.Sprint(typeName(f.Type)), "[]"), "*")
			_, isSection := structs[typ]
			k := key{name: tag.Get("yaml"), preset: tag.Get("default"), isSection: isSection,
				text: strings.Join(strings.Fields(f.Doc.Text()), " ")}
			k.path = join(path, k.name)
			if k.text == "" {
				t.Errorf("%s.%s has no comment", name, f.Names[0])
			}
			out[at].keys = append(out[at].keys, k)
			if isSection {
				walk(typ, k.path, k.text)
			}
		}
	}
	walk("Config", "", "")
	return out
}

// hasKeys reports whether s is a section, and not the type of a value.
func hasKeys(s *ast.StructType) bool {
	return slices.ContainsFunc(s.Fields.List, func(f *ast.Field) bool {
		return f.Tag != nil && strings.Contains(f.Tag.Value, "yaml:")
	})
}

func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.ArrayType:
		return "[]" + typeName(e.Elt)
	case *ast.StarExpr:
		return "*" + typeName(e.X)
	}
	return ""
}

const head = `# Configuration

Generated from ` + "`cmd/ftpgate/internal/config`" + `; do not edit. Refresh with ` + "`go generate ./cmd/...`" + `.

` + "`ftpgate serve --config FILE`" + ` reads a YAML file. Every key is optional. Unknown keys and values that
make no sense stop ftpgate before anybody can connect, with one line that tells file, line and column. Flags
win over the file; a flag that takes several values replaces the list, but ` + "`--user`" + `, like ` + "`FTPGATE_USER`" + ` and
` + "`FTPGATE_USERS`" + `, adds users or gives users of the file their password. At SIGHUP the file and the users files
are read again; if they are wrong, what was before stays. Changes of ` + "`url`, `mounts`, `stores`, `quota`, `listen`, `data.passive_ports`, `log.format`," + `
` + "`tls.implicit_listen`, `tls.self_signed` and `tls.acme`" + ` take a restart.

Speeds are bytes a second with K, M, G or T for powers of 1024; durations look like ` + "`30s`, `5m` or `1h30m`" + `; where
there can be no limit, ` + "`off`" + ` says so.

## Example

` + "```yaml\n"

func render(t testing.TB) []byte {
	example, err := os.ReadFile(filepath.Join("testdata", "example.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	flagOf := map[string]string{}
	for _, row := range options() {
		flagOf[row.key] = strings.TrimPrefix(flagOf[row.key]+", `--"+row.name+"`", ", ")
	}
	var b bytes.Buffer
	b.WriteString(head)
	b.Write(example)
	b.WriteString("```\n")
	for _, s := range document(t) {
		switch {
		case s.path == "":
			b.WriteString("\n## Keys\n")
		default:
			fmt.Fprintf(&b, "\n## `%s`\n\n%s\n", s.path, s.text)
		}
		b.WriteString("\n| key | default | flag | meaning |\n|---|---|---|---|\n")
		for _, k := range s.keys {
			preset, text := "", k.text
			if k.preset != "" {
				preset = "`" + k.preset + "`"
			}
			if k.isSection {
				text += " See [below](#" + strings.ReplaceAll(k.path, ".", "") + ")."
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", k.name, preset, flagOf[k.path], strings.ReplaceAll(text, "|", `\|`))
		}
	}
	return b.Bytes()
}

// TestDocument keeps docs/config.md true; -update writes it.
func TestDocument(t *testing.T) {
	path := filepath.Join("..", "..", "..", "..", "docs", "config.md")
	want := render(t)
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("docs/config.md is stale; run go generate ./cmd/...")
	}
}

// The example of the document is a valid configuration.
func TestExample(t *testing.T) {
	if _, err := Load(filepath.Join("testdata", "example.yaml")); err != nil {
		t.Error(err)
	}
}

// Flags tell in their help the default that their key has.
func TestFlagDefaults(t *testing.T) {
	presets := map[string]string{}
	for _, s := range document(t) {
		for _, k := range s.keys {
			presets[k.path] = k.preset
		}
	}
	said := regexp.MustCompile(`\(default ([^ ,)]+)`)
	for _, row := range options() {
		m := said.FindStringSubmatch(row.usage)
		if m != nil && presets[row.key] != "" && m[1] != presets[row.key] {
			t.Errorf("--%s says that its default is %s, but it is %s", row.name, m[1], presets[row.key])
		}
	}
}
