package s3

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"github.com/ftpgate/ftpgate/vfs"
)

const (
	moveDir = stateDir + "/mv/"
	// movesInFlight is how many objects of a directory are moved at a time.
	movesInFlight = 32
	// abandoned is how old a journal must be for its rename to be taken for dead; a
	// running one touches it more often.
	abandoned = time.Hour
)

// journal says how far the rename of a directory is, for whoever finds it after a
// crash: before Copied the copies go, after it the rest of the originals.
type journal struct {
	From   string    `json:"from"` // keys, below the FS's prefix
	To     string    `json:"to"`
	Copied bool      `json:"copied"`
	Began  time.Time `json:"began"` // by the store's clock
}

// move is the rename of a directory.
type move struct {
	f        *FS
	key      string // of the journal
	from, to string // prefixes of keys, ending in '/'
	journal
	mu sync.Mutex
}

// entry is an object of a directory as a listing shows it.
type entry struct {
	rel  string // its key below the directory
	etag string
	size int64
	when time.Time
}

// renameDir copies a directory, verifies the copies and deletes the originals. A
// failure before the deletion leaves the source whole and removes the copies.
func (f *FS) renameDir(ctx context.Context, oldname, oldKey, newKey string) error {
	m := &move{f: f, from: oldKey + "/", to: newKey + "/", key: f.prefix + moveDir + rand.Text()}
	source, err := f.tree(ctx, m.from, f.tuning.renameKeys)
	if err != nil {
		return err
	}
	m.journal = journal{From: strings.TrimPrefix(m.from, f.prefix), To: strings.TrimPrefix(m.to, f.prefix)}
	if err := m.start(ctx); err != nil {
		ctx, cancel := f.detached(ctx)
		defer cancel()
		_ = f.delete(ctx, m.key)
		return err
	}
	stop := m.keepAlive(ctx)
	defer stop()
	err = m.copyAll(ctx, source)
	if err == nil {
		err = m.verify(ctx, source)
	}
	if err == nil {
		if parent, _ := vfs.Split(oldname); parent != "." { // it shall not vanish with its last entry
			if err = f.mark(ctx, f.prefix+parent); status(err) == http.StatusPreconditionFailed {
				err = nil
			}
		}
	}
	if err == nil {
		m.Copied = true
		err = m.write(ctx)
	}
	// From here on it is all or nothing, whatever becomes of the caller.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.tuning.slow)
	defer cancel()
	if err != nil && !m.decided(ctx, err) {
		return errors.Join(err, m.rollBack(ctx, source))
	}
	return m.finish(ctx, source)
}

// decided reports whether the journal says after all that the copies are complete:
// its writing may have been done without an answer.
func (m *move) decided(ctx context.Context, err error) bool {
	if !m.Copied || !uncertain(err) {
		return false
	}
	now, err := m.f.readJournal(ctx, m.key)
	return err == nil && now.Copied
}

// tree lists a directory with all below it, limit objects at most.
func (f *FS) tree(ctx context.Context, prefix string, limit int) (all []entry, err error) {
	in := &awss3.ListObjectsV2Input{Bucket: &f.bucket, Prefix: &prefix, EncodingType: types.EncodingTypeUrl}
	for {
		out, err := f.client.ListObjectsV2(ctx, in)
		if err != nil {
			return nil, err
		}
		decode := keyDecoder(out.EncodingType)
		for _, o := range out.Contents {
			rel := strings.TrimPrefix(decode(aws.ToString(o.Key)), prefix)
			all = append(all, entry{rel, aws.ToString(o.ETag), aws.ToInt64(o.Size), aws.ToTime(o.LastModified)})
		}
		if len(all) > limit {
			return nil, fmt.Errorf("%w: the directory holds more than %d objects", vfs.ErrTooLarge, limit)
		}
		if in.ContinuationToken = out.NextContinuationToken; !aws.ToBool(out.IsTruncated) {
			return all, nil
		}
	}
}

// each does one thing to all entries, many at a time.
func each(ctx context.Context, all []entry, do func(context.Context, entry) error) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(movesInFlight)
	for _, e := range all {
		if gctx.Err() != nil {
			break
		}
		g.Go(func() error { return do(gctx, e) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

func (m *move) copyAll(ctx context.Context, source []entry) error {
	return each(ctx, source, func(ctx context.Context, e entry) error {
		if len(m.to)+len(e.rel) > maxKey {
			return fs.ErrInvalid
		}
		o, err := m.f.head(ctx, m.from+e.rel)
		switch {
		case err != nil:
			return err
		case o == nil || o.etag != e.etag:
			return errSourceChanged
		}
		to := m.to + e.rel
		if !strings.HasSuffix(to, "/") || o.size > 0 {
			return m.f.copyObject(ctx, o, to, false)
		}
		// A marker is written anew: versitygw copies none.
		a, err := m.f.copied(ctx, o)
		if err != nil {
			return err
		}
		return m.f.put(ctx, to, nil, a, onlyIf{})
	})
}

// verify lists both sides again: nothing came, went or changed meanwhile.
func (m *move) verify(ctx context.Context, source []entry) error {
	var now, made []entry
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		now, err = m.f.tree(gctx, m.from, math.MaxInt)
		return err
	})
	g.Go(func() (err error) {
		made, err = m.f.tree(gctx, m.to, math.MaxInt)
		return err
	})
	if err := g.Wait(); err != nil {
		return err
	}
	copies := map[string]int64{}
	for _, e := range made {
		copies[e.rel] = e.size
	}
	if len(now) != len(source) {
		return errSourceChanged
	}
	for i, e := range source {
		if size, ok := copies[e.rel]; !ok || size != e.size || now[i].rel != e.rel || now[i].etag != e.etag {
			return errSourceChanged
		}
	}
	return nil
}

// finish deletes the originals. What fails is left to the sweeper, which finds the
// journal.
func (m *move) finish(ctx context.Context, source []entry) error {
	return m.clear(ctx, m.from, source)
}

// rollBack deletes the copies.
func (m *move) rollBack(ctx context.Context, source []entry) error {
	return m.clear(ctx, m.to, source)
}

// clear deletes entries below prefix, and then the journal. The marker of a directory
// goes when nothing is left below it: versitygw keeps a real directory for it, and one that
// loses its marker while its last file is on its way out stays behind, listed and
// empty.
func (m *move) clear(ctx context.Context, prefix string, all []entry) error {
	depth := func(e entry) int { // of markers; files are the deepest
		if e.rel != "" && !strings.HasSuffix(e.rel, "/") {
			return math.MaxInt
		}
		return strings.Count(e.rel, "/")
	}
	all = slices.SortedStableFunc(slices.Values(all), func(a, b entry) int { return cmp.Compare(depth(b), depth(a)) })
	for len(all) > 0 {
		n := slices.IndexFunc(all, func(e entry) bool { return depth(e) != depth(all[0]) })
		if n < 0 {
			n = len(all)
		}
		err := each(ctx, all[:n], func(ctx context.Context, e entry) error {
			return m.f.delete(ctx, prefix+e.rel)
		})
		if err != nil {
			return err
		}
		all = all[n:]
	}
	return m.f.delete(ctx, m.key)
}

// start writes the journal and learns the store's time.
func (m *move) start(ctx context.Context) error {
	if err := m.write(ctx); err != nil {
		return err
	}
	o, err := m.f.head(ctx, m.key)
	if err == nil && o == nil {
		err = errors.New("the journal of a rename is gone")
	}
	if err != nil {
		return err
	}
	m.Began = o.modTime
	return m.write(ctx)
}

func (m *move) write(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	data, err := json.Marshal(&m.journal)
	if err != nil {
		return err
	}
	_, err = m.f.client.PutObject(ctx, &awss3.PutObjectInput{Bucket: &m.f.bucket, Key: &m.key, Body: bytes.NewReader(data)})
	return err
}

// keepAlive shows that the rename runs, until the function that it returns is called.
func (m *move) keepAlive(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() {
		ticker := time.NewTicker(abandoned / 4)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				_ = m.write(ctx) // the next one will do
			}
		}
	})
	return func() {
		cancel()
		done.Wait()
	}
}

func (f *FS) readJournal(ctx context.Context, key string) (j journal, err error) {
	_, body, err := f.get(ctx, key, 0, math.MaxInt64, "")
	if err != nil {
		return j, err
	}
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, maxManifest))
	if err != nil {
		return j, err
	}
	return j, json.Unmarshal(data, &j)
}

// sweepMoves ends the renames that a dead gateway has begun.
func (f *FS) sweepMoves(ctx context.Context, dead time.Time, n *int) error {
	keys, err := f.old(ctx, moveDir, dead)
	for _, key := range keys {
		j, jerr := f.readJournal(ctx, key)
		if jerr == nil {
			m := &move{f: f, key: key, from: f.prefix + j.From, to: f.prefix + j.To, journal: j}
			jerr = m.recoverDead(ctx)
		}
		if jerr == nil {
			*n++
		} else if status(jerr) != http.StatusNotFound {
			err = errors.Join(err, jerr)
		}
	}
	return err
}

// recoverDead rolls back or forward. It deletes nothing that was written by anybody
// else since: an original only if it is older than the rename and its copy is there,
// a copy only if it is younger and its original is there.
func (m *move) recoverDead(ctx context.Context) error {
	source, err := m.f.tree(ctx, m.from, math.MaxInt)
	if err != nil {
		return err
	}
	target, err := m.f.tree(ctx, m.to, math.MaxInt)
	if err != nil {
		return err
	}
	copies := map[string]entry{}
	for _, e := range target {
		copies[e.rel] = e
	}
	var gone []entry
	for _, e := range source {
		c, ok := copies[e.rel]
		sameBytes := ok && c.size == e.size && (c.etag == e.etag || etagParts(c.etag)+etagParts(e.etag) > 0)
		if sameBytes && !m.Began.IsZero() && e.when.Before(m.Began.Add(time.Second)) && !c.when.Before(m.Began) {
			gone = append(gone, e)
		}
	}
	if m.Copied {
		return m.finish(ctx, gone)
	}
	return m.rollBack(ctx, gone)
}
