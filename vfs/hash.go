package vfs

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"hash"
	"hash/crc32"
	"io"
)

// HashAlgorithm is a name of the IANA registry "FTP Hash Algorithm Names"
// (draft-bryan-ftpext-hash).
type HashAlgorithm string

// The algorithms that Hash can always compute.
const (
	CRC32  HashAlgorithm = "CRC32"
	MD5    HashAlgorithm = "MD5"
	SHA1   HashAlgorithm = "SHA-1"
	SHA256 HashAlgorithm = "SHA-256"
	SHA512 HashAlgorithm = "SHA-512"
)

// New returns a running digest, or nil for an unknown algorithm.
func (a HashAlgorithm) New() hash.Hash {
	switch a {
	case CRC32:
		return crc32.NewIEEE()
	case MD5:
		return md5.New()
	case SHA1:
		return sha1.New()
	case SHA256:
		return sha256.New()
	case SHA512:
		return sha512.New()
	}
	return nil
}

// ServerHash is the store's own answer, errors.ErrUnsupported where it has none.
// Wrappers forward Hasher with it; everybody else calls Hash.
func ServerHash(ctx context.Context, fsys FS, name string, alg HashAlgorithm, offset, length int64) ([]byte, error) {
	if h, ok := fsys.(Hasher); ok {
		return h.Hash(ctx, name, alg, offset, length)
	}
	return nil, unsupported("hash", name)
}

// Hash returns the digest of length bytes (negative: to the end) from offset:
// from the store where it knows it, else by reading. CRC32 is big-endian.
func Hash(ctx context.Context, fsys FS, name string, alg HashAlgorithm, offset, length int64) ([]byte, error) {
	sum, err := ServerHash(ctx, fsys, name, alg, offset, length)
	if !errors.Is(err, errors.ErrUnsupported) {
		return sum, err
	}
	h := alg.New()
	if h == nil {
		return nil, unsupported("hash", name)
	}
	f, err := fsys.Open(ctx, name, offset, length)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	buf := make([]byte, 64<<10)
	for {
		if err := ContextError(ctx, "hash", name); err != nil {
			return nil, err
		}
		n, err := f.Read(buf)
		h.Write(buf[:n])
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, PathError("hash", name, err)
		}
	}
	return h.Sum(nil), nil
}
