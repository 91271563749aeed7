package wire

import (
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"20240229120000", "2024-02-29T12:00:00Z"},
		{"20000229000000", "2000-02-29T00:00:00Z"},
		{"19991231235959", "1999-12-31T23:59:59Z"},
		{"00010101000000", "0001-01-01T00:00:00Z"},
		{"99991231235959", "9999-12-31T23:59:59Z"},
		{"19691231235959", "1969-12-31T23:59:59Z"},
		{"20240101000000.5", "2024-01-01T00:00:00.5Z"},
		{"20240101000000.000", "2024-01-01T00:00:00Z"},
		{"20240101000000.123456789", "2024-01-01T00:00:00.123456789Z"},
		{"20240101000000.1234567899999999999999999", "2024-01-01T00:00:00.123456789Z"},
		{"20161231235960", "2017-01-01T00:00:00Z"},
		{"20161231235960.25", "2017-01-01T00:00:00.25Z"},

		{"", ""}, {"2024022912000", ""}, {"202402291200000", ""}, {"20240229120000.", ""}, {"20240229120000,5", ""},
		{"20240229120000.5x", ""}, {"20240229120000Z", ""}, {"20240229120000 ", ""}, {" 20240229120000", ""},
		{"20230229120000", ""}, {"19000229120000", ""}, {"20240230120000", ""}, {"20240431120000", ""},
		{"20240001120000", ""}, {"20241301120000", ""}, {"20240100120000", ""}, {"20240132120000", ""},
		{"20240101240000", ""}, {"20240101006000", ""}, {"20240101000061", ""}, {"00000101000000", ""},
		{"+0240101000000", ""}, {"2024 101000000", ""}, {"-0010101000000", ""}, {"99991231235960", ""},
		{"２０２４0101000000", ""}, {"20240101000000.-5", ""}, {"20240101000000.+5", ""},
	} {
		got, err := ParseTime(tt.in)
		if tt.want == "" {
			if err != ErrSyntax {
				t.Errorf("ParseTime(%q) = %v, %v; want ErrSyntax", tt.in, got, err)
			}
		} else if text := got.Format(time.RFC3339Nano); err != nil || text != tt.want || got.Location() != time.UTC {
			t.Errorf("ParseTime(%q) = %s, %v; want %s", tt.in, text, err, tt.want)
		}
	}
}

func TestFormatTime(t *testing.T) {
	for _, tt := range []struct {
		in   time.Time
		want string
	}{
		{time.Date(2024, 2, 29, 12, 1, 2, 999_999_999, time.UTC), "20240229120102"},
		{time.Date(2024, 1, 1, 0, 30, 0, 0, time.FixedZone("", 3600)), "20231231233000"},
		{time.Unix(0, 0), "19700101000000"},
		{time.Time{}, "00010101000000"},
		{time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC), "00010101000000"},
		{time.Date(12345, 1, 1, 0, 0, 0, 0, time.UTC), "99991231235959"},
		{time.Date(1, 1, 1, 0, 0, 0, 0, time.FixedZone("", 3600)), "00010101000000"},
		{time.Date(9999, 12, 31, 23, 30, 0, 0, time.FixedZone("", -3600)), "99991231235959"},
	} {
		if got := FormatTime(tt.in); got != tt.want {
			t.Errorf("FormatTime(%v) = %s, want %s", tt.in, got, tt.want)
		}
	}
}

// FuzzTime compares with the parser of the standard library, which takes the same
// dates but for the leap second and the year 0.
func FuzzTime(f *testing.F) {
	for _, s := range []string{"20240229120000", "20230229120000", "20240101000000.123", "20161231235960", "00000101000000", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseTime(s)
		want, wantErr := time.Parse("20060102150405", s)
		leap := len(s) >= 14 && s[12:14] == "60"
		switch {
		case err != nil && err != ErrSyntax:
			t.Fatal(err)
		case err == nil && leap:
			if got.Second() != 0 {
				t.Fatalf("%q: %v", s, got)
			}
		case err == nil && wantErr != nil:
			// Only a fraction longer than the standard library takes.
			if len(s) <= len("20060102150405.123456789") {
				t.Fatalf("%q: %v, but %v", s, got, wantErr)
			}
		case err == nil:
			if !got.Equal(want) {
				t.Fatalf("%q: %v, want %v", s, got, want)
			}
			if back, err := ParseTime(FormatTime(got)); err != nil || !back.Equal(got.Truncate(time.Second)) {
				t.Fatalf("%v came back as %v, %v", got, back, err)
			}
		case wantErr == nil && want.Year() > 0 && len(s) >= 14 && (len(s) == 14 || s[14] == '.'):
			t.Fatalf("%q refused, is %v", s, want)
		}
	})
}
