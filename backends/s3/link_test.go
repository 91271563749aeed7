package s3

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/ftpgate/ftpgate/backends/s3/s3fake"
	"github.com/ftpgate/ftpgate/vfs"
)

// link is a connection with 40 ms of round trip and 20 MB/s each way.
type link struct {
	net.Conn
	mu    sync.Mutex
	asked time.Time // when the last request went out, zero once it was answered
	in    pace
	out   pace
}

const (
	linkDelay = 40 * time.Millisecond
	linkRate  = 20e6
)

// pace lets bytes through at the rate of the link.
type pace struct{ free time.Time }

func (p *pace) pass(n int) {
	now := time.Now()
	if p.free.Before(now) {
		p.free = now
	}
	p.free = p.free.Add(time.Duration(float64(n) / linkRate * float64(time.Second)))
	time.Sleep(p.free.Sub(now))
}

func (l *link) Write(b []byte) (int, error) {
	l.mu.Lock()
	l.asked = time.Now()
	l.mu.Unlock()
	n, err := l.Conn.Write(b)
	l.out.pass(n)
	return n, err
}

func (l *link) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b[:min(len(b), 64<<10)])
	l.mu.Lock()
	wait := time.Duration(0)
	if !l.asked.IsZero() {
		wait = time.Until(l.asked.Add(linkDelay))
		l.asked = time.Time{}
	}
	l.mu.Unlock()
	time.Sleep(wait)
	l.in.pass(n)
	return n, err
}

func dialLink(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	time.Sleep(linkDelay)
	return &link{Conn: c}, nil
}

// BenchmarkLink moves 128 MiB over connections of 40 ms and 20 MB/s each: "one" with a
// single one, to compare.
func BenchmarkLink(b *testing.B) {
	const size = 128 << 20
	data := pattern(size)
	for name, window := range map[string]int64{"one": 1 << 40, "download": 0} {
		b.Run(name, func(b *testing.B) {
			s, f := fake(b, s3fake.Options{}, func(o *Options) { o.tuning.dial, o.tuning.window = dialLink, window })
			s.Put("pre/fix/file", data)
			b.SetBytes(size)
			for b.Loop() {
				r, err := f.Open(b.Context(), "file", 0, -1)
				if err != nil {
					b.Fatal(err)
				}
				n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{r}, make([]byte, 128<<10))
				if n != size || err != nil {
					b.Fatal(n, err)
				}
				r.Close()
			}
		})
	}
	b.Run("upload", func(b *testing.B) {
		_, f := fake(b, s3fake.Options{}, func(o *Options) { o.tuning.dial = dialLink })
		b.SetBytes(size)
		for b.Loop() {
			if err := upload1(b.Context(), f, "new", data, vfs.CreateOptions{Owner: "ann"}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
