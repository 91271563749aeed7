package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ftpgate/ftpgate/backends/s3/s3fake"
	"github.com/ftpgate/ftpgate/vfs"
)

// grove puts n objects below d/.
func grove(s *s3fake.Server, n int) (keys []string) {
	for i := range n {
		key := fmt.Sprintf("pre/fix/d/%02d", i)
		s.Put(key, pattern(i+1))
		keys = append(keys, key)
	}
	return keys
}

func moved(keys []string) (to []string) {
	for _, k := range keys {
		to = append(to, "pre/fix/e/"+k[len("pre/fix/d/"):])
	}
	return to
}

// TestRenameDirFaults: a directory is renamed whole, or stays whole where it was.
func TestRenameDirFaults(t *testing.T) {
	t.Parallel()
	skips := []int{0, 3}
	if thorough {
		skips = []int{0, 1, 2, 3, 4}
	}
	for _, op := range []string{"CopyObject", "HeadObject", "ListObjectsV2", "PutObject", "DeleteObject"} {
		for _, times := range []int{1, fastAttempts + 1} {
			for _, after := range []bool{false, true} {
				for _, skip := range skips {
					t.Run(fmt.Sprint(op, times, after, skip), func(t *testing.T) {
						s, f := fake(t, s3fake.Options{PageLimit: 7})
						keys := grove(s, 20)
						s.Inject(s3fake.Fault{Op: op, Skip: skip, Times: times, Status: 500, Code: "InternalError", After: after})
						err := f.Rename(t.Context(), "d", "e", vfs.RenameOptions{})
						if times == 1 && err != nil {
							t.Fatal(err)
						}
						s.ClearFaults()
						switch {
						case err == nil:
							clean(t, s, moved(keys)...)
						case op == "DeleteObject": // the copies are complete: the sweeper goes on
							for _, k := range moved(keys) {
								if _, ok := s.Get(k); !ok {
									t.Errorf("%s is missing", k)
								}
							}
						default:
							clean(t, s, keys...)
						}
					})
				}
			}
		}
	}
}

// TestRenameDirChanged: what comes into a directory while it is renamed is not lost.
func TestRenameDirChanged(t *testing.T) {
	for _, change := range []func(*s3fake.Server){
		func(s *s3fake.Server) { s.Put("pre/fix/d/new", nil) },
		func(s *s3fake.Server) { s.Put("pre/fix/d/05", []byte("other")) },
		func(s *s3fake.Server) { s.Delete("pre/fix/d/05") },
	} {
		s, f := fake(t, s3fake.Options{})
		grove(s, 10)
		s.Inject(s3fake.Fault{Op: "CopyObject", Skip: 9, Do: func() { change(s) }})
		if err := f.Rename(t.Context(), "d", "e", vfs.RenameOptions{}); !errors.Is(err, vfs.ErrBusy) {
			t.Errorf("Rename = %v, want vfs.ErrBusy", err)
		}
		want := s.Keys()
		for _, k := range want {
			if bytes.HasPrefix([]byte(k), []byte("pre/fix/e/")) || bytes.Contains([]byte(k), []byte(stateDir)) {
				t.Errorf("%s is left", k)
			}
		}
	}
}

// TestRenameDirCancelled: a client that goes in the middle leaves the source whole.
func TestRenameDirCancelled(t *testing.T) {
	s, f := fake(t, s3fake.Options{})
	keys := grove(s, 20)
	gone := errors.New("the client is gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	s.Inject(s3fake.Fault{Op: "CopyObject", Skip: 5, Do: func() { cancel(gone) }})
	if err := f.Rename(ctx, "d", "e", vfs.RenameOptions{}); !errors.Is(err, gone) {
		t.Errorf("Rename = %v, want the cause", err)
	}
	clean(t, s, keys...)
}

// TestRenameDirMarkersLast: as long as something is left below the old place, the
// directories above it are marked, so that no store keeps one that nothing is in.
func TestRenameDirMarkersLast(t *testing.T) {
	s, f := fake(t, s3fake.Options{})
	var keys []string
	for _, dir := range []string{"d/", "d/a/", "d/a/void/", "d/b/", "d/b/c/"} {
		keys = append(keys, "pre/fix/"+dir)
		for i := range 5 {
			if dir != "d/a/void/" {
				keys = append(keys, fmt.Sprint("pre/fix/", dir, i))
			}
		}
	}
	s.PutAll(keys...)
	s.Inject(s3fake.Fault{Op: "DeleteObject", Times: len(keys), Do: func() {
		left := s.Keys()
		for _, key := range left {
			for dir := path.Dir(strings.TrimSuffix(key, "/")); strings.HasPrefix(dir, "pre/fix/d"); dir = path.Dir(dir) {
				if !slices.Contains(left, dir+"/") {
					t.Errorf("%s/ is gone, %s is there", dir, key)
				}
			}
		}
	}})
	if err := f.Rename(t.Context(), "d", "e", vfs.RenameOptions{}); err != nil {
		t.Fatal(err)
	}
	clean(t, s, moved(keys)...)
}

// TestRenameDirLimit: a directory that is too large is refused before anything is
// done.
func TestRenameDirLimit(t *testing.T) {
	s, f := fake(t, s3fake.Options{}, func(o *Options) { o.tuning.renameKeys = 9 })
	keys := grove(s, 10)
	if err := f.Rename(t.Context(), "d", "e", vfs.RenameOptions{}); !errors.Is(err, vfs.ErrTooLarge) {
		t.Errorf("Rename = %v, want vfs.ErrTooLarge", err)
	}
	clean(t, s, keys...)
}

// TestRenameDirCrash: a gateway dies in the middle; the sweeper of another one rolls
// back or forward, and touches nothing that came later.
func TestRenameDirCrash(t *testing.T) {
	for _, copied := range []bool{false, true} {
		t.Run(fmt.Sprint(copied), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, f, end := bubble(t, s3fake.Options{})
				defer end()
				f.stop()
				keys := grove(s, 10)
				time.Sleep(time.Hour)
				m := &move{f: f, from: "pre/fix/d/", to: "pre/fix/e/", key: "pre/fix/.ftpgate/mv/x", journal: journal{From: "d/", To: "e/"}}
				if err := m.start(t.Context()); err != nil {
					t.Fatal(err)
				}
				source, err := f.tree(t.Context(), m.from, 100)
				if err != nil {
					t.Fatal(err)
				}
				some := source[:6]
				if copied {
					some = source
				}
				if err := m.copyAll(t.Context(), some); err != nil {
					t.Fatal(err)
				}
				if m.Copied = copied; copied {
					if err := m.write(t.Context()); err != nil {
						t.Fatal(err)
					}
					s.Delete(keys[0])
				}
				if n, err := f.Sweep(t.Context(), ByExpiry); err != nil || n != (Swept{}) {
					t.Errorf("a young journal: %+v, %v", n, err)
				}
				time.Sleep(time.Minute)
				s.Put("pre/fix/d/03", []byte("later"))
				s.Put("pre/fix/e/later", nil)
				time.Sleep(time.Hour)
				if n, err := f.Sweep(t.Context(), ByExpiry); err != nil || n != (Swept{Moves: 1}) {
					t.Errorf("swept %+v, %v", n, err)
				}
				var want []string
				if copied {
					want = append([]string{"pre/fix/d/03"}, moved(keys)...)
				} else {
					want = append(keys, "pre/fix/e/03") // the original changed: the copy stays
				}
				clean(t, s, append(want, "pre/fix/e/later")...)
			})
		})
	}
}

// TestRenameDirParallel: the objects of a directory are copied and deleted many at a
// time, so that it takes the time of a few round trips and not of one for each.
func TestRenameDirParallel(t *testing.T) {
	s, f := fake(t, s3fake.Options{})
	keys := grove(s, 64)
	for _, op := range []string{"CopyObject", "DeleteObject"} {
		var held atomic.Int32
		all := make(chan struct{})
		s.Inject(s3fake.Fault{Op: op, Times: movesInFlight, Do: func() {
			if held.Add(1) == movesInFlight {
				close(all)
			}
			<-all // nobody goes on before so many are on their way
		}})
	}
	if err := f.Rename(t.Context(), "d", "e", vfs.RenameOptions{}); err != nil {
		t.Fatal(err)
	}
	clean(t, s, moved(keys)...)
}
