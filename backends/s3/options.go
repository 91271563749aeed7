package s3

import (
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Provider names the dialect of S3 that a store speaks.
type Provider string

const (
	// AWS is Amazon S3: CRC64NVME checksums of whole objects, virtual-host URLs.
	AWS Provider = "aws"
	// Generic is a store without flexible checksums: MD5 secures each part.
	Generic Provider = "generic"
	// R2 is Cloudflare R2: as Generic, with parts of equal size.
	R2 Provider = "r2"
)

const (
	minExpiry = 2 * time.Hour
	// defaultMaxParked is how many uploads one owner may have parked.
	defaultMaxParked = 1000
	// maxPrefix leaves room in a key for the names of the gateway's own objects.
	maxPrefix = 800
)

// Encryption says how the store encrypts what is written.
type Encryption string

const (
	// BucketEncryption leaves it to the bucket.
	BucketEncryption Encryption = ""
	// S3Encryption uses keys of S3's own (SSE-S3).
	S3Encryption Encryption = "s3"
	// KMSEncryption uses a key of the key management service (SSE-KMS).
	KMSEncryption Encryption = "kms"
	// DoubleKMSEncryption does so in two layers (DSSE-KMS).
	DoubleKMSEncryption Encryption = "kms-dsse"
	// CustomerEncryption uses a key that only the gateway knows (SSE-C).
	CustomerEncryption Encryption = "c"
)

// Options say which bucket to open and how.
type Options struct {
	Bucket string
	// Prefix is the part of the bucket that is served, without slashes at its
	// ends; empty is the whole bucket.
	Prefix string
	// Endpoint is the URL of the store; empty is Amazon S3, or what
	// AWS_ENDPOINT_URL says.
	Endpoint string
	// Region of the bucket; empty is what the environment or the profile says,
	// else us-east-1 with an endpoint (auto with R2).
	Region string
	// PathStyle puts the bucket into the path of URLs instead of the host name;
	// nil does so if there is an endpoint.
	PathStyle *bool
	// Provider is the dialect; empty is Generic with an endpoint, else AWS.
	Provider Provider
	// Profile is the section of the AWS configuration files to use.
	Profile string
	// Role is the ARN of a role to assume with the credentials; ExternalID is what its
	// owner may ask for.
	Role, ExternalID string
	// Credentials are for programs that have their own; nil is the SDK's default
	// chain: environment, profile, role.
	Credentials aws.CredentialsProvider
	// ReadOnly opens the bucket without writing to it, not even to learn which
	// conditional writes it knows. Changes then fail with fs.ErrPermission.
	ReadOnly bool
	// RequesterPays accepts that requests and traffic are billed to these
	// credentials and not to the bucket's owner.
	RequesterPays bool

	// KeepModTime keeps the time of files in the metadata "mtime", as rclone does. It is
	// then what Stat and listings tell, at the price of a HEAD for each file that is
	// listed, and SetModTime can set it.
	KeepModTime bool

	// These are for new objects; empty fields leave it to the bucket. What is copied or
	// continued keeps its own, but for the ACL, which S3 never copies.
	StorageClass string
	ACL          string // canned
	CacheControl string
	Tags         map[string]string
	Metadata     map[string]string // names in lower case; values what is not ASCII in values is percent-encoded

	// Encryption of all that is written, the gateway's own objects included.
	Encryption Encryption
	// KMSKey is the key's id or ARN; empty is the account's own for S3.
	KMSKey string
	// CustomerKeyFile holds the key of CustomerEncryption, 32 bytes, plain or in base64;
	// empty reads the environment variable FTPGATE_S3_SSE_C_KEY, in base64.
	CustomerKeyFile string

	// PartSize is the size of the first parts of uploads, in bytes; 0 is 8 MiB. It is
	// from 5 MiB to 1 GiB.
	PartSize int64
	// Buffers is the memory in bytes that all transfers together may hold; 0 is
	// 512 MiB. It is at least 64 MiB, and eight parts.
	Buffers int64
	// MinRate is how many bytes a second the store has to take or give on each
	// connection, on the average of half a minute; what is slower is taken for hung and
	// tried again. 0 is one byte in half a minute.
	MinRate int64
	// Expiry is how long an interrupted upload waits to be resumed; 0 is 24 hours.
	// It is at least two hours, since running uploads show a sign of life each hour.
	Expiry time.Duration
	// MaxParked is how many interrupted uploads one owner may have, 0 is 1000, and
	// MaxParkedSize how many bytes in them, 0 is no limit. What is beyond goes, the oldest
	// first.
	MaxParked     int
	MaxParkedSize int64
	// Logger gets warnings; nil discards them.
	Logger *slog.Logger

	tuning tuning
}
