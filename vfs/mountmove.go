package vfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"
)

// moveLogEvery is how often a long move tells how far it is.
const moveLogEvery = 10 * time.Second

// cleanupTime bounds how long a failed move removes its copy.
const cleanupTime = time.Minute

func (m *mountFS) Rename(ctx context.Context, oldname, newname string, opt RenameOptions) error {
	if err := CheckName("rename", newname); err != nil {
		return err
	}
	from, err := m.begin(ctx, "rename", oldname)
	to := m.at(newname)
	switch {
	case err != nil:
		return err
	case oldname == newname && (from == nil || m.dirs[oldname]):
		if oldname != "." && m.dirs[oldname] {
			return nil
		}
		return m.nowhere("rename", oldname, false)
	case m.dirs[oldname]: // a mount is inside
		return &fs.PathError{Op: "rename", Path: oldname, Err: fs.ErrPermission}
	case newname == ".":
		return &fs.PathError{Op: "rename", Path: newname, Err: fs.ErrPermission}
	case from == nil:
		return m.nowhere("rename", oldname, false)
	case m.dirs[newname]:
		if _, err := m.Stat(ctx, oldname); err != nil && Kind(err) == fs.ErrNotExist {
			return PathError("rename", oldname, err)
		}
		return &fs.PathError{Op: "rename", Path: newname, Err: fs.ErrExist}
	case from == to:
		err := from.fs.Rename(ctx, from.inner(oldname), from.inner(newname), opt)
		return m.gap(ctx, from, "rename", newname, from.err(err))
	}
	mv := &move{m: m, from: from, to: to, oldname: oldname, newname: newname, opt: opt, started: time.Now()}
	return mv.run(ctx)
}

// move is a rename from one tree to another.
type move struct {
	m                *mountFS
	from, to         *point // to: nil if only mounts make the place
	oldname, newname string
	opt              RenameOptions

	found   []moved // files and directories, parents first, as they were
	total   int64   // bytes
	copied  []string
	bytes   int64
	fresh   bool // nothing had the new name
	started time.Time
	told    time.Time
}

// moved is a file or directory that moves; rel is its name below oldname.
type moved struct {
	rel  string
	info fs.FileInfo
}

func (v *move) run(ctx context.Context) error {
	if err := v.check(ctx); err != nil {
		return err
	}
	v.told = v.started
	for _, e := range v.found {
		if err := v.copy(ctx, e); err != nil {
			v.takeBack(ctx)
			return err
		}
	}
	for i := len(v.found) - 1; i >= 0; i-- {
		if err := v.remove(ctx, v.found[i]); err != nil {
			if i == len(v.found)-1 && v.fresh { // the source is whole
				v.takeBack(ctx)
				return err
			}
			v.tell("a rename to another store could not remove all of its source; the copy is complete", "err", err)
			return err
		}
	}
	if v.told != v.started {
		v.tell("a rename to another store is done")
	}
	return nil
}

// check finds out what is to move and that it may.
func (v *move) check(ctx context.Context) error {
	refuse := func(name string, err error) error { return &fs.PathError{Op: "rename", Path: name, Err: err} }
	if v.to == nil {
		return v.m.nowhere("rename", v.newname, true)
	}
	top, err := v.lstat(ctx)
	if err != nil {
		return err
	}
	switch info, err := v.to.fs.Stat(ctx, v.to.inner(v.newname)); {
	case err == nil && (v.opt.NoReplace || info.IsDir() || top.IsDir()):
		return refuse(v.newname, fs.ErrExist)
	case err == nil:
	case Kind(err) == fs.ErrNotExist || Kind(err) == ErrNotDir:
		v.fresh = true
	default:
		return v.to.err(err)
	}
	switch {
	case v.m.opt.NoMove:
		return refuse(v.oldname, fmt.Errorf("from one store to another: %w", errors.ErrUnsupported))
	case !v.from.fs.Caps().Has(CanWrite):
		return refuse(v.oldname, fs.ErrPermission)
	case !v.to.fs.Caps().Has(CanWrite):
		return refuse(v.newname, fs.ErrPermission)
	}
	// A name onto itself changes nothing, but a Guard says whether it may be renamed.
	inner := v.from.inner(v.oldname)
	if err := v.from.fs.Rename(ctx, inner, inner, RenameOptions{}); err != nil {
		return v.from.err(err)
	}
	return v.find(ctx, moved{".", top})
}

// lstat describes the source itself, as only a listing does.
func (v *move) lstat(ctx context.Context) (fs.FileInfo, error) {
	dir, base := Split(v.from.inner(v.oldname))
	for info, err := range v.from.fs.ReadDir(ctx, dir, base) {
		if err != nil {
			return nil, PathError("rename", v.oldname, err)
		}
		if info.Name() == base {
			return info, nil
		}
	}
	return nil, &fs.PathError{Op: "rename", Path: v.oldname, Err: fs.ErrNotExist}
}

// find adds e and what is below it to found.
func (v *move) find(ctx context.Context, e moved) error {
	name := Join(v.oldname, e.rel)
	refuse := func(why string) error {
		return &fs.PathError{Op: "rename", Path: name, Err: fmt.Errorf("%s: %w", why, errors.ErrUnsupported)}
	}
	switch {
	case len(v.found) >= v.m.opt.MoveEntries:
		return refuse(fmt.Sprintf("more than %d files to move from one store to another", v.m.opt.MoveEntries))
	case e.info.IsDir():
	case !e.info.Mode().IsRegular():
		return refuse("neither a file nor a directory, to move from one store to another")
	}
	v.found = append(v.found, e)
	v.total += e.info.Size()
	if !e.info.IsDir() {
		return nil
	}
	var below []moved
	for info, err := range v.from.fs.ReadDir(ctx, v.from.inner(name), "") {
		if err != nil {
			return v.from.err(err)
		}
		if below = append(below, moved{Join(e.rel, info.Name()), info}); len(v.found)+len(below) > v.m.opt.MoveEntries {
			break // find says so
		}
	}
	for _, b := range below {
		if err := v.find(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// copy makes e at the new place.
func (v *move) copy(ctx context.Context, e moved) error {
	oldname, newname := Join(v.oldname, e.rel), Join(v.newname, e.rel)
	inner := v.to.inner(newname)
	if e.info.IsDir() {
		if err := v.to.fs.Mkdir(ctx, inner); err != nil {
			return v.m.gap(ctx, v.to, "rename", newname, v.to.err(err))
		}
		v.copied = append(v.copied, inner)
		return nil
	}
	f, err := v.from.fs.Open(ctx, v.from.inner(oldname), 0, -1)
	if err != nil {
		return v.from.err(err)
	}
	defer f.Close()
	w, err := v.to.fs.Create(ctx, inner, CreateOptions{SizeHint: e.info.Size(), NoReplace: v.opt.NoReplace || v.fresh})
	if err != nil {
		return v.m.gap(ctx, v.to, "rename", newname, v.to.err(err))
	}
	defer w.Abort()
	if err := v.stream(w, f); err != nil {
		var pe *fs.PathError
		if errors.As(err, &pe) && pe.Path == inner {
			return PathError("rename", newname, err)
		}
		return PathError("rename", oldname, err)
	}
	if err := w.Commit(); err != nil {
		return v.to.err(err)
	}
	v.copied = append(v.copied, inner)
	v.attributes(ctx, inner, e.info)
	return nil
}

// attributes takes times and mode along where the new store can.
func (v *move) attributes(ctx context.Context, inner string, info fs.FileInfo) {
	caps := v.to.fs.Caps()
	if caps.Has(CanSetModTime) {
		_ = SetModTime(ctx, v.to.fs, inner, info.ModTime())
	}
	if born := AttrOf(info).Created; caps.Has(CanSetCreateTime) && !born.IsZero() {
		_ = SetCreateTime(ctx, v.to.fs, inner, born)
	}
	if caps.Has(CanSetMode) && v.from.fs.Caps().Has(CanSetMode) {
		_ = SetMode(ctx, v.to.fs, inner, info.Mode().Perm())
	}
}

// moveChunk is how many bytes are copied between two looks at the clock.
const moveChunk = 1 << 20

func (v *move) stream(w Writer, f fs.File) error {
	for {
		chunk := &io.LimitedReader{R: f, N: moveChunk}
		n, err := w.ReadFrom(chunk)
		v.bytes += n
		if err != nil {
			return err
		}
		if time.Since(v.told) >= moveLogEvery {
			v.tell("a rename copies to another store")
			v.told = time.Now()
		}
		if chunk.N > 0 {
			return nil
		}
	}
}

// remove takes away what was copied, unless it has changed since.
func (v *move) remove(ctx context.Context, e moved) error {
	name := Join(v.oldname, e.rel)
	inner := v.from.inner(name)
	if e.info.IsDir() {
		return v.from.err(v.from.fs.Rmdir(ctx, inner))
	}
	info, err := v.from.fs.Stat(ctx, inner)
	if err != nil {
		return v.from.err(err)
	}
	if info.Size() != e.info.Size() || !info.ModTime().Equal(e.info.ModTime()) || AttrOf(info).Unique != AttrOf(e.info).Unique {
		return &fs.PathError{Op: "rename", Path: name, Err: fmt.Errorf("it was changed meanwhile: %w", ErrBusy)}
	}
	return v.from.err(v.from.fs.Remove(ctx, inner))
}

// takeBack removes the copy. A file that replaced another one stays: it is whole,
// and the other is gone.
func (v *move) takeBack(ctx context.Context) {
	if !v.fresh {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	for i := len(v.copied) - 1; i >= 0; i-- {
		inner := v.copied[i]
		err := v.to.fs.Remove(ctx, inner)
		if errors.Is(err, ErrIsDir) {
			err = v.to.fs.Rmdir(ctx, inner)
		}
		if err != nil {
			v.tell("a rename to another store failed and could not remove its copy", "left", Join(v.to.dir, inner), "err", err)
			return
		}
	}
}

func (v *move) tell(text string, args ...any) {
	if v.m.opt.Log == nil {
		return
	}
	args = append([]any{"from", v.oldname, "to", v.newname, "bytes", v.bytes, "of", v.total, "entries", len(v.copied), "of_entries", len(v.found),
		"for", time.Since(v.started).Round(time.Second)}, args...)
	v.m.opt.Log.Info(text, args...)
}
