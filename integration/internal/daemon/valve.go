package daemon

import (
	"net"
	"sync"
)

// Valve is a TCP proxy that can be shut: bytes then wait, in both directions, as
// in front of a store that hangs. Its methods may be called concurrently.
type Valve struct {
	listener net.Listener
	target   string
	mu       sync.Mutex
	open     chan struct{} // closed while bytes may pass
	conns    map[net.Conn]bool
	wg       sync.WaitGroup
}

// NewValve starts an open valve in front of the address target.
func NewValve(target string) (*Valve, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(Loopback().String(), "0"))
	if err != nil {
		return nil, err
	}
	v := &Valve{listener: l, target: target, open: make(chan struct{}), conns: map[net.Conn]bool{}}
	close(v.open)
	v.wg.Go(v.serve)
	return v, nil
}

// Addr is where to connect.
func (v *Valve) Addr() string { return v.listener.Addr().String() }

// Shut lets no more bytes pass.
func (v *Valve) Shut() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.open = make(chan struct{})
}

// Open lets them pass again.
func (v *Valve) Open() {
	v.mu.Lock()
	defer v.mu.Unlock()
	close(v.open)
}

// Close ends all connections. The valve must be open.
func (v *Valve) Close() {
	v.listener.Close()
	v.mu.Lock()
	for c := range v.conns {
		c.Close()
	}
	v.mu.Unlock()
	v.wg.Wait()
}

func (v *Valve) serve() {
	for {
		client, err := v.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", v.target)
		if err != nil {
			client.Close()
			continue
		}
		v.mu.Lock()
		v.conns[client], v.conns[server] = true, true
		v.mu.Unlock()
		v.wg.Go(func() { v.pass(server, client) })
		v.wg.Go(func() { v.pass(client, server) })
	}
}

// pass copies until one side ends, then ends both.
func (v *Valve) pass(to, from net.Conn) {
	defer func() {
		to.Close()
		from.Close()
		v.mu.Lock()
		delete(v.conns, to)
		delete(v.conns, from)
		v.mu.Unlock()
	}()
	for buffer := make([]byte, 64<<10); ; {
		n, err := from.Read(buffer)
		v.mu.Lock()
		open := v.open
		v.mu.Unlock()
		<-open
		if _, werr := to.Write(buffer[:n]); err != nil || werr != nil {
			return
		}
	}
}
