package gateway

import (
	"crypto/rand"
	"errors"
	"io/fs"

	"github.com/ftpgate/ftpgate/auth"
	"github.com/ftpgate/ftpgate/gateway/dataconn"
	"github.com/ftpgate/ftpgate/gateway/wire"
	"github.com/ftpgate/ftpgate/vfs"
)

// accessCommands are those of RFC 959 4.1.1.
func accessCommands() []*command {
	return []*command{
		{verb: "USER", run: (*session).cmdUser, arg: argText, syntax: "<name>", flow: work, help: "Begin to log in.", rfc: "959"},
		{verb: "PASS", run: (*session).cmdPass, arg: argOptText, syntax: "<password>", flow: work, masked: true, help: "Complete the login.", rfc: "959"},
		{verb: "ACCT", run: (*session).cmdAcct, arg: argText, syntax: "<account>", masked: true, help: "Not needed here.", rfc: "959"},
		{verb: "CWD", aliases: []string{"XCWD"}, run: (*session).cmdCwd, arg: argPath, syntax: "<path>", need: needLogin, op: vfs.OpEnter, flow: work, help: "Change the working directory.", rfc: "959"},
		{verb: "CDUP", aliases: []string{"XCUP"}, run: (*session).cmdCwd, arg: argParent, need: needLogin, op: vfs.OpEnter, flow: work, help: "Change to the parent directory.", rfc: "959"},
		{verb: "SMNT", run: (*session).cmdSmnt, arg: argPath, syntax: "<path>", need: needLogin, help: "Not needed here.", rfc: "959"},
		{verb: "REIN", run: (*session).cmdRein, arg: argNone, help: "Log out, and stay connected.", rfc: "959"},
		{verb: "QUIT", run: (*session).cmdQuit, arg: argIgnored, during: quits, help: "End the session, after a running transfer.", rfc: "959"},
	}
}

// RFC 959 4.1.1: a new USER may come at any point "in order to change the access
// control"; it flushes what was known of the user, and "all transfer parameters
// are unchanged".
//
// Where TLS is required, refusing is all that happens: closing the connection was
// too much for some clients (Pure-FTPd 1.0.50). Nothing is told about the user.
//
// RFC 2228 5.1: 232 says that the security data, here the certificate, is enough.
func (s *session) cmdUser(c *call) (wire.Reply, error) {
	if s.cfg.TLS.RequireControl && !s.protected {
		return wire.Reply{}, refuse(530, "TLS is required; send AUTH TLS first.")
	}
	c.after(func() {
		s.logout()
		s.user = c.text
	})
	if s.tls == nil || s.cfg.TLS.Certificate == nil {
		return reply(331, "Password required."), nil
	}
	principal, err := s.cfg.TLS.Certificate(c, s.attempt(c.text, ""))
	if err == nil && principal == nil {
		return reply(331, "Password required."), nil
	}
	r, err := s.enter(c, c.text, principal, err, reply(232, "Logged in by certificate."))
	c.after(func() { s.certified = s.principal != nil })
	return r, err
}

func (s *session) attempt(user, password string) auth.Attempt {
	return auth.Attempt{User: user, Password: password, Remote: s.remote, Local: s.local, Host: s.host, TLS: s.tlsState()}
}

// RFC 959 4.1.1: PASS "must be immediately preceded by the user name command". After
// 232 it is superfluous; clients that pipeline send it all the same.
func (s *session) cmdPass(c *call) (wire.Reply, error) {
	if s.principal != nil && s.certified {
		return reply(202, "No password is needed."), nil
	}
	if s.user == "" || s.principal != nil {
		return wire.Reply{}, refuse(503, "Send USER first.")
	}
	principal, err := s.cfg.Auth.Authenticate(c, s.attempt(s.user, c.text))
	if err == nil && principal == nil {
		err = auth.ErrDenied
	}
	return s.enter(c, s.user, principal, err, reply(230, "Logged in."))
}

// enter is the part of a login behind the decision who it is, or err.
func (s *session) enter(c *call, user string, principal *auth.Principal, err error, welcome wire.Reply) (wire.Reply, error) {
	if errors.Is(err, auth.ErrDenied) {
		return s.denied(c, user, err)
	}
	if err != nil {
		s.log.Error("authenticator failed", "user", user, "err", err)
		return wire.Reply{}, auth.ErrUnavailable
	}
	if principal.RequireTLS && !s.protected {
		return s.denied(c, user, errNeedsTLS)
	}
	if s.srv.abandoned.Load() >= int64(s.cfg.Limits.Abandoned) && s.cfg.Limits.Abandoned > 0 {
		return wire.Reply{}, auth.ErrUnavailable
	}
	profile, err := s.cfg.profile(principal.Profile)
	if err != nil {
		s.log.Error("login not possible", "user", principal.Name, "err", err)
		return wire.Reply{}, auth.ErrUnavailable
	}
	place, ok := s.srv.shares.join(principal.Name, auth.HostOf(s.remote.Addr()), s.sessionLimit(principal), s.sharedRates(principal))
	if !ok {
		c.after(func() { s.log.Warn("login refused: too many sessions of the user", "user", principal.Name) })
		c.after(func() { s.ending, s.harmless = true, true })
		return reply(421, "Too many sessions of this user, try again later."), nil
	}
	fsys, release, err := s.cfg.Open(c, principal)
	if err != nil {
		place.leave()
		s.log.Error("user's file system can't be opened", "user", principal.Name, "err", err)
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
			c.after(func() { s.harmless = true })
			return s.denied(c, user, err)
		}
		return wire.Reply{}, auth.ErrUnavailable
	}
	c.after(func() { s.login(principal, profile, fsys, release, place) })
	c.discards = append(c.discards, func() {
		place.leave()
		if release != nil {
			release()
		}
	})
	return welcome, nil
}

// denied counts a failed login, whose reply is put off; too many end the session. The
// reason is for the log alone.
func (s *session) denied(c *call, user string, reason error) (wire.Reply, error) {
	c.after(func() {
		s.log.Warn("login refused", "user", user, "reason", reason)
		notify(s.cfg.Hooks.LoginFailed, LoginFailed{s.id, s.remote, user, reason})
		s.user = ""
		c.delay = s.cfg.Defence.delay(s.failures)
		s.failures++
		if s.points += pointsPassword; errors.Is(reason, auth.ErrUnknownUser) {
			s.points += pointsUser - pointsPassword
		}
		if limit := s.cfg.Limits.LoginFailures; limit > 0 && s.failures >= limit {
			s.ending = true
		}
	})
	return reply(530, "Login incorrect."), nil
}

// login takes over what PASS found. Guard stands outermost: it is authoritative.
func (s *session) login(p *auth.Principal, profile *Profile, fsys vfs.FS, release func(), place *seat) {
	owner := s.owner(p)
	s.principal = p
	if s.profile = profile; profile.Binary {
		s.typ = 'I'
	}
	fsys = profile.fold(fsys, p.Policy)
	s.visible = vfs.GuardRules(fsys, p.Policy)
	s.fsys = vfs.GuardRules(vfs.ForOwner(fsys, owner, s.cfg.Uploads.ShowStaged), p.Policy)
	s.release = release
	s.cwd = "."
	s.seat = place
	s.up, s.down = place.throttles(p.Rate.Or(s.cfg.Rates.Session))
	s.harmless = true
	s.srv.entered(1)
	s.log = s.log.With("user", p.Name)
	s.log.Info("logged in", "anonymous", p.Anonymous)
	notify(s.cfg.Hooks.Login, Login{s.id, s.remote, p.Name, p.Anonymous, s.protected})
}

// owner is whom interrupted uploads of p belong to; "" keeps none. What follows the name
// can be part of none: a command has no line end.
func (s *session) owner(p *auth.Principal) string {
	switch {
	case p.Anonymous:
		return ""
	case s.cfg.Uploads.ResumeScope == ResumeAddress:
		return p.Name + "\n" + auth.HostOf(s.remote.Addr()).String()
	case s.cfg.Uploads.ResumeScope == ResumeSession:
		return p.Name + "\n" + rand.Text()
	}
	return p.Name
}

// leave gives back what the user holds, and the data connection that was agreed.
func (s *session) leave() {
	if s.release != nil {
		s.release()
		s.release = nil
	}
	if s.seat != nil {
		s.seat.leave()
		s.seat = nil
		s.srv.entered(-1)
	}
	s.setEndpoint(nil)
}

// logout forgets the user.
func (s *session) logout() {
	s.leave()
	s.user, s.principal, s.fsys, s.visible = "", nil, nil, nil
	s.profile, _ = s.cfg.profile("")
	s.certified = false
	s.up, s.down = nil, nil
	s.log = s.connLog
	s.cwd = "."
	s.clearOneShots()
}

// RFC 959 4.1.1: ACCT is for systems that need an account besides the user; 202
// says that this one does not.
func (s *session) cmdAcct(*call) (wire.Reply, error) {
	return reply(202, "No account is needed."), nil
}

// RFC 959 4.1.1: SMNT mounts another file system; 202: all there is is mounted.
func (s *session) cmdSmnt(*call) (wire.Reply, error) {
	return reply(202, "Everything is mounted already."), nil
}

// RFC 959 4.1.1: CDUP "is a special case of CWD", and answers like it.
func (s *session) cmdCwd(c *call) (wire.Reply, error) {
	info, err := s.visible.Stat(c, c.name)
	if err != nil {
		return wire.Reply{}, err
	}
	if !info.IsDir() {
		return wire.Reply{}, vfs.ErrNotDir
	}
	c.after(func() { s.cwd = c.name })
	return replyf(250, "Working directory is %s.", wire.Quote(display(c.name))), nil
}

// RFC 959 4.1.1: REIN flushes all I/O and account information, "except to allow
// any transfer in progress to be completed"; 220 leaves the session as it began.
func (s *session) cmdRein(*call) (wire.Reply, error) {
	s.logout()
	s.host, s.utf8 = "", false // RFC 7151 3.2
	s.parameters = s.defaultParameters()
	s.startLogin()
	return reply(220, "Ready for a new user."), nil
}

// RFC 959 4.1.1: "If file transfer is in progress, the connection will remain
// open for result response and the server will then close it."
func (s *session) cmdQuit(*call) (wire.Reply, error) {
	s.ending = true
	return reply(221, "Goodbye."), nil
}

// setEndpoint agrees on a data connection in place of the one before.
func (s *session) setEndpoint(e dataconn.Endpoint) {
	if s.endpoint != nil {
		s.endpoint.Close()
	}
	s.endpoint = e
}
