package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/ftpgate/ftpgate/auth"
	"github.com/ftpgate/ftpgate/gateway/wire"
	"github.com/ftpgate/ftpgate/vfs"
)

// siteCommands have no document; their forms and codes are those of ProFTPD
// (mod_site, mod_site_misc, mod_copy), which clients know by the lines in FEAT.
func siteCommands() []*command {
	return []*command{
		{verb: "SITE CHMOD", run: (*session).cmdChmod, arg: argOwn, parse: parseChmod, syntax: "<octal mode> <path>", need: needLogin, op: vfs.OpSetMode, flow: work, caps: vfs.CanSetMode, help: "Set the permission bits of a file.", rfc: "–"},
		{verb: "SITE MKDIR", run: (*session).cmdSiteMkdir, arg: argPath, syntax: "<path>", need: needLogin, op: vfs.OpMkdir, flow: work, caps: vfs.CanWrite, feat: feature("SITE MKDIR"), help: "Make a directory and those above it.", rfc: "–"},
		{verb: "SITE RMDIR", run: (*session).cmdSiteRmdir, arg: argPath, syntax: "<path>", need: needLogin, op: vfs.OpRmdir, flow: stream, caps: vfs.CanWrite, feat: feature("SITE RMDIR"), help: "Remove a directory with all that is in it, as RMDA does.", rfc: "–"},
		{verb: "SITE SYMLINK", run: (*session).cmdSymlink, arg: argOwn, parse: parseTwoPaths, syntax: `"<target>" "<link>"`, need: needLogin, op: vfs.OpSymlink, flow: work, caps: vfs.CanSymlink, feat: feature("SITE SYMLINK"), help: "Make a symbolic link to what exists.", rfc: "–"},
		{verb: "SITE CPFR", run: (*session).cmdCpfr, arg: argPath, syntax: "<path>", need: needLogin, op: vfs.OpRead, flow: work, caps: vfs.CanWrite, help: "Choose the file to copy.", rfc: "–"},
		{verb: "SITE CPTO", run: (*session).cmdCpto, arg: argPath, syntax: "<path>", need: needLogin, follows: "SITE CPFR", op: vfs.OpWrite, flow: stream, caps: vfs.CanWrite, help: "Copy what SITE CPFR chose.", rfc: "–"},
		{verb: "SITE COPY", run: (*session).cmdCopy, arg: argOwn, parse: parseTwoPaths, syntax: `"<from>" "<to>"`, need: needLogin, op: vfs.OpWrite, flow: stream, caps: vfs.CanWrite, feat: feature("SITE COPY"), help: "Copy a file.", rfc: "–"},
		{verb: "SITE IDLE", run: (*session).cmdIdle, arg: argOptText, syntax: "[seconds]", need: needLogin, keepsRest: true, help: "Tell or set how long the session may be idle.", rfc: "–"},
	}
}

func parseChmod(s *session, c *call) (err error) {
	mode, path, _ := strings.Cut(c.text, " ")
	if c.mode, err = wire.ParseMode(mode); err != nil || path == "" {
		return wire.ErrSyntax
	}
	c.name, err = s.resolve(path)
	return err
}

func (s *session) cmdChmod(c *call) (wire.Reply, error) {
	if err := vfs.SetMode(c, s.fsys, c.name, c.mode); err != nil {
		return wire.Reply{}, err
	}
	return reply(200, "SITE CHMOD command successful."), nil
}

// A directory that is there already is what the client wants. Each one that is made
// needs its own permission.
func (s *session) cmdSiteMkdir(c *call) (wire.Reply, error) {
	missing, err := s.missingDirs(c, c.name)
	if err == nil {
		err = s.mkdirs(c, missing)
	}
	if err != nil {
		return wire.Reply{}, err
	}
	return reply(200, "SITE MKDIR command successful."), nil
}

func (s *session) cmdSiteRmdir(c *call) (wire.Reply, error) {
	if err := s.removeTree(c); err != nil {
		return wire.Reply{}, err
	}
	return reply(200, "SITE RMDIR command successful."), nil
}

// parseTwoPaths reads two names, each in double quotes if it has spaces. The second
// is the one that is made.
func parseTwoPaths(s *session, c *call) error {
	words, err := wire.SplitWords(c.text)
	if err != nil || len(words) != 2 {
		return wire.ErrSyntax
	}
	from, err := s.resolve(words[0])
	if err != nil {
		return err
	}
	c.names = []string{from}
	c.name, err = s.resolve(words[1])
	return err
}

// A link to what this user can't see is refused: it would tell whether that is there.
func (s *session) cmdSymlink(c *call) (wire.Reply, error) {
	if _, err := s.complete(c, c.names[0]); err != nil && !errors.Is(err, vfs.ErrIsDir) {
		return wire.Reply{}, err
	}
	if err := vfs.Symlink(c, s.fsys, c.names[0], c.name); err != nil {
		return wire.Reply{}, err
	}
	return reply(200, "SITE SYMLINK command successful."), nil
}

// SITE CPFR is to SITE CPTO what RNFR is to RNTO. Only files are copied.
func (s *session) cmdCpfr(c *call) (wire.Reply, error) {
	if _, err := s.complete(c, c.name); err != nil {
		return wire.Reply{}, err
	}
	c.after(func() { s.chosen = chosen{c.row.verb, c.name} })
	return reply(350, "Send SITE CPTO."), nil
}

func (s *session) cmdCpto(c *call) (wire.Reply, error) {
	return s.copyFile(c, c.from, reply(250, "Copied."))
}

func (s *session) cmdCopy(c *call) (wire.Reply, error) {
	return s.copyFile(c, c.names[0], reply(200, "SITE COPY command successful."))
}

func (s *session) copyFile(c *call, from string, r wire.Reply) (wire.Reply, error) {
	if err := vfs.Copy(c, s.fsys, from, c.name, vfs.CopyOptions{}); err != nil {
		return wire.Reply{}, err
	}
	return r, nil
}

// minIdle is the least that SITE IDLE accepts, as in BSD's ftpd.
const minIdle = 30 * time.Second

// SITE IDLE is that of BSD's ftpd. The maximum is the server's, so that no session
// stays for ever.
func (s *session) cmdIdle(c *call) (wire.Reply, error) {
	most := s.cfg.Timeouts.IdleMax
	if c.text != "" {
		n, ok := parseSize(c.text)
		set := time.Duration(min(n, int64(24*365*time.Hour/time.Second))) * time.Second
		if !ok || set < minIdle || most > 0 && set > most {
			return wire.Reply{}, refuse(501, "Idle time must be "+idleRange(most)+" seconds.")
		}
		s.idle = set
	}
	if s.idle <= 0 {
		return reply(200, "Sessions may be idle for ever."), nil
	}
	return replyf(200, "Idle time is %d seconds; it may be %s.", int64(s.idle/time.Second), idleRange(most)), nil
}

func idleRange(most time.Duration) string {
	if most <= 0 {
		return fmt.Sprintf("%d or more", minIdle/time.Second)
	}
	return fmt.Sprintf("%d to %d", minIdle/time.Second, most/time.Second)
}

// SiteCommand is a SITE command of an embedder. It goes through the same dispatch as
// every other command: login, argument, permission, and a worker of its own.
type SiteCommand struct {
	// Name is one word of letters and digits; "SITE" is not part of it.
	Name string
	// Syntax is the argument as SITE HELP shows it, Help one line about it.
	Syntax, Help string
	// Op is the permission that it takes, on the path if it has one, else on the
	// working directory; empty: none but to be logged in.
	Op vfs.Op
	// Path makes the argument a path, which must be there.
	Path bool
	// Run executes it, beside the session, one at a time in each. When ctx is done,
	// because of ABOR or because the session ends, it should return soon. code is the
	// reply's, 200 to 599, and lines its text: none is "OK.". A code of 4 or 5 hundred
	// is a failure like any other. An error is answered as the gateway's own are, by
	// the errors of the vfs that it matches, and its text is for the log alone. 421
	// ends the session.
	Run func(ctx context.Context, s SiteSession) (code int, lines []string, err error)
}

// SiteSession is the session that a SiteCommand runs in.
type SiteSession struct {
	User          *auth.Principal
	Remote, Local netip.AddrPort
	// FS is what the user sees, with the user's permissions.
	FS vfs.FS
	// Dir is the working directory, a name of FS.
	Dir string
	// Argument is what was sent, Name its name in FS if Path is set.
	Argument, Name string
}

// row is the command's row in the table.
func (sc SiteCommand) row() (*command, error) {
	name := strings.ToUpper(sc.Name)
	if name == "" || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "" {
		return nil, fmt.Errorf("gateway: Config.Site has a command named %q; a name is one word of letters and digits", sc.Name)
	}
	if sc.Run == nil {
		return nil, fmt.Errorf("gateway: Config.Site: command %s has no Run", name)
	}
	row := &command{verb: "SITE " + name, run: sc.run, arg: argOptText, syntax: sc.Syntax, need: needLogin, op: sc.Op, flow: stream, help: sc.Help}
	if sc.Path {
		row.arg = argPath
	}
	return row, nil
}

func (sc SiteCommand) run(s *session, c *call) (wire.Reply, error) {
	site := SiteSession{User: s.principal, Remote: s.remote, Local: s.local, FS: s.fsys, Dir: s.cwd, Argument: c.text}
	if sc.Path {
		site.Name = c.name
	}
	code, lines, err := sc.Run(c, site)
	switch {
	case err != nil:
		return wire.Reply{}, err
	case code < 200 || code > 599:
		return wire.Reply{}, fmt.Errorf("%s returned the reply code %d", c.row.verb, code)
	case len(lines) == 0:
		lines = []string{"OK."}
	}
	if code == 421 {
		c.after(func() { s.ending = true })
	}
	return reply(code, lines...), nil
}
