package s3

import (
	"context"
	"log/slog"
	"net"
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
	// maxPrefix leaves room in a key for the names of the gateway's own objects.
	maxPrefix = 800
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
	// Credentials are for programs that have their own; nil is the SDK's default
	// chain: environment, profile, role.
	Credentials aws.CredentialsProvider
	// ReadOnly opens the bucket without writing to it, not even to learn which
	// conditional writes it knows. Changes then fail with fs.ErrPermission.
	ReadOnly bool
	// Buffers is the memory in bytes that all transfers together may hold; 0 is
	// 512 MiB. It is at least 64 MiB.
	Buffers int64
	// Expiry is how long an interrupted upload waits to be resumed; 0 is 24 hours.
	// It is at least two hours, since running uploads show a sign of life each hour.
	Expiry time.Duration
	// Logger gets warnings; nil discards them.
	Logger *slog.Logger

	tuning tuning
}

// tuning holds the sizes and times that tests scale down; zero fields take the
// values of withDefaults.
type tuning struct {
	part       int64         // first part of an upload, in bytes
	minPart    int64         // smallest part but the last that stores take
	copyLimit  int64         // largest object that CopyObject takes
	copyPart   int64         // smallest range of a copy in parts
	window     int64         // bytes of a download after which its streams are counted anew
	segment    int64         // first range that a download reads ahead; doubles
	maxSegment int64         // largest one
	eager      bool          // downloads add streams whether or not that helps
	renameKeys int           // most objects of a directory that is renamed
	stall      time.Duration // longest silence of a connection
	slow       time.Duration // longest wait for an answer to Complete and Copy
	bufferWait time.Duration // longest wait for memory
	cleanup    time.Duration // longest clean-up after a failure
	check      time.Duration // longest start
	backoff    time.Duration // before the first retry; doubles
	quiet      time.Duration // an upload that waits longer for its client may be taken over
	expiry     time.Duration // staged uploads that nobody touched for so long are swept
	attempts   int           // tries of one request
	// dial replaces the network.
	dial func(ctx context.Context, network, address string) (net.Conn, error)
}

func (t tuning) withDefaults() tuning {
	size := func(v *int64, d int64) {
		if *v == 0 {
			*v = d
		}
	}
	span := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	size(&t.part, 8<<20)
	size(&t.minPart, 5<<20)
	size(&t.copyLimit, 5<<30)
	size(&t.copyPart, 256<<20)
	size(&t.window, 1<<20)
	size(&t.segment, 2<<20)
	size(&t.maxSegment, 8<<20)
	span(&t.stall, 30*time.Second)
	span(&t.slow, 10*time.Minute)
	span(&t.bufferWait, 30*time.Second)
	span(&t.cleanup, 20*time.Second)
	span(&t.check, 10*time.Second)
	span(&t.quiet, 5*time.Second)
	span(&t.expiry, 24*time.Hour)
	span(&t.backoff, 100*time.Millisecond)
	if t.renameKeys == 0 {
		t.renameKeys = 10_000
	}
	if t.attempts == 0 {
		t.attempts = 6
	}
	return t
}
