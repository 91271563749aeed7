package auth

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/ftpgate/ftpgate/vfs"
)

func TestParsePermissionsInParts(t *testing.T) {
	tests := map[string]Permissions{
		"elrw-overwrite":             Enter | List | Retrieve | CreateFile | Symlink,
		"elr+rmdir":                  ReadOnly | RemoveDir,
		"elr-hash":                   Enter | List | ReadFile,
		"elradfmwMT-rmdir-symlink":   ReadWrite &^ (RemoveDir | Symlink),
		"+create":                    CreateFile,
		"none":                       0,
		"d-delete":                   RemoveDir,
		"el+read+hash":               ReadOnly,
		"w-create-overwrite-symlink": 0,
	}
	for text, want := range tests {
		p, err := ParsePermissions(text)
		if err != nil || p != want {
			t.Errorf("%q is %q, %v, want %q", text, p, err, want)
		}
		if again, err := ParsePermissions(p.String()); err != nil || again != p {
			t.Errorf("%q reads back as %q, %v", p, again, err)
		}
	}
	for text, want := range map[string]string{
		"elr+":       "behind + and - comes a name",
		"elr+fly":    `permission "fly" is unknown, those behind + and - are read, hash, delete, rmdir, create, overwrite, symlink`,
		"elX-hash":   "permission 'X' is unknown",
		"elr hash":   "permission ' ' is unknown",
		"nonex":      "permission 'n' is unknown",
		"elr+hash -": "is unknown",
	} {
		if _, err := ParsePermissions(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// Two permissions are needed where one alone would make no sense.
func TestPermissionsTogether(t *testing.T) {
	tests := []struct {
		p    Permissions
		op   vfs.Op
		want bool
	}{
		{HashFile, vfs.OpHash, false}, {ReadFile, vfs.OpHash, false}, {Retrieve, vfs.OpHash, true},
		{Overwrite, vfs.OpOverwrite, false}, {CreateFile, vfs.OpOverwrite, false}, {Store, vfs.OpOverwrite, true},
		{0, vfs.OpStat, false}, {ChTime, vfs.OpStat, true},
	}
	for _, tt := range tests {
		if got := (&Policy{Permissions: tt.p}).Allow(tt.op, "f") == nil; got != tt.want {
			t.Errorf("%s with %s: %v", tt.op, tt.p, got)
		}
	}
}

func directories(t *testing.T, text string) Directories {
	t.Helper()
	d, err := ParseDirectories(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDirectories(t *testing.T) {
	p := &Policy{Permissions: ReadOnly, Directories: directories(t, "/inbox elw; /inbox/done elrd;/secret none; /a/b/c elradfmwMT; /größe w")}
	tests := []struct {
		op   vfs.Op
		name string
		want bool
	}{
		{vfs.OpRead, "f", true}, {vfs.OpWrite, "f", false},
		{vfs.OpWrite, "inbox/f", true}, {vfs.OpRead, "inbox/f", false}, {vfs.OpList, "inbox", true},
		{vfs.OpRead, "inbox/done/f", true}, {vfs.OpWrite, "inbox/done/f", false}, {vfs.OpRemove, "inbox/done/f", true},
		{vfs.OpRead, "inbox/done/deep/er/f", true},
		// the directory itself belongs to the one that holds it
		{vfs.OpStat, "secret", true}, {vfs.OpStat, "secret/f", false}, {vfs.OpEnter, "secret", false}, {vfs.OpList, "secret", false},
		// prefixes end at /
		{vfs.OpWrite, "inbox2/f", false}, {vfs.OpRead, "inbox2/f", true}, {vfs.OpRead, "secretary", true},
		{vfs.OpMkdir, "a/b/x", false}, {vfs.OpMkdir, "a/b/c/x", true},
		// another spelling gets only what both places allow
		{vfs.OpRead, "INBOX/f", false}, {vfs.OpWrite, "INBOX/f", false}, {vfs.OpList, "INBOX", true},
		{vfs.OpRead, "Secret/f", false}, {vfs.OpWrite, "gro\u0308ße/f", false}, {vfs.OpWrite, "gr\u00f6ße/f", true}, {vfs.OpRead, "GRÖSSE/f", false},
	}
	for _, tt := range tests {
		err := p.Allow(tt.op, tt.name)
		if got := err == nil; got != tt.want || err != nil && !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s of %s: %v", tt.op, tt.name, err)
		}
	}
	for text, want := range map[string]string{
		"/in":              "is not a directory and its permissions",
		"in elr":           "is not a plain absolute path",
		"/ elr":            "is not a plain absolute path",
		"/a/../b elr":      "is not a plain absolute path",
		"/a elX":           "permission 'X' is unknown",
		"/a elr; /A elr":   "is given twice",
		"/a elr;":          "is not a directory and its permissions",
		"/e\u0301 e;/é er": "is given twice",
	} {
		if _, err := ParseDirectories(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// A directory with permissions of its own stays where it is, and so does what leads
// to it.
func TestDirectoriesStay(t *testing.T) {
	p := &Policy{Permissions: ReadWrite, Directories: directories(t, "/a/secret none")}
	for _, name := range []string{"a", "a/secret", "A", "a/SECRET"} {
		for _, op := range []vfs.Op{vfs.OpRename, vfs.OpRmdir, vfs.OpRemove, vfs.OpSymlink, vfs.OpWrite, vfs.OpAppend} {
			if p.Allow(op, name) == nil {
				t.Errorf("%s of %s is allowed", op, name)
			}
		}
		for _, dir := range []bool{false, true} {
			if p.AllowMove(name, "elsewhere", dir) == nil || p.AllowMove("elsewhere", name, dir) == nil {
				t.Errorf("%s can be moved", name)
			}
		}
		if p.AllowLink(name, "link") == nil {
			t.Errorf("a link to %s is allowed", name)
		}
	}
	if err := p.AllowMove("a/other", "b", true); err != nil {
		t.Error(err)
	}
	if err := p.Allow(vfs.OpMkdir, "a/secret"); err != nil {
		t.Error(err) // somebody has to make it
	}
}

func TestMovesBetweenDirectories(t *testing.T) {
	p := &Policy{Permissions: ReadWrite, Directories: directories(t, "/drop elf; /read elrf; /keep elrw")}
	tests := []struct {
		from, to string
		want     bool
	}{
		{"f", "drop/f", true}, {"f", "read/f", true}, {"read/f", "f", true}, {"read/f", "drop/f", true},
		{"drop/f", "f", false}, {"drop/f", "read/f", false}, // would become readable
		{"drop/f", "drop/g", true},
		{"keep/f", "f", false}, {"f", "keep/f", false}, // no f there
	}
	for _, tt := range tests {
		if got := p.AllowMove(tt.from, tt.to, false) == nil; got != tt.want {
			t.Errorf("%s to %s: %v", tt.from, tt.to, got)
		}
	}
	links := map[[2]string]bool{
		{"f", "link"}: true, {"read/f", "link"}: false, {"drop/f", "link"}: false, {"f", "keep/link"}: false, {"keep/g", "keep/link"}: false,
	}
	p.Directories = directories(t, "/drop elf; /read elrf; /keep elrw; /same elradfmwMT")
	links[[2]string{"same/f", "link"}] = true
	links[[2]string{"f", "keep/link"}] = true // keep gives less than /
	links[[2]string{"keep/g", "keep/link"}] = true
	for link, want := range links {
		if got := p.AllowLink(link[0], link[1]) == nil; got != want {
			t.Errorf("link %s to %s: %v", link[1], link[0], got)
		}
	}
}

func patterns(t *testing.T, texts ...string) Patterns {
	t.Helper()
	p, err := NewPatterns(texts...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestNamePatterns(t *testing.T) {
	p := &Policy{Permissions: ReadWrite, Hidden: patterns(t, ".*", "größe", "[a-c]1"), Refused: patterns(t, "*.{exe,KEY}"), Only: patterns(t, "*.csv", "*.key", "d*")}
	hidden, refused, only, allowed := fs.ErrNotExist, fs.ErrPermission, errors.New("only"), error(nil)
	tests := map[string]error{
		".git": hidden, ".GIT/config": hidden, "a/.ssh/d": hidden, "größe": hidden, "GRÖSSE": hidden, "gro\u0308ße": hidden, "GRO\u0308SSE/d": hidden, "B1/x.csv": hidden,
		"gro\u0308\u200dße\ufe0f": hidden, "g\u00adröße/d": hidden,
		"x.exe": refused, "X.ExE": refused, "a.key": refused, "dir.exe/d": refused, "a.\u212aey": refused, // the Kelvin sign
		".a/x.exe": hidden, "x.exe/.a": hidden,
		"x.txt": only, "D\xff": allowed, "x.CSV": allowed, "d": allowed, "sub/d/x.csv": allowed,
	}
	for name, want := range tests {
		for _, op := range []vfs.Op{vfs.OpRead, vfs.OpWrite, vfs.OpAppend, vfs.OpRemove, vfs.OpHash, vfs.OpOverwrite, vfs.OpSymlink, vfs.OpStat, vfs.OpMkdir, vfs.OpRename, vfs.OpSetMode, vfs.OpList} {
			err := p.Allow(op, name)
			wanted := want
			if want == only {
				wanted = fs.ErrPermission
				if slices.Contains([]vfs.Op{vfs.OpStat, vfs.OpMkdir, vfs.OpRename, vfs.OpSetMode, vfs.OpList}, op) {
					wanted = nil // may be a directory
				}
			}
			if !errors.Is(err, wanted) {
				t.Errorf("%s of %q: %v, want %v", op, name, err, wanted)
			}
		}
		if err := p.AllowMove("d", name, true); (err == nil) != (want == nil || want == only) {
			t.Errorf("directory to %q: %v", name, err)
		}
		if err := p.AllowMove(name, "d", false); (err == nil) != (want == nil) {
			t.Errorf("file from %q: %v", name, err)
		}
	}
	for _, bad := range []string{"", "a/b", strings.Repeat("*", 65), strings.Repeat("x", 2000)} {
		if _, err := NewPatterns(bad); err == nil {
			t.Errorf("pattern %.20q is accepted", bad)
		}
	}
}

func TestCommands(t *testing.T) {
	c := Commands{Only: []string{"RETR", "site chmod"}, Never: []string{"SITE COPY", "OPTS"}}
	for verb, want := range map[string]bool{"RETR": true, "STOR": false, "SITE CHMOD": true, "SITE COPY": false, "SITE UTIME": false} {
		if c.Allow(verb, true) != want {
			t.Errorf("%s: %v", verb, !want)
		}
	}
	if !c.Allow("TYPE", false) || c.Allow("OPTS MLST", false) {
		t.Error("commands that concern no file")
	}
	if none := (&Commands{}); !none.Allow("DELE", true) {
		t.Error("no commands are listed, and DELE is refused")
	}
}

func TestRates(t *testing.T) {
	for text, want := range map[string]Rates{
		"2M": {2 << 20, 2 << 20}, "off": {-1, -1}, "up 1K": {1024, 0}, "down 2K up off": {-1, 2048},
	} {
		got, err := ParseRates(text)
		if err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
		if again, err := ParseRates(got.String()); err != nil || again != got {
			t.Errorf("%q reads back as %v, %v", got, again, err)
		}
	}
	for _, text := range []string{"", "up", "up 1K up 2K", "left 1K", "up 1K down", "up 0"} {
		if got, err := ParseRates(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
	if got := (Rates{Up: 5}).Or(Rates{1, 2}); got != (Rates{5, 2}) {
		t.Error(got)
	}
}

// What a line of a users file says about policies does not touch the defaults.
func TestUsersFilePolicies(t *testing.T) {
	defaults := Account{Settings: Settings{Policy: &Policy{Permissions: ReadOnly}}}
	users, err := ParseUsers("users", []byte(`ann:!:dirs="/in elw-overwrite; /out elr",hide=.*;*.tmp,refuse=*.exe,only=*.csv,max_size=1M,commands=RETR;LIST,no_commands=SITE,sessions=4,user_rate=up 1M,rate=2M,lenient_tls=on,control_lost=commit
bob:!
carol:!:hide=x,lenient_tls=off
`), defaults)
	if err != nil {
		t.Fatal(err)
	}
	ann, _ := users.Lookup(t.Context(), "ann")
	p := ann.Policy
	var dirs []string
	for path, own := range p.Directories.Each {
		dirs = append(dirs, fmt.Sprint(path, " ", own))
	}
	if !slices.Equal(dirs, []string{"/in el+create+symlink", "/out elr"}) || p.Permissions != ReadOnly || p.MaxSize != 1<<20 ||
		!slices.Equal(p.Hidden.Texts(), []string{".*", "*.tmp"}) || !slices.Equal(p.Refused.Texts(), []string{"*.exe"}) || !slices.Equal(p.Only.Texts(), []string{"*.csv"}) ||
		!slices.Equal(p.Commands.Only, []string{"RETR", "LIST"}) || !slices.Equal(p.Commands.Never, []string{"SITE"}) {
		t.Errorf("ann: %+v, %q", p, dirs)
	}
	if ann.Sessions != 4 || ann.UserRate != (Rates{Up: 1 << 20}) || ann.Rate != Both(2<<20) || !*ann.LenientTLS || !*ann.CommitOnControlLost {
		t.Errorf("ann: %+v", ann.Settings)
	}
	bob, _ := users.Lookup(t.Context(), "bob")
	if bob.Policy != defaults.Policy || len(defaults.Policy.Hidden.Texts()) > 0 {
		t.Errorf("bob: %+v", bob.Policy)
	}
	carol, _ := users.Lookup(t.Context(), "carol")
	if carol.Policy.Allow(vfs.OpRead, "x") == nil || carol.Policy.Permissions != ReadOnly || *carol.LenientTLS {
		t.Errorf("carol: %+v", carol.Policy)
	}
	for text, want := range map[string]string{
		"dirs=/in": "users:1:7: \"/in\" is not a directory and its permissions", "hide=a/b": "has no /", "only=;": "a name is missing",
		"max_size=big": "is not a number of bytes", "sessions=0": "is not a number above 0", "user_rate=x": "is not bytes a second",
		"lenient_tls=yes": "neither on nor off", "control_lost=drop": "neither park nor commit", "lenient_tls": "lenient_tls has no value", "hide=" + strings.Repeat("*", 65): "too many stars",
	} {
		want = strings.Replace(want, "has no /", "it must have no /", 1)
		if _, err := ParseUsers("users", []byte("ann:!:"+text+"\n"), defaults); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}
