package s3

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/ftpgate/ftpgate/vfs"
)

// begin decides what the upload continues: the owner's staged upload, the complete
// file, or nothing.
func (u *upload) begin(ctx context.Context, opt vfs.CreateOptions, file *object, staged []*record) error {
	if opt.Mode == vfs.Replace {
		return u.f.void(ctx, staged)
	}
	for _, r := range staged {
		if r.Void {
			continue
		}
		gone, err := u.resume(ctx, opt, r)
		if !gone {
			return err
		}
	}
	return u.extend(ctx, opt, file)
}

// resume goes on with a staged upload. All checks come before anything is taken
// over. gone says that there is nothing to go on with.
func (u *upload) resume(ctx context.Context, opt vfs.CreateOptions, r *record) (gone bool, err error) {
	d, err := r.durable(ctx)
	if err != nil {
		return false, err
	}
	if d == nil || d.size() == 0 {
		if r.Parked {
			_ = u.f.dropRecord(ctx, r)
		}
		return true, nil
	}
	offset := opt.Offset
	if opt.Mode == vfs.Append {
		offset = d.told()
	}
	if accept := d.accept(offset); accept != offset {
		return false, &vfs.OffsetError{Offset: offset, Accept: accept}
	}
	if r.Limit >= maxParts {
		return false, vfs.ErrTooLarge
	}
	n, at := d.boundary(offset)
	stale := r.Tail
	r.Runs, r.Tail = runsOf(d.parts), d.tail
	r.At, r.Next = at, r.Limit+1
	r.Limit += reserve
	if err := r.seize(ctx); err != nil {
		return false, err
	}
	if stale != nil && r.Tail == nil { // parts have taken its place
		_ = u.f.delete(ctx, stale.Key)
	}
	u.record, u.resumed, u.over, u.offset = r, true, r.Over, offset
	u.plan.base = r.Base
	if !u.plan.equal {
		u.plan.base = min(r.Base, u.plan.most)
	}
	u.first, u.next, u.kept = r.Next, r.Next-1, n
	if r.Upload != "" {
		u.multi = u.f.newMultipart(u.partsContext(), u.key, r.Upload, r.Sums)
		u.multi.parts = d.parts[:n:n]
	} else if u.over != "" {
		err = u.attributesOf(ctx)
	}
	if err == nil && offset > at {
		err = u.fetch(ctx, &object{key: r.Tail.Key}, 0, offset-at)
	}
	if err != nil {
		_ = u.park() // as it was
	}
	return false, err
}

// attributesOf finds out what is stored beside the file that a parked upload
// continues.
func (u *upload) attributesOf(ctx context.Context) error {
	o, err := u.f.head(ctx, u.key)
	if err == nil && o != nil && o.etag == u.over {
		u.attrs, err = u.f.copied(ctx, o)
	}
	return err
}

// extend goes on with the complete file.
func (u *upload) extend(ctx context.Context, opt vfs.CreateOptions, file *object) error {
	if opt.Mode == vfs.WriteAt && opt.Offset == 0 {
		return nil
	}
	size := int64(0)
	if file != nil {
		size = file.size
	}
	offset := opt.Offset
	if opt.Mode == vfs.Append {
		offset = size
	}
	if offset > size {
		return &vfs.OffsetError{Offset: offset, Accept: size}
	}
	if err := u.f.running.resume(u); err != nil {
		return err
	}
	if file == nil {
		return nil
	}
	u.over, u.offset = file.etag, offset
	var err error
	if u.attrs, err = u.f.copied(ctx, file); err != nil {
		return err
	}
	return u.keep(ctx, file, offset)
}

// keep makes the bytes [0,n) of a version the first ones of the upload: by copies
// inside the store, or, for what is too small for a part, through memory.
func (u *upload) keep(ctx context.Context, file *object, n int64) error {
	ranges := u.ranges(n)
	done := int64(0)
	if len(ranges) > 0 {
		if err := u.open(false); err != nil {
			return err
		}
		u.copyRanges(file, ranges)
		u.next = int32(len(ranges))
		done = ranges[len(ranges)-1]
	}
	return u.fetch(ctx, file, done, n)
}

// ranges are the ends of the parts that n bytes are copied in.
func (u *upload) ranges(n int64) (ends []int64) {
	if u.plan.equal {
		for end := u.plan.base; end <= n; end += u.plan.base {
			ends = append(ends, end)
		}
		return ends
	}
	if n < u.f.tuning.minPart {
		return nil
	}
	size := max(u.f.tuning.copyPart, n/(maxParts/2))
	for end := size; end+u.f.tuning.minPart <= n; end += size {
		ends = append(ends, end)
	}
	return append(ends, n)
}

// copyRanges copies in the background, some at a time.
func (u *upload) copyRanges(file *object, ends []int64) {
	m := u.multi
	slots := make(chan struct{}, copiesInFlight)
	m.sending.Go(func() {
		first := int64(0)
		for i, end := range ends {
			select {
			case slots <- struct{}{}:
			case <-m.ctx.Done():
				return
			}
			begin := first
			m.sending.Go(func() {
				defer func() { <-slots }()
				if err := m.copyRange(m.ctx, int32(i+1), file, begin, end); err != nil {
					m.fail(err)
				}
			})
			first = end
		}
	})
}

// fetch reads the bytes [first,end) of an object into the upload's buffers.
func (u *upload) fetch(ctx context.Context, o *object, first, end int64) error {
	if first == end {
		return nil
	}
	s, err := u.f.openStream(ctx, o.key, first, end-first)
	if err != nil {
		return err
	}
	defer s.close()
	if o.etag != "" && s.object.etag != o.etag {
		return errSourceChanged
	}
	if s.end != end {
		return errors.New("the store has lost bytes that it confirmed")
	}
	for left := end - first; left > 0; {
		space, err := u.space()
		if err != nil {
			return err
		}
		n, err := io.ReadFull(s, space[:min(int64(len(space)), left)])
		u.part.size += int64(n)
		left -= int64(n)
		if err != nil {
			return fmt.Errorf("reading what the upload continues: %w", err)
		}
	}
	return nil
}

// void ends what the owner may have staged, since he begins the file anew. What
// another gateway may still be sending is only hidden.
func (f *FS) void(ctx context.Context, staged []*record) error {
	for _, r := range staged {
		var err error
		switch {
		case r.Parked:
			err = f.dropRecord(ctx, r)
		case !r.Void:
			r.Void = true
			err = r.save(ctx)
		}
		if err != nil && !errors.Is(err, errFenced) {
			return err
		}
	}
	return nil
}

// dropRecord takes an upload away from whoever has it and deletes it.
func (f *FS) dropRecord(ctx context.Context, r *record) error {
	r.Void = true
	if err := r.seize(ctx); err != nil {
		return err
	}
	return r.drop(ctx)
}
