package local

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/ftpgate/ftpgate/vfs"
)

// upload is what differs between the kinds of uploads. One of publish, park and
// drop is the last call, and closes the file; publish and park may fail and leave
// the upload to drop.
type upload interface {
	// arrive comes before the first byte.
	arrive() error
	// prepare does what of publish makes nothing visible.
	prepare() error
	publish() error
	// parks reports whether it may be parked.
	parks() bool
	park() error
	drop() error
}

// staged is an upload in a hidden file that Commit renames onto its name.
type staged struct {
	w         *writer
	stage     *staging
	owner     string
	noReplace bool
}

// arrive makes the upload one that can be resumed also if the process dies.
func (s *staged) arrive() error {
	if s.w.resumed {
		return s.goOn()
	}
	if s.owner != "" && s.w.offset > 0 {
		_ = s.moveTo(stagedName(s.owner, s.w.at.base)) // else when it is parked
	}
	return nil
}

// goOn makes a parked file one that is written. The mark of one that was parked in
// order has to be gone for good before that.
func (s *staged) goOn() error {
	if attrOf(s.stage.file.File, safeAttr) != "" {
		if err := s.stage.file.removeAttr(safeAttr); err != nil {
			return err
		}
		if err := s.w.flush(s.stage.file); err != nil {
			return err
		}
	}
	return s.w.cut()
}

func (s *staged) moveTo(name string) error {
	s.stage.label(name, s.w.at.base)
	if s.stage.name == name {
		return nil
	}
	return s.stage.moveTo(name)
}

func (s *staged) prepare() error {
	if s.w.resumed && !s.w.arrived {
		if err := s.goOn(); err != nil {
			return err
		}
	}
	if err := s.w.trim(); err != nil {
		return err
	}
	if attrOf(s.stage.file.File, nameAttr) != "" {
		if err := s.stage.file.removeAttr(nameAttr); err != nil {
			return err
		}
	}
	old, _ := s.w.at.lstat(s.w.at.base)
	if err := s.adopt(old); err != nil {
		return err
	}
	return s.w.flush(s.stage.file)
}

// adopt gives the new file the bits and the owner of what it replaces, else those
// of the options.
func (s *staged) adopt(old stat) error {
	replaces := old.exists && old.mode.IsRegular()
	perm, owner := s.w.fs.opt.FileMode.Perm(), s.w.fs.owner
	if replaces {
		perm = old.mode.Perm()
	} else if owner.given() {
		if err := s.stage.file.give(owner); err != nil {
			return err
		}
	}
	if perm == 0 {
		return nil
	}
	st, err := statFile(s.stage.file.File)
	if err != nil {
		return err
	}
	if replaces && (st.uid != old.uid || st.gid != old.gid) {
		s.stage.file.own(old)
	}
	if st.mode.Perm() == perm {
		return nil
	}
	return s.stage.file.Chmod(perm)
}

func (s *staged) publish() error {
	if !s.stage.inPlace() {
		return fs.ErrNotExist // with its directory, or by a foreign hand
	}
	at := s.w.at
	if err := at.rename(s.stage.name, at.dir, at.base, s.noReplace); err != nil {
		return err
	}
	defer s.stage.file.Close()
	if s.owner != "" && s.stage.name != stagedName(s.owner, at.base) {
		_ = discard(at, s.owner) // what was parked while this one ran is outdated
	}
	return s.w.flushNames()
}

func (s *staged) parks() bool { return s.owner != "" }

func (s *staged) park() error {
	if err := s.w.trim(); err != nil {
		return err
	}
	if err := s.w.flush(s.stage.file); err != nil {
		return err
	}
	_ = s.stage.file.setAttr(safeAttr, "yes") // without it, it is not resumed after a reboot
	if err := s.moveTo(stagedName(s.owner, s.w.at.base)); err != nil {
		return err
	}
	return s.stage.file.Close()
}

func (s *staged) drop() error { return s.stage.drop() }

// tail is a staged upload that Commit adds to the end of the complete file. Its
// hidden file has a hole where the complete file has its content, and if it can be
// parked, a mark of which file that is.
type tail struct {
	*staged
	kept stat // of the complete file, w.kept
}

// beginTail makes the empty upload w a tail of the complete file st.
func (w *writer) beginTail(st stat) error {
	t := &tail{staged: w.up.(*staged), kept: st}
	w.up = t
	if t.owner != "" && w.file.setAttr(keptAttr, st.mark()) != nil {
		t.owner = "" // a disk without attributes
	}
	_, err := w.file.Seek(w.offset, io.SeekStart)
	return err
}

// mark identifies a file of a certain size.
func (s stat) mark() string { return fmt.Sprintf("%v %d %d", s.id, s.birth.UnixNano(), s.size) }

// prepare has nothing to do: only the complete file's bytes must survive a crash.
func (t *tail) prepare() error {
	if t.w.resumed && !t.w.arrived {
		return t.goOn()
	}
	return nil
}

func (t *tail) publish() error {
	cur, err := t.w.at.lstat(t.w.at.base)
	if err != nil {
		return err
	}
	if cur.mark() != t.kept.mark() {
		return fmt.Errorf("%w: the file was changed meanwhile", vfs.ErrBusy)
	}
	if err := t.add(); err != nil {
		_ = t.w.kept.Truncate(t.kept.size)
		return err
	}
	_ = t.drop() // a leftover goes with no file any more, and expires
	return nil
}

// parks is false once there is nothing that the tail could be added to.
func (t *tail) parks() bool {
	cur, _ := t.w.at.lstat(t.w.at.base)
	return t.staged.parks() && cur.mark() == t.kept.mark()
}

func (t *tail) add() error {
	st, err := statFile(t.stage.file.File)
	if err != nil || st.size <= t.kept.size { // nothing arrived
		return err
	}
	if err := t.w.kept.allocate(t.kept.size, st.size-t.kept.size); err != nil {
		return err
	}
	if _, err := t.stage.file.Seek(t.kept.size, io.SeekStart); err != nil {
		return err
	}
	if _, err := t.w.kept.Seek(t.kept.size, io.SeekStart); err != nil {
		return err
	}
	if _, err := io.Copy(t.w.kept, t.stage.file); err != nil {
		return err
	}
	return t.w.flush(t.w.kept)
}

// shown is an upload under the visible name (Options.Direct). What stood there
// waits under a hidden one.
type shown struct {
	*staged
	aside string // the hidden name; empty: nothing stood there
}

// show makes the upload visible in place of st.
func (w *writer) show(s *staged, st stat) error {
	up := &shown{staged: s}
	if err := s.adopt(st); err != nil {
		return err
	}
	if st.exists {
		if w.kept == nil {
			file, _, err := hold(w.at.dir, w.at.base) // keeps it from being swept
			if err == errLive {
				return nil // then it is not to be seen
			}
			if err != nil && err != errNoLock {
				return err
			}
			w.kept = file
		}
		aside := passingName()
		err := w.at.link(w.at.base, aside)
		if err != nil { // no links: then there is a moment without a file
			err = w.at.rename(w.at.base, w.at.dir, aside, true)
		}
		if err != nil {
			return err
		}
		up.aside = aside
	}
	err := w.at.rename(s.stage.name, w.at.dir, w.at.base, !st.exists)
	if errors.Is(err, fs.ErrExist) && !s.noReplace {
		return nil // somebody was faster: it is to be seen at its end
	}
	if err != nil {
		if st.exists { // whether it was linked or renamed, it is back then
			_ = w.at.rename(up.aside, w.at.dir, w.at.base, false)
			_ = w.at.unlink(up.aside)
		}
		return err
	}
	s.stage.name = w.at.base
	w.up = up
	return nil
}

func (s *shown) arrive() error { return nil }

func (s *shown) prepare() error {
	if err := s.w.trim(); err != nil {
		return err
	}
	return s.w.flush(s.stage.file)
}

// publish has nothing to do, unless another file took the name.
func (s *shown) publish() error {
	st, err := statFile(s.stage.file.File)
	if err != nil {
		return err
	}
	if st.links == 0 && s.noReplace {
		return fs.ErrExist
	}
	if st.links == 0 {
		return fmt.Errorf("%w: the file was replaced meanwhile", vfs.ErrBusy)
	}
	s.forgetOld()
	s.stage.file.Close()
	return s.w.flushNames()
}

func (s *shown) parks() bool { return false }

// drop puts back what stood there, unless another file took the name.
func (s *shown) drop() error {
	if s.aside == "" || !s.stage.inPlace() {
		s.forgetOld()
		return s.stage.drop()
	}
	defer s.stage.file.Close()
	return s.w.at.rename(s.aside, s.w.at.dir, s.stage.name, false)
}

func (s *shown) forgetOld() {
	if s.aside != "" {
		_ = s.w.at.unlink(s.aside) // a leftover expires
	}
}

// grown is an upload to the end of the visible file itself (Options.Direct).
type grown struct{ w *writer }

func (w *writer) grow() error {
	w.up, w.file = &grown{w}, w.kept
	w.kept = nil
	_, err := w.file.Seek(w.offset, io.SeekStart)
	return err
}

func (g *grown) arrive() error { return nil }

func (g *grown) prepare() error {
	if err := g.w.trim(); err != nil {
		return err
	}
	return g.w.flush(g.w.file)
}

func (g *grown) publish() error { return g.w.file.Close() }

func (g *grown) parks() bool { return false }

func (g *grown) park() error { return errors.ErrUnsupported }

func (g *grown) drop() error {
	defer g.w.file.Close()
	return g.w.file.Truncate(g.w.offset)
}
