package gateway

import (
	"errors"
	"io/fs"
	"iter"
	"strings"
	"time"

	"github.com/ftpgate/ftpgate/gateway/wire"
	"github.com/ftpgate/ftpgate/vfs"
)

// listed is one entry on its way to the client.
type listed struct {
	info     fs.FileInfo
	shown    string // name as the client reads it
	dir      string // of the entry
	typedDir string // the same as the client typed it, with its '/', or ""
}

// entries are what LIST, NLST and STAT show: what is in a directory, a single
// file, or what matches a pattern. A name that exists wins over the pattern that it
// could be.
func (s *session) entries(c *call) iter.Seq2[*listed, error] {
	return func(yield func(*listed, error) bool) {
		first := true
		for e, err := range s.directory(c) {
			if err != nil && first && isNoDirectory(err) {
				s.matches(c, yield)
				return
			}
			first = false
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// isNoDirectory tells a name that is no directory from a directory that can't be
// listed, which must not look like an empty one.
func isNoDirectory(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, vfs.ErrNotDir) || errors.Is(err, fs.ErrInvalid)
}

// matches are a single file, or what matches a pattern.
func (s *session) matches(c *call, yield func(*listed, error) bool) {
	typed := c.text[:1+max(strings.LastIndexByte(c.text, '/'), s.lastBackslash(c.text))]
	e := listed{}
	e.typedDir, _ = s.onWire(typed) // it came that way
	e.dir, _ = vfs.Split(c.name)
	fsys := s.visible
	if s.cfg.Uploads.ShowStaged == vfs.ShowListing {
		fsys = s.fsys
	}
	for info, err := range vfs.Glob(c, fsys, c.name) {
		e.info = info
		if !yield(&e, err) {
			return
		}
	}
}

// directory are the entries of the directory itself.
func (s *session) directory(c *call) iter.Seq2[*listed, error] {
	e := listed{dir: c.name}
	e.typedDir, _ = s.onWire(c.text) // it came that way
	if last := len(c.text) - 1; c.text != "" && c.text[last] != '/' && s.lastBackslash(c.text) != last {
		e.typedDir += "/"
	}
	return func(yield func(*listed, error) bool) {
		for info, err := range s.fsys.ReadDir(c, c.name, "") {
			e.info = info
			if !yield(&e, err) {
				return
			}
		}
	}
}

// listing sends a listing on the data connection. The first entry is fetched
// before 150, so that a missing directory never gets one.
func (s *session) listing(c *call, entries iter.Seq2[*listed, error], format func([]byte, *listed) []byte) (wire.Reply, error) {
	defer c.endpoint.Close()
	next, stop := iter.Pull2(entries)
	defer stop()
	e, err, more := next()
	if err != nil {
		return wire.Reply{}, err
	}
	conn, done, err := s.openData(c, "Here comes the directory listing.")
	if err != nil {
		return wire.Reply{}, err
	}
	defer done()
	p := s.pump(c, conn, s.down)
	err = s.streamed(c, func(yield func(*listed, error) bool) {
		for more && yield(e, err) {
			e, err, more = next()
		}
	}, format, p.write)
	if err == nil {
		err = p.finish()
	}
	if err != nil {
		return wire.Reply{}, err
	}
	return reply(226, "Transfer complete."), nil
}

// A listing is sent when this much has come together; the first part sooner, and
// every part after this time at the latest.
const (
	firstFlush = 4 << 10
	laterFlush = 64 << 10
	flushAfter = 50 * time.Millisecond
)

// streamed formats entries as lines and hands them on in pieces. Names that would
// break the protocol are left out.
func (s *session) streamed(c *call, entries iter.Seq2[*listed, error], format func([]byte, *listed) []byte, write func([]byte) error) error {
	var buf []byte
	hidden := 0
	limit, last := firstFlush, time.Now()
	for e, err := range entries {
		if err != nil {
			return err
		}
		var ok bool
		if e.shown, ok = s.onWire(e.info.Name()); !ok || !vfs.ValidElement(e.info.Name()) {
			hidden++
			continue
		}
		buf = append(format(buf, e), "\r\n"...)
		if len(buf) < limit && time.Since(last) < flushAfter {
			continue
		}
		if err := write(buf); err != nil {
			return err
		}
		buf, limit, last = buf[:0], laterFlush, time.Now()
		if err := vfs.ContextError(c, "list", c.name); err != nil {
			return err
		}
	}
	if hidden > 0 {
		s.log.Warn("names with characters that FTP can't show were left out of a listing", "path", display(c.name), "names", hidden)
	}
	if len(buf) == 0 {
		return nil
	}
	return write(buf)
}

// longEntry is an entry for LIST: links show as such.
func (s *session) longEntry(e *listed) wire.Entry {
	w := entryOf(e.info)
	if t := vfs.AttrOf(e.info).Target; t != "" {
		w.Target, _ = s.onWire(display(t))
	}
	w.Name = e.shown
	return w
}

// factEntry is an entry for MLST and MLSD (RFC 3659 7.5): a link inside the root
// shows what it leads to.
func (s *session) factEntry(c *call, info fs.FileInfo, dir, shown string) wire.Entry {
	name := vfs.Join(dir, info.Name())
	if info.Mode()&fs.ModeSymlink != 0 {
		if target, err := s.fsys.Stat(c, name); err == nil {
			info = target
		}
	}
	w := entryOf(info)
	w.Name = shown
	w.Perm = s.perm(info, name)
	return w
}

func entryOf(info fs.FileInfo) wire.Entry {
	attr := vfs.AttrOf(info)
	w := wire.Entry{
		Size: info.Size(), Modify: info.ModTime(), Create: attr.Created, Unique: attr.Unique,
		MediaType: attr.MediaType, Mode: info.Mode().Perm(), Owner: attr.Owner, Group: attr.Group,
	}
	switch {
	case info.IsDir():
		w.Type = wire.Dir
	case info.Mode()&fs.ModeSymlink != 0:
		w.Type = wire.Link
	}
	return w
}

// permLetter is one letter of the fact perm: it is given where all of caps are
// there and op is allowed.
type permLetter struct {
	letter byte
	op     vfs.Op
	caps   vfs.Caps
}

// filePerms and dirPerms are RFC 3659 7.5.5.
func filePerms() [5]permLetter {
	return [...]permLetter{
		{'a', vfs.OpAppend, vfs.CanWrite | vfs.CanAppend}, {'d', vfs.OpRemove, vfs.CanWrite},
		{'f', vfs.OpRename, vfs.CanWrite}, {'r', vfs.OpRead, 0}, {'w', vfs.OpOverwrite, vfs.CanWrite},
	}
}

func dirPerms() [7]permLetter {
	return [...]permLetter{
		{'c', vfs.OpWrite, vfs.CanWrite}, {'d', vfs.OpRmdir, vfs.CanWrite}, {'e', vfs.OpEnter, 0},
		{'f', vfs.OpRename, vfs.CanWrite | vfs.CanRenameDir}, {'l', vfs.OpList, 0},
		{'m', vfs.OpMkdir, vfs.CanWrite}, {'p', vfs.OpRemove, vfs.CanWrite}, // c, m and p are about what is inside
	}
}

// perm tells what this user may really do with name.
func (s *session) perm(info fs.FileInfo, name string) string {
	var letters [8]byte
	n := 0
	add := func(p permLetter) {
		allowed := s.policy().Allow(p.op, name)
		if info.IsDir() && (p.letter == 'c' || p.letter == 'm' || p.letter == 'p') {
			allowed = s.policy().AllowIn(p.op, name)
		}
		if s.fsys.Caps().Has(p.caps) && allowed == nil {
			letters[n] = p.letter
			n++
		}
	}
	if info.IsDir() {
		for _, p := range dirPerms() {
			if name == "." && (p.letter == 'd' || p.letter == 'f') {
				continue // no store removes or renames its root
			}
			add(p)
		}
	} else {
		for _, p := range filePerms() {
			add(p)
		}
	}
	return string(letters[:n])
}
