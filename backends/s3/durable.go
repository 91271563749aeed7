package s3

import (
	"context"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/ftpgate/ftpgate/vfs"
)

// durable is what of an upload is safe in the store.
type durable struct {
	parts []sentPart // from offset 0, without a gap; they may be gone over by others
	tail  *tail      // behind them
	ends  []int64    // where each part ends
}

func (d *durable) partsSize() int64 {
	if len(d.ends) == 0 {
		return 0
	}
	return d.ends[len(d.ends)-1]
}

func (d *durable) size() int64 {
	if d.tail != nil {
		return d.partsSize() + d.tail.Size
	}
	return d.partsSize()
}

func (d *durable) add(p sentPart) {
	d.ends = append(d.ends, d.partsSize()+p.size)
	d.parts = append(d.parts, p)
}

// boundary returns how many parts end at or below offset, and where the last of
// them does.
func (d *durable) boundary(offset int64) (n int, at int64) {
	for n < len(d.ends) && d.ends[n] <= offset {
		at = d.ends[n]
		n++
	}
	return n, at
}

// accept is the largest offset not above the given one at which the upload can be
// continued: anywhere in the tail, else where a part ends.
func (d *durable) accept(offset int64) int64 {
	if offset = min(offset, d.size()); offset >= d.partsSize() {
		return offset
	}
	_, at := d.boundary(offset)
	return at
}

// told is the size that the owner is told: the largest one to continue at below what
// arrived.
func (d *durable) told() int64 { return max(0, d.accept(d.size()-1)) }

// durable asks the store which parts it has. A nil result says that the upload is
// gone: completed, aborted or expired.
func (r *record) durable(ctx context.Context) (*durable, error) {
	d := &durable{tail: r.Tail}
	if r.Upload == "" {
		return d, nil
	}
	parts, err := r.f.listParts(ctx, r.f.prefix+r.Key, r.Upload)
	if status(err) == http.StatusNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, run := range r.Runs {
		size := int64(0)
		for n := run.First; n <= run.Last; n++ {
			p, ok := parts[n]
			if !ok {
				d.tail = nil // the store has lost what it confirmed
				return d, nil
			}
			size += p.size
			d.add(p)
		}
		if size != run.Size {
			return &durable{}, nil // and here nothing is as it was
		}
	}
	if !r.Parked {
		r.running(d, parts)
	}
	return d, nil
}

// running adds the parts of the present writer, from the first it sent without a
// gap. Its last part may be smaller than one with others behind it has to be: that
// one can't be kept.
func (r *record) running(d *durable, parts map[int32]sentPart) {
	n, _ := d.boundary(r.At)
	for next := r.Next; next <= r.Limit; next++ {
		p, ok := parts[next]
		if !ok || p.size < r.f.tuning.minPart || r.f.profile.equalParts && p.size != r.Base {
			return
		}
		if next == r.Next {
			d.parts, d.ends, d.tail = d.parts[:n:n], d.ends[:n:n], nil
		}
		d.add(p)
	}
}

// toldSize is what StatStaged tells; false says that the upload is gone.
func (r *record) toldSize(ctx context.Context) (int64, bool, error) {
	if r.Parked && r.Tail != nil { // the manifest says it all
		return r.kept() + r.Tail.Size - 1, true, nil
	}
	d, err := r.durable(ctx)
	if d == nil || err != nil {
		return 0, false, err
	}
	return d.told(), d.size() > 0, nil
}

// listParts returns the parts of an upload by their numbers.
func (f *FS) listParts(ctx context.Context, key, id string) (map[int32]sentPart, error) {
	parts := map[int32]sentPart{}
	in := &awss3.ListPartsInput{Bucket: &f.bucket, Key: &key, UploadId: &id}
	for {
		out, err := f.client.ListParts(ctx, in)
		if err != nil {
			return nil, err
		}
		for _, p := range out.Parts {
			n := aws.ToInt32(p.PartNumber)
			parts[n] = sentPart{number: n, size: aws.ToInt64(p.Size), etag: aws.ToString(p.ETag), crc: aws.ToString(p.ChecksumCRC64NVME)}
		}
		if !aws.ToBool(out.IsTruncated) {
			return parts, nil
		}
		in.PartNumberMarker = out.NextPartNumberMarker
	}
}

// runsOf makes runs of parts in their order.
func runsOf(parts []sentPart) []run {
	var runs []run
	for _, p := range parts {
		if n := len(runs); n > 0 && runs[n-1].Last+1 == p.number {
			runs[n-1].Last, runs[n-1].Size = p.number, runs[n-1].Size+p.size
		} else {
			runs = append(runs, run{p.number, p.number, p.size})
		}
	}
	return runs
}

var _ vfs.Stager = (*FS)(nil)
