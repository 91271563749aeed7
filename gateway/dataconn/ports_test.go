package dataconn

import (
	"errors"
	"testing"
)

// A client that is late with its connection finds nobody, and not the listener of
// another session, for as long as other ports are free.
func TestPortsComeBackLast(t *testing.T) {
	p := NewPorts(PortRange{From: 50000, To: 50009})
	first, err := p.Take()
	if err != nil {
		t.Fatal(err)
	}
	p.Put(first)
	seen := map[uint16]bool{}
	for range p.Size() - 1 {
		port, err := p.Take()
		if err != nil || port == first || seen[port] || port < 50000 || port > 50009 {
			t.Fatalf("%d, %v; %d was given back, and %v are out", port, err, first, seen)
		}
		seen[port] = true
	}
	if port, err := p.Take(); port != first || err != nil {
		t.Errorf("the last port is %d, %v, want %d", port, err, first)
	}
	if _, err := p.Take(); !errors.Is(err, ErrExhausted) {
		t.Errorf("%v", err)
	}
	p.Put(first)
	if n := p.Free(); n != 1 {
		t.Errorf("%d are free", n)
	}
}
