package auth

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/ftpgate/ftpgate/vfs"
)

func TestNewUsers(t *testing.T) {
	for _, c := range []struct {
		accounts []Account
		want     string
	}{
		{[]Account{{Name: ""}}, "the user name is empty"},
		{[]Account{{Name: strings.Repeat("x", 256)}}, "the user name is longer than 255 bytes"},
		{[]Account{{Name: "a:b"}}, `user name "a:b" has a colon`},
		{[]Account{{Name: "a\r\nb"}}, `user name "a\r\nb" has a control character`},
		{[]Account{{Name: " a"}}, `user name " a" begins or ends with a space`},
		{[]Account{{Name: "a"}, {Name: "b"}, {Name: "a"}}, `user "a" is given twice`},
		{[]Account{{Name: "a", Settings: Settings{Home: "home"}}}, `user "a": home "home" does not begin with / (which is the top of what is served)`},
		{[]Account{{Name: "a", Settings: Settings{Home: "/a/../b"}}}, `user "a": home "/a/../b" is not a plain absolute path such as /home/alice`},
	} {
		if _, err := NewUsers(c.accounts...); err == nil || err.Error() != c.want {
			t.Errorf("%+v: %v", c.accounts, err)
		}
	}
	for _, home := range []string{"/..", "/.", "//", "/a/", "/a//b", "/a\x00", "/a\r\nb"} {
		if CheckHome(home) == nil {
			t.Errorf("home %q is accepted", home)
		}
	}
	u := mustUsers(t, Account{Name: "b"}, Account{Name: "a", Settings: Settings{Home: "/"}}, Account{Name: "c d", Settings: Settings{Home: "/c/d"}})
	var names []string
	for a := range u.Accounts {
		names = append(names, a.Name)
	}
	if !slices.Equal(names, []string{"b", "a", "c d"}) || u.Len() != 3 {
		t.Errorf("accounts: %v", names)
	}
	for range u.Accounts {
		break
	}
}

func TestRate(t *testing.T) {
	for s, want := range map[string]int64{
		"off": -1, "1": 1, "500K": 500 << 10, "500k": 500 << 10, "2M": 2 << 20, "2M/s": 2 << 20, "1.5M": 3 << 19, " 1G ": 1 << 30, "1T": 1 << 40, "0.1": 1,
	} {
		got, err := ParseRate(s)
		if err != nil || got != want {
			t.Errorf("ParseRate(%q) = %d, %v", s, got, err)
		}
		if back, err := ParseRate(FormatRate(got)); err != nil || back != got {
			t.Errorf("FormatRate(%d) = %q", got, FormatRate(got))
		}
	}
	for _, s := range []string{"", "0", "0.0", "Off", "K", "-1", "+1", "1e9", "1KB", "0x10", "Inf", "NaN", "1.2.3", "2 M", "9999999999999T"} {
		if got, err := ParseRate(s); err == nil {
			t.Errorf("ParseRate(%q) = %d", s, got)
		}
	}
	for rate, want := range map[int64]string{-1: "off", 0: "off", 1023: "1023", 1024: "1K", 1536: "1536", 3 << 20: "3M", math.MaxInt64: "9223372036854775807"} {
		if got := FormatRate(rate); got != want {
			t.Errorf("FormatRate(%d) = %s", rate, got)
		}
	}
}

// Every operation of the vfs needs a letter, and the letters of reading allow
// nothing that changes the tree.
func TestPolicy(t *testing.T) {
	ops := []vfs.Op{vfs.OpEnter, vfs.OpStat, vfs.OpList, vfs.OpRead, vfs.OpHash, vfs.OpWrite, vfs.OpOverwrite, vfs.OpAppend,
		vfs.OpRemove, vfs.OpRmdir, vfs.OpMkdir, vfs.OpRename, vfs.OpSetModTime, vfs.OpSetCreateTime, vfs.OpSetMode, vfs.OpSymlink, vfs.OpSpace}
	reader, writer, nobody := &Policy{Permissions: ReadOnly}, &Policy{Permissions: ReadWrite}, &Policy{}
	for _, op := range ops {
		if err := reader.Allow(op, "x"); (err == nil) == op.Mutates() {
			t.Errorf("a reader and %s: %v", op, err)
		}
		if err := writer.Allow(op, "x"); err != nil {
			t.Errorf("a writer and %s: %v", op, err)
		}
		if nobody.Allow(op, "x") == nil {
			t.Errorf("nobody may %s", op)
		}
		if (*Policy)(nil).Allow(op, "x") != nil {
			t.Errorf("without a policy, %s is refused", op)
		}
	}
	if writer.Allow("unheard of", "x") == nil {
		t.Error("an operation that no letter names is allowed")
	}
	for _, s := range []string{"none", "elr", "elradfmwMT"} {
		if p, err := ParsePermissions(s); err != nil || p.String() != s {
			t.Errorf("ParsePermissions(%q) = %q, %v", s, p, err)
		}
	}
	if _, err := ParsePermissions("elX"); err == nil || err.Error() != "permission 'X' is unknown, the letters are elradfmwMT" {
		t.Error(err)
	}
}
