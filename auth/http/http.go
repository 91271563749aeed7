// Package http asks a web service of the operator's who may log in. It posts an
// [auth.HookRequest]; the status of the answer is the verdict:
//
//	200       the password is right; the body may hold settings, as in [auth.HookAnswer]
//	401, 403  the password is wrong, or the user may not log in
//	404       the user is unknown: the next source is asked
//
// Anything else, redirects among it, a body that is too long or makes no sense, and a
// time-out mean that the source can't be asked.
package http

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/ftpgate/ftpgate/auth"
)

// Options say what is asked, and how.
type Options struct {
	// URL begins with https://, or with http:// and an address of this machine.
	URL string
	// Token is sent as "Authorization: Bearer", unless it is empty.
	Token string
	// TLS has the authorities and the certificate of this client; nil: those of the
	// system, and none.
	TLS *tls.Config
	// Timeout bounds one question; 0: 5 s.
	Timeout time.Duration
	// Concurrency is how many connections there are at most; 0: 16. Further logins wait.
	Concurrency int
	// Defaults are what the service does not say of a user.
	Defaults auth.Account
}

// maxBody bounds an answer, in bytes.
const maxBody = 64 << 10

// Source is an auth.Authenticator. It may be used concurrently.
type Source struct {
	opt    Options
	client *http.Client
}

// CheckURL returns nil if passwords may be sent to that URL.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return fmt.Errorf("%q is not a URL such as https://accounts.example.org/login", text)
	case u.User != nil:
		return errors.New("the URL holds a user name or a password; send a token instead")
	case u.Fragment != "":
		return fmt.Errorf("%q ends with a fragment, which is never sent", text)
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return fmt.Errorf("%q would send passwords in clear; write https", text)
	case u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("%q is not a URL that begins with https://", text)
	}
	return nil
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// New checks the URL; it does not connect. Errors begin with the name of an option,
// in small letters.
func New(opt Options) (*Source, error) {
	if err := CheckURL(opt.URL); err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	if opt.Timeout <= 0 {
		opt.Timeout = 5 * time.Second
	}
	if opt.Concurrency <= 0 {
		opt.Concurrency = 16
	}
	transport := &http.Transport{
		DialContext:            (&net.Dialer{Timeout: opt.Timeout}).DialContext,
		TLSClientConfig:        opt.TLS.Clone(),
		TLSHandshakeTimeout:    opt.Timeout,
		ForceAttemptHTTP2:      true,
		MaxConnsPerHost:        opt.Concurrency,
		MaxIdleConnsPerHost:    opt.Concurrency,
		IdleConnTimeout:        time.Minute,
		MaxResponseHeaderBytes: maxBody,
	}
	return &Source{opt: opt, client: &http.Client{
		Transport: transport,
		// A redirect would send the password to somebody else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Close closes idle connections.
func (s *Source) Close() error {
	s.client.CloseIdleConnections()
	return nil
}

// Authenticate asks the service.
func (s *Source) Authenticate(ctx context.Context, a auth.Attempt) (*auth.Principal, error) {
	request, err := auth.HookRequest(a)
	if err != nil {
		return nil, err
	}
	timeout := fmt.Errorf("no answer within %v", s.opt.Timeout)
	ctx, cancel := context.WithTimeoutCause(ctx, s.opt.Timeout, timeout)
	defer cancel()
	status, body, err := s.post(ctx, request)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, s.unavailable(err)
	}
	switch status {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden:
		return nil, auth.Deny(fmt.Sprintf("the service answered %d", status))
	case http.StatusNotFound:
		return nil, auth.ErrUnknownUser
	default:
		return nil, s.unavailable(fmt.Errorf("status %d, not 200, 401, 403 or 404", status))
	}
	account, err := auth.HookAnswer(body, a.User, s.opt.Defaults)
	if err != nil {
		return nil, s.unavailable(err)
	}
	return account.Admit()
}

func (s *Source) unavailable(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		err = e.Err
	}
	return fmt.Errorf("%w: %s: %w", auth.ErrUnavailable, s.opt.URL, err)
}

func (s *Source) post(ctx context.Context, request []byte) (status int, body []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.opt.URL, bytes.NewReader(request))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "ftpgate")
	if s.opt.Token != "" {
		r.Header.Set("Authorization", "Bearer "+s.opt.Token)
	}
	response, err := s.client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(io.LimitReader(response.Body, maxBody+1))
	if err == nil && len(body) > maxBody {
		err = fmt.Errorf("the answer is longer than %d KiB", maxBody>>10)
	}
	return response.StatusCode, body, err
}
