package s3

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

const (
	minPartSize = 5 << 20
	maxPartSize = 1 << 30
	// maxTags and maxMetadata are S3's limits for one object.
	maxTags     = 10
	maxMetadata = 2 << 10
	// customerKeyVariable is the environment variable with the key of SSE-C.
	customerKeyVariable = "FTPGATE_S3_SSE_C_KEY"
)

// validate checks all that can be checked without the store, and sets defaults.
func (o *Options) validate() error {
	if o.Buffers == 0 {
		o.Buffers = max(defaultBuffers, 8*o.PartSize)
	}
	if o.MaxParked == 0 {
		o.MaxParked = defaultMaxParked
	}
	switch {
	case o.Bucket == "":
		return errors.New("s3: the bucket is missing")
	case strings.Contains(o.Endpoint, "@"):
		return errors.New("s3: the endpoint holds credentials, which come from the environment, a profile or a role")
	case o.Buffers < minBuffers:
		return errors.New("s3: the buffers are below 64 MiB")
	case o.PartSize != 0 && (o.PartSize < minPartSize || o.PartSize > maxPartSize):
		return errors.New("s3: the size of parts is from 5 MiB to 1 GiB")
	case o.Buffers < 8*o.PartSize:
		return fmt.Errorf("s3: parts of %d bytes need buffers of eight times that", o.PartSize)
	case o.Expiry != 0 && o.Expiry < minExpiry:
		return errors.New("s3: the expiry is below two hours")
	case len(o.Prefix) > maxPrefix:
		return errors.New("s3: the prefix is longer than 800 bytes")
	case o.Role != "" && !strings.HasPrefix(o.Role, "arn:"):
		return fmt.Errorf("s3: the role %q is not an ARN like arn:aws:iam::123456789012:role/NAME", o.Role)
	case o.ExternalID != "" && o.Role == "":
		return errors.New("s3: an external id is for a role; add role=ARN")
	}
	for _, check := range []func() error{
		func() error { return checkPrefix(o.Prefix) }, o.Provider.check, o.checkStored, o.checkEncryption,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (p Provider) check() error {
	switch p {
	case "", AWS, Generic, R2:
		return nil
	}
	return fmt.Errorf("provider=%s must be aws, generic or r2", string(p))
}

// checkStored checks what is stored with each object.
func (o *Options) checkStored() error {
	size := 0
	for name, value := range o.Metadata {
		size += len(name) + len(value)
		switch {
		case name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "":
			return fmt.Errorf("s3: the name %q of metadata must be of a-z, 0-9, - and _", name)
		case name == modTimeMetadata && o.KeepModTime:
			return fmt.Errorf("s3: the metadata %s keeps the time of files", modTimeMetadata)
		}
	}
	if size > maxMetadata {
		return errors.New("s3: the metadata is larger than 2 KiB")
	}
	if len(o.Tags) > maxTags {
		return errors.New("s3: an object has ten tags at most")
	}
	for k, v := range o.Tags {
		if k == "" || len([]rune(k)) > 128 || len([]rune(v)) > 256 {
			return fmt.Errorf("s3: the tag %q: a key has 1 to 128 characters, a value 256 at most", k)
		}
	}
	for _, header := range []string{o.StorageClass, o.ACL, o.CacheControl, o.KMSKey} {
		if strings.ContainsFunc(header, func(r rune) bool { return r < ' ' || r > '~' }) {
			return fmt.Errorf("s3: %q can't stand in a header", header)
		}
	}
	switch types.StorageClass(o.StorageClass) {
	case types.StorageClassGlacier, types.StorageClassDeepArchive:
		return fmt.Errorf("s3: the storage class %s can't be read without restoring: nobody could download, append or rename; "+
			"let a lifecycle rule move files there", o.StorageClass)
	}
	if acl := types.ObjectCannedACL(o.ACL); o.ACL != "" && !slices.Contains(acl.Values(), acl) {
		return fmt.Errorf("s3: the ACL %q must be one of %v", o.ACL, acl.Values())
	}
	return nil
}

// checkEncryption checks that what belongs to an encryption comes with it.
func (o *Options) checkEncryption() error {
	kms := o.Encryption == KMSEncryption || o.Encryption == DoubleKMSEncryption
	switch {
	case !kms && !slices.Contains([]Encryption{BucketEncryption, S3Encryption, CustomerEncryption}, o.Encryption):
		return fmt.Errorf("s3: sse=%s must be s3, kms, kms-dsse or c", string(o.Encryption))
	case o.KMSKey != "" && !kms:
		return errors.New("s3: a key of KMS is for sse=kms or sse=kms-dsse")
	case o.CustomerKeyFile != "" && o.Encryption != CustomerEncryption:
		return errors.New("s3: the file of a customer's key is for sse=c")
	case o.Encryption == CustomerEncryption && strings.HasPrefix(o.Endpoint, "http://") && !loopback(o.Endpoint):
		return errors.New("s3: sse=c sends the key with each request; it needs an endpoint with https://")
	}
	return nil
}

func loopback(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// customerKey reads the key of SSE-C. Its errors never show it.
func (o *Options) customerKey() ([]byte, error) {
	text, where := os.Getenv(customerKeyVariable), customerKeyVariable
	if o.CustomerKeyFile != "" {
		where = o.CustomerKeyFile
		data, err := os.ReadFile(o.CustomerKeyFile)
		if err != nil {
			return nil, fmt.Errorf("the key of sse=c can't be read: %w", err)
		}
		if len(data) == 32 {
			return data, nil
		}
		text = string(data)
	}
	if text == "" {
		return nil, errors.New("sse=c needs a key: set " + customerKeyVariable + " to 32 bytes in base64, or name a file by sse_c_key_file=")
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil || len(key) != 32 {
		return nil, errors.New(where + " does not hold a key: it is 32 bytes in base64, as \"openssl rand -base64 32\" makes them")
	}
	return key, nil
}
