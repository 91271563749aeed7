// Package exec asks a program of the operator's who may log in. The program is run
// without a shell; it reads an [auth.HookRequest] from its standard input, never from its arguments, which
// other users of the machine can read. Its exit status is the verdict:
//
//	0  the password is right; standard output may hold settings, as in [auth.HookAnswer]
//	1  the password is wrong, or the user may not log in
//	2  the user is unknown: the next source is asked
//
// Any other status, a signal, too much output and a time-out mean that the source can't be
// asked.
package exec

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/ftpgate/ftpgate/auth"
)

// Options say which program is run, and how.
type Options struct {
	// Command is the program, as an absolute path, and its arguments.
	Command []string
	// Timeout bounds one run; 0: 5 s. Then the program and what it started are killed.
	Timeout time.Duration
	// Concurrency is how many run at once; 0: 16. Further logins wait.
	Concurrency int
	// Defaults are what the program does not say of a user.
	Defaults auth.Account
}

// Exit statuses of the program.
const (
	statusDenied  = 1
	statusUnknown = 2
)

// maxOutput bounds what a program may print, in bytes, to either stream.
const maxOutput = 64 << 10

// environment is all that the program gets of it.
func environment() []string {
	return []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"}
}

// Source is an auth.Authenticator. It may be used concurrently.
type Source struct {
	opt   Options
	slots chan struct{}
}

// New checks that the program is there. Errors begin with the name of an option, in
// small letters.
func New(opt Options) (*Source, error) {
	switch {
	case len(opt.Command) == 0:
		return nil, errors.New("command: there is no program")
	case !filepath.IsAbs(opt.Command[0]):
		return nil, fmt.Errorf("command: %q is not an absolute path", opt.Command[0])
	}
	if _, err := exec.LookPath(opt.Command[0]); err != nil {
		return nil, fmt.Errorf("command: %w", err)
	}
	if opt.Timeout <= 0 {
		opt.Timeout = 5 * time.Second
	}
	if opt.Concurrency <= 0 {
		opt.Concurrency = 16
	}
	return &Source{opt: opt, slots: make(chan struct{}, opt.Concurrency)}, nil
}

// Authenticate runs the program.
func (s *Source) Authenticate(ctx context.Context, a auth.Attempt) (*auth.Principal, error) {
	request, err := auth.HookRequest(a)
	if err != nil {
		return nil, err
	}
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, s.unavailable(fmt.Errorf("waiting for one of %d runs to end: %w", s.opt.Concurrency, context.Cause(ctx)))
	}
	defer func() { <-s.slots }()
	stdout, stderr, err := s.run(ctx, request)
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() == statusDenied:
		return nil, auth.Deny("the program refused: " + firstLine(stderr))
	case errors.As(err, &exit) && exit.ExitCode() == statusUnknown:
		return nil, auth.ErrUnknownUser
	case err != nil:
		if line := firstLine(stderr); line != "" {
			err = fmt.Errorf("%w: %s", err, line)
		}
		return nil, s.unavailable(err)
	}
	account, err := auth.HookAnswer(stdout, a.User, s.opt.Defaults)
	if err != nil {
		return nil, s.unavailable(err)
	}
	return account.Admit()
}

func (s *Source) unavailable(err error) error {
	return fmt.Errorf("%w: %s: %w", auth.ErrUnavailable, s.opt.Command[0], err)
}

// run runs the program to its end, or kills it and what it started.
func (s *Source) run(ctx context.Context, request []byte) (stdout, stderr []byte, err error) {
	timeout := fmt.Errorf("it did not end within %v", s.opt.Timeout)
	ctx, stop := context.WithTimeoutCause(ctx, s.opt.Timeout, timeout)
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	cmd := exec.CommandContext(ctx, s.opt.Command[0], s.opt.Command[1:]...)
	cmd.Env, cmd.Dir = environment(), "/"
	cmd.Stdin = bytes.NewReader(request)
	out, errs := &bounded{cancel: cancel}, &bounded{cancel: cancel}
	cmd.Stdout, cmd.Stderr = out, errs
	// Whoever else holds the pipes after the end of the program is not waited for.
	cmd.WaitDelay = time.Second
	ownGroup(cmd)
	err = cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		killGroup(cmd)
		err = errors.New("it ended, but something that it started keeps its output open")
	}
	if cause := context.Cause(ctx); cause != nil && err != nil {
		err = cause
	}
	return out.kept, errs.kept, err
}

// bounded keeps output, and ends the program when there is too much.
type bounded struct {
	kept   []byte
	cancel context.CancelCauseFunc
}

func (b *bounded) Write(p []byte) (int, error) {
	if len(b.kept)+len(p) > maxOutput {
		b.cancel(fmt.Errorf("it printed more than %d KiB", maxOutput>>10))
		return 0, errors.New("too much output")
	}
	b.kept = append(b.kept, p...)
	return len(p), nil
}

// firstLine is the beginning of what the program complained about, for the log.
func firstLine(b []byte) string {
	const most = 200
	line, _, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	return strings.ToValidUTF8(line[:min(len(line), most)], "?")
}
