package sftp

import (
	"encoding/binary"
	"io"
	"net"
	"slices"
	"sync"
)

// verdict is what becomes of a request.
type verdict uint8

const (
	pass    verdict = iota
	swallow         // it is not done, and not answered
	lose            // it is done, and the connection breaks before the answer
	refuse          // it is not done, and answered by a bare failure
	deny            // the same with a lack of permission
)

// faults stands between the clients and the SFTP server and judges each request.
type faults struct {
	server *server

	mu     sync.Mutex
	judge  func(kind byte, body []byte) verdict
	hidden []string // extensions that are not told
	seen   []byte   // kinds of requests
}

// faulty makes the server's sessions faulty.
func (s *server) faulty() *faults {
	f := &faults{server: s}
	s.sftp = f.serve
	return f
}

// set makes judge decide from now on; nil: everything passes. Requests are counted
// anew.
func (f *faults) set(judge func(kind byte, body []byte) verdict) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.judge, f.seen = judge, nil
}

// once gives the verdict on the first request of the kind, and lets all others
// pass.
func (f *faults) once(kind byte, v verdict) {
	var done bool
	f.set(func(k byte, _ []byte) verdict {
		if k != kind || done {
			return pass
		}
		done = true
		return v
	})
}

// count is how many requests of the kind came since set.
func (f *faults) count(kind byte) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, k := range f.seen {
		if k == kind {
			n++
		}
	}
	return n
}

func (f *faults) decide(kind byte, body []byte) verdict {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = append(f.seen, kind)
	if f.judge == nil {
		return pass
	}
	return f.judge(kind, body)
}

// serve runs a real server behind the judgement.
func (f *faults) serve(client io.ReadWriteCloser) {
	near, far := net.Pipe()
	var tasks sync.WaitGroup
	tasks.Go(func() {
		serveSFTP(far)
		far.Close()
	})
	var mu sync.Mutex // of writes to the client
	lost := map[uint32]bool{}
	tasks.Go(func() {
		defer near.Close()
		for {
			packet, err := readPacket(near)
			if err != nil {
				return
			}
			if packet[4] == packetVersion {
				packet = f.hide(packet)
			}
			mu.Lock()
			gone := len(packet) >= 9 && lost[binary.BigEndian.Uint32(packet[5:])]
			if gone {
				f.server.cut()
			} else {
				_, err = client.Write(packet)
			}
			mu.Unlock()
			if err != nil || gone {
				client.Close()
				return
			}
		}
	})
	for {
		packet, err := readPacket(client)
		if err != nil {
			break
		}
		var v verdict
		if len(packet) >= 9 {
			v = f.decide(packet[4], packet[9:])
		}
		switch v {
		case swallow:
			continue
		case lose:
			mu.Lock()
			lost[binary.BigEndian.Uint32(packet[5:])] = true
			mu.Unlock()
		case refuse, deny:
			code := uint32(statusFailure)
			if v == deny {
				code = statusDenied
			}
			answer := newRequest(packetStatus).u32(code).str("Failure").str("")
			mu.Lock()
			_, _ = client.Write(answer.seal(binary.BigEndian.Uint32(packet[5:])))
			mu.Unlock()
			continue
		}
		if _, err := near.Write(packet); err != nil {
			break
		}
	}
	near.Close()
	tasks.Wait()
}

func readPacket(r io.Reader) ([]byte, error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	packet := append(head, make([]byte, binary.BigEndian.Uint32(head))...)
	_, err := io.ReadFull(r, packet[4:])
	return packet, err
}

// hide takes extensions out of the server's greeting.
func (f *faults) hide(packet []byte) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := answer{b: packet[9:]}
	kept := slices.Clone(packet[:9])
	for len(a.b) > 0 {
		name, data := a.str(), a.str()
		if !slices.Contains(f.hidden, name) {
			r := request{kept}
			kept = r.str(name).str(data).b
		}
	}
	binary.BigEndian.PutUint32(kept, uint32(len(kept)-4))
	return kept
}
