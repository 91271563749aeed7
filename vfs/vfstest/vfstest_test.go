package vfstest_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ftpgate/ftpgate/backends/memory"
	"github.com/ftpgate/ftpgate/vfs"
	"github.com/ftpgate/ftpgate/vfs/faultfs"
	"github.com/ftpgate/ftpgate/vfs/vfstest"
)

// defectVariable names the defect in the environment of a child process.
const defectVariable = "VFSTEST_DEFECT"

// TestSuiteFindsDefects runs the suite on stores that are broken in one way each,
// in a process of its own, since a test can't fail on purpose.
func TestSuiteFindsDefects(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	run := func(defect, group string) (string, error) {
		cmd := exec.CommandContext(t.Context(), exe, "-test.run=^TestDefective$/^"+group+"$", "-test.timeout=60s")
		cmd.Env = append(os.Environ(), defectVariable+"="+defect, "VFSTEST_SEED=1")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := run("none", ".*"); err != nil {
		t.Fatalf("a sound store fails: %v\n%s", err, out)
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, 2)
	for name, d := range defects {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			out, err := run(name, d.group)
			if err == nil || !strings.Contains(out, "--- FAIL: TestDefective/"+d.group) {
				t.Errorf("%s: %s does not find it: %v\n%s", name, d.group, err, out)
			}
		})
	}
	wg.Wait()
}

// A random sequence that fails is cut down to what matters.
func TestModelShortensWhatFails(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "-test.run=^TestDefective$/^Model$", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), defectVariable+"=a chunk border is lost", "VFSTEST_SEED=1")
	out, err := cmd.CombinedOutput()
	_, sequence, found := strings.Cut(string(out), "the sequence:\n")
	line, rest, _ := strings.Cut(strings.TrimSpace(sequence), "\n")
	if err == nil || !found || !strings.HasPrefix(line, "append ") || !strings.HasPrefix(rest, "FAIL") {
		t.Errorf("want a sequence of one append: %v\n%s", err, out)
	}
}

// TestDefective is what the child runs.
func TestDefective(t *testing.T) {
	name := os.Getenv(defectVariable)
	if name == "" {
		return
	}
	vfstest.Run(t, vfstest.Harness{
		Large: 300_000,
		New: func(t *testing.T) vfs.FS {
			f := &broken{FS: memory.New(memory.Options{})}
			if d, ok := defects[name]; ok {
				d.make(f)
			} else if name != "none" {
				t.Fatalf("no defect %q", name)
			}
			return f
		},
	})
}

// Every group of the suite finds at least one defect.
func TestEveryGroupHasADefect(t *testing.T) {
	var groups []string
	for _, d := range defects {
		groups = append(groups, d.group)
	}
	for _, g := range []string{
		"Caps", "Names", "Stat", "List", "Read", "Create", "NoReplace", "Visibility", "Ends", "Cancel", "ReadFrom", "Sockets", "Writers",
		"Park", "Tree", "Rename", "Copy", "Attributes", "Hash", "Symlink", "Concurrency", "Model",
	} {
		if !slices.Contains(groups, g) {
			t.Errorf("no defect is made for %s", g)
		}
	}
}

// noSub hides that a store can confine itself.
type noSub struct{ vfs.Full }

func (noSub) Sub(dir string) (vfs.FS, error) {
	return nil, &fs.PathError{Op: "sub", Path: dir, Err: errors.ErrUnsupported}
}

// Every wrapper of package vfs is as good a store as what it wraps.
func TestWrappers(t *testing.T) {
	inner := func() *memory.FS { return memory.New(memory.Options{}) }
	for name, wrap := range map[string]func(t *testing.T) vfs.FS{
		"Guard":             func(*testing.T) vfs.FS { return vfs.Guard(inner(), func(vfs.Op, string) error { return nil }) },
		"GuardRules":        func(*testing.T) vfs.FS { return vfs.GuardRules(inner(), generous{}) },
		"Observe":           func(*testing.T) vfs.FS { return vfs.Observe(inner(), func(context.Context, vfs.Observation) {}) },
		"ForOwner":          func(*testing.T) vfs.FS { return vfs.ForOwner(inner(), "ann", vfs.ShowExact) },
		"ForOwner, listing": func(*testing.T) vfs.FS { return vfs.ForOwner(inner(), "ann", vfs.ShowListing) },
		"ForOwner, nobody":  func(*testing.T) vfs.FS { return vfs.ForOwner(inner(), "", vfs.ShowExact) },
		"Sub": func(t *testing.T) vfs.FS {
			f := noSub{faultfs.Without(inner(), vfs.CanSymlink).(vfs.Full)}
			return sub(t, f)
		},
		"Fold":        func(*testing.T) vfs.FS { return vfs.Fold(inner(), vfs.FoldCase|vfs.FoldForm) },
		"Fold, exact": func(*testing.T) vfs.FS { return vfs.Fold(inner(), 0) },
		"Quota":       func(t *testing.T) vfs.FS { return quota(t, inner(), vfs.Limits{Bytes: 1 << 30, Files: 10_000}) },
		"Quota, nearly used up": func(t *testing.T) vfs.FS {
			return quota(t, inner(), vfs.Limits{Bytes: 4 << 20})
		},
		"Mount": func(t *testing.T) vfs.FS {
			m, err := vfs.Mount([]vfs.MountPoint{{Dir: ".", FS: inner()}}, vfs.MountOptions{})
			if err != nil {
				t.Fatal(err)
			}
			return m
		},
		"Guard(Sub(Guard))": func(t *testing.T) vfs.FS {
			allow := func(vfs.Op, string) error { return nil }
			return vfs.Guard(sub(t, vfs.Guard(inner(), allow)), allow)
		},
		"what the gateway builds": func(t *testing.T) vfs.FS {
			observed := vfs.Observe(sub(t, inner()), func(context.Context, vfs.Observation) {})
			return vfs.GuardRules(vfs.ForOwner(observed, "ann", vfs.ShowExact), generous{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := vfstest.Harness{New: wrap, MaxEntries: 20, Large: 100_000, ModelSteps: 100}
			if strings.HasPrefix(name, "ForOwner") || strings.HasPrefix(name, "what") {
				h.Owner = "ann"
			}
			vfstest.Run(t, h)
		})
	}
}

// generous are rules that say yes, and count the size of files.
type generous struct{}

func (generous) Allow(vfs.Op, string) error           { return nil }
func (generous) AllowMove(string, string, bool) error { return nil }
func (generous) AllowLink(string, string) error       { return nil }
func (generous) SizeLimit() int64                     { return 1 << 50 }

// sub returns a directory of f.
func sub(t *testing.T, f vfs.FS) vfs.FS {
	t.Helper()
	if err := f.Mkdir(t.Context(), "home"); err != nil {
		t.Fatal(err)
	}
	if err := f.Mkdir(t.Context(), "home/ann"); err != nil {
		t.Fatal(err)
	}
	s, err := vfs.Sub(f, "home/ann")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// quota returns fsys within limits.
func quota(t *testing.T, fsys vfs.FS, limits vfs.Limits) vfs.FS {
	t.Helper()
	a, err := vfs.OpenAccount(fsys, vfs.AccountOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return vfs.Quota(fsys, a, limits)
}

// A store is as good in a mounted directory.
func TestMounted(t *testing.T) {
	vfstest.Run(t, vfstest.Harness{New: func(*testing.T) vfs.FS { return memory.New(memory.Options{}) }}.Mounted())
}

func TestReadOnlyStore(t *testing.T) {
	vfstest.Run(t, vfstest.Harness{New: func(t *testing.T) vfs.FS { return vfs.ReadOnly(memory.New(memory.Options{})) }})
}

func TestReplay(t *testing.T) {
	files, err := os.ReadDir("testdata")
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	for _, f := range files {
		text, err := os.ReadFile(path.Join("testdata", f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		vfstest.Replay(t, vfstest.Harness{New: func(t *testing.T) vfs.FS { return memory.New(memory.Options{}) }}, string(text))
	}
}
