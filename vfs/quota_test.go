package vfs_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ftpgate/ftpgate/backends/memory"
	"github.com/ftpgate/ftpgate/vfs"
	"github.com/ftpgate/ftpgate/vfs/faultfs"
)

func account(t *testing.T, tree vfs.FS, opt vfs.AccountOptions) *vfs.Account {
	t.Helper()
	a, err := vfs.OpenAccount(tree, opt)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func uses(t *testing.T, a *vfs.Account, what string, bytes, files int64) {
	t.Helper()
	u, err := a.Usage(t.Context())
	if err != nil || u != (vfs.Usage{Bytes: bytes, Files: files}) {
		t.Errorf("%s: %+v, %v; want %d bytes in %d files and nothing running", what, u, err, bytes, files)
	}
}

// sound checks that the account agrees with a new count of the tree.
func sound(t *testing.T, a *vfs.Account, what string) {
	t.Helper()
	before, err := a.Usage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Recount(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after, _ := a.Usage(t.Context()); after != before {
		t.Fatalf("%s: the account has %+v, a recount %+v", what, before, after)
	}
}

func text(n int) string { return strings.Repeat("x", n) }

func TestQuotaCounts(t *testing.T) {
	tree, ctx := mem(), t.Context()
	fill(t, tree, "d/", "d/old") // 16 bytes
	a := account(t, tree, vfs.AccountOptions{})
	q := vfs.Quota(tree, a, vfs.Limits{Bytes: 100, Files: 4})
	uses(t, a, "at first", 16, 1)
	if err := upload(ctx, q, "f", text(50), vfs.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	uses(t, a, "after an upload", 66, 2)
	for n, want := range map[int]error{84: nil, 85: vfs.ErrQuota} { // instead of the 50
		if err := upload(ctx, q, "f", text(n), vfs.CreateOptions{}); !errors.Is(err, want) {
			t.Errorf("replacing by %d bytes: %v, want %v", n, err, want)
		}
	}
	uses(t, a, "after replacing", 100, 2)
	if err := upload(ctx, q, "f", text(20), vfs.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := upload(ctx, q, "f", text(5), vfs.CreateOptions{Mode: vfs.Append}); err != nil {
		t.Fatal(err)
	}
	if err := upload(ctx, q, "f", text(20), vfs.CreateOptions{Mode: vfs.WriteAt, Offset: 10}); err != nil {
		t.Fatal(err)
	}
	uses(t, a, "after continuing", 16+30, 2)
	if err := vfs.ServerCopy(ctx, q, "f", "g", vfs.CopyOptions{}); err != nil {
		t.Fatal(err)
	}
	uses(t, a, "after a copy", 76, 3)
	wantErr(t, "a copy that does not fit", vfs.ServerCopy(ctx, q, "f", "h", vfs.CopyOptions{}), "h", vfs.ErrQuota)
	if err := vfs.Symlink(ctx, q, "f", "l"); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "one link more", vfs.Symlink(ctx, q, "f", "m"), "m", vfs.ErrQuota)
	_, err := q.Create(ctx, "m", vfs.CreateOptions{})
	wantErr(t, "one file more", err, "m", vfs.ErrQuota)
	if err := q.Rename(ctx, "l", "g", vfs.RenameOptions{}); err != nil { // the link, onto a file
		t.Fatal(err)
	}
	uses(t, a, "after replacing a file by a link", 46, 3)
	if err := q.Remove(ctx, "g"); err != nil {
		t.Fatal(err)
	}
	if err := q.Rename(ctx, "f", "d/old", vfs.RenameOptions{}); err != nil {
		t.Fatal(err)
	}
	uses(t, a, "after a rename onto a file", 30, 1)
	wantErr(t, "nothing to remove", q.Remove(ctx, "none"), "none", fs.ErrNotExist)
	wantErr(t, "not empty", q.Rmdir(ctx, "d"), "d", vfs.ErrNotEmpty)
	sound(t, a, "at the end")
}

func TestQuotaSizeHintAndSpace(t *testing.T) {
	tree, ctx := mem(), t.Context()
	a := account(t, tree, vfs.AccountOptions{})
	q := vfs.Quota(faultfs.Without(tree, vfs.CanSpace), a, vfs.Limits{Bytes: 100})
	fill(t, tree, "eight") // 16
	for hint, want := range map[int64]error{84: nil, 85: vfs.ErrQuota} {
		w, err := q.Create(ctx, "f", vfs.CreateOptions{SizeHint: hint})
		if !errors.Is(err, want) {
			t.Errorf("announcing %d: %v, want %v", hint, err, want)
		}
		if err == nil {
			w.Abort()
		}
	}
	if w, err := q.Create(ctx, "eight", vfs.CreateOptions{SizeHint: 100}); err != nil {
		t.Errorf("announcing as much as there is, instead of a file: %v", err)
	} else {
		w.Abort()
	}
	if !q.Caps().Has(vfs.CanSpace) {
		t.Error("no CanSpace")
	}
	if sp, err := vfs.Space(ctx, q, "."); err != nil || sp != (vfs.SpaceInfo{Total: 100, Free: 84}) {
		t.Errorf("Space = %+v, %v", sp, err)
	}
	small := memory.New(memory.Options{MaxBytes: 50})
	q = vfs.Quota(small, account(t, small, vfs.AccountOptions{}), vfs.Limits{Bytes: 100})
	if sp, err := vfs.Space(ctx, q, "."); err != nil || sp != (vfs.SpaceInfo{Total: 50, Free: 50}) {
		t.Errorf("Space of a small store = %+v, %v", sp, err)
	}
}

// Many uploads at once fit exactly, or exactly those that do not fit fail.
func TestQuotaAtOnce(t *testing.T) {
	const uploads, size = 24, 1<<20 + 12_345
	for _, missing := range []int64{0, 1, 2 * size} {
		tree := mem()
		a := account(t, tree, vfs.AccountOptions{})
		limit := int64(uploads*size) - missing
		var failed atomic.Int64
		var wg sync.WaitGroup
		for i := range uploads {
			wg.Go(func() {
				q := vfs.Quota(tree, a, vfs.Limits{Bytes: limit})
				w, err := q.Create(t.Context(), fmt.Sprint(i), vfs.CreateOptions{})
				if err != nil {
					t.Error(err)
					return
				}
				defer w.Abort()
				src := &io.LimitedReader{R: rand.NewChaCha8([32]byte{}), N: size}
				for chunk := int64(300_000); src.N > 0; {
					part := &io.LimitedReader{R: src, N: chunk}
					if _, err := w.ReadFrom(part); err != nil {
						if !errors.Is(err, vfs.ErrQuota) {
							t.Error(err)
						}
						failed.Add(1)
						return
					}
				}
				if err := w.Commit(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		u, err := a.Usage(t.Context())
		if err != nil || u.Bytes > limit || u.RunningBytes != 0 || u.Bytes != int64(uploads-failed.Load())*size {
			t.Errorf("of %d: %+v, %v, and %d failed", limit, u, err, failed.Load())
		}
		if f := failed.Load(); missing == 0 && f != 0 || missing == 1 && f == 0 {
			t.Errorf("with %d bytes missing %d failed", missing, f)
		}
		sound(t, a, "after uploads at once")
	}
}

// What a slow upload has reserved and does not need is waited for.
func TestQuotaWaitsForWhatIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree, ctx := mem(), t.Context()
		a := account(t, tree, vfs.AccountOptions{})
		q := vfs.Quota(tree, a, vfs.Limits{Bytes: 5 << 20})
		slow, err := q.Create(ctx, "slow", vfs.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		r, feed := io.Pipe()
		read := make(chan error, 1)
		go func() {
			_, err := slow.ReadFrom(&io.LimitedReader{R: r, N: 1 << 20}) // which is granted
			read <- err
		}()
		synctest.Wait()
		time.AfterFunc(10*time.Second, func() { feed.Close() })
		if err := big(ctx, q, "big", 5<<20); err != nil {
			t.Errorf("what fits: %v", err)
		}
		if err := <-read; err != nil {
			t.Error(err)
		}
		wantErr(t, "what does not", big(ctx, q, "more", 1), "more", vfs.ErrQuota)
		if err := slow.Abort(); err != nil {
			t.Error(err)
		}
		uses(t, a, "at the end", 5<<20, 1)
	})
}

func big(ctx context.Context, f vfs.FS, name string, n int64) error {
	w, err := f.Create(ctx, name, vfs.CreateOptions{})
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := w.ReadFrom(io.LimitReader(rand.NewChaCha8([32]byte{}), n)); err != nil {
		return err
	}
	return w.Commit()
}

// parkOne parks n bytes of name.
func parkOne(t *testing.T, f vfs.FS, name string, n int) error {
	t.Helper()
	w, err := f.Create(t.Context(), name, vfs.CreateOptions{Owner: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(text(n))); err != nil && !errors.Is(err, vfs.ErrQuota) {
		t.Fatal(err)
	}
	return w.Park()
}

func TestQuotaOfParkedUploads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree, ctx := vfs.FS(memory.New(memory.Options{StagedExpiry: time.Hour})), t.Context()
		fill(t, tree, "d/", "d/e/")
		a := account(t, tree, vfs.AccountOptions{Owners: []string{"ann"}})
		q := vfs.Quota(tree, a, vfs.Limits{Bytes: 100})
		if err := parkOne(t, q, "f", 120); err != nil { // all that fits
			t.Fatal(err)
		}
		uses(t, a, "parked", 100, 1)
		wantErr(t, "an upload", upload(ctx, q, "g", "x", vfs.CreateOptions{}), "g", vfs.ErrQuota)
		w, err := q.Create(ctx, "f", vfs.CreateOptions{Mode: vfs.WriteAt, Offset: 90, Owner: "ann"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte("end")); err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(); err != nil {
			t.Fatal(err)
		}
		uses(t, a, "continued and committed", 93, 1)
		if err := parkOne(t, q, "f", 50); !errors.Is(err, vfs.ErrQuota) {
			t.Errorf("an upload is parked beside the file that it replaces: %v", err)
		}
		uses(t, a, "not parked", 93, 1)
		if err := q.Remove(ctx, "f"); err != nil {
			t.Fatal(err)
		}

		for _, name := range []string{"f", "d/f", "d/e/f", "d/e/g"} {
			if err := parkOne(t, q, name, 10); err != nil {
				t.Fatal(err)
			}
		}
		uses(t, a, "four parked", 40, 4)
		sound(t, a, "parked uploads")
		if err := vfs.Discard(ctx, q, "d/f", "ann"); err != nil {
			t.Fatal(err)
		}
		uses(t, a, "one discarded", 30, 3)
		if err := q.Rename(ctx, "d", "moved", vfs.RenameOptions{}); err != nil {
			t.Fatal(err)
		}
		uses(t, a, "moved with their directory", 30, 3)
		sound(t, a, "moved uploads")
		if err := q.Rmdir(ctx, "moved/e"); err != nil {
			t.Fatal(err)
		}
		uses(t, a, "dropped with their directory", 10, 1)
		if err := upload(ctx, q, "f", text(20), vfs.CreateOptions{Owner: "ann"}); err != nil {
			t.Fatal(err)
		}
		uses(t, a, "voided by an upload", 20, 1)

		if err := parkOne(t, q, "late", 80); err != nil {
			t.Fatal(err)
		}
		wantErr(t, "an upload", upload(ctx, q, "g", "x", vfs.CreateOptions{}), "g", vfs.ErrQuota)
		time.Sleep(2 * time.Hour)
		if err := upload(ctx, q, "g", "x", vfs.CreateOptions{}); err != nil {
			t.Errorf("after the parked one has expired: %v", err)
		}
		uses(t, a, "expired", 21, 2)
	})
}

// A running upload follows its directory.
func TestQuotaOfAMovedUpload(t *testing.T) {
	tree, ctx := mem(), t.Context()
	fill(t, tree, "d/")
	if err := upload(ctx, tree, "d/f", text(30), vfs.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	a := account(t, tree, vfs.AccountOptions{})
	q := vfs.Quota(tree, a, vfs.Limits{Bytes: 100})
	w, err := q.Create(ctx, "d/f", vfs.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(text(40))); err != nil {
		t.Fatal(err)
	}
	if err := q.Rename(ctx, "d", "e", vfs.RenameOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	uses(t, a, "moved", 40, 1)
	sound(t, a, "moved")
}

// The answer of an operation may be lost.
func TestQuotaOfLostAnswers(t *testing.T) {
	tree, ctx := mem(), t.Context()
	bad := faultfs.New(tree)
	a := account(t, tree, vfs.AccountOptions{})
	q := vfs.Quota(bad, a, vfs.Limits{Bytes: 100})
	fill(t, q, "f", "g")
	for _, op := range []faultfs.Op{faultfs.Commit, faultfs.Remove, faultfs.Rename, faultfs.Copy} {
		fault := bad.Inject(faultfs.Fault{Op: op, Late: true, Err: errors.New("the answer is lost")})
		var err error
		switch op {
		case faultfs.Commit:
			err = upload(ctx, q, "f", text(30), vfs.CreateOptions{})
		case faultfs.Remove:
			err = q.Remove(ctx, "g")
		case faultfs.Rename:
			fill(t, tree, "over")
			if err := a.Recount(ctx); err != nil {
				t.Fatal(err)
			}
			err = q.Rename(ctx, "f", "over", vfs.RenameOptions{})
		case faultfs.Copy:
			err = vfs.ServerCopy(ctx, q, "over", "copied", vfs.CopyOptions{})
		}
		if err == nil {
			t.Errorf("%s succeeds", op)
		}
		fault.Release()
		sound(t, a, string(op))
	}
}

// Whatever is done, the account agrees with the tree.
func TestQuotaModel(t *testing.T) {
	seeds := []uint64{2012} // a directory takes the name of an upload that runs, and leaves
	for seed := range uint64(20) {
		seeds = append(seeds, seed)
	}
	for _, seed := range seeds {
		tree, ctx := mem(), t.Context()
		a := account(t, tree, vfs.AccountOptions{Owners: []string{"ann", "bob"}})
		limits := vfs.Limits{Bytes: 400_000, Files: 8}
		q := vfs.Quota(tree, a, limits)
		r := rand.New(rand.NewPCG(seed, 1))
		name := func() string {
			return []string{"a", "b", "d", "d/a", "d/b", "d/e", "d/e/a", "x", "x/a"}[r.IntN(9)]
		}
		var running []vfs.Writer
		for step := range 300 {
			n, from, to := name(), name(), name()
			owner := []string{"", "ann", "bob"}[r.IntN(3)]
			what := ""
			switch r.IntN(12) {
			case 0:
				what = "mkdir " + n
				_ = q.Mkdir(ctx, n)
			case 1:
				what = "rmdir " + n
				_ = q.Rmdir(ctx, n)
			case 2:
				what = "remove " + n
				_ = q.Remove(ctx, n)
			case 3, 4:
				what = "rename " + from + " " + to
				_ = q.Rename(ctx, from, to, vfs.RenameOptions{NoReplace: r.IntN(2) == 0})
			case 5:
				what = "copy " + from + " " + to
				_ = vfs.ServerCopy(ctx, q, from, to, vfs.CopyOptions{})
			case 6:
				// Links have names of their own here: a link over an upload's name hides what
				// is parked there.
				from, to = "l"+from[:1], "l"+to[:1]
				what = "links " + from + " " + to
				_ = vfs.Symlink(ctx, q, n, from)
				_ = q.Rename(ctx, from, to, vfs.RenameOptions{})
				if r.IntN(2) == 0 {
					_ = q.Remove(ctx, to)
				}
			case 7:
				what = "discard " + n
				if owner != "" {
					_ = vfs.Discard(ctx, q, n, owner)
				}
			default:
				opt := vfs.CreateOptions{Mode: vfs.Mode(r.IntN(3)), Offset: r.Int64N(3) * 50_000, Owner: owner, NoReplace: r.IntN(4) == 0}
				what = fmt.Sprintf("upload %s %+v", n, opt)
				if w, err := q.Create(ctx, n, opt); err == nil {
					_, _ = w.Write([]byte(text(r.IntN(100_000))))
					running = append(running, w)
				}
			}
			for len(running) > r.IntN(4) {
				i := r.IntN(len(running))
				w := running[i]
				running = append(running[:i], running[i+1:]...)
				_ = []func(vfs.Writer) error{vfs.Writer.Commit, vfs.Writer.Commit, vfs.Writer.Park, vfs.Writer.Abort}[r.IntN(4)](w)
			}
			u, err := a.Usage(ctx)
			if err != nil || u.Bytes > limits.Bytes || u.Files > limits.Files || u.Bytes < 0 || u.Files < 0 || u.RunningBytes < 0 || u.RunningFiles < 0 {
				t.Fatalf("seed %d, step %d, %s: %+v, %v", seed, step, what, u, err)
			}
			if len(running) == 0 {
				sound(t, a, fmt.Sprintf("seed %d, step %d, %s", seed, step, what))
			}
		}
		for _, w := range running {
			w.Abort()
		}
		sound(t, a, fmt.Sprintf("seed %d", seed))
	}
}

// kept is a state in memory.
type kept struct {
	state  *vfs.AccountState
	stored int
	err    error
}

func (k *kept) Load() (vfs.AccountState, error) {
	switch {
	case k.err != nil:
		return vfs.AccountState{}, k.err
	case k.state == nil:
		return vfs.AccountState{}, fs.ErrNotExist
	}
	return *k.state, nil
}

func (k *kept) Store(s vfs.AccountState) error {
	k.stored++
	if k.err == nil {
		k.state = &s
	}
	return k.err
}

func TestAccountOverRestarts(t *testing.T) {
	tree, ctx, store := mem(), t.Context(), &kept{}
	opt := vfs.AccountOptions{Store: store}
	fill(t, tree, "f") // 12 bytes
	a := account(t, tree, opt)
	if !a.Stale() {
		t.Error("an account that was never counted is not stale")
	}
	q := vfs.Quota(tree, a, vfs.Limits{})
	fill(t, q, "g")
	if err := parkOne(t, q, "p\xff", 7); err != nil {
		t.Fatal(err)
	}
	uses(t, a, "at first", 12+12+7, 3)
	if a.Stale() {
		t.Error("an account that was counted is stale")
	}
	if err := a.Save(); err != nil || store.state.Clean {
		t.Errorf("saved: %v, %+v", err, store.state)
	}

	// The process dies here: what was saved is used, and known to be unsure.
	a = account(t, tree, opt)
	uses(t, a, "after a crash", 31, 3)
	if !a.Stale() {
		t.Error("an account that was not closed is not stale")
	}
	if err := a.Close(); err != nil || store.state.Clean {
		t.Errorf("closing makes it true: %v, %+v", err, store.state)
	}
	a = account(t, tree, opt)
	if err := a.Recount(ctx); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil || !store.state.Clean {
		t.Errorf("closed: %v, %+v", err, store.state)
	}

	fill(t, tree, "unseen")
	stored := store.stored
	a = account(t, tree, opt)
	uses(t, a, "after a restart", 31, 3) // and no count
	if a.Stale() || store.stored != stored {
		t.Errorf("stale: %v; stored %d times more", a.Stale(), store.stored-stored)
	}
	q = vfs.Quota(tree, a, vfs.Limits{})
	if err := q.Remove(ctx, "g"); err != nil {
		t.Fatal(err)
	}
	if store.state.Clean {
		t.Error("the state says that it is true after a change")
	}
	if err := vfs.Discard(ctx, q, "p\xff", "ann"); err != nil {
		t.Fatal(err)
	}
	uses(t, a, "after a restart and changes", 12, 1)
	if err := a.Close(); err != nil || !store.state.Clean || store.state.Bytes != 12 || len(store.state.Parked) != 0 {
		t.Errorf("closed: %v, %+v", err, store.state)
	}

	store.err = errors.New("no place for it")
	if _, err := vfs.OpenAccount(tree, opt); err == nil {
		t.Error("OpenAccount succeeds without its state")
	}
	wantErr(t, "a change that can't be noted", q.Remove(ctx, "f"), "f", store.err)
}

// A recount is right although the tree changes all the time.
func TestRecountAmongChanges(t *testing.T) {
	tree, ctx := mem(), t.Context()
	for i := range 50 {
		fill(t, tree, fmt.Sprintf("d%d/", i))
	}
	a := account(t, tree, vfs.AccountOptions{})
	q := vfs.Quota(tree, a, vfs.Limits{Bytes: 1 << 30})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 0))
			for {
				select {
				case <-stop:
					return
				default:
				}
				from, to := fmt.Sprintf("d%d/%d", r.IntN(50), r.IntN(3)), fmt.Sprintf("d%d/%d", r.IntN(50), r.IntN(3))
				_ = upload(ctx, q, from, text(r.IntN(1000)), vfs.CreateOptions{})
				_ = q.Rename(ctx, from, to, vfs.RenameOptions{})
				_ = q.Remove(ctx, fmt.Sprintf("d%d/%d", r.IntN(50), r.IntN(3)))
			}
		})
	}
	for range 30 {
		if err := a.Recount(ctx); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	wg.Wait()
	sound(t, a, "after many recounts")
}

// The store gets the reader of the upload itself.
func TestQuotaKeepsTheReader(t *testing.T) {
	spy := &readerSpy{FS: mem()}
	q := vfs.Quota(spy, account(t, spy, vfs.AccountOptions{}), vfs.Limits{Bytes: 1 << 30})
	w, err := q.Create(t.Context(), "f", vfs.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	lr := &io.LimitedReader{R: strings.NewReader(text(3000)), N: 1000}
	if n, err := w.ReadFrom(lr); n != 1000 || err != nil || lr.N != 0 || spy.got != io.Reader(lr) {
		t.Errorf("ReadFrom = %d, %v; the store got a %T", n, err, spy.got)
	}
	lr.N = 5000
	if n, err := w.ReadFrom(lr); n != 2000 || err != nil || lr.N != 3000 {
		t.Errorf("ReadFrom to the end = %d, %v; %d are left", n, err, lr.N)
	}
}

type readerSpy struct {
	vfs.FS
	got io.Reader
}

type readerSpyWriter struct {
	vfs.Writer
	spy *readerSpy
}

func (s *readerSpy) Create(ctx context.Context, name string, opt vfs.CreateOptions) (vfs.Writer, error) {
	w, err := s.FS.Create(ctx, name, opt)
	return &readerSpyWriter{w, s}, err
}

func (w *readerSpyWriter) ReadFrom(r io.Reader) (int64, error) {
	w.spy.got = r
	return w.Writer.ReadFrom(r)
}

// A Sub counts in the same account.
func TestQuotaSub(t *testing.T) {
	tree, ctx := mem(), t.Context()
	fill(t, tree, "home/", "home/ann/")
	a := account(t, tree, vfs.AccountOptions{})
	q := vfs.Quota(tree, a, vfs.Limits{Bytes: 20})
	sub, err := vfs.Sub(q, "home/ann")
	if err != nil {
		t.Fatal(err)
	}
	if err := upload(ctx, sub, "f", text(15), vfs.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "outside", upload(ctx, q, "g", text(6), vfs.CreateOptions{}), "g", vfs.ErrQuota)
	if err := sub.Rename(ctx, "f", "g", vfs.RenameOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := upload(ctx, sub, "g", text(20), vfs.CreateOptions{}); err != nil {
		t.Errorf("replacing below: %v", err)
	}
	uses(t, a, "at the end", 20, 1)
}
