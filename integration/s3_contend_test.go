package integration

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/ftpgate/ftpgate/integration/internal/control"
	"github.com/ftpgate/ftpgate/integration/internal/daemon"
)

// sender is a session that stores one file in pieces.
type sender struct {
	t    *testing.T
	c    *control.Conn
	data net.Conn
}

// begin logs in and begins an upload.
func begin(t *testing.T, g *daemon.Gateway, user string, commands ...string) *sender {
	t.Helper()
	c, err := control.Dial(g.Addr.String(), user, daemon.Password)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	last := len(commands) - 1
	for _, command := range commands[:last] {
		if err := c.Send(command); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Expect("2", "3"); err != nil {
			t.Fatalf("%s: %v", command, err)
		}
	}
	data, err := c.Open(commands[last])
	if err != nil {
		t.Fatalf("%s: %v", commands[last], err)
	}
	t.Cleanup(func() { data.Close() })
	return &sender{t, c, data}
}

func (s *sender) send(data []byte) {
	s.t.Helper()
	s.data.SetDeadline(time.Now().Add(patience))
	if _, err := s.data.Write(data); err != nil {
		s.t.Fatal(err)
	}
}

// end ends the file and returns the reply.
func (s *sender) end() string {
	s.t.Helper()
	s.data.Close()
	reply, err := s.c.Expect("226", "4")
	if err != nil {
		s.t.Fatal(err)
	}
	return reply
}

// TestS3Contention lets two sessions store one key at the same time: two users, or one on
// two devices, through one gateway or two. Nobody has to wait for the other, readers see
// nothing but whole files, and what was committed last stays.
func TestS3Contention(t *testing.T) {
	r := newRoom(t)
	gateways := []*daemon.Gateway{r.gateway(shared.ftpgate), r.gateway(shared.ftpgate)}
	const size = smallPart + 300_000
	for i, c := range []struct {
		name         string
		user         string // the second one's
		gateway      int    // the second one's
		secondIsLast bool
	}{
		{"two users, the second is last", daemon.Other, 1, true},
		{"two users, the first is last", daemon.Other, 1, false},
		{"two users on one gateway", daemon.Other, 0, true},
		{"one user on two devices, the second is last", daemon.User, 1, true},
		{"one user on two devices, the first is last", daemon.User, 1, false},
		{"one user on two devices at one gateway", daemon.User, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			name := fmt.Sprintf("file%d", i)
			one, two := randomBytes(uint64(10*i), size), randomBytes(uint64(10*i+1), size+1000)
			stop := r.watch(name, nil, one, two)
			defer stop()
			first := begin(t, gateways[0], daemon.User, "STOR "+name)
			first.send(one[:size/2])
			second := begin(t, gateways[c.gateway], c.user, "STOR "+name)
			second.send(two[:size-1])
			first.send(one[size/2:])
			second.send(two[size-1:])
			last, want := first, one
			if c.secondIsLast {
				first, second = second, first
				last, want = first, two
			}
			if reply := second.end(); !strings.HasPrefix(reply, "226") {
				t.Errorf("the first to end: %s", reply)
			}
			if reply := last.end(); !strings.HasPrefix(reply, "226") {
				t.Errorf("the last to end: %s", reply)
			}
			r.holds(name, want)
		})
	}
	if left := r.leftovers(); len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
}

// TestS3Zombie: a session that hangs loses its upload to its user's next one on another
// gateway. What it sends later goes nowhere, and it is told so.
func TestS3Zombie(t *testing.T) {
	r := newRoom(t)
	a, b := r.gateway(shared.ftpgate), r.gateway(shared.ftpgate)
	const size = 3*smallPart + 200_000
	data := randomBytes(3, size)
	stop := r.watch("file", nil, data)
	defer stop()
	zombie := begin(t, a, daemon.User, "STOR file")
	zombie.send(data[:2*smallPart+100_000])
	// Two parts get into the store; the first one is what can be gone on behind.
	var told int
	for deadline := time.Now().Add(patience); told < smallPart; time.Sleep(20 * time.Millisecond) {
		if told = toldSize(t, b, "file"); time.Now().After(deadline) {
			t.Fatalf("the other gateway tells %d bytes", told)
		}
	}
	if told != smallPart {
		t.Errorf("the other gateway tells %d bytes, want %d", told, smallPart)
	}
	heir := begin(t, b, daemon.User, fmt.Sprintf("REST %d", told), "STOR file")
	heir.send(data[told : told+smallPart+1000])
	// The zombie awakes, with other bytes.
	wrong := randomBytes(4, size)
	zombie.data.SetDeadline(time.Now().Add(patience))
	_, _ = zombie.data.Write(wrong[2*smallPart+100_000:]) // it may be cut off in the middle
	zombie.data.Close()
	reply, err := zombie.c.Expect("4", "226")
	if err != nil || strings.HasPrefix(reply, "226") {
		t.Errorf("the zombie is told %q, %v", reply, err)
	}
	heir.send(data[told+smallPart+1000:])
	if reply := heir.end(); !strings.HasPrefix(reply, "226") {
		t.Errorf("the heir is told %q", reply)
	}
	r.holds("file", data)
	if left := r.leftovers(); len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
}
