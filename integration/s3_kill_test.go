package integration

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/ftpgate/ftpgate/integration/internal/daemon"
)

// slowUploads are clients that send a file so slowly that a gateway can be killed
// anywhere in it.
func slowUploads() []resumer {
	return []resumer{
		{name: "curl", send: func(t *testing.T, g *daemon.Gateway, local, remote string) (string, error) {
			return run(command(t, t.TempDir(), "curl", append(curlArgs(epsv), "--limit-rate", "16M", "--upload-file", local, g.URL(escape(remote)))...))
		}},
		{name: "lftp", send: func(t *testing.T, g *daemon.Gateway, local, remote string) (string, error) {
			j := &job{t: t, site: siteOf(g), mode: epsv, home: t.TempDir()}
			return j.lftp("set net:limit-rate 8M", "set net:max-retries 1", lftpf("put %s -o %s", local, remote))
		}},
	}
}

// TestS3GatewayKills kills the gateway at random moments of uploads by curl and lftp,
// which then go on through a gateway that is started anew, or through a second one that
// has been running over the same bucket. Every object is whole, a reader that looks all
// the time never sees anything partial, and nothing is left at the end.
func TestS3GatewayKills(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	second := r.gateway(shared.ftpgate)
	resume := resumers()[:2] // of curl and lftp
	for round := range gatewayKills {
		client, name := slowUploads()[round%2], fmt.Sprintf("d/file %d", round)
		data := randomBytes(uint64(1000+round), 11<<20+rand.IntN(6<<20))
		var old []byte
		if round%4 < 2 {
			old = []byte("what was there before")
			r.put(name, old)
		}
		stop := r.watch(name, old, data)
		first := r.gateway(shared.plain)
		local := localFile(t, data)
		moment := time.Duration(rand.Int64N(int64(1500 * time.Millisecond)))
		killed := make(chan struct{})
		time.AfterFunc(moment, func() { first.Kill(); close(killed) })
		said, err := client.send(t, first, local, name)
		<-killed
		finished := err == nil

		next, where := second, "second gateway"
		if round%2 == 0 {
			next, where = r.gateway(shared.plain), "gateway started anew"
		}
		how := resume[(round/2)%2]
		if old != nil && toldSize(t, next, name) == len(old) { // nothing of the new one is there to go on with
			how = resumers()[3]
		}
		again, err := how.send(t, next, local, name)
		if err != nil {
			t.Errorf("round %d: %s, killed after %v, then %s through a %s: %v\n%s\n%s", round, client.name, moment, how.name, where, err, said, again)
		}
		r.holds(name, data)
		stop()
		if t.Failed() {
			t.Fatalf("round %d: %s was killed after %v (finished: %v):\n%s\n%s", round, client.name, moment, finished, said, again)
		}
		if next != second {
			next.Kill()
		}
		left := r.leftovers()
		t.Logf("round %d: %s, %d bytes, gateway killed after %v (finished: %v), resumed: %v, left: %q",
			round, client.name, len(data), moment.Round(time.Millisecond), finished, strings.Contains(again, "> APPE ") || strings.Contains(again, "> REST "), left)
	}
	// What a gateway was killed in the middle of writing down, or of clearing away, only the
	// sweeper can know to be dead.
	said := r.sweep()
	t.Logf("the sweeper %s", said)
	if left := r.leftovers(); len(left) > 0 {
		t.Errorf("left over after the sweeper: %q", left)
	}
	if err := second.Stop(); err != nil {
		t.Error(err)
	}
}
