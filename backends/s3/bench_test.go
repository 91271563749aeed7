package s3

import (
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/ftpgate/ftpgate/backends/s3/s3fake"
	"github.com/ftpgate/ftpgate/vfs"
)

// The fake runs in the same process, so the figures hold its work too: they serve
// to compare, not to praise.

func BenchmarkOpenBucket(b *testing.B) {
	s := s3fake.New(b, s3fake.Options{})
	for b.Loop() {
		f, err := Open(b.Context(), fakeOptions(s, ""))
		if err != nil {
			b.Fatal(err)
		}
		f.Close()
	}
}

func BenchmarkStat(b *testing.B) {
	s, f := fake(b, s3fake.Options{})
	s.PutAll("pre/fix/d/file")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Stat(b.Context(), "d/file"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUpload(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			_, f := fake(b, s3fake.Options{})
			data := pattern(size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if err := upload1(b.Context(), f, "file", data, vfs.CreateOptions{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDownload(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s, f := fake(b, s3fake.Options{})
			s.Put("pre/fix/file", pattern(size))
			b.SetBytes(int64(size))
			b.ReportAllocs()
			buf := make([]byte, 128<<10)
			for b.Loop() {
				r, err := f.Open(b.Context(), "file", 0, -1)
				if err != nil {
					b.Fatal(err)
				}
				n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{r}, buf)
				if err != nil || n != int64(size) {
					b.Fatal(n, err)
				}
				r.Close()
			}
		})
	}
}

// BenchmarkReadDir lists 100,000 keys; "first-ms" is when the first entry came.
func BenchmarkReadDir(b *testing.B) {
	const keys = 100_000
	s, f := fake(b, s3fake.Options{})
	for i := range keys {
		s.PutAll(fmt.Sprintf("pre/fix/many/file-%06d.dat", i))
	}
	var first time.Duration
	b.ReportAllocs()
	for b.Loop() {
		begin, n := time.Now(), 0
		for _, err := range f.ReadDir(b.Context(), "many", "") {
			if err != nil {
				b.Fatal(err)
			}
			if n++; n == 1 {
				first += time.Since(begin)
			}
		}
		if n != keys {
			b.Fatal(n)
		}
	}
	b.ReportMetric(float64(first.Milliseconds())/float64(b.N), "first-ms")
}

// BenchmarkPart is what one part of 8 MiB costs before it is sent.
func BenchmarkPart(b *testing.B) {
	data := pattern(8 << 20)
	pool := newBudget(minBuffers, time.Second)
	for _, digest := range []struct {
		name string
		of   func(*part)
	}{{"MD5", func(p *part) { p.md5() }}, {"CRC64NVME", func(p *part) { p.crc64NVME() }}} {
		b.Run(digest.name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				p := filled(pool, data)
				digest.of(p)
				if _, err := io.Copy(io.Discard, struct{ io.Reader }{p.body()}); err != nil {
					b.Fatal(err)
				}
				p.release(pool)
			}
		})
	}
}
