package gateway

import (
	"errors"
	"io/fs"
	"strings"
	"time"

	"github.com/ftpgate/ftpgate/gateway/wire"
	"github.com/ftpgate/ftpgate/vfs"
)

// timeCommands change times and other facts.
func timeCommands() []*command {
	return []*command{
		{verb: "MFMT", run: (*session).cmdMff, arg: argOwn, parse: parseTime(wire.FactModify), syntax: "<YYYYMMDDHHMMSS> <path>", need: needLogin, op: vfs.OpSetModTime, flow: work, caps: vfs.CanSetModTime, feat: feature("MFMT"), help: "Set when a file was last modified, in UTC.", rfc: "draft-somers-ftp-mfxx"},
		{verb: "MFCT", run: (*session).cmdMff, arg: argOwn, parse: parseTime(wire.FactCreate), syntax: "<YYYYMMDDHHMMSS> <path>", need: needLogin, op: vfs.OpSetCreateTime, flow: work, caps: vfs.CanSetCreateTime, feat: feature("MFCT"), help: "Set when a file was created, in UTC.", rfc: "draft-somers-ftp-mfxx"},
		{verb: "MFF", run: (*session).cmdMff, arg: argOwn, parse: parseMff, syntax: "<fact=value;…> <path>", need: needLogin, flow: work, caps: vfs.CanSetModTime, feat: featMff, help: "Change facts: modify and create by the permission T, UNIX.mode by M.", rfc: "draft-somers-ftp-mfxx"},
		{verb: "SITE UTIME", run: (*session).cmdUtime, arg: argOwn, parse: parseUtime, syntax: "<YYYYMMDDhhmm[ss]> <path> | <path> <atime> <mtime> <ctime> UTC", need: needLogin, op: vfs.OpSetModTime, flow: work, caps: vfs.CanSetModTime, feat: feature("SITE UTIME"), help: "Set when a file was last modified, in UTC.", rfc: "–"},
	}
}

// parseTime reads a time, which is to be the fact's, and, behind one space, a path.
func parseTime(fact wire.FactSet) func(*session, *call) error {
	return func(s *session, c *call) error {
		stamp, path, _ := strings.Cut(c.text, " ")
		at, err := wire.ParseTime(stamp)
		if err != nil || path == "" {
			return wire.ErrSyntax
		}
		c.facts, c.text = []wire.FactChange{{Fact: fact, Time: at}}, path
		c.name, err = s.resolve(path)
		return err
	}
}

// changeable is what it takes to change a fact.
type changeable struct {
	op   vfs.Op
	caps vfs.Caps
	set  func(*call, vfs.FS, wire.FactChange) error
}

// changeables are the facts that can be changed.
func changeables() map[wire.FactSet]changeable {
	return map[wire.FactSet]changeable{
		wire.FactModify: {vfs.OpSetModTime, vfs.CanSetModTime, func(c *call, fsys vfs.FS, to wire.FactChange) error {
			return vfs.SetModTime(c, fsys, c.name, to.Time)
		}},
		wire.FactCreate: {vfs.OpSetCreateTime, vfs.CanSetCreateTime, func(c *call, fsys vfs.FS, to wire.FactChange) error {
			return vfs.SetCreateTime(c, fsys, c.name, to.Time)
		}},
		wire.FactMode: {vfs.OpSetMode, vfs.CanSetMode, func(c *call, fsys vfs.FS, to wire.FactChange) error {
			return vfs.SetMode(c, fsys, c.name, to.Mode)
		}},
	}
}

// change changes the facts of c.name. The first moment of the year 1 is the zero time.Time,
// which stores take for "leave it" or for an unknown one: nothing changes then.
func (s *session) change(c *call) error {
	for _, to := range c.facts {
		if to.Fact != wire.FactMode && to.Time.IsZero() {
			return refuse(501, "That time can't be set.")
		}
	}
	can := changeables()
	for _, to := range c.facts {
		if err := can[to.Fact].set(c, s.fsys, to); err != nil {
			return err
		}
	}
	return nil
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
	var facts wire.FactSet
	for fact, f := range changeables() {
		if s.fsys == nil || s.fsys.Caps().Has(f.caps) {
			facts |= fact
		}
	}
	return []string{"MFF " + facts.String()}
}

// draft-somers-ftp-mfxx 5: the reply tells the facts as they were set, and the path as
// it was sent. Whatever can be refused is refused before anything changes. MFMT and MFCT
// (3 and 4) are MFF of one fact.
func (s *session) cmdMff(c *call) (wire.Reply, error) {
	can := changeables()
	var changed []byte
	for _, to := range c.facts {
		f, ok := can[to.Fact]
		if !ok || !s.fsys.Caps().Has(f.caps) {
			return wire.Reply{}, refuse(504, "Only the facts that FEAT lists can be changed.")
		}
		if err := s.allow(f.op, c.name); err != nil {
			return wire.Reply{}, err
		}
		changed = to.AppendTo(changed)
	}
	if err := s.change(c); err != nil {
		return wire.Reply{}, err
	}
	return replyf(213, "%s %s", changed, c.text), nil
}

func parseUtime(s *session, c *call) (err error) {
	var at time.Time
	if at, c.text, err = wire.ParseUtime(c.text); err != nil {
		return err
	}
	c.facts = []wire.FactChange{{Fact: wire.FactModify, Time: at}}
	c.name, err = s.resolve(c.text)
	return err
}

// SITE UTIME has no document. Clients send a time and a path (ProFTPD, lftp), or a
// path, three times of which the second is that of modification, and UTC (Pure-FTPd).
func (s *session) cmdUtime(c *call) (wire.Reply, error) {
	if err := s.change(c); err != nil {
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
	if strings.IndexByte(c.text, ' ') == 14 && parseTime(wire.FactModify)(s, &set) == nil {
		c.facts, c.names = set.facts, []string{set.name}
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
	if err := s.change(c); err != nil {
		return wire.Reply{}, err
	}
	return reply(213, "File modification time set."), nil
}
