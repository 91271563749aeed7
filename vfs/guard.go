package vfs

import (
	"context"
	"io/fs"
	"iter"
	"time"
)

// Guard asks check before every operation; an error refuses it and is returned as
// an *fs.PathError. check must be safe for concurrent use. It is the authoritative
// place for permissions: whatever a command forgot to ask, Guard asks.
//
// Create asks OpAppend for Append and OpWrite for the other modes; a user who may
// write but not overwrite gets NoReplace. Rename asks for both names, and replaces
// only where check allows OpOverwrite. Copy asks OpRead and OpWrite.
// Symlink asks OpSymlink for the link and OpRead for its target.
func Guard(fsys FS, check func(op Op, name string) error) FS {
	return &guardFS{inner: fsys, check: check}
}

type guardFS struct {
	inner FS
	check func(Op, string) error
}

var _ Full = (*guardFS)(nil)

func (g *guardFS) ask(op Op, name string) error {
	if err := CheckName(string(op), name); err != nil {
		return err
	}
	return PathError(string(op), name, g.check(op, name))
}

func (g *guardFS) Caps() Caps { return g.inner.Caps() }

func (g *guardFS) Sub(dir string) (FS, error) {
	if err := g.ask(OpEnter, dir); err != nil {
		return nil, err
	}
	sub, err := Sub(g.inner, dir)
	if err != nil {
		return nil, err
	}
	return Guard(sub, func(op Op, name string) error { return g.check(op, Join(dir, name)) }), nil
}

func (g *guardFS) Stat(ctx context.Context, name string) (fs.FileInfo, error) {
	if err := g.ask(OpStat, name); err != nil {
		return nil, err
	}
	return g.inner.Stat(ctx, name)
}

func (g *guardFS) ReadDir(ctx context.Context, name, prefix string) iter.Seq2[fs.FileInfo, error] {
	if err := g.ask(OpList, name); err != nil {
		return failed(err)
	}
	return g.inner.ReadDir(ctx, name, prefix)
}

// failed is a listing that yields only err.
func failed(err error) iter.Seq2[fs.FileInfo, error] {
	return func(yield func(fs.FileInfo, error) bool) { yield(nil, err) }
}

func (g *guardFS) Open(ctx context.Context, name string, offset, length int64) (fs.File, error) {
	if err := g.ask(OpRead, name); err != nil {
		return nil, err
	}
	return g.inner.Open(ctx, name, offset, length)
}

func (g *guardFS) Create(ctx context.Context, name string, opt CreateOptions) (Writer, error) {
	op := OpWrite
	if opt.Mode == Append {
		op = OpAppend
	}
	if err := g.ask(op, name); err != nil {
		return nil, err
	}
	// Appending changes what is there by leave of OpAppend; everything else
	// replaces it, wholly or from an offset on.
	if op == OpWrite && g.check(OpOverwrite, name) != nil {
		opt.NoReplace = true
	}
	return g.inner.Create(ctx, name, opt)
}

func (g *guardFS) Mkdir(ctx context.Context, name string) error {
	if err := g.ask(OpMkdir, name); err != nil {
		return err
	}
	return g.inner.Mkdir(ctx, name)
}

func (g *guardFS) Remove(ctx context.Context, name string) error {
	if err := g.ask(OpRemove, name); err != nil {
		return err
	}
	return g.inner.Remove(ctx, name)
}

func (g *guardFS) Rmdir(ctx context.Context, name string) error {
	if err := g.ask(OpRmdir, name); err != nil {
		return err
	}
	return g.inner.Rmdir(ctx, name)
}

func (g *guardFS) Rename(ctx context.Context, oldname, newname string, opt RenameOptions) error {
	if err := g.ask(OpRename, oldname); err != nil {
		return err
	}
	if err := g.ask(OpRename, newname); err != nil {
		return err
	}
	if g.check(OpOverwrite, newname) != nil {
		opt.NoReplace = true
	}
	return g.inner.Rename(ctx, oldname, newname, opt)
}

func (g *guardFS) Copy(ctx context.Context, src, dst string, opt CopyOptions) error {
	if err := g.ask(OpRead, src); err != nil {
		return err
	}
	if err := g.ask(OpWrite, dst); err != nil {
		return err
	}
	if g.check(OpOverwrite, dst) != nil {
		opt.NoReplace = true
	}
	return ServerCopy(ctx, g.inner, src, dst, opt)
}

func (g *guardFS) Hash(ctx context.Context, name string, alg HashAlgorithm, offset, length int64) ([]byte, error) {
	if err := g.ask(OpRead, name); err != nil {
		return nil, err
	}
	return ServerHash(ctx, g.inner, name, alg, offset, length)
}

func (g *guardFS) SetModTime(ctx context.Context, name string, t time.Time) error {
	if err := g.ask(OpSetModTime, name); err != nil {
		return err
	}
	return SetModTime(ctx, g.inner, name, t)
}

func (g *guardFS) SetMode(ctx context.Context, name string, mode fs.FileMode) error {
	if err := g.ask(OpSetMode, name); err != nil {
		return err
	}
	return SetMode(ctx, g.inner, name, mode)
}

func (g *guardFS) Space(ctx context.Context, name string) (SpaceInfo, error) {
	if err := g.ask(OpSpace, name); err != nil {
		return SpaceInfo{}, err
	}
	return Space(ctx, g.inner, name)
}

func (g *guardFS) Symlink(ctx context.Context, target, name string) error {
	if err := g.ask(OpSymlink, name); err != nil {
		return err
	}
	// Whoever may read the link may read what it leads to.
	if err := g.ask(OpRead, target); err != nil {
		return err
	}
	return Symlink(ctx, g.inner, target, name)
}

func (g *guardFS) Staged(ctx context.Context, dir, owner string) iter.Seq2[fs.FileInfo, error] {
	if err := g.ask(OpList, dir); err != nil {
		return failed(err)
	}
	return Staged(ctx, g.inner, dir, owner)
}

func (g *guardFS) StatStaged(ctx context.Context, name, owner string) (fs.FileInfo, error) {
	if err := g.ask(OpStat, name); err != nil {
		return nil, err
	}
	return StatStaged(ctx, g.inner, name, owner)
}

func (g *guardFS) Discard(ctx context.Context, name, owner string) error {
	if err := g.ask(OpRemove, name); err != nil {
		return err
	}
	return Discard(ctx, g.inner, name, owner)
}
