// Package ftpgate_test holds the module to the layers of its design.
package ftpgate_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/ftpgate/ftpgate"

// layer is one row of the import table. All paths are relative to the module, or
// start with the host of another module; "X/..." means X and all below it.
type layer struct {
	packages string
	// may lists what it may import, beside the standard library, golang.org/x
	// and its own subtree.
	may []string
	// never lists what it must not even depend on.
	never []string
}

const (
	anything = "..."
	afero    = "github.com/spf13/afero"
)

// The first row that matches a package is its own.
var layers = []layer{
	{packages: "vfs", may: []string{"github.com/gobwas/glob"}, never: []string{"gateway/...", "auth/...", "backends/...", "cmd/..."}},
	{packages: "vfs/aferofs", may: []string{"vfs", afero}},
	{packages: "vfs/vfstest", may: []string{"vfs", "go.uber.org/goleak"}},
	{packages: "vfs/...", may: []string{"vfs"}},
	{packages: "backends", may: []string{"backends/...", "vfs"}, never: []string{"gateway/...", "auth/..."}},
	backend("memory"),
	backend("local"),
	backend("s3", "github.com/aws/..."),
	backend("sftp", "github.com/pkg/sftp/...", "github.com/skeema/knownhosts"),
	{packages: "auth", may: []string{"vfs", "github.com/go-crypt/crypt/..."}, never: []string{"gateway/...", "backends/...", afero}},
	{packages: "auth/...", may: []string{anything}, never: []string{"gateway/...", "backends/...", "cmd/..."}},
	{packages: "gateway/wire"},
	{packages: "gateway/dataconn", may: []string{"vfs", "auth", "gateway/wire", "github.com/pires/go-proxyproto"}, never: []string{"backends/...", afero}},
	{packages: "gateway/ftptest", may: []string{"gateway", "backends/memory", "vfs", "auth"}},
	{packages: "gateway", may: []string{"vfs", "auth", "gateway/wire", "gateway/dataconn", "github.com/pires/go-proxyproto"},
		never: []string{"backends/...", "cmd/...", afero, "github.com/prometheus/...", "go.opentelemetry.io/...", "github.com/goccy/go-yaml/..."}},
	{packages: "cmd/...", may: []string{anything}},
}

// backend is the row of backends/name with its SDK.
func backend(name string, sdk ...string) layer {
	l := layer{
		packages: "backends/" + name + "/...",
		may:      append([]string{"vfs"}, sdk...),
		never:    []string{"gateway/...", "auth/...", "cmd/...", afero},
	}
	for _, other := range []string{"local", "memory", "s3", "sftp"} {
		if other != name {
			l.never = append(l.never, "backends/"+other+"/...")
		}
	}
	return l
}

// onlyFor says who alone may import a package.
var onlyFor = []struct{ imported, by string }{
	{afero + "/...", "vfs/aferofs"},
	{"cmd/...", "cmd/..."},
	{"auth/ldap/...", "cmd/..."}, {"auth/sql/...", "cmd/..."}, {"auth/http/...", "cmd/..."},
	{"auth/exec/...", "cmd/..."}, {"auth/pam/...", "cmd/..."},
}

func matches(pattern, pkg string) bool {
	tree, whole := strings.CutSuffix(pattern, "/...")
	return pattern == anything || pkg == tree || whole && strings.HasPrefix(pkg, tree+"/")
}

func matchesAny(patterns []string, pkg string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, pkg) })
}

// pkg is what "go list -json" tells of a package.
type pkg struct {
	ImportPath             string
	Standard               bool
	GoFiles, Imports, Deps []string
}

// short is a path relative to the module.
func short(importPath string) string {
	if importPath == module {
		return "."
	}
	return strings.TrimPrefix(importPath, module+"/")
}

// violations lists how p, with its imports and dependencies, breaks the table.
func violations(p pkg, standard map[string]bool) []string {
	name := short(p.ImportPath)
	i := slices.IndexFunc(layers, func(l layer) bool { return matches(l.packages, name) })
	if i < 0 {
		return []string{name + " has no row in the import table"}
	}
	row := layers[i]
	own := strings.TrimSuffix(row.packages, "/...") + "/..."
	var broken []string
	for _, imported := range p.Imports {
		s := short(imported)
		if !standard[imported] && !strings.HasPrefix(imported, "golang.org/x/") && !matches(own, s) && !matchesAny(row.may, s) {
			broken = append(broken, name+" may not import "+s)
		}
		for _, rule := range onlyFor {
			if matches(rule.imported, s) && !matches(rule.by, name) {
				broken = append(broken, name+" may not import "+s+": only "+rule.by+" may")
			}
		}
	}
	for _, dep := range p.Deps {
		if s := short(dep); matchesAny(row.never, s) {
			broken = append(broken, name+" must not depend on "+s)
		}
	}
	return broken
}

func TestLayers(t *testing.T) {
	for _, goos := range []string{"linux", "darwin", "windows"} {
		t.Run(goos, func(t *testing.T) {
			packages := list(t, goos)
			standard := map[string]bool{"C": true}
			for _, p := range packages {
				standard[p.ImportPath] = p.Standard
			}
			checked := 0
			for _, p := range packages {
				if p.ImportPath != module && (p.Standard || !strings.HasPrefix(p.ImportPath, module+"/")) {
					continue
				}
				checked++
				for _, v := range violations(p, standard) {
					t.Error(v)
				}
			}
			if checked < 5 {
				t.Errorf("only %d packages of the module were listed", checked)
			}
		})
	}
}

// list returns the packages of the module and all that they depend on.
func list(t *testing.T, goos string) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Standard,GoFiles,Imports,Deps", "./...")
	cmd.Env = append(os.Environ(), "GOOS="+goos, "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	var packages []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		switch err := d.Decode(&p); {
		case errors.Is(err, io.EOF):
			return packages
		case err != nil:
			t.Fatal(err)
		}
		if p.ImportPath != module || len(p.GoFiles) > 0 { // the root holds this test alone
			packages = append(packages, p)
		}
	}
}

// TestLayerRules breaks each kind of rule.
func TestLayerRules(t *testing.T) {
	standard := map[string]bool{"io": true}
	for _, c := range []struct {
		name    string
		imports []string
		deps    []string
		broken  int
	}{
		{"vfs", []string{"io", "golang.org/x/text/width", "github.com/gobwas/glob"}, nil, 0},
		{"vfs", []string{afero}, nil, 2},
		{"vfs", []string{module + "/auth"}, []string{module + "/auth"}, 2},
		{"vfs/aferofs", []string{module + "/vfs", afero}, nil, 0},
		{"vfs/faultfs", []string{module + "/vfs", afero + "/mem"}, nil, 2},
		{"backends/local", []string{module + "/vfs"}, nil, 0},
		{"backends/local", nil, []string{module + "/backends/memory"}, 1},
		{"backends/local", nil, []string{module + "/gateway/wire"}, 1},
		{"backends/s3/s3fake", []string{module + "/backends/s3", "github.com/aws/smithy-go"}, nil, 0},
		{"backends/memory", []string{"github.com/aws/smithy-go"}, nil, 1},
		{"backends", []string{module + "/backends/s3"}, nil, 0},
		{"auth", []string{module + "/vfs", "github.com/go-crypt/crypt/algorithm"}, nil, 0},
		{"auth", []string{"github.com/lib/pq"}, nil, 1},
		{"auth/ldap", []string{"github.com/go-ldap/ldap/v3"}, []string{module + "/gateway"}, 1},
		{"gateway", []string{module + "/auth/ldap"}, nil, 2},
		{"gateway", []string{module + "/vfs", module + "/gateway/wire"}, nil, 0},
		{"gateway", nil, []string{module + "/backends/memory", afero}, 2},
		{"gateway/wire", []string{module + "/vfs"}, nil, 1},
		{"gateway/ftptest", []string{module + "/cmd/ftpgate/internal/config"}, nil, 2},
		{"cmd/ftpgate", []string{"github.com/spf13/cobra", module + "/backends", module + "/cmd/ftpgate/internal/config"}, nil, 0},
		{"tools", nil, nil, 1},
	} {
		p := pkg{ImportPath: path.Join(module, c.name), Imports: c.imports, Deps: c.deps}
		if got := violations(p, standard); len(got) != c.broken {
			t.Errorf("%s importing %q over %q: %q, want %d violations", c.name, c.imports, c.deps, got, c.broken)
		}
	}
}

// TestTopLevel keeps the root to the folders of the design.
func TestTopLevel(t *testing.T) {
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	allowed := []string{"gateway", "vfs", "backends", "auth", "cmd", "integration", "docs",
		"bin"} // what "make build" makes
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") && !slices.Contains(allowed, e.Name()) {
			t.Errorf("the design has no top-level folder %s", e.Name())
		}
	}
}
