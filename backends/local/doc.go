// Package local stores files in a directory of the machine's disk.
//
// # Confinement
//
// Every path is resolved by [os.Root], so no name and no symbolic link leads out
// of the directory, also while somebody swaps links underneath. The last element
// is then worked on relative to the descriptor of its parent, never by a path.
// Links inside the root are followed, absolute ones count as leaving it. FIFOs,
// devices and sockets are listed, and neither read nor written.
//
// # Uploads
//
// An upload is written to a hidden file of the directory that it goes to, and
// renamed onto its name by Commit, with an fsync of both. The hidden names all
// start with ".ftpgate-" (in any letter case), and no method accepts or shows such
// a name:
//
//	.ftpgate-n-<owner>-<name>  an owner's upload of name; parked while unlocked
//	.ftpgate-h-<owner>-<hash>  the same, where that name would exceed 255 bytes
//	.ftpgate-x-<random>        an upload that nobody can resume
//
// <owner> is the start of the SHA-256 of the owner's name, in hex. Whoever writes a
// hidden file holds a lock on it, which ends with the process: an upload whose
// process was killed is therefore parked, without anything having to run. Because
// names are a function of owner and name, finding out that there is none costs one
// lstat. What was being written when the whole machine went down may have gaps and
// is not resumed. Leftovers go when they expire, as listings meet them and by
// [FS.Sweep].
//
// # Continuing a complete file
//
// Append and WriteAt keep the beginning of the old file: shared with it where the
// disk can (XFS, Btrfs, bcachefs), else copied. Where Append would copy more than
// [Options.CopyLimit], what arrives is kept in a hidden file and added to the
// complete file by Commit, under a rollback by truncation. Readers may see a part
// of it meanwhile, so then Caps has no AtomicCommit. Such an upload can be parked
// where the disk has extended attributes.
package local
