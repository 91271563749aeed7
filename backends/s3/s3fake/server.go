// Package s3fake is a small, strict S3 server for tests, in this process and in
// memory: it checks signatures, hashes and preconditions as Amazon's does, keeps
// the rules of multipart uploads, lists in pages, counts every request and every
// upload that was left open, and fails on demand (see [Fault]).
//
// What it does not know it refuses with 501, so that a test never passes because
// something was ignored.
package s3fake

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Options make the server behave like one or the other store; the zero value is
// a strict S3.
type Options struct {
	Bucket    string // "bucket" if empty
	Region    string // "us-east-1" if empty
	AccessKey string // "key" if empty
	SecretKey string // "secret" if empty

	IgnoreConditions bool  // If-Match and If-None-Match of PUT and Complete have no effect, as in older servers
	RefuseChecksums  bool  // x-amz-checksum headers are 501, as in stores without flexible checksums
	EqualParts       bool  // all parts but the last must have one size, as in R2
	PlainListing     bool  // encoding-type is ignored, as some servers do
	ReadOnly         bool  // every change is 403
	OpaqueETags      bool  // ETags are not MD5, as with KMS encryption
	RequesterPays    bool  // who does not offer to pay is refused
	PageLimit        int   // most keys in a page of a listing; 1000 if 0
	MinPart          int64 // smallest part but the last, in bytes; 5 MiB if 0
	MaxCopy          int64 // largest source of one copy, in bytes; 5 GiB if 0

	// RequireEncryption is the x-amz-server-side-encryption without which nothing is
	// stored.
	RequireEncryption string

	// Now is the server's clock; time.Now if nil.
	Now func() time.Time
}

func (o Options) withDefaults() Options {
	for _, f := range []struct {
		field *string
		value string
	}{{&o.Bucket, "bucket"}, {&o.Region, "us-east-1"}, {&o.AccessKey, "key"}, {&o.SecretKey, "secret"}} {
		if *f.field == "" {
			*f.field = f.value
		}
	}
	if o.PageLimit == 0 {
		o.PageLimit = 1000
	}
	if o.MinPart == 0 {
		o.MinPart = 5 << 20
	}
	if o.MaxCopy == 0 {
		o.MaxCopy = 5 << 30
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Server is an S3 server with one bucket. All methods may be called concurrently.
type Server struct {
	// URL is the endpoint, set by New.
	URL string

	opt     Options
	closing chan struct{}

	mu      sync.Mutex
	objects map[string]*object
	sorted  []string // the keys of objects, in order
	uploads map[string]*upload
	faults  []*Fault
	counts  map[string]int
	serial  int
}

// New starts a server on a free loopback port; t's clean-up stops it.
func New(t testing.TB, opt Options) *Server {
	s := NewHandler(opt)
	h := httptest.NewServer(s)
	s.URL = h.URL
	t.Cleanup(func() {
		close(s.closing) // stalled requests go first, Close waits for them
		h.Close()
	})
	return s
}

// NewHandler returns a server that the caller connects to a listener.
func NewHandler(opt Options) *Server {
	return &Server{
		opt: opt.withDefaults(), closing: make(chan struct{}),
		objects: map[string]*object{}, uploads: map[string]*upload{}, counts: map[string]int{},
	}
}

// Bucket is the name of the bucket.
func (s *Server) Bucket() string { return s.opt.Bucket }

// Counts returns how many requests came of each S3 operation, by name, since the
// start or the last ResetCounts.
func (s *Server) Counts() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.counts)
}

// ResetCounts sets all counts to zero.
func (s *Server) ResetCounts() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.counts)
}

// OpenUploads returns the keys of the multipart uploads that were neither
// completed nor aborted, sorted.
func (s *Server) OpenUploads() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := []string{}
	for _, u := range s.uploads {
		keys = append(keys, u.key)
	}
	slices.Sort(keys)
	return keys
}

// AbortUploads drops all open multipart uploads directly.
func (s *Server) AbortUploads() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.uploads)
}

// Keys returns the keys of all objects, sorted.
func (s *Server) Keys() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sorted)
}

// Put stores an object directly, without a request.
func (s *Server) Put(key string, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store(key, &object{data: data, etag: s.etag(data)})
}

// PutAll stores empty objects directly.
func (s *Server) PutAll(keys ...string) {
	for _, k := range keys {
		s.Put(k, nil)
	}
}

// Delete removes an object directly, without a request.
func (s *Server) Delete(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(key)
}

// Get returns the content of an object.
func (s *Server) Get(key string) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.objects[key]
	if !ok {
		return nil, false
	}
	return o.data, true
}

// Header returns the headers of content and metadata that an object was stored
// with, under canonical names.
func (s *Server) Header(key string) http.Header {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o, ok := s.objects[key]; ok {
		return o.header.Clone()
	}
	return nil
}

// SetSums gives an object the headers of checksums that another client stored with
// it, such as x-amz-checksum-sha256 and x-amz-checksum-type.
func (s *Server) SetSums(key string, headers map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o, ok := s.objects[key]; ok {
		known := *o
		known.sums = headers
		s.objects[key] = &known
	}
}

// Tags returns the tags of an object, as a query string.
func (s *Server) Tags(key string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o, ok := s.objects[key]; ok {
		return o.tags
	}
	return ""
}

// Archive moves an object to a storage class from which it can't be read.
func (s *Server) Archive(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o, ok := s.objects[key]; ok {
		archived := *o
		archived.header = o.header.Clone()
		if archived.header == nil {
			archived.header = http.Header{}
		}
		archived.header.Set("X-Amz-Storage-Class", "GLACIER")
		s.objects[key] = &archived
	}
}

// remove and store are called with the lock held.
func (s *Server) remove(key string) {
	delete(s.objects, key)
	if i, ok := slices.BinarySearch(s.sorted, key); ok {
		s.sorted = slices.Delete(s.sorted, i, i+1)
	}
}

func (s *Server) store(key string, o *object) {
	if i, ok := slices.BinarySearch(s.sorted, key); !ok {
		s.sorted = slices.Insert(s.sorted, i, key)
	}
	o.modTime = s.opt.Now().UTC().Truncate(time.Millisecond)
	s.objects[key] = o
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := newRequest(s, r)
	s.mu.Lock()
	s.counts[q.op]++
	s.serial++
	q.id = fmt.Sprintf("REQ%08d", s.serial)
	fault := s.matching(q)
	s.mu.Unlock()

	w.Header().Set("x-amz-request-id", q.id)
	if fault != nil {
		w = fault.before(s, q, w)
		if w == nil {
			return
		}
	}
	if err := s.answer(w, q); err != nil {
		err.write(w, q)
	}
}

func (s *Server) answer(w http.ResponseWriter, q *request) *apiError {
	if err := s.authorize(q); err != nil {
		return err
	}
	if q.bucket != s.opt.Bucket {
		return &apiError{404, "NoSuchBucket", "The specified bucket does not exist"}
	}
	if len(q.key) > 1024 {
		return &apiError{400, "KeyTooLongError", "Your key is too long"}
	}
	if err := s.policy(q); err != nil {
		return err
	}
	handle, ok := handlers[q.op]
	if !ok {
		return &apiError{501, "NotImplemented", "A header or query you provided implies functionality that is not implemented: " + q.op}
	}
	if s.opt.ReadOnly && q.r.Method != "GET" && q.r.Method != "HEAD" {
		return &apiError{403, "AccessDenied", "Access Denied"}
	}
	return handle(s, w, q)
}

var handlers = map[string]func(*Server, http.ResponseWriter, *request) *apiError{
	"HeadBucket":              (*Server).headBucket,
	"ListObjectsV2":           (*Server).listObjects,
	"ListMultipartUploads":    (*Server).listUploads,
	"DeleteObjects":           (*Server).deleteObjects,
	"GetObject":               (*Server).getObject,
	"HeadObject":              (*Server).getObject,
	"PutObject":               (*Server).putObject,
	"CopyObject":              (*Server).copyObject,
	"DeleteObject":            (*Server).deleteObject,
	"GetObjectTagging":        (*Server).getTagging,
	"CreateMultipartUpload":   (*Server).createUpload,
	"UploadPart":              (*Server).uploadPart,
	"UploadPartCopy":          (*Server).uploadPartCopy,
	"ListParts":               (*Server).listParts,
	"CompleteMultipartUpload": (*Server).completeUpload,
	"AbortMultipartUpload":    (*Server).abortUpload,
}

// request is one request with what it asks for.
type request struct {
	r           *http.Request
	op          string // S3's name of the operation
	bucket, key string
	query       map[string]string
	id          string
	region      string // of the bucket
}

func newRequest(s *Server, r *http.Request) *request {
	q := &request{r: r, query: map[string]string{}, region: s.opt.Region}
	q.bucket, q.key, _ = strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	for k, v := range r.URL.Query() {
		q.query[k] = v[0]
	}
	q.op = q.operation()
	return q
}

func (q *request) has(query string) bool { _, ok := q.query[query]; return ok }

// operation names what the request asks for; "" for what no operation fits.
func (q *request) operation() string {
	names := map[string]string{}
	copying := q.r.Header.Get("X-Amz-Copy-Source") != ""
	switch {
	case q.bucket == "":
	case q.key == "" && q.has("uploads"):
		names["GET"] = "ListMultipartUploads"
	case q.key == "" && q.has("delete"):
		names["POST"] = "DeleteObjects"
	case q.key == "" && q.query["list-type"] == "2":
		names["GET"] = "ListObjectsV2"
	case q.key == "":
		names["HEAD"] = "HeadBucket"
	case q.has("uploads"):
		names["POST"] = "CreateMultipartUpload"
	case q.has("uploadId"):
		names = map[string]string{"GET": "ListParts", "POST": "CompleteMultipartUpload", "DELETE": "AbortMultipartUpload", "PUT": "UploadPart"}
		if copying {
			names["PUT"] = "UploadPartCopy"
		}
	case q.has("tagging"):
		names["GET"] = "GetObjectTagging"
	default:
		names = map[string]string{"GET": "GetObject", "HEAD": "HeadObject", "PUT": "PutObject", "DELETE": "DeleteObject"}
		if copying {
			names["PUT"] = "CopyObject"
		}
	}
	return names[q.r.Method]
}
