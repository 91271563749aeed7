package s3

import (
	"crypto/md5"
	"encoding/base64"
	"errors"
	"hash"
	"hash/crc64"
	"io"
)

const (
	// maxParts is S3's limit for one upload.
	maxParts = 10_000
	// partsPerSize is how many parts have one size before it doubles.
	partsPerSize = 1_000
)

// plan gives the size of each part: a function of the base and the number alone, so
// that any process can continue an upload.
type plan struct {
	base  int64 // of part 1, in bytes
	equal bool  // all parts have the size of the base
	most  int64 // no part is larger: what fits into memory
}

// size returns the size of part n, counted from 1, in bytes.
func (p plan) size(n int32) int64 {
	size := p.base
	if p.equal {
		return size
	}
	for range (n - 1) / partsPerSize {
		size = min(2*size, p.most)
	}
	return size
}

// capacity is the size in bytes of the largest upload under the plan.
func (p plan) capacity() int64 {
	var sum int64
	for n := int32(1); n <= maxParts; n += partsPerSize {
		sum += partsPerSize * p.size(n)
	}
	return sum
}

// newPlan makes a plan for an upload of hint bytes, 0 if that is unknown. most is
// the largest part that memory allows.
func newPlan(base, most, hint int64, equal bool) plan {
	p := plan{base: base, equal: equal, most: max(base, most)}
	for p.capacity() < hint && p.base < p.most {
		p.base = min(2*p.base, p.most)
	}
	return p
}

// part is a part of an upload on its way: it fills chunk by chunk, and then is read
// by the request that sends it.
type part struct {
	number int32 // counted from 1
	limit  int64 // size when full, in bytes
	size   int64 // bytes that arrived
	chunks []chunk
}

func (p *part) full() bool { return p.size == p.limit }

// space is the rest of the last chunk; empty if a chunk is needed.
func (p *part) space() []byte {
	used := p.size - int64(len(p.chunks)-1)*chunkSize
	if len(p.chunks) == 0 || used == chunkSize {
		return nil
	}
	end := min(int64(chunkSize), used+p.limit-p.size)
	return p.chunks[len(p.chunks)-1][used:end]
}

// bytes returns what chunk i holds.
func (p *part) bytes(i int) []byte {
	return p.chunks[i][:min(chunkSize, p.size-int64(i)*chunkSize)]
}

func (p *part) release(b *budget) {
	b.put(p.chunks...)
	p.chunks, p.size = nil, 0
}

// digest returns the digest of the part's bytes.
func (p *part) digest(h hash.Hash) []byte {
	for i := range p.chunks {
		h.Write(p.bytes(i))
	}
	return h.Sum(nil)
}

func (p *part) md5() []byte { return p.digest(md5.New()) }

// crc64NVME is the checksum as S3's header has it.
func (p *part) crc64NVME() string {
	return base64.StdEncoding.EncodeToString(p.digest(crc64.New(crc64.MakeTable(0x9a6c9329ac4bc9b5))))
}

// body reads the part; the SDK rewinds it for each try.
func (p *part) body() io.ReadSeeker { return &partReader{p: p} }

type partReader struct {
	p   *part
	pos int64
}

func (r *partReader) Read(b []byte) (int, error) {
	if r.pos >= r.p.size {
		return 0, io.EOF
	}
	n := copy(b, r.p.bytes(int(r.pos / chunkSize))[r.pos%chunkSize:])
	r.pos += int64(n)
	return n, nil
}

func (r *partReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.pos
	case io.SeekEnd:
		offset += r.p.size
	}
	if offset < 0 {
		return 0, errors.New("seek before the start")
	}
	r.pos = offset
	return offset, nil
}
