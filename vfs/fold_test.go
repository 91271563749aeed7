package vfs_test

import (
	"context"
	"errors"
	"io/fs"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ftpgate/ftpgate/vfs"
	"github.com/ftpgate/ftpgate/vfs/faultfs"
)

func TestFoldingKey(t *testing.T) {
	for _, c := range []struct {
		a, b       string
		form, both bool // fold equal
	}{
		{"a", "A", false, true},
		{"\u00e9", "e\u0301", true, true},
		{"\u00c9", "e\u0301", false, true},
		{"STRASSE", "straße", false, false}, // as the file systems of Windows and macOS
		{"\u212a", "k", false, true},        // the Kelvin sign
		{"\u03a3", "\u03c2", false, true},   // three sigmas
		{"ǆ", "ǅ", false, true},
		{"caf\xe9", "CAF\xe9", false, true},
		{"caf\xe9", "caf\xc9", false, false}, // Latin-1
		{"a\u0323\u0307", "a\u0307\u0323", true, true},
		{"x", "y", false, false},
	} {
		if got := vfs.FoldForm.Key(c.a) == vfs.FoldForm.Key(c.b); got != c.form {
			t.Errorf("by form, %q is %q: %v", c.a, c.b, got)
		}
		both := vfs.FoldForm | vfs.FoldCase
		if got := both.Key(c.a) == both.Key(c.b); got != c.both {
			t.Errorf("by case and form, %q is %q: %v", c.a, c.b, got)
		}
	}
}

func TestFold(t *testing.T) {
	inner, ctx := mem(), t.Context()
	f := vfs.Fold(inner, vfs.FoldCase|vfs.FoldForm)
	fill(t, f, "Dir/", "Dir/Caf\u00e9.txt", "Dir/Sub/")
	for _, name := range []string{"dir/cafe\u0301.TXT", "DIR/CAF\u00c9.txt", "Dir/Caf\u00e9.txt"} {
		wantText(t, name, get(t, f, name), "content of Dir/Caf\u00e9.txt")
		info, err := f.Stat(ctx, name)
		if _, base := vfs.Split(name); err != nil || info.Name() != base {
			t.Errorf("Stat(%q) = %v, %v", name, info, err)
		}
	}
	wantText(t, "a listing", ls(t, f, "DIR"), "Caf\u00e9.txt Sub/")
	wantText(t, "of nothing", ls(t, f, "dirr"), "readdir dirr: file does not exist")
	_, err := f.Open(ctx, "DIR/none", 0, -1)
	wantErr(t, "Open", err, "DIR/none", fs.ErrNotExist)
	_, err = f.Open(ctx, "dir/SUB", 0, -1)
	wantErr(t, "Open", err, "dir/SUB", vfs.ErrIsDir)

	// New below the old spelling; an upload replaces.
	fill(t, f, "DIR/sub/New", "dir/CAF\u00c9.TXT")
	wantText(t, "below", ls(t, inner, "Dir/Sub"), "New")
	wantText(t, "replaced", get(t, inner, "Dir/Caf\u00e9.txt"), "content of dir/CAF\u00c9.TXT")
	wantErr(t, "Mkdir", f.Mkdir(ctx, "dir/SUB"), "dir/SUB", fs.ErrExist)
	_, err = f.Create(ctx, "dir/sUB", vfs.CreateOptions{})
	wantErr(t, "Create", err, "dir/sUB", vfs.ErrIsDir)
	if err := upload(ctx, f, "dir/sub/NEW", "x", vfs.CreateOptions{NoReplace: true}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Create with NoReplace: %v", err)
	}

	if err := f.Rename(ctx, "dir/sub/new", "DIR/SUB/NEW", vfs.RenameOptions{}); err != nil {
		t.Error(err)
	}
	wantText(t, "respelled", ls(t, inner, "Dir/Sub"), "NEW")
	fill(t, f, "other")
	wantErr(t, "Rename with NoReplace", f.Rename(ctx, "OTHER", "dir/sub/neW", vfs.RenameOptions{NoReplace: true}), "OTHER", fs.ErrExist)
	if err := f.Rename(ctx, "OTHER", "dir/sub/neW", vfs.RenameOptions{}); err != nil {
		t.Error(err)
	}
	wantText(t, "moved onto it", ls(t, inner, "Dir/Sub")+get(t, inner, "Dir/Sub/NEW"), "NEWcontent of other")
	sub, err := vfs.Sub(f, "dir/sub")
	if err != nil {
		t.Fatal(err)
	}
	wantText(t, "in a Sub", get(t, sub, "new"), "content of other")
	if err := f.Remove(ctx, "dir/sub/new"); err != nil {
		t.Error(err)
	}
	if err := f.Rmdir(ctx, "dir/sub"); err != nil {
		t.Error(err)
	}
}

// The exact name wins, then the first in the order of bytes.
func TestFoldOfSeveral(t *testing.T) {
	inner, ctx := mem(), t.Context()
	f := vfs.Fold(inner, vfs.FoldCase)
	fill(t, inner, "aa", "aA", "Aa")
	wantText(t, "exact", get(t, f, "aA"), "content of aA")
	wantText(t, "folded", get(t, f, "AA"), "content of Aa")
	if err := f.Remove(ctx, "AA"); err != nil {
		t.Error(err)
	}
	wantText(t, "left", ls(t, f, "."), "aA aa")
	if err := f.Rename(ctx, "aA", "aa", vfs.RenameOptions{}); err != nil {
		t.Error(err)
	}
	wantText(t, "replaced", ls(t, f, ".")+get(t, f, "aa"), "aacontent of aA")
}

// Staged uploads are found where they were put, and links are renamed as what they
// are.
func TestFoldOfStaged(t *testing.T) {
	inner, ctx := mem(), t.Context()
	fill(t, inner, "File")
	view := vfs.ForOwner(vfs.Fold(inner, vfs.FoldCase), "ann", vfs.ShowExact)
	w, err := view.Create(ctx, "FILE", vfs.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("part")); err != nil {
		t.Fatal(err)
	}
	if err := w.Park(); err != nil {
		t.Fatal(err)
	}
	info, err := view.Stat(ctx, "FILE")
	if err != nil || !vfs.AttrOf(info).Staged || info.Name() != "FILE" {
		t.Fatalf("%v, %v", info, err)
	}
	if w, err = view.Create(ctx, "fiLE", vfs.CreateOptions{Mode: vfs.WriteAt, Offset: info.Size()}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("!")); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	wantText(t, "continued", ls(t, inner, ".")+get(t, inner, "File"), "Filepar!")
	if err := vfs.Symlink(ctx, inner, "none", "Link"); err != nil {
		t.Fatal(err)
	}
	view = vfs.Fold(inner, vfs.FoldCase)
	for _, name := range []string{"LINK", "link"} {
		if err := view.Rename(ctx, name, name+"2", vfs.RenameOptions{}); err != nil {
			t.Error(err)
		}
		if err := view.Rename(ctx, name+"2", "Link", vfs.RenameOptions{}); err != nil {
			t.Error(err)
		}
	}
	wantText(t, "the link", ls(t, inner, "."), "File Link")
}

// A name that is there costs no listing, a directory that is too large none either
// beyond its bound.
func TestFoldCosts(t *testing.T) {
	inner, ctx := mem(), t.Context()
	fill(t, inner, "d/", "d/f")
	listed := 0
	f := vfs.Fold(vfs.Observe(inner, func(_ context.Context, o vfs.Observation) {
		if o.Op == vfs.OpList {
			listed++
		}
	}), vfs.FoldCase)
	fill(t, f, "d/f")
	get(t, f, "d/f")
	if err := f.Rename(ctx, "d/f", "d/f", vfs.RenameOptions{}); err != nil {
		t.Error(err)
	}
	if listed != 0 {
		t.Errorf("%d listings for names that are there", listed)
	}
	if _, err := f.Stat(ctx, "D/F"); err != nil || listed != 2 {
		t.Errorf("%v, and %d listings for two elements", err, listed)
	}
	// Who makes many names in a directory lists it once; what others make is seen after a while.
	synctest.Test(t, func(t *testing.T) {
		listed = 0
		f := vfs.Fold(vfs.Observe(inner, func(_ context.Context, o vfs.Observation) {
			if o.Op == vfs.OpList {
				listed++
			}
		}), vfs.FoldCase)
		for _, name := range []string{"d/one", "d/two", "d/ONE", "d/three/", "d/Three/x"} {
			fill(t, f, name)
		}
		if listed != 2 {
			t.Errorf("%d listings for new names in two directories", listed)
		}
		if err := f.Remove(t.Context(), "d/TWO"); err != nil {
			t.Error(err)
		}
		if _, err := f.Stat(t.Context(), "d/Two"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Stat of what was removed: %v", err)
		}
		fill(t, inner, "d/others")
		time.Sleep(3 * time.Second)
		if _, err := f.Stat(t.Context(), "d/OTHERS"); err != nil {
			t.Error(err)
		}
	})
	wantText(t, "made", ls(t, inner, "d"), "f one others three/")
	many := faultfs.New(inner)
	many.Inject(faultfs.Fault{Op: faultfs.ReadDir, Err: errors.New("the store broke")})
	_, err := vfs.Fold(many, vfs.FoldCase).Stat(ctx, "D/F")
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Stat in a store that can't list: %v", err)
	}
}
