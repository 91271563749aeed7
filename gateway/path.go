package gateway

import (
	"io/fs"
	"strings"

	"github.com/ftpgate/ftpgate/vfs"
)

// resolve turns what a client typed into a VFS name. It is the only place where
// paths are normalised: nothing below ever sees a leading '/', "//", "." or "..".
// As in a chroot, ".." at the root stays there. A path with a character that no
// name may have is fs.ErrInvalid.
func resolve(cwd, typed string) (string, error) {
	if strings.ContainsAny(typed, "\x00\r\n") {
		return "", fs.ErrInvalid
	}
	var elems []string
	if !strings.HasPrefix(typed, "/") && cwd != "." {
		elems = strings.Split(cwd, "/")
	}
	for elem := range strings.SplitSeq(typed, "/") {
		switch elem {
		case "", ".":
		case "..":
			if len(elems) > 0 {
				elems = elems[:len(elems)-1]
			}
		default:
			elems = append(elems, elem)
		}
	}
	if len(elems) == 0 {
		return ".", nil
	}
	name := strings.Join(elems, "/")
	if !vfs.ValidName(name) {
		return "", fs.ErrInvalid
	}
	return name, nil
}

// resolve is resolve for what this client typed.
func (s *session) resolve(typed string) (string, error) {
	if s.profile.Backslash {
		typed = strings.ReplaceAll(typed, `\`, "/")
	}
	return resolve(s.cwd, typed)
}

// lastBackslash is where the last one is that separates directories, or -1.
func (s *session) lastBackslash(typed string) int {
	if s.profile.Backslash {
		return strings.LastIndexByte(typed, '\\')
	}
	return -1
}

// display is name as clients see it: an absolute path.
func display(name string) string {
	if name == "." {
		return "/"
	}
	return "/" + name
}
