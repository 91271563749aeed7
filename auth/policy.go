package auth

import (
	"fmt"
	"io/fs"
	"strings"

	"github.com/ftpgate/ftpgate/vfs"
)

// Permissions is a set of the letters that pyftpdlib made known.
type Permissions uint16

// The letters elradfmwMT.
const (
	Enter    Permissions = 1 << iota // e: change directory (CWD, CDUP)
	List                             // l: list and describe (LIST, NLST, MLSD, MLST, STAT, SIZE, MDTM)
	Retrieve                         // r: read (RETR, HASH)
	Append                           // a: append to files (APPE)
	Delete                           // d: delete files and directories (DELE, RMD)
	Rename                           // f: rename (RNFR, RNTO)
	MakeDir                          // m: make directories (MKD)
	Store                            // w: store and replace files (STOR, STOU)
	ChMode                           // M: change permission bits (SITE CHMOD)
	ChTime                           // T: change times (MFMT)
)

// The usual sets.
const (
	ReadOnly  = Enter | List | Retrieve
	ReadWrite = ReadOnly | Append | Delete | Rename | MakeDir | Store | ChMode | ChTime
)

const letters = "elradfmwMT"

// ParsePermissions reads a set such as "elr" or "elradfmwMT".
func ParsePermissions(s string) (Permissions, error) {
	var p Permissions
	for _, r := range s {
		i := strings.IndexRune(letters, r)
		if i < 0 {
			return 0, fmt.Errorf("permission %q is unknown, the letters are %s", r, letters)
		}
		p |= 1 << i
	}
	return p, nil
}

// String writes the letters.
func (p Permissions) String() string {
	var b strings.Builder
	for i := range letters {
		if p&(1<<i) != 0 {
			b.WriteByte(letters[i])
		}
	}
	return b.String()
}

// needs returns the letters of which one is enough for op.
func needs(op vfs.Op) Permissions {
	switch op {
	case vfs.OpEnter:
		return Enter
	case vfs.OpList:
		return List
	case vfs.OpStat, vfs.OpSpace:
		// What a file system is asked in passing by commands of every letter; those
		// that only tell it ask OpList.
		return ^Permissions(0)
	case vfs.OpRead:
		return Retrieve
	case vfs.OpWrite, vfs.OpOverwrite, vfs.OpSymlink:
		return Store
	case vfs.OpAppend:
		return Append
	case vfs.OpRemove, vfs.OpRmdir:
		return Delete
	case vfs.OpRename:
		return Rename
	case vfs.OpMkdir:
		return MakeDir
	case vfs.OpSetMode:
		return ChMode
	case vfs.OpSetModTime:
		return ChTime
	}
	return 0
}

// Policy says what a principal may do. It is not changed once it is in use.
type Policy struct {
	Permissions Permissions
}

// Allow returns nil if op on name (of the vfs, below the user's root) is allowed,
// else an error that matches fs.ErrPermission. A nil Policy allows everything.
func (p *Policy) Allow(op vfs.Op, name string) error {
	if p == nil || p.Permissions&needs(op) != 0 {
		return nil
	}
	return fs.ErrPermission
}
