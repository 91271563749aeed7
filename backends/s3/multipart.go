package s3

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/semaphore"
)

// partsInFlight is how many parts of one upload are on their way at most; of those
// above 8 MiB, which have fewer round trips to wait for, there are three. All together
// hold a quarter of the buffers.
const (
	partsInFlight      = 5
	largePartsInFlight = 3
	largePart          = 8<<20 + 1 // bytes
	slots              = partsInFlight * largePartsInFlight
)

// slotsOf is how many slots a part takes, of total bytes of buffers.
func slotsOf(size, total int64) int64 {
	n := int64(slots / partsInFlight)
	if size >= largePart {
		n = slots / largePartsInFlight
	}
	return min(max(n, slots*size/(total/4)), slots)
}

// multipart is a multipart upload. send, wait and the ends are for one goroutine.
type multipart struct {
	f       *FS
	key, id string
	sums    bool            // CRC64NVME was declared
	ctx     context.Context // of the parts on their way
	cancel  context.CancelFunc
	slots   *semaphore.Weighted
	sending sync.WaitGroup

	mu    sync.Mutex
	parts []sentPart
	err   error // of the first part that failed
}

// sentPart is a part that the store confirmed.
type sentPart struct {
	number int32
	size   int64 // bytes
	etag   string
	crc    string // CRC64NVME, "" where none was declared
}

// beginMultipart begins an upload whose parts live as long as ctx. sums declares
// checksums where the provider has them: not for copied parts, since versitygw gives
// the copy of a range the checksum of the whole source.
func (f *FS) beginMultipart(ctx context.Context, key string, a attributes, sums bool) (*multipart, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	sums = sums && f.profile.crc64
	// To give this up might leave an upload that nobody knows of.
	sure, cancel := f.surely(ctx)
	defer cancel()
	id, err := f.createMultipart(sure, key, a, sums)
	if err != nil {
		return nil, err
	}
	return f.newMultipart(ctx, key, id, sums), nil
}

// newMultipart sends parts of the upload with this id, under ctx.
func (f *FS) newMultipart(ctx context.Context, key, id string, sums bool) *multipart {
	m := &multipart{f: f, key: key, id: id, sums: sums, slots: semaphore.NewWeighted(slots)}
	m.ctx, m.cancel = context.WithCancel(ctx)
	return m
}

func (f *FS) createMultipart(ctx context.Context, key string, a attributes, sums bool) (id string, err error) {
	in := &awss3.CreateMultipartUploadInput{
		Bucket: &f.bucket, Key: &key,
		ContentType: a.contentType, CacheControl: a.cacheControl, ContentDisposition: a.contentDisposition,
		ContentEncoding: a.contentEncoding, ContentLanguage: a.contentLanguage, Expires: a.expires,
		Metadata: a.metadata, StorageClass: a.storageClass, Tagging: a.tagging,
		ServerSideEncryption: a.encryption, SSEKMSKeyId: a.encryptionKey, ACL: a.acl,
	}
	if sums {
		in.ChecksumAlgorithm, in.ChecksumType = types.ChecksumAlgorithmCrc64nvme, types.ChecksumTypeFullObject
	}
	out, err := f.client.CreateMultipartUpload(ctx, in, declared(sums))
	if err != nil {
		return "", err
	}
	return aws.ToString(out.UploadId), nil
}

// send takes p over and sends it in the background. It blocks while as many parts
// are on their way as may be, until ctx is done; then p stays the caller's. A part
// that is kept is not released once it is sent.
func (m *multipart) send(ctx context.Context, p *part, keep bool) error {
	taken := slotsOf(p.size, m.f.buffers.total)
	either, cancel := context.WithCancel(m.ctx)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	if m.slots.Acquire(either, taken) != nil {
		if err := m.failure(); err != nil {
			return err
		}
		return context.Cause(ctx)
	}
	m.sending.Go(func() {
		defer m.slots.Release(taken)
		if !keep {
			defer p.release(m.f.buffers)
		}
		if sent, err := m.upload(p); err != nil {
			m.fail(err)
		} else {
			m.add(sent)
		}
	})
	return nil
}

func (m *multipart) upload(p *part) (sentPart, error) {
	in := &awss3.UploadPartInput{
		Bucket: &m.f.bucket, Key: &m.key, UploadId: &m.id, PartNumber: &p.number, Body: p.body(), ContentLength: &p.size,
	}
	var sum []byte
	if m.sums {
		in.ChecksumCRC64NVME = aws.String(p.crc64NVME())
	} else {
		sum = p.md5()
		in.ContentMD5 = aws.String(base64.StdEncoding.EncodeToString(sum))
	}
	out, err := m.f.client.UploadPart(m.ctx, in, declared(m.sums))
	if err != nil {
		return sentPart{}, err
	}
	sent := sentPart{number: p.number, size: p.size, etag: aws.ToString(out.ETag), crc: aws.ToString(out.ChecksumCRC64NVME)}
	if sum != nil && m.f.facts.etagIsMD5 && plainETag(out.ServerSideEncryption) && etagMD5(sent.etag) != [16]byte(sum) {
		return sent, fmt.Errorf("the store keeps other bytes of part %d than were sent", p.number)
	}
	return sent, nil
}

func (m *multipart) add(p sentPart) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.parts = append(m.parts, p)
}

// fail keeps the first error and stops the other parts.
func (m *multipart) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		m.err = err
	}
	m.cancel()
}

// failure is the error of the first part that failed, or of the context.
func (m *multipart) failure() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	return context.Cause(m.ctx)
}

// wait returns once no part is on its way, or ctx is done.
func (m *multipart) wait(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		m.sending.Wait()
		close(done)
	}()
	select {
	case <-done:
		return m.failure()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// sorted returns the parts in the order of their numbers.
func (m *multipart) sorted() []sentPart {
	m.mu.Lock()
	defer m.mu.Unlock()
	slices.SortFunc(m.parts, func(a, b sentPart) int { return int(a.number - b.number) })
	return m.parts
}

func (m *multipart) size() (n int64) {
	for _, p := range m.sorted() {
		n += p.size
	}
	return n
}

// etag is the ETag that the object gets on stores that make it of MD5: the digest
// of the parts' digests, and their number.
func (m *multipart) etag() string {
	h := md5.New()
	for _, p := range m.sorted() {
		sum := etagMD5(p.etag)
		h.Write(sum[:])
	}
	return fmt.Sprintf("%s-%d", hex.EncodeToString(h.Sum(nil)), len(m.parts))
}

// tryComplete asks once for completion.
func (m *multipart) tryComplete(ctx context.Context, cond onlyIf) error {
	done := &types.CompletedMultipartUpload{}
	for _, p := range m.sorted() {
		c := types.CompletedPart{PartNumber: aws.Int32(p.number), ETag: aws.String(p.etag)}
		if p.crc != "" {
			c.ChecksumCRC64NVME = aws.String(p.crc)
		}
		done.Parts = append(done.Parts, c)
	}
	in := &awss3.CompleteMultipartUploadInput{Bucket: &m.f.bucket, Key: &m.key, UploadId: &m.id, MultipartUpload: done}
	in.IfMatch, in.IfNoneMatch = cond.headers()
	if m.sums {
		in.ChecksumType = types.ChecksumTypeFullObject
	}
	_, err := m.f.client.CompleteMultipartUpload(ctx, in, oneTry)
	return err
}

// declared keeps the SDK from adding checksums that were not declared.
func declared(sums bool) func(*awss3.Options) {
	return func(o *awss3.Options) {
		if !sums {
			o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		}
	}
}

func oneTry(o *awss3.Options) { o.RetryMaxAttempts = 1 }

// complete makes the object visible.
func (m *multipart) complete(ctx context.Context, cond onlyIf) error {
	return cond.meaning(m.f.finish(ctx, func(ctx context.Context) error {
		return m.tryComplete(ctx, cond)
	}, m.landed))
}

// landed reports whether the object under the key is this upload, though the store
// did not confirm its completion.
func (m *multipart) landed(ctx context.Context) bool {
	o, err := m.f.head(ctx, m.key)
	if err != nil || o == nil || o.size != m.size() {
		return false
	}
	if strings.Trim(o.etag, `"`) == m.etag() {
		return true
	}
	if m.f.facts.etagIsMD5 && etagParts(o.etag) > 0 && o.encryption == "" {
		return false
	}
	// The ETag tells nothing here; but an upload is gone once it is completed.
	_, err = m.f.client.ListParts(ctx, &awss3.ListPartsInput{Bucket: &m.f.bucket, Key: &m.key, UploadId: &m.id, MaxParts: aws.Int32(1)})
	return status(err) == 404
}

// abort stops the parts on their way and drops the upload.
func (m *multipart) abort(ctx context.Context) {
	m.cancel()
	m.sending.Wait()
	ctx, cancel := m.f.detached(ctx)
	defer cancel()
	_ = m.f.abortMultipart(ctx, m.key, m.id)
}

// abortMultipart drops an upload and its parts. One that is gone is no error.
func (f *FS) abortMultipart(ctx context.Context, key, id string) error {
	_, err := f.client.AbortMultipartUpload(ctx, &awss3.AbortMultipartUploadInput{Bucket: &f.bucket, Key: &key, UploadId: &id})
	if err == nil || status(err) == 404 {
		return nil
	}
	f.log.Warn("a multipart upload cannot be aborted; a lifecycle rule should expire it", "key", key, "upload", id, "error", asStoreError(err))
	return err
}
