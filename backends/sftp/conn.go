package sftp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// conn is an SSH connection with its SFTP sessions.
type conn struct {
	pool *pool
	line *line
	tcp  net.Conn
	ssh  ssh.Conn
	life context.Context // done when the connection has ended, with the reason
	end  context.CancelCauseFunc

	mu       sync.Mutex
	open     int // sessions of both kinds, also those being opened
	limit    int // how many the server allows
	sessions []*session
	meta     *wire
	opening  chan struct{} // holds a token while meta is being opened
}

// dial connects and logs in. ctx governs only that.
func (p *pool) dial(ctx context.Context) (*conn, error) {
	o := p.opt
	ctx, cancel := context.WithTimeoutCause(ctx, o.tuning.dial, fmt.Errorf("no connection within %v", o.tuning.dial))
	defer cancel()
	check, algorithms, err := o.hostKeys()
	if err != nil {
		return nil, err
	}
	creds, err := o.credentials()
	if err != nil {
		return nil, err
	}
	defer creds.close()
	tcp, err := o.tuning.network(ctx, "tcp", o.address())
	if err != nil {
		return nil, dialError(cancelled(ctx, err))
	}
	stop := context.AfterFunc(ctx, func() { abort(tcp) })
	sshConn, channels, requests, err := ssh.NewClientConn(tcp, o.address(), &ssh.ClientConfig{
		User: o.User, Auth: creds.methods(), HostKeyCallback: check, HostKeyAlgorithms: algorithms, ClientVersion: "SSH-2.0-ftpgate",
	})
	if !stop() && err == nil {
		sshConn.Close()
		err = context.Cause(ctx)
	}
	if err != nil {
		tcp.Close()
		return nil, loginError(cancelled(ctx, err), o, creds)
	}
	c := &conn{pool: p, tcp: tcp, ssh: sshConn, limit: o.tuning.sessions, opening: make(chan struct{}, 1)}
	c.life, c.end = context.WithCancelCause(context.Background())
	p.run(func() { ssh.DiscardRequests(requests) })
	p.run(func() {
		for ch := range channels {
			_ = ch.Reject(ssh.Prohibited, "none is expected")
		}
	})
	p.run(func() {
		_ = sshConn.Wait()
		c.end(errLost)
		tcp.Close()
	})
	p.run(c.keepalive)
	return c, nil
}

// dialError takes off what the net package wraps around an error.
func dialError(err error) error {
	var op *net.OpError
	var dns *net.DNSError
	var sys *os.SyscallError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return fmt.Errorf("the name %s is not known", dns.Name)
	case errors.As(err, &sys):
		return sys.Err
	case errors.As(err, &op):
		return op.Err
	}
	return err
}

// loginError says why the SSH handshake failed.
func loginError(err error, o Options, creds *credentials) error {
	var key *hostKeyError
	switch text := err.Error(); {
	case errors.As(err, &key):
		return key
	case strings.Contains(text, "unable to authenticate"):
		return &loginRefused{fmt.Sprintf("the server does not let %s in with %s: check the user, and that the server accepts that", o.User, strings.Join(creds.tried, ", "))}
	case errors.Is(err, io.EOF):
		return errors.New("the server closed the connection during the login")
	default:
		return errors.New(strings.TrimPrefix(text, "ssh: handshake failed: "))
	}
}

// loginRefused says that the credentials are wrong.
type loginRefused struct{ text string }

func (e *loginRefused) Error() string { return e.text }

// abort closes a connection without delivering what it still has to send, which
// otherwise could reach the server long after somebody else went on with the file.
func abort(tcp net.Conn) {
	if l, ok := tcp.(interface{ SetLinger(sec int) error }); ok {
		_ = l.SetLinger(0)
	}
	tcp.Close()
}

// kill ends the connection for a reason.
func (c *conn) kill(reason error) {
	c.end(reason)
	abort(c.tcp)
}

func (c *conn) alive() bool { return c.life.Err() == nil }

// lost returns why the connection ended if it did, else err.
func (c *conn) lost(err error) error {
	if err != nil && !c.alive() {
		return context.Cause(c.life)
	}
	return err
}

// keepalive asks the server now and then whether it is there, and kills the
// connection if it is silent for too long.
func (c *conn) keepalive() {
	t := time.NewTicker(c.pool.opt.tuning.keepalive)
	defer t.Stop()
	answered := make(chan struct{}, 1)
	for asked, missed := false, 0; ; {
		select {
		case <-c.life.Done():
			return
		case <-answered:
			asked, missed = false, 0
		case <-t.C:
			if !asked {
				asked = true
				c.pool.run(func() {
					// An answer is an answer, also one that knows no such request.
					_, _, _ = c.ssh.SendRequest("keepalive@openssh.com", true, nil)
					answered <- struct{}{}
				})
			} else if missed++; missed >= c.pool.opt.tuning.misses {
				c.kill(errSilent)
				return
			}
		}
	}
}

// errFull says that the server allows no further session on a connection.
var errFull = errors.New("the SFTP server allows no further session")

// channel opens one more SFTP session, if the server then allows keep more.
// Whoever gets it has to call left when it has ended.
func (c *conn) channel(keep int) (ssh.Channel, error) {
	c.mu.Lock()
	if c.open+keep >= c.limit {
		c.mu.Unlock()
		return nil, errFull
	}
	c.open++
	c.mu.Unlock()
	watchdog := time.AfterFunc(c.pool.opt.Timeout, func() { c.kill(errStuck) })
	defer watchdog.Stop()
	ch, requests, err := c.ssh.OpenChannel("session", nil)
	if err != nil {
		c.refused(err)
		return nil, c.sessionError(err)
	}
	c.pool.run(func() { ssh.DiscardRequests(requests) })
	c.pool.run(func() { _, _ = io.Copy(io.Discard, ch.Stderr()) })
	ok, err := ch.SendRequest("subsystem", true, ssh.Marshal(struct{ Name string }{"sftp"}))
	if err == nil && !ok {
		err = errors.New("the server has no SFTP")
	}
	if err != nil {
		ch.Close()
		c.left()
		return nil, c.sessionError(err)
	}
	return ch, nil
}

// refused notes how many sessions the server allows, or that the connection has
// ended.
func (c *conn) refused(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open--
	var full *ssh.OpenChannelError
	switch {
	case !errors.As(err, &full):
		c.kill(errLost)
	case c.open > 0:
		c.limit = c.open
	}
}

func (c *conn) sessionError(err error) error {
	var full *ssh.OpenChannelError
	switch {
	case !c.alive():
		return context.Cause(c.life)
	case errors.As(err, &full):
		return errFull
	case errors.Is(err, io.EOF):
		return errLost
	}
	return err
}

// left notes that a session has ended.
func (c *conn) left() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open--
}

// wire opens a session for requests.
func (c *conn) wire() (*wire, ssh.Channel, error) {
	ch, err := c.channel(0)
	if err != nil {
		return nil, nil, err
	}
	stuck := func() { c.kill(errStuck) }
	watchdog := time.AfterFunc(c.pool.opt.Timeout, stuck)
	defer watchdog.Stop()
	w, err := newWire(ch, c.pool.opt.Timeout, stuck, c.pool.run)
	if err != nil {
		ch.Close()
		c.left()
		return nil, nil, c.lost(err)
	}
	c.pool.run(func() {
		<-w.dead
		ch.Close()
		c.left()
	})
	return w, ch, nil
}

// metadata returns the wire for everything that is no transfer, and opens it if it
// is not there.
func (c *conn) metadata(ctx context.Context) (*wire, error) {
	select {
	case c.opening <- struct{}{}:
		defer func() { <-c.opening }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if c.meta != nil {
		select {
		case <-c.meta.dead:
		default:
			return c.meta, nil
		}
	}
	w, _, err := c.wire()
	if err != nil {
		return nil, err
	}
	c.meta = w
	return w, nil
}
