package s3fake

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"hash/crc32"
	"hash/crc64"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// object is never changed once it is stored.
type object struct {
	data    []byte
	etag    string // with its quotes
	modTime time.Time
	header  http.Header       // of content and metadata
	crc     string            // CRC64NVME of the whole, as S3 writes it; "" if the client sent none
	tags    string            // as a query string
	sums    map[string]string // headers of checksums that another client stored
	lock    string            // MD5 of the customer's key, "" for none
}

// etag is the entity tag of content that came in one piece.
func (s *Server) etag(data []byte) string {
	sum := md5.Sum(data)
	if s.opt.OpaqueETags {
		sum[0] ^= 0xff
	}
	return `"` + hex.EncodeToString(sum[:]) + `"`
}

// lockedETag is etag for content that may be encrypted with a customer's key.
func (s *Server) lockedETag(data []byte, lock string) string {
	if lock != "" {
		data = append([]byte(lock), data...)
	}
	return s.etag(data)
}

// keptHeaders are the headers of a PUT that a GET gives back.
func keptHeaders(h http.Header) http.Header {
	kept := http.Header{}
	for k, v := range h {
		switch {
		case strings.HasPrefix(k, "X-Amz-Meta-"):
			kept[k] = v
		case k == "Content-Type", k == "Cache-Control", k == "Content-Disposition", k == "Content-Encoding",
			k == "Content-Language", k == "Expires", k == "X-Amz-Storage-Class", k == "X-Amz-Acl",
			k == "X-Amz-Server-Side-Encryption", k == "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id":
			kept[k] = v
		}
	}
	if kept.Get("Content-Type") == "" {
		kept.Set("Content-Type", "binary/octet-stream")
	}
	return kept
}

func crc64NVME(data []byte) string {
	sum := crc64.Checksum(data, crc64.MakeTable(0x9a6c9329ac4bc9b5))
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, sum))
}

// body reads the body of a request and checks it against all hashes that came
// with it.
func (s *Server) body(q *request) ([]byte, *apiError) {
	h := q.r.Header
	if q.r.ContentLength < 0 {
		return nil, &apiError{411, "MissingContentLength", "You must provide the Content-Length HTTP header."}
	}
	data := make([]byte, q.r.ContentLength)
	if _, err := io.ReadFull(q.r.Body, data); err != nil {
		return nil, &apiError{400, "IncompleteBody", "You did not provide the number of bytes specified by the Content-Length HTTP header"}
	}
	switch want := h.Get("X-Amz-Content-Sha256"); {
	case want == "UNSIGNED-PAYLOAD":
	case len(want) != 64:
		return nil, &apiError{501, "NotImplemented", "x-amz-content-sha256: " + want}
	default:
		if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != want {
			return nil, &apiError{400, "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed."}
		}
	}
	if want := h.Get("Content-Md5"); want != "" {
		if sum := md5.Sum(data); base64.StdEncoding.EncodeToString(sum[:]) != want {
			return nil, errBadDigest
		}
	}
	return data, s.checksums(h, data)
}

// checksums checks the flexible checksums of a body.
func (s *Server) checksums(h http.Header, data []byte) *apiError {
	for k := range h {
		k = strings.ToLower(k)
		if s.opt.RefuseChecksums && (strings.HasPrefix(k, "x-amz-checksum-") || k == "x-amz-sdk-checksum-algorithm" || k == "x-amz-trailer") {
			return &apiError{501, "NotImplemented", "A header you provided implies functionality that is not implemented: " + k}
		}
		var got string
		switch k {
		case "x-amz-checksum-crc64nvme":
			got = crc64NVME(data)
		case "x-amz-checksum-crc32":
			got = base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(data)))
		default:
			continue
		}
		if got != h.Get(k) {
			return errBadDigest
		}
	}
	return nil
}

// condition checks If-Match and If-None-Match of a change; called with the lock
// held.
func (s *Server) condition(q *request) *apiError {
	match, none := q.r.Header.Get("If-Match"), q.r.Header.Get("If-None-Match")
	if s.opt.IgnoreConditions {
		return nil
	}
	o := s.objects[q.key]
	switch {
	case none != "" && none != "*":
		return &apiError{501, "NotImplemented", "If-None-Match with a value other than * is not implemented"}
	case none == "*" && o != nil:
		return errPrecondition
	case match != "" && o == nil:
		return errNoSuchKey
	case match != "" && o.etag != match:
		return errPrecondition
	}
	return nil
}

func (s *Server) putObject(w http.ResponseWriter, q *request) *apiError {
	data, err := s.body(q)
	if err != nil {
		return err
	}
	lock, err := customer(q.r.Header, "X-Amz-")
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.condition(q); err != nil {
		return err
	}
	o := &object{data: data, lock: lock, etag: s.lockedETag(data, lock), header: keptHeaders(q.r.Header),
		crc: q.r.Header.Get("X-Amz-Checksum-Crc64nvme"), tags: q.r.Header.Get("X-Amz-Tagging")}
	s.store(q.key, o)
	w.Header().Set("ETag", o.etag)
	w.WriteHeader(200)
	return nil
}

// getObject serves HEAD too.
func (s *Server) getObject(w http.ResponseWriter, q *request) *apiError {
	s.mu.Lock()
	o := s.objects[q.key]
	s.mu.Unlock()
	h := q.r.Header
	switch {
	case o == nil:
		return errNoSuchKey
	case h.Get("If-Match") != "" && h.Get("If-Match") != o.etag:
		return errPrecondition
	case h.Get("If-None-Match") != "":
		return &apiError{501, "NotImplemented", "If-None-Match of GET"}
	case o.header.Get("X-Amz-Storage-Class") == "GLACIER" && q.r.Method == "GET":
		return &apiError{403, "InvalidObjectState", "The operation is not valid for the object's storage class"}
	}
	if err := unlocks(h, "X-Amz-", o.lock); err != nil {
		return err
	}
	size := int64(len(o.data))
	first, last, status, err := byteRange(h.Get("Range"), size)
	if err != nil {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", size))
		return err
	}
	for k, v := range o.header {
		w.Header()[k] = v
	}
	w.Header().Set("ETag", o.etag)
	w.Header().Set("Last-Modified", o.modTime.Format(http.TimeFormat))
	w.Header().Set("Accept-Ranges", "bytes")
	w.Header().Set("Content-Length", strconv.FormatInt(last-first+1, 10))
	if h.Get("X-Amz-Checksum-Mode") == "ENABLED" && status == 200 {
		if o.crc != "" {
			w.Header().Set("x-amz-checksum-crc64nvme", o.crc)
			w.Header().Set("x-amz-checksum-type", "FULL_OBJECT")
		}
		for k, v := range o.sums {
			w.Header().Set(k, v)
		}
	}
	if o.lock != "" {
		w.Header().Set("x-amz-server-side-encryption-customer-algorithm", "AES256")
		w.Header().Set("x-amz-server-side-encryption-customer-key-MD5", o.lock)
	}
	if tags, err := url.ParseQuery(o.tags); err == nil && len(tags) > 0 {
		w.Header().Set("x-amz-tagging-count", strconv.Itoa(len(tags)))
	}
	if status == http.StatusPartialContent {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, size))
	}
	w.WriteHeader(status)
	if q.r.Method == "GET" {
		// In pieces, as a network would: faults cut between them.
		io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{bytes.NewReader(o.data[first : last+1])}, make([]byte, 64<<10))
	}
	return nil
}

// byteRange parses a Range header of one range.
func byteRange(header string, size int64) (first, last int64, status int, err *apiError) {
	if header == "" {
		return 0, size - 1, 200, nil
	}
	bad := &apiError{501, "NotImplemented", "Range: " + header}
	spec, ok := strings.CutPrefix(header, "bytes=")
	from, to, ok2 := strings.Cut(spec, "-")
	first, perr := strconv.ParseInt(from, 10, 64)
	if !ok || !ok2 || perr != nil {
		return 0, 0, 0, bad
	}
	last = size - 1
	if to != "" {
		n, perr := strconv.ParseInt(to, 10, 64)
		if perr != nil || n < first {
			return 0, 0, 0, bad
		}
		last = min(last, n)
	}
	if first >= size {
		return 0, 0, 0, errRange
	}
	return first, last, http.StatusPartialContent, nil
}

func (s *Server) deleteObject(w http.ResponseWriter, q *request) *apiError {
	if q.r.Header.Get("If-Match") != "" {
		return &apiError{501, "NotImplemented", "If-Match of DELETE"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(q.key)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) deleteObjects(w http.ResponseWriter, q *request) *apiError {
	data, aerr := s.body(q)
	if aerr != nil {
		return aerr
	}
	if q.r.Header.Get("Content-Md5") == "" && q.r.Header.Get("X-Amz-Checksum-Crc64nvme") == "" && q.r.Header.Get("X-Amz-Checksum-Crc32") == "" {
		return &apiError{400, "InvalidRequest", "Missing required header for this request: Content-MD5 OR x-amz-checksum-*"}
	}
	var in struct {
		Quiet   bool
		Objects []struct{ Key string } `xml:"Object"`
	}
	if err := readXML(bytes.NewReader(data), &in); err != nil {
		return err
	}
	if len(in.Objects) == 0 || len(in.Objects) > 1000 {
		return &apiError{400, "MalformedXML", "The XML you provided was not well-formed"}
	}
	type deleted struct{ Key string }
	var out struct {
		XMLName xml.Name  `xml:"DeleteResult"`
		Deleted []deleted `xml:"Deleted"`
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range in.Objects {
		s.remove(o.Key)
		if !in.Quiet {
			out.Deleted = append(out.Deleted, deleted{o.Key})
		}
	}
	writeXML(w, 200, out)
	return nil
}

func (s *Server) getTagging(w http.ResponseWriter, q *request) *apiError {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.objects[q.key]
	if o == nil {
		return errNoSuchKey
	}
	type tag struct{ Key, Value string }
	var out struct {
		XMLName xml.Name `xml:"Tagging"`
		Tags    []tag    `xml:"TagSet>Tag"`
	}
	tags, _ := url.ParseQuery(o.tags)
	for k := range tags {
		out.Tags = append(out.Tags, tag{k, tags.Get(k)})
	}
	writeXML(w, 200, out)
	return nil
}

func (s *Server) headBucket(w http.ResponseWriter, q *request) *apiError {
	w.Header().Set("x-amz-bucket-region", s.opt.Region)
	w.WriteHeader(200)
	return nil
}
