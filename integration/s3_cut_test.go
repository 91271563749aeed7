package integration

import (
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/ftpgate/ftpgate/integration/internal/control"
	"github.com/ftpgate/ftpgate/integration/internal/daemon"
)

// breakOff is a way in which an upload ends before it is whole.
type breakOff struct {
	name    string
	secured bool // data and control connection by TLS
	reset   bool // RST instead of FIN
	both    bool // the control connection goes with it, as when the client is killed
}

func breakOffs() []breakOff {
	return []breakOff{
		{name: "killed, FIN", both: true},
		{name: "link cut, RST", reset: true, both: true},
		{name: "data RST", reset: true},
		{name: "TLS killed, FIN", secured: true, both: true},
		{name: "TLS link cut, RST", secured: true, reset: true, both: true},
		{name: "TLS data FIN without close_notify", secured: true},
		{name: "TLS data RST", secured: true, reset: true},
	}
}

// TestS3Cuts breaks uploads off at the borders of parts, one byte before and behind them,
// in the last part, and after the last byte but before 226, in each way that clients
// and links do. Nothing shows, and what curl, lftp and ftplib do then ends in the whole
// file: no client takes a parked file for complete.
func TestS3Cuts(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	pki := newTLSFiles(t)
	g := r.gateway(shared.plain, "--tls-cert", pki.server, "--log-level", "debug")
	r.put("d/other", nil) // so that curl can enter d
	const size = 3*smallPart + 700_001
	places := []struct {
		name string
		at   int
	}{
		{"first byte", 1},
		{"before the first border", smallPart - 1}, {"at the first border", smallPart}, {"behind the first border", smallPart + 1},
		{"before the second border", 2*smallPart - 1}, {"at the second border", 2 * smallPart}, {"behind the second border", 2*smallPart + 1},
		{"before the last border", 3*smallPart - 1}, {"at the last border", 3 * smallPart}, {"behind the last border", 3*smallPart + 1},
		{"in the last part", 3*smallPart + 350_000}, {"before the last byte", size - 1}, {"all but 226", size},
	}
	ways, again, turn := breakOffs(), resumers(), 0
	for i, place := range places {
		for range cutsEach {
			way, how := ways[turn%len(ways)], again[(turn+turn/len(ways))%len(again)]
			turn++
			t.Run(place.name+"/"+way.name+"/"+how.name, func(t *testing.T) {
				data, name := randomBytes(uint64(500+i*10+turn), size), fmt.Sprintf("d/%d %d", i, turn)
				var old []byte
				stop := r.watch(name, old, data)
				defer stop()
				from := len(g.Output())
				uploadCut(t, g, pki, name, data[:place.at], way)
				if err := g.Await(from, patience, "disconnected"); err != nil {
					t.Fatal(err)
				}
				complete := false
				if got, err := r.get(t.Context(), name); err != nil {
					t.Fatal(err)
				} else if complete = got != nil; complete && place.at < size {
					t.Fatalf("after %d of %d bytes there is a file of %d", place.at, size, len(got))
				}
				if told := toldSize(t, g, name); !complete && told >= place.at {
					t.Errorf("SIZE tells %d of %d bytes that were sent", told, place.at)
				}
				said, err := how.send(t, g, localFile(t, data), name)
				if err != nil {
					t.Fatalf("%v\n%s", err, said)
				}
				r.holds(name, data)
			})
		}
	}
	if left := r.leftovers(); len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
	if err := g.Stop(); err != nil {
		t.Error(err)
	}
}

// uploadCut sends data by STOR and breaks off, behind its last byte.
func uploadCut(t *testing.T, g *daemon.Gateway, pki *tlsFiles, name string, data []byte, way breakOff) {
	t.Helper()
	c, err := control.Dial(g.Addr.String(), daemon.User, daemon.Password)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var config *tls.Config
	if way.secured {
		config = &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}
		if err := c.Secure(config, daemon.User, daemon.Password); err != nil {
			t.Fatal(err)
		}
	}
	conn, err := c.Open("STOR " + name)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	w := conn
	if way.secured {
		w = tls.Client(conn, config)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	linger := func(conn net.Conn) {
		if way.reset {
			_ = conn.(*net.TCPConn).SetLinger(0)
		}
	}
	linger(conn)
	if way.both { // first the older one, as the kernel does for a process that dies
		linger(c.Conn())
		c.Close()
		conn.Close()
		return
	}
	conn.Close()
	reply, err := c.Expect("426", "451", "226")
	if err != nil || strings.HasPrefix(reply, "226") {
		t.Errorf("after %d bytes and %s: %q, %v", len(data), way.name, reply, err)
	}
}
