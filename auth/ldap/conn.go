package ldap

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/ftpgate/ftpgate/auth"
)

// conn is a connection for one login.
type conn struct {
	*ldap.Conn
	stop func() bool
}

// dial connects, with TLS where it is asked for. The connection ends with ctx.
func (s *Source) dial(ctx context.Context, text string) (*conn, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, err
	}
	network, address := "tcp", net.JoinHostPort(u.Hostname(), port(u))
	if u.Scheme == "ldapi" {
		network, address = "unix", u.Path
	}
	// A server that does not answer leaves time for the others.
	dialer := net.Dialer{Timeout: s.opt.Timeout / time.Duration(len(s.opt.URLs))}
	raw, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, &down{err}
	}
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	config := s.opt.TLS.Clone()
	if config == nil {
		config = &tls.Config{}
	}
	config.ServerName = u.Hostname()
	if u.Scheme == "ldaps" {
		secure := tls.Client(raw, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			stop()
			_ = raw.Close()
			return nil, &down{fmt.Errorf("TLS: %w", err)}
		}
		raw = secure
	}
	c := &conn{ldap.NewConn(raw, u.Scheme == "ldaps"), stop}
	c.Start()
	if s.opt.StartTLS && u.Scheme == "ldap" {
		if err := c.StartTLS(config); err != nil {
			c.close()
			return nil, &down{fmt.Errorf("StartTLS: %w", err)}
		}
	}
	return c, nil
}

func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "ldaps":
		return "636"
	}
	return "389"
}

func (c *conn) close() {
	c.stop()
	_ = c.Close()
}

// down is the error of a server instead of which another can be asked.
type down struct{ err error }

func (d *down) Error() string { return d.err.Error() }
func (d *down) Unwrap() error { return d.err }

// isDown reports whether err is of the connection, or the server says that it can't
// answer anybody now.
func isDown(err error) bool {
	var d *down
	return errors.As(err, &d) || ldap.IsErrorAnyOf(err, ldap.ErrorNetwork, ldap.LDAPResultBusy, ldap.LDAPResultUnavailable,
		ldap.LDAPResultServerDown, ldap.LDAPResultConnectError, ldap.LDAPResultTimeout)
}

// serve binds as the service account.
func (c *conn) serve(opt *Options) error {
	if opt.BindDN == "" {
		return nil
	}
	if err := c.Bind(opt.BindDN, opt.BindPassword); err != nil {
		return fmt.Errorf("the service account %s can't log in: %w", opt.BindDN, plain(err))
	}
	return nil
}

// prove binds as a user.
func (c *conn) prove(name, password string) error {
	err := c.Bind(name, password)
	if ldap.IsErrorAnyOf(err, ldap.LDAPResultInvalidCredentials, ldap.LDAPResultInappropriateAuthentication, ldap.LDAPResultInsufficientAccessRights,
		ldap.LDAPResultUnwillingToPerform, ldap.LDAPResultConstraintViolation, ldap.LDAPResultNoSuchObject, ldap.LDAPResultInvalidDNSyntax) {
		return auth.Deny("the directory refused the password or the account: " + plain(err).Error())
	}
	return plain(err)
}

// search finds at most two entries; more are as many as two.
func (c *conn) search(base string, scope int, filter string, attributes ...string) ([]*ldap.Entry, error) {
	result, err := c.Search(ldap.NewSearchRequest(base, scope, ldap.NeverDerefAliases, 2, 0, false, filter, attributes, nil))
	if ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) && result != nil && len(result.Entries) > 1 {
		return result.Entries, nil
	}
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultReferral):
		return nil, errors.New("the server refers to another one; name that one in the URLs")
	case err != nil:
		return nil, fmt.Errorf("searching %s: %w", base, plain(err))
	}
	return result.Entries, nil
}

// plain is an error of a request on one line: Active Directory ends its texts with NUL.
func plain(err error) error {
	var e *ldap.Error
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &e): // the server did not say it
		return &down{err}
	case e.Err == nil:
		return err
	}
	text := strings.Map(func(r rune) rune {
		if r < ' ' {
			return -1
		}
		return r
	}, e.Err.Error())
	return &ldap.Error{Err: errors.New(text), ResultCode: e.ResultCode}
}
