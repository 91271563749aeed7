package wire

import (
	"io/fs"
	"regexp"
	"strings"
	"testing"
	"time"
)

func sampleEntry() Entry {
	return Entry{
		Name: "a b.txt", Type: File, Size: 1024,
		Modify: time.Date(2024, 2, 29, 12, 0, 0, 500_000_000, time.UTC),
		Create: time.Date(2020, 1, 1, 1, 2, 3, 0, time.FixedZone("", 3600)),
		Perm:   "adfrw", Unique: "8g1a", MediaType: "text/plain; charset=utf-8",
		Mode: 0o640, Owner: "alice", Group: "users",
	}
}

func TestAppendFacts(t *testing.T) {
	change := func(f func(*Entry)) Entry {
		e := sampleEntry()
		f(&e)
		return e
	}
	for _, tt := range []struct {
		name     string
		e        Entry
		selected FactSet
		want     string
	}{
		{"all", sampleEntry(), AllFacts,
			"type=file;size=1024;modify=20240229120000;create=20200101000203;perm=adfrw;unique=8g1a;media-type=text/plain;" +
				"UNIX.mode=0640;UNIX.owner=alice;UNIX.group=users; a b.txt"},
		{"none", sampleEntry(), NoFacts, " a b.txt"},
		{"some", sampleEntry(), FactSize | FactMode, "size=1024;UNIX.mode=0640; a b.txt"},
		{"nothing known", Entry{Name: "a", Size: -1}, AllFacts, "type=file;perm=;UNIX.mode=0000; a"},
		{"directory", change(func(e *Entry) { e.Type = Dir; e.Size = 4096 }), FactType | FactSize, "type=dir; a b.txt"},
		{"itself", Entry{Name: ".", Type: CurrentDir}, FactType, "type=cdir; ."},
		{"parent", Entry{Name: "..", Type: ParentDir}, FactType, "type=pdir; .."},
		{"link", Entry{Name: "l", Type: Link, Size: 3, Target: "x;y"}, FactType | FactSize, "type=OS.unix=slink; l"},
		{"empty file", Entry{Name: "a"}, FactSize, "size=0; a"},
		{"large file", Entry{Name: "a", Size: 1<<63 - 1}, FactSize, "size=9223372036854775807; a"},
		{"mode bits only", Entry{Name: "a", Mode: fs.ModeDir | fs.ModeSetuid | 0o640}, FactMode, "UNIX.mode=0640; a"},
		{"before 1970", Entry{Name: "a", Modify: time.Unix(-1, 0)}, FactModify, "modify=19691231235959; a"},
		{"after 9999", Entry{Name: "a", Modify: time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC)}, FactModify, "modify=99991231235959; a"},
		{"hostile owner", Entry{Name: "a", Owner: "DOM\\a b;c\r\n\x00*é"}, FactOwner, "UNIX.owner=DOM\\a_b_c______; a"},
		{"hostile unique", Entry{Name: "a", Unique: "a b;c%\r\xff"}, FactUnique, "unique=a%20b%3Bc%25%0D%FF; a"},
		{"hostile perm", Entry{Name: "a", Perm: "r; x"}, FactPerm, "perm=r__x; a"},
		{"hostile name", Entry{Name: " a;b\r\nc\x00\xff\t "}, FactSize, "size=0;  a;b??c?\xff\t "},
	} {
		if got := string(AppendFacts([]byte("before"), tt.e, tt.selected)); got != "before"+tt.want {
			t.Errorf("%s:\n got %q\nwant %q", tt.name, got, tt.want)
		}
	}
}

// Values of unique differ where what they stand for differs.
func TestUniqueStaysUnique(t *testing.T) {
	seen := map[string]string{}
	for _, u := range []string{"a b", "a_b", "a%20b", "a%b", "a%25b", "a;b", "a%3Bb", "a\xffb", "a?b"} {
		got := string(AppendFacts(nil, Entry{Unique: u}, FactUnique))
		if other, ok := seen[got]; ok {
			t.Errorf("%q and %q are both %q", u, other, got)
		}
		seen[got] = u
	}
}

func TestFactLists(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want FactSet
		out  string
	}{
		{"", NoFacts, ""}, {";", NoFacts, ""}, {";;;", NoFacts, ""},
		{"size;modify;", FactSize | FactModify, "size;modify;"},
		{"Modify;SIZE;", FactSize | FactModify, "size;modify;"},
		{"size;modify", FactSize | FactModify, "size;modify;"},
		{" size ; modify ;", FactSize | FactModify, "size;modify;"},
		{"size;size;", FactSize, "size;"},
		{"sizd;x;lang;type;", FactType, "type;"},
		{"unix.MODE;Unix.Owner;UNIX.group;media-type;unique;perm;create;", FactMode | FactOwner | FactGroup | FactMediaType | FactUnique | FactPerm | FactCreate,
			"create;perm;unique;media-type;UNIX.mode;UNIX.owner;UNIX.group;"},
		{"size modify;", NoFacts, ""},
	} {
		got := ParseFactList(tt.in)
		if got != tt.want || got.String() != tt.out {
			t.Errorf("ParseFactList(%q) = %v, want %v", tt.in, got, tt.out)
		}
		if ParseFactList(got.String()) != got {
			t.Errorf("%v does not come back", got)
		}
	}
	if got, want := AllFacts.Features(FactType|FactSize|FactModify|FactGroup),
		"type*;size*;modify*;create;perm;unique;media-type;UNIX.mode;UNIX.owner;UNIX.group*;"; got != want {
		t.Errorf("FEAT: %s, want %s", got, want)
	}
	if got := (FactType | FactSize).Features(AllFacts); got != "type*;size*;" {
		t.Errorf("only what is served can be marked: %s", got)
	}
	for one := FactType; one < factEnd; one <<= 1 {
		if one.name() == "" {
			t.Errorf("fact %#x has no name", uint16(one))
		}
	}
}

// The grammar of RFC 3659 7.2, without the type's OS prefix spelled out.
var factsGrammar = regexp.MustCompile(`^((?:[A-Za-z][A-Za-z.-]*=[A-Za-z0-9,.:!@#$%^&()\-_+?/\\'"=]*;)*) ([^\x00\r\n]*)$`)

// FuzzFacts: every entry is one line of the grammar that ends with its name, and
// selecting facts only leaves out others.
func FuzzFacts(f *testing.F) {
	f.Add("a b.txt", "adfrw", "8g1a", "text/plain", "alice", "users", int64(1024), int64(1709208000), uint8(0), uint32(0o644), uint16(AllFacts))
	f.Add(" ;=\r\n\x00\xff", "\n", ";", ";;", "a;b", "\xff", int64(-1), int64(-1<<62), uint8(4), uint32(1<<31), uint16(3))
	f.Add("", "", "", "", "", "", int64(0), int64(1<<62), uint8(200), uint32(0), uint16(0))
	f.Fuzz(func(t *testing.T, name, perm, unique, media, owner, group string, size, sec int64, kind uint8, mode uint32, selected uint16) {
		e := Entry{
			Name: name, Type: EntryType(kind), Size: size, Modify: time.Unix(sec, 0), Create: time.Unix(-sec, 0), Perm: perm,
			Unique: unique, MediaType: media, Mode: fs.FileMode(mode), Owner: owner, Group: group,
		}
		set := FactSet(selected)
		out := string(AppendFacts(nil, e, set))
		m := factsGrammar.FindStringSubmatch(out)
		if m == nil {
			t.Fatalf("%q is not in the grammar", out)
		}
		if want := strings.NewReplacer("\r", "?", "\n", "?", "\x00", "?").Replace(name); m[2] != want {
			t.Fatalf("%q: name %q, want %q", out, m[2], want)
		}
		all := factsGrammar.FindStringSubmatch(string(AppendFacts(nil, e, AllFacts)))[1]
		for fact := range strings.SplitAfterSeq(m[1], ";") {
			if key, _, _ := strings.Cut(fact, "="); !strings.Contains(";"+all, ";"+fact) || !set.Has(ParseFactList(key)) {
				t.Fatalf("%q: %q was not selected, or is not in %q", out, fact, all)
			}
		}
	})
}

// FuzzFactList: a list is answered in its canonical form, which means the same.
func FuzzFactList(f *testing.F) {
	for _, s := range []string{"size;modify;", "TYPE", ";;", "UNIX.mode;x", "media-type ; perm"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, list string) {
		set := ParseFactList(list)
		if set&^AllFacts != 0 || ParseFactList(set.String()) != set || ParseFactList(strings.ToUpper(set.String())) != set {
			t.Fatalf("%q is %v", list, set)
		}
		for name := range strings.SplitSeq(strings.TrimSuffix(set.String(), ";"), ";") {
			if !strings.Contains(strings.ToLower(list), strings.ToLower(name)) {
				t.Fatalf("%q does not ask for %q", list, name)
			}
		}
	})
}

func TestAppendFactsAllocs(t *testing.T) {
	e := sampleEntry()
	buf := make([]byte, 0, 512)
	if n := testing.AllocsPerRun(1000, func() { buf = AppendFacts(buf[:0], e, AllFacts) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAppendFacts(b *testing.B) {
	e := sampleEntry()
	buf := make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendFacts(buf[:0], e, AllFacts)
	}
}
