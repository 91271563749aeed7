package local

import (
	"io"
	"io/fs"
	"os"
)

// change is a call that changes the disk, or that makes changes survive a crash of
// the machine. What goes with the call and is not of use to it is empty.
type change struct {
	call string // of the system, by its name there
	base string // in dir
	dir  *dir
	file *os.File
}

// witness sees each change before it is made, which an error prevents. It is nil but
// in tests, which record the changes and let them fail.
type witness func(change) error

func (w witness) before(c change) error {
	if w == nil {
		return nil
	}
	return w(c)
}

// dir is an open directory whose changes have a witness. It stays the same when it
// is renamed.
type dir struct {
	*sysDir
	witness witness
}

// openDir opens a directory to work in.
func (f *FS) openDir(name string) (*dir, error) { return f.dir(openDir(f.root, name)) }

// openList opens a directory that can be listed.
func (f *FS) openList(name string) (*dir, error) { return f.dir(openList(f.root, name)) }

func (f *FS) dir(d *sysDir, err error) (*dir, error) {
	if err != nil {
		return nil, err
	}
	return &dir{d, f.witness}, nil
}

func (d *dir) before(call, base string) error {
	return d.witness.before(change{call: call, base: base, dir: d})
}

func (d *dir) open(base string, flag int, perm fs.FileMode) (*diskFile, error) {
	if flag&os.O_CREATE != 0 {
		if err := d.before("open", base); err != nil {
			return nil, err
		}
	}
	f, err := d.sysDir.open(base, flag, perm)
	if err != nil {
		return nil, err
	}
	return &diskFile{f, d.witness}, nil
}

func (d *dir) mkdir(base string, perm fs.FileMode) error {
	if err := d.before("mkdir", base); err != nil {
		return err
	}
	return d.sysDir.mkdir(base, perm)
}

func (d *dir) symlink(text, base string) error {
	if err := d.before("symlink", base); err != nil {
		return err
	}
	return d.sysDir.symlink(text, base)
}

func (d *dir) unlink(base string) error {
	if err := d.before("unlink", base); err != nil {
		return err
	}
	return d.sysDir.unlink(base)
}

func (d *dir) rmdir(base string) error {
	if err := d.before("rmdir", base); err != nil {
		return err
	}
	return d.sysDir.rmdir(base)
}

func (d *dir) rename(base string, to *dir, tobase string, noReplace bool) error {
	if err := d.before("rename", base); err != nil {
		return err
	}
	return d.sysDir.rename(base, to.sysDir, tobase, noReplace)
}

func (d *dir) link(base, other string) error {
	if err := d.before("link", base); err != nil {
		return err
	}
	return d.sysDir.link(base, other)
}

func (d *dir) chown(base string, o ownership) error {
	if err := d.before("fchownat", base); err != nil {
		return err
	}
	return d.sysDir.chown(base, o)
}

func (d *dir) sync() error {
	if err := d.before("fsync", "."); err != nil {
		return err
	}
	return d.sysDir.sync()
}

// diskFile is an open file whose changes have a witness.
type diskFile struct {
	*os.File
	witness witness
}

func (f *diskFile) before(call string) error {
	return f.witness.before(change{call: call, file: f.File})
}

func (f *diskFile) Write(p []byte) (int, error) {
	if err := f.before("write"); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

// ReadFrom lets the kernel move the bytes where it can.
func (f *diskFile) ReadFrom(r io.Reader) (int64, error) {
	if err := f.before("write"); err != nil {
		return 0, err
	}
	return f.File.ReadFrom(r)
}

func (f *diskFile) Truncate(size int64) error {
	if err := f.before("truncate"); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

func (f *diskFile) Sync() error {
	if err := f.before("fsync"); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *diskFile) Chmod(mode fs.FileMode) error {
	if err := f.before("chmod"); err != nil {
		return err
	}
	return f.File.Chmod(mode)
}

// setAttr keeps a short text with the file.
func (f *diskFile) setAttr(name, text string) error {
	if err := f.before("setxattr"); err != nil {
		return err
	}
	return setAttr(f.File, name, text)
}

// removeAttr takes it off.
func (f *diskFile) removeAttr(name string) error {
	if err := f.before("removexattr"); err != nil {
		return err
	}
	return removeAttr(f.File, name)
}

// clone makes f share the bytes of src.
func (f *diskFile) clone(src *os.File) error {
	if err := f.before("clone"); err != nil {
		return err
	}
	return clone(f.File, src)
}

// allocate takes space for size bytes from offset, without a change of the file's
// size.
func (f *diskFile) allocate(offset, size int64) error {
	if err := f.before("fallocate"); err != nil {
		return err
	}
	return allocate(f.File, offset, size)
}

// own gives f the owner and group, as far as the process may.
func (f *diskFile) own(st stat) {
	if f.before("fchown") == nil {
		own(f.File, st)
	}
}

// give makes f belong to o.
func (f *diskFile) give(o ownership) error {
	if err := f.before("fchown"); err != nil {
		return err
	}
	return f.Chown(o.uid, o.gid)
}
