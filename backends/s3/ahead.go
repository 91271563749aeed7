package s3

import (
	"context"
	"io"
	"sync"
	"time"
)

const (
	// maxStreams is how many requests of one download run at a time at most.
	maxStreams = 6
	// fastStream is the rate in bytes a second beyond which a second stream would
	// only cost.
	fastStream = 150 << 20
)

// download reads an object in order, at first by one plain request. While its
// reader waits for the store, it adds requests for ranges ahead, into memory of the
// budget; while the store waits for the reader, it takes them away again. Without
// memory it stays with, or goes back to, one plain request. All of them are pinned to
// one version.
type download struct {
	*stream // the plain request; its bytes come first
	end     int64
	ahead   []*segment // behind it, in order
	next    int64      // where the next segment begins
	size    int64      // of the next segment, in bytes
	streams int
	helpers sync.WaitGroup

	// The present window of measurement.
	began  time.Time
	waited time.Duration
	took   int64
}

func newDownload(s *stream) *download {
	return &download{stream: s, end: s.end, size: s.f.tuning.segment, streams: 1}
}

// segment is a range that is fetched into memory while its turn has not come.
type segment struct {
	chunks []chunk
	size   int64 // bytes

	mu      sync.Mutex
	arrived int64         // bytes
	err     error         // after them
	news    chan struct{} // one token if arrived or err changed
	read    int64         // by the reader's goroutine alone
}

func (d *download) Read(p []byte) (int, error) {
	if d.began.IsZero() {
		d.began = time.Now()
	}
	for len(p) > 0 {
		var n int
		var err error
		switch {
		case d.stream.pos < d.stream.end, d.alone():
			start := time.Now()
			n, err = d.stream.Read(p)
			d.waited += time.Since(start)
			if d.stream.pos == d.stream.end && !d.alone() {
				d.stream.close() // the body goes on, but segments have the rest
			}
		case len(d.ahead) > 0:
			n, err = d.fromSegment(p)
		case d.next < d.end:
			d.stream.pos, d.stream.end = d.next, d.end
		default:
			err = io.EOF
		}
		if n > 0 || err != nil {
			d.account(n)
			return n, err
		}
	}
	return 0, nil
}

// alone reports whether the plain request goes to the end.
func (d *download) alone() bool { return len(d.ahead) == 0 && d.stream.end == d.end }

// fromSegment reads from the first segment; nothing and no error says that it has
// been read to its end.
func (d *download) fromSegment(p []byte) (int, error) {
	g := d.ahead[0]
	if g.read == g.size {
		d.ahead = d.ahead[1:]
		return 0, nil
	}
	for {
		g.mu.Lock()
		arrived, err := g.arrived, g.err
		g.mu.Unlock()
		if arrived > g.read {
			return d.take(g, p, arrived), nil
		}
		if err != nil {
			return 0, err
		}
		start := time.Now()
		select {
		case <-g.news:
		case <-d.ctx.Done():
			return 0, context.Cause(d.ctx)
		}
		d.waited += time.Since(start)
	}
}

// take copies what arrived, and gives back each chunk that is used up.
func (d *download) take(g *segment, p []byte, arrived int64) int {
	n := 0
	for n < len(p) && g.read < arrived {
		i := g.read / chunkSize
		end := min(arrived, (i+1)*chunkSize)
		c := copy(p[n:], g.chunks[i][g.read%chunkSize:end-i*chunkSize])
		n += c
		if g.read += int64(c); g.read%chunkSize == 0 || g.read == g.size {
			d.f.buffers.putAhead(g.chunks[i])
			g.chunks[i] = nil
		}
	}
	return n
}

// account notes n more bytes, and once a window is full decides how many streams
// there shall be.
func (d *download) account(n int) {
	d.took += int64(n)
	if d.took < d.f.tuning.window {
		return
	}
	elapsed := time.Since(d.began)
	slow := float64(d.took) < elapsed.Seconds()*fastStream*float64(d.streams)
	switch {
	case d.waited*2 > elapsed && slow || d.f.tuning.eager:
		d.streams = min(d.streams+1, maxStreams)
	case d.waited*10 < elapsed && d.running() == 0: // else it only takes what had gathered
		d.streams = max(d.streams-1, 1)
	}
	d.began, d.waited, d.took = time.Now(), 0, 0
	d.reach()
}

// running is how many requests are not done: the plain one counts while segments
// depend on it.
func (d *download) running() (n int) {
	if d.stream.pos < d.stream.end && !d.alone() {
		n++
	}
	for _, g := range d.ahead {
		if !g.done() {
			n++
		}
	}
	return n
}

// reach requests what there are streams and memory for.
func (d *download) reach() {
	if d.streams == 1 {
		return
	}
	running := d.running()
	if d.alone() { // the plain request goes up to the first segment
		d.next, running = d.stream.pos+d.size, 1
	}
	for ; running < d.streams && len(d.ahead) <= d.streams && d.next < d.end; running++ {
		size := min(d.size, d.end-d.next)
		chunks := d.f.buffers.tryAhead(int((size + chunkSize - 1) / chunkSize))
		if chunks == nil {
			return
		}
		if d.alone() {
			d.stream.end = d.next
		}
		g := &segment{chunks: chunks, size: size, news: make(chan struct{}, 1)}
		s := &stream{f: d.f, ctx: d.ctx, object: d.object, pos: d.next, end: d.next + size}
		d.ahead = append(d.ahead, g)
		d.helpers.Go(func() { g.fill(s) })
		d.next += size
		d.size = min(2*d.size, d.f.tuning.maxSegment)
	}
}

func (g *segment) done() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err != nil || g.arrived == g.size
}

// fill reads the segment, chunk by chunk.
func (g *segment) fill(s *stream) {
	defer s.close()
	for at := int64(0); at < g.size; {
		i := at / chunkSize
		n, err := s.Read(g.chunks[i][at%chunkSize : min(chunkSize, g.size-i*chunkSize)])
		at += int64(n)
		if err == io.EOF && at < g.size {
			err = io.ErrUnexpectedEOF
		}
		g.mu.Lock()
		g.arrived = at
		if at < g.size {
			g.err = err
		}
		g.mu.Unlock()
		select {
		case g.news <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

// close ends all requests, whose context is done, and gives the memory back.
func (d *download) close() {
	d.stream.close()
	d.helpers.Wait()
	for _, g := range d.ahead {
		for _, c := range g.chunks {
			if c != nil {
				d.f.buffers.putAhead(c)
			}
		}
	}
	d.ahead = nil
}
