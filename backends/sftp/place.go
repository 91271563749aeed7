package sftp

import (
	"context"
	"io/fs"
	"slices"
	"strings"

	"github.com/ftpgate/ftpgate/vfs"
)

// maxLinks is how many links one name may lead over, as in Linux.
const maxLinks = 40

// place is where a name leads: an element of a directory. Both are plain, that is
// without a link on the way from the root. The element of the root is ".".
type place struct{ dir, base string }

func (p place) name() string { return vfs.Join(p.dir, p.base) }

// beside is another element of the same directory.
func (p place) beside(base string) string { return vfs.Join(p.dir, base) }

// path is a plain name as the server knows it.
func (s *shared) path(name string) string {
	switch {
	case name == ".":
		return s.root
	case s.root == "/":
		return "/" + name
	}
	return s.root + "/" + name
}

// walk is a name on its way to a place.
type walk struct {
	fs    *FS
	w     *wire
	done  []string // plain
	todo  []string
	links int
}

// find returns the place of name, or with follow of what name leads to over links,
// and what is there, which may be nothing. Each element is asked for at once, so
// that a name without links costs one round trip, whatever its depth. A link that
// leaves the root of f is fs.ErrPermission.
func (f *FS) find(ctx context.Context, w *wire, name string, follow bool) (place, stat, error) {
	k := &walk{fs: f, w: w, todo: slices.Concat(elements(f.base), elements(name))}
	for {
		p, st, err := k.step(ctx, follow)
		if err != nil || p != (place{}) {
			return p, st, err
		}
	}
}

func elements(name string) []string {
	if name == "." {
		return nil
	}
	return strings.Split(name, "/")
}

// step goes on to the end, or to the next link or "..", and returns the place once
// it is there.
func (k *walk) step(ctx context.Context, follow bool) (place, stat, error) {
	plain := 0 // elements of todo that are names
	for plain < len(k.todo) && k.todo[plain] != ".." {
		plain++
	}
	if plain == 0 && len(k.todo) > 0 {
		return place{}, stat{}, k.up()
	}
	asked := make([]sent, 0, plain+1)
	defer func() {
		for _, s := range asked {
			s.abandon()
		}
	}()
	name := nameOf(k.done)
	if plain == 0 {
		ask := k.w.lstat
		if name == "." { // whatever the operator gave
			ask = k.w.stat
		}
		asked = append(asked, ask(ctx, k.fs.path(name)))
		st, err := asked[0].attrs(ctx)
		if err == nil && !st.exists {
			err = fs.ErrNotExist
		}
		return placeOf(k.done), st, err
	}
	for _, elem := range k.todo[:plain] {
		name = vfs.Join(name, elem)
		asked = append(asked, k.w.lstat(ctx, k.fs.path(name)))
	}
	for i := range plain {
		st, err := asked[i].attrs(ctx)
		if err != nil {
			return place{}, stat{}, err
		}
		last := i == len(k.todo)-1
		switch {
		case st.mode.Type() == fs.ModeSymlink && (follow || !last):
			return place{}, stat{}, k.enter(ctx, k.todo[i+1:])
		case last:
			return placeOf(append(k.done, k.todo[i])), st, nil
		case !st.exists:
			return place{}, stat{}, fs.ErrNotExist
		case !st.mode.IsDir():
			return place{}, stat{}, vfs.ErrNotDir
		}
		k.done = append(k.done, k.todo[i])
	}
	k.todo = k.todo[plain:]
	return place{}, stat{}, nil
}

func nameOf(elems []string) string {
	if len(elems) == 0 {
		return "."
	}
	return strings.Join(elems, "/")
}

func placeOf(elems []string) place {
	dir, base := vfs.Split(nameOf(elems))
	return place{dir, base}
}

// up takes the "..", which is exact because what was done is plain.
func (k *walk) up() error {
	if len(k.done) <= len(elements(k.fs.base)) {
		return fs.ErrPermission
	}
	k.done, k.todo = k.done[:len(k.done)-1], k.todo[1:]
	return nil
}

// enter goes on with what the link after done leads to, and then with rest.
func (k *walk) enter(ctx context.Context, rest []string) error {
	floor := len(elements(k.fs.base))
	if k.links++; k.links > maxLinks || len(k.done) < floor { // a link on the way to the root of f
		return fs.ErrPermission
	}
	// What is to be done follows the elements before the link.
	link := k.todo[len(k.todo)-len(rest)-1]
	text, err := k.w.readlink(ctx, k.fs.path(vfs.Join(nameOf(k.done), link))).text(ctx)
	if err != nil {
		return err
	}
	elems, err := linkElements(text)
	if err != nil {
		return err
	}
	k.todo = slices.Concat(elems, rest)
	return nil
}

// linkElements are the elements of a link's text: ".." and names that may be used.
// An absolute text is fs.ErrPermission, because it leaves the root.
func linkElements(text string) ([]string, error) {
	if text == "" || strings.HasPrefix(text, "/") {
		return nil, fs.ErrPermission
	}
	var elems []string
	for elem := range strings.SplitSeq(text, "/") {
		switch {
		case elem == "" || elem == ".":
			continue
		case elem != ".." && checkName("link", elem) != nil:
			return nil, fs.ErrPermission
		}
		elems = append(elems, elem)
	}
	return elems, nil
}

// target returns the name that a link with this text in the plain directory dir
// leads to, one step far; empty if it leaves the root of f, or if links on the way
// make that another place than the text says.
func (f *FS) target(dir, text string) string {
	elems, err := linkElements(text)
	if err != nil {
		return ""
	}
	at := elements(dir)
	named := false
	for _, elem := range elems {
		if elem != ".." {
			at, named = append(at, elem), true
			continue
		}
		if named || len(at) == 0 {
			return ""
		}
		at = at[:len(at)-1]
	}
	name := nameOf(at)
	if !vfs.Within(name, f.base) {
		return ""
	}
	return f.short(name)
}

// short turns a plain name of the store into a name of f.
func (f *FS) short(name string) string {
	switch {
	case f.base == ".":
		return name
	case name == f.base:
		return "."
	}
	return name[len(f.base)+1:]
}
