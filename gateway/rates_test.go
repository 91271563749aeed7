package gateway_test

import (
	"context"
	"io"
	"io/fs"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ftpgate/ftpgate/auth"
	"github.com/ftpgate/ftpgate/gateway"
	"github.com/ftpgate/ftpgate/vfs"
)

// flow is a transfer that goes on until the test is over; bytes is how much has come
// through.
type flow struct {
	bytes atomic.Int64
	conn  net.Conn
}

func (f *flow) Read(p []byte) (int, error) {
	n, err := f.conn.Read(p)
	f.bytes.Add(int64(n))
	return n, err
}

// download takes as much as comes; pace, if it is not 0, is how long it rests after
// each kilobyte.
func (c *memClient) download(name string, pace time.Duration) *flow {
	c.t.Helper()
	f := &flow{conn: c.data()}
	c.ask("RETR "+name, "150")
	go func() {
		if pace == 0 {
			_, _ = io.Copy(io.Discard, f)
			return
		}
		buf := make([]byte, 1024)
		for {
			if _, err := io.ReadFull(f, buf); err != nil {
				return
			}
			time.Sleep(pace)
		}
	}()
	return f
}

// upload sends as much as goes.
func (c *memClient) upload(name string) *flow {
	c.t.Helper()
	f := &flow{conn: c.data()}
	c.ask("STOR "+name, "150")
	go func() {
		buf := make([]byte, 1024)
		for {
			n, err := f.conn.Write(buf)
			f.bytes.Add(int64(n))
			if err != nil {
				return
			}
		}
	}()
	return f
}

// endless is a store with one file that has no end.
type endless struct{ vfs.FS }

func (e endless) Open(ctx context.Context, name string, offset, length int64) (_ fs.File, err error) {
	f, err := e.FS.Open(ctx, name, offset, length)
	return endlessFile{f}, err
}

type endlessFile struct{ fs.File }

func (endlessFile) Read(p []byte) (int, error) { return len(p), nil }

func limited(t *testing.T, rates gateway.Rates, accounts ...auth.Account) *fortress {
	f := fortified(t, func(c *gateway.Config) {
		c.Auth = users(t, accounts...)
		c.Rates = rates
	})
	writeFile(t, f.fsys, "f", "x")
	return f
}

// within fails unless got is as much as want, give or take a twentieth and what a
// connection holds.
func within(t *testing.T, what string, got, want int64) {
	t.Helper()
	const held = 3 * memWindow
	if got < want*19/20-held || got > want*21/20+held {
		t.Errorf("%s: %d bytes, want about %d", what, got, want)
	}
}

const rateTime = 100 * time.Second

func TestRatesAreShared(t *testing.T) {
	const speed = 1 << 20
	ann, bob := auth.Account{Name: "ann"}, auth.Account{Name: "bob"}
	limit := auth.Both(speed)
	seconds := int64(rateTime / time.Second)
	tests := map[string]struct {
		rates gateway.Rates
		users []auth.Account
		from  [2]string
		who   [2]string
		want  int64 // of each, in bytes a second
	}{
		"session":             {gateway.Rates{Session: limit}, nil, [2]string{"127.0.0.1", "127.0.0.1"}, [2]string{"ann", "ann"}, speed},
		"user":                {gateway.Rates{User: limit}, nil, [2]string{"127.0.0.1", "127.0.0.2"}, [2]string{"ann", "ann"}, speed / 2},
		"two users":           {gateway.Rates{User: limit}, nil, [2]string{"127.0.0.1", "127.0.0.1"}, [2]string{"ann", "bob"}, speed},
		"user, own":           {gateway.Rates{User: auth.Both(-1)}, []auth.Account{{Name: "ann", Settings: auth.Settings{UserRate: limit}}}, [2]string{"127.0.0.1", "127.0.0.2"}, [2]string{"ann", "ann"}, speed / 2},
		"address":             {gateway.Rates{Address: limit}, nil, [2]string{"2001:db8::1", "2001:db8::2"}, [2]string{"ann", "bob"}, speed / 2},
		"two addresses":       {gateway.Rates{Address: limit}, nil, [2]string{"203.0.113.1", "203.0.113.2"}, [2]string{"ann", "ann"}, speed},
		"total":               {gateway.Rates{Total: limit}, nil, [2]string{"203.0.113.1", "203.0.113.2"}, [2]string{"ann", "bob"}, speed / 2},
		"narrowest":           {gateway.Rates{Session: auth.Both(speed / 4), User: auth.Both(speed), Total: auth.Both(8 * speed)}, nil, [2]string{"127.0.0.1", "127.0.0.1"}, [2]string{"ann", "ann"}, speed / 4},
		"session, user's own": {gateway.Rates{Session: auth.Both(1)}, []auth.Account{{Name: "ann", Settings: auth.Settings{Rate: limit}}}, [2]string{"127.0.0.1", "127.0.0.1"}, [2]string{"ann", "ann"}, speed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				accounts := tt.users
				if accounts == nil {
					accounts = []auth.Account{ann, bob}
				}
				f := limited(t, tt.rates, accounts...)
				f.fsys = endless{f.fsys}
				var flows []*flow
				for i := range 2 {
					flows = append(flows, f.enter(t, tt.from[i], tt.who[i]).download("f", 0))
				}
				time.Sleep(rateTime)
				for _, flow := range flows {
					within(t, name, flow.bytes.Load(), tt.want*seconds)
				}
			})
		})
	}
}

// Each direction has a rate of its own.
func TestRatesOfDirections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := limited(t, gateway.Rates{User: auth.Rates{Up: 64 << 10, Down: 256 << 10}}, auth.Account{Name: "ann"})
		f.fsys = endless{f.fsys}
		up, down := f.enter(t, "127.0.0.1", "ann").upload("up"), f.enter(t, "127.0.0.1", "ann").download("f", 0)
		time.Sleep(rateTime)
		within(t, "up", up.bytes.Load(), 6400<<10)
		within(t, "down", down.bytes.Load(), 25600<<10)
	})
}

// Who can't take a share leaves it to the others, and many get all the same.
func TestRatesAreFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const speed, clients = 1 << 20, 8
		f := limited(t, gateway.Rates{Total: auth.Both(speed)}, auth.Account{Name: "ann"})
		f.fsys = endless{f.fsys}
		slow := f.enter(t, "127.0.0.1", "ann").download("f", time.Second) // 1 KiB a second
		var flows []*flow
		for range clients {
			flows = append(flows, f.enter(t, "127.0.0.1", "ann").download("f", 0))
		}
		time.Sleep(rateTime)
		for _, flow := range flows {
			within(t, "fast", flow.bytes.Load(), speed*int64(rateTime/time.Second)/clients)
		}
		if got := slow.bytes.Load(); got < 90<<10 {
			t.Errorf("the slow one got %d bytes", got)
		}
		slow.conn.Close()
		time.Sleep(2 * time.Second) // it wakes up
	})
}

// A rate that is reloaded holds for those who share it, at once.
func TestRatesAreReloaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := limited(t, gateway.Rates{Total: auth.Both(64 << 10)}, auth.Account{Name: "ann"})
		f.fsys = endless{f.fsys}
		flow := f.enter(t, "127.0.0.1", "ann").download("f", 0)
		time.Sleep(rateTime)
		before := flow.bytes.Load()
		within(t, "before", before, 6400<<10)
		f.cfg.Rates.Total = auth.Both(1 << 20)
		f.reload(t, f.cfg.Auth)
		f.enter(t, "127.0.0.1", "ann")
		time.Sleep(rateTime)
		within(t, "after", flow.bytes.Load()-before, 100<<20)
	})
}
