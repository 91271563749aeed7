package gateway

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ftpgate/ftpgate/gateway/wire"
)

// informationCommands are those of RFC 959 4.1.3 and RFC 2389 that tell about the
// server.
func informationCommands() []*command {
	return []*command{
		{verb: "FEAT", run: (*session).cmdFeat, arg: argNone, help: "List the extensions that are there.", rfc: "2389"},
		{verb: "HELP", run: (*session).cmdHelp, arg: argOptText, syntax: "[command]", keepsRest: true, help: "List the commands, or explain one.", rfc: "959"},
		{verb: "NOOP", run: (*session).cmdNoop, arg: argIgnored, during: immediate, keepsRest: true, help: "Do nothing.", rfc: "959"},
		{verb: "SYST", run: (*session).cmdSyst, arg: argNone, keepsRest: true, help: "Tell the kind of system.", rfc: "959"},
		{verb: "SITE", run: (*session).cmdSite, arg: argText, syntax: "<command> [arguments]", need: needLogin, help: "Commands of this server; see SITE HELP.", rfc: "959"},
		{verb: "SITE HELP", run: (*session).cmdSiteHelp, arg: argOptText, syntax: "[command]", need: needLogin, help: "List the SITE commands, or explain one.", rfc: "959"},
	}
}

func bannerLines(text string) []string { return strings.Split(text, "\n") }

// RFC 2389 3: each feature on a line of its own, behind one space.
func (s *session) cmdFeat(*call) (wire.Reply, error) {
	lines := []string{"Extensions supported:"}
	for _, row := range s.cfg.commands.rows {
		if row.feat != nil && s.served(row) {
			lines = append(lines, row.feat(s)...)
		}
	}
	slices.Sort(lines[1:])
	return reply(211, append(lines, "End")...), nil
}

// RFC 959 4.1.3.
func (s *session) cmdHelp(c *call) (wire.Reply, error) {
	if c.text == "" {
		return s.helpList("The following commands are recognized:", func(verb string) (string, bool) {
			return verb, !strings.Contains(verb, " ")
		}), nil
	}
	return s.helpOne(strings.ToUpper(c.text))
}

func (s *session) cmdSiteHelp(c *call) (wire.Reply, error) {
	if c.text == "" {
		return s.helpList("The following SITE commands are recognized:", func(verb string) (string, bool) {
			return strings.CutPrefix(verb, "SITE ")
		}), nil
	}
	return s.helpOne("SITE " + strings.ToUpper(c.text))
}

// helpList lists the verbs that pick lets through, eight on a line.
func (s *session) helpList(title string, pick func(verb string) (string, bool)) wire.Reply {
	lines := []string{title}
	var line strings.Builder
	for _, row := range s.cfg.commands.rows {
		for _, verb := range append([]string{row.verb}, row.aliases...) {
			shown, ok := pick(verb)
			if !ok || !s.served(row) {
				continue
			}
			if line.Len() > 64 {
				lines = append(lines, strings.TrimRight(line.String(), " "))
				line.Reset()
			}
			fmt.Fprintf(&line, "%-8s", shown)
		}
	}
	return reply(214, append(lines, strings.TrimRight(line.String(), " "), "Help complete.")...)
}

func (s *session) helpOne(verb string) (wire.Reply, error) {
	row := s.cfg.commands.byVerb[verb]
	if row == nil || !s.served(row) {
		return wire.Reply{}, refuse(502, "Unknown command.")
	}
	return replyf(214, "%s: %s", strings.TrimSpace(verb+" "+row.syntax), row.help), nil
}

func (s *session) cmdNoop(*call) (wire.Reply, error) { return reply(200, "OK."), nil }

// RFC 959 4.1.3: clients take this name for "LIST is ls -l".
func (s *session) cmdSyst(*call) (wire.Reply, error) { return reply(215, "UNIX Type: L8"), nil }

// RFC 959 4.1.3: the rows "SITE <command>" are found by dispatch; what comes here
// has none.
func (s *session) cmdSite(*call) (wire.Reply, error) {
	return wire.Reply{}, refuse(504, "Unknown SITE command; SITE HELP lists them.")
}

// cmdStatus is STAT without a path, also during a transfer (RFC 959 4.1.3).
func (s *session) cmdStatus(*call) (wire.Reply, error) {
	user := "Not logged in"
	if s.principal != nil {
		user = "Logged in as " + s.principal.Name
	}
	typ := "ASCII Non-print"
	if s.typ == 'I' {
		typ = "Image"
	}
	structure, mode := "File", "Stream"
	if s.stru == 'R' {
		structure = "Record"
	}
	if s.mode == 'Z' {
		mode = "Deflate"
	}
	data := "No data connection"
	switch {
	case s.task != nil && s.task.c.row.flow == transfer:
		data = fmt.Sprintf("%s in progress, %d bytes transferred", s.task.c.row.verb, s.task.bytes.Load())
	case s.endpoint != nil:
		data = "Data connection agreed"
	}
	return reply(211, "FTP server status:",
		"Connected from "+s.remote.Addr().String(),
		user,
		"TYPE: "+typ+"; STRUcture: "+structure+"; transfer MODE: "+mode,
		data,
		"End of status."), nil
}
