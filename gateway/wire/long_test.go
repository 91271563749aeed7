package wire

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

var listNow = time.Date(2024, 7, 1, 12, 0, 0, 0, time.UTC)

func TestAppendLong(t *testing.T) {
	const day = 24 * time.Hour
	recent := time.Date(2024, 6, 2, 15, 4, 5, 0, time.UTC)
	for _, tt := range []struct {
		name string
		e    Entry
		loc  *time.Location
		want string
	}{
		{"file", Entry{Name: "name", Size: 1234, Mode: 0o644, Modify: recent}, nil,
			"-rw-r--r--   1 ftp      ftp          1234 Jun 02 15:04 name"},
		{"directory", Entry{Name: "d", Type: Dir, Mode: 0o755, Modify: recent}, nil,
			"drwxr-xr-x   1 ftp      ftp             0 Jun 02 15:04 d"},
		{"itself", Entry{Name: ".", Type: CurrentDir, Mode: 0o755, Modify: recent}, nil,
			"drwxr-xr-x   1 ftp      ftp             0 Jun 02 15:04 ."},
		{"parent", Entry{Name: "..", Type: ParentDir, Mode: 0o755, Modify: recent}, nil,
			"drwxr-xr-x   1 ftp      ftp             0 Jun 02 15:04 .."},
		{"link", Entry{Name: "l", Type: Link, Mode: 0o644, Target: "to\r\nx", Modify: recent}, nil,
			"lrwxrwxrwx   1 ftp      ftp             0 Jun 02 15:04 l -> to??x"},
		{"link to nowhere", Entry{Name: "l", Type: Link, Modify: recent}, nil,
			"lrwxrwxrwx   1 ftp      ftp             0 Jun 02 15:04 l -> ?"},
		{"mode", Entry{Name: "m", Mode: fs.ModeSetuid | fs.ModeDir | 0o421, Modify: recent}, nil,
			"-r---w---x   1 ftp      ftp             0 Jun 02 15:04 m"},
		{"owner", Entry{Name: "o", Owner: "alice", Group: "a b\tc\n", Modify: recent}, nil,
			"----------   1 alice    a_b_c_          0 Jun 02 15:04 o"},
		{"long owner", Entry{Name: "o", Owner: "DOMAIN\\somebody", Group: "12345678", Modify: recent}, nil,
			"----------   1 DOMAIN\\somebody 12345678        0 Jun 02 15:04 o"},
		{"size of eight digits", Entry{Name: "s", Size: 12345678, Modify: recent}, nil,
			"----------   1 ftp      ftp      12345678 Jun 02 15:04 s"},
		{"largest size", Entry{Name: "s", Size: 1<<63 - 1, Modify: recent}, nil,
			"----------   1 ftp      ftp      9223372036854775807 Jun 02 15:04 s"},
		{"unknown size", Entry{Name: "s", Size: -1, Modify: recent}, nil,
			"----------   1 ftp      ftp             0 Jun 02 15:04 s"},
		{"zone", Entry{Name: "z", Modify: recent}, time.FixedZone("", 9*3600),
			"----------   1 ftp      ftp             0 Jun 03 00:04 z"},
		{"180 days", Entry{Name: "t", Modify: listNow.Add(-180 * day)}, nil,
			"----------   1 ftp      ftp             0 Jan 03 12:00 t"},
		{"older", Entry{Name: "t", Modify: listNow.Add(-180*day - 1)}, nil,
			"----------   1 ftp      ftp             0 Jan 03  2024 t"},
		{"one day ahead", Entry{Name: "t", Modify: listNow.Add(day)}, nil,
			"----------   1 ftp      ftp             0 Jul 02 12:00 t"},
		{"later", Entry{Name: "t", Modify: listNow.Add(day + 1)}, nil,
			"----------   1 ftp      ftp             0 Jul 02  2024 t"},
		{"no time", Entry{Name: "t"}, nil,
			"----------   1 ftp      ftp             0 Jan 01  1980 t"},
		{"epoch", Entry{Name: "t", Modify: time.Unix(0, 0)}, time.FixedZone("", -12*3600),
			"----------   1 ftp      ftp             0 Jan 01  1980 t"},
		{"before 1970", Entry{Name: "t", Modify: time.Unix(-1<<40, 0)}, nil,
			"----------   1 ftp      ftp             0 Jan 01  1980 t"},
		{"second day of 1970", Entry{Name: "t", Modify: time.Unix(86400, 0)}, nil,
			"----------   1 ftp      ftp             0 Jan 02  1970 t"},
		{"after 9999", Entry{Name: "t", Modify: time.Unix(1<<40, 0)}, nil,
			"----------   1 ftp      ftp             0 Dec 31  9999 t"},
		{"after 9999 only there", Entry{Name: "t", Modify: time.Date(9999, 12, 31, 23, 0, 0, 0, time.UTC)}, time.FixedZone("", 7200),
			"----------   1 ftp      ftp             0 Dec 31  9999 t"},
		{"hostile name", Entry{Name: " a\r\n-rw b\x00\xff ", Modify: recent}, nil,
			"----------   1 ftp      ftp             0 Jun 02 15:04  a??-rw b?\xff "},
	} {
		if got := string(AppendLong([]byte("before"), tt.e, DateByAge, listNow, tt.loc)); got != "before"+tt.want {
			t.Errorf("%s:\n got %q\nwant %q", tt.name, got, tt.want)
		}
	}
}

// longLine is what a parser of "ls -l" looks for: eight words, the name behind
// the single space after the eighth. lftp reads lines of this form, links included.
var longLine = regexp.MustCompile(`^([-dl])([rwx-]{9}) +(\d+) (\S+) +(\S+) +(\d+) ` +
	`(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) (\d\d) (\d\d:\d\d| \d{4}) ([^\x00\r\n]*)$`)

// readLong reads a line as clients do; a time without year is the latest that is
// not more than a day ahead.
func readLong(t *testing.T, line string, now time.Time) (name string, size int64, when time.Time) {
	t.Helper()
	m := longLine.FindStringSubmatch(line)
	if m == nil {
		t.Fatalf("no client reads %q", line)
	}
	size, err := strconv.ParseInt(m[6], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if year, ok := strings.CutPrefix(m[9], " "); ok {
		when, err = time.Parse("Jan 02 2006", fmt.Sprint(m[7], " ", m[8], " ", year))
	} else {
		for year := now.Year() + 1; ; year-- {
			// 29 February is no date of most years.
			when, err = time.Parse("Jan 02 2006 15:04", fmt.Sprint(m[7], " ", m[8], " ", year, " ", m[9]))
			if err == nil && !when.After(now.Add(24*time.Hour)) {
				break
			}
		}
	}
	if err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return m[10], size, when
}

// What a client takes for the time is the time, to the minute or to the day,
// whenever it asks.
func TestLongTimesAreUnderstood(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		now := time.Unix(random.Int64N(1<<33), 0).UTC()
		modify := now.Add(-time.Duration(random.Int64N(int64(400*24*time.Hour))) + 3*24*time.Hour).Truncate(time.Minute)
		if modify.Unix() < 86400 {
			continue
		}
		line := string(AppendLong(nil, Entry{Name: "f", Modify: modify}, DateByAge, now, time.UTC))
		_, _, got := readLong(t, line, now)
		if !got.Equal(modify) && !got.Equal(modify.Truncate(24*time.Hour)) {
			t.Fatalf("now %v: %v is shown as %q, understood as %v", now, modify, line, got)
		}
	}
}

// FuzzLong: every entry is one line that clients can read, with its name and size.
func FuzzLong(f *testing.F) {
	f.Add("name", "", "", "", int64(1234), int64(1709208000), uint8(0), uint32(0o644), 0)
	f.Add(" -> \r\n\x00\xff", "a -> b\n", "a b", "\x00", int64(-5), int64(-1<<62), uint8(4), uint32(1<<31), 14*3600)
	f.Add("", "", "", "", int64(1<<63-1), int64(1<<62), uint8(9), uint32(0o777), -12*3600)
	f.Fuzz(func(t *testing.T, name, target, owner, group string, size, sec int64, kind uint8, mode uint32, zone int) {
		if zone < -86400 || zone > 86400 {
			t.Skip()
		}
		e := Entry{
			Name: name, Type: EntryType(kind), Size: size, Modify: time.Unix(sec, 0), Mode: fs.FileMode(mode),
			Owner: owner, Group: group, Target: target,
		}
		line := string(AppendLong(nil, e, DateByAge, listNow, time.FixedZone("", zone)))
		gotName, gotSize, _ := readLong(t, line, listNow)
		clean := strings.NewReplacer("\r", "?", "\n", "?", "\x00", "?")
		want := clean.Replace(name)
		if e.Type == Link {
			if target == "" {
				target = "?"
			}
			want += " -> " + clean.Replace(target)
		}
		if gotName != want || gotSize != max(size, 0) {
			t.Fatalf("%q reads as %q, %d", line, gotName, gotSize)
		}
	})
}

func TestAppendLongAllocs(t *testing.T) {
	zone := time.FixedZone("", 3600)
	e := sampleEntry()
	buf := make([]byte, 0, 512)
	if n := testing.AllocsPerRun(1000, func() { buf = AppendLong(buf[:0], e, DateByAge, listNow, zone) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAppendLong(b *testing.B) {
	e := sampleEntry()
	buf := make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendLong(buf[:0], e, DateByAge, listNow, time.UTC)
	}
}
