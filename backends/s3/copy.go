package s3

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"

	"github.com/ftpgate/ftpgate/vfs"
)

// copiesInFlight is how many ranges of one object are copied at a time.
const copiesInFlight = 8

// Copy copies inside the store.
func (f *FS) Copy(ctx context.Context, src, dst string, opt vfs.CopyOptions) error {
	defer f.changed()
	srcKey, err := f.key("copy", src)
	if err != nil {
		return err
	}
	dstKey, err := f.writable("copy", dst)
	if err != nil {
		return err
	}
	if err := vfs.ContextError(ctx, "copy", src); err != nil {
		return err
	}
	from, to, err := f.lookBoth(ctx, src, srcKey, dst, dstKey, opt.NoReplace)
	switch {
	case err != nil:
		return f.fail(ctx, "copy", dst, err)
	case from.file == nil && from.dir:
		return vfs.PathError("copy", src, vfs.ErrIsDir)
	case from.file == nil:
		return vfs.PathError("copy", src, fs.ErrNotExist)
	case to.dir:
		return vfs.PathError("copy", dst, vfs.ErrIsDir)
	case to.file != nil && opt.NoReplace:
		return vfs.PathError("copy", dst, fs.ErrExist)
	case srcKey == dstKey:
		return nil
	}
	return f.fail(ctx, "copy", dst, f.copyObject(ctx, from.file, dstKey, opt.NoReplace))
}

// lookBoth looks at the source and the place of a copy or a rename at once.
func (f *FS) lookBoth(ctx context.Context, src, srcKey, dst, dstKey string, needFile bool) (from, to found, err error) {
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		from, err = f.look(gctx, srcKey)
		return err
	})
	g.Go(func() (err error) {
		if dstKey == f.prefix {
			to.dir = true
			return nil
		}
		to, err = f.target(gctx, dst, dstKey, needFile)
		return err
	})
	return from, to, g.Wait()
}

// copyObject copies the version src to key, with all that is stored beside its
// bytes. once refuses to replace an object, race-free where the store allows: no
// store honours a condition on the target of a copy, so it is then an upload of
// copied parts.
func (f *FS) copyObject(ctx context.Context, src *object, key string, once bool) error {
	err := f.copyVersion(ctx, src, key, once)
	switch status(err) {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusRequestedRangeNotSatisfiable:
		// Not all stores look at the version before they complain of a range.
		if now, herr := f.head(ctx, src.key); herr == nil && (now == nil || now.etag != src.etag) {
			return errSourceChanged
		}
	}
	return err
}

var errSourceChanged = fmt.Errorf("%w: the source changed", vfs.ErrBusy)

func (f *FS) copyVersion(ctx context.Context, src *object, key string, once bool) error {
	conditional := once && f.facts.putOnce && f.facts.finishOnce
	switch {
	case conditional && src.size == 0:
		a, err := f.copied(ctx, src)
		if err != nil {
			return err
		}
		return f.put(ctx, key, nil, a, onlyIf{absent: true})
	case conditional || src.size > f.tuning.copyLimit:
		return f.copyParts(ctx, src, key, conditional)
	}
	in := &awss3.CopyObjectInput{
		Bucket: &f.bucket, Key: &key, CopySource: aws.String(copySource(f.bucket, src.key)), CopySourceIfMatch: &src.etag,
		// These are not copied by themselves.
		StorageClass: src.storageClass, ServerSideEncryption: src.encryption, SSEKMSKeyId: src.encryptionKey, ACL: f.stored.acl,
	}
	_, err := f.client.CopyObject(ctx, in)
	return sourceChanged(err)
}

// sourceChanged gives a failed condition on the source of a copy its meaning.
func sourceChanged(err error) error {
	if status(err) == http.StatusPreconditionFailed {
		return errSourceChanged
	}
	return err
}

// copied returns what has to be given again when a copy is made as an upload.
func (f *FS) copied(ctx context.Context, src *object) (attributes, error) {
	a := src.attributes
	a.acl = f.stored.acl
	if a.tags == 0 {
		return a, nil
	}
	out, err := f.client.GetObjectTagging(ctx, &awss3.GetObjectTaggingInput{Bucket: &f.bucket, Key: &src.key})
	if err != nil {
		return a, err
	}
	tags := map[string]string{}
	for _, t := range out.TagSet {
		tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	a.tagging = aws.String(tagging(tags))
	return a, nil
}

// copyParts copies ranges of src in parallel.
func (f *FS) copyParts(ctx context.Context, src *object, key string, once bool) error {
	a, err := f.copied(ctx, src)
	if err != nil {
		return err
	}
	m, err := f.beginMultipart(ctx, key, a, false)
	if err != nil {
		return err
	}
	size := max(f.tuning.copyPart, (src.size+maxParts-1)/maxParts)
	g, gctx := errgroup.WithContext(m.ctx)
	g.SetLimit(copiesInFlight)
	for n, first := int32(1), int64(0); first < src.size; n, first = n+1, first+size {
		g.Go(func() error {
			return m.copyRange(gctx, n, src, first, min(first+size, src.size))
		})
	}
	if err = g.Wait(); err == nil {
		err = m.complete(ctx, onlyIf{absent: once})
	}
	if err != nil {
		m.abort(ctx)
	}
	m.cancel()
	return err
}

// copyRange makes the bytes [first,end) of src part n.
func (m *multipart) copyRange(ctx context.Context, n int32, src *object, first, end int64) error {
	out, err := m.f.client.UploadPartCopy(ctx, &awss3.UploadPartCopyInput{
		Bucket: &m.f.bucket, Key: &m.key, UploadId: &m.id, PartNumber: &n,
		CopySource: aws.String(copySource(m.f.bucket, src.key)), CopySourceIfMatch: &src.etag,
		CopySourceRange: aws.String(fmt.Sprintf("bytes=%d-%d", first, end-1)),
	})
	if err != nil {
		return sourceChanged(err)
	}
	if out.CopyPartResult == nil {
		return errors.New("the store copies a part without an answer")
	}
	m.add(sentPart{number: n, size: end - first, etag: aws.ToString(out.CopyPartResult.ETag), crc: aws.ToString(out.CopyPartResult.ChecksumCRC64NVME)})
	return nil
}

// Rename copies a file, verifies the copy and deletes the original.
func (f *FS) Rename(ctx context.Context, oldname, newname string, opt vfs.RenameOptions) error {
	defer f.changed()
	oldKey, err := f.writable("rename", oldname)
	if err != nil {
		return err
	}
	newKey, err := f.writable("rename", newname)
	if err != nil {
		return err
	}
	if err := vfs.ContextError(ctx, "rename", oldname); err != nil {
		return err
	}
	if oldKey == f.prefix || newKey == f.prefix {
		return vfs.PathError("rename", oldname, fs.ErrPermission)
	}
	from, to, err := f.lookBoth(ctx, oldname, oldKey, newname, newKey, opt.NoReplace)
	switch {
	case err != nil:
		return f.fail(ctx, "rename", newname, err)
	case from.file == nil && !from.dir:
		return vfs.PathError("rename", oldname, fs.ErrNotExist)
	case oldKey == newKey:
		return nil
	case from.dir && vfs.Within(newname, oldname):
		return vfs.PathError("rename", oldname, fs.ErrInvalid)
	case to.dir, to.file != nil && opt.NoReplace:
		return vfs.PathError("rename", newname, fs.ErrExist)
	case from.dir:
		if o, err := f.head(ctx, newKey); err != nil || o != nil {
			return f.fail(ctx, "rename", newname, cmp.Or(err, fs.ErrExist))
		}
		return f.fail(ctx, "rename", oldname, f.renameDir(ctx, oldname, oldKey, newKey))
	}
	if err := f.copyObject(ctx, from.file, newKey, opt.NoReplace); err != nil {
		return f.fail(ctx, "rename", newname, err)
	}
	return f.fail(ctx, "rename", oldname, f.leave(ctx, oldname, oldKey, func(ctx context.Context) error {
		return f.verifyCopy(ctx, from.file, newKey)
	}))
}

// verifyCopy looks at both sides once more before the original goes.
func (f *FS) verifyCopy(ctx context.Context, src *object, key string) error {
	var now, made *object
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		now, err = f.head(gctx, src.key)
		return err
	})
	g.Go(func() (err error) {
		made, err = f.head(gctx, key)
		return err
	})
	switch err := g.Wait(); {
	case err != nil:
		return err
	case now == nil || now.etag != src.etag:
		return errSourceChanged
	case made == nil || made.size != src.size:
		return fmt.Errorf("%w: the copy is gone or another file; the original stays", vfs.ErrBusy)
	}
	return nil
}

var _ vfs.FS = (*FS)(nil)
var _ vfs.Copier = (*FS)(nil)
