package s3

import (
	"context"
	"net"
	"time"
)

// tuning holds the sizes and times that tests scale down; zero fields take the
// values of withDefaults.
type tuning struct {
	part       int64         // first part of an upload, in bytes
	minPart    int64         // smallest part but the last that stores take
	copyLimit  int64         // largest object that CopyObject takes
	copyPart   int64         // smallest range of a copy in parts
	window     int64         // bytes of a download after which its streams are counted anew
	segment    int64         // first range that a download reads ahead; doubles
	maxSegment int64         // largest one
	eager      bool          // downloads add streams whether or not that helps
	renameKeys int           // most objects of a directory that is renamed
	stall      time.Duration // longest silence of a connection
	slow       time.Duration // longest wait for an answer to Complete and Copy
	bufferWait time.Duration // longest wait for memory
	cleanup    time.Duration // longest clean-up after a failure
	check      time.Duration // longest start
	backoff    time.Duration // before the first retry; doubles
	quiet      time.Duration // an upload that waits longer for its client may be taken over
	expiry     time.Duration // staged uploads that nobody touched for so long are swept
	attempts   int           // tries of one request
	// maxParked and maxParkedSize bound what one owner has parked: uploads and bytes, of
	// which 0 is no bound.
	maxParked     int
	maxParkedSize int64
	// dial replaces the network.
	dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// tune puts what the options say into the tuning.
func (o *Options) tune() {
	t := &o.tuning
	if o.Expiry != 0 {
		t.expiry = o.Expiry
	}
	if o.PartSize != 0 {
		t.part = o.PartSize
	}
	if t.maxParked == 0 {
		t.maxParked = o.MaxParked
	}
	t.maxParkedSize = o.MaxParkedSize
	*t = t.withDefaults()
}

func (t tuning) withDefaults() tuning {
	size := func(v *int64, d int64) {
		if *v == 0 {
			*v = d
		}
	}
	span := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	size(&t.part, 8<<20)
	size(&t.minPart, 5<<20)
	size(&t.copyLimit, 5<<30)
	size(&t.copyPart, 256<<20)
	size(&t.window, 1<<20)
	size(&t.segment, 2<<20)
	size(&t.maxSegment, 5<<20)
	span(&t.stall, 30*time.Second)
	span(&t.slow, 10*time.Minute)
	span(&t.bufferWait, 30*time.Second)
	span(&t.cleanup, 45*time.Second) // longer than a stall
	span(&t.check, 10*time.Second)
	span(&t.quiet, 5*time.Second)
	span(&t.expiry, 24*time.Hour)
	span(&t.backoff, 100*time.Millisecond)
	if t.renameKeys == 0 {
		t.renameKeys = 10_000
	}
	if t.attempts == 0 {
		t.attempts = 6
	}
	return t
}
