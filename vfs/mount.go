package vfs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MountPoint is a tree and its place in a Mount.
type MountPoint struct {
	Dir string // "." for the root
	FS  FS
}

// MountOptions are the options of Mount.
type MountOptions struct {
	// NoMove refuses renames from one tree to another with errors.ErrUnsupported
	// instead of copying and removing.
	NoMove bool
	// MoveEntries bounds how many files and directories a rename from one tree to
	// another may move; 0 is DefaultMoveEntries.
	MoveEntries int
	// Log gets a line every ten seconds while a rename copies, and one about what it
	// could not clean up; nil: nobody is told.
	Log *slog.Logger
}

// DefaultMoveEntries is the bound of a zero MountOptions.
const DefaultMoveEntries = 100_000

// Mount joins several trees to one. A name belongs to the point with the longest
// directory that holds it, so a point covers what another tree has at its place.
// Points, and the directories on the way to them, are listed as directories whether
// another tree has them or not; they can't be removed, renamed or replaced, and
// where no tree has the directory, nothing can be made in it (fs.ErrPermission).
//
// A file, or a directory with what it holds, is renamed from one tree to another by
// copying and removing: the copy of a file shows at once when it is whole, that of a
// directory grows; the source goes last, and only what did not change meanwhile. A
// rename that fails before the source began to go leaves the source whole and
// removes the copy. Links are not moved. Symbolic links know nothing of mounts: they
// lead to names of their own tree, even to covered ones.
//
// Caps is the union of the trees' abilities and the intersection of their facts; what
// a tree can't do is errors.ErrUnsupported there. The trees are not closed with the
// Mount; to give each permissions of its own, mount it in Guard or ReadOnly.
func Mount(points []MountPoint, opt MountOptions) (FS, error) {
	if opt.MoveEntries == 0 {
		opt.MoveEntries = DefaultMoveEntries
	}
	m := &mountFS{opt: opt, made: time.Now().Truncate(time.Second), dirs: map[string]bool{".": true}}
	seen := map[string]bool{}
	for _, p := range points {
		if !ValidName(p.Dir) || p.FS == nil {
			return nil, fmt.Errorf("mount: %q: %w", p.Dir, fs.ErrInvalid)
		}
		if seen[p.Dir] {
			return nil, fmt.Errorf("mount: %q is given twice: %w", p.Dir, fs.ErrExist)
		}
		seen[p.Dir] = true
		m.points = append(m.points, point{p.Dir, p.FS, ""})
		for dir := p.Dir; dir != "."; dir, _ = Split(dir) {
			m.dirs[dir] = true
		}
	}
	// The deepest first; the order also names the points, so it must not change.
	slices.SortStableFunc(m.points, func(a, b point) int {
		return cmp.Or(cmp.Compare(depth(b.dir), depth(a.dir)), strings.Compare(a.dir, b.dir))
	})
	for i := range m.points {
		if m.points[i].dir != "." {
			m.points[i].mark = "@" + strconv.Itoa(i+1)
		}
	}
	if len(points) > 0 {
		m.caps = m.union()
	}
	return m, nil
}

// depth is the number of elements of name.
func depth(name string) int {
	if name == "." {
		return 0
	}
	return 1 + strings.Count(name, "/")
}

func (m *mountFS) union() Caps {
	abilities, facts := Caps(0), Facts
	for _, p := range m.points {
		c := p.fs.Caps()
		abilities |= c &^ Facts
		facts &= c
	}
	if len(m.points) > 1 && !m.opt.NoMove {
		facts &^= AtomicRename
	}
	return abilities | facts
}

// mountsBelow returns the points of the tree below dir: dir itself as the new root,
// and the points inside of it. Where no tree has dir, the new root is missing.
func mountsBelow(points []MountPoint, dir string) ([]MountPoint, error) {
	if err := CheckName("sub", dir); err != nil {
		return nil, err
	}
	var out []MountPoint
	at, inside := -1, false
	for i, p := range points {
		switch {
		case p.Dir != dir && Within(p.Dir, dir):
			inside = true
			below := p.Dir
			if dir != "." {
				below = p.Dir[len(dir)+1:]
			}
			out = append(out, MountPoint{below, p.FS})
		case Within(dir, p.Dir) && (at < 0 || depth(p.Dir) > depth(points[at].Dir)):
			at = i
		}
	}
	if at < 0 {
		if !inside {
			return nil, PathError("sub", dir, fs.ErrNotExist)
		}
		return out, nil
	}
	p := point{points[at].Dir, points[at].FS, ""}
	sub, err := Sub(p.fs, p.inner(dir))
	switch kind := Kind(err); {
	case err == nil:
		return append(out, MountPoint{".", sub}), nil
	case inside && (kind == fs.ErrNotExist || kind == ErrNotDir):
		return out, nil
	}
	return nil, PathError("sub", dir, err)
}

// mountFS routes names to trees.
type mountFS struct {
	points []point         // the deepest first
	dirs   map[string]bool // the points and the directories on the way to them
	caps   Caps
	opt    MountOptions
	made   time.Time // the time of directories that no tree has
	close  []io.Closer
}

var _ Full = (*mountFS)(nil)

// point is a tree in its place.
type point struct {
	dir  string
	fs   FS
	mark string // goes behind Attr.Unique, for two trees may use the same
}

// inner is name as the tree knows it.
func (p *point) inner(name string) string {
	switch {
	case name == p.dir:
		return "."
	case p.dir == ".":
		return name
	}
	return name[len(p.dir)+1:]
}

// err gives the name in an error of the tree back its place.
func (p *point) err(err error) error {
	var pe *fs.PathError
	if p.dir == "." || !errors.As(err, &pe) {
		return err
	}
	return &fs.PathError{Op: pe.Op, Path: Join(p.dir, pe.Path), Err: pe.Err}
}

// info is what the tree says, seen from the Mount.
func (p *point) info(info fs.FileInfo, name string) fs.FileInfo {
	a, ok := info.Sys().(*Attr)
	if p.dir == "." || !ok || a.Unique == "" && a.Target == "" {
		if name == info.Name() {
			return info
		}
		return WithName(info, name)
	}
	out, b := WithName(info, name), *a
	if b.Unique != "" {
		b.Unique += p.mark
	}
	if b.Target != "" {
		b.Target = Join(p.dir, b.Target)
	}
	out.attr = &b
	return out
}

// at returns the point that name belongs to; nil: none.
func (m *mountFS) at(name string) *point {
	for i := range m.points {
		if Within(name, m.points[i].dir) {
			return &m.points[i]
		}
	}
	return nil
}

// isPoint reports whether a tree begins at name.
func (m *mountFS) isPoint(name string) bool {
	p := m.at(name)
	return p != nil && p.dir == name
}

// bare reports whether name is a directory for the sake of the mounts in it, whether
// the tree p has it or not. Below a Sub that may be the root itself.
func (m *mountFS) bare(p *point, name string) bool {
	return m.dirs[name] && (p.dir != name || name == "." && len(m.dirs) > 1)
}

// begin is the beginning of every method.
func (m *mountFS) begin(ctx context.Context, op, name string) (*point, error) {
	if err := CheckName(op, name); err != nil {
		return nil, err
	}
	if err := ContextError(ctx, op, name); err != nil {
		return nil, err
	}
	return m.at(name), nil
}

// gap replaces the error of a tree for a name in a directory that only mounts make:
// a client sees the directory, so it must not be told that it is missing.
func (m *mountFS) gap(ctx context.Context, p *point, op, name string, err error) error {
	kind := Kind(err)
	if err == nil || kind != fs.ErrNotExist && kind != ErrNotDir {
		return err
	}
	dir := name
	if !m.dirs[name] {
		dir, _ = Split(name)
	}
	if !m.dirs[dir] {
		return err
	}
	if info, serr := p.fs.Stat(ctx, p.inner(dir)); serr == nil && info.IsDir() {
		return err
	}
	return &fs.PathError{Op: op, Path: name, Err: fs.ErrPermission}
}

// nowhere is the error for a name that no tree holds.
func (m *mountFS) nowhere(op, name string, creates bool) error {
	dir, _ := Split(name)
	switch {
	case m.dirs[name]: // below the root, only mounts make it
		return &fs.PathError{Op: op, Path: name, Err: fs.ErrPermission}
	case creates && m.dirs[dir]:
		return &fs.PathError{Op: op, Path: name, Err: fs.ErrPermission}
	}
	return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
}

// directory describes a directory that no tree has.
func (m *mountFS) directory(name string) Info {
	_, base := Split(name)
	return NewInfo(base, 0, fs.ModeDir|0o755, m.made, &Attr{Unique: "mount:" + strconv.QuoteToASCII(name)})
}

func (m *mountFS) Caps() Caps { return m.caps }

func (m *mountFS) Sub(dir string) (FS, error) {
	if dir == "." {
		return m, nil
	}
	var points []MountPoint
	for _, p := range m.points {
		points = append(points, MountPoint{p.dir, p.fs})
	}
	below, err := mountsBelow(points, dir)
	if err != nil {
		return nil, err
	}
	if len(below) == 1 && below[0].Dir == "." {
		return below[0].FS, nil
	}
	sub, err := Mount(below, m.opt)
	if err != nil {
		return nil, err
	}
	for _, p := range below {
		if c, ok := p.FS.(io.Closer); ok && p.Dir == "." { // the others are ours already
			sub.(*mountFS).close = append(sub.(*mountFS).close, c)
		}
	}
	return sub, nil
}

// Close releases what Sub opened; the trees that were given to Mount stay open.
func (m *mountFS) Close() error {
	var errs []error
	for _, c := range m.close {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

func (m *mountFS) Stat(ctx context.Context, name string) (fs.FileInfo, error) {
	p, err := m.begin(ctx, "stat", name)
	if err != nil {
		return nil, err
	}
	_, base := Split(name)
	if p == nil {
		if m.dirs[name] {
			return m.directory(name), nil
		}
		return nil, m.nowhere("stat", name, false)
	}
	info, err := p.fs.Stat(ctx, p.inner(name))
	if m.bare(p, name) && (err == nil && !info.IsDir() || err != nil && ctx.Err() == nil) {
		return m.directory(name), nil
	}
	if err != nil {
		return nil, p.err(err)
	}
	return p.info(info, base), nil
}

// ReadDir lists what the tree has and then the mounts, in place of what they cover.
func (m *mountFS) ReadDir(ctx context.Context, name, prefix string) iter.Seq2[fs.FileInfo, error] {
	return func(yield func(fs.FileInfo, error) bool) {
		p, err := m.begin(ctx, "readdir", name)
		if err == nil && p == nil && !m.dirs[name] {
			err = m.nowhere("readdir", name, false)
		}
		if err != nil {
			yield(nil, err)
			return
		}
		if p != nil && !m.readTree(ctx, p, name, prefix, yield) || !m.dirs[name] {
			return
		}
		for dir := range m.dirs {
			if parent, base := Split(dir); dir == "." || parent != name || !strings.HasPrefix(base, prefix) {
				continue
			}
			info, err := m.Stat(ctx, dir)
			if err != nil && ctx.Err() == nil { // a store that is away stays in sight
				info, err = m.directory(dir), nil
			}
			if !yield(info, err) || err != nil {
				return
			}
		}
	}
}

// readTree lists what p has in the directory name, and reports whether to go on.
func (m *mountFS) readTree(ctx context.Context, p *point, name, prefix string, yield func(fs.FileInfo, error) bool) bool {
	for info, err := range p.fs.ReadDir(ctx, p.inner(name), prefix) {
		if err != nil {
			kind := Kind(err)
			if m.bare(p, name) && (kind == fs.ErrNotExist || kind == ErrNotDir) {
				return true
			}
			yield(nil, p.err(err))
			return false
		}
		if m.dirs[name] && m.dirs[Join(name, info.Name())] {
			continue
		}
		if !yield(p.info(info, info.Name()), nil) {
			return false
		}
	}
	return true
}

func (m *mountFS) Open(ctx context.Context, name string, offset, length int64) (fs.File, error) {
	p, err := m.begin(ctx, "open", name)
	switch {
	case err != nil:
		return nil, err
	case m.dirs[name]:
		return nil, &fs.PathError{Op: "open", Path: name, Err: ErrIsDir}
	case p == nil:
		return nil, m.nowhere("open", name, false)
	}
	f, err := p.fs.Open(ctx, p.inner(name), offset, length)
	if err != nil {
		return nil, p.err(err)
	}
	return renamedFile(f, p.inner(name), name), nil
}

func (m *mountFS) Create(ctx context.Context, name string, opt CreateOptions) (Writer, error) {
	p, err := m.begin(ctx, "create", name)
	switch {
	case err != nil:
		return nil, err
	case m.dirs[name]:
		return nil, &fs.PathError{Op: "create", Path: name, Err: ErrIsDir}
	case p == nil:
		return nil, m.nowhere("create", name, true)
	}
	w, err := p.fs.Create(ctx, p.inner(name), opt)
	if err != nil {
		return nil, m.gap(ctx, p, "create", name, p.err(err))
	}
	if p.dir == "." {
		return w, nil
	}
	return &tracedWriter{inner: w, fix: callersName(p.inner(name), name)}, nil
}

// change runs an operation on one name of one tree. taken is the error for the
// directories that mounts make.
func (m *mountFS) change(ctx context.Context, op, name string, taken error, do func(p *point, inner string) error) error {
	p, err := m.begin(ctx, op, name)
	switch {
	case err != nil:
		return err
	case m.dirs[name] && taken != nil:
		return &fs.PathError{Op: op, Path: name, Err: taken}
	case p == nil:
		return m.nowhere(op, name, op == "mkdir" || op == "symlink")
	}
	return m.gap(ctx, p, op, name, p.err(do(p, p.inner(name))))
}

func (m *mountFS) Mkdir(ctx context.Context, name string) error {
	return m.change(ctx, "mkdir", name, fs.ErrExist, func(p *point, inner string) error { return p.fs.Mkdir(ctx, inner) })
}

func (m *mountFS) Remove(ctx context.Context, name string) error {
	return m.change(ctx, "remove", name, ErrIsDir, func(p *point, inner string) error { return p.fs.Remove(ctx, inner) })
}

func (m *mountFS) Rmdir(ctx context.Context, name string) error {
	taken := ErrNotEmpty
	if name == "." || m.isPoint(name) {
		taken = fs.ErrPermission
	}
	return m.change(ctx, "rmdir", name, taken, func(p *point, inner string) error { return p.fs.Rmdir(ctx, inner) })
}
