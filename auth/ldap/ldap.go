// Package ldap asks a directory server, such as OpenLDAP or Active Directory, who
// may log in (RFC 4511). The server checks the password, by a simple bind as the user; it is asked
// either way:
//
//   - Search and bind: the entry of the user is looked for, by a service account or
//     anonymously, and the bind is that of the entry found.
//   - Direct bind: the name to bind as follows from a template, and the entry is read
//     by the user.
//
// Each login has a connection of its own. Referrals are not followed: nobody but the
// servers given ever sees a password. An empty password is never sent, because a
// bind with one succeeds and proves nothing (RFC 4513 5.1.2).
package ldap

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"

	"github.com/ftpgate/ftpgate/auth"
)

// Options say what is asked, and how. DNs and filters are those of RFC 4514 and 4515;
// in templates, {user} stands for the name of the user, escaped.
type Options struct {
	// URLs are as in CheckURL. The first one that answers is asked, and from then on
	// before the others.
	URLs []string
	// StartTLS protects connections to ldap:// URLs.
	StartTLS bool
	// ClearText allows to send passwords without TLS to other machines.
	ClearText bool
	// TLS has the authorities; nil: those of the system.
	TLS *tls.Config
	// Timeout bounds one login; 0: 5 s.
	Timeout time.Duration
	// Concurrency is how many connections there are at most; 0: 16. Further logins wait.
	Concurrency int

	// BindDN and BindPassword are the service account; empty: the search is anonymous.
	BindDN, BindPassword string
	// UserDN is the template of the name to bind as: a DN, or what else the server
	// understands, such as {user}@example.org. Empty: search and bind.
	UserDN string
	// Base is where users are looked for, in the whole tree below. With a UserDN that is
	// a DN it may be empty: the user has the entry of that name.
	Base string
	// Filter is the template of what the entry must match; empty: ({UserAttribute}={user}).
	Filter string
	// UserAttribute holds the name of the user as it is really spelled; empty: uid.
	UserAttribute string
	// Groups are the DNs of groups, one of which must have the user, by member,
	// uniqueMember or memberUid; empty: none is needed.
	Groups []string
	// Attributes are the names of attributes by the setting (see auth.Account.Set) that
	// they hold. Attributes that are missing say nothing.
	Attributes map[string]string
	// Defaults are what the directory does not say of a user.
	Defaults auth.Account
}

// Source is an auth.Authenticator and an auth.Rechecker. It may be used concurrently.
type Source struct {
	opt   Options
	first atomic.Int32 // the URL that answered last
	slots chan struct{}
}

// New checks the options; it does not connect. Errors begin with the name of an
// option, in small letters.
func New(opt Options) (*Source, error) {
	if opt.UserAttribute == "" {
		opt.UserAttribute = "uid"
	}
	if err := opt.check(); err != nil {
		return nil, err
	}
	if opt.Filter == "" {
		opt.Filter = "(" + opt.UserAttribute + "=" + userMark + ")"
	}
	if opt.Timeout <= 0 {
		opt.Timeout = 5 * time.Second
	}
	if opt.Concurrency <= 0 {
		opt.Concurrency = 16
	}
	return &Source{opt: opt, slots: make(chan struct{}, opt.Concurrency)}, nil
}

// Authenticate asks the servers.
func (s *Source) Authenticate(ctx context.Context, a auth.Attempt) (p *auth.Principal, err error) {
	switch {
	case auth.CheckUserName(a.User) != nil, !utf8.ValidString(a.User):
		return nil, auth.ErrUnknownUser
	case a.Password == "":
		return nil, auth.Deny("the password is empty")
	}
	err = s.ask(ctx, func(c *conn) (err error) {
		p, err = s.login(c, a)
		return err
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Probe connects and looks whether the service account may read the base.
func (s *Source) Probe(ctx context.Context) error {
	return s.ask(ctx, func(c *conn) error {
		if s.opt.UserDN != "" {
			return nil
		}
		if err := c.serve(&s.opt); err != nil {
			return err
		}
		_, err := c.search(s.opt.Base, ldap.ScopeBaseObject, "(objectClass=*)", "1.1")
		return err
	})
}

// ask runs what needs a connection on the first server that works. Errors are
// those of an Authenticator.
func (s *Source) ask(ctx context.Context, run func(*conn) error) error {
	timeout := fmt.Errorf("no answer within %v", s.opt.Timeout)
	ctx, cancel := context.WithTimeoutCause(ctx, s.opt.Timeout, timeout)
	defer cancel()
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return fmt.Errorf("%w: waiting for a connection: %w", auth.ErrUnavailable, context.Cause(ctx))
	}
	var failures []error
	first := int(s.first.Load())
	for i := range s.opt.URLs {
		at := (first + i) % len(s.opt.URLs)
		err := s.askServer(ctx, s.opt.URLs[at], run)
		if err == nil || errors.Is(err, auth.ErrDenied) {
			s.first.Store(int32(at))
			return err
		}
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		failures = append(failures, fmt.Errorf("%s: %w", s.opt.URLs[at], err))
		if ctx.Err() != nil || !isDown(err) {
			break
		}
	}
	return fmt.Errorf("%w: %w", auth.ErrUnavailable, &unreachable{failures})
}

// unreachable are errors of several servers on one line.
type unreachable struct{ errs []error }

func (u *unreachable) Error() string {
	var all []string
	for _, err := range u.errs {
		all = append(all, err.Error())
	}
	return strings.Join(all, "; ")
}

func (u *unreachable) Unwrap() []error { return u.errs }

func (s *Source) askServer(ctx context.Context, url string, run func(*conn) error) error {
	c, err := s.dial(ctx, url)
	if err != nil {
		return err
	}
	defer c.close()
	return run(c)
}

// login is one login on a new connection. Everything that can be asked is asked
// before the password, so that a refusal costs the same whatever its reason.
func (s *Source) login(c *conn, a auth.Attempt) (*auth.Principal, error) {
	opt := &s.opt
	dn := ""
	if opt.UserDN != "" {
		name, err := opt.userDN(a.User)
		if err != nil {
			return nil, err
		}
		if err := c.prove(name, a.Password); err != nil {
			return nil, err
		}
		dn = name
	} else if err := c.serve(opt); err != nil {
		return nil, err
	}
	entry, err := s.find(c, a.User, dn)
	if err != nil {
		return nil, err
	}
	admit, err := s.judge(c, a.User, entry)
	if err != nil {
		return nil, err
	}
	if opt.UserDN == "" {
		if err := c.prove(entry.DN, a.Password); err != nil {
			return nil, err
		}
	}
	return admit()
}

// judge asks for all about the user of an entry but the password; what admit returns
// is for one who has proved to be that user.
func (s *Source) judge(c *conn, user string, entry *ldap.Entry) (admit func() (*auth.Principal, error), err error) {
	account, err := s.opt.account(user, entry)
	if err != nil {
		return nil, err
	}
	member, err := s.isMember(c, entry.DN, account.Name)
	if err != nil {
		return nil, err
	}
	if !member {
		return func() (*auth.Principal, error) { return nil, auth.Deny("the user is in none of the groups") }, nil
	}
	return account.Admit, nil
}

// Recheck implements auth.Rechecker by the service account. With a UserDN only the
// user could ask, and with a filter that does not know users by the UserAttribute only
// who logged in: then it can't tell.
func (s *Source) Recheck(ctx context.Context, p *auth.Principal) error {
	switch {
	case p.Anonymous:
		return auth.ErrUnknownUser
	case s.opt.UserDN != "":
		return errors.ErrUnsupported
	}
	unsure := false
	err := s.ask(ctx, func(c *conn) error {
		if err := c.serve(&s.opt); err != nil {
			return err
		}
		entry, err := s.find(c, p.Name, "")
		if errors.Is(err, auth.ErrUnknownUser) {
			others, serr := c.search(s.opt.Base, ldap.ScopeWholeSubtree, "("+s.opt.UserAttribute+"="+ldap.EscapeFilter(p.Name)+")", "1.1")
			unsure = len(others) > 0 && !s.opt.byAttribute()
			if unsure || serr != nil {
				return serr
			}
		}
		if err != nil {
			return err
		}
		admit, err := s.judge(c, p.Name, entry)
		if err == nil {
			_, err = admit()
		}
		return err
	})
	if unsure {
		return errors.ErrUnsupported
	}
	return err
}

// byAttribute reports whether the filter asks for the UserAttribute, so that it finds
// whoever it found at the login.
func (o *Options) byAttribute() bool {
	return strings.Contains(strings.ToLower(o.Filter), strings.ToLower("("+o.UserAttribute+"="+userMark+")"))
}

// find is the entry of a user; dn is what was bound as, if anything.
func (s *Source) find(c *conn, user, dn string) (*ldap.Entry, error) {
	opt := &s.opt
	base, scope, filter := opt.Base, ldap.ScopeWholeSubtree, strings.ReplaceAll(opt.Filter, userMark, ldap.EscapeFilter(user))
	if base == "" {
		base, scope, filter = dn, ldap.ScopeBaseObject, "(objectClass=*)"
	}
	entries, err := c.search(base, scope, filter, opt.wanted()...)
	switch {
	case err != nil:
		return nil, err
	case len(entries) > 1:
		return nil, fmt.Errorf("the filter finds several entries for user %q", user)
	case len(entries) == 1:
		return entries[0], nil
	case dn == "":
		return nil, auth.ErrUnknownUser
	case opt.Base == "":
		return nil, fmt.Errorf("%q may not read their own entry, which is needed for the spelling of the name", dn)
	}
	return nil, auth.Deny("the user has no entry that the filter finds")
}

func (s *Source) isMember(c *conn, dn, name string) (bool, error) {
	filter := fmt.Sprintf("(|(member=%[1]s)(uniqueMember=%[1]s)(memberUid=%[2]s))", ldap.EscapeFilter(dn), ldap.EscapeFilter(name))
	for _, group := range s.opt.Groups {
		entries, err := c.search(group, ldap.ScopeBaseObject, filter, "1.1")
		if err != nil {
			return false, fmt.Errorf("group %s: %w", group, err)
		}
		if len(entries) > 0 {
			return true, nil
		}
	}
	return len(s.opt.Groups) == 0, nil
}
