package sftp

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"strings"
	"time"

	"github.com/ftpgate/ftpgate/vfs"
)

// stagedUpload is an upload that can be resumed. Its size is 0 if there is none.
type stagedUpload struct {
	size  int64 // bytes that are there for sure
	mtime time.Time
	left  string // the hidden name of one that no process parked
}

// resumeAt is the size told of an upload of which arrived bytes are there: a
// client that finds its own size takes the upload for complete.
func resumeAt(arrived int64) int64 { return arrived - 1 }

// links reports whether links to running uploads are made: what they lead to can
// only be taken over by copying.
func (s *shared) links() bool { return s.facts.symlink && s.facts.copyData }

// pointTo makes the link by which the upload is found if this process dies, or its
// connection breaks. Without it, it can't be resumed then.
func (w *writer) pointTo(ctx context.Context, c *wire) error {
	w.linked = true
	_, base := vfs.Split(w.stage)
	err := makeLink(ctx, c, base, w.fs.path(w.link()))
	w.sure = err == nil
	return err
}

// link is the plain name of the link to the upload.
func (w *writer) link() string { return w.at.beside(linkName(w.owner, w.at.base)) }

// parkedAt is the plain name under which the upload is parked.
func (w *writer) parkedAt() string { return w.at.beside(parkedName(w.owner, w.at.base)) }

// makeLink makes path lead to base, whatever it led to before. It removes nothing
// without need: a request that is held up could hit the link of a later try.
func makeLink(ctx context.Context, c *wire, base, path string) error {
	err := c.symlink(ctx, base, path).status(ctx)
	if failure(err) || errors.Is(err, fs.ErrExist) {
		gone, made := c.remove(ctx, path), c.symlink(ctx, base, path)
		_ = gone.status(ctx)
		err = made.status(ctx)
	}
	return err
}

// staged looks for the owner's upload to p.
func (s *shared) staged(ctx context.Context, p place, owner string) (up stagedUpload, err error) {
	err = s.pool.ask(ctx, true, func(c *wire) error {
		link := s.path(p.beside(linkName(owner, p.base)))
		asked := c.lstat(ctx, s.path(p.beside(parkedName(owner, p.base))))
		text, left := sent{}, sent{}
		if s.links() {
			text, left = c.readlink(ctx, link), c.stat(ctx, link)
			defer text.abandon()
			defer left.abandon()
		}
		parked, err := asked.attrs(ctx)
		if err != nil {
			return err
		}
		if s.resumable(parked) {
			up = stagedUpload{size: parked.size, mtime: parked.mtime}
			return nil
		}
		if !s.links() {
			return nil
		}
		base, err := text.text(ctx)
		if err != nil {
			if passing(err) || ctx.Err() != nil {
				return err
			}
			return nil
		}
		st, err := left.attrs(ctx)
		if err == nil && isRunningName(base) && !s.runs.isRunning(p.beside(base)) && s.resumable(st) {
			up = stagedUpload{size: s.durable(st.size), mtime: st.mtime, left: base}
		}
		return err
	})
	return up, err
}

// resumable reports whether st, of a staged upload, is worth going on with.
func (s *shared) resumable(st stat) bool {
	return st.exists && st.mode.IsRegular() && st.size > 0 && !s.expired(kindParked, st.mtime)
}

// durable is how many of the bytes of an upload are there for sure whose process
// died. OpenSSH works on one request after the other; elsewhere those that were
// under way may have left gaps.
func (s *shared) durable(size int64) int64 {
	if s.facts.openssh {
		return size
	}
	return max(0, size-inFlight*packetSize)
}

func (up stagedUpload) info(base string) fs.FileInfo {
	return vfs.NewInfo(base, resumeAt(up.size), 0o644, up.mtime, &vfs.Attr{Staged: true})
}

// StatStaged implements vfs.Stager. It costs two round trips.
func (f *FS) StatStaged(ctx context.Context, name, owner string) (fs.FileInfo, error) {
	const op = "stat"
	up, _, err := f.findStaged(ctx, op, name, owner)
	if err != nil {
		return nil, err
	}
	_, base := vfs.Split(name)
	return up.info(base), nil
}

// findStaged returns errors that name the caller's name; fs.ErrNotExist: there is
// none.
func (f *FS) findStaged(ctx context.Context, op, name, owner string) (up stagedUpload, p place, err error) {
	if err := begin(ctx, op, name); err != nil {
		return up, p, err
	}
	p, _, err = f.look(ctx, name, true)
	if errors.Is(err, vfs.ErrNotDir) {
		err = fs.ErrNotExist
	}
	if err == nil {
		up, err = f.staged(ctx, p, owner)
	}
	if err == nil && up.size == 0 {
		err = fs.ErrNotExist
	}
	return up, p, pathError(op, name, err)
}

// Discard implements vfs.Stager.
func (f *FS) Discard(ctx context.Context, name, owner string) error {
	const op = "remove"
	up, p, err := f.findStaged(ctx, op, name, owner)
	if err != nil {
		return err
	}
	return pathError(op, name, f.pool.ask(ctx, false, func(c *wire) error {
		if up.left == "" {
			return c.remove(ctx, f.path(p.beside(parkedName(owner, p.base)))).status(ctx)
		}
		file, link := c.remove(ctx, f.path(p.beside(up.left))), c.remove(ctx, f.path(p.beside(linkName(owner, p.base))))
		_ = link.status(ctx)
		return file.status(ctx)
	}))
}

// Staged implements vfs.Stager. Uploads of names of more than 227 bytes are left
// out.
func (f *FS) Staged(ctx context.Context, dir, owner string) iter.Seq2[fs.FileInfo, error] {
	const op = "readdir"
	return func(yield func(fs.FileInfo, error) bool) {
		if err := begin(ctx, op, dir); err != nil {
			yield(nil, err)
			return
		}
		shown := map[string]bool{}
		for e, err := range f.scan(ctx, dir) {
			if err != nil {
				yield(nil, pathError(op, dir, err))
				return
			}
			base, ok := strings.CutPrefix(e.base, ownedPrefix(kindParked, owner))
			if !ok {
				base, ok = strings.CutPrefix(e.base, ownedPrefix(kindLink, owner))
			}
			if !ok || shown[base] || !vfs.ValidElement(base) || hidden(base) {
				continue
			}
			up, err := f.staged(ctx, place{e.dir, base}, owner)
			if err != nil {
				yield(nil, pathError(op, dir, err))
				return
			}
			if shown[base] = true; up.size > 0 && !yield(up.info(base), nil) {
				return
			}
		}
	}
}
