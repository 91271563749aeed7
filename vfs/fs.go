package vfs

import (
	"context"
	"io"
	"io/fs"
	"iter"
)

// FS is a tree of files. All methods may be called concurrently.
//
// Every name must satisfy [ValidName], otherwise the method fails with
// [fs.ErrInvalid]. When ctx is done a method fails with context.Cause(ctx), as
// soon as the store allows.
type FS interface {
	// Caps tells which abilities the store has and which facts hold for it. It
	// is constant for the life of the FS and costs no request.
	Caps() Caps

	// Stat follows symbolic links inside the root. A link that dangles or leaves
	// the root is fs.ErrNotExist or fs.ErrPermission.
	Stat(ctx context.Context, name string) (fs.FileInfo, error)

	// ReadDir streams the entries of one directory, in no particular order, in
	// memory that does not grow with their number, and stops after the first
	// error. Entries that don't start with prefix may be left out; the empty
	// prefix leaves out nothing. It does not follow links: they are listed with
	// fs.ModeSymlink. A file is ErrNotDir, a missing name fs.ErrNotExist.
	ReadDir(ctx context.Context, name, prefix string) iter.Seq2[fs.FileInfo, error]

	// Open reads length bytes (negative: to the end) from offset. The file shows
	// one version of the content; a store whose content can change underneath
	// fails the read rather than mix two versions. A directory is ErrIsDir, an
	// offset beyond the end an *OffsetError, an offset at the end an empty file.
	// ctx governs reads until Close. File.Stat describes the whole file and costs
	// no request. A file with a syscall.Conn lets the gateway use sendfile.
	Open(ctx context.Context, name string, offset, length int64) (fs.File, error)

	// Create begins an upload. What stands under name stays whole and visible
	// until Commit. A directory is ErrIsDir, a missing parent fs.ErrNotExist (a
	// store without real directories may accept it), a file as parent ErrNotDir.
	Create(ctx context.Context, name string, opt CreateOptions) (Writer, error)

	// Mkdir makes one level: fs.ErrExist if the name is taken, fs.ErrNotExist or
	// ErrNotDir for the parent as with Create.
	Mkdir(ctx context.Context, name string) error

	// Remove removes a file or a link itself (FTP's DELE); a directory is
	// ErrIsDir.
	Remove(ctx context.Context, name string) error

	// Rmdir removes an empty directory (FTP's RMD): ErrNotDir for a file,
	// ErrNotEmpty while something visible is inside, fs.ErrPermission for the
	// root. Staged uploads inside are dropped.
	Rmdir(ctx context.Context, name string) error

	// Rename moves a file, a link itself or a directory. It replaces a file with
	// a file unless opt.NoReplace; every other taken target is fs.ErrExist. A
	// name onto itself succeeds and changes nothing; a directory into itself is
	// fs.ErrInvalid; the root is fs.ErrPermission. A store without CanRenameDir
	// answers errors.ErrUnsupported for directories.
	Rename(ctx context.Context, oldname, newname string, opt RenameOptions) error
}

// Writer is one upload. It is used by one goroutine at a time.
//
// Exactly one of Commit, Park and Abort takes effect; calls after it are no-ops
// that return nil, so that "defer w.Abort()" right after Create is the idiom.
// An end that failed has taken effect too: the upload is then aborted, or parked
// where the store can. Cancelling Create's context makes Write, ReadFrom, Sync
// and Commit fail; it does not replace Abort. Park and Abort run under a bounded
// context of their own.
//
// Errors of the store are *fs.PathError; every other error of ReadFrom comes
// from the reader, unchanged, so that a caller can tell a dead client from a full
// disk.
type Writer interface {
	io.Writer
	// ReadFrom may be called repeatedly, with an *io.LimitedReader over a
	// connection each time, and hands that reader to the kernel unwrapped where
	// it can (splice).
	io.ReaderFrom
	// Offset is where the first byte goes.
	Offset() int64
	// Sync does the slow part of Commit ahead of it (fsync, the last part of a
	// multipart upload) as far as that makes nothing visible. It is optional:
	// Commit does by itself what was not done. The caller uses it to overlap that
	// work with the decision whether the upload is whole. After Sync, Write may
	// not be called.
	Sync() error
	// Commit makes all of it visible at once, durably.
	Commit() error
	// Park keeps what arrived, still invisible, to be resumed by its owner;
	// where the store can't (no CanPark, or no CreateOptions.Owner) it aborts and
	// returns errors.ErrUnsupported.
	Park() error
	// Abort leaves no trace; what stood under the name before stays.
	Abort() error
}

// Mode says what an upload does with what is there.
type Mode uint8

const (
	// Replace starts an empty file that replaces the old one at Commit (STOR).
	// It voids the owner's parked upload of the name.
	Replace Mode = iota
	// Append continues at the end of the owner's staged upload if there is one,
	// else of the complete file, else starts a new one (APPE).
	Append
	// WriteAt keeps [0,Offset) of the owner's staged upload if there is one, else
	// of the complete file, and writes from there (REST+STOR): the new content is
	// old[:Offset] + what arrives. An Offset that can't be continued is an
	// *OffsetError.
	WriteAt
)

// CreateOptions are the options of FS.Create; the zero value replaces.
type CreateOptions struct {
	Mode Mode
	// NoReplace fails with fs.ErrExist, from Create or only from Commit, when
	// another complete file has the name: for STOU and for users who may not
	// overwrite. It is race-free where Caps has CanNoReplace.
	NoReplace bool
	// Offset is for WriteAt, in bytes.
	Offset int64
	// SizeHint is the size in bytes that the client announced (ALLO), 0 if it
	// did not. It sizes parts and preallocates, and never limits. ErrNoSpace and
	// ErrQuota may be told at Create because of it.
	SizeHint int64
	// Owner is who may resume the upload; empty: it is never parked. Set by
	// ForOwner.
	Owner string
}

// RenameOptions are the options of FS.Rename; the zero value replaces files.
type RenameOptions struct {
	NoReplace bool // fs.ErrExist if the new name is taken
}
