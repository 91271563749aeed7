// Command abor measures how soon ABOR is answered, from sending it to its 226, when
// it is needed most: the data connection is not open yet, the storage hangs, the
// client does not read. It prints the median and the 99th percentile of the runs as a table.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ftpgate/ftpgate/integration/internal/control"
	"github.com/ftpgate/ftpgate/integration/internal/daemon"
)

const (
	goal = 50 * time.Millisecond // for the 99th percentile
	// settle is how long a transfer gets to reach the state that is measured.
	settle = 5 * time.Millisecond
	size   = 64 << 20 // more than the sockets between server and client hold
)

func main() {
	runs := flag.Int("runs", 100, "measure each case this `often`")
	flag.Parse()
	if err := run(*runs); err != nil {
		fmt.Fprintln(os.Stderr, "abor:", err)
		os.Exit(1)
	}
}

// bench is the servers under measurement.
type bench struct {
	s3      *daemon.S3
	valve   *daemon.Valve
	gateway *daemon.Gateway
}

func run(runs int) (err error) {
	built, err := daemon.BuildAll()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, built.Remove()) }()
	var b bench
	if b.s3, err = daemon.StartS3(built.S3Server, ""); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.s3.Stop()) }()
	server, err := url.Parse(b.s3.Endpoint)
	if err != nil {
		return err
	}
	if b.valve, err = daemon.NewValve(server.Host); err != nil {
		return err
	}
	defer b.valve.Close()
	storage := strings.Replace(b.s3.URL("abor"), url.QueryEscape(server.Host), url.QueryEscape(b.valve.Addr()), 1)
	if b.gateway, err = daemon.StartGateway(daemon.GatewayConfig{
		Binary: built.Ftpgate, Host: daemon.Loopback(), Storage: storage, Env: b.s3.Env(),
	}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.gateway.Stop()) }()
	if err := b.upload(); err != nil {
		return err
	}

	fmt.Printf("ABOR over S3, %d runs each; goal: p99 under %v\n\n| ABOR while | median | p99 | slowest |\n|---|---|---|---|\n", runs, goal)
	slow := false
	for _, c := range []struct {
		name string
		once func() (time.Duration, error)
	}{
		{"the data connection is not open", b.notOpen},
		{"the storage hangs (RETR)", func() (time.Duration, error) { return b.hanging("RETR file", "") }},
		{"the storage hangs (LIST)", func() (time.Duration, error) { return b.hanging("LIST", "") }},
		{"the storage hangs (STOR)", func() (time.Duration, error) { return b.hanging("STOR new", "150") }},
		{"the client does not read", b.notReading},
	} {
		var took []time.Duration
		for range runs {
			d, err := c.once()
			if err != nil {
				return fmt.Errorf("%s: %w\n%s", c.name, err, b.gateway.Output())
			}
			took = append(took, d)
		}
		slices.Sort(took)
		p99 := took[(len(took)*99+99)/100-1]
		slow = slow || p99 >= goal
		fmt.Printf("| %s | %.2f ms | %.2f ms | %.2f ms |\n", c.name, ms(took[len(took)/2]), ms(p99), ms(took[len(took)-1]))
	}
	if slow {
		fmt.Printf("\nThe goal is missed; was the machine busy?\n")
	}
	return nil
}

func ms(d time.Duration) float64 { return d.Seconds() * 1000 }

func (b *bench) dial() (*control.Conn, error) {
	return control.Dial(b.gateway.Addr.String(), daemon.User, daemon.Password)
}

func (b *bench) upload() error {
	c, err := b.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	data, err := c.Open("STOR file")
	if err != nil {
		return err
	}
	if _, err := data.Write(bytes.Repeat([]byte("ftpgate "), size/8)); err != nil {
		return err
	}
	data.Close()
	_, err = c.Expect("226")
	return err
}

// abort sends ABOR and measures until its own reply, which follows that of the transfer.
func abort(c *control.Conn) (time.Duration, error) {
	time.Sleep(settle)
	start := time.Now()
	if err := c.Send("ABOR"); err != nil {
		return 0, err
	}
	if _, err := c.Expect("425", "426"); err != nil {
		return 0, err
	}
	_, err := c.Expect("226")
	took := time.Since(start)
	return took, err
}

func (b *bench) notOpen() (time.Duration, error) {
	c, err := b.dial()
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if _, err := c.Passive(); err != nil {
		return 0, err
	}
	if err := c.Send("RETR file"); err != nil {
		return 0, err
	}
	return abort(c)
}

// hanging opens the data connection, shuts the storage off and sends the command.
func (b *bench) hanging(command, preliminary string) (time.Duration, error) {
	c, err := b.dial()
	if err != nil {
		return 0, err
	}
	defer c.Close()
	address, err := c.Passive()
	if err != nil {
		return 0, err
	}
	data, err := net.Dial("tcp", address)
	if err != nil {
		return 0, err
	}
	defer data.Close()
	b.valve.Shut()
	defer b.valve.Open()
	if err := c.Send(command); err != nil {
		return 0, err
	}
	if preliminary != "" {
		// What is checked before 150 would hang, too: let it pass, then shut.
		b.valve.Open()
		_, err := c.Expect(preliminary)
		b.valve.Shut()
		if err != nil {
			return 0, err
		}
		// More than a part, so that one is on its way to the storage.
		data.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		_, _ = data.Write(make([]byte, size)) // ends when all buffers are full
	}
	return abort(c)
}

func (b *bench) notReading() (time.Duration, error) {
	c, err := b.dial()
	if err != nil {
		return 0, err
	}
	defer c.Close()
	data, err := c.Open("RETR file")
	if err != nil {
		return 0, err
	}
	defer data.Close()
	return abort(c)
}
