package s3

import (
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/ftpgate/ftpgate/backends/s3/s3fake"
	"github.com/ftpgate/ftpgate/vfs"
)

// TestCosts is the table of requests for each operation, which an operator pays.
func TestCosts(t *testing.T) {
	type op struct {
		name string
		do   func(f *FS) error
		want map[string]int
	}
	list := func(dir, prefix string) func(f *FS) error {
		return func(f *FS) error {
			for _, err := range f.ReadDir(t.Context(), dir, prefix) {
				if err != nil {
					return err
				}
			}
			return nil
		}
	}
	read := func(offset, length int64) func(f *FS) error {
		return func(f *FS) error {
			r, err := f.Open(t.Context(), "d/file", offset, length)
			if err != nil {
				return err
			}
			defer r.Close()
			if _, err := r.Stat(); err != nil {
				return err
			}
			_, err = io.Copy(io.Discard, r)
			return err
		}
	}
	store := func(size int, opt vfs.CreateOptions) func(f *FS) error {
		return func(f *FS) error { return upload1(t.Context(), f, "d/new", pattern(size), opt) }
	}
	stat := func(name string) func(f *FS) error {
		return func(f *FS) error { _, err := f.Stat(t.Context(), name); return err }
	}
	for _, c := range []op{
		{"stat of a file", stat("d/file"), map[string]int{"HeadObject": 1, "ListObjectsV2": 1}},
		{"stat of a directory", stat("d"), map[string]int{"HeadObject": 1, "ListObjectsV2": 1}},
		{"stat of the root", stat("."), map[string]int{}},
		{"listing of one page", list("d", ""), map[string]int{"ListObjectsV2": 1}},
		{"listing of three pages", list("many", ""), map[string]int{"ListObjectsV2": 3}},
		{"listing of an empty directory", list("empty", ""), map[string]int{"ListObjectsV2": 1}},
		{"listing without a match", list("d", "x"), map[string]int{"ListObjectsV2": 2, "HeadObject": 1}},
		{"download", read(0, -1), map[string]int{"GetObject": 1}},
		{"download of a range", read(10, 20), map[string]int{"GetObject": 1}},
		{"download from the end", read(1000, -1), map[string]int{"GetObject": 1, "HeadObject": 1}},
		{"download of nothing", read(0, 0), map[string]int{"HeadObject": 1}},
		{"small upload", store(1000, vfs.CreateOptions{}), map[string]int{"ListObjectsV2": 2, "PutObject": 1}},
		{"empty upload", store(0, vfs.CreateOptions{}), map[string]int{"ListObjectsV2": 2, "PutObject": 1}},
		{"upload of one full part", store(128<<10, vfs.CreateOptions{}), map[string]int{
			"ListObjectsV2": 2, "CreateMultipartUpload": 1, "UploadPart": 1, "CompleteMultipartUpload": 1}},
		{"upload of three parts", store(300<<10, vfs.CreateOptions{}), map[string]int{
			"ListObjectsV2": 2, "CreateMultipartUpload": 1, "UploadPart": 3, "CompleteMultipartUpload": 1}},
		{"upload that must not replace", store(1000, vfs.CreateOptions{NoReplace: true}), map[string]int{
			"ListObjectsV2": 2, "HeadObject": 1, "PutObject": 1}},
		{"delete", func(f *FS) error { return f.Remove(t.Context(), "d/file") }, map[string]int{
			"HeadObject": 1, "ListObjectsV2": 1, "DeleteObject": 1}},
		{"delete of the last file", func(f *FS) error { return f.Remove(t.Context(), "single/file") }, map[string]int{
			"HeadObject": 1, "ListObjectsV2": 1, "PutObject": 1, "DeleteObject": 1}},
		{"make a directory", func(f *FS) error { return f.Mkdir(t.Context(), "d/sub") }, map[string]int{
			"HeadObject": 2, "ListObjectsV2": 2, "PutObject": 1}},
		{"remove a directory", func(f *FS) error { return f.Rmdir(t.Context(), "empty") }, map[string]int{
			"ListObjectsV2": 2, "DeleteObject": 1}},
		{"rename", func(f *FS) error { return f.Rename(t.Context(), "d/file", "d/new", vfs.RenameOptions{}) }, map[string]int{
			"HeadObject": 3, "ListObjectsV2": 4, "CopyObject": 1, "DeleteObject": 1}},
		{"rename of a directory of three objects", func(f *FS) error { return f.Rename(t.Context(), "d/three", "d/new", vfs.RenameOptions{}) }, map[string]int{
			"HeadObject": 6, "ListObjectsV2": 6, "PutObject": 4, "CopyObject": 3, "DeleteObject": 4}},
		{"rename that must not replace", func(f *FS) error { return f.Rename(t.Context(), "d/file", "d/new", vfs.RenameOptions{NoReplace: true}) }, map[string]int{
			"HeadObject": 4, "ListObjectsV2": 4, "CreateMultipartUpload": 1, "UploadPartCopy": 1, "CompleteMultipartUpload": 1, "DeleteObject": 1}},
		{"copy", func(f *FS) error { return f.Copy(t.Context(), "d/file", "d/new", vfs.CopyOptions{}) }, map[string]int{
			"HeadObject": 1, "ListObjectsV2": 3, "CopyObject": 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, f := fake(t, s3fake.Options{MinPart: 128 << 10, PageLimit: 10}, smallParts)
			s.Put("pre/fix/d/file", pattern(1000))
			s.PutAll("pre/fix/d/other", "pre/fix/single/file", "pre/fix/d/three/a", "pre/fix/d/three/b", "pre/fix/d/three/c", "pre/fix/empty/")
			for i := range 25 {
				s.PutAll("pre/fix/many/" + strings.Repeat("x", i+1))
			}
			s.ResetCounts()
			if err := c.do(f); err != nil {
				t.Fatal(err)
			}
			if got := s.Counts(); !maps.Equal(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

// TestOpenCost: the start asks for one page, tries its conditional writes and
// leaves nothing; a read-only one writes nothing at all.
func TestOpenCost(t *testing.T) {
	s, f := fake(t, s3fake.Options{})
	want := map[string]int{"ListObjectsV2": 1, "PutObject": 4, "CreateMultipartUpload": 1, "UploadPart": 1,
		"CompleteMultipartUpload": 2, "AbortMultipartUpload": 1, "DeleteObject": 1}
	if got := s.Counts(); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if keys := s.Keys(); len(keys) > 0 {
		t.Errorf("left over: %q", keys)
	}
	if want := vfs.CanWrite | vfs.CanAppend | vfs.CanWriteAt | vfs.CanPark | vfs.CanRenameDir | vfs.CanCopy | vfs.CanNoReplace | vfs.CanHash | vfs.AtomicCommit; f.Caps() != want {
		t.Errorf("caps are %v, want %v", f.Caps(), want)
	}
	s, f = fake(t, s3fake.Options{}, func(o *Options) { o.ReadOnly = true })
	if got := slices.Collect(maps.Keys(s.Counts())); !slices.Equal(got, []string{"ListObjectsV2"}) {
		t.Errorf("%v", got)
	}
	if f.Caps() != vfs.AtomicCommit {
		t.Errorf("caps are %v", f.Caps())
	}
}
