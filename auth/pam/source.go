//go:build pam && cgo && (linux || freebsd || darwin)

package pam

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/msteinert/pam/v2"

	"github.com/ftpgate/ftpgate/auth"
)

// Source is an auth.Authenticator. It may be used concurrently.
type Source struct {
	opt   Options
	slots chan struct{}
}

// New checks the options. Errors begin with the name of an option, in small letters.
func New(opt Options) (*Source, error) {
	if opt.Service == "" {
		opt.Service = "ftpgate"
	}
	if strings.ContainsAny(opt.Service, "/\x00") || strings.Trim(opt.Service, ".") == "" {
		return nil, fmt.Errorf("service: %q is not the name of a file in /etc/pam.d", opt.Service)
	}
	if opt.Timeout <= 0 {
		opt.Timeout = 10 * time.Second
	}
	if opt.Concurrency <= 0 {
		opt.Concurrency = 16
	}
	return &Source{opt: opt, slots: make(chan struct{}, opt.Concurrency)}, nil
}

// Authenticate asks PAM.
func (s *Source) Authenticate(ctx context.Context, a auth.Attempt) (*auth.Principal, error) {
	switch {
	case auth.CheckUserName(a.User) != nil:
		return nil, auth.ErrUnknownUser
	case a.Password == "": // pam_unix may have nullok
		return nil, auth.Deny("the password is empty")
	case strings.ContainsRune(a.Password, 0): // C would cut it there
		return nil, auth.Deny("the password has a NUL")
	}
	timeout := fmt.Errorf("no answer within %v", s.opt.Timeout)
	ctx, cancel := context.WithTimeoutCause(ctx, s.opt.Timeout, timeout)
	defer cancel()
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, s.unavailable(fmt.Errorf("%d logins are under way: %w", s.opt.Concurrency, context.Cause(ctx)))
	}
	type answer struct {
		name string
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		defer func() { <-s.slots }()
		name, err := s.transaction(a)
		answers <- answer{name, err}
	}()
	select {
	case got := <-answers:
		return s.verdict(got.name, got.err)
	case <-ctx.Done():
		return nil, s.unavailable(context.Cause(ctx))
	}
}

func (s *Source) unavailable(err error) error {
	return fmt.Errorf("%w: PAM service %s: %w", auth.ErrUnavailable, s.opt.Service, err)
}

// transaction returns the name by which PAM knows the user.
func (s *Source) transaction(a auth.Attempt) (name string, err error) {
	answer := func(style pam.Style, _ string) (string, error) {
		switch style {
		case pam.PromptEchoOff:
			return a.Password, nil
		case pam.PromptEchoOn:
			return a.User, nil
		case pam.TextInfo, pam.ErrorMsg:
			return "", nil
		}
		return "", pam.ErrConv
	}
	var t *pam.Transaction
	if s.opt.ConfDir != "" {
		t, err = pam.StartConfDir(s.opt.Service, a.User, pam.ConversationFunc(answer), s.opt.ConfDir)
	} else {
		t, err = pam.StartFunc(s.opt.Service, a.User, answer)
	}
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, t.End()) }()
	if err := t.SetItem(pam.Tty, "ftp"); err != nil {
		return "", err
	}
	if a.Remote.IsValid() {
		if err := t.SetItem(pam.Rhost, a.Remote.Addr().Unmap().String()); err != nil {
			return "", err
		}
	}
	const flags = pam.Silent | pam.DisallowNullAuthtok
	if err := t.Authenticate(flags); err != nil {
		return "", err
	}
	if err := t.AcctMgmt(flags); err != nil {
		return "", err
	}
	return t.GetItem(pam.User)
}

func (s *Source) verdict(name string, err error) (*auth.Principal, error) {
	var status pam.Error
	errors.As(err, &status)
	switch status {
	case pam.ErrUserUnknown:
		return nil, auth.ErrUnknownUser
	case pam.ErrAuth, pam.ErrPermDenied, pam.ErrCredInsufficient, pam.ErrMaxtries, pam.ErrAcctExpired, pam.ErrNewAuthtokReqd,
		pam.ErrCredExpired, pam.ErrAuthtokExpired, pam.ErrCred:
		return nil, auth.Deny("PAM: " + status.Error())
	}
	if err == nil {
		err = auth.CheckUserName(name)
	}
	if err != nil {
		return nil, s.unavailable(err)
	}
	account := s.opt.Defaults
	account.Name = name
	return account.Admit()
}
