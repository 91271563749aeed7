package sftp

import (
	"context"
	"io/fs"
	"time"
)

// Extensions of OpenSSH (its file PROTOCOL).
const (
	extPosixRename = "posix-rename@openssh.com"
	extHardlink    = "hardlink@openssh.com"
	extFsync       = "fsync@openssh.com"
	extStatVFS     = "statvfs@openssh.com"
	extCopyData    = "copy-data"
)

// readAhead is how many requests for a directory's next entries are under way.
const readAhead = 4

func (w *wire) lstat(ctx context.Context, path string) sent {
	return w.send(ctx, newRequest(packetLstat).str(path))
}

// stat follows links.
func (w *wire) stat(ctx context.Context, path string) sent {
	return w.send(ctx, newRequest(packetStat).str(path))
}

func (w *wire) readlink(ctx context.Context, path string) sent {
	return w.send(ctx, newRequest(packetReadlink).str(path))
}

func (w *wire) realpath(ctx context.Context, path string) sent {
	return w.send(ctx, newRequest(packetRealpath).str(path))
}

func (w *wire) remove(ctx context.Context, path string) sent {
	return w.send(ctx, newRequest(packetRemove).str(path))
}

func (w *wire) mkdir(ctx context.Context, path string) sent {
	return w.send(ctx, newRequest(packetMkdir).str(path).u32(0))
}

func (w *wire) rmdir(ctx context.Context, path string) sent {
	return w.send(ctx, newRequest(packetRmdir).str(path))
}

// rename is not meant to replace, and with some servers does.
func (w *wire) rename(ctx context.Context, from, to string) sent {
	return w.send(ctx, newRequest(packetRename).str(from).str(to))
}

// replace renames a file onto another in one step.
func (w *wire) replace(ctx context.Context, from, to string) sent {
	return w.send(ctx, extended(extPosixRename).str(from).str(to))
}

// link makes to a second name of the file, and never replaces.
func (w *wire) link(ctx context.Context, from, to string) sent {
	return w.send(ctx, extended(extHardlink).str(from).str(to))
}

// symlink takes its arguments in the order of OpenSSH, which is not the draft's.
func (w *wire) symlink(ctx context.Context, text, path string) sent {
	return w.send(ctx, newRequest(packetSymlink).str(text).str(path))
}

func (w *wire) truncate(ctx context.Context, path string, size int64) sent {
	return w.send(ctx, newRequest(packetSetstat).str(path).u32(attrSize).u64(size))
}

func (w *wire) setMode(ctx context.Context, path string, mode fs.FileMode) sent {
	return w.send(ctx, newRequest(packetSetstat).str(path).u32(attrMode).u32(posixMode(mode)))
}

// setTimes sets both times that SFTP knows; t is from 1970 to 2106.
func (w *wire) setTimes(ctx context.Context, path string, t time.Time) sent {
	secs := uint32(t.Unix())
	return w.send(ctx, newRequest(packetSetstat).str(path).u32(attrTimes).u32(secs).u32(secs))
}

func (w *wire) open(ctx context.Context, path string, flags uint32) sent {
	return w.send(ctx, newRequest(packetOpen).str(path).u32(flags).u32(0))
}

func (w *wire) opendir(ctx context.Context, path string) sent {
	return w.send(ctx, newRequest(packetOpendir).str(path))
}

// has reports whether the server has an extension.
func (w *wire) has(name string) bool {
	_, ok := w.ext[name]
	return ok
}

// space returns the size of the file system of path and what is free of it, in
// bytes.
func (w *wire) space(ctx context.Context, path string) (total, free int64, err error) {
	a, err := w.send(ctx, extended(extStatVFS).str(path)).wait(ctx)
	if err == nil {
		err = a.err(packetReply)
	}
	if err != nil {
		return 0, 0, err
	}
	a.u64() // block size
	unit, blocks := a.u64(), a.u64()
	a.u64() // free for root
	avail := a.u64()
	if a.bad {
		return 0, 0, errProtocol
	}
	return product(blocks, unit), product(avail, unit), nil
}

// product is at most what an int64 can hold.
func product(a, b int64) int64 {
	if b > 0 && a > (1<<63-1)/b {
		return 1<<63 - 1
	}
	return a * b
}

// entry is an element that a listing met.
type entry struct {
	base string
	stat
}

// list yields the entries of the directory path in the pages that the server sends,
// until yield returns false or the first error.
func (w *wire) list(ctx context.Context, path string, yield func([]entry) bool) error {
	h, err := w.opendir(ctx, path).handle(ctx)
	if err != nil {
		return err
	}
	defer func() { w.forget(context.WithoutCancel(ctx), newRequest(packetClose).str(h)) }()
	var ahead []sent
	defer func() {
		for _, s := range ahead {
			s.abandon()
		}
	}()
	for end := false; ; {
		for !end && len(ahead) < readAhead {
			ahead = append(ahead, w.send(ctx, newRequest(packetReaddir).str(h)))
		}
		if len(ahead) == 0 {
			return nil
		}
		a, err := ahead[0].wait(ctx)
		ahead = ahead[1:]
		if err != nil {
			return err
		}
		if err := a.err(packetName); err != nil {
			if s, ok := err.(*status); !ok || s.code != statusEOF {
				return err
			}
			end = true
			continue
		}
		page, err := a.entries()
		if err != nil {
			return err
		}
		if !yield(page) {
			return nil
		}
	}
}

// entries are those of one page, without "." and "..".
func (a *answer) entries() ([]entry, error) {
	n := int(a.u32())
	if n > len(a.b)/12 { // two lengths and the flags of each
		return nil, errProtocol
	}
	page := make([]entry, 0, n)
	for ; n > 0; n-- {
		e := entry{base: a.str()}
		long := a.str()
		hasMode := len(a.b) >= 4 && a.b[3]&attrMode != 0
		e.stat = a.attrs()
		if !hasMode && long != "" && long[0] == 'd' {
			e.mode = fs.ModeDir | 0o755
		}
		if e.base != "." && e.base != ".." {
			page = append(page, e)
		}
	}
	if a.bad {
		return nil, errProtocol
	}
	return page, nil
}
