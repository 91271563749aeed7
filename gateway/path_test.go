package gateway

import (
	"strings"
	"testing"

	"github.com/ftpgate/ftpgate/vfs"
)

func TestResolve(t *testing.T) {
	for _, c := range []struct{ cwd, typed, want string }{
		{".", "", "."}, {".", "/", "."}, {"a/b", "", "a/b"}, {"a/b", ".", "a/b"}, {"a/b", "/", "."},
		{"a/b", "c", "a/b/c"}, {"a/b", "/c", "c"}, {"a/b", "..", "a"}, {"a/b", "../..", "."}, {"a/b", "../../../../c", "c"},
		{".", "//a///b//", "a/b"}, {".", "a/./b/../c", "a/c"}, {".", "...", "..."}, {".", "..a", "..a"}, {".", " a ", " a "},
		{".", "~", "~"}, {".", "~root/x", "~root/x"}, {".", "$HOME", "$HOME"}, {".", "-a", "-a"}, {".", "caf\xe9", "caf\xe9"},
	} {
		if got, err := resolve(c.cwd, c.typed); err != nil || got != c.want {
			t.Errorf("%q in %q is %q, %v; want %q", c.typed, c.cwd, got, err, c.want)
		}
	}
	for _, typed := range []string{"a\x00b", "a\rb", "a\nb"} {
		if got, err := resolve(".", typed); err == nil {
			t.Errorf("%q is %q", typed, got)
		}
	}
}

// Whatever is typed, the name is one that a store may see, and going on from it, or to
// where display says that it is, comes out at the same place.
func FuzzResolve(f *testing.F) {
	for _, typed := range []string{"a/../../b", "//x/./y/", "..", `..\..\x`, "/etc/passwd", "~", "a\x00", "\xff/..\xff"} {
		f.Add("a/b", typed, true)
		f.Add(".", typed, false)
	}
	f.Fuzz(func(t *testing.T, cwd, typed string, backslash bool) {
		if !vfs.ValidName(cwd) {
			return
		}
		s := &session{cwd: cwd, profile: &Profile{Backslash: backslash}}
		name, err := s.resolve(typed)
		if err != nil {
			if !strings.ContainsAny(typed, "\x00\r\n") {
				t.Fatalf("%q in %q: %v", typed, cwd, err)
			}
			return
		}
		if !vfs.ValidName(name) {
			t.Fatalf("%q in %q is %q", typed, cwd, name)
		}
		if backslash && strings.Contains(cwd+name, `\`) {
			if !strings.Contains(cwd, `\`) {
				t.Fatalf("%q keeps a backslash in %q", typed, name)
			}
			return
		}
		for _, again := range []string{display(name), display(name) + "/"} {
			if got, err := s.resolve(again); err != nil || got != name {
				t.Fatalf("%q in %q is %q, and %q is %q, %v", typed, cwd, name, again, got, err)
			}
		}
		s.cwd = name
		if got, err := s.resolve("."); err != nil || got != name {
			t.Fatalf("%q is not where it is: %q, %v", name, got, err)
		}
	})
}
