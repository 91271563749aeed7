package wire

import (
	"io/fs"
	"time"
)

// Entry is one line of a listing. The zero value of a field means that it is
// unknown, unless said otherwise.
type Entry struct {
	// Name is shown as it is, except that CR, LF and NUL become '?'.
	Name string
	Type EntryType
	// Size is in bytes, shown for files; negative: unknown.
	Size int64
	// Modify is the time of last modification, Create that of birth.
	Modify, Create time.Time
	// Perm is the letters of the fact perm (RFC 3659 7.5.5); empty: nothing is
	// allowed.
	Perm string
	// Unique is the same for all names of one file (RFC 3659 7.5.2).
	Unique    string
	MediaType string
	// Mode gives the nine permission bits; its type bits are not used.
	Mode fs.FileMode
	// Owner and Group are shown as "ftp" by AppendLong where they are empty.
	Owner, Group string
	// Target is where a Link leads, for AppendLong.
	Target string
}

// EntryType is the fact type (RFC 3659 7.5.1).
type EntryType uint8

const (
	File       EntryType = iota
	Dir                  // a directory below the listed one
	CurrentDir           // the listed directory itself
	ParentDir            // one above the listed directory
	Link                 // a symbolic link that is shown as such
)

func (t EntryType) isDir() bool { return t == Dir || t == CurrentDir || t == ParentDir }

// appendName appends a name so that it ends where the line ends.
func appendName(dst []byte, name string) []byte {
	start := len(dst)
	dst = append(dst, name...)
	for i := start; i < len(dst); i++ {
		if c := dst[i]; c == '\r' || c == '\n' || c == 0 {
			dst[i] = '?'
		}
	}
	return dst
}
