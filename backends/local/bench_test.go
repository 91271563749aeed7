package local_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/ftpgate/ftpgate/backends/local"
	"github.com/ftpgate/ftpgate/vfs"
)

func BenchmarkUpload4KiB(b *testing.B) {
	data := make([]byte, 4<<10)
	for _, c := range []struct {
		name  string
		opt   local.Options
		owner string
	}{
		{"sync", local.Options{}, ""}, {"nosync", local.Options{NoSync: true}, ""},
		{"nosync-owner", local.Options{NoSync: true}, "ann"}, {"nosync-direct", local.Options{NoSync: true, Direct: true}, ""},
	} {
		b.Run(c.name, func(b *testing.B) {
			fsys, _ := serve(b, c.opt)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if err := write(b, fsys, fmt.Sprintf("f%d", i%1000), data, vfs.CreateOptions{Owner: c.owner}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{0, 1 << 20, 32 << 20, 100 << 20} {
		b.Run(fmt.Sprintf("to-%dMiB", size>>20), func(b *testing.B) {
			fsys, _ := serve(b, local.Options{NoSync: true})
			if err := write(b, fsys, "log", make([]byte, size), vfs.CreateOptions{}); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if err := write(b, fsys, "log", []byte("one line\n"), vfs.CreateOptions{Mode: vfs.Append}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkStat(b *testing.B) {
	fsys, _ := serve(b, local.Options{})
	for _, dir := range []string{"a", "a/b", "a/b/c"} {
		if err := fsys.Mkdir(b.Context(), dir); err != nil {
			b.Fatal(err)
		}
	}
	for _, name := range []string{"f", "a/b/c/f"} {
		if err := write(b, fsys, name, nil, vfs.CreateOptions{}); err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("depth-%d", len(name)/2), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := fsys.Stat(b.Context(), name); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("staged-depth-%d", len(name)/2), func(b *testing.B) {
			for b.Loop() {
				if _, err := fsys.StatStaged(b.Context(), name, "ann"); err == nil {
					b.Fatal("staged")
				}
			}
		})
	}
}

func BenchmarkReadDir10k(b *testing.B) {
	fsys, _ := serve(b, local.Options{NoSync: true})
	for i := range 10_000 {
		if err := write(b, fsys, fmt.Sprintf("file-%05d.txt", i), nil, vfs.CreateOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for _, err := range fsys.ReadDir(b.Context(), ".", "") {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != 10_000 {
			b.Fatal(n)
		}
	}
}

func BenchmarkOpenRead4KiB(b *testing.B) {
	fsys, _ := serve(b, local.Options{NoSync: true})
	if err := write(b, fsys, "f", make([]byte, 4<<10), vfs.CreateOptions{}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := read(b, fsys, "f"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReadFrom uploads 64 MiB from a reader that is no connection, as under
// TLS.
func BenchmarkReadFrom(b *testing.B) {
	fsys, _ := serve(b, local.Options{NoSync: true})
	data := make([]byte, 64<<20)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		w := started(b, fsys, "f", nil, vfs.CreateOptions{})
		if _, err := w.ReadFrom(struct{ io.Reader }{bytes.NewReader(data)}); err != nil {
			b.Fatal(err)
		}
		if err := w.Abort(); err != nil {
			b.Fatal(err)
		}
	}
}
