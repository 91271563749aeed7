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

// display is name as clients see it: an absolute path.
func display(name string) string {
	if name == "." {
		return "/"
	}
	return "/" + name
}
