// Package vfs is the file system that the FTP protocol layer speaks to, and
// the only thing it knows of storage.
//
// A backend (local disk, memory, S3, SFTP) implements [FS] and whichever of
// the optional abilities it has. Wrappers put a policy or a translation in
// front of any FS: [Sub] (chroot), [ReadOnly], [Guard] (permissions), [Quota] (bytes
// and files), [Fold] (names without regard to case and Unicode form), [Observe]
// (metrics and traces) and [ForOwner] (whose interrupted uploads to show). [Mount]
// joins several stores to one tree.
//
// # Names
//
// Names are '/'-separated. "." is the root, everything else looks like
// "a/b/c": never a leading or trailing '/', never an empty element, "." or
// ".." inside, never NUL, CR or LF. Unlike the names of io/fs they may hold any
// other bytes, because old disks hold Latin-1 names; a backend that needs UTF-8
// refuses others with [fs.ErrInvalid]. [ValidName] tells.
//
// # Uploads
//
// A [Writer] ends in exactly one of Commit, Park and Abort, and nothing that it
// wrote is visible under its name before Commit returns. There is no Close that
// would have to guess which of the three was meant.
//
// # Optional abilities
//
// Abilities beyond FS are small interfaces ([Copier], [Hasher], ...), reached
// only through the package functions of the same meaning ([Copy], [Hash], ...).
// A missing ability answers [errors.ErrUnsupported], and [Caps] announces what
// is there. There is deliberately no Unwrap: a search for an ability would walk
// past a chroot or a permission wrapper. Wrappers forward every ability by hand;
// [Full] makes the compiler list what a wrapper forgot.
//
// # Errors
//
// Every error matches (errors.Is) one of [fs.ErrNotExist], [fs.ErrExist],
// [fs.ErrPermission], [fs.ErrInvalid], [ErrNotDir], [ErrIsDir], [ErrNotEmpty],
// [ErrNoSpace], [ErrTooLarge], [ErrQuota], [ErrBusy], [ErrOffline],
// [errors.ErrUnsupported], is an [*OffsetError], or is the cause of the context;
// anything else means that the store is broken. Errors are [*fs.PathError]
// carrying the name that the caller used, never the backend's own path.
package vfs
