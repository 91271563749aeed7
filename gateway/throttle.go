package gateway

import (
	"context"

	"golang.org/x/time/rate"
)

// maxChunk is how much a transfer moves between two looks at its deadline, its
// rate and its context.
const maxChunk = 1 << 20

// throttle limits one direction of a session; nil does not limit. It waits
// between chunks, never inside a reader or writer, so that the kernel can copy.
type throttle struct {
	limiter *rate.Limiter
	chunk   int64
}

// newThrottle allows bytes a second, in chunks of about a tenth of that.
func newThrottle(bytes int64) *throttle {
	if bytes <= 0 {
		return nil
	}
	chunk := min(max(bytes/10, 512), maxChunk)
	return &throttle{limiter: rate.NewLimiter(rate.Limit(bytes), int(chunk)), chunk: chunk}
}

// size is how much to move next.
func (t *throttle) size() int64 {
	if t == nil {
		return maxChunk
	}
	return t.chunk
}

// wait blocks until n bytes are within the rate.
func (t *throttle) wait(ctx context.Context, n int64) error {
	if t == nil {
		return nil
	}
	for n > 0 {
		step := min(n, t.chunk)
		if err := t.limiter.WaitN(ctx, int(step)); err != nil {
			return context.Cause(ctx)
		}
		n -= step
	}
	return nil
}
