package vfs

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"math"
	"time"
)

// Rules decide what Guard lets through. The methods must be safe for concurrent use
// and quick.
type Rules interface {
	// Allow answers whether op on name may be done. fs.ErrNotExist hides the name:
	// listings leave out what is hidden from OpStat.
	Allow(op Op, name string) error
	// AllowMove answers whether oldname may become newname; dir says that it is a
	// directory, and takes along what is below it.
	AllowMove(oldname, newname string, dir bool) error
	// AllowLink answers whether name may become a link to target.
	AllowLink(target, name string) error
	// SizeLimit is how large a file may become, in bytes; 0: as large as it likes.
	SizeLimit() int64
}

// check are Rules that look at one name at a time.
type check func(op Op, name string) error

func (c check) Allow(op Op, name string) error { return c(op, name) }

func (c check) AllowMove(oldname, newname string, _ bool) error {
	return firstError(c(OpRename, oldname), c(OpRename, newname))
}

// Whoever may read the link may read what it leads to.
func (c check) AllowLink(target, name string) error {
	return firstError(c(OpSymlink, name), c(OpRead, target))
}

func (c check) SizeLimit() int64 { return 0 }

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Guard asks ask before every operation; an error refuses it and is returned as an
// *fs.PathError. It is GuardRules with rules that look at one name at a time: Rename
// asks OpRename for both names, Symlink asks OpSymlink for the link and OpRead for its
// target.
func Guard(fsys FS, ask func(op Op, name string) error) FS {
	return GuardRules(fsys, check(ask))
}

// GuardRules asks rules before every operation; an error refuses it and is returned
// as an *fs.PathError. It is the authoritative place for permissions: whatever a
// command forgot to ask, it asks.
//
// Create asks OpAppend for Append and OpWrite for the other modes; a user who may
// write but not overwrite gets NoReplace. Rename replaces only where OpOverwrite is
// allowed. Copy asks OpRead and OpWrite. Listings leave out names that are hidden, and
// a directory that holds some is not empty.
func GuardRules(fsys FS, rules Rules) FS {
	return &guardFS{inner: fsys, rules: rules}
}

type guardFS struct {
	inner FS
	rules Rules
}

var _ Full = (*guardFS)(nil)

func (g *guardFS) ask(op Op, name string) error {
	if err := CheckName(string(op), name); err != nil {
		return err
	}
	return PathError(string(op), name, g.rules.Allow(op, name))
}

// below are the rules of the directory dir as a tree of its own.
type below struct {
	rules Rules
	dir   string
}

func (b below) Allow(op Op, name string) error { return b.rules.Allow(op, Join(b.dir, name)) }
func (b below) AllowMove(oldname, newname string, dir bool) error {
	return b.rules.AllowMove(Join(b.dir, oldname), Join(b.dir, newname), dir)
}
func (b below) AllowLink(target, name string) error {
	return b.rules.AllowLink(Join(b.dir, target), Join(b.dir, name))
}
func (b below) SizeLimit() int64 { return b.rules.SizeLimit() }

func (g *guardFS) Caps() Caps { return g.inner.Caps() }

func (g *guardFS) Sub(dir string) (FS, error) {
	if err := g.ask(OpEnter, dir); err != nil {
		return nil, err
	}
	sub, err := Sub(g.inner, dir)
	if err != nil {
		return nil, err
	}
	return GuardRules(sub, below{g.rules, dir}), nil
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
	return g.shown(name, g.inner.ReadDir(ctx, name, prefix))
}

// shown leaves out what is hidden in dir.
func (g *guardFS) shown(dir string, entries iter.Seq2[fs.FileInfo, error]) iter.Seq2[fs.FileInfo, error] {
	return func(yield func(fs.FileInfo, error) bool) {
		for info, err := range entries {
			if err == nil && ValidElement(info.Name()) && errors.Is(g.rules.Allow(OpStat, Join(dir, info.Name())), fs.ErrNotExist) {
				continue
			}
			if !yield(info, err) {
				return
			}
		}
	}
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
	if op == OpWrite && g.rules.Allow(OpOverwrite, name) != nil {
		opt.NoReplace = true
	}
	limit := g.rules.SizeLimit()
	if limit > 0 && (opt.SizeHint > limit || opt.Offset > limit) {
		return nil, PathError("create", name, ErrTooLarge)
	}
	w, err := g.inner.Create(ctx, name, opt)
	if err != nil || limit <= 0 {
		return w, err
	}
	return &sizedWriter{Writer: w, name: name, limit: limit, size: w.Offset()}, nil
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
	if err := g.askMove(ctx, oldname, newname); err != nil {
		return err
	}
	if g.rules.Allow(OpOverwrite, newname) != nil {
		opt.NoReplace = true
	}
	return g.inner.Rename(ctx, oldname, newname, opt)
}

// askMove finds out whether oldname is a directory only where that matters.
func (g *guardFS) askMove(ctx context.Context, oldname, newname string) error {
	for _, name := range [...]string{oldname, newname} {
		if err := CheckName("rename", name); err != nil {
			return err
		}
	}
	asFile := PathError("rename", oldname, g.rules.AllowMove(oldname, newname, false))
	asDir := PathError("rename", oldname, g.rules.AllowMove(oldname, newname, true))
	if (asFile == nil) == (asDir == nil) {
		return asFile
	}
	info, err := g.inner.Stat(ctx, oldname)
	switch {
	case err != nil:
		return err
	case info.IsDir():
		return asDir
	}
	return asFile
}

func (g *guardFS) Copy(ctx context.Context, src, dst string, opt CopyOptions) error {
	if err := g.ask(OpRead, src); err != nil {
		return err
	}
	if err := g.ask(OpWrite, dst); err != nil {
		return err
	}
	if g.rules.Allow(OpOverwrite, dst) != nil {
		opt.NoReplace = true
	}
	if limit := g.rules.SizeLimit(); limit > 0 {
		if size, err := Size(ctx, g.inner, src); err != nil {
			return err
		} else if size > limit {
			return PathError("copy", dst, ErrTooLarge)
		}
	}
	return ServerCopy(ctx, g.inner, src, dst, opt)
}

func (g *guardFS) Hash(ctx context.Context, name string, alg HashAlgorithm, offset, length int64) ([]byte, error) {
	if err := g.ask(OpHash, name); err != nil {
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

func (g *guardFS) SetCreateTime(ctx context.Context, name string, t time.Time) error {
	if err := g.ask(OpSetCreateTime, name); err != nil {
		return err
	}
	return SetCreateTime(ctx, g.inner, name, t)
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
	if err := firstError(CheckName("symlink", target), CheckName("symlink", name)); err != nil {
		return err
	}
	if err := PathError("symlink", name, g.rules.AllowLink(target, name)); err != nil {
		return err
	}
	return Symlink(ctx, g.inner, target, name)
}

func (g *guardFS) Staged(ctx context.Context, dir, owner string) iter.Seq2[fs.FileInfo, error] {
	if err := g.ask(OpList, dir); err != nil {
		return failed(err)
	}
	return g.shown(dir, Staged(ctx, g.inner, dir, owner))
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

// sizedWriter refuses what would go beyond limit.
type sizedWriter struct {
	Writer
	name        string
	size, limit int64
}

func (w *sizedWriter) Write(p []byte) (int, error) {
	if w.size+int64(len(p)) > w.limit {
		return 0, PathError("write", w.name, ErrTooLarge)
	}
	n, err := w.Writer.Write(p)
	w.size += int64(n)
	return n, err
}

// ReadFrom hands on the reader of a connection as it is, with less to read, so that
// the kernel can still copy. One byte more than the limit tells that there is more.
func (w *sizedWriter) ReadFrom(r io.Reader) (int64, error) {
	lr, ok := r.(*io.LimitedReader)
	if !ok {
		lr = &io.LimitedReader{R: r, N: math.MaxInt64}
	}
	over := max(lr.N-(w.limit-w.size), 0)
	if over == 0 {
		n, err := w.Writer.ReadFrom(lr)
		w.size += n
		return n, err
	}
	lr.N -= over
	n, err := w.Writer.ReadFrom(lr)
	w.size += n
	atLimit := lr.N == 0
	lr.N += over
	if err != nil || !atLimit {
		return n, err
	}
	var one [1]byte
	for {
		switch m, err := lr.R.Read(one[:]); {
		case m > 0:
			return n, PathError("write", w.name, ErrTooLarge)
		case err == io.EOF:
			return n, nil
		case err != nil:
			return n, err
		}
	}
}
