package vfs

import (
	"io/fs"
	"strings"
)

// ValidName reports whether name may be given to an FS; see the package comment.
func ValidName(name string) bool {
	if name == "." {
		return true
	}
	start := 0
	for i := 0; i <= len(name); i++ {
		if i < len(name) {
			switch name[i] {
			case 0, '\r', '\n':
				return false
			case '/':
			default:
				continue
			}
		}
		switch name[start:i] {
		case "", ".", "..":
			return false
		}
		start = i + 1
	}
	return true
}

// ValidElement reports whether name is a valid name of one element other than
// the root: what a listing may show.
func ValidElement(name string) bool {
	return name != "." && !strings.Contains(name, "/") && ValidName(name)
}

// CheckName returns nil or a *fs.PathError with fs.ErrInvalid.
func CheckName(op, name string) error {
	if ValidName(name) {
		return nil
	}
	return &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
}

// Join puts the element or name below dir; both are names, "." is neutral.
func Join(dir, name string) string {
	switch {
	case dir == ".":
		return name
	case name == ".":
		return dir
	}
	return dir + "/" + name
}

// Split returns the parent of name and its last element; the root is (".", ".").
func Split(name string) (dir, base string) {
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		return name[:i], name[i+1:]
	}
	return ".", name
}

// Within reports whether name is dir or below it.
func Within(name, dir string) bool {
	return dir == "." || name == dir || strings.HasPrefix(name, dir+"/")
}
