package s3fake

import (
	"encoding/xml"
	"io"
	"net/http"
	"strconv"
)

// apiError is an answer other than success.
type apiError struct {
	status        int
	code, message string
}

func (e *apiError) write(w http.ResponseWriter, q *request) {
	if e.code == "AuthorizationHeaderMalformed" || e.code == "PermanentRedirect" {
		w.Header().Set("x-amz-bucket-region", q.region)
	}
	if q.r.Method == "HEAD" || e.status == http.StatusNotModified {
		w.WriteHeader(e.status) // HEAD has no body, and so no code
		return
	}
	body := struct {
		XMLName   xml.Name `xml:"Error"`
		Code      string
		Message   string
		Resource  string
		RequestID string `xml:"RequestId"`
	}{Code: e.code, Message: e.message, Resource: q.r.URL.Path, RequestID: q.id}
	writeXML(w, e.status, body)
}

func writeXML(w http.ResponseWriter, status int, body any) {
	data, err := xml.Marshal(body)
	if err != nil {
		// Some key can't be said in XML: the answer is broken, as with real servers.
		data = []byte(err.Error())
	}
	data = append([]byte(xml.Header), data...)
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	w.WriteHeader(status)
	w.Write(data)
}

func readXML(r io.Reader, into any) *apiError {
	if err := xml.NewDecoder(r).Decode(into); err != nil {
		return &apiError{400, "MalformedXML", "The XML you provided was not well-formed"}
	}
	return nil
}

var (
	errNoSuchKey    = &apiError{404, "NoSuchKey", "The specified key does not exist."}
	errNoSuchUpload = &apiError{404, "NoSuchUpload", "The specified upload does not exist."}
	errPrecondition = &apiError{412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold"}
	errRange        = &apiError{416, "InvalidRange", "The requested range is not satisfiable"}
	errTooLarge     = &apiError{400, "InvalidRequest", "The specified copy source is larger than the maximum allowable size for a copy source"}
	errBadDigest    = &apiError{400, "BadDigest", "The Content-MD5 or checksum value that you specified did not match what the server received."}
)
