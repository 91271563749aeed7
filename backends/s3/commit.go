package s3

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/ftpgate/ftpgate/vfs"
)

// finish runs the step that makes an object visible. Such a step may have been done
// although the store answers with an error or not at all, and then the next try is
// refused; so after each doubtful answer landed looks at what is there. The step is
// not given up when the client is: what it began shall be known.
func (f *FS) finish(ctx context.Context, step func(context.Context) error, landed func(context.Context) bool) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.tuning.slow)
	defer cancel()
	for try, doubt := 1, false; ; try++ {
		err := step(ctx)
		if err == nil {
			return nil
		}
		if doubt = doubt || uncertain(err); doubt && landed(ctx) {
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
func (f *FS) put(ctx context.Context, key string, p *part, a attributes, once bool) error {
	if p == nil {
		p = &part{}
	}
	in := &awss3.PutObjectInput{
		Bucket: &f.bucket, Key: &key, ContentLength: &p.size,
		ContentType: a.contentType, CacheControl: a.cacheControl, ContentDisposition: a.contentDisposition,
		ContentEncoding: a.contentEncoding, ContentLanguage: a.contentLanguage, Expires: a.expires,
		Metadata: a.metadata, StorageClass: a.storageClass, Tagging: a.tagging,
		ServerSideEncryption: a.encryption, SSEKMSKeyId: a.encryptionKey,
	}
	if once {
		in.IfNoneMatch = aws.String("*")
	}
	var crc string
	if f.profile.crc64 {
		crc = p.crc64NVME()
		in.ChecksumCRC64NVME = &crc
	} else {
		in.ContentMD5 = aws.String(base64.StdEncoding.EncodeToString(p.md5()))
	}
	return f.finish(ctx, func(ctx context.Context) error {
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
		o := headed(key, out)
		return o.size == p.size && (etagMD5(o.etag) == [16]byte(p.md5()) || crc != "" && o.crc64 == crc)
	})
}
