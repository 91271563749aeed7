package vfstest

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ftpgate/ftpgate/vfs"
)

// corpus holds the sequences that once found a fault, and some that must not.
//
//go:embed testdata/*.ops
var corpus embed.FS

func runCorpus(t *testing.T, h Harness) {
	files, err := corpus.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		t.Run(f.Name(), func(t *testing.T) {
			text, err := corpus.ReadFile("testdata/" + f.Name())
			if err != nil {
				t.Fatal(err)
			}
			Replay(t, h, string(text))
		})
	}
}

// Model does steps random operations on an FS and on a map, and compares the two
// after each. The seed is logged, 0 is a random one, and VFSTEST_SEED in the
// environment overrides it. A sequence that fails is shortened and printed in the
// form that Replay reads, to be kept in testdata.
func Model(t *testing.T, h Harness, seed uint64, steps int) {
	h = h.withDefaults()
	if env := os.Getenv("VFSTEST_SEED"); env != "" {
		n, err := strconv.ParseUint(env, 10, 64)
		if err != nil {
			t.Fatalf("VFSTEST_SEED: %v", err)
		}
		seed = n
	} else if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("VFSTEST_SEED=%d", seed)
	run := newModelRun(t, h)
	r := rand.New(rand.NewPCG(seed, 0))
	var done []op
	for range steps {
		o := run.random(r)
		done = append(done, o)
		if err := run.step(o); err != nil {
			reportShortest(t, h, done, err)
			return
		}
	}
	if err := run.whole(); err != nil {
		reportShortest(t, h, done, err)
	}
}

// Replay does a sequence of operations as Model prints it: one a line, '#' begins
// a comment. What the store has no ability for must be refused.
func Replay(t *testing.T, h Harness, sequence string) {
	t.Helper()
	ops, err := parseOps(sequence)
	if err != nil {
		t.Fatal(err)
	}
	if err := replay(t, h.withDefaults(), ops); err != nil {
		t.Error(err)
	}
}

func replay(t *testing.T, h Harness, ops []op) error {
	run := newModelRun(t, h)
	for i, o := range ops {
		if err := run.step(o); err != nil {
			return fmt.Errorf("line %d, %v: %w", i+1, o, err)
		}
	}
	return run.whole()
}

// reportShortest fails the test with the shortest sequence that still fails,
// found by leaving out parts, with bounded effort.
func reportShortest(t *testing.T, h Harness, ops []op, err error) {
	t.Helper()
	tries := 0
	for size := len(ops) / 2; size > 0; size /= 2 {
		for from := 0; from+size <= len(ops) && tries < 300; {
			shorter := slices.Delete(slices.Clone(ops), from, from+size)
			tries++
			if again := replay(t, h, shorter); again != nil {
				ops, err = shorter, again
			} else {
				from += size
			}
		}
	}
	var text strings.Builder
	for _, o := range ops {
		fmt.Fprintln(&text, o)
	}
	t.Errorf("%v\nthe sequence:\n%s", err, text.String())
}

// modelRun is an FS and the map that it is compared with.
type modelRun struct {
	*store
	want    tree
	staged  map[[2]string][]byte // by name and owner: what arrived
	unknown map[[2]string]bool   // what forget took out of staged
	steps   int
}

func newModelRun(t *testing.T, h Harness) *modelRun {
	return &modelRun{store: newStore(t, h), want: tree{}, staged: map[[2]string][]byte{}, unknown: map[[2]string]bool{}}
}

// random returns an operation that the store is to do, mostly on names that
// exist.
func (m *modelRun) random(r *rand.Rand) op {
	for {
		o := op{
			verb: verbs[r.IntN(len(verbs))],
			a:    m.randomName(r), b: m.randomName(r),
			owner: []string{"ann", "bob"}[r.IntN(2)],
			seed:  r.Uint64N(1000),
			size:  []int{0, 1, 100, 64 << 10, 64<<10 + 1, 200_000}[r.IntN(6)],
			at:    -1,
		}
		if keys := m.stagedKeys(); len(keys) > 0 && r.IntN(4) == 0 {
			key := keys[r.IntN(len(keys))]
			o.verb, o.a, o.owner = "resume", key[0], key[1]
		}
		switch size := len(m.want[o.a]); r.IntN(4) {
		case 0:
			o.at = 0
		case 1:
			o.at = int64(size)
		case 2:
			o.at = r.Int64N(int64(size) + 2)
		default:
			o.at = int64(size / 2)
		}
		if o, ok := m.fit(o); ok {
			return o
		}
	}
}

// stagedKeys are in a fixed order, so that a seed means the same in every run.
func (m *modelRun) stagedKeys() [][2]string {
	return slices.SortedFunc(maps.Keys(m.staged), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) })
}

func (m *modelRun) randomName(r *rand.Rand) string {
	if names := slices.Sorted(maps.Keys(m.want)); len(names) > 0 && r.IntN(3) > 0 {
		return names[r.IntN(len(names))]
	}
	name := string('a' + rune(r.IntN(3)))
	for r.IntN(3) > 0 && len(name) < 7 {
		name += "/" + string('a'+rune(r.IntN(3)))
	}
	return name
}

// fit takes out of o what its verb does not use, and reports whether the contract
// says what o does on this store.
func (m *modelRun) fit(o op) (op, bool) {
	fields := opFields[o.verb]
	var out op
	out.verb = o.verb
	for _, f := range fields {
		out.set(f, o.get(f))
	}
	if strings.Contains("park resume discard", out.verb) && (!m.caps.Has(vfs.CanPark) || m.h.Owner != "") {
		return out, false
	}
	key := [2]string{out.a, out.owner}
	if _, parked := m.staged[key]; out.verb == "resume" && !parked || out.verb == "discard" && m.unknown[key] {
		return out, false
	}
	if !m.caps.Has(vfs.RealDirs) {
		// Only where directories are real is an entry below a missing one refused.
		for _, name := range []string{out.a, out.b} {
			if dir, _ := vfs.Split(name); name != "" && m.kind(dir) == missing && !m.belowFile(dir) {
				return out, false
			}
		}
	}
	return out, true
}

// step does one operation on both sides and compares what it touches; every
// tenth step compares everything.
func (m *modelRun) step(o op) error {
	o, ok := m.fit(o)
	if !ok {
		return nil
	}
	kinds := m.expect(o)
	var before []byte
	if o.verb == "resume" {
		before = m.staged[[2]string{o.a, o.owner}]
	}
	err := m.do(o, before)
	if problem := m.judge(o, err, kinds); problem != nil {
		return fmt.Errorf("%v: %w", o, problem)
	}
	if err == nil {
		m.apply(o)
	}
	if m.steps++; m.steps%10 == 0 {
		return m.whole()
	}
	for _, name := range []string{o.a, o.b} {
		if name == "" {
			continue
		}
		if err := m.same(name); err != nil {
			return fmt.Errorf("after %v: %w", o, err)
		}
	}
	return nil
}

// judge compares how an operation ended with how it had to.
func (m *modelRun) judge(o op, err error, kinds []error) error {
	switch {
	case len(kinds) == 0 && err == nil:
		return nil
	case len(kinds) == 0:
		return fmt.Errorf("fails: %w", err)
	case err == nil:
		return fmt.Errorf("succeeds, want one of %v", kinds)
	}
	if problem := identity(err, o.a, o.b); problem != nil {
		return fmt.Errorf("the error %q %w", err, problem)
	}
	for _, kind := range kinds {
		var oe *vfs.OffsetError
		if errors.Is(err, kind) || kind == errOffset && errors.As(err, &oe) {
			return nil
		}
	}
	return fmt.Errorf("fails with %w, want one of %v", err, kinds)
}

// same compares one name, and its directory's listing, with the map.
func (m *modelRun) same(name string) error {
	info, err := m.fs.Stat(m.ctx, name)
	data, exists := m.want[name]
	switch {
	case name == ".":
	case !exists && err == nil:
		return fmt.Errorf("%q exists", name)
	case !exists:
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, vfs.ErrNotDir) {
			return fmt.Errorf("describing nothing: %w", err)
		}
	case err != nil:
		return err
	case info.IsDir() != (data == nil):
		return fmt.Errorf("%q has mode %v", name, info.Mode())
	case data != nil:
		got, err := readFile(m.ctx, m.fs, name)
		if err != nil {
			return err
		}
		if !bytes.Equal(got, data) || info.Size() != int64(len(data)) {
			return fmt.Errorf("%q (size %d): %s", name, info.Size(), difference(got, data))
		}
	}
	dir, _ := vfs.Split(name)
	if m.kind(dir) != directory {
		return nil
	}
	var got, want []string
	for info, err := range m.fs.ReadDir(m.ctx, dir, "") {
		if err != nil {
			return err
		}
		got = append(got, info.Name())
	}
	for n := range m.want {
		if d, base := vfs.Split(n); d == dir {
			want = append(want, base)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		return fmt.Errorf("ReadDir(%q) = %q, want %q", dir, got, want)
	}
	return nil
}

// whole compares everything.
func (m *modelRun) whole() error {
	got, err := walk(m.ctx, m.fs)
	if err != nil {
		return err
	}
	if d := compare(got, m.want); d != "" {
		return errors.New(d)
	}
	for key, arrived := range m.staged {
		info, err := vfs.StatStaged(m.ctx, m.fs, key[0], key[1])
		if err != nil {
			return err
		}
		if info.Size() >= int64(len(arrived)) {
			return fmt.Errorf("staged %q: size %d, but %d bytes arrived", key, info.Size(), len(arrived))
		}
	}
	return nil
}

// compare says where two trees differ, or is empty.
func compare(got, want tree) string {
	var diffs []string
	for name, data := range want {
		g, ok := got[name]
		switch {
		case !ok:
			diffs = append(diffs, fmt.Sprintf("%q is missing", name))
		case (g == nil) != (data == nil):
			diffs = append(diffs, fmt.Sprintf("%q is a directory: %v, want %v", name, g == nil, data == nil))
		default:
			if d := difference(g, data); d != "" {
				diffs = append(diffs, fmt.Sprintf("%q: %s", name, d))
			}
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			diffs = append(diffs, fmt.Sprintf("%q should not exist", name))
		}
	}
	slices.Sort(diffs)
	return strings.Join(diffs, "; ")
}
