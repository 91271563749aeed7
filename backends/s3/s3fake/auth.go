package s3fake

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// maxSkew is how far a client's clock may be off.
const maxSkew = 15 * time.Minute

// authorize checks the signature (AWS4-HMAC-SHA256 in the Authorization header)
// by signing the same request with the same key. The hash of the body, which the
// signature covers, is checked where the body is read.
func (s *Server) authorize(q *request) *apiError {
	r := q.r
	fields := map[string]string{}
	alg, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if alg == "" {
		return &apiError{403, "AccessDenied", "Access Denied"}
	}
	for f := range strings.SplitSeq(rest, ",") {
		k, v, _ := strings.Cut(strings.TrimSpace(f), "=")
		fields[k] = v
	}
	cred := strings.Split(fields["Credential"], "/") // key/date/region/service/aws4_request
	if alg != "AWS4-HMAC-SHA256" || len(cred) != 5 {
		return &apiError{400, "AuthorizationHeaderMalformed", "The authorization header is malformed"}
	}
	switch {
	case cred[0] != s.opt.AccessKey:
		return &apiError{403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."}
	case cred[2] != s.opt.Region:
		return &apiError{400, "AuthorizationHeaderMalformed",
			fmt.Sprintf("The authorization header is malformed; the region '%s' is wrong; expecting '%s'", cred[2], s.opt.Region)}
	}
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil {
		return &apiError{403, "AccessDenied", "AWS authentication requires a valid Date or x-amz-date header"}
	}
	if s.opt.Now().Sub(at).Abs() > maxSkew {
		return &apiError{403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large."}
	}
	if r.Header.Get("X-Amz-Content-Sha256") == "" {
		return &apiError{400, "InvalidRequest", "Missing required header for this request: x-amz-content-sha256"}
	}
	want, err := s.sign(r, strings.Split(fields["SignedHeaders"], ";"), at)
	if err != nil || want != r.Header.Get("Authorization") {
		return &apiError{403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided."}
	}
	return nil
}

func (s *Server) sign(r *http.Request, signed []string, at time.Time) (string, error) {
	c, err := http.NewRequest(r.Method, "http://"+r.Host+r.RequestURI, nil)
	if err != nil {
		return "", err
	}
	for _, h := range signed {
		switch h {
		case "host":
		case "content-length":
			c.ContentLength = r.ContentLength
		default:
			c.Header[http.CanonicalHeaderKey(h)] = r.Header.Values(h)
		}
	}
	creds := aws.Credentials{AccessKeyID: s.opt.AccessKey, SecretAccessKey: s.opt.SecretKey}
	err = v4.NewSigner().SignHTTP(context.Background(), creds, c, r.Header.Get("X-Amz-Content-Sha256"), "s3", s.opt.Region, at,
		func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	return c.Header.Get("Authorization"), err
}
