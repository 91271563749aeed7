package vfs

// Op names an operation on a name, for permissions, metrics and logs.
type Op string

// The operations that Guard asks about.
const (
	OpEnter         Op = "enter"         // make it the working directory
	OpStat          Op = "stat"          // learn of one name
	OpList          Op = "list"          // list a directory
	OpRead          Op = "read"          // read the content
	OpHash          Op = "hash"          // learn a checksum of the content
	OpWrite         Op = "write"         // make a new file
	OpOverwrite     Op = "overwrite"     // replace or change a file's content
	OpAppend        Op = "append"        // add to a file's content
	OpRemove        Op = "remove"        // remove a file or link
	OpRmdir         Op = "rmdir"         // remove a directory
	OpMkdir         Op = "mkdir"         // make a directory
	OpRename        Op = "rename"        // move it away, or move something there
	OpSetModTime    Op = "settime"       // set its time of modification
	OpSetCreateTime Op = "setcreatetime" // set its time of birth
	OpSetMode       Op = "setmode"       // set its permission bits
	OpSymlink       Op = "symlink"       // make a link
	OpSpace         Op = "space"         // learn of free space
)

// Mutates reports whether op can change the tree.
func (op Op) Mutates() bool {
	switch op {
	case OpEnter, OpStat, OpList, OpRead, OpHash, OpSpace:
		return false
	}
	return true
}
