package s3

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/ftpgate/ftpgate/vfs"
)

// onlyIf is a condition on what stands under a key when it is written; the zero
// value is none.
type onlyIf struct {
	absent bool   // nothing stands there
	etag   string // this version stands there
}

func (c onlyIf) headers() (match, noneMatch *string) {
	if c.absent {
		noneMatch = aws.String("*")
	}
	if c.etag != "" {
		match = &c.etag
	}
	return match, noneMatch
}

var errTargetChanged = fmt.Errorf("%w: the file changed under the upload", vfs.ErrBusy)

// meaning tells a version that was replaced from a name that is taken.
func (c onlyIf) meaning(err error) error {
	if c.etag != "" && (status(err) == http.StatusPreconditionFailed || status(err) == http.StatusNotFound && asStoreError(err).code == "NoSuchKey") {
		return errTargetChanged
	}
	return err
}

// finish runs the step that makes an object visible. Such a step may have been done
// although the store answers with an error or not at all, and then the next try is
// refused; so after each doubtful answer landed looks at what is there. The step is
// not given up when the client is: what it began shall be known.
func (f *FS) finish(ctx context.Context, step func(context.Context) error, landed func(context.Context) bool) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	// One answer may take the time slow; there has to be some for another try.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*f.tuning.slow)
	defer cancel()
	look := func() bool {
		ctx, cancel := f.detached(ctx)
		defer cancel()
		return landed(ctx)
	}
	for try, doubt := 1, false; ; try++ {
		err := step(ctx)
		if err == nil {
			return nil
		}
		if doubt = doubt || uncertain(err); doubt && look() {
			return nil
		}
		again := uncertain(err) || status(err) != 0 && asStoreError(err).kind == vfs.ErrBusy
		if !again || try == f.tuning.attempts || ctx.Err() != nil {
			return err
		}
		f.tuning.pause(ctx, try)
	}
}

// put stores p, which may be nil for an empty object, in one request.
func (f *FS) put(ctx context.Context, key string, p *part, a attributes, cond onlyIf) error {
	if p == nil {
		p = &part{}
	}
	in := &awss3.PutObjectInput{
		Bucket: &f.bucket, Key: &key, ContentLength: &p.size,
		ContentType: a.contentType, CacheControl: a.cacheControl, ContentDisposition: a.contentDisposition,
		ContentEncoding: a.contentEncoding, ContentLanguage: a.contentLanguage, Expires: a.expires,
		Metadata: a.metadata, StorageClass: a.storageClass, Tagging: a.tagging,
		ServerSideEncryption: a.encryption, SSEKMSKeyId: a.encryptionKey, ACL: a.acl,
	}
	in.IfMatch, in.IfNoneMatch = cond.headers()
	var crc string
	if f.profile.crc64 {
		crc = p.crc64NVME()
		in.ChecksumCRC64NVME = &crc
	} else {
		in.ContentMD5 = aws.String(base64.StdEncoding.EncodeToString(p.md5()))
	}
	err := f.finish(ctx, func(ctx context.Context) error {
		in.Body = io.ReadSeeker(bytes.NewReader(nil))
		if p.size > 0 {
			in.Body = p.body()
		}
		_, err := f.client.PutObject(ctx, in, oneTry)
		return err
	}, func(ctx context.Context) bool {
		in := &awss3.HeadObjectInput{Bucket: &f.bucket, Key: &key}
		if crc != "" {
			in.ChecksumMode = types.ChecksumModeEnabled
		}
		out, err := f.client.HeadObject(ctx, in)
		if err != nil {
			return false
		}
		o := f.headed(key, out)
		return o.size == p.size && (etagMD5(o.etag) == [16]byte(p.md5()) || crc != "" && o.crc64 == crc)
	})
	return cond.meaning(err)
}
