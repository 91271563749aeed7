package vfs

import (
	"context"
	"io/fs"
	"iter"
	"time"
)

// Observation is one finished operation.
type Observation struct {
	Op       Op
	Name     string
	Bytes    int64 // written by an upload, after its offset
	End      End   // of an upload
	Err      error
	Duration time.Duration
}

// Observe tells see of every operation when it is finished: a listing when the
// last entry was taken, an upload when it ends, an Open when the file is open. see
// must be safe for concurrent use and quick.
func Observe(fsys FS, see func(ctx context.Context, o Observation)) FS {
	return &observeFS{inner: fsys, see: see}
}

type observeFS struct {
	inner FS
	see   func(context.Context, Observation)
}

var _ Full = (*observeFS)(nil)

// tell is used as: defer o.tell(ctx, op, name, time.Now(), &err).
func (o *observeFS) tell(ctx context.Context, op Op, name string, start time.Time, err *error) {
	o.see(ctx, Observation{Op: op, Name: name, Err: *err, Duration: time.Since(start)})
}

func (o *observeFS) Caps() Caps { return o.inner.Caps() }

func (o *observeFS) Sub(dir string) (FS, error) {
	sub, err := Sub(o.inner, dir)
	if err != nil {
		return nil, err
	}
	return Observe(sub, func(ctx context.Context, obs Observation) {
		obs.Name = Join(dir, obs.Name)
		o.see(ctx, obs)
	}), nil
}

func (o *observeFS) Stat(ctx context.Context, name string) (info fs.FileInfo, err error) {
	defer o.tell(ctx, OpStat, name, time.Now(), &err)
	return o.inner.Stat(ctx, name)
}

func (o *observeFS) ReadDir(ctx context.Context, name, prefix string) iter.Seq2[fs.FileInfo, error] {
	return func(yield func(fs.FileInfo, error) bool) {
		var failure error
		defer o.tell(ctx, OpList, name, time.Now(), &failure)
		for info, err := range o.inner.ReadDir(ctx, name, prefix) {
			failure = err
			if !yield(info, err) {
				return
			}
		}
	}
}

func (o *observeFS) Open(ctx context.Context, name string, offset, length int64) (f fs.File, err error) {
	defer o.tell(ctx, OpRead, name, time.Now(), &err)
	return o.inner.Open(ctx, name, offset, length)
}

func (o *observeFS) Create(ctx context.Context, name string, opt CreateOptions) (Writer, error) {
	start, op := time.Now(), OpWrite
	if opt.Mode == Append {
		op = OpAppend
	}
	w, err := o.inner.Create(ctx, name, opt)
	if err != nil {
		o.tell(ctx, op, name, start, &err)
		return nil, err
	}
	return &tracedWriter{inner: w, ended: func(end End, n int64, err error) {
		o.see(ctx, Observation{Op: op, Name: name, Bytes: n, End: end, Err: err, Duration: time.Since(start)})
	}}, nil
}

func (o *observeFS) Mkdir(ctx context.Context, name string) (err error) {
	defer o.tell(ctx, OpMkdir, name, time.Now(), &err)
	return o.inner.Mkdir(ctx, name)
}

func (o *observeFS) Remove(ctx context.Context, name string) (err error) {
	defer o.tell(ctx, OpRemove, name, time.Now(), &err)
	return o.inner.Remove(ctx, name)
}

func (o *observeFS) Rmdir(ctx context.Context, name string) (err error) {
	defer o.tell(ctx, OpRmdir, name, time.Now(), &err)
	return o.inner.Rmdir(ctx, name)
}

func (o *observeFS) Rename(ctx context.Context, oldname, newname string, opt RenameOptions) (err error) {
	defer o.tell(ctx, OpRename, oldname, time.Now(), &err)
	return o.inner.Rename(ctx, oldname, newname, opt)
}

func (o *observeFS) Copy(ctx context.Context, src, dst string, opt CopyOptions) (err error) {
	defer o.tell(ctx, OpWrite, dst, time.Now(), &err)
	return ServerCopy(ctx, o.inner, src, dst, opt)
}

func (o *observeFS) Hash(ctx context.Context, name string, alg HashAlgorithm, offset, length int64) (sum []byte, err error) {
	defer o.tell(ctx, OpRead, name, time.Now(), &err)
	return ServerHash(ctx, o.inner, name, alg, offset, length)
}

func (o *observeFS) SetModTime(ctx context.Context, name string, t time.Time) (err error) {
	defer o.tell(ctx, OpSetModTime, name, time.Now(), &err)
	return SetModTime(ctx, o.inner, name, t)
}

func (o *observeFS) SetCreateTime(ctx context.Context, name string, t time.Time) (err error) {
	defer o.tell(ctx, OpSetCreateTime, name, time.Now(), &err)
	return SetCreateTime(ctx, o.inner, name, t)
}

func (o *observeFS) SetMode(ctx context.Context, name string, mode fs.FileMode) (err error) {
	defer o.tell(ctx, OpSetMode, name, time.Now(), &err)
	return SetMode(ctx, o.inner, name, mode)
}

func (o *observeFS) Space(ctx context.Context, name string) (s SpaceInfo, err error) {
	defer o.tell(ctx, OpSpace, name, time.Now(), &err)
	return Space(ctx, o.inner, name)
}

func (o *observeFS) Symlink(ctx context.Context, target, name string) (err error) {
	defer o.tell(ctx, OpSymlink, name, time.Now(), &err)
	return Symlink(ctx, o.inner, target, name)
}

func (o *observeFS) Staged(ctx context.Context, dir, owner string) iter.Seq2[fs.FileInfo, error] {
	return Staged(ctx, o.inner, dir, owner)
}

func (o *observeFS) StatStaged(ctx context.Context, name, owner string) (info fs.FileInfo, err error) {
	defer o.tell(ctx, OpStat, name, time.Now(), &err)
	return StatStaged(ctx, o.inner, name, owner)
}

func (o *observeFS) Discard(ctx context.Context, name, owner string) (err error) {
	defer o.tell(ctx, OpRemove, name, time.Now(), &err)
	return Discard(ctx, o.inner, name, owner)
}
