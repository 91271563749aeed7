package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"strings"
	"time"

	"github.com/ftpgate/ftpgate/vfs"
)

// orphanAge is when an unlocked upload that nobody can resume is taken for one
// whose process died, rather than one that is just being created.
const orphanAge = 10 * time.Minute

// errLive says that a staged upload has a writer.
var errLive = fmt.Errorf("the upload is running: %w", vfs.ErrBusy)

// staging is the hidden file of an upload. Whoever has one holds its lock, and
// nobody else renames or removes it.
type staging struct {
	dir  *dir
	name string
	file *diskFile
	st   stat // when it was taken
}

// claim takes the staged upload of this name over from whoever parked it. errLive
// says that it has a writer, or that something else stands under its name.
func claim(d *dir, name string) (*staging, error) {
	file, st, err := hold(d, name)
	switch {
	case err == nil:
		return &staging{d, name, file, st}, nil
	case err == errNoLock: // nobody can tell
		file.Close()
		return nil, errLive
	case err == errNotRegular, errors.Is(meaning(err), vfs.ErrIsDir):
		return nil, errLive
	}
	return nil, err
}

// newStaging makes an empty upload. errLive says that somebody was faster.
func newStaging(d *dir, name string, perm fs.FileMode) (*staging, error) {
	file, err := d.open(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, perm)
	if errors.Is(err, fs.ErrExist) {
		return nil, errLive
	}
	if err != nil {
		return nil, err
	}
	s := &staging{dir: d, name: name, file: file}
	if s.st, err = statFile(file.File); err != nil {
		file.Close()
		return nil, err
	}
	// Until it is locked, it looks like a parked upload.
	if held, _ := lock(file.File); held || !s.inPlace() {
		file.Close()
		return nil, errLive
	}
	return s, nil
}

var (
	errNotRegular = fmt.Errorf("not a regular file: %w", fs.ErrPermission)
	errNoLock     = errors.New("the disk has no locks")
)

// hold opens a regular file and locks it. Between the two somebody may have
// renamed or removed it, so it must afterwards still be what has the name. With
// errNoLock the file is open none the less.
func hold(d *dir, base string) (*diskFile, stat, error) {
	for range 16 {
		file, err := d.open(base, os.O_RDWR, 0)
		if err != nil {
			return nil, stat{}, err
		}
		st, err := statFile(file.File)
		if err == nil && !st.mode.IsRegular() {
			err = errNotRegular
		}
		if err != nil {
			file.Close()
			return nil, stat{}, err
		}
		held, err := lock(file.File)
		if held {
			file.Close()
			return nil, stat{}, errLive
		}
		if err != nil {
			err = errNoLock
		}
		if cur, _ := d.lstat(base); cur.same(st) {
			return file, st, err
		}
		file.Close()
	}
	return nil, stat{}, errLive
}

// live reports whether the staged upload has a writer.
func live(d *dir, name string) bool {
	file, err := d.open(name, os.O_RDONLY, 0)
	if err != nil {
		return false
	}
	defer file.Close()
	return locked(file.File)
}

// inPlace reports whether the name is still that of s, which only a foreign
// program can change.
func (s *staging) inPlace() bool {
	cur, _ := s.dir.lstat(s.name)
	return cur.same(s.st)
}

// moveTo takes the place of the parked upload name, if there is one.
func (s *staging) moveTo(name string) error {
	for range 16 {
		older, err := claim(s.dir, name)
		none := errors.Is(err, fs.ErrNotExist)
		if err != nil && !none {
			return err
		}
		err = s.dir.rename(s.name, s.dir, name, none)
		if !none {
			older.file.Close()
		}
		if err == nil {
			s.name = name
			return nil
		}
		if !none || !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return errLive
}

// drop removes the upload.
func (s *staging) drop() error {
	defer s.file.Close()
	if !s.inPlace() {
		return nil
	}
	return s.dir.unlink(s.name)
}

// expired reports whether st, a file of this kind, may go at the time now.
func (f *FS) expired(kind byte, st stat, now time.Time) bool {
	age := f.opt.StagedExpiry
	if kind == 'x' {
		age = orphanAge
	}
	return age >= 0 && now.Sub(st.mtime) > age
}

// expire removes e if it is a staged upload that is expired and has no writer.
func (f *FS) expire(e entry, now time.Time) (removed bool, err error) {
	kind, ok := stagedKind(e.base)
	if !ok {
		return false, nil
	}
	st, err := e.lstat(e.base)
	if err != nil || !st.mode.IsRegular() || !f.expired(kind, st, now) {
		return false, nil
	}
	s, err := claim(e.dir, e.base)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == errLive:
		return false, nil
	case err != nil:
		return false, err
	case !f.expired(kind, s.st, now): // continued in between
		return false, s.file.Close()
	}
	return true, s.drop()
}

// parked describes the staged upload of base in the hidden file name, if it can be
// resumed. It is shown as the element shown.
func (f *FS) parked(d *dir, name, base, shown string) (fs.FileInfo, bool) {
	st, err := d.lstat(name)
	if err != nil || !st.mode.IsRegular() {
		return nil, false
	}
	file, err := d.open(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, false
	}
	defer file.Close()
	if !f.resumable(file, st) || locked(file.File) {
		return nil, false
	}
	if mark := attrOf(file.File, keptAttr); mark != "" {
		if complete, _ := d.lstat(base); mark != complete.mark() {
			return nil, false
		}
	}
	st.size = resumeAt(st.size)
	info := f.info(shown, st, "")
	info.Sys().(*vfs.Attr).Staged = true
	return info, true
}

// Extended attributes of staged uploads.
const (
	safeAttr = "user.ftpgate.safe" // parked in order
	keptAttr = "user.ftpgate.kept" // which file a tail goes with
	nameAttr = "user.ftpgate.name" // of the file, where the hidden name doesn't tell it
)

// label keeps the name of the complete file with an upload that gets a name which is
// too short for it. Without it, listings don't tell of the upload.
func (s *staging) label(name, base string) {
	if kind, _ := stagedKind(name); kind == 'h' {
		_ = s.file.setAttr(nameAttr, base)
	}
}

// labelled returns what label kept with e, if that is of the owner.
func (e entry) labelled(owner string) (base string, ok bool) {
	if !strings.HasPrefix(e.base, stagedLongPrefix(owner)) {
		return "", false
	}
	file, err := e.open(e.base, os.O_RDONLY, 0)
	if err != nil {
		return "", false
	}
	defer file.Close()
	base = attrOf(file.File, nameAttr)
	return base, stagedName(owner, base) == e.base
}

// resumable reports whether a parked upload, which st is of, is worth going on
// with. What has another name is somebody else's file. What was being written when
// the machine went down may have gaps.
func (f *FS) resumable(file *diskFile, st stat) bool {
	return st.size > 0 && st.links <= 1 && !f.expired('n', st, time.Now()) &&
		(st.mtime.After(f.boot) || attrOf(file.File, safeAttr) != "")
}

// resumeAt is the size told of an upload of which arrived bytes are there: a
// client that finds its own size takes the upload for complete.
func resumeAt(arrived int64) int64 { return arrived - 1 }

// StatStaged implements vfs.Stager.
func (f *FS) StatStaged(ctx context.Context, name, owner string) (fs.FileInfo, error) {
	const op = "stat"
	p, err := f.findStaged(ctx, op, name)
	if err != nil {
		return nil, err
	}
	defer p.close()
	_, base := vfs.Split(name)
	info, ok := f.parked(p.dir, stagedName(owner, p.base), p.base, base)
	if !ok {
		return nil, pathError(op, name, fs.ErrNotExist)
	}
	return info, nil
}

// Discard implements vfs.Stager.
func (f *FS) Discard(ctx context.Context, name, owner string) error {
	const op = "remove"
	p, err := f.findStaged(ctx, op, name)
	if err != nil {
		return err
	}
	defer p.close()
	return pathError(op, name, discard(p, owner))
}

func discard(p place, owner string) error {
	s, err := claim(p.dir, stagedName(owner, p.base))
	if err == errLive {
		return fs.ErrNotExist // a running upload is not a staged one
	}
	if err != nil {
		return err
	}
	if err := s.drop(); err != nil || s.st.size > 0 {
		return err
	}
	return fs.ErrNotExist
}

// findStaged opens the directory where uploads of name are staged.
func (f *FS) findStaged(ctx context.Context, op, name string) (place, error) {
	if err := begin(ctx, op, name); err != nil {
		return place{}, err
	}
	if !f.caps.Has(vfs.CanPark) {
		return place{}, pathError(op, name, errors.ErrUnsupported)
	}
	p, _, err := f.find(name, true)
	err = pathError(op, name, err)
	if errors.Is(err, vfs.ErrNotDir) {
		err = pathError(op, name, fs.ErrNotExist)
	}
	return p, err
}

// Staged implements vfs.Stager. Uploads of names of more than 227 bytes are left
// out on a disk without extended attributes.
func (f *FS) Staged(ctx context.Context, dir, owner string) iter.Seq2[fs.FileInfo, error] {
	const op = "readdir"
	return func(yield func(fs.FileInfo, error) bool) {
		if err := begin(ctx, op, dir); err != nil {
			yield(nil, err)
			return
		}
		if !f.caps.Has(vfs.CanPark) {
			return
		}
		prefix := stagedPrefix(owner)
		for e, err := range f.scan(ctx, dir) {
			if err != nil {
				yield(nil, pathError(op, dir, err))
				return
			}
			base, ok := strings.CutPrefix(e.base, prefix)
			if !ok {
				base, ok = e.labelled(owner)
			}
			if !ok || !vfs.ValidElement(base) || hidden(base) {
				continue
			}
			if info, ok := f.parked(e.dir, e.base, base, base); ok && !yield(info, nil) {
				return
			}
		}
	}
}

// Sweep removes the staged uploads of the whole tree that are expired and returns
// how many there were. It goes on past directories that it may not read and
// returns the first other error.
func (f *FS) Sweep(ctx context.Context) (removed int, err error) {
	now := time.Now()
	todo := []string{"."}
	for len(todo) > 0 {
		dir := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for e, serr := range f.scan(ctx, dir) {
			if ctx.Err() != nil {
				return removed, vfs.ContextError(ctx, "sweep", dir)
			}
			if serr == nil && hidden(e.base) {
				var gone bool
				if gone, serr = f.expire(e, now); gone {
					removed++
				}
			} else if serr == nil {
				if st, _ := e.lstat(e.base); st.mode.IsDir() {
					todo = append(todo, vfs.Join(dir, e.base))
				}
			}
			serr = pathError("sweep", dir, serr)
			if err == nil && !errors.Is(serr, fs.ErrPermission) && !errors.Is(serr, fs.ErrNotExist) {
				err = serr
			}
		}
	}
	return removed, err
}
