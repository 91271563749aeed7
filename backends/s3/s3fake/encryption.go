package s3fake

import (
	"crypto/md5"
	"encoding/base64"
	"net/http"
	"slices"
)

// begins are the operations that say how an object is encrypted.
var begins = []string{"PutObject", "CreateMultipartUpload", "CopyObject"}

// policy refuses what the bucket's owner does not allow.
func (s *Server) policy(q *request) *apiError {
	h := q.r.Header
	if s.opt.RequesterPays && h.Get("X-Amz-Request-Payer") != "requester" {
		return &apiError{403, "AccessDenied", "Access Denied: requester pays"}
	}
	if want := s.opt.RequireEncryption; want != "" && slices.Contains(begins, q.op) && h.Get("X-Amz-Server-Side-Encryption") != want {
		return &apiError{403, "AccessDenied", "Access Denied: not encrypted"}
	}
	return nil
}

// customer reads the customer's key of a request: its MD5, "" if there is none.
func customer(h http.Header, prefix string) (string, *apiError) {
	key, sum := h.Get(prefix+"Server-Side-Encryption-Customer-Key"), h.Get(prefix+"Server-Side-Encryption-Customer-Key-Md5")
	if key == "" && sum == "" {
		return "", nil
	}
	raw, err := base64.StdEncoding.DecodeString(key)
	if err != nil || len(raw) != 32 || h.Get(prefix+"Server-Side-Encryption-Customer-Algorithm") != "AES256" {
		return "", &apiError{400, "InvalidArgument", "The secret key was invalid for the specified algorithm."}
	}
	if got := md5.Sum(raw); base64.StdEncoding.EncodeToString(got[:]) != sum {
		return "", &apiError{400, "InvalidArgument", "The calculated MD5 hash of the key did not match the hash that was provided."}
	}
	return sum, nil
}

// unlocks checks that a request brings the key that something is encrypted with.
func unlocks(h http.Header, prefix, with string) *apiError {
	sum, err := customer(h, prefix)
	switch {
	case err != nil:
		return err
	case sum == with:
		return nil
	case with == "":
		return &apiError{400, "InvalidRequest", "The encryption parameters are not applicable to this object."}
	case sum == "":
		return &apiError{400, "InvalidRequest", "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object."}
	}
	return &apiError{403, "AccessDenied", "Access Denied"}
}
