package gateway

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/ftpgate/ftpgate/gateway/wire"
	"github.com/ftpgate/ftpgate/vfs"
)

// dispatch runs one line: split, alias, lookup, need, argument, permission, run,
// one-shots; in this order, and nowhere else.
func (s *session) dispatch(line string) {
	verb, text, given := wire.SplitCommand(line)
	row, text, given := s.lookup(verb, text, given)
	typed := text
	text, decoded := s.fromWire(text)
	s.logCommand(row, verb, text, given)
	if row == nil {
		s.clearOneShots()
		s.send(s.unknownCommand(verb))
		return
	}
	if row.masked { // a password is the bytes that were sent
		text, decoded = typed, true
	}
	c := &call{Context: s.ctx, row: row, verb: verb, args: args{text: text, given: given}}
	refusal := reply(501, "The argument is not in the character set of this session.")
	if decoded {
		refusal = s.admit(c)
	}
	if refusal.Code != 0 {
		if !row.keepsRest {
			s.clearOneShots()
		}
		s.chosen = chosen{}
		s.send(refusal)
		return
	}
	c.rest, c.allo, c.span, c.from = s.rest, s.allo, s.span, s.chosen.name
	s.chosen = chosen{}
	if !row.keepsRest {
		s.clearOneShots()
	}
	if row.flow == inline {
		r, err := row.run(s, c)
		s.finish(c, r, err)
		return
	}
	if row.files() {
		s.pace()
	}
	s.attend(c)
}

// lookup finds the row of a verb, or of a verb with its subcommand.
func (s *session) lookup(verb, text string, given bool) (*command, string, bool) {
	if verb == "SITE" || verb == "OPTS" {
		sub, rest, more := wire.SplitCommand(text)
		if row := s.cfg.commands.byVerb[verb+" "+sub]; row != nil && s.served(row) {
			return row, rest, more
		}
	}
	row := s.cfg.commands.byVerb[verb]
	switch {
	case row == nil || !s.served(row):
		return nil, text, given
	case row.bare != nil && text == "":
		return row.bare, text, given
	}
	return row, text, given
}

// served reports whether the row exists for this session: before the login what
// the server could do, afterwards what the user's store can and the user may use.
func (s *session) served(row *command) bool {
	if row.tls && s.cfg.TLS.Config == nil {
		return false
	}
	if p := s.policy(); p != nil && row.need&needLogin != 0 && !p.Commands.Allow(row.verb, row.files()) {
		return false
	}
	return row.caps == 0 || s.fsys == nil || s.fsys.Caps().Has(row.caps)
}

// RFC 959 4.2.2: 500 for what is no command, 502 for one that can't be served
// here. A browser, or another protocol's
// client made to talk to us (ALPACA), gets no second try; nor does a flood.
func (s *session) unknownCommand(verb string) wire.Reply {
	if s.principal == nil {
		s.unknown++
		http := httpVerb(verb)
		if http || s.cfg.Limits.Unknown > 0 && s.unknown > s.cfg.Limits.Unknown {
			s.ending = true
			s.points += pointsFlood
			if http {
				s.points += pointsHTTP - pointsFlood
			}
			return reply(500, "This is an FTP server.")
		}
	}
	if s.cfg.commands.byVerb[verb] != nil {
		return reply(502, "Not implemented for this storage or configuration.")
	}
	return reply(500, "Unknown command.")
}

func httpVerb(verb string) bool {
	switch verb {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "PRI":
		return true
	}
	return false
}

// admit checks needs, argument and permission, and parses the argument. The zero
// reply admits.
func (s *session) admit(c *call) wire.Reply {
	row := c.row
	if row.need&needLogin != 0 && s.principal == nil {
		return reply(530, "Log in with USER and PASS first.")
	}
	if row.need&needTLS != 0 && s.tls == nil {
		return reply(503, "Send AUTH TLS first.")
	}
	if row.need&needData != 0 && s.mustProtect() {
		return reply(522, "Data connections must be protected; send PBSZ 0 and PROT P.")
	}
	if row.follows != "" && s.chosen.by != row.follows {
		return replyf(503, "Send %s first.", row.follows)
	}
	if r := s.parseArgument(c); r.Code != 0 {
		return r
	}
	if row.op != "" && s.principal != nil {
		err := s.allow(row.op, cmp.Or(c.name, s.cwd))
		if row.creates && row.arg == argOptPath && (c.text == "" || strings.HasSuffix(c.text, "/")) {
			err = s.policy().AllowIn(row.op, c.name) // STOU makes the name
		}
		if err != nil {
			r, _ := replyFor(err, false, "")
			return r
		}
	}
	if row.need&needData != 0 && s.endpoint == nil {
		return reply(425, "Send EPSV, PASV, EPRT or PORT first.")
	}
	return wire.Reply{}
}

func (s *session) parseArgument(c *call) wire.Reply {
	syntax := func() wire.Reply { return replyf(501, "Syntax: %s.", strings.TrimSpace(c.row.verb+" "+c.row.syntax)) }
	if strings.ContainsRune(c.text, 0) {
		return reply(501, "NUL is not allowed.")
	}
	var err error
	switch c.row.arg {
	case argIgnored, argOptText:
		return wire.Reply{}
	case argNone, argParent:
		c.name, _ = vfs.Split(s.cwd)
		if c.given && c.text != "" {
			return syntax()
		}
		return wire.Reply{}
	case argOptPath, argList:
		path := c.text
		if c.row.arg == argList {
			path = skipListOptions(path)
		}
		c.text = path
		c.name, err = s.resolve(path)
	default:
		if c.text == "" {
			return syntax()
		}
	}
	switch c.row.arg {
	case argPath:
		c.name, err = s.resolve(c.text)
	case argNumber:
		var ok bool
		if c.num, ok = parseSize(c.text); !ok {
			return syntax()
		}
	case argHostPort:
		c.addr, err = wire.ParseHostPort(c.text)
	case argExtended:
		c.addr, err = wire.ParseExtended(c.text)
	case argOwn:
		err = c.row.parse(s, c)
	}
	if err == wire.ErrFamily {
		return reply(522, "Network protocol not supported, use (1,2).")
	}
	if err != nil {
		return syntax()
	}
	return wire.Reply{}
}

// parseSize reads a number of bytes: decimal digits alone.
func parseSize(text string) (int64, bool) {
	n, err := strconv.ParseUint(text, 10, 63)
	return int64(n), err == nil
}

// finish ends a command: what it changes takes effect, and its reply is sent.
func (s *session) finish(c *call, r wire.Reply, err error) {
	if err != nil {
		r = s.explain(c, err)
	} else {
		for _, change := range c.commits {
			change()
		}
	}
	s.pause(c.delay)
	s.send(r)
}

// explain turns an error into its reply, and logs what the client must not see.
func (s *session) explain(c *call, err error) wire.Reply {
	ref := s.id + "-" + strconv.Itoa(s.refs+1)
	r, internal := replyFor(err, c.row.creates, ref)
	if internal {
		s.refs++
		s.log.Error("command failed", "command", c.row.verb, "path", display(c.name), "ref", ref, "err", err)
	} else if r.Code == 421 {
		s.ending, s.harmless = true, true
	}
	return r
}

func (s *session) logCommand(row *command, verb, text string, given bool) {
	if row != nil {
		verb = row.verb
	}
	switch {
	case row != nil && row.masked:
		text = "****"
	case row == nil && s.principal == nil:
		text = "" // may be a password that lost its verb
	}
	s.log.Debug("command", "verb", verb, "argument", text)
}
