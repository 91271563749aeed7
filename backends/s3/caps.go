package s3

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/ftpgate/ftpgate/vfs"
)

var errTooMuchParked = fmt.Errorf("%w: the interrupted upload is larger than its user may keep", vfs.ErrQuota)

// makeRoom keeps what the owner of r has parked within the bounds, once r is added: the
// oldest go. A single upload that is too large by itself is not kept.
func (f *FS) makeRoom(ctx context.Context, r *record) error {
	most := f.tuning.maxParkedSize
	if most > 0 && r.kept()+r.tailSize() > most {
		return errTooMuchParked
	}
	others, err := f.parkedBy(ctx, r)
	if err != nil { // the bound is no reason to lose an upload; the next one keeps it
		f.log.Warn("how much a user has parked is not known", "error", plainStore(err))
		return nil
	}
	left, size := f.tuning.maxParked-1, most-r.kept()-r.tailSize()
	for _, s := range others { // the newest first
		drop := left <= 0
		if left--; most > 0 && !drop { // else nobody needs to know how large they are
			o, err := f.readRecord(ctx, s.key)
			if err != nil || !o.Parked {
				continue // it has just ended, or it runs
			}
			size -= o.kept() + o.tailSize()
			drop = size < 0
		}
		if drop {
			f.dropParked(ctx, s.key)
		}
	}
	return nil
}

// parkedBy lists the manifests of the owner's other uploads, the newest first.
func (f *FS) parkedBy(ctx context.Context, r *record) (out []stored, err error) {
	owner := "/" + digest(string(r.Owner)) + "/"
	own := r.key[:strings.LastIndexByte(r.key, '/')+1]
	err = f.stateKeys(ctx, f.prefix+manifestDir, func(s stored) error {
		if strings.Contains(s.key, owner) && !strings.HasPrefix(s.key, own) { // those of one name are one anyway
			out = append(out, s)
		}
		return nil
	})
	slices.SortFunc(out, func(a, b stored) int { return cmp.Or(b.when.Compare(a.when), cmp.Compare(b.key, a.key)) })
	return out, err
}

// dropParked drops an upload that is over the bounds, unless it runs.
func (f *FS) dropParked(ctx context.Context, key string) {
	o, err := f.readRecord(ctx, key)
	if err == nil && o.Parked {
		if err = f.dropRecord(ctx, o); err == nil {
			f.log.Info("an interrupted upload makes room for newer ones of its user", "key", o.Key, "owner", string(o.Owner))
		}
	}
	if err != nil && status(err) != http.StatusNotFound {
		f.log.Warn("an interrupted upload that is one too many cannot be dropped", "manifest", key, "error", plainStore(err))
	}
}
