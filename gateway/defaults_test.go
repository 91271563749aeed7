package gateway

import (
	"context"
	"testing"
	"time"

	"github.com/ftpgate/ftpgate/auth"
	"github.com/ftpgate/ftpgate/vfs"
)

// What bounds clients is on without being asked for.
func TestDefaultsOfLimits(t *testing.T) {
	open := func(context.Context, *auth.Principal) (vfs.FS, func(), error) { return nil, nil, nil }
	c, err := Config{Auth: auth.Anonymous(nil), Open: open}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	if l := c.Limits; l.Sessions != 20_000 || l.Waiting != 5000 || l.CommandRate != 10_000 || l.LoginFailures != 5 || l.LineLength != 8192 || l.Unknown != 20 {
		t.Errorf("%+v", l)
	}
	if d := c.Defence; d.NoBans || d.Fruitless != 60 || d.Delay != 500*time.Millisecond || d.MaxDelay != 8*time.Second || d.CountLoopback || d.BehindBalancer {
		t.Errorf("%+v", d)
	}
	if c.Timeouts.Login != 10*time.Second {
		t.Errorf("%v to log in", c.Timeouts.Login)
	}
	for sessions, want := range map[int]int{10: 10, 100: 100, 200: 100, 1000: 250, -1: 0} {
		c, err := Config{Auth: auth.Anonymous(nil), Open: open, Limits: Limits{Sessions: sessions}}.withDefaults()
		if err != nil || c.Limits.Waiting != want {
			t.Errorf("%d sessions, and %d without login, %v", sessions, c.Limits.Waiting, err)
		}
	}
}
