package serve

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ftpgate/ftpgate/vfs"
)

type swept struct {
	vfs.FS
	times int
	err   error
}

func (s *swept) Sweep(context.Context) (int, error) {
	s.times++
	return 1, s.err
}

func TestSweepsEveryHour(t *testing.T) {
	for _, err := range []error{nil, errors.New("broken")} {
		synctest.Test(t, func(t *testing.T) {
			s := &swept{err: err}
			stop := sweep(s, slog.New(slog.DiscardHandler))
			time.Sleep(3*time.Hour + time.Minute)
			stop()
			if s.times != 4 {
				t.Errorf("swept %d times in three hours, want 4", s.times)
			}
		})
	}
}

func TestStoreWithoutSweep(t *testing.T) {
	sweep(nil, nil)()
}
