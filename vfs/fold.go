package vfs

import (
	"context"
	"io/fs"
	"iter"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Folding says which spellings of a name mean the same file.
type Folding uint8

// The foldings; they can be joined with |.
const (
	// FoldForm: names that look alike do, whether their accents are letters of their
	// own (NFC, as Windows and Linux type them) or follow the letter (NFD, as older
	// Macs do).
	FoldForm Folding = 1 << iota
	// FoldCase: upper and lower case do.
	FoldCase
)

// DefaultFoldEntries is how many entries of a directory Fold looks at to find a
// name that is not there as it was spelled.
const DefaultFoldEntries = 100_000

// Fold finds names by how, element by element: the exact name wins; otherwise the
// entry that folds equal does, and of several the first in the order of bytes. New
// names are stored as they were spelled, but what would differ from an entry only by
// the folding is that entry: an upload replaces it and a rename onto it takes its
// place under its old spelling, as on Windows and macOS. Renaming an entry to another
// spelling of itself works. Listings show all entries as they are.
//
// A name that exists as it is spelled costs nothing more; any other costs a listing
// of its directory, unless that was listed within the last two seconds. In directories
// with more than DefaultFoldEntries entries only exact names are found. Names that are
// not UTF-8 are folded by their ASCII letters. What others make in a directory that was
// just listed is found by another spelling only after those two seconds; two sessions that
// make two spellings of a new name at about the same time make two files.
func Fold(fsys FS, how Folding) FS {
	return &foldFS{inner: fsys, how: how, entries: DefaultFoldEntries}
}

type foldFS struct {
	inner   FS
	how     Folding
	entries int
	recent  recentDir
}

// recentDir remembers the names of the directory that was listed last, for who makes
// many new ones in it. What it finds is checked, so it may be old.
type recentDir struct {
	mu    sync.Mutex
	dir   string
	names map[string]string // by key; nil: nothing is remembered
	end   *time.Timer
}

const (
	recentTime    = 2 * time.Second
	recentEntries = 10_000 // larger directories are not remembered
)

// find returns the name that is known for key, and whether dir is.
func (r *recentDir) find(dir, key string) (name string, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.names == nil || r.dir != dir {
		return "", false
	}
	return r.names[key], true
}

// remember takes the names of dir; nil forgets.
func (r *recentDir) remember(dir string, names map[string]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.end != nil {
		r.end.Stop()
	}
	if r.dir, r.names = dir, names; names != nil {
		r.end = time.AfterFunc(recentTime, func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.names = nil
		})
	}
}

// made adds a name that we have made.
func (r *recentDir) made(name string, how Folding) {
	dir, base := Split(name)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.names != nil && r.dir == dir && len(r.names) < recentEntries {
		if key := how.Key(base); r.names[key] == "" {
			r.names[key] = base
		}
	}
}

var _ Full = (*foldFS)(nil)

// Key returns what is the same for all spellings of one element.
func (how Folding) Key(element string) string {
	if !utf8.ValidString(element) {
		if how&FoldCase == 0 {
			return element
		}
		lower := []byte(element)
		for i, c := range lower {
			if 'A' <= c && c <= 'Z' {
				lower[i] = c + 'a' - 'A'
			}
		}
		return string(lower)
	}
	if how&FoldForm != 0 {
		element = norm.NFD.String(element)
	}
	if how&FoldCase != 0 {
		element = strings.Map(simplest, element)
	}
	if how&FoldForm != 0 { // case can change the order of marks
		element = norm.NFC.String(element)
	}
	return element
}

// simplest is the least of the letters that differ from r only in case.
func simplest(r rune) rune {
	least := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		least = min(least, next)
	}
	return least
}

// entry finds the entry of dir that is meant by base; "": none.
func (f *foldFS) entry(ctx context.Context, dir, base string) (string, error) {
	key, seen := f.how.Key(base), 0
	if name, known := f.recent.find(dir, key); known {
		if name == "" {
			return "", nil
		}
		if there, err := f.exists(ctx, Join(dir, name)); there || err != nil {
			return name, err
		}
	}
	names := map[string]string{}
	best := ""
	for info, err := range f.inner.ReadDir(ctx, dir, "") {
		if err != nil {
			return "", err
		}
		name := info.Name()
		if name == base { // a link that leads nowhere
			return base, nil
		}
		if seen++; seen > f.entries {
			return "", nil
		}
		k := f.how.Key(name)
		if k == key && (best == "" || name < best) {
			best = name
		}
		if seen > recentEntries {
			names = nil
		} else if old := names[k]; old == "" || name < old {
			names[k] = name
		}
	}
	f.recent.remember(dir, names)
	return best, nil
}

// exists reports whether something, were it a dangling link, has the name.
func (f *foldFS) exists(ctx context.Context, name string) (bool, error) {
	_, err := f.inner.Stat(ctx, name)
	switch kind := Kind(err); {
	case err == nil:
		return true, nil
	case kind == fs.ErrNotExist || kind == ErrNotDir:
		return false, nil
	case kind == fs.ErrPermission: // a link that leaves the root
		return true, nil
	}
	return false, err
}

// resolve returns the name of what is meant by name. What is missing keeps its
// spelling, with found false.
func (f *foldFS) resolve(ctx context.Context, name string) (real string, found bool, err error) {
	if name == "." {
		return name, true, nil
	}
	if found, err = f.exists(ctx, name); found || err != nil {
		return name, found, err
	}
	dir, base := Split(name)
	real, found, err = f.resolve(ctx, dir)
	if err != nil || !found {
		return Join(real, base), false, err
	}
	if real != dir { // where the element may be exact
		if found, err = f.exists(ctx, Join(real, base)); found || err != nil {
			return Join(real, base), found, err
		}
	}
	as, err := f.entry(ctx, real, base)
	switch kind := Kind(err); {
	case kind == ErrNotDir || kind == fs.ErrNotExist:
		return Join(real, base), false, nil
	case err != nil:
		return Join(real, base), false, err
	case as == "":
		return Join(real, base), false, nil
	}
	return Join(real, as), true, nil
}

// begin resolves name for an operation.
func (f *foldFS) begin(ctx context.Context, op, name string) (string, error) {
	if err := CheckName(op, name); err != nil {
		return "", err
	}
	real, _, err := f.resolve(ctx, name)
	if err != nil {
		return "", PathError(op, name, err)
	}
	return real, nil
}

// absent reports whether err may mean that the name is there in another spelling.
func absent(err error) bool {
	kind := Kind(err)
	return kind == fs.ErrNotExist || kind == ErrNotDir
}

// existing runs an operation on something that is there: with the exact name, and if
// that is missing, with what is meant by it.
func (f *foldFS) existing(ctx context.Context, op, name string, do func(real string) error) error {
	err := do(name)
	if err == nil || !absent(err) || name == "." {
		return err
	}
	real, rerr := f.begin(ctx, op, name)
	switch {
	case rerr != nil:
		return rerr
	case real == name:
		return err
	}
	return callersName(real, name)(do(real))
}

func (f *foldFS) Caps() Caps { return f.inner.Caps() }

func (f *foldFS) Sub(dir string) (FS, error) {
	real, err := f.begin(context.Background(), "sub", dir)
	if err != nil {
		return nil, err
	}
	sub, err := Sub(f.inner, real)
	if err != nil {
		return nil, callersName(real, dir)(err)
	}
	return &foldFS{inner: sub, how: f.how, entries: f.entries}, nil
}

// Close closes what Fold was given, where that can be closed.
func (f *foldFS) Close() error { return closeFS(f.inner) }

func (f *foldFS) Stat(ctx context.Context, name string) (info fs.FileInfo, err error) {
	err = f.existing(ctx, "stat", name, func(real string) error {
		info, err = f.inner.Stat(ctx, real)
		if err == nil && real != name {
			_, base := Split(name)
			info = WithName(info, base)
		}
		return err
	})
	return info, err
}

func (f *foldFS) ReadDir(ctx context.Context, name, prefix string) iter.Seq2[fs.FileInfo, error] {
	return func(yield func(fs.FileInfo, error) bool) {
		real := name
		for again := false; ; again = true {
			first := true
			for info, err := range f.inner.ReadDir(ctx, real, prefix) {
				if err != nil {
					if as, rerr := f.begin(ctx, "readdir", name); first && !again && absent(err) && rerr == nil && as != name {
						real = as
						break
					}
					yield(nil, callersName(real, name)(err))
					return
				}
				if first = false; !yield(info, nil) {
					return
				}
			}
			if again || real == name {
				return
			}
		}
	}
}

func (f *foldFS) Open(ctx context.Context, name string, offset, length int64) (file fs.File, err error) {
	err = f.existing(ctx, "open", name, func(real string) error {
		if file, err = f.inner.Open(ctx, real, offset, length); err == nil {
			file = renamedFile(file, real, name)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return file, nil
}

func (f *foldFS) Create(ctx context.Context, name string, opt CreateOptions) (Writer, error) {
	real, err := f.begin(ctx, "create", name)
	if err != nil {
		return nil, err
	}
	w, err := f.inner.Create(ctx, real, opt)
	if err != nil {
		return nil, callersName(real, name)(err)
	}
	f.recent.made(real, f.how)
	if real == name {
		return w, nil
	}
	return &tracedWriter{inner: w, fix: callersName(real, name)}, nil
}

// make runs an operation that makes name, or finds it taken.
func (f *foldFS) make(ctx context.Context, op, name string, do func(real string) error) error {
	real, err := f.begin(ctx, op, name)
	if err != nil {
		return err
	}
	if err := do(real); err != nil {
		return callersName(real, name)(err)
	}
	f.recent.made(real, f.how)
	return nil
}

func (f *foldFS) Mkdir(ctx context.Context, name string) error {
	return f.make(ctx, "mkdir", name, func(real string) error { return f.inner.Mkdir(ctx, real) })
}

func (f *foldFS) Remove(ctx context.Context, name string) error {
	return f.existing(ctx, "remove", name, func(real string) error { return f.inner.Remove(ctx, real) })
}

func (f *foldFS) Rmdir(ctx context.Context, name string) error {
	return f.existing(ctx, "rmdir", name, func(real string) error { return f.inner.Rmdir(ctx, real) })
}

// pair runs an operation from a name that is there to one that may be. move says
// that the second may be another spelling of the first.
func (f *foldFS) pair(ctx context.Context, op, from, to string, move bool, do func(from, to string) error) error {
	realFrom, err := f.begin(ctx, op, from)
	if err != nil {
		return err
	}
	realTo, err := f.begin(ctx, op, to)
	if err != nil {
		return err
	}
	if move && realTo == realFrom && from != to {
		dir, _ := Split(realTo)
		_, base := Split(to)
		realTo = Join(dir, base)
	}
	if err = do(realFrom, realTo); err == nil {
		f.recent.made(realTo, f.how)
		return nil
	}
	if pe, ok := err.(*fs.PathError); ok && pe.Path == realTo && realTo != realFrom {
		return callersName(realTo, to)(err)
	}
	return callersName(realFrom, from)(err)
}

func (f *foldFS) Rename(ctx context.Context, oldname, newname string, opt RenameOptions) error {
	return f.pair(ctx, "rename", oldname, newname, true, func(a, b string) error { return f.inner.Rename(ctx, a, b, opt) })
}

func (f *foldFS) Copy(ctx context.Context, src, dst string, opt CopyOptions) error {
	if !f.inner.Caps().Has(CanCopy) {
		return unsupported("copy", src)
	}
	return f.pair(ctx, "copy", src, dst, false, func(a, b string) error { return ServerCopy(ctx, f.inner, a, b, opt) })
}

func (f *foldFS) Hash(ctx context.Context, name string, alg HashAlgorithm, offset, length int64) (sum []byte, err error) {
	err = f.existing(ctx, "hash", name, func(real string) error {
		sum, err = ServerHash(ctx, f.inner, real, alg, offset, length)
		return err
	})
	return sum, err
}

func (f *foldFS) SetModTime(ctx context.Context, name string, t time.Time) error {
	return f.existing(ctx, "settime", name, func(real string) error { return SetModTime(ctx, f.inner, real, t) })
}

func (f *foldFS) SetCreateTime(ctx context.Context, name string, t time.Time) error {
	return f.existing(ctx, "setcreatetime", name, func(real string) error { return SetCreateTime(ctx, f.inner, real, t) })
}

func (f *foldFS) SetMode(ctx context.Context, name string, mode fs.FileMode) error {
	return f.existing(ctx, "setmode", name, func(real string) error { return SetMode(ctx, f.inner, real, mode) })
}

func (f *foldFS) Space(ctx context.Context, name string) (sp SpaceInfo, err error) {
	err = f.existing(ctx, "space", name, func(real string) error {
		sp, err = Space(ctx, f.inner, real)
		return err
	})
	return sp, err
}

func (f *foldFS) Symlink(ctx context.Context, target, name string) error {
	if !f.inner.Caps().Has(CanSymlink) {
		return unsupported("symlink", name)
	}
	return f.pair(ctx, "symlink", target, name, false, func(a, b string) error { return Symlink(ctx, f.inner, a, b) })
}

func (f *foldFS) Staged(ctx context.Context, dir, owner string) iter.Seq2[fs.FileInfo, error] {
	real, err := f.begin(ctx, "readdir", dir)
	if err != nil {
		return failed(err)
	}
	return func(yield func(fs.FileInfo, error) bool) {
		for info, err := range Staged(ctx, f.inner, real, owner) {
			if !yield(info, callersName(real, dir)(err)) {
				return
			}
		}
	}
}

// StatStaged looks where Create puts uploads of the name.
func (f *foldFS) StatStaged(ctx context.Context, name, owner string) (info fs.FileInfo, err error) {
	err = f.existing(ctx, "stat", name, func(real string) error {
		info, err = StatStaged(ctx, f.inner, real, owner)
		if err == nil && real != name {
			_, base := Split(name)
			info = WithName(info, base)
		}
		return err
	})
	return info, err
}

func (f *foldFS) Discard(ctx context.Context, name, owner string) error {
	return f.existing(ctx, "remove", name, func(real string) error { return Discard(ctx, f.inner, real, owner) })
}
