package vfs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ftpgate/ftpgate/backends/memory"
	"github.com/ftpgate/ftpgate/vfs"
	"github.com/ftpgate/ftpgate/vfs/faultfs"
)

func mem() vfs.FS { return memory.New(memory.Options{}) }

// fill writes files; what ends in / is a directory.
func fill(t *testing.T, f vfs.FS, names ...string) {
	t.Helper()
	for _, name := range names {
		if dir, ok := strings.CutSuffix(name, "/"); ok {
			if err := f.Mkdir(t.Context(), dir); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := upload(t.Context(), f, name, "content of "+name, vfs.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

func upload(ctx context.Context, f vfs.FS, name, text string, opt vfs.CreateOptions) error {
	w, err := f.Create(ctx, name, opt)
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := w.ReadFrom(&io.LimitedReader{R: strings.NewReader(text), N: 1 << 20}); err != nil {
		return err
	}
	return w.Commit()
}

func get(t *testing.T, f vfs.FS, name string) string {
	t.Helper()
	file, err := f.Open(t.Context(), name, 0, -1)
	if err != nil {
		return err.Error()
	}
	defer file.Close()
	data, err := io.ReadAll(file)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// ls is the sorted listing of dir, with / behind directories.
func ls(t *testing.T, f vfs.FS, dir string) string {
	t.Helper()
	var names []string
	for info, err := range f.ReadDir(t.Context(), dir, "") {
		if err != nil {
			return err.Error()
		}
		name := info.Name()
		if info.IsDir() {
			name += "/"
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func wantErr(t *testing.T, what string, err error, path string, want error) {
	t.Helper()
	var pe *fs.PathError
	if !errors.Is(err, want) || !errors.As(err, &pe) || pe.Path != path {
		t.Errorf("%s: %v; want %v of %q", what, err, want, path)
	}
}

func wantText(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func mount(t *testing.T, opt vfs.MountOptions, points map[string]vfs.FS) vfs.FS {
	t.Helper()
	var list []vfs.MountPoint
	for dir, f := range points {
		list = append(list, vfs.MountPoint{Dir: dir, FS: f})
	}
	m, err := vfs.Mount(list, opt)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMountTree(t *testing.T) {
	root, a, deep, ctx := mem(), mem(), mem(), t.Context()
	fill(t, root, "top", "a/", "a/covered", "both/", "both/own", "file")
	fill(t, a, "f", "deep/", "deep/covered")
	fill(t, deep, "g")
	m := mount(t, vfs.MountOptions{}, map[string]vfs.FS{
		".": root, "a": a, "a/deep": deep, "both/m": mem(), "gone/x/y": deep, "file/m": mem()})

	wantText(t, "the root", ls(t, m, "."), "a/ both/ file/ gone/ top")
	wantText(t, "a mount", ls(t, m, "a"), "deep/ f")
	wantText(t, "a mount in a mount", ls(t, m, "a/deep"), "g")
	wantText(t, "a directory with a mount", ls(t, m, "both"), "m/ own")
	wantText(t, "a directory that only mounts make", ls(t, m, "gone"), "x/")
	wantText(t, "one below", ls(t, m, "gone/x"), "y/")
	wantText(t, "a file with a mount below", ls(t, m, "file"), "m/")
	wantText(t, "the covered file", get(t, m, "a/covered"), "open a/covered: file does not exist")
	wantText(t, "a file", get(t, m, "gone/x/y/g"), "content of g")
	for _, name := range []string{".", "a", "a/deep", "both", "gone", "gone/x", "file", "file/m"} {
		info, err := m.Stat(ctx, name)
		if _, base := vfs.Split(name); err != nil || !info.IsDir() || info.Name() != base || info.ModTime().Year() < 2000 {
			t.Errorf("Stat(%q) = %v, %v", name, info, err)
		}
		_, err = m.Open(ctx, name, 0, -1)
		wantErr(t, "Open", err, name, vfs.ErrIsDir)
		_, err = m.Create(ctx, name, vfs.CreateOptions{})
		wantErr(t, "Create", err, name, vfs.ErrIsDir)
		wantErr(t, "Mkdir", m.Mkdir(ctx, name), name, fs.ErrExist)
		wantErr(t, "Remove", m.Remove(ctx, name), name, vfs.ErrIsDir)
		if err := m.Rmdir(ctx, name); !errors.Is(err, fs.ErrPermission) && !errors.Is(err, vfs.ErrNotEmpty) {
			t.Errorf("Rmdir(%q): %v", name, err)
		}
		wantErr(t, "Rename away", m.Rename(ctx, name, "new", vfs.RenameOptions{}), name, fs.ErrPermission)
		if name != "." {
			wantErr(t, "Rename onto", m.Rename(ctx, "top", name, vfs.RenameOptions{}), name, fs.ErrExist)
		}
	}
	for _, name := range []string{"gone/new", "gone/x/new", "file/new"} {
		_, err := m.Create(ctx, name, vfs.CreateOptions{})
		wantErr(t, "Create", err, name, fs.ErrPermission)
		wantErr(t, "Mkdir", m.Mkdir(ctx, name), name, fs.ErrPermission)
		wantErr(t, "Rename", m.Rename(ctx, "top", name, vfs.RenameOptions{}), name, fs.ErrPermission)
		wantErr(t, "Rename from another store", m.Rename(ctx, "a/f", name, vfs.RenameOptions{}), name, fs.ErrPermission)
	}
	fill(t, m, "both/new", "a/new/", "a/new/f")
	wantText(t, "the store below", get(t, root, "both/new")+get(t, a, "new/f"), "content of both/newcontent of a/new/f")

	// Files of two stores, which number theirs alike, are told apart.
	unique := map[string]string{}
	for _, name := range []string{"top", "a/f", "a/deep/g", ".", "a", "a/deep", "gone"} {
		info, err := m.Stat(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		id := vfs.AttrOf(info).Unique
		if other, taken := unique[id]; taken || id == "" {
			t.Errorf("%s and %s have the same unique id %q", name, other, id)
		}
		unique[id] = name
	}
}

func TestMountWithoutRoot(t *testing.T) {
	m, ctx := mount(t, vfs.MountOptions{}, map[string]vfs.FS{"a/b": mem()}), t.Context()
	wantText(t, "the root", ls(t, m, "."), "a/")
	wantText(t, "a missing directory", ls(t, m, "x"), "readdir x: file does not exist")
	_, err := m.Create(ctx, "x", vfs.CreateOptions{})
	wantErr(t, "Create", err, "x", fs.ErrPermission)
	_, err = m.Create(ctx, "x/y", vfs.CreateOptions{})
	wantErr(t, "Create", err, "x/y", fs.ErrNotExist)
	_, err = vfs.Space(ctx, m, ".")
	wantErr(t, "Space", err, ".", errors.ErrUnsupported)
	if sp, err := vfs.Space(ctx, m, "a/b"); err != nil || sp.Total == 0 {
		t.Errorf("Space = %v, %v", sp, err)
	}
	for _, points := range [][]vfs.MountPoint{{{Dir: "/a", FS: mem()}}, {{Dir: "a"}}, {{Dir: "a", FS: mem()}, {Dir: "a", FS: mem()}}} {
		if _, err := vfs.Mount(points, vfs.MountOptions{}); err == nil {
			t.Errorf("Mount(%v) succeeds", points)
		}
	}
}

// away is a store that does not answer.
func away() vfs.FS {
	f := faultfs.New(mem())
	f.Inject(faultfs.Fault{Err: errors.New("connection refused")})
	return f
}

func TestMountOfAStoreThatIsAway(t *testing.T) {
	m := mount(t, vfs.MountOptions{}, map[string]vfs.FS{".": mem(), "away": away()})
	wantText(t, "the root", ls(t, m, "."), "away/")
	if _, err := m.Stat(t.Context(), "away/f"); err == nil {
		t.Error("Stat below it succeeds")
	}
}

func TestMountCaps(t *testing.T) {
	parks := faultfs.Without(mem(), vfs.CanCopy|vfs.AtomicCommit)
	poor := faultfs.Without(mem(), vfs.CanPark|vfs.CanAppend|vfs.RealDirs)
	m, ctx := mount(t, vfs.MountOptions{}, map[string]vfs.FS{".": parks, "poor": poor, "ro": vfs.ReadOnly(mem())}), t.Context()
	want := mem().Caps() &^ (vfs.AtomicCommit | vfs.RealDirs | vfs.AtomicRename)
	if m.Caps() != want {
		t.Errorf("Caps are %v, want %v", m.Caps(), want)
	}
	fill(t, m, "f", "poor/f")
	wantErr(t, "Copy", vfs.ServerCopy(ctx, m, "f", "g", vfs.CopyOptions{}), "f", errors.ErrUnsupported)
	wantErr(t, "Copy", vfs.ServerCopy(ctx, m, "f", "poor/g", vfs.CopyOptions{}), "f", errors.ErrUnsupported)
	_, err := m.Create(ctx, "poor/f", vfs.CreateOptions{Mode: vfs.Append})
	wantErr(t, "Append", err, "poor/f", errors.ErrUnsupported)
	_, err = m.Create(ctx, "ro/f", vfs.CreateOptions{})
	wantErr(t, "Create", err, "ro/f", fs.ErrPermission)
	wantErr(t, "Symlink", vfs.Symlink(ctx, m, "poor/f", "link"), "link", errors.ErrUnsupported)

	// For the view of an owner, a store that can't park has nothing parked.
	_, err = vfs.StatStaged(ctx, m, "poor/f", "ann")
	wantErr(t, "StatStaged", err, "poor/f", fs.ErrNotExist)
	view := vfs.ForOwner(m, "ann", vfs.ShowExact)
	if err := view.Remove(ctx, "poor/f"); err != nil {
		t.Error(err)
	}
	w, err := view.Create(ctx, "f", vfs.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("part")); err != nil {
		t.Fatal(err)
	}
	if err := w.Park(); err != nil {
		t.Fatal(err)
	}
	if info, err := view.Stat(ctx, "f"); err != nil || !vfs.AttrOf(info).Staged {
		t.Errorf("Stat of a staged upload: %v, %v", info, err)
	}
	if err := vfs.Copy(ctx, m, "f", "poor/copied", vfs.CopyOptions{}); err != nil {
		t.Error(err)
	}
	wantText(t, "copied", get(t, m, "poor/copied"), "content of f")
}

func TestMountSub(t *testing.T) {
	root, inner, ctx := mem(), mem(), t.Context()
	fill(t, root, "home/", "home/own")
	fill(t, inner, "d/", "d/f")
	m := mount(t, vfs.MountOptions{}, map[string]vfs.FS{".": root, "home/m": inner, "no/where/m": inner})
	for dir, want := range map[string]string{"home": "m/ own", "home/m": "d/", "home/m/d": "f", "no": "where/", "no/where": "m/"} {
		sub, err := vfs.Sub(m, dir)
		if err != nil {
			t.Fatal(err)
		}
		wantText(t, dir, ls(t, sub, "."), want)
		if c, ok := sub.(io.Closer); ok {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	sub, err := vfs.Sub(m, "home")
	if err != nil {
		t.Fatal(err)
	}
	wantText(t, "below", get(t, sub, "m/d/f"), "content of d/f")
	wantErr(t, "Rename of a mount", sub.Rename(ctx, "m", "n", vfs.RenameOptions{}), "m", fs.ErrPermission)
	if err := sub.Rename(ctx, "own", "m/own", vfs.RenameOptions{}); err != nil {
		t.Error(err)
	}
	wantText(t, "moved", get(t, inner, "own"), "content of home/own")
}

// twoStores are joined as . and m.
func twoStores(t *testing.T, opt vfs.MountOptions) (m, root, other vfs.FS) {
	root, other = mem(), mem()
	fill(t, root, "f", "d/", "d/a", "d/e/", "d/e/b", "d/empty/")
	fill(t, other, "there")
	return mount(t, opt, map[string]vfs.FS{".": root, "m": other}), root, other
}

func TestMoveBetweenStores(t *testing.T) {
	m, root, other := twoStores(t, vfs.MountOptions{})
	ctx, when := t.Context(), time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC)
	born := when.AddDate(-1, 0, 0)
	if err := errors.Join(vfs.SetModTime(ctx, root, "f", when), vfs.SetCreateTime(ctx, root, "f", born)); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "onto a file with NoReplace", m.Rename(ctx, "f", "m/there", vfs.RenameOptions{NoReplace: true}), "m/there", fs.ErrExist)
	if err := m.Rename(ctx, "f", "m/there", vfs.RenameOptions{}); err != nil {
		t.Fatal(err)
	}
	wantText(t, "the file", get(t, other, "there"), "content of f")
	if info, err := other.Stat(ctx, "there"); err != nil || !info.ModTime().Equal(when) || !vfs.AttrOf(info).Created.Equal(born) {
		t.Errorf("its times: %v, %v, %v", info.ModTime(), vfs.AttrOf(info).Created, err)
	}
	if err := m.Rename(ctx, "d", "m/moved", vfs.RenameOptions{}); err != nil {
		t.Fatal(err)
	}
	wantText(t, "the directory", ls(t, other, "moved")+" "+ls(t, other, "moved/e")+get(t, other, "moved/e/b"), "a e/ empty/ bcontent of d/e/b")
	wantText(t, "what is left", ls(t, m, "."), "m/")
	fill(t, m, "d/", "x")
	wantErr(t, "a directory onto a file", m.Rename(ctx, "d", "m/there", vfs.RenameOptions{}), "m/there", fs.ErrExist)
	wantErr(t, "a directory onto a directory", m.Rename(ctx, "d", "m/moved", vfs.RenameOptions{}), "m/moved", fs.ErrExist)
	wantErr(t, "nothing", m.Rename(ctx, "none", "m/n", vfs.RenameOptions{}), "none", fs.ErrNotExist)
	wantErr(t, "to nowhere", m.Rename(ctx, "x", "m/none/n", vfs.RenameOptions{}), "m/none/n", fs.ErrNotExist)
	wantErr(t, "below a file", m.Rename(ctx, "x", "m/there/n", vfs.RenameOptions{}), "m/there/n", vfs.ErrNotDir)
	if err := vfs.Symlink(ctx, root, "x", "d/link"); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "a link", m.Rename(ctx, "d/link", "m/n", vfs.RenameOptions{}), "d/link", errors.ErrUnsupported)
	wantErr(t, "a directory with a link", m.Rename(ctx, "d", "m/n", vfs.RenameOptions{}), "d/link", errors.ErrUnsupported)
	wantText(t, "the source", ls(t, root, "."), "d/ x")
	wantText(t, "the target", ls(t, other, "."), "moved/ there")
}

// Whatever fails before the source begins to go leaves it whole, and no copy.
func TestMoveThatFails(t *testing.T) {
	ctx := t.Context()
	before := func(t *testing.T, m, root, other vfs.FS, err error) {
		t.Helper()
		if err == nil {
			t.Error("Rename succeeds")
		}
		wantText(t, "the source", fmt.Sprint(ls(t, root, "."), ls(t, root, "d"), ls(t, root, "d/e")), "d/ fa e/ empty/b")
		wantText(t, "the target", ls(t, other, "."), "there")
	}
	broken := errors.New("the store broke")
	fail := func(op faultfs.Op, name string) func(vfs.FS) vfs.FS {
		return func(f vfs.FS) vfs.FS {
			out := faultfs.New(f)
			out.Inject(faultfs.Fault{Op: op, Pattern: name, Err: broken})
			return out
		}
	}
	same := func(f vfs.FS) vfs.FS { return f }
	deny := func(op vfs.Op) func(vfs.FS) vfs.FS {
		return func(f vfs.FS) vfs.FS {
			return vfs.Guard(f, func(o vfs.Op, _ string) error {
				if o == op {
					return fs.ErrPermission
				}
				return nil
			})
		}
	}
	for name, c := range map[string]struct {
		from, to func(vfs.FS) vfs.FS
		opt      vfs.MountOptions
		want     error
	}{
		"not wanted":           {same, same, vfs.MountOptions{NoMove: true}, errors.ErrUnsupported},
		"too many":             {same, same, vfs.MountOptions{MoveEntries: 3}, errors.ErrUnsupported},
		"reading":              {fail(faultfs.Read, "d/e/b"), same, vfs.MountOptions{}, broken},
		"opening":              {fail(faultfs.Open, "d/e/b"), same, vfs.MountOptions{}, broken},
		"listing":              {fail(faultfs.ReadDir, "d/e"), same, vfs.MountOptions{}, broken},
		"making":               {same, fail(faultfs.Mkdir, "n/e"), vfs.MountOptions{}, broken},
		"writing":              {same, fail(faultfs.Write, ""), vfs.MountOptions{}, broken},
		"committing":           {same, fail(faultfs.Commit, "n/e/b"), vfs.MountOptions{}, broken},
		"removing":             {fail(faultfs.Rmdir, "d/empty"), same, vfs.MountOptions{}, broken},
		"read-only source":     {vfs.ReadOnly, same, vfs.MountOptions{}, fs.ErrPermission},
		"read-only target":     {same, vfs.ReadOnly, vfs.MountOptions{}, fs.ErrPermission},
		"no rename":            {deny(vfs.OpRename), same, vfs.MountOptions{}, fs.ErrPermission},
		"no removal":           {deny(vfs.OpRmdir), same, vfs.MountOptions{}, fs.ErrPermission},
		"no making of folders": {same, deny(vfs.OpMkdir), vfs.MountOptions{}, fs.ErrPermission},
	} {
		t.Run(name, func(t *testing.T) {
			_, root, other := twoStores(t, vfs.MountOptions{})
			m := mount(t, c.opt, map[string]vfs.FS{".": c.from(root), "m": c.to(other)})
			err := m.Rename(ctx, "d", "m/n", vfs.RenameOptions{})
			before(t, m, root, other, err)
			if !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
}

// What is written while a directory moves stays at the old place.
func TestMoveKeepsWhatChangedMeanwhile(t *testing.T) {
	_, root, other := twoStores(t, vfs.MountOptions{})
	changed := false
	spy := vfs.Observe(other, func(ctx context.Context, o vfs.Observation) {
		if o.Op == vfs.OpWrite && !changed {
			changed = true
			if err := upload(ctx, root, "f", "something else", vfs.CreateOptions{}); err != nil {
				t.Error(err)
			}
		}
	})
	m := mount(t, vfs.MountOptions{}, map[string]vfs.FS{".": root, "m": spy})
	wantErr(t, "Rename", m.Rename(t.Context(), "f", "m/n", vfs.RenameOptions{}), "f", vfs.ErrBusy)
	wantText(t, "the source", get(t, root, "f"), "something else")
	wantText(t, "the target", ls(t, other, "."), "there")
}

func TestMoveTellsHowFarItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		root, other := mem(), mem()
		w, err := root.Create(t.Context(), "big", vfs.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(make([]byte, 8<<20)); err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(); err != nil {
			t.Fatal(err)
		}
		slow := faultfs.New(other)
		slow.Inject(faultfs.Fault{Op: faultfs.Write, Delay: 4 * time.Second})
		m := mount(t, vfs.MountOptions{Log: slog.New(slog.NewTextHandler(&log, nil))}, map[string]vfs.FS{".": root, "m": slow})
		if err := m.Rename(t.Context(), "big", "m/big", vfs.RenameOptions{}); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(log.String(), "from=big to=m/big"); n < 2 || !strings.Contains(log.String(), "is done") {
			t.Errorf("logged:\n%s", &log)
		}
	})
}
