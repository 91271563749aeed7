package s3

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/ftpgate/ftpgate/vfs"
)

// object is one version of an object.
type object struct {
	key       string
	size      int64 // bytes
	etag      string
	modTime   time.Time
	mediaType string
	crc64     string // CRC64NVME, where it was asked for and is known
	attributes
}

// attributes are what is stored with an object beside its bytes.
type attributes struct {
	contentType, cacheControl, contentDisposition *string
	contentEncoding, contentLanguage              *string
	expires                                       *time.Time
	metadata                                      map[string]string
	storageClass                                  types.StorageClass
	acl                                           types.ObjectCannedACL
	encryption                                    types.ServerSideEncryption
	encryptionKey                                 *string
	tags                                          int32 // their number
	tagging                                       *string
}

// newObject returns the attributes of an upload under this key: what the options give
// to all, and the type, which is known by the name alone.
func (f *FS) newObject(key string) attributes {
	t := mime.TypeByExtension(path.Ext(key))
	if t == "" {
		t = "application/octet-stream"
	}
	a := f.stored
	a.contentType, a.metadata = &t, maps.Clone(a.metadata)
	return a
}

// storedAttributes are those that the options give to every new object.
func (o *Options) storedAttributes() attributes {
	a := attributes{storageClass: types.StorageClass(o.StorageClass), acl: types.ObjectCannedACL(o.ACL)}
	if o.CacheControl != "" {
		a.cacheControl = &o.CacheControl
	}
	if len(o.Tags) > 0 {
		a.tagging = aws.String(tagging(o.Tags))
	}
	for name, value := range o.Metadata {
		if a.metadata == nil {
			a.metadata = map[string]string{}
		}
		a.metadata[name] = metadataText(value)
	}
	return a
}

// tagging is how a header says tags.
func tagging(tags map[string]string) string {
	q := url.Values{}
	for k, v := range tags {
		q.Set(k, v)
	}
	return q.Encode()
}

// metadataText is a value as a header can hold it: what is not ASCII is escaped by
// percent signs.
func metadataText(v string) string {
	var b strings.Builder
	for _, c := range []byte(v) {
		if c < ' ' || c > '~' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// head describes the object with this key; nil without an error if there is none.
func (f *FS) head(ctx context.Context, key string) (*object, error) {
	in := &awss3.HeadObjectInput{Bucket: &f.bucket, Key: &key}
	out, err := f.client.HeadObject(ctx, in)
	if status(err) == http.StatusNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return f.headed(key, out), nil
}

func (f *FS) headed(key string, out *awss3.HeadObjectOutput) *object {
	o := &object{
		key: key, size: aws.ToInt64(out.ContentLength), etag: aws.ToString(out.ETag), modTime: f.timeOf(out.Metadata, out.LastModified),
		mediaType: aws.ToString(out.ContentType), crc64: aws.ToString(out.ChecksumCRC64NVME),
		attributes: attributes{
			contentType: out.ContentType, cacheControl: out.CacheControl, contentDisposition: out.ContentDisposition,
			contentEncoding: out.ContentEncoding, contentLanguage: out.ContentLanguage, metadata: out.Metadata,
			storageClass: out.StorageClass, tags: aws.ToInt32(out.TagCount),
		},
	}
	if at, err := http.ParseTime(aws.ToString(out.ExpiresString)); err == nil {
		o.expires = &at
	}
	// AES256 is what every bucket does by itself; a key of one's own is not.
	if !plainETag(out.ServerSideEncryption) {
		o.encryption, o.encryptionKey = out.ServerSideEncryption, out.SSEKMSKeyId
	}
	return o
}

// keysBelow returns up to n keys that start with prefix.
func (f *FS) keysBelow(ctx context.Context, prefix string, n int32) ([]string, error) {
	out, err := f.client.ListObjectsV2(ctx, &awss3.ListObjectsV2Input{
		Bucket: &f.bucket, Prefix: &prefix, MaxKeys: &n, EncodingType: types.EncodingTypeUrl,
	})
	if err != nil {
		return nil, err
	}
	decode := keyDecoder(out.EncodingType)
	keys := make([]string, len(out.Contents))
	for i, c := range out.Contents {
		keys[i] = decode(aws.ToString(c.Key))
	}
	return keys, nil
}

// isDir reports whether the directory with this key exists.
func (f *FS) isDir(ctx context.Context, key string) (bool, error) {
	if key == f.prefix {
		return true, nil
	}
	keys, err := f.keysBelow(ctx, key+"/", 1)
	return len(keys) > 0, err
}

// fileTime is LastModified as all answers can tell it: HEAD has whole seconds.
func fileTime(t *time.Time) time.Time { return aws.ToTime(t).UTC().Truncate(time.Second) }

func (f *FS) dirInfo(key, element string, at time.Time) fs.FileInfo {
	return vfs.NewInfo(element, 0, fs.ModeDir|0o755, at, &vfs.Attr{Unique: f.unique(key + "/")})
}

func (f *FS) fileInfo(o *object, element string) fs.FileInfo {
	return vfs.NewInfo(element, o.size, 0o644, o.modTime, &vfs.Attr{Unique: f.unique(o.key), MediaType: o.mediaType})
}

// unique identifies a key for MLSx: S3 has no inodes, and a key says where a
// bucket is shared, so it is its hash.
func (f *FS) unique(key string) string {
	sum := sha256.Sum256([]byte(f.bucket + "/" + key))
	return hex.EncodeToString(sum[:12])
}

// plainETag reports whether objects under this encryption have ETags made of MD5.
func plainETag(e types.ServerSideEncryption) bool {
	return e == "" || e == types.ServerSideEncryptionAes256
}

// etagMD5 is the MD5 that an ETag is, zero for others.
func etagMD5(etag string) (sum [16]byte) {
	if b, err := hex.DecodeString(strings.Trim(etag, `"`)); err == nil && len(b) == len(sum) {
		return [16]byte(b)
	}
	return sum
}

// etagParts is the number of parts that an ETag of a multipart upload tells, 0 for
// other forms.
func etagParts(etag string) int {
	sum, n, _ := strings.Cut(strings.Trim(etag, `"`), "-")
	parts, err := strconv.Atoi(n)
	if err != nil || len(sum) != 32 {
		return 0
	}
	return parts
}
