package vfs_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ftpgate/ftpgate/auth"
	"github.com/ftpgate/ftpgate/backends/memory"
	"github.com/ftpgate/ftpgate/vfs"
)

func put(t *testing.T, fsys vfs.FS, name, content string) error {
	t.Helper()
	w, err := fsys.Create(t.Context(), name, vfs.CreateOptions{})
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := io.Copy(w, strings.NewReader(content)); err != nil {
		return err
	}
	return w.Commit()
}

func listing(t *testing.T, fsys vfs.FS, dir string) []string {
	t.Helper()
	var names []string
	for info, err := range fsys.ReadDir(t.Context(), dir, "") {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, info.Name())
	}
	slices.Sort(names)
	return names
}

// guarded is a memory store with some files, and a view of it through policy.
func guarded(t *testing.T, policy *auth.Policy) (store, view vfs.FS) {
	t.Helper()
	store = memory.New(memory.Options{})
	for _, dir := range []string{"d", "d/in", "d/secret", "d/.git", "free", "drop"} {
		if err := store.Mkdir(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"f", "x.exe", ".hidden", "d/f", "d/in/f", "d/secret/f", "d/.git/config", "free/f", "drop/f"} {
		if err := put(t, store, name, "content of "+name); err != nil {
			t.Fatal(err)
		}
	}
	return store, vfs.GuardRules(store, policy)
}

func namePatterns(t *testing.T, texts ...string) auth.Patterns {
	t.Helper()
	p, err := auth.NewPatterns(texts...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestGuardHides(t *testing.T) {
	store, view := guarded(t, &auth.Policy{Permissions: auth.ReadWrite, Hidden: namePatterns(t, ".*"), Refused: namePatterns(t, "*.exe")})
	ctx := t.Context()
	if got := listing(t, view, "."); !slices.Equal(got, []string{"d", "drop", "f", "free", "x.exe"}) {
		t.Errorf("listed: %q", got)
	}
	var globbed []string
	for info, err := range vfs.Glob(ctx, view, "*") {
		if err != nil {
			t.Fatal(err)
		}
		globbed = append(globbed, info.Name())
	}
	if slices.Contains(globbed, ".hidden") || !slices.Contains(globbed, "x.exe") {
		t.Errorf("globbed: %q", globbed)
	}
	attempts := map[string]func(name string) error{
		"stat":    func(name string) error { _, err := view.Stat(ctx, name); return err },
		"open":    func(name string) error { _, err := view.Open(ctx, name, 0, -1); return err },
		"create":  func(name string) error { return put(t, view, name, "new") },
		"remove":  func(name string) error { return view.Remove(ctx, name) },
		"rename":  func(name string) error { return view.Rename(ctx, name, "moved", vfs.RenameOptions{}) },
		"onto":    func(name string) error { return view.Rename(ctx, "f", name, vfs.RenameOptions{}) },
		"copy":    func(name string) error { return vfs.Copy(ctx, view, name, "copied", vfs.CopyOptions{}) },
		"copy to": func(name string) error { return vfs.Copy(ctx, view, "f", name, vfs.CopyOptions{}) },
		"hash":    func(name string) error { _, err := vfs.Hash(ctx, view, name, vfs.MD5, 0, -1); return err },
		"list":    func(name string) error { return firstOf(view.ReadDir(ctx, name, "")) },
		"mkdir":   func(name string) error { return view.Mkdir(ctx, name) },
		"rmdir":   func(name string) error { return view.Rmdir(ctx, name) },
		"settime": func(name string) error { return vfs.SetModTime(ctx, view, name, time2000()) },
		"born":    func(name string) error { return vfs.SetCreateTime(ctx, view, name, time2000()) },
		"setmode": func(name string) error { return vfs.SetMode(ctx, view, name, 0o600) },
		"link":    func(name string) error { return vfs.Symlink(ctx, view, name, "link") },
		"link at": func(name string) error { return vfs.Symlink(ctx, view, "f", name) },
		"staged":  func(name string) error { _, err := vfs.StatStaged(ctx, view, name, "ann"); return err },
		"discard": func(name string) error { return vfs.Discard(ctx, view, name, "ann") },
		"chroot":  func(name string) error { _, err := vfs.Sub(view, name); return err },
	}
	before := listing(t, store, ".")
	for what, try := range attempts {
		for _, name := range []string{".hidden", ".missing", "d/.git/config", "d/.GIT/x"} {
			if err := try(name); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s of %s: %v, want: not exist", what, name, err)
			}
		}
		for _, name := range []string{"x.exe", "X.EXE", "missing.exe"} {
			if err := try(name); !errors.Is(err, fs.ErrPermission) {
				t.Errorf("%s of %s: %v, want: permission", what, name, err)
			}
		}
	}
	if after := listing(t, store, "."); !slices.Equal(before, after) {
		t.Errorf("%q became %q", before, after)
	}
	// What is hidden is never removed along with its directory.
	if err := view.Remove(ctx, "d/f"); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"d/in/f", "d/secret/f"} {
		if err := view.Remove(ctx, name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"d/in", "d/secret"} {
		if err := view.Rmdir(ctx, name); err != nil {
			t.Error(err)
		}
	}
	if err := view.Rmdir(ctx, "d"); !errors.Is(err, vfs.ErrNotEmpty) || len(listing(t, view, "d")) > 0 {
		t.Errorf("a directory that holds hidden names: %v", err)
	}
	sub, err := vfs.Sub(view, "d")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sub.Stat(ctx, ".git/config"); !errors.Is(err, fs.ErrNotExist) || len(listing(t, sub, ".")) > 0 {
		t.Errorf("below a chroot: %v", err)
	}
}

func TestGuardMoves(t *testing.T) {
	dirs, err := auth.ParseDirectories("/d/secret none; /drop elf")
	if err != nil {
		t.Fatal(err)
	}
	store, view := guarded(t, &auth.Policy{Permissions: auth.ReadWrite, Directories: dirs, Only: namePatterns(t, "f", "g")})
	ctx := t.Context()
	refused := [][2]string{
		{"d", "e"}, {"d/secret", "e"}, {"d/secret/f", "g"}, {"free", "d/secret/free"}, {"f", "d/secret/f"},
		{"drop/f", "g"}, {"drop", "e"}, {"f", "y"}, {"x.exe", "g"}, {"D", "e"},
	}
	for _, move := range refused {
		if err := view.Rename(ctx, move[0], move[1], vfs.RenameOptions{}); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s to %s: %v", move[0], move[1], err)
		}
	}
	for _, move := range [][2]string{{"free", "anything"}, {"f", "g"}, {"d/in", "d/out"}, {"g", "drop/g"}} {
		if err := view.Rename(ctx, move[0], move[1], vfs.RenameOptions{}); err != nil {
			t.Errorf("%s to %s: %v", move[0], move[1], err)
		}
	}
	if _, err := store.Stat(ctx, "d/secret/f"); err != nil {
		t.Error(err)
	}
	// Also from below.
	sub, err := vfs.Sub(view, "d")
	if err != nil {
		t.Fatal(err)
	}
	if err := sub.Rename(ctx, "secret", "open", vfs.RenameOptions{}); !errors.Is(err, fs.ErrPermission) {
		t.Error(err)
	}
	if err := vfs.Symlink(ctx, sub, "secret/f", "f2"); !errors.Is(err, fs.ErrPermission) {
		t.Error(err)
	}
	if err := view.Rename(ctx, "missing", "g", vfs.RenameOptions{}); err == nil {
		t.Error("a missing file was renamed")
	}
}

func TestGuardSize(t *testing.T) {
	store, view := guarded(t, &auth.Policy{Permissions: auth.ReadWrite, MaxSize: 10})
	ctx := t.Context()
	for size, want := range map[int]error{0: nil, 9: nil, 10: nil, 11: vfs.ErrTooLarge, 100_000: vfs.ErrTooLarge} {
		content := strings.Repeat("x", size)
		ways := map[string]func(w vfs.Writer) error{
			"Write": func(w vfs.Writer) error { _, err := io.WriteString(w, content); return err },
			"bytes": func(w vfs.Writer) error {
				for i := range content {
					if _, err := w.Write([]byte(content[i : i+1])); err != nil {
						return err
					}
				}
				return nil
			},
			"ReadFrom": func(w vfs.Writer) error { _, err := w.ReadFrom(strings.NewReader(content)); return err },
			"chunks": func(w vfs.Writer) error {
				for r := strings.NewReader(content); ; {
					lr := io.LimitedReader{R: r, N: 4}
					n, err := w.ReadFrom(&lr)
					if err != nil || lr.N > 0 {
						return err
					}
					if n != 4 {
						return io.ErrShortWrite
					}
				}
			},
		}
		for how, write := range ways {
			w, err := view.Create(ctx, "new", vfs.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			err = write(w)
			if !errors.Is(err, want) {
				t.Errorf("%s of %d bytes: %v", how, size, err)
			}
			if err == nil {
				err = w.Commit()
			}
			w.Abort()
			if info, statErr := store.Stat(ctx, "new"); err == nil && (statErr != nil || info.Size() != int64(size)) {
				t.Errorf("%s of %d bytes: %v, %v", how, size, info, statErr)
			}
			if want != nil && (err == nil || isPathError(err) != "new") {
				t.Errorf("%s of %d bytes: %v", how, size, err)
			}
		}
	}
	if err := put(t, store, "large", "0123456789x"); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"copy":     vfs.Copy(ctx, view, "large", "c", vfs.CopyOptions{}),
		"announce": createError(view.Create(ctx, "n", vfs.CreateOptions{SizeHint: 11})),
		"offset":   createError(view.Create(ctx, "large", vfs.CreateOptions{Mode: vfs.WriteAt, Offset: 11})),
		"append": func() error {
			w, err := view.Create(ctx, "large", vfs.CreateOptions{Mode: vfs.Append})
			if err != nil {
				return err
			}
			defer w.Abort()
			_, err = io.WriteString(w, "y")
			return err
		}(),
	} {
		if !errors.Is(err, vfs.ErrTooLarge) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// The reader that the caller gave is handed on, so that the kernel can copy.
func TestGuardSizeHandsTheReaderOn(t *testing.T) {
	inner := &seesReader{FS: memory.New(memory.Options{})}
	w, err := vfs.GuardRules(inner, &auth.Policy{Permissions: auth.ReadWrite, MaxSize: 1 << 20}).Create(t.Context(), "f", vfs.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	lr := &io.LimitedReader{R: strings.NewReader("x"), N: 4 << 20}
	if _, err := w.ReadFrom(lr); err != nil {
		t.Fatal(err)
	}
	if inner.got != lr {
		t.Errorf("the writer below was given a %T", inner.got)
	}
}

type seesReader struct {
	*memory.FS
	got io.Reader
}

func (s *seesReader) Create(ctx context.Context, name string, opt vfs.CreateOptions) (vfs.Writer, error) {
	w, err := s.FS.Create(ctx, name, opt)
	return &seesReaderWriter{w, s}, err
}

type seesReaderWriter struct {
	vfs.Writer
	s *seesReader
}

func (w *seesReaderWriter) ReadFrom(r io.Reader) (int64, error) {
	w.s.got = r
	return w.Writer.ReadFrom(r)
}

func time2000() time.Time { return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) }

func createError(w vfs.Writer, err error) error {
	if err == nil {
		w.Abort()
	}
	return err
}

func firstOf(entries iter.Seq2[fs.FileInfo, error]) error {
	for _, err := range entries {
		return err
	}
	return nil
}

func isPathError(err error) string {
	var pe *fs.PathError
	if !errors.As(err, &pe) {
		return ""
	}
	return pe.Path
}
