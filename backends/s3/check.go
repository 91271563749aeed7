package s3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

var (
	errCheckTime     = errors.New("the store did not answer in time")
	errNoCredentials = errors.New("no credentials")
	errNoRegion      = errors.New("no region")
)

// fewTries bounds the retries while somebody waits at a terminal.
func fewTries(o *awss3.Options) { o.RetryMaxAttempts = 2 }

// check asks the bucket for one key: that shows whether it can be reached, exists
// and may be listed. HeadBucket would need more rights and could not tell wrong
// credentials from missing ones.
func (f *FS) check(ctx context.Context) error {
	o := f.client.Options()
	if o.Region == "" {
		return errNoRegion
	}
	if _, err := o.Credentials.Retrieve(ctx); err != nil {
		return fmt.Errorf("%w: %w", errNoCredentials, err)
	}
	out, err := f.client.ListObjectsV2(ctx, &awss3.ListObjectsV2Input{
		Bucket: &f.bucket, Prefix: &f.prefix, MaxKeys: aws.Int32(1), EncodingType: types.EncodingTypeUrl,
	}, fewTries)
	if err == nil {
		f.facts.plainKeys = out.EncodingType != types.EncodingTypeUrl
	}
	return err
}

// problem turns an error of the start into one line that says what to do.
func (o *Options) problem(ctx context.Context, client *awss3.Client, err error) error {
	where := "the S3 endpoint"
	if o.Endpoint != "" {
		where = o.Endpoint
	} else if client != nil && client.Options().BaseEndpoint != nil {
		where = *client.Options().BaseEndpoint
	}
	if u, err := url.Parse(where); err == nil { // the environment's may hold a password
		where = u.Redacted()
	}
	return fmt.Errorf("s3://%s: %s", o.Bucket, o.advice(ctx, where, err))
}

func (o *Options) advice(ctx context.Context, where string, err error) string {
	var profile config.SharedConfigProfileNotExistError
	e := asStoreError(err)
	switch {
	case errors.As(err, &profile):
		return fmt.Sprintf("the profile %q is not in the AWS configuration files; correct profile= or add it to ~/.aws/config", o.Profile)
	case errors.Is(err, errNoRegion):
		return "the region is not known; add region= to the URL or set AWS_REGION"
	case errors.Is(err, errNoCredentials) && (ctx.Err() == nil || context.Cause(ctx) == errCheckTime):
		return "no credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a profile with profile=NAME, or give the machine a role"
	case errors.Is(context.Cause(ctx), errCheckTime):
		return fmt.Sprintf("%s did not answer within %v; check endpoint= and the network", where, o.tuning.check)
	case ctx.Err() != nil:
		return context.Cause(ctx).Error()
	case e == nil:
		return err.Error()
	case e.status == 0:
		return networkAdvice(where, e.network)
	}
	if region := regionOf(err); region != "" && (e.status == 301 || e.status == 307 || e.status == 400) {
		return fmt.Sprintf("the bucket is in the region %s; add region=%s to the URL", region, region)
	}
	return answerAdvice(where, e)
}

func answerAdvice(where string, e *storeError) string {
	switch e.code {
	case "NoSuchBucket":
		return "there is no such bucket at " + where + "; create it or correct its name"
	case "InvalidAccessKeyId":
		return where + " does not know the access key; check AWS_ACCESS_KEY_ID or the profile"
	case "SignatureDoesNotMatch":
		return where + " refuses the secret key; check AWS_SECRET_ACCESS_KEY or the profile"
	case "RequestTimeTooSkewed":
		return "the clock of this machine differs too much from the one of " + where + "; set it"
	case "ExpiredToken", "InvalidToken", "TokenRefreshRequired":
		return "the session token has expired or is wrong; renew AWS_SESSION_TOKEN or log in again"
	case "AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException":
		return "the region is wrong; add the bucket's own as region= to the URL"
	case "AccessDenied", "AllAccessDisabled":
		return "these credentials may not list the bucket; grant s3:ListBucket, or use others"
	}
	switch e.status {
	case http.StatusNotFound:
		return "there is no such bucket at " + where + ", or it is not an S3 server; check the bucket and endpoint="
	case http.StatusForbidden, http.StatusUnauthorized:
		return where + " refuses these credentials; check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile"
	case http.StatusMovedPermanently, http.StatusTemporaryRedirect:
		return where + " sends us elsewhere; check endpoint= and region="
	}
	return fmt.Sprintf("%s answers %v; check endpoint= and the server", where, e)
}

// regionOf is the bucket's region, if the answer tells it.
func regionOf(err error) string {
	var answer *smithyhttp.ResponseError
	if errors.As(err, &answer) && answer.Response != nil {
		return answer.Response.Header.Get("X-Amz-Bucket-Region")
	}
	return ""
}

func networkAdvice(where string, err error) string {
	var (
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		record    tls.RecordHeaderError
		dns       *net.DNSError
	)
	text := err.Error()
	switch {
	case errors.As(err, &authority):
		return "the certificate of " + where + " is not trusted; name its authority's file in AWS_CA_BUNDLE"
	case errors.As(err, &host):
		return "the certificate of " + where + " is for another name: " + host.Error()
	case errors.As(err, &record), strings.Contains(text, "HTTP response to HTTPS client"):
		return where + " does not speak TLS; write endpoint=http://…"
	case errors.As(err, &dns):
		return fmt.Sprintf("the name %s of the S3 endpoint is not known; check endpoint= and region=, or add path_style=true", dns.Name)
	}
	return fmt.Sprintf("%s cannot be reached (%s); check endpoint= and that the server runs", where, text)
}
