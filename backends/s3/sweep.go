package s3

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// sweepEvery is how often the background sweeps, and shows that the uploads of this
// process live.
const sweepEvery = time.Hour

// Swept counts what Sweep deleted.
type Swept struct {
	Uploads int // staged uploads that nobody touched for the expiry time
	Tails   int // ends of uploads that no manifest knows
	Orphans int // multipart uploads that no manifest knows
	Moves   int // renames of directories that a dead gateway had begun
	Probes  int // left by a start that was killed
}

// ByExpiry makes Sweep go by Options.Expiry.
const ByExpiry = -1

// Sweep deletes what was left behind: staged uploads that nobody touched for
// the time olderThan, renames of directories that nobody goes on with, and what no manifest leads to. Multipart uploads without a
// manifest, which may be another program's, go once none of their parts is younger
// than twice that. It is safe to run beside transfers, and on many gateways at once.
// What could not be deleted is told by the error, and does not stop the rest.
//
// Running uploads and renames show a sign of life each hour, so below two hours
// nothing else may use the bucket.
func (f *FS) Sweep(ctx context.Context, olderThan time.Duration) (Swept, error) {
	var n Swept
	if f.facts.readOnly {
		return n, nil
	}
	dead := abandoned
	if olderThan < 0 {
		olderThan = f.tuning.expiry
	} else {
		dead = min(olderThan, abandoned)
	}
	// Stores tell whole seconds, and what came in this one is older than no time, too.
	now := time.Now()
	if olderThan == 0 {
		now = now.Add(time.Second)
	}
	expired := now.Add(-olderThan)
	steps := []error{
		f.sweepUploads(ctx, expired, &n.Uploads),
		f.sweepTails(ctx, expired, &n.Tails),
		f.sweepProbes(ctx, expired, &n.Probes),
		f.sweepMoves(ctx, now.Add(-dead), &n.Moves),
		f.sweepOrphans(ctx, expired.Add(-olderThan), &n.Orphans),
	}
	for i, err := range steps {
		steps[i] = plainStore(err)
	}
	return n, errors.Join(steps...)
}

// old collects the gateway's own objects below dir that are older than expired.
func (f *FS) old(ctx context.Context, dir string, expired time.Time) (keys []string, err error) {
	err = f.stateKeys(ctx, f.prefix+dir, func(s stored) error {
		if s.when.Before(expired) {
			keys = append(keys, s.key)
		}
		return nil
	})
	return keys, err
}

func (f *FS) sweepUploads(ctx context.Context, expired time.Time, n *int) error {
	keys, err := f.old(ctx, manifestDir, expired)
	for _, key := range keys {
		r, rerr := f.readRecord(ctx, key)
		switch {
		case status(rerr) == http.StatusNotFound:
			continue
		case errors.Is(rerr, errNoPark):
			rerr = f.delete(ctx, key)
		case rerr == nil:
			rerr = f.dropRecord(ctx, r)
		}
		if errors.Is(rerr, errFenced) {
			continue // somebody has just come back for it
		}
		if rerr == nil {
			*n++
		}
		err = errors.Join(err, rerr)
	}
	return err
}

func (f *FS) sweepTails(ctx context.Context, expired time.Time, n *int) error {
	keys, err := f.old(ctx, tailDir, expired)
	for _, key := range keys {
		rel := strings.TrimPrefix(key, f.prefix+tailDir)
		r, rerr := f.readRecord(ctx, f.prefix+manifestDir+rel[:max(0, strings.LastIndexByte(rel, '/'))])
		if rerr == nil && r.Tail != nil && r.Tail.Key == key {
			continue
		}
		if rerr == nil || status(rerr) == http.StatusNotFound || errors.Is(rerr, errNoPark) {
			if rerr = f.delete(ctx, key); rerr == nil {
				*n++
			}
		}
		err = errors.Join(err, rerr)
	}
	return err
}

func (f *FS) sweepProbes(ctx context.Context, expired time.Time, n *int) error {
	keys, err := f.old(ctx, probeDir, expired)
	for _, key := range keys {
		derr := f.delete(ctx, key)
		if derr == nil {
			*n++
		}
		err = errors.Join(err, derr)
	}
	return err
}

// orphan is a multipart upload that may be one.
type orphan struct{ key, id string }

func (f *FS) sweepOrphans(ctx context.Context, expired time.Time, n *int) error {
	found, err := f.oldMultiparts(ctx, expired)
	if err != nil || len(found) == 0 {
		return err
	}
	known := map[string]bool{}
	err = f.stateKeys(ctx, f.prefix+manifestDir, func(s stored) error {
		r, err := f.readRecord(ctx, s.key)
		switch {
		case err == nil:
			known[r.Upload] = true
		case status(err) == http.StatusNotFound || errors.Is(err, errNoPark):
			return nil
		}
		return err
	})
	if err != nil {
		return err // what is not known to be an orphan stays
	}
	for _, o := range found {
		if known[o.id] {
			continue
		}
		quiet, oerr := f.quietSince(ctx, o, expired)
		if quiet {
			if oerr = f.abortMultipart(ctx, o.key, o.id); oerr == nil {
				*n++
			}
		}
		err = errors.Join(err, oerr)
	}
	return err
}

// oldMultiparts lists the multipart uploads that began before expired. Stores that
// can't list them have a sweeper of their own.
func (f *FS) oldMultiparts(ctx context.Context, expired time.Time) (found []orphan, err error) {
	in := &awss3.ListMultipartUploadsInput{Bucket: &f.bucket, Prefix: &f.prefix, EncodingType: types.EncodingTypeUrl}
	for {
		out, err := f.client.ListMultipartUploads(ctx, in)
		if status(err) == http.StatusNotImplemented {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		decode := keyDecoder(out.EncodingType)
		for _, u := range out.Uploads {
			if aws.ToTime(u.Initiated).Before(expired) {
				found = append(found, orphan{decode(aws.ToString(u.Key)), aws.ToString(u.UploadId)})
			}
		}
		if !aws.ToBool(out.IsTruncated) {
			return found, nil
		}
		in.KeyMarker, in.UploadIdMarker = aws.String(decode(aws.ToString(out.NextKeyMarker))), out.NextUploadIdMarker
	}
}

// quietSince reports whether no part of the upload came after t.
func (f *FS) quietSince(ctx context.Context, o orphan, t time.Time) (bool, error) {
	in := &awss3.ListPartsInput{Bucket: &f.bucket, Key: &o.key, UploadId: &o.id}
	for {
		out, err := f.client.ListParts(ctx, in)
		if err != nil {
			if status(err) == http.StatusNotFound {
				err = nil
			}
			return false, err
		}
		for _, p := range out.Parts {
			if !aws.ToTime(p.LastModified).Before(t) {
				return false, nil
			}
		}
		if !aws.ToBool(out.IsTruncated) {
			return true, nil
		}
		in.PartNumberMarker = out.NextPartNumberMarker
	}
}

// keepHouse touches the uploads of this process and sweeps, until ctx is done.
func (f *FS) keepHouse(ctx context.Context) {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for _, u := range f.running.all() {
			u.touch(ctx)
		}
		n, err := f.Sweep(ctx, ByExpiry)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			f.log.Warn("sweeping failed", "swept", n, "error", err)
		case n != Swept{}:
			f.log.Info("swept", "uploads", n.Uploads, "tails", n.Tails, "orphans", n.Orphans, "moves", n.Moves, "probes", n.Probes)
		}
	}
}

// touch shows that the upload lives. One that is busy shows that by itself.
func (u *upload) touch(ctx context.Context) {
	if !u.mu.TryLock() {
		return
	}
	defer u.mu.Unlock()
	if u.ended || u.taken || u.record == nil {
		return
	}
	if err := u.record.save(ctx); err != nil {
		u.f.log.Warn("the manifest of a running upload cannot be renewed", "key", u.key, "error", plainStore(err))
	}
}
