package integration

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ftpgate/ftpgate/integration/internal/control"
	"github.com/ftpgate/ftpgate/integration/internal/daemon"
	"github.com/ftpgate/ftpgate/integration/internal/manykeys"
)

// startMany serves a made-up bucket of so many keys.
func startMany(t *testing.T, keys int) (*manykeys.Server, *daemon.Gateway) {
	t.Helper()
	s, err := manykeys.New(keys)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	g, err := daemon.StartGateway(daemon.GatewayConfig{
		Binary: shared.plain, Host: loopbacks[0].addr, Env: shared.s3.Env(),
		Storage: "s3://many?endpoint=" + s.URL + "&region=us-east-1&read_only=true",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s, g
}

// rss is the resident set of a process, in bytes.
func rss(t *testing.T, pid int) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		var kib int64
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kib); err == nil {
			return kib << 10
		}
	}
	t.Fatal("no VmRSS")
	return 0
}

// TestS3ManyKeys lists a directory of a great many keys: the first line comes while the
// second page is held back, memory does not grow with the number, a pattern asks for
// nothing but its prefix, and ABOR is answered while a page hangs.
func TestS3ManyKeys(t *testing.T) {
	for _, verb := range []string{"LIST", "NLST", "MLSD"} {
		t.Run(verb, func(t *testing.T) {
			s, g := startMany(t, listedKeys)
			c, err := control.Dial(g.Addr.String(), daemon.User, daemon.Password)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			// Once before, for what a first listing needs in any case.
			if n := len(listLines(t, c, verb+" big/2024-0*")); verb != "MLSD" && n > manykeys.Keys2024 {
				t.Errorf("%d lines", n)
			}
			before := rss(t, g.PID())
			firstLine := make(chan struct{})
			s.Hold(func(a manykeys.Ask) <-chan struct{} {
				if a.Prefix == "big/" && a.Page > 0 {
					return firstLine
				}
				return nil
			})
			start := time.Now()
			data, err := c.Open(verb + " big")
			if err != nil {
				t.Fatal(err)
			}
			defer data.Close()
			data.SetDeadline(time.Now().Add(10 * patience))
			lines := bufio.NewReaderSize(data, 64<<10)
			n := 0
			for {
				_, err := lines.ReadSlice('\n')
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatalf("after %d lines: %v", n, err)
				}
				if n++; n == 1 {
					close(firstLine)
				}
			}
			if _, err := c.Expect("226"); err != nil {
				t.Fatal(err)
			}
			took := time.Since(start)
			if n != listedKeys {
				t.Errorf("%d lines, want %d", n, listedKeys)
			}
			peak, err := g.PeakRSS()
			if err != nil {
				t.Fatal(err)
			}
			growth := peak - before
			t.Logf("%s of %d keys in %v, memory grew by %.1f MiB from %.1f", verb, n, took.Round(time.Millisecond), float64(growth)/(1<<20), float64(before)/(1<<20))
			if growth > 24<<20 {
				t.Errorf("memory grew by %d MiB, more than 24", growth>>20)
			}
		})
	}
	s, g := startMany(t, listedKeys)
	c, err := control.Dial(g.Addr.String(), daemon.User, daemon.Password)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	t.Run("pattern", func(t *testing.T) { listsPattern(t, s, c) })
	t.Run("ABOR", func(t *testing.T) { abortsListing(t, s, c) })
}

// listLines runs a listing and returns its lines.
func listLines(t *testing.T, c *control.Conn, command string) []string {
	t.Helper()
	address, err := c.Passive()
	if err != nil {
		t.Fatal(err)
	}
	data, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer data.Close()
	if err := c.Send(command); err != nil {
		t.Fatal(err)
	}
	reply, err := c.Expect("150", "5")
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(reply, "5") { // MLSD knows no patterns
		return nil
	}
	text, err := io.ReadAll(data)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Expect("226"); err != nil {
		t.Fatal(err)
	}
	return lines(string(text))
}

func listsPattern(t *testing.T, s *manykeys.Server, c *control.Conn) {
	if _, err := c.Do("250", "CWD big"); err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"LIST", "NLST"} {
		s.Asked()
		if n := len(listLines(t, c, verb+" 2024-*")); n != manykeys.Keys2024 {
			t.Errorf("%s shows %d lines, want %d", verb, n, manykeys.Keys2024)
		}
		pages := 0
		for _, a := range s.Asked() {
			switch {
			case a.Prefix == "big/2024-":
				pages++
			case !strings.HasPrefix(a.Prefix, "big/2024-*"): // whether the pattern is a name itself
				t.Errorf("%s 2024-* asks for %q", verb, a.Prefix)
			}
		}
		if pages != 2 {
			t.Errorf("%s asks for %d pages, want 2", verb, pages)
		}
	}
}

func abortsListing(t *testing.T, s *manykeys.Server, c *control.Conn) {
	held := make(chan struct{}, 1)
	never := make(chan struct{})
	defer close(never)
	s.Hold(func(a manykeys.Ask) <-chan struct{} {
		if a.Page < 5 {
			return nil
		}
		select {
		case held <- struct{}{}:
		default:
		}
		return never
	})
	defer s.Hold(nil)
	for _, verb := range []string{"LIST", "NLST", "MLSD"} {
		data, err := c.Open(verb)
		if err != nil {
			t.Fatal(err)
		}
		drained := make(chan error, 1)
		go func() { _, err := io.Copy(io.Discard, data); drained <- err }()
		<-held
		if err := c.Send("ABOR"); err != nil {
			t.Fatal(err)
		}
		for _, code := range []string{"426", "226"} {
			if _, err := c.Expect(code); err != nil {
				t.Fatalf("%s: %v", verb, err)
			}
		}
		<-drained
		data.Close()
	}
}
