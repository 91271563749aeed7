package s3

import (
	"testing"

	"github.com/ftpgate/ftpgate/backends/s3/s3fake"
)

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
