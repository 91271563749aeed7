package s3

import (
	"context"
	"encoding/base64"
	"errors"
	"io/fs"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/ftpgate/ftpgate/vfs"
)

// Hash answers from what is stored with the object, by one HEAD: a checksum of the whole
// object, or the ETag where it is an MD5. It knows no ranges, and nothing of objects
// whose checksum is one of their parts' checksums.
func (f *FS) Hash(ctx context.Context, name string, alg vfs.HashAlgorithm, offset, length int64) ([]byte, error) {
	key, err := f.key("hash", name)
	if err != nil {
		return nil, err
	}
	if err := vfs.ContextError(ctx, "hash", name); err != nil {
		return nil, err
	}
	sum, err := f.storedSum(ctx, key, alg, offset, length)
	return sum, f.fail(ctx, "hash", name, err)
}

func (f *FS) storedSum(ctx context.Context, key string, alg vfs.HashAlgorithm, offset, length int64) ([]byte, error) {
	switch {
	case offset < 0:
		return nil, fs.ErrInvalid
	case key == f.prefix:
		return nil, vfs.ErrIsDir
	case offset > 0 || alg.New() == nil:
		return nil, errors.ErrUnsupported
	}
	out, err := f.client.HeadObject(ctx, &awss3.HeadObjectInput{Bucket: &f.bucket, Key: &key, ChecksumMode: types.ChecksumModeEnabled})
	if err != nil {
		// Reading says what is wrong, better than HEAD can: a directory, an archived
		// object, a key that may not be used.
		return nil, errors.ErrUnsupported
	}
	if length >= 0 && length != aws.ToInt64(out.ContentLength) {
		return nil, errors.ErrUnsupported
	}
	if sum := f.sumOf(out, alg); len(sum) == alg.New().Size() {
		return sum, nil
	}
	return nil, errors.ErrUnsupported
}

// sumOf is the digest of all bytes of an object, nil if it is not known.
func (f *FS) sumOf(out *awss3.HeadObjectOutput, alg vfs.HashAlgorithm) []byte {
	if alg == vfs.MD5 && f.facts.etagIsMD5 && plainETag(out.ServerSideEncryption) && out.SSECustomerAlgorithm == nil {
		if sum := etagMD5(aws.ToString(out.ETag)); sum != [16]byte{} {
			return sum[:]
		}
	}
	stored := map[vfs.HashAlgorithm]*string{
		vfs.CRC32: out.ChecksumCRC32, vfs.SHA1: out.ChecksumSHA1, vfs.SHA256: out.ChecksumSHA256,
		vfs.SHA512: out.ChecksumSHA512, vfs.MD5: out.ChecksumMD5,
	}[alg]
	if stored == nil || out.ChecksumType != types.ChecksumTypeFullObject || strings.Contains(*stored, "-") {
		return nil
	}
	sum, err := base64.StdEncoding.DecodeString(*stored)
	if err != nil {
		return nil
	}
	return sum
}

var _ vfs.Hasher = (*FS)(nil)
