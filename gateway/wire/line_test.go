package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unsafe"
)

// step is one answer of a script.
type step struct {
	data string
	err  error
}

// script is a reader that answers one step after another, then io.EOF.
type script struct{ steps []step }

func (s *script) Read(p []byte) (int, error) {
	if len(s.steps) == 0 {
		return 0, io.EOF
	}
	now := &s.steps[0]
	if now.data == "" {
		err := now.err
		s.steps = s.steps[1:]
		return 0, err
	}
	n := copy(p, now.data)
	now.data = now.data[n:]
	if now.data == "" && now.err == nil {
		s.steps = s.steps[1:]
	}
	return n, nil
}

// readAll returns the lines up to the first error.
func readAll(r io.Reader, limit int) (lines []string, err error) {
	l := NewLineReader(r, limit)
	for {
		line, err := l.ReadLine()
		if err != nil {
			return lines, err
		}
		lines = append(lines, line)
	}
}

var lineTests = []struct {
	name string
	in   string
	want []string
	err  error // io.EOF if nil
}{
	{"crlf", "NOOP\r\nQUIT\r\n", []string{"NOOP", "QUIT"}, nil},
	{"lf alone", "NOOP\nQUIT\n", []string{"NOOP", "QUIT"}, nil},
	{"empty lines", "\r\n\n\r\n", []string{"", "", ""}, nil},
	{"nothing", "", nil, nil},
	{"half a line", "NOOP\r\nDELE f", []string{"NOOP"}, io.ErrUnexpectedEOF},
	{"half a line end", "NOOP\r", nil, io.ErrUnexpectedEOF},
	{"half a telnet command", "\xff", nil, io.ErrUnexpectedEOF},
	{"spaces are kept", "  a b  \r\n", []string{"  a b  "}, nil},
	{"utf-8", "RETR grün.txt\r\n", []string{"RETR grün.txt"}, nil},

	{"cr is kept", "a\rb\r\n", []string{"a\rb"}, nil},
	{"cr cr lf", "a\r\r\n", []string{"a\r"}, nil},
	{"cr nul is cr", "a\r\x00b\r\n", []string{"a\rb"}, nil},
	{"cr nul before the end", "a\r\x00\r\n", []string{"a\r"}, nil},
	{"cr nul lf", "a\r\x00\n", []string{"a\r"}, nil},
	{"nul is kept", "a\x00b\r\n\x00\r\n", []string{"a\x00b", "\x00"}, nil},
	{"cr nul nul", "\r\x00\x00\r\n", []string{"\r\x00"}, nil},

	{"iac iac", "RETR \xff\xff\r\n", []string{"RETR \xff"}, nil},
	{"iac iac iac iac", "\xff\xff\xff\xff\r\n", []string{"\xff\xff"}, nil},
	{"literal 0xff", "RETR \xffa\xe4\r\n", []string{"RETR \xffa\xe4"}, nil},
	{"literal 0xff at the end", "RETR \xff\r\n", []string{"RETR \xff"}, nil},
	{"literal 0xff before lf", "RETR \xff\n", []string{"RETR \xff"}, nil},
	{"literal 0xff before 0xef", "RETR \xff\xef\r\n", []string{"RETR \xff\xef"}, nil},
	{"literal 0xff after cr", "a\r\xffb\r\n", []string{"a\r\xffb"}, nil},
	{"negotiation", "\xff\xfb\x01US\xff\xfc\x02ER\xff\xfd\x03 \xff\xfe\x04a\r\n", []string{"USER a"}, nil},
	{"option 0xff", "\xff\xfb\xffNOOP\r\n", []string{"NOOP"}, nil},
	{"option is lf", "\xff\xfd\nNOOP\r\n", []string{"NOOP"}, nil},
	{"every command", "N\xff\xf0\xff\xf1\xff\xf2\xff\xf3\xff\xf4\xff\xf5\xff\xf6\xff\xf7\xff\xf8\xff\xf9OOP\r\n", []string{"NOOP"}, nil},
	{"command inside the line end", "NOOP\r\xff\xf1\n", []string{"NOOP"}, nil},
	{"subnegotiation", "NO\xff\xfa\x18\x00xterm\r\n\xff\xff\xff\xf0OP\r\n", []string{"NOOP"}, nil},
	{"subnegotiation, empty", "\xff\xfa\xff\xf0NOOP\r\n", []string{"NOOP"}, nil},
	{"subnegotiation, iac without se", "\xff\xfaa\xffb\xff\xf0NOOP\r\n", []string{"NOOP"}, nil},
	{"subnegotiation without end", "NOOP\r\n\xff\xfaa\r\n", []string{"NOOP"}, io.ErrUnexpectedEOF},

	{"synch", "\xff\xf4\xff\xf2ABOR\r\n", []string{"ABOR"}, nil},
	{"synch, mark taken out of band", "\xff\xf4\xffABOR\r\n", []string{"ABOR"}, nil},
	{"synch, lone mark", "\xff\xf4\xf2ABOR\r\n", []string{"ABOR"}, nil},
	{"synch, iac taken out of band", "\xf4\xff\xf2ABOR\r\n", []string{"ABOR"}, nil},
	{"synch behind a line", "STOR f\r\n\xff\xf4\xf2\xff\xf2ABOR\r\n", []string{"STOR f", "ABOR"}, nil},
	{"mark inside a name is a letter", "RETR \xf2\xf4\r\n", []string{"RETR \xf2\xf4"}, nil},
	{"synch of nothing", "\xff\xf4\xff\xf2\r\n", []string{""}, nil},
}

func TestReadLine(t *testing.T) {
	for _, tt := range lineTests {
		t.Run(tt.name, func(t *testing.T) {
			want := tt.err
			if want == nil {
				want = io.EOF
			}
			readers := map[string]io.Reader{
				"whole":         strings.NewReader(tt.in),
				"byte by byte":  iotest.OneByteReader(strings.NewReader(tt.in)),
				"data with EOF": iotest.DataErrReader(strings.NewReader(tt.in)),
			}
			for cut := range tt.in {
				readers[fmt.Sprintf("cut at %d", cut)] = &script{[]step{
					{data: tt.in[:cut]}, {data: "", err: os.ErrDeadlineExceeded}, {data: tt.in[cut:]},
				}}
			}
			for how, r := range readers {
				l := NewLineReader(r, 64)
				var got []string
				var err error
				for {
					var line string
					if line, err = l.ReadLine(); errors.Is(err, os.ErrDeadlineExceeded) {
						continue
					} else if err != nil {
						break
					}
					got = append(got, line)
				}
				if err != want || !slices.Equal(got, tt.want) {
					t.Errorf("%s: %q gave %q, %v; want %q, %v", how, tt.in, got, err, tt.want, want)
				}
			}
		})
	}
}

// A line as long as the window, and around it, comes whole wherever it begins.
func TestReadLineAcrossWindows(t *testing.T) {
	for first := range 4 {
		for n := windowSize - 4; n < 2*windowSize+4; n++ {
			a, b := strings.Repeat("x", first), strings.Repeat("y", n)
			got, err := readAll(strings.NewReader(a+"\r\n"+b+"\r\n"+b+"\n"), 4096)
			if err != io.EOF || !slices.Equal(got, []string{a, b, b}) {
				t.Fatalf("%d and %d bytes: %d lines, %v", first, n, len(got), err)
			}
		}
	}
}

func TestLineLimit(t *testing.T) {
	for _, limit := range []int{0, 1, windowSize - 1, windowSize, windowSize + 1, 1000, 4096} {
		fits := strings.Repeat("a", limit)
		for _, tt := range []struct {
			name string
			in   string
			want []string
			err  error
		}{
			{"fits", fits + "\r\n", []string{fits}, io.EOF},
			{"fits, lf", fits + "\n", []string{fits}, io.EOF},
			{"fits with telnet", "\xff\xfb\x01" + fits + "\xff\xf1\r\n", []string{fits}, io.EOF},
			{"one more", fits + "a\r\n", nil, ErrLineTooLong},
			{"one more after a good one", fits + "\r\n" + fits + "a\r\nNOOP\r\n", []string{fits}, ErrLineTooLong},
			{"cr is one more", fits + "\r\r\n", nil, ErrLineTooLong},
			{"0xff is one more", fits + "\xff\xff\r\n", nil, ErrLineTooLong},
			{"never ends", fits + strings.Repeat("a", 10000), nil, ErrLineTooLong},
			{"subnegotiation never ends", "\xff\xfa" + strings.Repeat("a", 10000), nil, ErrLineTooLong},
		} {
			for _, r := range []io.Reader{strings.NewReader(tt.in), iotest.OneByteReader(strings.NewReader(tt.in))} {
				if got, err := readAll(r, limit); err != tt.err || !slices.Equal(got, tt.want) {
					t.Errorf("limit %d, %s: %d lines, %v; want %d, %v", limit, tt.name, len(got), err, len(tt.want), tt.err)
				}
			}
		}
	}
}

func TestLineTooLongIsFinal(t *testing.T) {
	l := NewLineReader(strings.NewReader(strings.Repeat("a", 11)+"\r\nNOOP\r\n"), 10)
	for range 3 {
		if line, err := l.ReadLine(); err != ErrLineTooLong {
			t.Fatalf("%q, %v", line, err)
		}
	}
}

// Telnet commands and negotiations without end cost no memory, and no line.
func TestTelnetNoiseHoldsNothing(t *testing.T) {
	noise := strings.Repeat("\xff\xf1\xff\xfb\x01\xff\xfaabc\xff\xf0", 10000)
	l := NewLineReader(strings.NewReader(noise+"NOOP\r\n"), 16)
	line, err := l.ReadLine()
	if line != "NOOP" || err != nil {
		t.Fatalf("%q, %v", line, err)
	}
}

func TestLineMemory(t *testing.T) {
	const limit = 4096
	r := &script{[]step{{data: strings.Repeat("a", limit)}, {err: os.ErrDeadlineExceeded}, {data: "\r\n"}, {err: os.ErrDeadlineExceeded}}}
	l := NewLineReader(r, limit)
	if _, err := l.ReadLine(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	if cap(l.line) > limit {
		t.Errorf("a line of %d bytes is held in %d", limit, cap(l.line))
	}
	if line, err := l.ReadLine(); err != nil || len(line) != limit {
		t.Fatal(len(line), err)
	}
	if _, err := l.ReadLine(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	if l.line != nil {
		t.Errorf("an idle reader holds %d bytes", cap(l.line))
	}
	if size := unsafe.Sizeof(*l); size > 384 {
		t.Errorf("a reader takes %d bytes", size)
	}
}

func TestBufferedAndReset(t *testing.T) {
	read := func(t *testing.T, l *LineReader, want string) {
		t.Helper()
		if line, err := l.ReadLine(); line != want || err != nil {
			t.Fatalf("%q, %v; want %q", line, err, want)
		}
	}
	for _, tt := range []struct {
		rest string
		want int
	}{{"", 0}, {"P", 1}, {"PBSZ 0\r\n", 8}, {"\r", 1}, {"\n", 1}, {"\xff", 1}, {"\xff\xf1", 2}} {
		l := NewLineReader(strings.NewReader("AUTH TLS\r\n"+tt.rest), 100)
		read(t, l, "AUTH TLS")
		if got := l.Buffered(); got != tt.want {
			t.Errorf("behind AUTH TLS %q: %d bytes, want %d", tt.rest, got, tt.want)
		}
		err := l.Reset(strings.NewReader("PROT P\r\n"))
		if tt.want > 0 {
			if err != ErrBuffered {
				t.Errorf("Reset with %q buffered: %v", tt.rest, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		read(t, l, "PROT P")
	}
}

// A line that a deadline interrupted is buffered, too: its rest must not come
// from another stream.
func TestResetRefusesHalfALine(t *testing.T) {
	for _, half := range []string{"DELE ", "\r", "\xff", "\xff\xfb", "\xff\xfa", "\xff\xfa\xff"} {
		l := NewLineReader(&script{[]step{{data: half}, {err: os.ErrDeadlineExceeded}}}, 100)
		if _, err := l.ReadLine(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		if l.Buffered() == 0 {
			t.Errorf("%q: nothing buffered", half)
		}
		if err := l.Reset(strings.NewReader("")); err != ErrBuffered {
			t.Errorf("%q: Reset: %v", half, err)
		}
	}
}

func TestReadLineErrors(t *testing.T) {
	broken := errors.New("broken")
	l := NewLineReader(&script{[]step{{data: "NOOP\r\nQU"}, {err: broken}, {data: "IT\r\n"}}}, 100)
	for _, want := range []struct {
		line string
		err  error
	}{{"NOOP", nil}, {"", broken}, {"QUIT", nil}, {"", io.EOF}, {"", io.EOF}} {
		if line, err := l.ReadLine(); line != want.line || err != want.err {
			t.Errorf("%q, %v; want %q, %v", line, err, want.line, want.err)
		}
	}
	silent := NewLineReader(readerFunc(func([]byte) (int, error) { return 0, nil }), 100)
	if _, err := silent.ReadLine(); err != io.ErrNoProgress {
		t.Errorf("a reader that gives nothing: %v", err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// repeat is a reader that gives the same bytes for ever.
type repeat struct {
	data string
	pos  int
}

func (r *repeat) Read(p []byte) (int, error) {
	n := copy(p, r.data[r.pos:])
	r.pos = (r.pos + n) % len(r.data)
	return n, nil
}

func TestReadLineAllocs(t *testing.T) {
	l := NewLineReader(&repeat{data: "RETR some/file.txt\r\n"}, 4096)
	allocs := testing.AllocsPerRun(1000, func() {
		if _, err := l.ReadLine(); err != nil {
			t.Fatal(err)
		}
	})
	// The string itself; every thirteenth line lies across two windows.
	if allocs > 1 {
		t.Errorf("%v allocations a line", allocs)
	}
}

func BenchmarkReadLine(b *testing.B) {
	for _, bb := range []struct{ name, line string }{
		{"short", "RETR some/file.txt\r\n"},
		{"telnet", "\xff\xf4\xff\xf2ABOR\r\n"},
		{"long", "RETR " + strings.Repeat("x", 1000) + "\r\n"},
	} {
		b.Run(bb.name, func(b *testing.B) {
			l := NewLineReader(&repeat{data: bb.line}, 4096)
			b.SetBytes(int64(len(bb.line)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := l.ReadLine(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// FuzzLines: however a stream is cut, and wherever a deadline interrupts it, the
// lines are the same; none is above the limit or holds a line feed.
func FuzzLines(f *testing.F) {
	for _, tt := range lineTests {
		f.Add([]byte(tt.in), uint8(3))
	}
	f.Fuzz(func(t *testing.T, in []byte, size uint8) {
		const limit = 300
		want, wantErr := readAll(bytes.NewReader(in), limit)
		for _, line := range want {
			if len(line) > limit || strings.Contains(line, "\n") {
				t.Fatalf("line %q", line)
			}
		}
		var r script
		chunk := int(size)%windowSize + 1
		for part := range slices.Chunk(in, chunk) {
			r.steps = append(r.steps, step{data: string(part)}, step{err: os.ErrDeadlineExceeded})
		}
		l := NewLineReader(&r, limit)
		var got []string
		for {
			line, err := l.ReadLine()
			if errors.Is(err, os.ErrDeadlineExceeded) {
				if cap(l.line) > limit {
					t.Fatalf("%d bytes held", cap(l.line))
				}
				continue
			}
			if err != nil {
				if err != wantErr {
					t.Fatalf("in chunks of %d: %v, as a whole: %v", chunk, err, wantErr)
				}
				break
			}
			got = append(got, line)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("in chunks of %d: %q, as a whole: %q", chunk, got, want)
		}
	})
}

// What a client sends with every 0xFF doubled and CR LF behind each line is what
// the dispatcher gets.
func FuzzLineRoundTrip(f *testing.F) {
	f.Add("RETR a\xffb")
	f.Add("\xff\xf2")
	f.Add("a\rb\x00")
	f.Fuzz(func(t *testing.T, line string) {
		if strings.Contains(line, "\n") || len(line) > 0 && (line[0] == telnetDM || line[0] == telnetIP) {
			t.Skip()
		}
		sent := strings.NewReplacer("\xff", "\xff\xff", "\r", "\r\x00").Replace(line)
		got, err := readAll(strings.NewReader(sent+"\r\n"), len(line))
		if err != io.EOF || len(got) != 1 || got[0] != line {
			t.Fatalf("%q came as %q, %v", line, got, err)
		}
	})
}
