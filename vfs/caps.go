package vfs

import "strings"

// Caps is a set of abilities (what can be asked for) and facts (what holds).
// The contract suite checks that every bit tells the truth.
type Caps uint32

// Abilities. Without the bit the matching call answers errors.ErrUnsupported.
const (
	// CanWrite: the tree can be changed at all.
	CanWrite Caps = 1 << iota
	// CanAppend: Create with Append works on complete files.
	CanAppend
	// CanWriteAt: Create with WriteAt and an offset above 0 works on complete files.
	CanWriteAt
	// CanPark: Writer.Park keeps an upload, and the Stager functions work.
	CanPark
	// CanNoReplace: NoReplace is race-free in Create and Rename.
	CanNoReplace
	// CanRenameDir: directories can be renamed.
	CanRenameDir
	// CanCopy: Copy runs inside the store, without the bytes passing through us.
	CanCopy
	// CanHash: Hash answers from the store, at least for some files and algorithms.
	CanHash
	// CanSetModTime: SetModTime works.
	CanSetModTime
	// CanSetCreateTime: SetCreateTime works.
	CanSetCreateTime
	// CanSetMode: SetMode works.
	CanSetMode
	// CanSpace: Space works.
	CanSpace
	// CanSymlink: Symlink works.
	CanSymlink
)

// Facts.
const (
	// AtomicCommit: a reader sees the old content or the new one, never a part,
	// whatever dies at whatever moment.
	AtomicCommit Caps = 1 << (iota + 24)
	// AtomicRename: a rename is one step, so that no moment shows both names or
	// none.
	AtomicRename
	// RealDirs: directories exist by themselves; an upload below a missing one
	// fails, and an empty one stays.
	RealDirs
)

// Facts is the mask of the bits that are facts; the others are abilities.
const Facts = AtomicCommit | AtomicRename | RealDirs

// Mutating is the mask of the abilities that change the tree.
const Mutating = CanWrite | CanAppend | CanWriteAt | CanPark | CanNoReplace | CanRenameDir | CanCopy |
	CanSetModTime | CanSetCreateTime | CanSetMode | CanSymlink

var capNames = [...]struct {
	bit  Caps
	name string
}{
	{CanWrite, "Write"}, {CanAppend, "Append"}, {CanWriteAt, "WriteAt"}, {CanPark, "Park"},
	{CanNoReplace, "NoReplace"}, {CanRenameDir, "RenameDir"}, {CanCopy, "Copy"}, {CanHash, "Hash"},
	{CanSetModTime, "SetModTime"}, {CanSetCreateTime, "SetCreateTime"}, {CanSetMode, "SetMode"},
	{CanSpace, "Space"}, {CanSymlink, "Symlink"},
	{AtomicCommit, "AtomicCommit"}, {AtomicRename, "AtomicRename"}, {RealDirs, "RealDirs"},
}

// Has reports whether all bits of want are set.
func (c Caps) Has(want Caps) bool { return c&want == want }

// String lists the names of the set bits, separated by '|'.
func (c Caps) String() string {
	var names []string
	for _, n := range capNames {
		if c.Has(n.bit) {
			names = append(names, n.name)
		}
	}
	return strings.Join(names, "|")
}
