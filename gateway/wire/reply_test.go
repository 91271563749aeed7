package wire

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
)

func TestReply(t *testing.T) {
	for _, tt := range []struct {
		reply Reply
		want  string
	}{
		{Reply{200, []string{"Ok"}}, "200 Ok\r\n"},
		{Reply{200, nil}, "200 \r\n"},
		{Reply{200, []string{""}}, "200 \r\n"},
		{Reply{220, []string{"a", "b"}}, "220-a\r\n220 b\r\n"},
		{Reply{211, []string{"Extensions:", "SIZE", "211 End", "", "End"}}, "211-Extensions:\r\n SIZE\r\n 211 End\r\n \r\n211 End\r\n"},
		{Reply{250, []string{"Listing a", "type=dir; a", "End"}}, "250-Listing a\r\n type=dir; a\r\n250 End\r\n"},
		{Reply{257, []string{"\"a\r\n200 b\x00\x1b[2J\x7f\t\"\" ü\" is current"}}, "257 \"a??200 b??[2J?\t\"\" ü\" is current\r\n"},
		{Reply{257, []string{"\"\xff\xe4\""}}, "257 \"\xff\xff\xe4\"\r\n"},
		{Reply{100, []string{"a"}}, "100 a\r\n"},
		{Reply{599, []string{"a"}}, "599 a\r\n"},
		{Reply{0, []string{"a"}}, "451 a\r\n"},
		{Reply{99, []string{"a", "b"}}, "451-a\r\n451 b\r\n"},
		{Reply{600, []string{"a"}}, "451 a\r\n"},
		{Reply{-1, nil}, "451 \r\n"},
	} {
		if got := string(tt.reply.AppendTo([]byte("before"))); got != "before"+tt.want {
			t.Errorf("%+v: %q, want %q", tt.reply, got, tt.want)
		}
	}
}

func TestReplyAllocs(t *testing.T) {
	r := Reply{211, []string{"Extensions:", "SIZE", "MDTM", "End"}}
	buf := make([]byte, 0, 512)
	if n := testing.AllocsPerRun(100, func() { buf = r.AppendTo(buf[:0]) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		"": `""`, "/": `"/"`, `/a "b" c`: `"/a ""b"" c"`, `"`: `""""`,
	} {
		if got := Quote(in); got != want {
			t.Errorf("Quote(%q) = %s, want %s", in, got, want)
		}
	}
}

// FuzzReply reads a reply as a client does: it ends with the first line that
// begins with its code and a space, and that is the last line.
func FuzzReply(f *testing.F) {
	f.Add(211, "Extensions:\nSIZE\n211 End\nEnd")
	f.Add(257, "\"a\r\n200 ok\xff\x00\"")
	f.Add(-7, "")
	f.Add(220, "\n\n\n")
	f.Fuzz(func(t *testing.T, code int, text string) {
		lines := strings.Split(text, "\n")
		out := Reply{code, lines}.AppendTo(nil)
		if !bytes.HasSuffix(out, []byte("\r\n")) {
			t.Fatalf("%q has no end", out)
		}
		got := strings.Split(strings.TrimSuffix(string(out), "\r\n"), "\r\n")
		if len(got) != len(lines) {
			t.Fatalf("%d lines became %d: %q", len(lines), len(got), out)
		}
		for i, line := range got {
			if strings.ContainsAny(line, "\r\n\x00\x1b\x7f") {
				t.Fatalf("line %q holds control characters", line)
			}
			if strings.Count(line, "\xff")%2 != 0 {
				t.Fatalf("line %q holds a single IAC", line)
			}
			if last := regexp.MustCompile(`^[1-5][0-9][0-9] `).MatchString(line); last != (i == len(got)-1) {
				t.Fatalf("line %d of %d is %q", i+1, len(got), line)
			}
		}
		// A Telnet client undoes the doubling and has the line.
		if back, err := readAll(bytes.NewReader(out), len(out)); len(back) != len(lines) {
			t.Fatalf("%q reads as %d lines, %v", out, len(back), err)
		}
	})
}
