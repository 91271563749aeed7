package s3

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"time"

	"github.com/ftpgate/ftpgate/vfs"
)

// stagerKey returns the key of name for a Stager's method.
func (f *FS) stagerKey(ctx context.Context, op, name string) (string, error) {
	key, err := f.key(op, name)
	if err != nil {
		return "", err
	}
	if !f.caps.Has(vfs.CanPark) {
		return "", &fs.PathError{Op: op, Path: name, Err: errors.ErrUnsupported}
	}
	return key, vfs.ContextError(ctx, op, name)
}

// info describes a staged upload; nil if there is nothing to continue.
func (r *record) info(ctx context.Context) (fs.FileInfo, error) {
	key := r.f.prefix + r.Key
	if r.Void || r.f.alive(key, string(r.Owner)) {
		return nil, nil
	}
	size, ok, err := r.toldSize(ctx)
	if !ok || err != nil {
		return nil, err
	}
	_, element := vfs.Split(r.Key)
	return vfs.NewInfo(element, size, 0o644, fileTime(&r.when), &vfs.Attr{Unique: r.f.unique(r.key), Staged: true}), nil
}

// StatStaged costs one request where nothing is staged, two for what was parked, and
// the listing of its parts for what a dead gateway left.
func (f *FS) StatStaged(ctx context.Context, name, owner string) (fs.FileInfo, error) {
	key, err := f.stagerKey(ctx, "stat", name)
	if err != nil {
		return nil, err
	}
	f.settle(ctx, key, owner)
	staged, err := f.claimed(ctx, key, owner)
	if err != nil {
		return nil, f.fail(ctx, "stat", name, err)
	}
	for _, r := range staged {
		info, err := r.info(ctx)
		if err != nil {
			return nil, f.fail(ctx, "stat", name, err)
		}
		if info != nil {
			return info, nil
		}
	}
	return nil, vfs.PathError("stat", name, fs.ErrNotExist)
}

// Staged lists the owner's staged uploads, the newest of each name.
func (f *FS) Staged(ctx context.Context, dir, owner string) iter.Seq2[fs.FileInfo, error] {
	return func(yield func(fs.FileInfo, error) bool) {
		key, err := f.stagerKey(ctx, "readdir", dir)
		if errors.Is(err, errors.ErrUnsupported) {
			return
		}
		if err == nil {
			err = f.eachStaged(ctx, key, owner, yield)
		}
		if err != nil {
			yield(nil, f.fail(ctx, "readdir", dir, err))
		}
	}
}

func (f *FS) eachStaged(ctx context.Context, dirKey, owner string, yield func(fs.FileInfo, error) bool) error {
	all, err := f.records(ctx, f.ownerPrefix(dirKey, owner))
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, r := range all {
		if seen[r.Key] || string(r.Owner) != owner {
			continue
		}
		info, err := r.info(ctx)
		if err != nil {
			return err
		}
		if info == nil {
			continue
		}
		if seen[r.Key] = true; !yield(info, nil) {
			return nil
		}
	}
	return nil
}

// Discard takes the upload away from whoever has it, but not from a writer that is
// alive in this process.
func (f *FS) Discard(ctx context.Context, name, owner string) error {
	defer f.changed()
	key, err := f.stagerKey(ctx, "remove", name)
	if err != nil {
		return err
	}
	f.settle(ctx, key, owner)
	staged, err := f.claimed(ctx, key, owner)
	if err != nil {
		return f.fail(ctx, "remove", name, err)
	}
	found := false
	for _, r := range staged {
		if !r.Parked && f.alive(key, owner) {
			continue
		}
		hidden := r.Void
		err := f.dropRecord(ctx, r)
		if errors.Is(err, errFenced) {
			continue
		}
		if err != nil {
			return f.fail(ctx, "remove", name, err)
		}
		found = found || !hidden
	}
	if !found {
		return vfs.PathError("remove", name, fs.ErrNotExist)
	}
	return nil
}

// dropStagedIn drops what all owners have staged in a directory that goes. Uploads
// that may still run are only hidden.
func (f *FS) dropStagedIn(ctx context.Context, dirKey string) error {
	if !f.caps.Has(vfs.CanPark) {
		return nil
	}
	all, err := f.records(ctx, f.dirPrefix(dirKey))
	if err != nil {
		return err
	}
	return f.void(ctx, all)
}

// StagedUpload is what an operator sees of an upload that waits to be resumed, or
// that runs.
type StagedUpload struct {
	Name, Owner string
	Size        int64 // bytes that are safe in the store
	Parked      bool  // else it runs, or its gateway was killed
	Hidden      bool  // its owner began the name anew meanwhile
	Node        string
	Touched     time.Time
}

// StagedUploads lists the uploads of all owners, the one touched last first.
func (f *FS) StagedUploads(ctx context.Context) ([]StagedUpload, error) {
	all, err := f.records(ctx, f.prefix+manifestDir)
	if err != nil {
		return nil, f.fail(ctx, "staged", ".", err)
	}
	var out []StagedUpload
	for _, r := range all {
		d, err := r.durable(ctx)
		switch {
		case err != nil:
			return nil, f.fail(ctx, "staged", r.Key, err)
		case d == nil: // it has just ended, or the store has dropped its parts
			continue
		}
		out = append(out, StagedUpload{
			Name: r.Key, Owner: string(r.Owner), Size: d.size(), Parked: r.Parked, Hidden: r.Void, Node: r.Node, Touched: r.Touched,
		})
	}
	return out, nil
}
