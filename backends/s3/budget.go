package s3

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/ftpgate/ftpgate/vfs"
)

// chunkSize is the unit of memory, in bytes: what one read of a connection fills.
const chunkSize = 64 << 10

const (
	defaultBuffers = 512 << 20
	minBuffers     = 64 << 20
)

type chunk = *[chunkSize]byte

// budget hands out the memory that all transfers of an FS share. Its methods may be
// called concurrently.
type budget struct {
	total int64 // bytes
	wait  time.Duration
	sem   *semaphore.Weighted
	// ahead is the part that downloads may take to read ahead: never so much that
	// uploads have to wait for them.
	ahead *semaphore.Weighted
	pool  sync.Pool
}

func newBudget(total int64, wait time.Duration) *budget {
	return &budget{total: total, wait: wait, sem: semaphore.NewWeighted(total), ahead: semaphore.NewWeighted(total / 2)}
}

// try returns a chunk, or nil if the budget is used up or others wait for it.
func (b *budget) try() chunk {
	if !b.sem.TryAcquire(chunkSize) {
		return nil
	}
	return b.chunk()
}

// get waits for a chunk. vfs.ErrBusy says that none came free in time.
func (b *budget) get(ctx context.Context) (chunk, error) {
	if c := b.try(); c != nil {
		return c, nil
	}
	limited, cancel := context.WithTimeout(ctx, b.wait)
	defer cancel()
	if err := b.sem.Acquire(limited, chunkSize); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, errNoMemory
	}
	return b.chunk(), nil
}

var errNoMemory = fmt.Errorf("%w: the buffers of all transfers are used up", vfs.ErrBusy)

func (b *budget) chunk() chunk {
	if c, ok := b.pool.Get().(chunk); ok {
		return c
	}
	return new([chunkSize]byte)
}

func (b *budget) put(chunks ...chunk) {
	for _, c := range chunks {
		b.pool.Put(c)
	}
	b.sem.Release(int64(len(chunks)) * chunkSize)
}

// tryAhead returns n chunks to read ahead into, or nil if there is no memory to spare.
func (b *budget) tryAhead(n int) []chunk {
	size := int64(n) * chunkSize
	if !b.ahead.TryAcquire(size) {
		return nil
	}
	if !b.sem.TryAcquire(size) {
		b.ahead.Release(size)
		return nil
	}
	chunks := make([]chunk, n)
	for i := range chunks {
		chunks[i] = b.chunk()
	}
	return chunks
}

func (b *budget) putAhead(c chunk) {
	b.put(c)
	b.ahead.Release(chunkSize)
}
