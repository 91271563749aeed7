package s3

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"net/http"
	"slices"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// requestHeaders adds what the options ask of every request that it concerns, the
// gateway's own objects included: who pays, and how what is written is encrypted.
type requestHeaders struct {
	payer       bool
	encryption  Encryption
	kmsKey      string
	customerKey []byte // of CustomerEncryption
}

func (o *Options) requestHeaders() (h *requestHeaders, err error) {
	h = &requestHeaders{payer: o.RequesterPays, encryption: o.Encryption, kmsKey: o.KMSKey}
	if o.Encryption == CustomerEncryption {
		h.customerKey, err = o.customerKey()
	}
	return h, err
}

// middleware puts the headers in before the request is signed.
func (h *requestHeaders) middleware(stack *middleware.Stack) error {
	return stack.Build.Add(middleware.BuildMiddlewareFunc("ftpgate:headers", func(
		ctx context.Context, in middleware.BuildInput, next middleware.BuildHandler,
	) (middleware.BuildOutput, middleware.Metadata, error) {
		if req, ok := in.Request.(*smithyhttp.Request); ok {
			h.add(awsmiddleware.GetOperationName(ctx), req.Header)
		}
		return next.HandleBuild(ctx, in)
	}), middleware.After)
}

func (h *requestHeaders) add(operation string, to http.Header) {
	if h.payer {
		to.Set("x-amz-request-payer", "requester")
	}
	if h.encryption == BucketEncryption {
		return
	}
	const scheme = "x-amz-server-side-encryption"
	begins := slices.Contains([]string{"PutObject", "CreateMultipartUpload", "CopyObject"}, operation)
	if begins { // not what the source of a copy had
		to.Del(scheme)
		to.Del(scheme + "-aws-kms-key-id")
	}
	switch h.encryption {
	case CustomerEncryption:
		if begins || slices.Contains([]string{"GetObject", "HeadObject", "UploadPart", "UploadPartCopy"}, operation) {
			h.addKey(to, "x-amz-")
		}
		if operation == "CopyObject" || operation == "UploadPartCopy" {
			h.addKey(to, "x-amz-copy-source-")
		}
		return
	case S3Encryption, KMSEncryption, DoubleKMSEncryption:
		if !begins {
			return
		}
	}
	to.Set(scheme, map[Encryption]string{S3Encryption: "AES256", KMSEncryption: "aws:kms", DoubleKMSEncryption: "aws:kms:dsse"}[h.encryption])
	if h.kmsKey != "" {
		to.Set(scheme+"-aws-kms-key-id", h.kmsKey)
	}
}

// addKey hands the customer's key on.
func (h *requestHeaders) addKey(to http.Header, prefix string) {
	sum := md5.Sum(h.customerKey)
	to.Set(prefix+"server-side-encryption-customer-algorithm", "AES256")
	to.Set(prefix+"server-side-encryption-customer-key", base64.StdEncoding.EncodeToString(h.customerKey))
	to.Set(prefix+"server-side-encryption-customer-key-md5", base64.StdEncoding.EncodeToString(sum[:]))
}
