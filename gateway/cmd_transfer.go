package gateway

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"strings"

	"github.com/ftpgate/ftpgate/gateway/wire"
	"github.com/ftpgate/ftpgate/vfs"
)

// transferCommands are those of RFC 959 4.1.3 that move files.
func transferCommands() []*command {
	const need = needLogin | needData
	return []*command{
		{verb: "RETR", run: (*session).cmdRetr, arg: argPath, syntax: "<path>", need: need, op: vfs.OpRead, flow: transfer, help: "Download a file.", rfc: "959"},
		{verb: "STOR", run: (*session).cmdStor, arg: argPath, syntax: "<path>", need: need, op: vfs.OpWrite, flow: transfer, creates: true, help: "Upload a file.", rfc: "959"},
		{verb: "STOU", run: (*session).cmdStou, arg: argOptPath, syntax: "[prefix]", need: need, op: vfs.OpWrite, flow: transfer, creates: true, help: "Upload a file under a name of its own.", rfc: "959, 1123"},
		{verb: "APPE", run: (*session).cmdAppe, arg: argPath, syntax: "<path>", need: need, op: vfs.OpAppend, flow: transfer, creates: true, help: "Append to a file, or go on with an upload.", rfc: "959"},
		{verb: "ALLO", run: (*session).cmdAllo, arg: argText, syntax: "<bytes> [R <bytes>]", need: needLogin, keepsRest: true, help: "Announce the size of an upload.", rfc: "959"},
		{verb: "REST", run: (*session).cmdRest, arg: argNumber, syntax: "<offset>", need: needLogin, keepsRest: true, feat: feature("REST STREAM"), help: "Begin the next transfer at this offset.", rfc: "3659"},
		{verb: "ABOR", run: (*session).cmdAbor, arg: argIgnored, during: aborts, help: "Abort the running transfer.", rfc: "959"},
	}
}

func (s *session) cmdRetr(c *call) (wire.Reply, error) { return s.retrieve(c) }

// RFC 959 4.1.3: STOR replaces; behind REST it keeps what lies before the offset
// (RFC 3659 5).
func (s *session) cmdStor(c *call) (wire.Reply, error) {
	opt := vfs.CreateOptions{SizeHint: c.allo}
	if c.rest > 0 {
		opt.Mode, opt.Offset = vfs.WriteAt, c.rest
	}
	return s.store(c, opt, s.openingText())
}

func (s *session) openingText() string { return "Opening " + s.typeName() + " mode data connection." }

// RFC 959 4.1.3.
func (s *session) cmdAppe(c *call) (wire.Reply, error) {
	if c.rest > 0 {
		c.endpoint.Close()
		return wire.Reply{}, refuse(503, "REST can't be combined with APPE.")
	}
	return s.store(c, vfs.CreateOptions{Mode: vfs.Append, SizeHint: c.allo}, s.openingText())
}

// RFC 959 4.1.3 and RFC 1123 4.1.2.9: the name is told in 150 in the form
// "FILE: name". An argument, which some scanners send, begins the name.
func (s *session) cmdStou(c *call) (wire.Reply, error) {
	typed := c.text
	if typed == "" || strings.HasSuffix(typed, "/") {
		typed += "ftp"
	}
	typed += "." + rand.Text()[:12]
	var err error
	if c.name, err = s.resolve(typed); err != nil {
		c.endpoint.Close()
		return wire.Reply{}, err
	}
	r, err := s.store(c, vfs.CreateOptions{NoReplace: true, SizeHint: c.allo}, "FILE: "+typed)
	if err == nil {
		r = reply(226, "Transfer complete; stored as "+typed)
	}
	return r, err
}

// RFC 959 4.1.3. The size is taken for the next upload: it proves that all has
// arrived, and sizes what is allocated.
func (s *session) cmdAllo(c *call) (wire.Reply, error) {
	size, rest, _ := strings.Cut(c.text, " ")
	n, ok := parseSize(size)
	if record, found := strings.CutPrefix(rest, "R "); ok && rest != "" {
		_, ok = parseSize(record)
		ok = ok && found
	}
	if !ok {
		return wire.Reply{}, refuse(501, "Syntax: ALLO <bytes> [R <bytes>].")
	}
	s.allo = n
	return reply(200, "ALLO noted."), nil
}

// RFC 3659 5.3: REST itself never fails for its value; the transfer says whether
// the offset can be used.
func (s *session) cmdRest(c *call) (wire.Reply, error) {
	s.rest, s.span = c.num, byteRange{}
	return replyf(350, "Restarting at %d. Send STOR or RETR.", c.num), nil
}

// RFC 959 4.1.3: what comes here found no transfer running; attendance.abort
// deals with one that is. The data connection that was agreed is closed.
func (s *session) cmdAbor(*call) (wire.Reply, error) {
	s.setEndpoint(nil)
	return reply(226, "Abort successful."), nil
}

// fileCommands are those of RFC 959 4.1.3 that change the tree.
func fileCommands() []*command {
	return []*command{
		{verb: "RNFR", run: (*session).cmdRnfr, arg: argPath, syntax: "<path>", need: needLogin, op: vfs.OpRename, flow: work, help: "Choose what to rename.", rfc: "959"},
		{verb: "RNTO", run: (*session).cmdRnto, arg: argPath, syntax: "<path>", need: needLogin, follows: "RNFR", op: vfs.OpRename, flow: work, creates: true, help: "Rename what RNFR chose.", rfc: "959"},
		{verb: "DELE", run: (*session).cmdDele, arg: argPath, syntax: "<path>", need: needLogin, op: vfs.OpRemove, flow: work, help: "Delete a file.", rfc: "959"},
		{verb: "RMD", aliases: []string{"XRMD"}, run: (*session).cmdRmd, arg: argPath, syntax: "<path>", need: needLogin, op: vfs.OpRmdir, flow: work, help: "Remove an empty directory.", rfc: "959"},
		{verb: "MKD", aliases: []string{"XMKD"}, run: (*session).cmdMkd, arg: argPath, syntax: "<path>", need: needLogin, op: vfs.OpMkdir, flow: work, help: "Make a directory.", rfc: "959"},
		{verb: "PWD", aliases: []string{"XPWD"}, run: (*session).cmdPwd, arg: argNone, need: needLogin, help: "Tell the working directory.", rfc: "959"},
	}
}

// RFC 959 4.1.3: RNFR must be followed at once by RNTO. An interrupted upload is
// no file yet.
func (s *session) cmdRnfr(c *call) (wire.Reply, error) {
	if _, err := s.visible.Stat(c, c.name); err != nil {
		return wire.Reply{}, err
	}
	c.after(func() { s.chosen = chosen{c.row.verb, c.name} })
	return reply(350, "Send RNTO."), nil
}

func (s *session) cmdRnto(c *call) (wire.Reply, error) {
	if err := s.makeParents(c); err != nil {
		return wire.Reply{}, err
	}
	if err := s.fsys.Rename(c, c.from, c.name, vfs.RenameOptions{}); err != nil {
		return wire.Reply{}, err
	}
	return reply(250, "Renamed."), nil
}

func (s *session) cmdDele(c *call) (wire.Reply, error) {
	if err := s.fsys.Remove(c, c.name); err != nil {
		return wire.Reply{}, err
	}
	return reply(250, "Deleted."), nil
}

func (s *session) cmdRmd(c *call) (wire.Reply, error) {
	if err := s.fsys.Rmdir(c, c.name); err != nil {
		return wire.Reply{}, err
	}
	return reply(250, "Directory removed."), nil
}

// RFC 959 Appendix II: the path in 257 is absolute, so that CWD works with it.
func (s *session) cmdMkd(c *call) (wire.Reply, error) {
	if err := s.makeParents(c); err != nil {
		return wire.Reply{}, err
	}
	err := s.fsys.Mkdir(c, c.name)
	if errors.Is(err, fs.ErrExist) {
		return wire.Reply{}, &replyError{reply: reply(550, "Directory or file exists already."), cause: err}
	}
	if err != nil {
		return wire.Reply{}, err
	}
	return replyf(257, "%s created.", wire.Quote(display(c.name))), nil
}

// makeParents makes the directories above c.name, where the profile says so.
func (s *session) makeParents(c *call) error {
	if !s.profile.MakeParents {
		return nil
	}
	missing, err := s.missingParents(c, c.name)
	if err != nil {
		return err
	}
	return s.mkdirs(c, missing)
}

func (s *session) cmdPwd(*call) (wire.Reply, error) {
	return replyf(257, "%s is the working directory.", wire.Quote(display(s.cwd))), nil
}
