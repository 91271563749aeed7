package s3

import (
	"context"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/ftpgate/ftpgate/backends/s3/s3fake"
)

// pipes is a network in memory, for tests in a synctest bubble.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.conns <- there:
		return here, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// bubble opens a bucket of a fake over pipes, all inside the caller's bubble. The
// caller defers the function that ends it.
func bubble(t *testing.T, opt s3fake.Options, change ...func(*Options)) (*s3fake.Server, *FS, func()) {
	t.Helper()
	s := s3fake.NewHandler(opt)
	p := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	server := &http.Server{Handler: s}
	go server.Serve(p)
	s.URL = "http://s3.test"
	o := fakeOptions(s, "pre/fix")
	o.tuning = tuning{dial: p.dial}
	for _, c := range change {
		c(&o)
	}
	f, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s, f, func() {
		f.Close()
		server.Close()
		time.Sleep(time.Minute) // the server lingers on connections that it refused
		if left := s.OpenUploads(); len(left) > 0 {
			t.Errorf("multipart uploads are left open: %q", left)
		}
	}
}
