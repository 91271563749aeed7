package vfs

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"time"
)

// Quota keeps what fsys holds within limits. fsys is the tree that a counts, or is
// without anything in between; several Quotas, with limits of their own, may share an
// account.
//
// An upload reserves each byte before it is written, so that however many run, all
// together never go beyond the limits: a write that does not fit fails with ErrQuota,
// and Create does if the announced size can't fit. Parked uploads count in full. An
// upload that replaces a file, or continues it, counts only by what it is longer, to
// one of several at once; to be parked, it has to fit beside the file. Space answers
// for the store or the quota, whichever has less.
//
// The bytes of an upload reach the store by the reader that it gave, as long as the
// quota is not nearly used up. An upload waits up to 20 s for what others have
// reserved and may not need.
func Quota(fsys FS, a *Account, limits Limits) FS {
	return &quotaFS{inner: fsys, a: a, limits: limits, prefix: "."}
}

type quotaFS struct {
	inner  FS
	a      *Account
	limits Limits
	prefix string // of our names in the account
}

var _ Full = (*quotaFS)(nil)

func (q *quotaFS) full(name string) string { return Join(q.prefix, name) }

// begin is the beginning of every change. It takes the lock of names, which are
// ours.
func (q *quotaFS) begin(ctx context.Context, op string, names ...string) (unlock func(), err error) {
	full := make([]string, len(names))
	for i, name := range names {
		if err := CheckName(op, name); err != nil {
			return nil, err
		}
		full[i] = q.full(name)
	}
	if err := ContextError(ctx, op, names[0]); err != nil {
		return nil, err
	}
	if err := q.a.ready(ctx, true); err != nil {
		return nil, PathError(op, names[0], err)
	}
	unlock, err = q.a.names.lock(ctx, full...)
	return unlock, PathError(op, names[0], err)
}

// size is what an upload of name would replace.
func (q *quotaFS) size(ctx context.Context, name string) (amount, error) {
	info, err := q.inner.Stat(ctx, name)
	switch {
	case err == nil && info.Mode().IsRegular():
		return amount{info.Size(), 1}, nil
	case err == nil || absent(err) || Kind(err) == fs.ErrPermission:
		return amount{}, nil // the store says what is wrong
	}
	return amount{}, err
}

// entry is what name itself counts, which for a link is not what it leads to.
func (q *quotaFS) entry(ctx context.Context, name string) (info fs.FileInfo, size amount, err error) {
	if !q.inner.Caps().Has(CanSymlink) {
		if info, err = q.inner.Stat(ctx, name); err != nil && !absent(err) {
			return nil, amount{}, err
		}
	} else {
		dir, base := Split(name)
		for e, err := range q.inner.ReadDir(ctx, dir, base) {
			if err != nil && !absent(err) {
				return nil, amount{}, err
			}
			if err != nil {
				break
			}
			if e.Name() == base {
				info = e
				break
			}
		}
	}
	switch {
	case err != nil || info == nil || info.IsDir():
		return info, amount{}, nil
	case info.Mode().IsRegular():
		return info, amount{info.Size(), 1}, nil
	}
	return info, amount{0, 1}, nil
}

// after counts what became of what was size before: from what the store says, since
// an operation that failed may have taken effect.
func (q *quotaFS) after(ctx context.Context, name string, before amount) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), afterTime)
	defer cancel()
	if _, now, err := q.entry(ctx, name); err == nil {
		q.a.change(now.minus(before), amount{})
	}
}

// afterTime bounds the questions to the store after a change.
const afterTime = 30 * time.Second

// Caps adds CanSpace, which the quota answers, if it limits bytes.
func (q *quotaFS) Caps() Caps {
	if q.limits.Bytes > 0 {
		return q.inner.Caps() | CanSpace
	}
	return q.inner.Caps()
}

func (q *quotaFS) Sub(dir string) (FS, error) {
	sub, err := Sub(q.inner, dir)
	if err != nil {
		return nil, err
	}
	return &quotaFS{sub, q.a, q.limits, q.full(dir)}, nil
}

// Close closes what Quota was given, where that can be closed.
func (q *quotaFS) Close() error { return closeFS(q.inner) }

func (q *quotaFS) Stat(ctx context.Context, name string) (fs.FileInfo, error) {
	return q.inner.Stat(ctx, name)
}

func (q *quotaFS) ReadDir(ctx context.Context, name, prefix string) iter.Seq2[fs.FileInfo, error] {
	return q.inner.ReadDir(ctx, name, prefix)
}

func (q *quotaFS) Open(ctx context.Context, name string, offset, length int64) (fs.File, error) {
	return q.inner.Open(ctx, name, offset, length)
}

func (q *quotaFS) Mkdir(ctx context.Context, name string) error { return q.inner.Mkdir(ctx, name) }

func (q *quotaFS) Remove(ctx context.Context, name string) error {
	unlock, err := q.begin(ctx, "remove", name)
	if err != nil {
		return err
	}
	defer unlock()
	_, before, err := q.entry(ctx, name)
	if err != nil {
		return PathError("remove", name, err)
	}
	if err = q.inner.Remove(ctx, name); err == nil {
		q.a.change(amount{}.minus(before), amount{})
	} else if before != (amount{}) {
		q.after(ctx, name, before)
	}
	return err
}

// Rmdir also drops the uploads that were parked inside.
func (q *quotaFS) Rmdir(ctx context.Context, name string) error {
	unlock, err := q.begin(ctx, "rmdir", name)
	if err != nil {
		return err
	}
	defer unlock()
	err = q.inner.Rmdir(ctx, name)
	q.lookIn(ctx, name)
	return err
}

// lookIn asks the store again for the parked uploads at and below name.
func (q *quotaFS) lookIn(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), afterTime)
	defer cancel()
	for _, c := range q.a.parkedIn(q.full(name)) {
		q.a.look(ctx, c, 0, nil)
	}
}

func (q *quotaFS) Rename(ctx context.Context, oldname, newname string, opt RenameOptions) error {
	unlock, err := q.begin(ctx, "rename", oldname, newname)
	if err != nil {
		return err
	}
	defer unlock()
	if oldname == newname {
		return q.inner.Rename(ctx, oldname, newname, opt)
	}
	from, moves, err := q.entry(ctx, oldname)
	if err != nil {
		return PathError("rename", oldname, err)
	}
	_, replaced, err := q.entry(ctx, newname)
	if err != nil {
		return PathError("rename", newname, err)
	}
	err = q.inner.Rename(ctx, oldname, newname, opt)
	switch {
	case err != nil && from != nil && !from.IsDir():
		q.after(ctx, oldname, moves)
		q.after(ctx, newname, replaced)
	case err == nil && from != nil && from.IsDir():
		q.a.moved(ctx, q.full(oldname), q.full(newname))
	case err == nil:
		q.a.change(amount{}.minus(replaced), amount{})
	}
	return err
}

// moved follows a directory with the uploads that run and are parked in it.
func (a *Account) moved(ctx context.Context, from, to string) {
	if a.tree.Caps().Has(RealDirs) { // else an upload goes to the name that it was begun with
		a.mu.Lock()
		for w := range a.live {
			if w.name != from && Within(w.name, from) { // the directory's own name is that of a file beside it
				if a.credits[w.name] == w {
					delete(a.credits, w.name)
				}
				if w.name = to + w.name[len(from):]; w.credit > 0 && a.credits[w.name] == nil {
					a.credits[w.name] = w
				}
			}
		}
		a.mu.Unlock()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), afterTime)
	defer cancel()
	for _, c := range a.parkedIn(from) {
		a.mu.Lock()
		bytes := a.parked[c].bytes
		a.mu.Unlock()
		a.look(ctx, c, 0, nil)
		a.look(ctx, claim{to + c.name[len(from):], c.owner}, bytes, nil)
	}
}

// Copy counts as an upload of the size of src.
func (q *quotaFS) Copy(ctx context.Context, src, dst string, opt CopyOptions) error {
	if err := CheckName("copy", src); err != nil {
		return err
	}
	if !q.inner.Caps().Has(CanCopy) {
		return unsupported("copy", src)
	}
	unlock, err := q.begin(ctx, "copy", dst)
	if err != nil {
		return err
	}
	defer unlock()
	from, err := q.size(ctx, src)
	if err != nil {
		return PathError("copy", src, err)
	}
	old, err := q.size(ctx, dst)
	if err != nil {
		return PathError("copy", dst, err)
	}
	need := amount{max(0, from.bytes-old.bytes), max(0, from.files-old.files)}
	if err := q.a.reserve(ctx, q.limits, need); err != nil {
		return PathError("copy", dst, err)
	}
	err = ServerCopy(ctx, q.inner, src, dst, opt)
	now := old
	if !errors.Is(err, errors.ErrUnsupported) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), afterTime)
		defer cancel()
		if size, serr := q.size(ctx, dst); serr == nil {
			now = size
		}
	}
	q.a.change(now.minus(old), need)
	return err
}

func (q *quotaFS) Symlink(ctx context.Context, target, name string) error {
	if err := CheckName("symlink", target); err != nil {
		return err
	}
	if !q.inner.Caps().Has(CanSymlink) {
		return unsupported("symlink", name)
	}
	unlock, err := q.begin(ctx, "symlink", name)
	if err != nil {
		return err
	}
	defer unlock()
	one := amount{files: 1}
	if err := q.a.reserve(ctx, q.limits, one); err != nil {
		return PathError("symlink", name, err)
	}
	if err := Symlink(ctx, q.inner, target, name); err != nil {
		q.a.release(one)
		return err
	}
	q.a.change(one, one)
	return nil
}

func (q *quotaFS) Hash(ctx context.Context, name string, alg HashAlgorithm, offset, length int64) ([]byte, error) {
	return ServerHash(ctx, q.inner, name, alg, offset, length)
}

func (q *quotaFS) SetModTime(ctx context.Context, name string, t time.Time) error {
	return SetModTime(ctx, q.inner, name, t)
}

func (q *quotaFS) SetCreateTime(ctx context.Context, name string, t time.Time) error {
	return SetCreateTime(ctx, q.inner, name, t)
}

func (q *quotaFS) SetMode(ctx context.Context, name string, mode fs.FileMode) error {
	return SetMode(ctx, q.inner, name, mode)
}

func (q *quotaFS) Space(ctx context.Context, name string) (SpaceInfo, error) {
	sp, err := Space(ctx, q.inner, name)
	if q.limits.Bytes <= 0 {
		return sp, err
	}
	if errors.Is(err, errors.ErrUnsupported) {
		_, err = q.inner.Stat(ctx, name)
		sp = SpaceInfo{Total: q.limits.Bytes, Free: q.limits.Bytes}
	}
	if err != nil {
		return SpaceInfo{}, PathError("space", name, err)
	}
	u, err := q.a.Usage(ctx)
	if err != nil {
		return SpaceInfo{}, PathError("space", name, err)
	}
	free := max(0, q.limits.Bytes-u.Bytes-u.RunningBytes)
	return SpaceInfo{Total: min(sp.Total, q.limits.Bytes), Free: min(sp.Free, free)}, nil
}

func (q *quotaFS) Staged(ctx context.Context, dir, owner string) iter.Seq2[fs.FileInfo, error] {
	return Staged(ctx, q.inner, dir, owner)
}

func (q *quotaFS) StatStaged(ctx context.Context, name, owner string) (fs.FileInfo, error) {
	return StatStaged(ctx, q.inner, name, owner)
}

func (q *quotaFS) Discard(ctx context.Context, name, owner string) error {
	unlock, err := q.begin(ctx, "remove", name)
	if err != nil {
		return err
	}
	defer unlock()
	err = Discard(ctx, q.inner, name, owner)
	if err == nil || absent(err) {
		q.a.mu.Lock()
		defer q.a.mu.Unlock()
		q.a.drop(claim{q.full(name), owner})
	}
	return err
}
