package auth

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ftpgate/ftpgate/vfs"
)

// Permissions is a set of what may be done. The letters that pyftpdlib made known
// stand for one or several of its members, which also have a name of their own.
type Permissions uint32

// The members that a letter has more than one of.
const (
	ReadFile   Permissions = 1 << (iota + 16) // read, of r: RETR
	HashFile                                  // hash, of r: HASH and its like, along with read
	DeleteFile                                // delete, of d: DELE
	RemoveDir                                 // rmdir, of d: RMD
	CreateFile                                // create, of w: STOR, STOU and copies, under new names
	Overwrite                                 // overwrite, of w: replacing files
	Symlink                                   // symlink, of w: SITE SYMLINK
)

// The letters elradfmwMT.
const (
	Enter    Permissions                        = 1 << iota // e: change directory (CWD, CDUP)
	List                                                    // l: list and describe (LIST, NLST, MLSD, MLST, STAT, SIZE, MDTM)
	Append                                                  // a: append to files (APPE)
	Rename                                                  // f: rename (RNFR, RNTO)
	MakeDir                                                 // m: make directories (MKD)
	ChMode                                                  // M: change permission bits (SITE CHMOD)
	ChTime                                                  // T: change times (MFMT, MFCT)
	Retrieve = ReadFile | HashFile                          // r: read (RETR, HASH)
	Delete   = DeleteFile | RemoveDir                       // d: delete files and directories (DELE, RMD)
	Store    = CreateFile | Overwrite | Symlink             // w: store and replace files (STOR, STOU)
)

// The usual sets.
const (
	ReadOnly  = Enter | List | Retrieve
	ReadWrite = ReadOnly | Append | Delete | Rename | MakeDir | Store | ChMode | ChTime
)

const letters = "elradfmwMT"

// noPermission is the text of the empty set.
const noPermission = "none"

// byLetter is in the order of letters.
func byLetter() [len(letters)]Permissions {
	return [...]Permissions{Enter, List, Retrieve, Append, Delete, Rename, MakeDir, Store, ChMode, ChTime}
}

// part is a member that is only a part of a letter.
type part struct {
	name string
	bit  Permissions
}

func parts() []part {
	return []part{{"read", ReadFile}, {"hash", HashFile}, {"delete", DeleteFile}, {"rmdir", RemoveDir},
		{"create", CreateFile}, {"overwrite", Overwrite}, {"symlink", Symlink}}
}

// ParsePermissions reads letters of elradfmwMT, such as "elr", and behind them parts
// of letters to add or take away, such as "elrw-overwrite" or "elr+create+rmdir". The
// parts are read and hash (r), delete and rmdir (d), create, overwrite and symlink (w).
// "none" is the empty set.
func ParsePermissions(s string) (Permissions, error) {
	var p Permissions
	end := strings.IndexAny(s, "+-")
	if end < 0 {
		end = len(s)
	}
	if s[:end] != noPermission {
		for _, r := range s[:end] {
			i := strings.IndexRune(letters, r)
			if i < 0 {
				return 0, fmt.Errorf("permission %q is unknown, the letters are %s", r, letters)
			}
			p |= byLetter()[i]
		}
	}
	for rest := s[end:]; rest != ""; {
		sign := rest[0]
		rest = rest[1:]
		end := strings.IndexAny(rest, "+-")
		if end < 0 {
			end = len(rest)
		}
		bit, err := partNamed(rest[:end])
		if err != nil {
			return 0, err
		}
		if sign == '+' {
			p |= bit
		} else {
			p &^= bit
		}
		rest = rest[end:]
	}
	return p, nil
}

func partNamed(name string) (Permissions, error) {
	var names []string
	for _, part := range parts() {
		if part.name == name {
			return part.bit, nil
		}
		names = append(names, part.name)
	}
	if name == "" {
		return 0, errors.New("behind + and - comes a name, as in elrw-overwrite")
	}
	return 0, fmt.Errorf("permission %q is unknown, those behind + and - are %s", name, strings.Join(names, ", "))
}

// String writes p as ParsePermissions reads it.
func (p Permissions) String() string {
	var b strings.Builder
	rest := p
	for i, bits := range byLetter() {
		if p&bits == bits {
			b.WriteByte(letters[i])
			rest &^= bits
		}
	}
	for _, part := range parts() {
		if rest&part.bit != 0 {
			b.WriteString("+" + part.name)
		}
	}
	if b.Len() == 0 {
		return noPermission
	}
	return b.String()
}

// allows reports whether op is in p.
func (p Permissions) allows(op vfs.Op) bool {
	switch op {
	case vfs.OpStat, vfs.OpSpace:
		// What a file system is asked in passing by commands of every letter; those
		// that only tell it ask OpList.
		return p != 0
	case vfs.OpOverwrite:
		return p&(CreateFile|Overwrite) == CreateFile|Overwrite
	case vfs.OpHash:
		return p&Retrieve == Retrieve
	}
	return p&needs(op) != 0
}

// needs is the member that op needs; 0: there is none.
func needs(op vfs.Op) Permissions {
	switch op {
	case vfs.OpEnter:
		return Enter
	case vfs.OpList:
		return List
	case vfs.OpRead:
		return ReadFile
	case vfs.OpWrite:
		return CreateFile
	case vfs.OpSymlink:
		return Symlink
	case vfs.OpAppend:
		return Append
	case vfs.OpRemove:
		return DeleteFile
	case vfs.OpRmdir:
		return RemoveDir
	case vfs.OpRename:
		return Rename
	case vfs.OpMkdir:
		return MakeDir
	case vfs.OpSetMode:
		return ChMode
	case vfs.OpSetModTime, vfs.OpSetCreateTime:
		return ChTime
	}
	return 0
}
