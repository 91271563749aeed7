package vfs

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"time"
)

// Copier copies a file inside the store.
type Copier interface {
	// Copy makes dst a copy of the file src, as one atomic step where the store
	// has AtomicCommit.
	Copy(ctx context.Context, src, dst string, opt CopyOptions) error
}

// CopyOptions are the options of Copy; the zero value replaces files.
type CopyOptions struct {
	NoReplace bool // fs.ErrExist if dst is taken
}

// Hasher answers checksums that the store knows or can compute.
type Hasher interface {
	// Hash returns the digest of length bytes (negative: to the end) from offset.
	// It answers errors.ErrUnsupported for what it does not know.
	Hash(ctx context.Context, name string, alg HashAlgorithm, offset, length int64) ([]byte, error)
}

// ModTimeSetter sets the time of last modification of a file or directory.
type ModTimeSetter interface {
	SetModTime(ctx context.Context, name string, t time.Time) error
}

// CreateTimeSetter sets the time of birth (Attr.Created) of a file or directory. A
// rename keeps it, and a copy is born when it is made. So is an upload where the store
// puts a new file into the place of the old one; where it writes into the old one, as
// O_TRUNC of POSIX and CREATE_ALWAYS of NTFS do, that keeps its time of birth, along
// with its Unique.
type CreateTimeSetter interface {
	SetCreateTime(ctx context.Context, name string, t time.Time) error
}

// ModeSetter sets the nine permission bits of a file or directory.
type ModeSetter interface {
	SetMode(ctx context.Context, name string, mode fs.FileMode) error
}

// Spacer tells the space of the store that holds name.
type Spacer interface {
	Space(ctx context.Context, name string) (SpaceInfo, error)
}

// SpaceInfo is in bytes.
type SpaceInfo struct {
	Total int64 // size of the store
	Free  int64 // what may still be stored
}

// Symlinker makes symbolic links inside the root.
type Symlinker interface {
	// Symlink makes name a link to target, which is a name of the same FS and
	// need not exist.
	Symlink(ctx context.Context, target, name string) error
}

// Stager tells of uploads that were parked, or whose writer is gone. Only
// ForOwner uses it. Owners are never empty.
type Stager interface {
	// Staged streams the owner's staged uploads whose parent is dir. An upload
	// whose name the store cannot tell back is left out; StatStaged finds it.
	Staged(ctx context.Context, dir, owner string) iter.Seq2[fs.FileInfo, error]
	// StatStaged describes the owner's staged upload of name: Attr.Staged is set
	// and Size is the offset to continue at, which is below what arrived, so that
	// no client takes the upload for complete. It costs O(1) and is
	// fs.ErrNotExist if there is none.
	StatStaged(ctx context.Context, name, owner string) (fs.FileInfo, error)
	// Discard drops the owner's staged upload of name; fs.ErrNotExist if there
	// is none.
	Discard(ctx context.Context, name, owner string) error
}

// Subber makes a chroot of its own. A store that has links must offer it,
// because only the store can keep a link from leading out of a directory.
type Subber interface {
	// Sub returns the tree below the directory dir. Links that leave dir are
	// fs.ErrPermission there.
	Sub(dir string) (FS, error)
}

// Sessioner makes a view for one session, which may remember for a moment what the
// session itself listed. It is no part of Full: whoever opens the store for a session
// asks the store itself, before anything is wrapped around it.
type Sessioner interface {
	Session() FS
}

// ForSession is fsys for one session.
func ForSession(fsys FS) FS {
	if s, ok := fsys.(Sessioner); ok {
		return s.Session()
	}
	return fsys
}

// Full is the union of all optional abilities. Every wrapper asserts
//
//	var _ Full = (*subFS)(nil)
//
// so that the compiler lists what it forgot to forward.
type Full interface {
	FS
	Copier
	Hasher
	ModTimeSetter
	CreateTimeSetter
	ModeSetter
	Spacer
	Symlinker
	Stager
	Subber
}

func unsupported(op, name string) error {
	return &fs.PathError{Op: op, Path: name, Err: errors.ErrUnsupported}
}

// ServerCopy is the store's own copy, errors.ErrUnsupported where it has none.
// Wrappers forward Copier with it; everybody else calls Copy.
func ServerCopy(ctx context.Context, fsys FS, src, dst string, opt CopyOptions) error {
	if c, ok := fsys.(Copier); ok {
		return c.Copy(ctx, src, dst, opt)
	}
	return unsupported("copy", src)
}

// Copy makes dst a copy of the file src: by the store itself where it can, else
// by streaming through Open and Create of fsys.
func Copy(ctx context.Context, fsys FS, src, dst string, opt CopyOptions) error {
	err := ServerCopy(ctx, fsys, src, dst, opt)
	if !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	f, err := fsys.Open(ctx, src, 0, -1)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return PathError("copy", src, err)
	}
	w, err := fsys.Create(ctx, dst, CreateOptions{NoReplace: opt.NoReplace, SizeHint: info.Size()})
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := io.Copy(w, f); err != nil {
		return PathError("copy", src, err)
	}
	return w.Commit()
}

// SetModTime sets the time of last modification of name.
func SetModTime(ctx context.Context, fsys FS, name string, t time.Time) error {
	if s, ok := fsys.(ModTimeSetter); ok {
		return s.SetModTime(ctx, name, t)
	}
	return unsupported("settime", name)
}

// SetCreateTime sets the time of birth of name.
func SetCreateTime(ctx context.Context, fsys FS, name string, t time.Time) error {
	if s, ok := fsys.(CreateTimeSetter); ok {
		return s.SetCreateTime(ctx, name, t)
	}
	return unsupported("setcreatetime", name)
}

// SetMode sets the permission bits of name.
func SetMode(ctx context.Context, fsys FS, name string, mode fs.FileMode) error {
	if s, ok := fsys.(ModeSetter); ok {
		return s.SetMode(ctx, name, mode)
	}
	return unsupported("setmode", name)
}

// Space tells the space of the store that holds name.
func Space(ctx context.Context, fsys FS, name string) (SpaceInfo, error) {
	if s, ok := fsys.(Spacer); ok {
		return s.Space(ctx, name)
	}
	return SpaceInfo{}, unsupported("space", name)
}

// Symlink makes name a link to target.
func Symlink(ctx context.Context, fsys FS, target, name string) error {
	if s, ok := fsys.(Symlinker); ok {
		return s.Symlink(ctx, target, name)
	}
	return unsupported("symlink", name)
}

// Staged streams owner's staged uploads in dir; none where the store has no
// staging.
func Staged(ctx context.Context, fsys FS, dir, owner string) iter.Seq2[fs.FileInfo, error] {
	if s, ok := fsys.(Stager); ok {
		return s.Staged(ctx, dir, owner)
	}
	return func(func(fs.FileInfo, error) bool) {}
}

// StatStaged describes owner's staged upload of name.
func StatStaged(ctx context.Context, fsys FS, name, owner string) (fs.FileInfo, error) {
	if s, ok := fsys.(Stager); ok {
		return s.StatStaged(ctx, name, owner)
	}
	return nil, unsupported("stat", name)
}

// Discard drops owner's staged upload of name.
func Discard(ctx context.Context, fsys FS, name, owner string) error {
	if s, ok := fsys.(Stager); ok {
		return s.Discard(ctx, name, owner)
	}
	return unsupported("remove", name)
}
