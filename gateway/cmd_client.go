package gateway

import (
	"errors"
	"net/netip"
	"strings"

	"github.com/ftpgate/ftpgate/gateway/wire"
	"github.com/ftpgate/ftpgate/vfs"
)

// clientCommands are those by which client and server tell each other who they are.
func clientCommands() []*command {
	return []*command{
		{verb: "HOST", run: (*session).cmdHost, arg: argText, syntax: "<name>", feat: feature("HOST"), help: "Choose the virtual host, before the login.", rfc: "7151"},
		{verb: "LANG", run: (*session).cmdLang, arg: argOptText, syntax: "[EN]", keepsRest: true, feat: feature("LANG EN*"), help: "Choose the language of replies.", rfc: "2640"},
		{verb: "CLNT", run: (*session).cmdClnt, arg: argText, syntax: "<name>", keepsRest: true, feat: feature("CLNT"), help: "Tell the client's name.", rfc: "–"},
		{verb: "CSID", run: (*session).cmdCsid, arg: argText, syntax: "Name=<name>; Version=<version>;", keepsRest: true, feat: feature("CSID"), help: "Tell the client's name, and learn about the server.", rfc: "draft-peterson-streamlined-ftp-command-extensions"},
	}
}

// RFC 7151 3: HOST comes before the login (503 behind it), and 504 is for a name that
// this server does not have. A USER that came before is forgotten. Without Config.Host
// every name is accepted: the client has found its way here by it, and the
// authenticator still sees it.
func (s *session) cmdHost(c *call) (wire.Reply, error) {
	if s.principal != nil {
		return wire.Reply{}, refuse(503, "HOST comes before the login.")
	}
	name, err := hostName(c.text)
	if err != nil {
		return wire.Reply{}, refuse(501, "Not a host name.")
	}
	if s.cfg.Host != nil && !s.cfg.Host(name) {
		return wire.Reply{}, refuse(504, "Unknown host.")
	}
	s.logout()
	s.host = name
	return replyf(220, "Host accepted."), nil
}

// hostName returns a DNS name in lower case without the dot at its end, or an address
// (IPv6 in brackets: RFC 3986 3.2.2).
func hostName(text string) (string, error) {
	if inner, ok := strings.CutPrefix(text, "["); ok {
		inner, closed := strings.CutSuffix(inner, "]")
		addr, err := netip.ParseAddr(inner)
		if err != nil || !closed || !addr.Is6() || addr.Zone() != "" {
			return "", errHostName
		}
		return "[" + addr.String() + "]", nil
	}
	name := strings.ToLower(strings.TrimSuffix(text, "."))
	if len(name) > 253 {
		return "", errHostName
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return "", errHostName
		}
	}
	return name, nil
}

var errHostName = errors.New("not a host name")

// RFC 2640 4.1: without an argument the default language comes back. Language tags are
// compared without case, and en-GB is served by EN.
func (s *session) cmdLang(c *call) (wire.Reply, error) {
	primary, _, _ := strings.Cut(c.text, "-")
	switch {
	case c.text == "" || strings.EqualFold(primary, "en"):
		return reply(200, "Replies are in English."), nil
	case strings.Trim(strings.ToLower(c.text), "abcdefghijklmnopqrstuvwxyz0123456789-") != "":
		return wire.Reply{}, refuse(501, "Syntax: LANG [EN].")
	}
	return wire.Reply{}, refuse(504, "Replies can only be in English.")
}

// CLNT has no document; clients send their name and version, and expect 200.
func (s *session) cmdClnt(c *call) (wire.Reply, error) {
	s.log.Info("client tells its name", "client", c.text)
	return reply(200, "Noted."), nil
}

// The draft, 7: CaseSensitive and DirSep have to be told. Names are bytes, and unless
// the profile says what their case means that is left to the store: a client that
// relies on nothing is right everywhere. The version is nobody's business.
func (s *session) cmdCsid(c *call) (wire.Reply, error) {
	s.log.Info("client tells its name", "client", c.text)
	sensitive := 1
	if s.profile.Names&vfs.FoldCase != 0 {
		sensitive = 0
	}
	return replyf(200, "Name=ftpgate; CaseSensitive=%d; DirSep=/;", sensitive), nil
}
