package wire

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

var asciiTests = []struct{ name, in, encoded, decoded string }{
	{"empty", "", "", ""},
	{"text", "a\nb\n", "a\r\nb\r\n", "a\nb\n"},
	{"network text", "a\r\nb\r\n", "a\r\nb\r\n", "a\nb\n"},
	{"only lf", "\n\n", "\r\n\r\n", "\n\n"},
	{"lone cr", "a\rb\r", "a\rb\r", "a\rb\r"},
	{"cr cr lf", "\r\r\n", "\r\r\n", "\r\n"},
	{"lf cr", "\n\r", "\r\n\r", "\n\r"},
	{"cr lf lf", "\r\n\n", "\r\n\r\n", "\n\n"},
	{"cr nul", "\r\x00\n", "\r\x00\r\n", "\r\x00\n"},
	{"bytes", "\x00\xff\xfe\n\x80", "\x00\xff\xfe\r\n\x80", "\x00\xff\xfe\n\x80"},
	{"no last line end", "a\nb", "a\r\nb", "a\nb"},
}

func encodeParts(parts ...[]byte) string {
	var e ASCIIEncoder
	out := []byte("before")
	for _, p := range parts {
		out = e.Append(out, p)
	}
	return strings.TrimPrefix(string(e.Flush(out)), "before")
}

func decodeParts(parts ...[]byte) string {
	var d ASCIIDecoder
	out := []byte("before")
	for _, p := range parts {
		out = d.Append(out, p)
	}
	return strings.TrimPrefix(string(d.Flush(out)), "before")
}

// Every way to cut a text in three gives the same bytes.
func TestASCIISplits(t *testing.T) {
	for _, tt := range asciiTests {
		in := []byte(tt.in)
		for i := range len(in) + 1 {
			for j := i; j <= len(in); j++ {
				if got := encodeParts(in[:i], in[i:j], in[j:]); got != tt.encoded {
					t.Errorf("%s, cut at %d and %d: sent %q, want %q", tt.name, i, j, got, tt.encoded)
				}
				if got := decodeParts(in[:i], in[i:j], in[j:]); got != tt.decoded {
					t.Errorf("%s, cut at %d and %d: received %q, want %q", tt.name, i, j, got, tt.decoded)
				}
			}
		}
	}
}

// Every text of up to seven bytes of CR, LF and a letter, cut everywhere.
func TestASCIIExhaustive(t *testing.T) {
	letters := []byte("\r\nx")
	var in []byte
	var walk func(depth int)
	walk = func(depth int) {
		wantEncoded, wantDecoded := encodeSlowly(in), strings.ReplaceAll(string(in), "\r\n", "\n")
		for i := range len(in) + 1 {
			if got := encodeParts(in[:i], in[i:]); got != wantEncoded {
				t.Fatalf("%q cut at %d: sent %q, want %q", in, i, got, wantEncoded)
			}
			if got := decodeParts(in[:i], in[i:]); got != wantDecoded {
				t.Fatalf("%q cut at %d: received %q, want %q", in, i, got, wantDecoded)
			}
		}
		if depth == 0 {
			return
		}
		for _, c := range letters {
			in = append(in, c)
			walk(depth - 1)
			in = in[:len(in)-1]
		}
	}
	walk(7)
}

// encodeSlowly is the rule in its plainest form.
func encodeSlowly(in []byte) string {
	var out strings.Builder
	for i, c := range in {
		if c == '\n' && (i == 0 || in[i-1] != '\r') {
			out.WriteByte('\r')
		}
		out.WriteByte(c)
	}
	return out.String()
}

// Flush begins a new text.
func TestASCIIFlushResets(t *testing.T) {
	var e ASCIIEncoder
	out := e.Append(nil, []byte("a\r"))
	out = e.Flush(out)
	if out = e.Append(out, []byte("\n")); string(out) != "a\r\r\n" {
		t.Errorf("%q", out)
	}
	var d ASCIIDecoder
	out = d.Flush(d.Append(nil, []byte("a\r")))
	if out = d.Flush(d.Append(out, []byte("\n"))); string(out) != "a\r\n" {
		t.Errorf("%q", out)
	}
}

func TestASCIIAllocs(t *testing.T) {
	src := bytes.Repeat([]byte("\n"), 1000)
	dst := make([]byte, 0, 2*len(src))
	var e ASCIIEncoder
	var d ASCIIDecoder
	if n := testing.AllocsPerRun(100, func() { dst = e.Append(dst[:0], src) }); n != 0 || len(dst) != 2*len(src) {
		t.Errorf("encoding: %v allocations, %d bytes", n, len(dst))
	}
	encoded := bytes.Clone(dst)
	dst = make([]byte, 0, len(encoded)+1)
	if n := testing.AllocsPerRun(100, func() { dst = d.Append(dst[:0], encoded) }); n != 0 {
		t.Errorf("decoding: %v allocations", n)
	}
}

// FuzzASCII: a text without CR comes back as it was, however it is cut on either side.
func FuzzASCII(f *testing.F) {
	for _, tt := range asciiTests {
		f.Add([]byte(tt.in), uint64(1))
	}
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) {
		random := rand.New(rand.NewPCG(seed, 0))
		encoded := encodeParts(cutRandomly(random, in)...)
		if want := encodeSlowly(in); encoded != want {
			t.Fatalf("%q: sent %q, want %q", in, encoded, want)
		}
		if got, want := decodeParts(cutRandomly(random, in)...), strings.ReplaceAll(string(in), "\r\n", "\n"); got != want {
			t.Fatalf("%q: received %q, want %q", in, got, want)
		}
		decoded := decodeParts(cutRandomly(random, []byte(encoded))...)
		if want := strings.ReplaceAll(string(in), "\r\n", "\n"); decoded != want {
			t.Fatalf("%q came back as %q", in, decoded)
		}
	})
}

func cutRandomly(random *rand.Rand, in []byte) (parts [][]byte) {
	for len(in) > 0 {
		n := 1 + random.IntN(min(len(in), 5))
		parts = append(parts, in[:n])
		in = in[n:]
	}
	return parts
}

func BenchmarkASCII(b *testing.B) {
	src := bytes.Repeat([]byte(strings.Repeat("x", 60)+"\n"), 1000)
	var e ASCIIEncoder
	encoded := e.Append(nil, src)
	b.Run("encode", func(b *testing.B) {
		dst := make([]byte, 0, 2*len(src))
		b.SetBytes(int64(len(src)))
		for b.Loop() {
			dst = e.Append(dst[:0], src)
		}
	})
	b.Run("decode", func(b *testing.B) {
		var d ASCIIDecoder
		dst := make([]byte, 0, len(encoded)+1)
		b.SetBytes(int64(len(encoded)))
		for b.Loop() {
			dst = d.Append(dst[:0], encoded)
		}
	})
}
