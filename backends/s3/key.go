package s3

import (
	"io/fs"
	"net/url"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/ftpgate/ftpgate/vfs"
)

const (
	// stateDir is the gateway's own directory below the prefix.
	stateDir = ".ftpgate"
	// maxElement is the longest element of a name, in bytes, that FTP clients
	// and their disks take.
	maxElement = 255
	// maxKey is S3's limit, in bytes.
	maxKey = 1024
)

// reserved reports whether an element is the gateway's own, in any case and any
// normal form: another store or a client may fold what S3 keeps apart.
func reserved(element string) bool {
	if isASCII(element) {
		return strings.EqualFold(element, stateDir)
	}
	return cases.Fold().String(norm.NFKC.String(element)) == stateDir
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// key returns the key of name; the root's is the prefix itself.
func (f *FS) key(op, name string) (string, error) {
	if err := vfs.CheckName(op, name); err != nil {
		return "", err
	}
	if name == "." {
		return f.prefix, nil
	}
	key := f.prefix + name
	if !utf8.ValidString(name) || len(key)+len("/") > maxKey || f.facts.plainKeys && !inXML(name) {
		return "", &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	for element := range strings.SplitSeq(name, "/") {
		if len(element) > maxElement {
			return "", &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
		}
		if reserved(element) {
			return "", &fs.PathError{Op: op, Path: name, Err: fs.ErrPermission}
		}
	}
	return key, nil
}

// inXML reports whether XML 1.0 can say the name.
func inXML(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool {
		return r < ' ' && r != '\t' || r == '\ufffe' || r == '\uffff'
	})
}

// below returns the prefix of the keys below the directory with this key, which
// ends in '/' unless it is empty.
func (f *FS) below(key string) string {
	if key == f.prefix {
		return key
	}
	return key + "/"
}

// showable reports whether FTP can show an element of a key.
func showable(element string) bool {
	return len(element) <= maxElement && utf8.ValidString(element) && vfs.ValidElement(element)
}

// copySource names an object in the header of a copy: escaped, but for the
// slashes.
func copySource(bucket, key string) string {
	elements := strings.Split(key, "/")
	for i, e := range elements {
		elements[i] = strings.ReplaceAll(url.QueryEscape(e), "+", "%20")
	}
	return bucket + "/" + strings.Join(elements, "/")
}
