package s3

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"time"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/ftpgate/ftpgate/vfs"
)

// errChanged ends a download whose object was replaced meanwhile.
var errChanged = errors.New("the object changed while it was read")

// storeError is what the store answered, or why it did not, without keys and URLs.
type storeError struct {
	action  string // S3's name of the operation
	status  int    // HTTP status; 0: no answer came
	code    string // S3's error code, if the answer had a body
	request string // request id
	network error  // for status 0
	kind    error  // its meaning for a vfs.FS; nil: the store is broken
}

func (e *storeError) Error() string {
	text := "S3 " + e.action + ": "
	switch {
	case e.status == 0:
		text += fmt.Sprint(e.network)
	case e.code == "":
		text += fmt.Sprint(e.status, " ", http.StatusText(e.status))
	default:
		text += fmt.Sprint(e.status, " ", e.code)
	}
	if e.request != "" {
		text += " (request " + e.request + ")"
	}
	if e.kind != nil {
		text = e.kind.Error() + ": " + text
	}
	return text
}

func (e *storeError) Unwrap() error { return e.kind }

// asStoreError translates an error of the SDK; others are nil.
func asStoreError(err error) *storeError {
	var own *storeError
	if errors.As(err, &own) {
		return own
	}
	var op *smithy.OperationError
	if !errors.As(err, &op) {
		return nil
	}
	e := &storeError{action: op.Operation()}
	var answer *smithyhttp.ResponseError
	if errors.As(err, &answer) {
		e.status = answer.HTTPStatusCode()
		if answer.Response != nil {
			e.request = answer.Response.Header.Get("X-Amz-Request-Id")
		}
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		// HEAD has no body; the SDK makes a code of the status.
		if e.code = api.ErrorCode(); e.code == http.StatusText(e.status) || e.code == "UnknownError" {
			e.code = ""
		}
	}
	if e.status == http.StatusForbidden && e.code == "" && skewed(answer) {
		e.code = "RequestTimeTooSkewed"
	}
	if e.status == 0 || e.status/100 == 2 {
		e.status, e.network = 0, plainCause(err)
	}
	e.kind = kindOf(e.status, e.code)
	return e
}

// maxSkew is how far apart the clocks may be for S3.
const maxSkew = 15 * time.Minute

// skewed reports whether the answer's clock differs so much from ours that the store
// refuses all requests. HEAD says it by the status alone.
func skewed(answer *smithyhttp.ResponseError) bool {
	if answer == nil || answer.Response == nil {
		return false
	}
	at, err := http.ParseTime(answer.Response.Header.Get("Date"))
	return err == nil && time.Since(at).Abs() > maxSkew
}

// plainCause is the innermost error that still says what happened, without the
// URL, which holds the key.
func plainCause(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	var send *smithyhttp.RequestSendError
	if errors.As(err, &send) {
		return send.Err
	}
	var op *smithy.OperationError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// kindOf gives an answer its meaning. The status decides, because servers agree on
// it and HEAD has nothing else; codes only tell apart what shares a status.
func kindOf(status int, code string) error {
	switch code {
	case "QuotaExceeded", "XMinioAdminBucketQuotaExceeded", "XMinioStorageFull":
		return vfs.ErrNoSpace
	case "EntityTooLarge":
		return vfs.ErrTooLarge
	case "KeyTooLongError", "InvalidObjectName", "XMinioInvalidObjectName":
		return fs.ErrInvalid
	case "InvalidObjectState":
		return vfs.ErrOffline
	case "ObjectParentIsFile", "XMinioParentIsObject":
		return vfs.ErrNotDir
	case "ExistingObjectIsDirectory", "XMinioObjectExistsAsDirectory":
		return vfs.ErrIsDir
	case "DirectoryNotEmpty":
		return vfs.ErrNotEmpty
	case "RequestTimeTooSkewed", "ExpiredToken", "InvalidToken", "TokenRefreshRequired", "SignatureDoesNotMatch", "InvalidAccessKeyId":
		return nil // that is about the gateway, and not about what its user may do
	case "SlowDown", "ServiceUnavailable", "OperationAborted", "ConditionalRequestConflict", "RequestTimeout":
		return vfs.ErrBusy
	}
	switch status {
	case http.StatusNotFound:
		return fs.ErrNotExist
	case http.StatusForbidden, http.StatusUnauthorized, http.StatusMethodNotAllowed:
		return fs.ErrPermission
	case http.StatusPreconditionFailed:
		return fs.ErrExist
	case http.StatusConflict, http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return vfs.ErrBusy
	case http.StatusInsufficientStorage:
		return vfs.ErrNoSpace
	case http.StatusRequestEntityTooLarge:
		return vfs.ErrTooLarge
	case http.StatusNotImplemented:
		return errors.ErrUnsupported
	}
	return nil
}

// status is the HTTP status of the answer that err stands for; 0 if there was
// none.
func status(err error) int {
	if e := asStoreError(err); e != nil {
		return e.status
	}
	return 0
}

// uncertain reports whether the store may have done what it did not confirm.
func uncertain(err error) bool {
	e := asStoreError(err)
	return e != nil && (e.status == 0 || e.status >= 500 && e.status != http.StatusNotImplemented)
}

// fail makes err the error of the operation op on the caller's name.
func (f *FS) fail(ctx context.Context, op, name string, err error) error {
	if err == nil {
		return nil
	}
	if done := vfs.ContextError(ctx, op, name); done != nil {
		return done
	}
	if e := asStoreError(err); e != nil {
		err = e
	}
	return vfs.PathError(op, name, err)
}
