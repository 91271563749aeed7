package gateway

import (
	"bytes"
	"errors"
	"strings"
	"time"

	"github.com/ftpgate/ftpgate/gateway/wire"
	"github.com/ftpgate/ftpgate/vfs"
)

// listCommands are those of RFC 959 4.1.3 and RFC 3659 that describe files.
func listCommands() []*command {
	return []*command{
		{verb: "LIST", run: (*session).cmdList, arg: argList, syntax: "[-options] [path or pattern]", need: needLogin | needData, op: vfs.OpList, flow: transfer, help: "List as ls -l does.", rfc: "959"},
		{verb: "NLST", run: (*session).cmdNlst, arg: argList, syntax: "[-options] [path or pattern]", need: needLogin | needData, op: vfs.OpList, flow: transfer, help: "List names.", rfc: "959"},
		{verb: "MLSD", run: (*session).cmdMlsd, arg: argOptPath, syntax: "[path]", need: needLogin | needData, op: vfs.OpList, flow: transfer, help: "List a directory for programs.", rfc: "3659"},
		{verb: "MLST", run: (*session).cmdMlst, arg: argOptPath, syntax: "[path]", need: needLogin, op: vfs.OpList, flow: work, feat: featMlst, help: "Describe a file for programs.", rfc: "3659"},
		{verb: "STAT", run: (*session).cmdStat, arg: argList, syntax: "[-options] [path or pattern]", need: needLogin, op: vfs.OpList, flow: stream, help: "List on the control connection; without a path: tell the state of the session.", rfc: "959",
			bare: &command{verb: "STAT", run: (*session).cmdStatus, arg: argNone, during: immediate, keepsRest: true}},
		{verb: "SIZE", run: (*session).cmdSize, arg: argPath, syntax: "<path>", need: needLogin, op: vfs.OpList, flow: work, keepsRest: true, feat: feature("SIZE"), help: "Tell a file's size as it is stored.", rfc: "3659"},
		{verb: "MDTM", run: (*session).cmdMdtm, arg: argOwn, parse: parseMdtm, syntax: "[YYYYMMDDHHMMSS] <path>", need: needLogin, op: vfs.OpList, flow: work, keepsRest: true, feat: feature("MDTM"), help: "Tell when a file was last modified; with a time: set it, by the permission T.", rfc: "3659"},
	}
}

func featMlst(s *session) []string {
	return []string{"MLST " + wire.AllFacts.Features(s.facts), "TVFS"}
}

// skipListOptions returns what follows the options of LIST, NLST and STAT:
// tokens that begin with '-', up to "--". A file named -a is "./-a".
func skipListOptions(text string) string {
	for strings.HasPrefix(text, "-") {
		option, rest, _ := strings.Cut(text, " ")
		text = rest
		if option == "--" {
			break
		}
	}
	return text
}

// RFC 959 4.1.3. The form is that of ls -l, which every client parses.
func (s *session) cmdList(c *call) (wire.Reply, error) {
	now := time.Now()
	return s.listing(c, s.entries(c), func(dst []byte, e *listed) []byte {
		return wire.AppendLong(dst, s.longEntry(e), s.profile.ListDate, now, s.cfg.Location)
	})
}

// RFC 959 4.1.3 and RFC 1123 4.1.2.7: the names work as arguments of RETR, so the
// directory is repeated as it was typed.
func (s *session) cmdNlst(c *call) (wire.Reply, error) {
	return s.listing(c, s.entries(c), func(dst []byte, e *listed) []byte {
		return append(append(dst, e.typedDir...), e.shown...)
	})
}

// RFC 3659 7: of a file, MLSD is a syntax error. The data goes in the mode that is set,
// and not always in MODE S as 7.2 has it: clients that know MODE Z (FileZilla, lftp)
// inflate what comes, and so do other servers deflate it.
func (s *session) cmdMlsd(c *call) (wire.Reply, error) {
	r, err := s.listing(c, s.directory(c), func(dst []byte, e *listed) []byte {
		return wire.AppendFacts(dst, s.factEntry(c, e.info, e.dir, e.shown), s.facts)
	})
	if errors.Is(err, vfs.ErrNotDir) {
		err = refuse(501, "Not a directory; MLST describes files.")
	}
	return r, err
}

// RFC 3659 7: one entry, on the control connection, with its full path.
func (s *session) cmdMlst(c *call) (wire.Reply, error) {
	info, err := s.fsys.Stat(c, c.name)
	if err != nil {
		return wire.Reply{}, err
	}
	dir, _ := vfs.Split(c.name)
	e := s.factEntry(c, info, dir, display(c.name))
	return reply(250, "Listing:", string(wire.AppendFacts(nil, e, s.facts)), "End."), nil
}

// iac is a byte that Telnet wants doubled (RFC 854).
const iac = 0xFF

// RFC 959 4.1.3: STAT with a path is LIST over the control connection.
func (s *session) cmdStat(c *call) (wire.Reply, error) {
	now := time.Now()
	started := false
	err := s.streamed(c, s.entries(c), func(dst []byte, e *listed) []byte {
		if !started {
			started = true
			head := s.onWireReply(reply(213, "Status of "+display(c.name)+":", "")).AppendTo(nil)
			dst = append(dst, head[:bytes.IndexByte(head, '\n')+1]...)
		}
		start := len(dst)
		dst = wire.AppendLong(dst, s.longEntry(e), s.profile.ListDate, now, s.cfg.Location)
		if bytes.IndexByte(dst[start:], iac) < 0 {
			return dst
		}
		return append(dst[:start], bytes.ReplaceAll(dst[start:], []byte{iac}, []byte{iac, iac})...)
	}, func(b []byte) error {
		if !c.task.tell(event{kind: evText, reply: wire.Reply{Code: 213}, text: bytes.Clone(b)}) {
			return errAborted
		}
		return nil
	})
	switch {
	case err != nil: // the owner knows with which code the reply began
		return wire.Reply{}, err
	case !started:
		return reply(213, "Status of "+display(c.name)+":", "End of status."), nil
	}
	return reply(213, "End of status."), nil
}

// RFC 3659 4: the size is that of the stored file. It is not translated for TYPE
// A, for which the whole file would have to be read.
func (s *session) cmdSize(c *call) (wire.Reply, error) {
	size, err := vfs.Size(c, s.fsys, c.name)
	if err != nil {
		return wire.Reply{}, err
	}
	return replyf(213, "%d", size), nil
}
