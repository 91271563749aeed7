package wire

import (
	"bytes"
	"strings"
	"testing"
)

func encodeRecords(parts ...[]byte) string {
	var e RecordEncoder
	out := []byte("before")
	for _, p := range parts {
		out = e.Append(out, p)
	}
	return strings.TrimPrefix(string(e.Flush(out)), "before")
}

func decodeRecords(parts ...[]byte) (string, error) {
	var d RecordDecoder
	out := []byte("before")
	var err error
	for _, p := range parts {
		if out, err = d.Append(out, p); err != nil {
			return "", err
		}
	}
	out, err = d.Flush(out)
	return strings.TrimPrefix(string(out), "before"), err
}

// Every way to cut a file in three gives the same bytes, both ways.
func TestRecordSplits(t *testing.T) {
	for _, tt := range []struct{ text, records string }{
		{"", "\xff\x02"},
		{"a", "a\xff\x02"},
		{"a\nb\n", "a\xff\x01b\xff\x01\xff\x02"},
		{"\n\n", "\xff\x01\xff\x01\xff\x02"},
		{"\xff\n\xff\xff", "\xff\xff\xff\x01\xff\xff\xff\xff\xff\x02"},
		{"a\r\n\x01\x02", "a\r\xff\x01\x01\x02\xff\x02"},
	} {
		text, records := []byte(tt.text), []byte(tt.records)
		for i := range len(text) + 1 {
			for j := i; j <= len(text); j++ {
				if got := encodeRecords(text[:i], text[i:j], text[j:]); got != tt.records {
					t.Errorf("%q, cut at %d and %d: sent %q", tt.text, i, j, got)
				}
			}
		}
		for i := range len(records) + 1 {
			for j := i; j <= len(records); j++ {
				if got, err := decodeRecords(records[:i], records[i:j], records[j:]); got != tt.text || err != nil {
					t.Errorf("%q, cut at %d and %d: received %q, %v", tt.records, i, j, got, err)
				}
			}
		}
	}
}

func TestRecordErrors(t *testing.T) {
	if got, err := decodeRecords([]byte("a\xff\x03")); got != "a\n" || err != nil {
		t.Errorf("the end of a record and of the file in one: %q, %v", got, err)
	}
	for _, in := range []string{"", "a", "a\xff", "a\xff\x01", "\xff\x00", "\xff\x04", "\xff\x02a", "\xff\x02\xff\x02", "\xff\xfe"} {
		if got, err := decodeRecords([]byte(in)); err != ErrRecord {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
}

func FuzzRecord(f *testing.F) {
	for _, s := range []string{"", "a\nb", "\xff\x01\xff\x02", "a\xff\x03"} {
		f.Add([]byte(s), 1)
	}
	f.Fuzz(func(t *testing.T, in []byte, cut int) {
		cut = min(max(cut, 0), len(in))
		sent := []byte(encodeRecords(in[:cut], in[cut:]))
		at := min(max(cut, 0), len(sent))
		if got, err := decodeRecords(sent[:at], sent[at:]); err != nil || got != string(in) {
			t.Fatalf("%q came back as %q, %v", in, got, err)
		}
		whole, err := decodeRecords(in)
		parts, perr := decodeRecords(in[:cut], in[cut:])
		if whole != parts || err != perr {
			t.Fatalf("%q: in one %q, %v; cut at %d %q, %v", in, whole, err, cut, parts, perr)
		}
		if err == nil && bytes.Count(in, []byte{escape}) == 0 {
			t.Fatalf("%q has no end", in)
		}
	})
}
