package dataconn

import (
	"errors"
	"math/rand/v2"
	"sync"
)

// ErrExhausted says that every passive port is in use.
var ErrExhausted = errors.New("no passive port is free")

// Ports hands out the ports of a range. A port that comes back is the last to be
// handed out again, so that a client that is late with its connection does not
// meet another session's listener; the first order is random, so that nobody can
// guess the next port. It may be used concurrently.
type Ports struct {
	mu   sync.Mutex
	free []uint16 // a ring: the oldest at head
	head int
	n    int
}

// NewPorts returns the pool of r; the zero value means DefaultPorts.
func NewPorts(r PortRange) *Ports {
	if (r == PortRange{}) {
		r = DefaultPorts
	}
	p := &Ports{free: make([]uint16, r.Size()), n: r.Size()}
	for i := range p.free {
		p.free[i] = r.From + uint16(i)
	}
	rand.Shuffle(p.n, func(i, j int) { p.free[i], p.free[j] = p.free[j], p.free[i] })
	return p
}

// Take returns the port that has been free for longest.
func (p *Ports) Take() (uint16, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.n == 0 {
		return 0, ErrExhausted
	}
	port := p.free[p.head]
	p.head = (p.head + 1) % len(p.free)
	p.n--
	return port, nil
}

// Put gives a port back.
func (p *Ports) Put(port uint16) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free[(p.head+p.n)%len(p.free)] = port
	p.n++
}

// Free is how many ports can be taken.
func (p *Ports) Free() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.n
}

// Size is how many ports there are.
func (p *Ports) Size() int { return len(p.free) }
