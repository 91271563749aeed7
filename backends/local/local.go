package local

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/ftpgate/ftpgate/vfs"
)

// Options are the options of Open. Only Dir is needed.
type Options struct {
	// Dir is the directory to serve. It must exist.
	Dir string
	// NoSync leaves out every fsync: a crash of the machine (not of the process)
	// may then lose uploads that were confirmed.
	NoSync bool
	// Direct writes uploads under their visible name, as classic servers do: readers
	// see them grow, and when the process dies, what arrived stays there. Nothing
	// can be parked. An aborted upload still gives the name back to what stood
	// there. Caps has no AtomicCommit and no CanPark.
	Direct bool
	// FileMode and DirMode are the permission bits of new files and directories,
	// exactly; 0 stands for 0666 and 0777 less Umask. A file that replaces another
	// takes over its bits.
	FileMode, DirMode fs.FileMode
	// Umask is what new files and directories never allow; 0 is the process's.
	Umask fs.FileMode
	// Chown is whom new files, directories and links belong to: user, user:group or
	// :group, by name or number; empty is the process's user. The process needs
	// the right to give files away (root, or CAP_CHOWN). A file that replaces another
	// takes over its owner and group, as far as the process may.
	Chown string
	// CopyLimit is how many bytes of a complete file Append copies, on a disk that
	// can't share them, rather than add to the file in place; 0 is 64 MiB,
	// negative copies always, which makes every Commit atomic.
	CopyLimit int64
	// StagedExpiry is how long parked uploads are kept after their last byte; 0 is
	// 24 hours, negative for ever.
	StagedExpiry time.Duration
	// Owner and Group are what listings tell as the owner and group of every file; empty: none.
	Owner, Group string
}

const (
	defaultCopyLimit = 64 << 20
	defaultExpiry    = 24 * time.Hour
	bufferSize       = 256 << 10
)

// FS serves a directory. All methods may be called concurrently, but none during
// or after Close.
type FS struct {
	root *os.Root
	top  *dir // root once more, as a descriptor
	*shared
}

// shared is what an FS and those made by Sub have in common.
type shared struct {
	opt     Options
	caps    vfs.Caps
	boot    time.Time // when the machine came up, zero if unknown
	splices bool      // the disk takes splice(2)
	buffers sync.Pool // of *[]byte, for uploads that can't be spliced
	names   nameLocks
	owner   ownership
	witness witness // of changes; nil but in tests
}

var (
	_ vfs.FS            = (*FS)(nil)
	_ vfs.Subber        = (*FS)(nil)
	_ vfs.Copier        = (*FS)(nil)
	_ vfs.ModTimeSetter = (*FS)(nil)
	_ vfs.ModeSetter    = (*FS)(nil)
	_ vfs.Spacer        = (*FS)(nil)
	_ vfs.Symlinker     = (*FS)(nil)
	_ vfs.Stager        = (*FS)(nil)
)

// Open serves opt.Dir. It leaves no trace there.
func Open(opt Options) (*FS, error) {
	if opt.Dir == "" {
		return nil, errors.New("no directory given")
	}
	info, err := os.Stat(opt.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("the directory %s does not exist: create it, or give another one", opt.Dir)
	case err != nil:
		return nil, fmt.Errorf("the directory %s can't be served: %w", opt.Dir, innermost(err))
	case !info.IsDir():
		return nil, fmt.Errorf("%s is not a directory: give the directory to serve", opt.Dir)
	}
	if opt.CopyLimit == 0 {
		opt.CopyLimit = defaultCopyLimit
	}
	if opt.StagedExpiry == 0 {
		opt.StagedExpiry = defaultExpiry
	}
	if opt.Umask != 0 {
		opt.FileMode = cmp.Or(opt.FileMode, 0o666&^opt.Umask)
		opt.DirMode = cmp.Or(opt.DirMode, 0o777&^opt.Umask)
	}
	owner, err := ownershipOf(opt.Chown)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(opt.Dir)
	if err != nil {
		return nil, fmt.Errorf("the directory %s can't be served: %w", opt.Dir, innermost(err))
	}
	f := &FS{root: root, shared: &shared{opt: opt, owner: owner, boot: bootTime()}}
	f.buffers.New = func() any { b := make([]byte, bufferSize); return &b }
	if f.top, err = f.openDir("."); err != nil {
		root.Close()
		return nil, fmt.Errorf("the directory %s can't be served: %w", opt.Dir, innermost(err))
	}
	if owner.given() {
		if err := f.top.mayGive(owner); err != nil {
			f.Close()
			return nil, fmt.Errorf("in %s new files can't be given to %s (%w): run as root or with CAP_CHOWN, or leave out chown", opt.Dir, opt.Chown, innermost(err))
		}
	}
	disk := f.top.probe()
	f.splices = disk.splice
	f.caps = capsOf(opt, disk)
	return f, nil
}

// disk is what a file system can do.
type disk struct {
	clone  bool // copies of files can share their bytes
	splice bool // bytes go from a socket to a file inside the kernel
	lock   bool // open files can be locked
}

func capsOf(opt Options, d disk) vfs.Caps {
	c := vfs.CanWrite | vfs.CanAppend | vfs.CanWriteAt | vfs.CanPark | vfs.CanNoReplace | vfs.CanRenameDir |
		vfs.CanCopy | vfs.CanSetModTime | vfs.CanSetMode | vfs.CanSpace | vfs.CanSymlink |
		vfs.AtomicCommit | vfs.AtomicRename | vfs.RealDirs
	if !d.clone && opt.CopyLimit >= 0 {
		c &^= vfs.AtomicCommit
	}
	if !d.lock {
		c &^= vfs.CanPark
	}
	if opt.Direct {
		c &^= vfs.AtomicCommit | vfs.CanPark
	}
	return c &^ missingCaps
}

// Close releases the directory.
func (f *FS) Close() error {
	return errors.Join(f.top.release(), f.root.Close())
}

// Caps implements vfs.FS.
func (f *FS) Caps() vfs.Caps { return f.caps }

// Sub returns the tree below name, confined to it also against links. The FS is
// an *FS that may be closed by itself, and is closed by the garbage collector
// otherwise.
func (f *FS) Sub(name string) (vfs.FS, error) {
	if err := checkName("sub", name); err != nil {
		return nil, err
	}
	p, st, err := f.find(name, true)
	if err != nil {
		return nil, pathError("sub", name, err)
	}
	p.close()
	switch { // opening another thing may wait
	case !st.exists:
		return nil, pathError("sub", name, fs.ErrNotExist)
	case !st.mode.IsDir():
		return nil, pathError("sub", name, vfs.ErrNotDir)
	}
	root, err := f.root.OpenRoot(name)
	if err != nil {
		return nil, pathError("sub", name, err)
	}
	sub := &FS{root: root, shared: f.shared}
	if sub.top, err = sub.openDir("."); err != nil {
		root.Close()
		return nil, pathError("sub", name, err)
	}
	return sub, nil
}
