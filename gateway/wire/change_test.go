package wire

import (
	"io/fs"
	"strings"
	"testing"
	"time"
)

func TestParseFactChanges(t *testing.T) {
	at := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct{ in, reply, name string }{
		{"modify=20240229120000; f", "Modify=20240229120000;", "f"},
		{"MODIFY=20240229120000.5; f", "Modify=20240229120000;", "f"},
		{"UNIX.mode=644; two words ", "UNIX.mode=0644;", "two words "},
		{"unix.MODE=0600;modify=20240229120000;  f", "UNIX.mode=0600;Modify=20240229120000;", " f"},
		{"modify=20240229120000; a;b=c; d", "Modify=20240229120000;", "a;b=c; d"},
		{"colour=blue; f", "", "f"},
		{"create=20240229120000; f", "Create=20240229120000;", "f"},
		{"Create=20240229120000;modify=20240229120001; f", "Create=20240229120000;Modify=20240229120001;", "f"},
		{"size=5; f", "", "f"},
	} {
		changes, name, err := ParseFactChanges(tt.in)
		var reply []byte
		for _, c := range changes {
			reply = c.AppendTo(reply)
		}
		if err != nil || string(reply) != tt.reply || name != tt.name {
			t.Errorf("%q: %q, %q, %v", tt.in, reply, name, err)
		}
	}
	if c, _, _ := ParseFactChanges("modify=20240229120000;UNIX.mode=640; f"); len(c) != 2 || !c[0].Time.Equal(at) || c[1].Mode != 0o640 {
		t.Errorf("%+v", c)
	}
	for _, in := range []string{
		"", "f", "modify=20240229120000 f", "modify=20240229120000;", "modify=20240229120000; ", "modify; f", "=; f", "; f", ";; f",
		"modify=; f", "modify=soon; f", "modify=20230229120000; f", "UNIX.mode=8; f", "UNIX.mode=1777; f", "UNIX.mode=; f", "UNIX.mode=00644; f",
		"create=soon; f", "modify=20240229120000;modify=20240229120000; f", "modify=20240229120000;;UNIX.mode=644; f",
	} {
		if c, name, err := ParseFactChanges(in); err != ErrSyntax || c != nil || name != "" {
			t.Errorf("%q: %v, %q, %v", in, c, name, err)
		}
	}
}

func TestParseMode(t *testing.T) {
	for in, want := range map[string]fs.FileMode{"644": 0o644, "0644": 0o644, "000": 0, "777": 0o777} {
		if got, err := ParseMode(in); got != want || err != nil {
			t.Errorf("%q: %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "7", "64", "00644", "1777", "888", "u+x", "-64", "+644", "0x1ff", "0o64", "6 4"} {
		if got, err := ParseMode(in); err != ErrSyntax {
			t.Errorf("%q: %v, %v", in, got, err)
		}
	}
}

func TestParseUtime(t *testing.T) {
	for _, tt := range []struct{ in, at, name string }{
		{"20240229120001 f", "20240229120001", "f"},
		{"202402291200 two words", "20240229120000", "two words"},
		{"f 20240101000000 20240229120001 20240303000000 UTC", "20240229120001", "f"},
		{"two words 202401010000 202402291200 202403030000 utc", "20240229120000", "two words"},
		{"20240229120001 my UTC", "20240229120001", "my UTC"},
		{"20240229120001 20240101000000 20240202000000 20240303000000 UTC", "20240202000000", "20240229120001"},
		{"20240229120001 f 20240202000000 20240303000000 UTC", "20240229120001", "f 20240202000000 20240303000000 UTC"},
		{"f é 20240101000000 20240229120001 20240303000000 UTC", "20240229120001", "f é"},
	} {
		at, name, err := ParseUtime(tt.in)
		if err != nil || FormatTime(at) != tt.at || name != tt.name {
			t.Errorf("%q: %v, %q, %v", tt.in, at, name, err)
		}
	}
	for _, in := range []string{"", "f", "20240229120001", "20240229120001 ", "2024022912 f", "20230229120000 f",
		"f 20240101000000 UTC", "f 20240101000000 x 20240303000000 UTC", " UTC"} {
		if at, name, err := ParseUtime(in); err != ErrSyntax {
			t.Errorf("%q: %v, %q, %v", in, at, name, err)
		}
	}
}

// The reply's facts are what MLST would show, and parse as what they are.
func FuzzFactChanges(f *testing.F) {
	for _, s := range []string{"modify=20240229120000; f", "UNIX.mode=644;modify=20240229120000; a b", "x=y; f", "; ", "modify=20240229120060; f",
		"create=20240229120000;modify=20240229120001; f", "create=20240229120000;create=20240229120000; f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		changes, name, err := ParseFactChanges(in)
		if err != nil {
			return
		}
		if name == "" || !strings.HasSuffix(in, " "+name) {
			t.Fatalf("%q: the name is %q", in, name)
		}
		for _, c := range changes {
			text := string(c.AppendTo(nil))
			if text == "" {
				continue
			}
			again, _, err := ParseFactChanges(text + " f")
			if err != nil || len(again) != 1 || again[0].Fact != c.Fact || again[0].Mode != c.Mode || !again[0].Time.Equal(c.Time.Truncate(time.Second)) {
				t.Errorf("%q: %q parses as %+v, %v", in, text, again, err)
			}
		}
	})
}

func FuzzUtime(f *testing.F) {
	for _, s := range []string{"20240229120001 f", "f 20240101000000 20240229120001 20240303000000 UTC", " UTC", "202402291200 a UTC"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		at, name, err := ParseUtime(in)
		if err == nil && (name == "" || !strings.Contains(in, name) || at.Year() < 1) {
			t.Errorf("%q: %v, %q", in, at, name)
		}
	})
}
