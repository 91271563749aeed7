// Package link is a TCP proxy that behaves like a bad network: it delays, it is slow,
// it falls silent and it breaks.
package link

import (
	"io"
	"net"
	"sync"
	"time"
)

// Options say how the link behaves; the zero value hands everything on at once.
type Options struct {
	Delay time.Duration // one way
	Rate  int64         // bytes a second each way; 0: as fast as it can
}

// queue is how long a byte waits at most before a slow link, which keeps it busy also
// on a busy machine.
const queue = 40 * time.Millisecond

// Proxy hands connections on to another address. Its methods may be called
// concurrently.
type Proxy struct {
	opt      Options
	to       string
	listener net.Listener
	tasks    sync.WaitGroup

	mu     sync.Mutex
	pairs  map[*pair]bool
	passed int64         // bytes to the server
	budget int64         // bytes to the server until the link breaks; <0: endless
	silent chan struct{} // closed while bytes pass
}

// pair is a connection and the one that goes on from it.
type pair struct{ client, server *net.TCPConn }

func (p *pair) cut() {
	for _, c := range []*net.TCPConn{p.client, p.server} {
		_ = c.SetLinger(0)
		c.Close()
	}
}

// New listens on a free loopback port until Close.
func New(to string, opt Options) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{opt: opt, to: to, listener: l, pairs: map[*pair]bool{}, budget: -1, silent: make(chan struct{})}
	close(p.silent)
	p.tasks.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.tasks.Go(func() { p.serve(c.(*net.TCPConn)) })
		}
	})
	return p, nil
}

// Port is where it listens, on 127.0.0.1.
func (p *Proxy) Port() int { return p.listener.Addr().(*net.TCPAddr).Port }

// Close ends it with all connections.
func (p *Proxy) Close() {
	p.listener.Close()
	p.Speak()
	p.Cut()
	p.tasks.Wait()
}

// Cut breaks all connections.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for pair := range p.pairs {
		pair.cut()
	}
}

// CutAfter breaks all connections once n more bytes passed to the server, and then
// hands everything on again.
func (p *Proxy) CutAfter(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.budget = n
}

// Silence keeps all bytes back, so that both sides see an open connection on which
// nothing comes; Speak hands them on.
func (p *Proxy) Silence() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.silent:
		p.silent = make(chan struct{})
	default:
	}
}

// Speak ends Silence.
func (p *Proxy) Speak() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.silent:
	default:
		close(p.silent)
	}
}

// Passed is how many bytes went to the server so far.
func (p *Proxy) Passed() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.passed
}

func (p *Proxy) serve(client *net.TCPConn) {
	defer client.Close()
	conn, err := net.Dial("tcp", p.to)
	if err != nil {
		_ = client.SetLinger(0)
		return
	}
	server := conn.(*net.TCPConn)
	defer server.Close()
	both := &pair{client, server}
	p.mu.Lock()
	p.pairs[both] = true
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.pairs, both)
		p.mu.Unlock()
	}()
	var ways sync.WaitGroup
	ways.Go(func() { p.carry(server, client, true) })
	ways.Go(func() { p.carry(client, server, false) })
	ways.Wait()
}

// parcel is what was read at a time.
type parcel struct {
	data []byte
	due  time.Time
}

// carry hands on from one side to the other.
func (p *Proxy) carry(to, from *net.TCPConn, up bool) {
	// What is on its way is bounded by the delay times the rate, or by this.
	way := make(chan parcel, 4096)
	var writer sync.WaitGroup
	writer.Go(func() {
		for b := range way {
			time.Sleep(time.Until(b.due))
			p.mu.Lock()
			silent := p.silent
			p.mu.Unlock()
			<-silent
			if up && !p.spend(len(b.data)) {
				continue
			}
			if _, err := to.Write(b.data); err != nil {
				from.CloseRead()
			}
		}
		_ = to.CloseWrite()
	})
	var free time.Time // when the link has room for the next parcel
	for {
		buf := make([]byte, 16<<10)
		n, err := from.Read(buf)
		if n > 0 {
			now := time.Now()
			if free.Before(now) {
				free = now
			}
			if p.opt.Rate > 0 {
				free = free.Add(time.Duration(float64(n) / float64(p.opt.Rate) * float64(time.Second)))
				time.Sleep(time.Until(free) - queue)
			}
			way <- parcel{buf[:n], free.Add(p.opt.Delay)}
		}
		if err != nil {
			if err != io.EOF {
				_ = to.SetLinger(0)
			}
			break
		}
	}
	close(way)
	writer.Wait()
}

// spend counts n bytes to the server and reports whether they may pass.
func (p *Proxy) spend(n int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.passed += int64(n)
	if p.budget < 0 {
		return true
	}
	if p.budget -= int64(n); p.budget > 0 {
		return true
	}
	p.budget = -1
	for pair := range p.pairs {
		pair.cut()
	}
	return false
}
