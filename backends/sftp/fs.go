package sftp

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/ftpgate/ftpgate/vfs"
)

// FS serves a directory of an SFTP server. All methods may be called concurrently,
// but none during or after Close.
type FS struct {
	base     string // the plain name of the directory that is its root
	borrowed bool   // made by Sub
	*shared
}

// shared is what an FS and those made by Sub have in common.
type shared struct {
	opt   Options
	root  string // of the store, on the server
	pool  *pool
	facts facts
	caps  vfs.Caps
	runs  registry
}

var (
	_ vfs.FS            = (*FS)(nil)
	_ vfs.Subber        = (*FS)(nil)
	_ vfs.Copier        = (*FS)(nil)
	_ vfs.ModTimeSetter = (*FS)(nil)
	_ vfs.ModeSetter    = (*FS)(nil)
	_ vfs.Spacer        = (*FS)(nil)
	_ vfs.Symlinker     = (*FS)(nil)
	_ vfs.Stager        = (*FS)(nil)
)

// Open connects to the server and finds out what it can do, for which it makes and
// removes hidden files in the directory. Errors are one line for the operator. ctx
// governs Open alone.
func Open(ctx context.Context, o Options) (*FS, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	f := &FS{base: ".", shared: &shared{opt: o, pool: newPool(o)}}
	if err := f.open(ctx); err != nil {
		f.pool.close()
		var refused *unreachable
		if errors.As(err, &refused) {
			err = refused.cause
		}
		return nil, fmt.Errorf("sftp://%s@%s: %w", o.User, o.address(), err)
	}
	o.Logger.Info("SFTP server opened", "address", o.address(), "directory", f.root, "caps", f.caps.String())
	return f, nil
}

func (f *FS) open(ctx context.Context) error {
	return f.pool.ask(ctx, true, func(w *wire) error {
		dir := f.opt.Dir
		if dir == "" {
			dir = "."
		}
		root, err := w.realpath(ctx, dir).text(ctx)
		if err == nil {
			f.root = path.Clean(root)
			var st stat
			st, err = w.stat(ctx, f.root).attrs(ctx)
			switch {
			case err != nil:
			case !st.exists:
				err = fs.ErrNotExist
			case !st.mode.IsDir():
				return fmt.Errorf("%s is not a directory on the server: give the directory to serve", dir)
			}
		}
		var s *status
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("the directory %s does not exist on the server: create it, or give another one", dir)
		case errors.As(err, &s):
			return fmt.Errorf("the directory %s can't be served: %w", dir, err)
		case err != nil:
			return err
		case !strings.HasPrefix(f.root, "/"):
			return fmt.Errorf("the server names the directory %q, which is no absolute path", f.root)
		}
		if f.facts, err = f.probe(ctx, w); err != nil {
			return err
		}
		f.caps = f.facts.caps(f.opt)
		return nil
	})
}

// facts are what Open learned of the server.
type facts struct {
	openssh  bool // it works on requests one after the other
	replace  bool // posix-rename
	link     bool // hard links
	fsync    bool
	space    bool
	copyData bool
	symlink  bool
	setMode  bool
	setTime  bool
}

func (k facts) caps(o Options) vfs.Caps {
	c := vfs.CanWrite | vfs.CanAppend | vfs.CanWriteAt | vfs.CanPark | vfs.CanRenameDir |
		vfs.AtomicCommit | vfs.AtomicRename | vfs.RealDirs
	for _, ability := range []struct {
		there bool
		caps  vfs.Caps
	}{
		{k.link, vfs.CanNoReplace}, {k.copyData, vfs.CanCopy}, {k.space, vfs.CanSpace}, {k.symlink, vfs.CanSymlink},
		{k.setMode, vfs.CanSetMode}, {k.setTime, vfs.CanSetModTime},
	} {
		if ability.there {
			c |= ability.caps
		}
	}
	if !k.replace && o.RemoveFirst {
		c &^= vfs.AtomicCommit | vfs.AtomicRename
	}
	return c
}

// probe asks the server what it can do, by its extensions and by trying. Where the
// directory can't be written, it believes the extensions.
func (f *FS) probe(ctx context.Context, w *wire) (facts, error) {
	k := facts{
		openssh: strings.HasPrefix(f.pool.lines[0].server(), "SSH-2.0-OpenSSH"),
		replace: w.has(extPosixRename), link: w.has(extHardlink), fsync: w.has(extFsync), space: w.has(extStatVFS), copyData: w.has(extCopyData),
	}
	file, other := f.path(runningName()), f.path(runningName())
	h, err := w.open(ctx, file, openWrite|openNew).handle(ctx)
	var refused *status
	if errors.As(err, &refused) {
		k.symlink, k.setMode, k.setTime = k.openssh, true, true
		return k, nil
	}
	if err != nil {
		return k, err
	}
	clean := context.WithoutCancel(ctx)
	defer func() { _ = w.remove(clean, file).status(clean) }()
	w.forget(ctx, newRequest(packetClose).str(h))
	when := time.Unix(1e9, 0)
	mode, times, state := w.setMode(ctx, file, 0o640), w.setTimes(ctx, file, when), w.lstat(ctx, file)
	link, removed := sent{}, sent{}
	if k.link {
		link, removed = w.link(ctx, file, other), w.remove(ctx, other)
	}
	symlink, text, gone := w.symlink(ctx, "probe", other), w.readlink(ctx, other), w.remove(ctx, other)
	merr, terr := mode.status(ctx), times.status(ctx)
	st, err := state.attrs(ctx)
	if err == nil {
		k.setMode = merr == nil && st.mode == 0o640
		k.setTime = terr == nil && st.mtime.Equal(when)
	}
	if k.link {
		k.link = link.status(ctx) == nil
		_ = removed.status(ctx)
	}
	serr := symlink.status(ctx)
	t, _ := text.text(ctx)
	k.symlink = serr == nil && t == "probe"
	if err := gone.status(ctx); passing(err) || ctx.Err() != nil {
		return k, cancelled(ctx, err)
	}
	return k, nil
}

// server is what the server calls itself.
func (l *line) server() string {
	if c := l.current(); c != nil {
		return string(c.ssh.ServerVersion())
	}
	return ""
}

// Caps implements vfs.FS.
func (f *FS) Caps() vfs.Caps { return f.caps }

// Close ends the connections, also for the FSs made by Sub. Of one of these it does
// nothing: others share the connections.
func (f *FS) Close() error {
	if !f.borrowed {
		f.pool.close()
	}
	return nil
}

// Sub returns the tree below name. What the name leads to now stays the root: if a
// link takes its place, everything is fs.ErrPermission.
func (f *FS) Sub(name string) (vfs.FS, error) {
	const op = "sub"
	if err := checkName(op, name); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), f.opt.Timeout)
	defer cancel()
	var p place
	var st stat
	err := f.pool.ask(ctx, true, func(w *wire) (err error) {
		p, st, err = f.find(ctx, w, name, true)
		return err
	})
	switch {
	case err != nil:
		return nil, pathError(op, name, err)
	case !st.exists:
		return nil, pathError(op, name, fs.ErrNotExist)
	case !st.mode.IsDir():
		return nil, pathError(op, name, vfs.ErrNotDir)
	}
	return &FS{base: p.name(), shared: f.shared, borrowed: true}, nil
}

// detached returns a context for clean-up, which survives ctx for a bounded time.
func (s *shared) detached(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(context.WithoutCancel(ctx), s.opt.tuning.cleanup, errLost)
}

// info describes st under the element base; target is where a link leads.
func info(base string, st stat, target string) vfs.Info {
	attr := &vfs.Attr{Target: target}
	if st.owned {
		attr.Owner, attr.Group = strconv.FormatUint(uint64(st.uid), 10), strconv.FormatUint(uint64(st.gid), 10)
	}
	return vfs.NewInfo(base, st.size, st.mode, st.mtime, attr)
}
