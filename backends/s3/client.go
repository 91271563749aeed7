package s3

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"
)

// profile is what the dialect of a store asks for.
type profile struct {
	provider   Provider
	crc64      bool // CRC64NVME of the whole object, declared when an upload begins
	equalParts bool // all parts but the last have one size
}

func (p Provider) profile() profile {
	return profile{provider: p, crc64: p == AWS, equalParts: p == R2}
}

// newClient builds the client, the one place where the provider, the transport
// and the retries are decided. The context bounds what the default chain asks of
// files and metadata services.
func newClient(ctx context.Context, o Options) (*awss3.Client, profile, error) {
	t := o.tuning
	transport := awshttp.NewBuildableClient().WithDialerOptions(func(d *net.Dialer) {
		d.Timeout = 3 * time.Second
	})
	load := []func(*config.LoadOptions) error{
		config.WithHTTPClient(transport), // LoadDefaultConfig adds AWS_CA_BUNDLE to it
		config.WithLogger(logging.Nop{}),
	}
	if o.Profile != "" {
		load = append(load, config.WithSharedConfigProfile(o.Profile))
	}
	if o.Region != "" {
		load = append(load, config.WithRegion(o.Region))
	}
	if o.Credentials != nil {
		load = append(load, config.WithCredentialsProvider(o.Credentials))
	}
	headers, err := o.requestHeaders()
	if err != nil {
		return nil, profile{}, err
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, profile{}, err
	}
	if o.Role != "" {
		cfg.Credentials = assume(cfg, o)
	}
	if b, ok := cfg.HTTPClient.(*awshttp.BuildableClient); ok {
		transport = b
	}
	tr := transport.GetTransport()
	if t.dial != nil {
		tr.DialContext = t.dial
	}
	var p profile
	client := awss3.NewFromConfig(cfg, func(c *awss3.Options) {
		p = applyProvider(c, o)
		c.HTTPClient = &stallGuard{next: httpClient(tr), stall: t.stall, slow: t.slow, rate: o.MinRate}
		c.Retryer = newRetryer(t)
		c.ContinueHeaderThresholdBytes = -1 // it costs a round trip for each part
		c.DisableLogOutputChecksumValidationSkipped = true
		// Over TLS the payload needs no hash of its own: MD5 or CRC64 secure it.
		c.APIOptions = append(c.APIOptions, v4.UseDynamicPayloadSigningMiddleware, headers.middleware)
	})
	return client, p, nil
}

// assume takes the role with the credentials that the configuration leads to.
func assume(cfg aws.Config, o Options) aws.CredentialsProvider {
	return aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), o.Role, func(r *stscreds.AssumeRoleOptions) {
		r.RoleSessionName = "ftpgate"
		if o.ExternalID != "" {
			r.ExternalID = &o.ExternalID
		}
	}))
}

// httpClient makes the transport fit for many parallel streams.
func httpClient(tr *http.Transport) *http.Client {
	// HTTP/2 would put all streams on one connection, and the usual number of
	// idle connections would make every few parts dial again.
	tr.Protocols = new(http.Protocols)
	tr.Protocols.SetHTTP1(true)
	tr.ForceAttemptHTTP2 = false
	tr.MaxIdleConns = 0
	tr.MaxIdleConnsPerHost = 256
	tr.MaxConnsPerHost = 0
	tr.WriteBufferSize = chunkSize
	tr.ReadBufferSize = chunkSize
	return &http.Client{
		Transport: tr,
		// A redirected request would carry a signature for another host.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// applyProvider sets what depends on the dialect, which depends on whether there
// is an endpoint, in the options or in the environment.
func applyProvider(c *awss3.Options, o Options) profile {
	if o.Endpoint != "" {
		c.BaseEndpoint = aws.String(o.Endpoint)
	}
	provider := o.Provider
	if provider == "" {
		if provider = AWS; c.BaseEndpoint != nil {
			provider = Generic
		}
	}
	if c.UsePathStyle = c.BaseEndpoint != nil; o.PathStyle != nil {
		c.UsePathStyle = *o.PathStyle
	}
	if c.Region == "" {
		switch {
		case provider == R2:
			c.Region = "auto"
		case c.BaseEndpoint != nil:
			c.Region = "us-east-1"
		}
	}
	// Many stores refuse checksums that nobody asked for.
	c.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
	c.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	if provider == AWS {
		c.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenSupported
		c.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenSupported
	}
	return provider.profile()
}

// newRetryer retries what is worth it, by its own time table: without the SDK's
// quota, which is shared by all requests and would turn a slow minute of the store
// into failures of unrelated sessions.
func newRetryer(t tuning) aws.Retryer {
	return retry.NewStandard(func(so *retry.StandardOptions) {
		so.MaxAttempts = t.attempts
		so.RateLimiter = ratelimit.None
		so.Backoff = retry.BackoffDelayerFunc(func(attempt int, _ error) (time.Duration, error) {
			return t.delay(attempt), nil
		})
		so.Retryables = append(so.Retryables, retry.RetryableHTTPStatusCode{
			Codes: map[int]struct{}{http.StatusTooManyRequests: {}},
		}, retry.IsErrorRetryableFunc(brokenOff))
	})
}

// brokenOff retries an answer that ended in the middle.
func brokenOff(err error) aws.Ternary {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return aws.TrueTernary
	}
	return aws.UnknownTernary
}

// maxBackoff is the longest pause between two tries.
const maxBackoff = 5 * time.Second

// delay is the pause before the next try: between half and all of a time that
// doubles with each.
func (t tuning) delay(attempt int) time.Duration {
	d := min(t.backoff<<min(attempt, 10), maxBackoff)
	return d/2 + rand.N(d/2+1)
}

// pause waits before the next try, or less if ctx is done.
func (t tuning) pause(ctx context.Context, attempt int) {
	timer := time.NewTimer(t.delay(attempt))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
