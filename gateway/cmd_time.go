package gateway

import (
	"errors"
	"io/fs"
	"strings"
	"time"

	"github.com/ftpgate/ftpgate/gateway/wire"
	"github.com/ftpgate/ftpgate/vfs"
)

// timeCommands change times and other facts. MFCT has no row: no store can set the
// time of birth.
func timeCommands() []*command {
	return []*command{
		{verb: "MFMT", run: (*session).cmdMfmt, arg: argOwn, parse: parseMfmt, syntax: "<YYYYMMDDHHMMSS> <path>", need: needLogin, op: vfs.OpSetModTime, flow: work, caps: vfs.CanSetModTime, feat: feature("MFMT"), help: "Set when a file was last modified, in UTC.", rfc: "draft-somers-ftp-mfxx"},
		{verb: "MFF", run: (*session).cmdMff, arg: argOwn, parse: parseMff, syntax: "<fact=value;…> <path>", need: needLogin, flow: work, caps: vfs.CanSetModTime, feat: featMff, help: "Change facts: modify by the permission T, UNIX.mode by M.", rfc: "draft-somers-ftp-mfxx"},
		{verb: "SITE UTIME", run: (*session).cmdUtime, arg: argOwn, parse: parseUtime, syntax: "<YYYYMMDDhhmm[ss]> <path> | <path> <atime> <mtime> <ctime> UTC", need: needLogin, op: vfs.OpSetModTime, flow: work, caps: vfs.CanSetModTime, feat: feature("SITE UTIME"), help: "Set when a file was last modified, in UTC.", rfc: "–"},
	}
}

// parseTimed reads a time and, behind one space, a path.
func (s *session) parseTimed(c *call, text string) (err error) {
	stamp, path, _ := strings.Cut(text, " ")
	if c.at, err = wire.ParseTime(stamp); err != nil || path == "" {
		return wire.ErrSyntax
	}
	c.name, err = s.resolve(path)
	c.text = path
	return err
}

// setModTime sets the time of c.name. The first moment of the year 1 is the zero
// time.Time, which stores take for "leave it".
func (s *session) setModTime(c *call, at time.Time) error {
	if at.IsZero() {
		return refuse(501, "That time can't be set.")
	}
	return vfs.SetModTime(c, s.fsys, c.name, at)
}

func parseMfmt(s *session, c *call) error { return s.parseTimed(c, c.text) }

// draft-somers-ftp-mfxx 3.1: the reply tells the time as it was set, and the path as
// it was sent.
func (s *session) cmdMfmt(c *call) (wire.Reply, error) {
	if err := s.setModTime(c, c.at); err != nil {
		return wire.Reply{}, err
	}
	return replyf(213, "Modify=%s; %s", wire.FormatTime(c.at), c.text), nil
}

func parseMff(s *session, c *call) (err error) {
	if c.facts, c.text, err = wire.ParseFactChanges(c.text); err != nil {
		return err
	}
	c.name, err = s.resolve(c.text)
	return err
}

// draft-somers-ftp-mfxx 5.1: the facts that can be changed.
func featMff(s *session) []string {
	line := "MFF modify;"
	if s.fsys == nil || s.fsys.Caps().Has(vfs.CanSetMode) {
		line += "UNIX.mode;"
	}
	return []string{line}
}

// draft-somers-ftp-mfxx 5: the reply lists what was changed. Whatever can be refused
// is refused before anything changes.
func (s *session) cmdMff(c *call) (wire.Reply, error) {
	for _, change := range c.facts {
		op, caps := vfs.OpSetModTime, vfs.CanSetModTime
		switch change.Fact {
		case wire.FactModify:
		case wire.FactMode:
			op, caps = vfs.OpSetMode, vfs.CanSetMode
		default:
			return wire.Reply{}, refuse(504, "Only the facts that FEAT lists can be changed.")
		}
		if !s.fsys.Caps().Has(caps) {
			return wire.Reply{}, refuse(504, "Only the facts that FEAT lists can be changed.")
		}
		if err := s.allow(op, c.name); err != nil {
			return wire.Reply{}, err
		}
	}
	var changed []byte
	for _, change := range c.facts {
		var err error
		if change.Fact == wire.FactMode {
			err = vfs.SetMode(c, s.fsys, c.name, change.Mode)
		} else {
			err = s.setModTime(c, change.Time)
		}
		if err != nil {
			return wire.Reply{}, err
		}
		changed = change.AppendTo(changed)
	}
	return replyf(213, "%s %s", changed, c.text), nil
}

func parseUtime(s *session, c *call) (err error) {
	if c.at, c.text, err = wire.ParseUtime(c.text); err != nil {
		return err
	}
	c.name, err = s.resolve(c.text)
	return err
}

// SITE UTIME has no document. Clients send a time and a path (ProFTPD, lftp), or a
// path, three times of which the second is that of modification, and UTC (Pure-FTPd).
func (s *session) cmdUtime(c *call) (wire.Reply, error) {
	if err := s.setModTime(c, c.at); err != nil {
		return wire.Reply{}, err
	}
	return reply(200, "SITE UTIME command successful."), nil
}

// parseMdtm reads a path, which may also be a time of exactly 14 digits and another
// path: that is how old clients set the time. names then has the other path.
func parseMdtm(s *session, c *call) (err error) {
	if c.name, err = s.resolve(c.text); err != nil {
		return err
	}
	set := call{args: args{text: c.text}}
	if strings.IndexByte(c.text, ' ') == 14 && s.parseTimed(&set, c.text) == nil {
		c.at, c.names = set.at, []string{set.name}
	}
	return nil
}

// RFC 3659 3: the time is UTC. A file that has the whole argument as its name is never
// taken for a time and a name.
func (s *session) cmdMdtm(c *call) (wire.Reply, error) {
	info, err := s.fsys.Stat(c, c.name)
	if err == nil {
		return reply(213, wire.FormatTime(info.ModTime())), nil
	}
	if len(c.names) == 0 || !errors.Is(err, fs.ErrNotExist) || !s.fsys.Caps().Has(vfs.CanSetModTime) {
		return wire.Reply{}, err
	}
	c.name = c.names[0]
	if err := s.setModTime(c, c.at); err != nil {
		return wire.Reply{}, err
	}
	return reply(213, "File modification time set."), nil
}
