package serve

import (
	"context"
	"log/slog"
	"time"

	"github.com/ftpgate/ftpgate/vfs"
)

// sweepEvery is how often expired uploads are looked for in stores that do not do
// it by themselves.
const sweepEvery = time.Hour

// sweeper is a store that keeps interrupted uploads in files of its tree.
type sweeper interface {
	Sweep(ctx context.Context) (removed int, err error)
}

// sweep removes what interrupted uploads left and nobody continued, now and once an
// hour, until the function that it returns has been called.
func sweep(fsys vfs.FS, log *slog.Logger) (stop func()) {
	s, ok := fsys.(sweeper)
	if !ok {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			n, err := s.Sweep(ctx)
			switch {
			case ctx.Err() != nil:
				return
			case err != nil:
				log.Warn("looking for expired uploads failed", "err", err)
			case n > 0:
				log.Info("expired uploads removed", "number", n)
			}
			select {
			case <-time.After(sweepEvery):
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}
