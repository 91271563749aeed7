package memory

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/ftpgate/ftpgate/vfs"
)

func benchFile(b *testing.B, size int) *FS {
	b.Helper()
	f := New(Options{})
	w, err := f.Create(context.Background(), "f", vfs.CreateOptions{})
	if err == nil {
		_, err = w.Write(make([]byte, size))
	}
	if err == nil {
		err = w.Commit()
	}
	if err != nil {
		b.Fatal(err)
	}
	return f
}

// sink takes chunks without looking at them, like a socket that costs nothing.
type sink struct{}

func (sink) Write(p []byte) (int, error) { return len(p), nil }

func BenchmarkRead(b *testing.B) {
	const size = 64 << 20
	f := benchFile(b, size)
	buf := make([]byte, 256<<10)
	for name, copyTo := range map[string]func(io.Writer, io.Reader) (int64, error){
		"WriteTo": func(w io.Writer, r io.Reader) (int64, error) { return r.(io.WriterTo).WriteTo(w) },
		"Read": func(w io.Writer, r io.Reader) (int64, error) {
			return io.CopyBuffer(w, struct{ io.Reader }{r}, buf)
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				file, err := f.Open(context.Background(), "f", 0, -1)
				if err != nil {
					b.Fatal(err)
				}
				if n, err := copyTo(sink{}, file); n != size || err != nil {
					b.Fatal(n, err)
				}
				file.Close()
			}
		})
	}
}

func BenchmarkUpload(b *testing.B) {
	for _, size := range []int{100, 64 << 10, 64 << 20} {
		data := make([]byte, size)
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			f := New(Options{})
			b.SetBytes(int64(size))
			for b.Loop() {
				w, err := f.Create(context.Background(), "f", vfs.CreateOptions{})
				if err != nil {
					b.Fatal(err)
				}
				if _, err := w.ReadFrom(struct{ io.Reader }{bytes.NewReader(data)}); err != nil {
					b.Fatal(err)
				}
				if err := w.Commit(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A line appended to a large file copies one chunk and the list of the others.
func BenchmarkAppendLine(b *testing.B) {
	f := benchFile(b, 256<<20)
	line := []byte("2026-01-01 00:00:00 a line of a log\n")
	for b.Loop() {
		if err := write(f, "f", string(line), vfs.CreateOptions{Mode: vfs.Append}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkList(b *testing.B) {
	const entries = 100_000
	f := New(Options{})
	for i := range entries {
		if err := f.Mkdir(context.Background(), fmt.Sprintf("entry-%d", i)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for _, err := range f.ReadDir(context.Background(), ".", "") {
			if n++; err != nil {
				b.Fatal(err)
			}
		}
		if n != entries {
			b.Fatal(n)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/entries, "ns/entry")
}

func BenchmarkStat(b *testing.B) {
	f := New(Options{})
	for _, dir := range []string{"a", "a/b", "a/b/c"} {
		if err := f.Mkdir(context.Background(), dir); err != nil {
			b.Fatal(err)
		}
	}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := f.Stat(context.Background(), "a/b/c"); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkSnapshot copies a tree of 10,000 files.
func BenchmarkSnapshot(b *testing.B) {
	f := New(Options{})
	for i := range 10_000 {
		if err := write(f, fmt.Sprintf("f%d", i), "content", vfs.CreateOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Snapshot(); err != nil {
			b.Fatal(err)
		}
	}
}
