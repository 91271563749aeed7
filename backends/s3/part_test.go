package s3

import (
	"encoding/base64"
	"encoding/hex"
	"testing"
	"testing/iotest"
	"time"
)

func filled(b *budget, data []byte) *part {
	p := &part{number: 1, limit: int64(len(data))}
	for len(data) > 0 {
		if len(p.space()) == 0 {
			p.chunks = append(p.chunks, b.try())
		}
		n := copy(p.space(), data)
		p.size += int64(n)
		data = data[n:]
	}
	return p
}

func TestPart(t *testing.T) {
	b := newBudget(minBuffers, time.Second)
	for _, n := range []int{0, 1, chunkSize - 1, chunkSize, chunkSize + 1, 3*chunkSize + 5} {
		data := pattern(n)
		p := filled(b, data)
		if !p.full() || len(p.chunks) != (n+chunkSize-1)/chunkSize {
			t.Errorf("%d bytes: full %v, %d chunks", n, p.full(), len(p.chunks))
		}
		if err := iotest.TestReader(p.body(), data); err != nil {
			t.Errorf("%d bytes: %v", n, err)
		}
		p.release(b)
	}
	if !b.sem.TryAcquire(b.total) {
		t.Error("memory is still held")
	}
}

// TestDigests: the check values of the algorithms' own definitions.
func TestDigests(t *testing.T) {
	p := filled(newBudget(minBuffers, time.Second), []byte("123456789"))
	crc, _ := base64.StdEncoding.DecodeString(p.crc64NVME())
	if got := hex.EncodeToString(crc); got != "ae8b14860a799888" {
		t.Errorf("CRC-64/NVME is %s", got)
	}
	if got := hex.EncodeToString(p.md5()); got != "25f9e794323b453885f5181f1b624d0b" {
		t.Errorf("MD5 is %s", got)
	}
}

func TestPlan(t *testing.T) {
	const mib = 1 << 20
	p := newPlan(8*mib, 128*mib, 0, false)
	for _, c := range []struct {
		n    int32
		want int64
	}{{1, 8 * mib}, {1000, 8 * mib}, {1001, 16 * mib}, {2000, 16 * mib}, {2001, 32 * mib}, {4001, 128 * mib}, {10000, 128 * mib}} {
		if got := p.size(c.n); got != c.want {
			t.Errorf("part %d has %d MiB, want %d", c.n, got/mib, c.want/mib)
		}
	}
	if got := newPlan(8*mib, 1<<40, 0, false).capacity(); got != 1000*8*mib*1023 { // 7.8 TiB
		t.Errorf("capacity is %d", got)
	}
	if got := newPlan(8*mib, 128*mib, 1<<40, false); got.capacity() < 1<<40 || got.base != 32*mib {
		t.Errorf("1 TiB is planned with parts of %d MiB, for %d MiB", got.base/mib, got.capacity()/mib)
	}
	if got := newPlan(8*mib, 128*mib, 100<<30, true); got.capacity() < 100<<30 || got.size(9999) != got.base || got.base != 16*mib {
		t.Errorf("100 GiB in equal parts: %d MiB", got.base/mib)
	}
}

// TestSlots: an upload holds 40 MiB of parts on their way, 48 of the larger ones that
// come behind the first thousand, and never more than a quarter of the buffers.
func TestSlots(t *testing.T) {
	for _, c := range []struct{ size, total, inFlight int64 }{
		{1, defaultBuffers, 5}, {8 << 20, defaultBuffers, 5}, {16 << 20, defaultBuffers, 3}, {32 << 20, defaultBuffers, 3},
		{64 << 20, defaultBuffers, 2}, {128 << 20, defaultBuffers, 1}, {1 << 30, defaultBuffers, 1}, {8 << 20, minBuffers, 2}, {1 << 30, 8 << 30, 2},
	} {
		if got := slots / slotsOf(c.size, c.total); got != c.inFlight {
			t.Errorf("%d parts of %d bytes are on their way, want %d", got, c.size, c.inFlight)
		}
	}
}
