package vfstest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/ftpgate/ftpgate/vfs"
)

// sealed returns a content of n bytes, at least 16, that intact can check.
func sealed(seed uint64, n int) []byte {
	b := content(seed, max(n, 16))
	binary.LittleEndian.PutUint64(b, seed)
	binary.LittleEndian.PutUint64(b[8:], uint64(len(b)))
	return b
}

func intact(b []byte) bool {
	if len(b) < 16 {
		return false
	}
	n := binary.LittleEndian.Uint64(b[8:])
	return n == uint64(len(b)) && bytes.Equal(b, sealed(binary.LittleEndian.Uint64(b), len(b)))
}

// testConcurrency lets sessions work on the same few names. Whatever they meet is
// a content that was committed whole, or an error of the contract.
func testConcurrency(t *testing.T, s *store) {
	s.mkdir(t, "c", "c/d0", "c/d1")
	const sessions, steps = 8, 60
	var appended atomic.Int64
	record := content(5, 100)
	parallel(sessions, func(i int) {
		r := rand.New(rand.NewPCG(1, uint64(i)))
		name := func() string { return fmt.Sprintf("c/d%d/f%d", r.IntN(2), r.IntN(3)) }
		for step := range steps {
			var err error
			names := []string{name(), name()}
			switch r.IntN(10) {
			case 0, 1:
				err = s.write(names[0], sealed(uint64(i*steps+step), r.IntN(200_000)), vfs.CreateOptions{NoReplace: r.IntN(2) == 0})
			case 2, 3:
				err = s.readIntact(t, names[0])
			case 4:
				err = s.fs.Remove(s.ctx, names[0])
			case 5:
				err = s.fs.Rename(s.ctx, names[0], names[1], vfs.RenameOptions{NoReplace: r.IntN(2) == 0})
			case 6:
				names = []string{"c/d0"}
				for _, err = range s.fs.ReadDir(s.ctx, "c/d0", "") {
				}
			case 7:
				names = []string{fmt.Sprintf("c/new%d", r.IntN(2))}
				if err = s.fs.Mkdir(s.ctx, names[0]); err == nil || r.IntN(2) == 0 {
					err = s.fs.Rmdir(s.ctx, names[0])
				}
			case 8:
				var w vfs.Writer
				if w, err = s.fs.Create(s.ctx, names[0], vfs.CreateOptions{}); err == nil {
					w.Write(record)
					err = w.Abort()
				}
			case 9:
				names = []string{"c/log"}
				if err = s.write("c/log", record, vfs.CreateOptions{Mode: vfs.Append}); err == nil {
					appended.Add(1)
				}
			}
			s.allowed(t, err, names)
		}
	})
	for name, data := range s.walk(t) {
		if data != nil && name != "c/log" && !intact(data) && !s.h.InPlace {
			t.Errorf("%q holds %d bytes that nobody committed", name, len(data))
		}
	}
	if n := int(appended.Load()); n > 0 && s.caps.Has(vfs.CanAppend) {
		s.holds(t, "c/log", bytes.Repeat(record, n))
	}
}

// readIntact reads a whole file. A store whose content can change underneath may
// fail the read, and how is its own affair, but not mix two versions.
func (s *store) readIntact(t *testing.T, name string) error {
	f, err := s.fs.Open(s.ctx, name, 0, -1)
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := slurp(f)
	if err != nil {
		if problem := identity(err, name); problem != nil {
			t.Errorf("the error %q %v", err, problem)
		}
	} else if !intact(data) && !s.h.InPlace {
		t.Errorf("%q holds %d bytes that nobody committed", name, len(data))
	}
	return nil
}

// allowed checks an error that a session may meet among others.
func (s *store) allowed(t *testing.T, err error, names []string) {
	t.Helper()
	if err == nil {
		return
	}
	if problem := identity(err, names...); problem != nil {
		t.Errorf("the error %q %v", err, problem)
	}
	for _, kind := range []error{
		fs.ErrNotExist, fs.ErrExist, vfs.ErrNotDir, vfs.ErrIsDir, vfs.ErrNotEmpty, vfs.ErrBusy, errors.ErrUnsupported,
	} {
		if errors.Is(err, kind) {
			return
		}
	}
	t.Errorf("%q: %v", names, err)
}
