package local

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/ftpgate/ftpgate/vfs"
)

// maxLinks is how many links one name may lead over, as in Linux.
const maxLinks = 40

// place is where a name leads: an element of an open directory. The element of
// the root is ".".
type place struct {
	*dir
	base string
	name string // the same as a name of the FS
}

// place opens the parent of name.
func (f *FS) place(name string) (place, error) {
	parent, base := vfs.Split(name)
	if parent == "." {
		return place{dir: f.top, base: base, name: name}, nil
	}
	d, err := f.openDir(parent)
	if err != nil {
		return place{}, err
	}
	return place{dir: d, base: base, name: name}, nil
}

// find opens the parent of name, or with follow of what name leads to over links,
// and tells what is there, which may be nothing.
func (f *FS) find(name string, follow bool) (place, stat, error) {
	for range maxLinks {
		p, err := f.place(name)
		if err != nil {
			return place{}, stat{}, err
		}
		st, err := p.lstat(p.base)
		if errors.Is(err, fs.ErrNotExist) {
			return p, stat{}, nil
		}
		if err == nil && (!follow || st.mode.Type() != fs.ModeSymlink) {
			return p, st, nil
		}
		if err == nil {
			var text string
			if text, err = p.readlink(p.base); err == nil {
				parent, _ := vfs.Split(name)
				name, err = f.target(parent, text)
			}
		}
		p.close()
		if err != nil {
			return place{}, stat{}, err
		}
	}
	return place{}, stat{}, fs.ErrPermission
}

// key identifies the place by whatever name it was reached.
func (p place) key() (nameKey, error) {
	st, err := p.dir.stat()
	if st.id == (fileID{}) {
		return nameKey{base: p.name}, err
	}
	return nameKey{dir: st.id, base: p.base}, err
}

// target returns the name that a link with this text in the directory dir leads
// to, one step far. Leaving the root, and leading to a name that nobody may use, is
// fs.ErrPermission.
func (f *FS) target(dir, text string) (string, error) {
	if strings.HasPrefix(text, "/") || filepath.IsAbs(text) || filepath.VolumeName(text) != "" {
		return "", fs.ErrPermission
	}
	name, err := f.walk(dir+"/"+text, strings.Contains(text, ".."))
	if err != nil {
		return "", err
	}
	if checkName("link", name) != nil {
		return "", fs.ErrPermission
	}
	return name, nil
}

// real returns the name of the directory dir that leads over no link.
func (f *FS) real(dir string) (string, error) { return f.walk(dir+"/.", true) }

// walk turns a path below the root into a name. With follow it resolves the links
// before the last element, because after a link ".." is the parent of where that
// leads.
func (f *FS) walk(path string, follow bool) (string, error) {
	todo := strings.Split(path, "/")
	var done []string
	for links := 0; len(todo) > 0; {
		elem := todo[0]
		todo = todo[1:]
		switch elem {
		case "", ".":
			continue
		case "..":
			if len(done) == 0 {
				return "", fs.ErrPermission
			}
			done = done[:len(done)-1]
			continue
		}
		done = append(done, elem)
		if !follow || len(todo) == 0 {
			continue
		}
		text, err := f.root.Readlink(strings.Join(done, "/"))
		if err != nil { // no link; what it is instead shows when it is used
			continue
		}
		if text = filepath.ToSlash(text); strings.HasPrefix(text, "/") || links == maxLinks {
			return "", fs.ErrPermission
		}
		links++
		done = done[:len(done)-1]
		todo = append(strings.Split(text, "/"), todo...)
	}
	if len(done) == 0 {
		return ".", nil
	}
	return strings.Join(done, "/"), nil
}
