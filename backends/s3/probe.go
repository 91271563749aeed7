package s3

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/rand"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// probe learns by a small object in the gateway's own directory which conditional
// writes the store honours: documents and servers differ. Credentials that may not
// write make the FS read-only.
func (f *FS) probe(ctx context.Context) error {
	key := f.prefix + probeDir + rand.Text()
	etag, err := f.putProbe(ctx, key, onlyIf{})
	if status(err) == http.StatusForbidden {
		f.log.Warn("these credentials may not write to the bucket: it is served read-only", "bucket", f.bucket)
		f.facts.readOnly = true
		return nil
	} else if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := f.detached(ctx)
		defer cancel()
		if _, err := f.client.DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: &f.bucket, Key: &key}, fewTries); err != nil {
			f.log.Warn("the probe of the bucket cannot be deleted", "key", key, "error", asStoreError(err))
		}
	}()
	_, err = f.putProbe(ctx, key, onlyIf{absent: true})
	f.facts.putOnce = status(err) == http.StatusPreconditionFailed
	_, wrong := f.putProbe(ctx, key, onlyIf{etag: noETag})
	_, right := f.putProbe(ctx, key, onlyIf{etag: etag})
	f.facts.putMatch = status(wrong) == http.StatusPreconditionFailed && right == nil
	if err := f.probeMultipart(ctx, key); err != nil {
		return err
	}
	if !f.facts.putOnce || !f.facts.putMatch {
		f.log.Warn("the store lacks conditional writes: interrupted uploads cannot be resumed", "bucket", f.bucket)
	}
	if !f.facts.putOnce || !f.facts.finishOnce {
		f.log.Warn("the store ignores If-None-Match: two uploads of a new name at one time may replace each other", "bucket", f.bucket)
	}
	return nil
}

// probeDir is where the start tries what the store can do.
const probeDir = stateDir + "/probe/"

// noETag is the ETag of no object.
const noETag = `"00000000000000000000000000000000"`

func (f *FS) putProbe(ctx context.Context, key string, cond onlyIf) (etag string, err error) {
	in := &awss3.PutObjectInput{Bucket: &f.bucket, Key: &key}
	in.IfMatch, in.IfNoneMatch = cond.headers()
	out, err := f.client.PutObject(ctx, in, fewTries)
	if err != nil {
		return "", err
	}
	return aws.ToString(out.ETag), nil
}

// probeMultipart tries to complete an upload onto the existing probe.
func (f *FS) probeMultipart(ctx context.Context, key string) error {
	m, err := f.beginMultipart(ctx, key, attributes{}, true)
	if err != nil {
		return err
	}
	defer m.abort(ctx)
	data := []byte("probe")
	sum := md5.Sum(data)
	in := &awss3.UploadPartInput{Bucket: &f.bucket, Key: &key, UploadId: &m.id, PartNumber: aws.Int32(1), Body: bytes.NewReader(data)}
	if f.profile.crc64 {
		in.ChecksumAlgorithm = types.ChecksumAlgorithmCrc64nvme
	}
	out, err := f.client.UploadPart(ctx, in, fewTries)
	if err != nil {
		return err
	}
	f.facts.etagIsMD5 = etagMD5(aws.ToString(out.ETag)) == sum && plainETag(out.ServerSideEncryption)
	m.add(sentPart{number: 1, size: int64(len(data)), etag: aws.ToString(out.ETag), crc: aws.ToString(out.ChecksumCRC64NVME)})
	f.facts.finishOnce = status(m.tryComplete(ctx, onlyIf{absent: true})) == http.StatusPreconditionFailed
	if f.facts.finishOnce { // else the upload is completed already
		f.facts.finishMatch = status(m.tryComplete(ctx, onlyIf{etag: noETag})) == http.StatusPreconditionFailed
	}
	return nil
}
