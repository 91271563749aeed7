package auth

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/ftpgate/ftpgate/vfs"
)

// Policy says what a principal may do. It is not changed once it is in use. A nil
// Policy allows everything.
//
// Making, removing and renaming a name, and what is done to a file, belongs to the
// directory that holds it; entering and listing belong to the directory itself. The
// permissions that hold are those of the most specific directory that has some.
type Policy struct {
	// Permissions hold where no directory has its own.
	Permissions Permissions
	// Directories have permissions of their own, with all that is below them.
	// Clients can't remove or rename them, nor what they are in.
	Directories Directories
	// Hidden names are not listed, and to every command as if they did not exist;
	// neither do new ones come into being.
	Hidden Patterns
	// Refused names are listed, and refused to every command.
	Refused Patterns
	// Only, if it has any, are the names that files may have: others are listed, and
	// can't be read, written, removed or renamed. Directories may have any name.
	Only Patterns
	// MaxSize is how large a file may become, in bytes; 0: as large as it likes.
	MaxSize int64
	// Commands are the verbs that may be used.
	Commands Commands
}

var _ vfs.Rules = (*Policy)(nil)

// Directories have permissions of their own. The zero value has none.
type Directories struct{ list []directory }

type directory struct {
	name, folded string
	permissions  Permissions
}

// Add gives the directory at the absolute path its own permissions.
func (d Directories) Add(path string, p Permissions) (Directories, error) {
	if err := CheckHome(path); err != nil || path == "" || path == "/" {
		return d, fmt.Errorf("directory %q is not a plain absolute path such as /inbox", path)
	}
	dir := directory{path[1:], fold(path[1:]), p}
	for _, other := range d.list {
		if other.folded == dir.folded {
			return d, fmt.Errorf("directory %q is given twice", path)
		}
	}
	return Directories{append(slices.Clip(d.list), dir)}, nil
}

// Each calls yield for every directory, as an absolute path.
func (d Directories) Each(yield func(path string, p Permissions) bool) {
	for _, dir := range d.list {
		if !yield("/"+dir.name, dir.permissions) {
			return
		}
	}
}

// at are the permissions that hold in dir. Where another spelling of dir would be
// below other directories of the list, which a store may take for the same, both
// have to agree.
func (d Directories) at(dir string, top Permissions) Permissions {
	if len(d.list) == 0 {
		return top
	}
	exact, spelled := top, top
	exactLen, spelledLen := -1, -1
	folded := fold(dir)
	for i := range d.list {
		own := &d.list[i]
		if len(own.name) > exactLen && vfs.Within(dir, own.name) {
			exact, exactLen = own.permissions, len(own.name)
		}
		if len(own.folded) > spelledLen && vfs.Within(folded, own.folded) {
			spelled, spelledLen = own.permissions, len(own.folded)
		}
	}
	return exact & spelled
}

// inside reports whether name is a directory of the list, or one is below it.
func (d Directories) inside(name string) bool {
	if len(d.list) == 0 {
		return false
	}
	folded := fold(name)
	for i := range d.list {
		if vfs.Within(d.list[i].folded, folded) {
			return true
		}
	}
	return false
}

// Allow returns nil if op on name (of the vfs, below the user's root) is allowed,
// else an error that matches fs.ErrPermission, or fs.ErrNotExist for a hidden name.
func (p *Policy) Allow(op vfs.Op, name string) error {
	if p == nil {
		return nil
	}
	if err := p.allowName(name); err != nil {
		return err
	}
	if !p.permissions(op, name).allows(op) {
		return fs.ErrPermission
	}
	switch op {
	case vfs.OpRead, vfs.OpHash, vfs.OpWrite, vfs.OpOverwrite, vfs.OpAppend, vfs.OpRemove, vfs.OpSymlink:
		if !p.fileName(name) {
			return fs.ErrPermission
		}
	}
	switch op {
	case vfs.OpWrite, vfs.OpOverwrite, vfs.OpAppend, vfs.OpRemove, vfs.OpRmdir, vfs.OpSymlink, vfs.OpRename:
		// What is here, or should be, is a directory that the list names.
		if p.Directories.inside(name) {
			return fs.ErrPermission
		}
	}
	return nil
}

// permissions are those that decide about op on name.
func (p *Policy) permissions(op vfs.Op, name string) Permissions {
	switch op {
	case vfs.OpEnter, vfs.OpList, vfs.OpSpace:
		return p.Directories.at(name, p.Permissions)
	}
	parent, _ := vfs.Split(name)
	return p.Directories.at(parent, p.Permissions)
}

// AllowIn is Allow for some name, whichever it is, in the directory dir.
func (p *Policy) AllowIn(op vfs.Op, dir string) error {
	if p == nil || p.Directories.at(dir, p.Permissions).allows(op) {
		return nil
	}
	return fs.ErrPermission
}

// AllowMove answers whether oldname may become newname. Both sides must allow
// renaming, and what could not be read must not become readable by its new place.
func (p *Policy) AllowMove(oldname, newname string, dir bool) error {
	if p == nil {
		return nil
	}
	for _, name := range [...]string{oldname, newname} {
		if err := p.Allow(vfs.OpRename, name); err != nil {
			return err
		}
		if !dir && !p.fileName(name) {
			return fs.ErrPermission
		}
	}
	before, after := p.permissions(vfs.OpRead, oldname), p.permissions(vfs.OpRead, newname)
	if after&ReadFile != 0 && before&ReadFile == 0 {
		return fs.ErrPermission
	}
	return nil
}

// AllowLink answers whether name may become a link to target. Through the link all is
// done by leave of the directory that holds it, which must not give more than the
// target's own place.
func (p *Policy) AllowLink(target, name string) error {
	if p == nil {
		return nil
	}
	if err := p.Allow(vfs.OpSymlink, name); err != nil {
		return err
	}
	if err := p.Allow(vfs.OpRead, target); err != nil {
		return err
	}
	if p.Directories.inside(target) || p.permissions(vfs.OpRead, name)&^p.permissions(vfs.OpRead, target) != 0 {
		return fs.ErrPermission
	}
	return nil
}

// SizeLimit is MaxSize.
func (p *Policy) SizeLimit() int64 {
	if p == nil {
		return 0
	}
	return p.MaxSize
}

// allowName looks at every element of name.
func (p *Policy) allowName(name string) error {
	if len(p.Hidden.compiled)+len(p.Refused.compiled) == 0 || name == "." {
		return nil
	}
	refused := false
	for elem := range strings.SplitSeq(fold(name), "/") {
		if p.Hidden.match(elem) {
			return fs.ErrNotExist
		}
		refused = refused || p.Refused.match(elem)
	}
	if refused {
		return fs.ErrPermission
	}
	return nil
}

// fileName reports whether a file may have name.
func (p *Policy) fileName(name string) bool {
	if len(p.Only.compiled) == 0 {
		return true
	}
	_, base := vfs.Split(name)
	return p.Only.match(fold(base))
}

// Writes reports whether p allows anybody to change anything, anywhere.
func (p *Policy) Writes() bool {
	if p == nil {
		return true
	}
	all := p.Permissions
	for _, d := range p.Directories.list {
		all |= d.permissions
	}
	return all&^ReadOnly != 0
}

// Commands are verbs, such as "STOR" or "SITE CHMOD"; "SITE" stands for all of its
// commands. The zero value allows all.
type Commands struct {
	// Only, if it has any, are those that may be used of the commands that concern
	// files; what a session needs beside them is always there.
	Only []string
	// Never are those that may not be used.
	Never []string
}

// Allow reports whether verb may be used; files says that it concerns files.
func (c *Commands) Allow(verb string, files bool) bool {
	if listed(c.Never, verb) {
		return false
	}
	return !files || len(c.Only) == 0 || listed(c.Only, verb)
}

func listed(verbs []string, verb string) bool {
	first, _, _ := strings.Cut(verb, " ")
	return slices.ContainsFunc(verbs, func(v string) bool { return strings.EqualFold(v, verb) || strings.EqualFold(v, first) })
}
