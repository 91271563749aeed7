package gateway

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/ftpgate/ftpgate/gateway/dataconn"
	"github.com/ftpgate/ftpgate/gateway/wire"
)

// parameterCommands are those of RFC 959 4.1.2 with their successors of RFC 2428.
func parameterCommands() []*command {
	return []*command{
		{verb: "PORT", run: (*session).cmdPort, arg: argHostPort, syntax: "<h1,h2,h3,h4,p1,p2>", need: needLogin, keepsRest: true, help: "Let the server connect to this IPv4 address.", rfc: "959"},
		{verb: "PASV", run: (*session).cmdPasv, arg: argNone, need: needLogin, flow: work, keepsRest: true, help: "Let the client connect, over IPv4.", rfc: "959"},
		{verb: "EPRT", run: (*session).cmdEprt, arg: argExtended, syntax: "|<1 or 2>|<address>|<port>|", need: needLogin, keepsRest: true, feat: feature("EPRT"), help: "Let the server connect to this address.", rfc: "2428"},
		{verb: "EPSV", run: (*session).cmdEpsv, arg: argOptText, syntax: "[1 | 2 | ALL]", need: needLogin, keepsRest: true, feat: feature("EPSV"), help: "Let the client connect.", rfc: "2428"},
		{verb: "TYPE", run: (*session).cmdType, arg: argText, syntax: "A [N | T] | I | L 8", need: needLogin, keepsRest: true, help: "Set the representation: text or bytes.", rfc: "959"},
		{verb: "STRU", run: (*session).cmdStru, arg: argText, syntax: "F | R", need: needLogin, keepsRest: true, help: "Set the file structure.", rfc: "959"},
		{verb: "MODE", run: (*session).cmdMode, arg: argText, syntax: "S | Z", need: needLogin, keepsRest: true, feat: featMode, help: "Set the transfer mode: stream, or deflated.", rfc: "959, draft-preston-ftpext-deflate"},
		{verb: "OPTS", run: (*session).cmdOpts, arg: argText, syntax: "<command> [options]", help: "Set options of a command.", rfc: "2389"},
		{verb: "OPTS MODE", run: (*session).cmdOptsMode, arg: argText, syntax: "Z [LEVEL <0 to 9>]", need: needLogin, keepsRest: true, help: "Set how hard MODE Z tries.", rfc: "draft-preston-ftpext-deflate"},
		{verb: "OPTS UTF8", run: (*session).cmdOptsUTF8, arg: argOptText, syntax: "[ON]", feat: feature("UTF8"), help: "Say that names are UTF-8, which they always are.", rfc: "2640"},
		{verb: "OPTS UTF-8", run: (*session).cmdOptsUTF8, arg: argOptText, syntax: "[ON]", help: "The same, as some clients spell it.", rfc: "2640"},
		{verb: "OPTS MLST", run: (*session).cmdOptsMLST, arg: argOptText, syntax: "[fact;…]", help: "Choose the facts of MLST and MLSD.", rfc: "3659"},
	}
}

// feature is a FEAT line that never changes.
func feature(line string) func(*session) []string {
	return func(*session) []string { return []string{line} }
}

// RFC 959 4.1.2, with the checks of RFC 2577 3.
func (s *session) cmdPort(c *call) (wire.Reply, error) { return s.agreeActive(c.addr, "PORT") }

// RFC 2428 2.
func (s *session) cmdEprt(c *call) (wire.Reply, error) { return s.agreeActive(c.addr, "EPRT") }

func (s *session) agreeActive(target netip.AddrPort, verb string) (wire.Reply, error) {
	switch {
	case s.cfg.Data.NoActive:
		return wire.Reply{}, refuse(502, "Active data connections are switched off; use EPSV or PASV.")
	case s.epsvAll:
		return wire.Reply{}, refuse(501, "Not allowed after EPSV ALL.")
	}
	dial, err := s.peerCheck().Target(target, s.remote)
	if err != nil {
		s.log.Warn("active data connection refused", "target", target, "err", err)
		return wire.Reply{}, refuse(501, "Only your own address, and ports from 1024 on, may be used.")
	}
	// RFC 959 3.2: the server's default data port is the one next to (L-1) the
	// control port.
	bound := dataconn.AddrOf(s.raw.LocalAddr())
	source := netip.AddrPortFrom(bound.Addr(), bound.Port()-1)
	s.setEndpoint(dataconn.NewActive(s.cfg.Data.Network, source, dial))
	return reply(200, verb+" command successful."), nil
}

// RFC 959 4.1.2. The reply can only tell an IPv4 address (RFC 2428 3 is for the
// others).
func (s *session) cmdPasv(c *call) (wire.Reply, error) {
	if s.epsvAll {
		return wire.Reply{}, refuse(501, "Not allowed after EPSV ALL.")
	}
	if !s.local.Addr().Is4() {
		return wire.Reply{}, refuse(425, "PASV can't be used over IPv6; use EPSV.")
	}
	// May ask a name server, which is why PASV runs on the worker.
	address, err := s.cfg.Data.Masquerade.Choose(c, s.remote.Addr(), s.local.Addr())
	if err != nil {
		return wire.Reply{}, &replyError{reply: reply(425, "This server's public address is not known right now; use EPSV."), cause: err}
	}
	p, err := s.agreePassive(c)
	if err != nil {
		return wire.Reply{}, err
	}
	hp, err := wire.FormatHostPort(netip.AddrPortFrom(address, p.Port()))
	if err != nil {
		p.Close()
		return wire.Reply{}, err
	}
	return replyf(227, "Entering Passive Mode (%s).", hp), nil
}

// RFC 2428 3 and 4: after EPSV ALL every other way to set up a data connection is
// refused, for the rest of the session.
func (s *session) cmdEpsv(c *call) (wire.Reply, error) {
	family, all, err := wire.ParseExtendedPassive(c.text)
	if errors.Is(err, wire.ErrFamily) {
		return wire.Reply{}, refuse(522, "Network protocol not supported, use (1,2).")
	}
	if err != nil {
		return wire.Reply{}, refuse(501, "Syntax: EPSV [1 | 2 | ALL].")
	}
	if all {
		s.epsvAll = true
		return reply(200, "EPSV ALL accepted."), nil
	}
	own := wire.IPv6
	if s.local.Addr().Is4() {
		own = wire.IPv4
	}
	if family != 0 && family != own {
		return wire.Reply{}, refuse(522, fmt.Sprintf("Network protocol not supported, use (%d).", own))
	}
	p, err := s.agreePassive(c)
	if err != nil {
		return wire.Reply{}, err
	}
	return replyf(229, "Entering Extended Passive Mode (%s).", wire.FormatExtendedPassive(p.Port())), nil
}

// peerCheck is whose data connections this user may have.
func (s *session) peerCheck() dataconn.PeerCheck {
	if s.principal.FXP {
		return dataconn.PeerAny
	}
	return s.cfg.Data.PeerCheck
}

func (s *session) agreePassive(c *call) (*dataconn.Passive, error) {
	if s.cfg.Data.NoPassive {
		return nil, refuse(502, "Passive data connections are switched off; use EPRT or PORT.")
	}
	if s.endpoint != nil {
		s.endpoint.Close() // the port it holds may be the last one
	}
	p, err := dataconn.Listen(c, dataconn.PassiveOptions{
		Network: s.cfg.Data.Network, Ports: s.srv.ports, Local: dataconn.AddrOf(s.raw.LocalAddr()).Addr(),
		Client: s.remote.Addr(), Check: s.peerCheck(), Proxy: &s.cfg.Proxy,
	})
	if err != nil {
		return nil, &replyError{reply: reply(425, "No passive port is free; try again later."), cause: err}
	}
	c.after(func() { s.setEndpoint(p) })
	return p, nil
}

// RFC 959 3.1.1 and 5.3.2. Text has no vertical format here (N), which makes Telnet's
// (T) the same (RFC 1123 4.1.2.2), and bytes have eight bits.
func (s *session) cmdType(c *call) (wire.Reply, error) {
	switch strings.ToUpper(c.text) {
	case "A", "A N", "A T":
		s.typ = 'A'
		if s.profile.Binary {
			s.typ = 'I'
		}
		return reply(200, "Type set to A."), nil
	case "I", "L 8":
		s.typ = 'I'
		return reply(200, "Type set to I."), nil
	case "A C", "E", "E N", "E T", "E C":
		return wire.Reply{}, refuse(504, "Type not supported; use A, I or L 8.")
	}
	if strings.HasPrefix(strings.ToUpper(c.text), "L ") {
		return wire.Reply{}, refuse(504, "Byte size not supported; use L 8.")
	}
	return wire.Reply{}, refuse(501, "Syntax: TYPE A [N | T] | I | L 8.")
}

// RFC 959 3.1.2. Files here are streams of bytes, and a record of one is a line; there
// are no pages.
func (s *session) cmdStru(c *call) (wire.Reply, error) {
	switch stru := strings.ToUpper(c.text); stru {
	case "F", "R":
		s.stru = stru[0]
		return replyf(200, "Structure set to %s.", stru), nil
	case "P":
		return wire.Reply{}, refuse(504, "Structure not supported; use F or R.")
	}
	return wire.Reply{}, refuse(501, "Syntax: STRU F | R.")
}

// RFC 959 3.4, and draft-preston-ftpext-deflate for Z.
func (s *session) cmdMode(c *call) (wire.Reply, error) {
	switch mode := strings.ToUpper(c.text); {
	case mode == "S" || mode == "Z" && s.cfg.Data.Deflate != DeflateOff:
		s.mode = mode[0]
		return replyf(200, "Mode set to %s.", mode), nil
	case mode == "B" || mode == "C" || mode == "Z":
		return wire.Reply{}, refuse(504, "Mode not supported; FEAT lists those beside S.")
	}
	return wire.Reply{}, refuse(501, "Syntax: MODE S | Z.")
}

// RFC 2389 4: the rows "OPTS <command>" are found by dispatch; what comes here
// has none.
func (s *session) cmdOpts(*call) (wire.Reply, error) {
	return wire.Reply{}, refuse(501, "That command has no options.")
}

// RFC 2640, and what Windows Explorer sends before USER. Names are bytes here, so
// that UTF-8 needs no switching on; without a profile that says what else names could
// be in, it can't be switched off.
func (s *session) cmdOptsUTF8(c *call) (wire.Reply, error) {
	switch strings.ToUpper(c.text) {
	case "", "ON":
		s.utf8 = true
		return reply(200, "UTF8 is on."), nil
	case "OFF":
		if s.profile.Charset == nil {
			return wire.Reply{}, refuse(504, "UTF8 can't be switched off.")
		}
		s.utf8 = false
		return reply(200, "UTF8 is off."), nil
	}
	return wire.Reply{}, refuse(501, "Syntax: OPTS UTF8 [ON | OFF].")
}

// RFC 3659 7.9: facts that are not known are left out of the selection.
func (s *session) cmdOptsMLST(c *call) (wire.Reply, error) {
	s.facts = wire.ParseFactList(c.text)
	return reply(200, strings.TrimRight("MLST OPTS "+s.facts.String(), " ")), nil
}
