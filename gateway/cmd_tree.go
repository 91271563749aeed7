package gateway

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/ftpgate/ftpgate/gateway/wire"
	"github.com/ftpgate/ftpgate/vfs"
)

// treeCommands are about space and whole trees. DSIZ and RMDA go through at most
// Limits.Tree entries, and ABOR stops them.
func treeCommands() []*command {
	return []*command{
		{verb: "AVBL", run: (*session).cmdAvbl, arg: argOptPath, syntax: "[path]", need: needLogin, op: vfs.OpSpace, flow: work, caps: vfs.CanSpace, feat: feature("AVBL"), help: "Tell how many bytes may still be stored.", rfc: "draft-peterson-streamlined-ftp-command-extensions"},
		{verb: "DSIZ", run: (*session).cmdDsiz, arg: argOptPath, syntax: "[path]", need: needLogin, op: vfs.OpList, flow: stream, feat: feature("DSIZ"), help: "Tell the size of all files in a directory and below it.", rfc: "draft-peterson-streamlined-ftp-command-extensions"},
		{verb: "RMDA", run: (*session).cmdRmda, arg: argPath, syntax: "<path>", need: needLogin, op: vfs.OpRmdir, flow: stream, caps: vfs.CanWrite, feat: feature("RMDA"), help: "Remove a directory with all that is in it.", rfc: "draft-peterson-streamlined-ftp-command-extensions"},
	}
}

// The draft, 4: nothing but the number, which WinSCP reads as one.
func (s *session) cmdAvbl(c *call) (wire.Reply, error) {
	space, err := vfs.Space(c, s.fsys, c.name)
	if err != nil {
		return wire.Reply{}, err
	}
	return replyf(213, "%d", max(space.Free, 0)), nil
}

// The draft, 5: the size of a directory includes that of those below it. Links count
// nothing, and are not followed. A part that can't be listed fails it all, because the
// sum would be wrong.
func (s *session) cmdDsiz(c *call) (wire.Reply, error) {
	var sum, seen int64
	dirs := []string{c.name}
	for len(dirs) > 0 {
		dir := dirs[len(dirs)-1]
		dirs = dirs[:len(dirs)-1]
		for info, err := range s.fsys.ReadDir(c, dir, "") {
			if err != nil {
				return wire.Reply{}, err
			}
			if seen++; s.cfg.Limits.Tree > 0 && seen > int64(s.cfg.Limits.Tree) {
				return wire.Reply{}, refuse(550, fmt.Sprintf("More than %d entries are not counted.", s.cfg.Limits.Tree))
			}
			switch {
			case info.IsDir():
				dirs = append(dirs, vfs.Join(dir, info.Name()))
			case info.Mode().IsRegular():
				sum += info.Size()
			}
		}
	}
	return replyf(213, "%d", sum), nil
}

// The draft, 3. Removals are single operations, each with its permission, and what was
// removed before a failure is gone.
func (s *session) cmdRmda(c *call) (wire.Reply, error) {
	if err := s.removeTree(c); err != nil {
		return wire.Reply{}, err
	}
	return reply(250, "Directory and contents removed."), nil
}

// removeTree removes the directory c.name, in memory that does not depend on what is
// in it.
func (s *session) removeTree(c *call) error {
	if c.name == "." {
		return fs.ErrPermission
	}
	removed := 0
	count := func() error {
		if removed++; s.cfg.Limits.Tree > 0 && removed > s.cfg.Limits.Tree {
			return refuse(450, fmt.Sprintf("Removed %d entries, the most that one command removes; send it again.", s.cfg.Limits.Tree))
		}
		return nil
	}
	dir := c.name
	for {
		files, sub, err := s.someEntries(c, dir)
		if err != nil {
			return err
		}
		for _, name := range files {
			if err := count(); err != nil {
				return err
			}
			if err := s.fsys.Remove(c, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		if sub != "" {
			dir = sub
			continue
		}
		if len(files) == removalBatch {
			continue
		}
		if err := count(); err != nil {
			return err
		}
		err = s.fsys.Rmdir(c, dir)
		if dir == c.name {
			return err
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		dir, _ = vfs.Split(dir)
	}
}

// removalBatch is how many names are held at once. A directory is listed anew after
// each batch, because no store promises what a listing shows while its entries go.
const removalBatch = 1000

// someEntries lists dir up to its first directory, and up to a batch of what is none.
func (s *session) someEntries(c *call, dir string) (files []string, sub string, err error) {
	for info, err := range s.fsys.ReadDir(c, dir, "") {
		if err != nil {
			return nil, "", err
		}
		name := vfs.Join(dir, info.Name())
		if info.IsDir() {
			return files, name, nil
		}
		if files = append(files, name); len(files) == removalBatch {
			break
		}
	}
	return files, "", nil
}
