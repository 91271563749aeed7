package vfs

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"sync"
	"time"
)

// ShowStaged says where an owner sees staged uploads. Nobody else ever does.
type ShowStaged uint8

const (
	// ShowExact shows them to Stat of the very name, as a client that wants to
	// resume asks (SIZE, MDTM, MLST).
	ShowExact ShowStaged = iota
	// ShowListing shows them in listings too.
	ShowListing
	// ShowNever hides them; they can still be continued by WriteAt.
	ShowNever
)

// maxTold bounds how many names ForOwner remembers.
const maxTold = 1024

// ForOwner is the view of one session: uploads are staged under owner, and
// owner's staged uploads show in Stat, ReadDir and Remove as show says. An empty
// owner never parks and sees nothing staged.
//
// Append continues a staged upload only if this view told its size before;
// otherwise the client means the complete file, and the staged upload is dropped.
func ForOwner(fsys FS, owner string, show ShowStaged) FS {
	return &ownerFS{inner: fsys, owner: owner, show: show, stages: owner != "" && fsys.Caps().Has(CanPark)}
}

type ownerFS struct {
	inner  FS
	owner  string
	show   ShowStaged
	stages bool

	mu   sync.Mutex
	told map[string]int64 // size told of a staged upload, by name
}

var _ Full = (*ownerFS)(nil)

func (o *ownerFS) remember(name string, size int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.told) >= maxTold {
		clear(o.told)
	}
	if o.told == nil {
		o.told = map[string]int64{}
	}
	o.told[name] = size
}

// forget returns what was told of name, once.
func (o *ownerFS) forget(name string) (int64, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	size, ok := o.told[name]
	delete(o.told, name)
	return size, ok
}

// discard drops the staged upload of name, if there is one.
func (o *ownerFS) discard(ctx context.Context, name string) error {
	if !o.stages {
		return fs.ErrNotExist
	}
	o.forget(name)
	return Discard(ctx, o.inner, name, o.owner)
}

func (o *ownerFS) Caps() Caps {
	if o.stages {
		return o.inner.Caps()
	}
	return o.inner.Caps() &^ CanPark
}

func (o *ownerFS) Sub(dir string) (FS, error) {
	sub, err := Sub(o.inner, dir)
	if err != nil {
		return nil, err
	}
	return ForOwner(sub, o.owner, o.show), nil
}

func (o *ownerFS) Stat(ctx context.Context, name string) (fs.FileInfo, error) {
	if o.stages && o.show != ShowNever && name != "." {
		if info, err := StatStaged(ctx, o.inner, name, o.owner); err == nil {
			o.remember(name, info.Size())
			return info, nil
		}
	}
	return o.inner.Stat(ctx, name)
}

func (o *ownerFS) ReadDir(ctx context.Context, name, prefix string) iter.Seq2[fs.FileInfo, error] {
	if !o.stages || o.show != ShowListing {
		return o.inner.ReadDir(ctx, name, prefix)
	}
	return func(yield func(fs.FileInfo, error) bool) {
		staged := map[string]fs.FileInfo{}
		for info, err := range Staged(ctx, o.inner, name, o.owner) {
			if err != nil {
				break // the complete files still list, or fail with their own error
			}
			staged[info.Name()] = info
		}
		for info, err := range o.inner.ReadDir(ctx, name, prefix) {
			if err == nil && staged[info.Name()] != nil {
				continue // its staged successor is shown instead
			}
			if !yield(info, err) || err != nil {
				return
			}
		}
		for base, info := range staged {
			o.remember(Join(name, base), info.Size())
			if !yield(info, nil) {
				return
			}
		}
	}
}

func (o *ownerFS) Open(ctx context.Context, name string, offset, length int64) (fs.File, error) {
	return o.inner.Open(ctx, name, offset, length)
}

func (o *ownerFS) Create(ctx context.Context, name string, opt CreateOptions) (Writer, error) {
	opt.Owner = ""
	if !o.stages {
		return o.inner.Create(ctx, name, opt)
	}
	opt.Owner = o.owner
	told, ok := o.forget(name)
	if opt.Mode == Append {
		if ok {
			opt.Mode, opt.Offset = WriteAt, told
		} else if err := o.discard(ctx, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return o.inner.Create(ctx, name, opt)
}

func (o *ownerFS) Mkdir(ctx context.Context, name string) error { return o.inner.Mkdir(ctx, name) }

// Remove takes the staged upload of the name along, and alone if nothing is
// complete.
func (o *ownerFS) Remove(ctx context.Context, name string) error {
	err := o.inner.Remove(ctx, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if o.discard(ctx, name) == nil {
		return nil
	}
	return err
}

func (o *ownerFS) Rmdir(ctx context.Context, name string) error { return o.inner.Rmdir(ctx, name) }

// Rename drops what was staged for the new name: the client has just given that
// name another content.
func (o *ownerFS) Rename(ctx context.Context, oldname, newname string, opt RenameOptions) error {
	err := o.inner.Rename(ctx, oldname, newname, opt)
	if err == nil {
		_ = o.discard(ctx, newname) // a leftover expires
	}
	return err
}

func (o *ownerFS) Copy(ctx context.Context, src, dst string, opt CopyOptions) error {
	err := ServerCopy(ctx, o.inner, src, dst, opt)
	if err == nil {
		_ = o.discard(ctx, dst) // as after Rename
	}
	return err
}

func (o *ownerFS) Hash(ctx context.Context, name string, alg HashAlgorithm, offset, length int64) ([]byte, error) {
	return ServerHash(ctx, o.inner, name, alg, offset, length)
}

func (o *ownerFS) SetModTime(ctx context.Context, name string, t time.Time) error {
	return SetModTime(ctx, o.inner, name, t)
}

func (o *ownerFS) SetCreateTime(ctx context.Context, name string, t time.Time) error {
	return SetCreateTime(ctx, o.inner, name, t)
}

func (o *ownerFS) SetMode(ctx context.Context, name string, mode fs.FileMode) error {
	return SetMode(ctx, o.inner, name, mode)
}

func (o *ownerFS) Space(ctx context.Context, name string) (SpaceInfo, error) {
	return Space(ctx, o.inner, name)
}

func (o *ownerFS) Symlink(ctx context.Context, target, name string) error {
	return Symlink(ctx, o.inner, target, name)
}

func (o *ownerFS) Staged(ctx context.Context, dir, owner string) iter.Seq2[fs.FileInfo, error] {
	if !o.stages {
		return func(func(fs.FileInfo, error) bool) {}
	}
	return Staged(ctx, o.inner, dir, owner)
}

func (o *ownerFS) StatStaged(ctx context.Context, name, owner string) (fs.FileInfo, error) {
	if !o.stages {
		return nil, unsupported("stat", name)
	}
	return StatStaged(ctx, o.inner, name, owner)
}

func (o *ownerFS) Discard(ctx context.Context, name, owner string) error {
	if !o.stages {
		return unsupported("remove", name)
	}
	return Discard(ctx, o.inner, name, owner)
}
