package vfstest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"testing"
	"testing/iotest"

	"github.com/ftpgate/ftpgate/vfs"
)

func testRead(t *testing.T, s *store) {
	for _, size := range []int{0, 1, 64<<10 - 1, 64 << 10, 64<<10 + 1, s.h.Large} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			data := content(uint64(size), size)
			s.put(t, "file", data)
			s.holds(t, "file", data)
			n := int64(size)
			for _, r := range [][2]int64{
				{0, -1}, {0, 0}, {0, 1}, {0, n}, {0, n + 1}, {1, -1}, {n / 2, -1}, {n / 2, 1}, {n / 2, 0}, {n / 3, n / 3},
				{n - 1, -1}, {n - 1, 100}, {n, -1}, {n, 0}, {n, 5}, {64<<10 - 1, 2},
			} {
				if r[0] >= 0 && r[0] <= n {
					s.readsRange(t, "file", data, r[0], r[1])
				}
			}
			for _, offset := range []int64{n + 1, n + 1<<40} {
				_, err := s.read("file", offset, -1)
				if accept := badOffset(t, "Open", err, "file", offset, n); accept != n {
					t.Errorf("Open beyond %d bytes: Accept is %d", n, accept)
				}
			}
		})
	}
	testReadErrors(t, s)
	testReader(t, s)
	testVersion(t, s)
}

func (s *store) readsRange(t *testing.T, name string, data []byte, offset, length int64) {
	t.Helper()
	want := data[offset:]
	if length >= 0 {
		want = want[:min(length, int64(len(want)))]
	}
	f, err := s.fs.Open(s.ctx, name, offset, length)
	if err != nil {
		t.Errorf("Open(%q, %d, %d): %v", name, offset, length, err)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Errorf("File.Stat: %v", err)
	} else if _, base := vfs.Split(name); info.Size() != int64(len(data)) || info.Name() != base || !info.Mode().IsRegular() {
		t.Errorf("File.Stat at %d: name %q, size %d, mode %v; want the whole file of %d", offset, info.Name(), info.Size(), info.Mode(), len(data))
	}
	// As the gateway copies: by the file's WriterTo where it has one.
	var got bytes.Buffer
	if n, err := io.Copy(&got, f); err != nil || n != int64(len(want)) {
		t.Errorf("copying [%d,+%d) = %d, %v; want %d", offset, length, n, err, len(want))
	}
	if d := difference(got.Bytes(), want); d != "" {
		t.Errorf("[%d,+%d): %s", offset, length, d)
	}
	if n, err := f.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("Read at the end = %d, %v; want io.EOF", n, err)
	}
}

func testReadErrors(t *testing.T, s *store) {
	s.mkdir(t, "dir")
	s.put(t, "small", []byte("x"))
	for _, c := range []struct {
		name  string
		kinds []error
	}{
		{"dir", []error{vfs.ErrIsDir}},
		{".", []error{vfs.ErrIsDir}},
		{"missing", []error{fs.ErrNotExist}},
		{"dir/missing", []error{fs.ErrNotExist}},
		{"missing/x", []error{fs.ErrNotExist}},
		{"small/x", []error{fs.ErrNotExist, vfs.ErrNotDir}},
	} {
		for _, offset := range []int64{0, 7} {
			_, err := s.read(c.name, offset, -1)
			fails(t, "Open", err, c.name, c.kinds...)
		}
	}
	if _, err := s.read("small", -1, -1); err == nil {
		t.Error("Open at offset -1 succeeds")
	} else if problem := identity(err, "small"); problem != nil {
		t.Errorf("Open at offset -1: %q %v", err, problem)
	}
}

// testReader: a File reads like any io.Reader, and Close ends it.
func testReader(t *testing.T, s *store) {
	data := content(9, min(70_001, s.h.Large)) // more than a buffer; TestReader asks for single bytes
	s.put(t, "reader", data)
	f, err := s.fs.Open(s.ctx, "reader", 1, -1)
	if err != nil {
		t.Fatal(err)
	}
	if err := iotest.TestReader(struct{ io.Reader }{f}, data[1:]); err != nil {
		t.Errorf("reading in odd pieces: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	f, err = s.fs.Open(s.ctx, "reader", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(f, make([]byte, 100)); err != nil {
		t.Errorf("reading 100 bytes: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Errorf("Close in the middle: %v", err)
	}
	if n, err := f.Read(make([]byte, 10)); n != 0 || err == nil || err == io.EOF {
		t.Errorf("Read after Close = %d, %v; want an error", n, err)
	}

	gone := errors.New("the client is gone")
	ctx, cancel := context.WithCancelCause(s.ctx)
	f, err = s.fs.Open(ctx, "reader", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cancel(gone)
	// Bytes on their way may still arrive; a short file that claims to be whole
	// may not.
	got, err := io.ReadAll(f)
	if err == nil && len(got) != len(data) {
		t.Errorf("cancelled: %d of %d bytes and no error", len(got), len(data))
	}
	if err != nil {
		fails(t, "Read of a cancelled file", err, "reader", gone)
	}
	if !bytes.HasPrefix(data, got) {
		t.Error("cancelled: other bytes than the file's")
	}
	_, err = s.fs.Open(ctx, "reader", 0, -1)
	fails(t, "Open under a done context", err, "reader", gone)
}

// testVersion: an open file shows one version of the content.
func testVersion(t *testing.T, s *store) {
	first, second, more := content(1, s.h.Large), content(2, s.h.Large), content(3, 70_000)
	for _, change := range []struct {
		what string
		do   func() error
	}{
		{"replaced", func() error { return s.write("version", second, vfs.CreateOptions{}) }},
		{"removed", func() error { return s.fs.Remove(s.ctx, "version") }},
		{"renamed", func() error { return s.fs.Rename(s.ctx, "version", "renamed", vfs.RenameOptions{}) }},
		{"appended to", func() error { return s.write("version", more, vfs.CreateOptions{Mode: vfs.Append}) }},
		{"overwritten from the middle", func() error {
			return s.write("version", more, vfs.CreateOptions{Mode: vfs.WriteAt, Offset: int64(len(first) / 2)})
		}},
	} {
		s.put(t, "version", first)
		f, err := s.fs.Open(s.ctx, "version", 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		head := make([]byte, 1000)
		if _, err := io.ReadFull(f, head); err != nil {
			t.Fatal(err)
		}
		if err := change.do(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s while it is read: %v", change.what, err)
		}
		rest, err := io.ReadAll(f)
		if got := append(head, rest...); err == nil {
			if d := difference(got, first); d != "" {
				t.Errorf("%s while it is read: %s", change.what, d)
			}
		} else if problem := identity(err, "version"); problem != nil || !bytes.HasPrefix(first, got) {
			t.Errorf("%s while it is read: %q %v; the bytes before it are right: %v", change.what, err, problem, bytes.HasPrefix(first, got))
		}
		f.Close()
	}
}
