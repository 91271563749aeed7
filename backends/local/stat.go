package local

import (
	"io/fs"
	"strconv"
	"time"

	"github.com/ftpgate/ftpgate/vfs"
)

// fileID tells files of one machine apart.
type fileID struct{ dev, ino uint64 }

// stat is what the disk says of a file. The zero value says that there is none.
type stat struct {
	exists   bool
	mode     fs.FileMode
	size     int64 // bytes
	mtime    time.Time
	birth    time.Time // zero where unknown
	id       fileID    // zero where unknown
	links    uint64
	uid, gid uint32
}

// same reports whether both are of one file, as far as the system can tell.
func (s stat) same(o stat) bool {
	unknown := s.id == (fileID{}) || o.id == (fileID{})
	return s.exists && o.exists && (unknown || s.id == o.id)
}

// info describes s under the element base; target is where a link leads.
func (f *FS) info(base string, s stat, target string) vfs.Info {
	return vfs.NewInfo(base, s.size, s.mode, s.mtime, &vfs.Attr{
		Unique:  s.id.String(),
		Owner:   f.opt.Owner,
		Group:   f.opt.Group,
		Target:  target,
		Created: s.birth,
	})
}

// String is empty for an unknown id.
func (id fileID) String() string {
	if id == (fileID{}) {
		return ""
	}
	b := strconv.AppendUint(make([]byte, 0, 34), id.dev, 16)
	b = append(b, 'U')
	return string(strconv.AppendUint(b, id.ino, 16))
}
