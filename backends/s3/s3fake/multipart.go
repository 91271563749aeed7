package s3fake

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// upload is a multipart upload that was not ended.
type upload struct {
	key       string
	began     time.Time
	header    http.Header
	tags      string
	algorithm string // checksum declared at the start, "" for none
	lock      string // MD5 of the customer's key
	parts     map[int]*part
}

type part struct {
	data    []byte
	etag    string
	crc     string
	modTime time.Time
}

func (s *Server) createUpload(w http.ResponseWriter, q *request) *apiError {
	if _, err := s.body(q); err != nil {
		return err
	}
	h := q.r.Header
	alg := h.Get("X-Amz-Checksum-Algorithm")
	if alg != "" && s.opt.RefuseChecksums {
		return &apiError{501, "NotImplemented", "x-amz-checksum-algorithm"}
	}
	if alg == "CRC64NVME" && h.Get("X-Amz-Checksum-Type") == "COMPOSITE" {
		return &apiError{400, "InvalidRequest", "The COMPOSITE checksum type cannot be used with the crc64nvme checksum algorithm."}
	}
	lock, err := customer(h, "X-Amz-")
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serial++
	id := fmt.Sprintf("upload-%08d", s.serial)
	s.uploads[id] = &upload{key: q.key, began: s.opt.Now().UTC(), header: keptHeaders(h), tags: h.Get("X-Amz-Tagging"),
		algorithm: alg, lock: lock, parts: map[int]*part{}}
	writeXML(w, 200, struct {
		XMLName  xml.Name `xml:"InitiateMultipartUploadResult"`
		Bucket   string
		Key      string
		UploadID string `xml:"UploadId"`
	}{Bucket: s.opt.Bucket, Key: q.key, UploadID: id})
	return nil
}

// find returns the open upload that q names; called with the lock held.
func (s *Server) find(q *request) (*upload, *apiError) {
	u := s.uploads[q.query["uploadId"]]
	if u == nil || u.key != q.key {
		return nil, errNoSuchUpload
	}
	return u, nil
}

func partNumber(q *request) (int, *apiError) {
	n, err := strconv.Atoi(q.query["partNumber"])
	if err != nil || n < 1 || n > 10000 {
		return 0, &apiError{400, "InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive"}
	}
	return n, nil
}

func (s *Server) uploadPart(w http.ResponseWriter, q *request) *apiError {
	n, err := partNumber(q)
	if err != nil {
		return err
	}
	data, err := s.body(q)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u, err := s.find(q)
	if err != nil {
		return err
	}
	if err := unlocks(q.r.Header, "X-Amz-", u.lock); err != nil {
		return err
	}
	crc := q.r.Header.Get("X-Amz-Checksum-Crc64nvme")
	if crc != "" && u.algorithm != "CRC64NVME" {
		return &apiError{400, "InvalidRequest", "Checksum Type mismatch occurred, expected checksum Type: null, actual checksum Type: crc64nvme"}
	}
	p := &part{data: data, etag: s.lockedETag(data, u.lock), crc: crc, modTime: s.opt.Now().UTC()}
	u.parts[n] = p
	w.Header().Set("ETag", p.etag)
	if crc != "" {
		w.Header().Set("x-amz-checksum-crc64nvme", crc)
	}
	w.WriteHeader(200)
	return nil
}

func (s *Server) listParts(w http.ResponseWriter, q *request) *apiError {
	type entry struct {
		PartNumber        int
		ETag              string
		Size              int64
		LastModified      string
		ChecksumCRC64NVME string `xml:",omitempty"`
	}
	var out struct {
		XMLName              xml.Name `xml:"ListPartsResult"`
		Bucket, Key          string
		UploadID             string `xml:"UploadId"`
		IsTruncated          bool
		NextPartNumberMarker int
		Parts                []entry `xml:"Part"`
	}
	after, _ := strconv.Atoi(q.query["part-number-marker"])
	limit := s.opt.PageLimit
	if n, err := strconv.Atoi(q.query["max-parts"]); err == nil {
		limit = min(limit, n)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u, err := s.find(q)
	if err != nil {
		return err
	}
	out.Bucket, out.Key, out.UploadID = s.opt.Bucket, q.key, q.query["uploadId"]
	for _, n := range slices.Sorted(maps.Keys(u.parts)) {
		if n <= after {
			continue
		}
		if len(out.Parts) == limit {
			out.IsTruncated = true
			break
		}
		p := u.parts[n]
		out.Parts = append(out.Parts, entry{n, p.etag, int64(len(p.data)), p.modTime.Format(listTime), p.crc})
		out.NextPartNumberMarker = n
	}
	writeXML(w, 200, out)
	return nil
}

func (s *Server) completeUpload(w http.ResponseWriter, q *request) *apiError {
	data, err := s.body(q)
	if err != nil {
		return err
	}
	var in struct {
		Parts []completed `xml:"Part"`
	}
	if err := readXML(bytes.NewReader(data), &in); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u, err := s.find(q)
	if err != nil {
		return err
	}
	o, err := s.assemble(u, in.Parts)
	if err != nil {
		return err
	}
	if err := s.condition(q); err != nil {
		return err
	}
	s.store(q.key, o)
	delete(s.uploads, q.query["uploadId"])
	writeXML(w, 200, struct {
		XMLName           xml.Name `xml:"CompleteMultipartUploadResult"`
		Bucket, Key, ETag string
	}{Bucket: s.opt.Bucket, Key: q.key, ETag: o.etag})
	return nil
}

type completed struct {
	PartNumber        int
	ETag              string
	ChecksumCRC64NVME string
}

// assemble makes the object of the parts; called with the lock held.
func (s *Server) assemble(u *upload, parts []completed) (*object, *apiError) {
	if len(parts) == 0 {
		return nil, &apiError{400, "MalformedXML", "You must specify at least one part"}
	}
	var pieces [][]byte
	var sums []byte
	last := 0
	for i, c := range parts {
		p := u.parts[c.PartNumber]
		switch {
		case c.PartNumber <= last:
			return nil, &apiError{400, "InvalidPartOrder", "The list of parts was not in ascending order."}
		case p == nil || strings.Trim(c.ETag, `"`) != strings.Trim(p.etag, `"`) || c.ChecksumCRC64NVME != p.crc:
			return nil, &apiError{400, "InvalidPart", "One or more of the specified parts could not be found."}
		case i < len(parts)-1 && int64(len(p.data)) < s.opt.MinPart:
			return nil, &apiError{400, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size"}
		case s.opt.EqualParts && i > 0 && i < len(parts)-1 && len(p.data) != len(u.parts[parts[0].PartNumber].data),
			s.opt.EqualParts && i > 0 && len(p.data) > len(u.parts[parts[0].PartNumber].data):
			return nil, &apiError{400, "InvalidPart", "All non-trailing parts must have the same length."}
		}
		last = c.PartNumber
		pieces = append(pieces, p.data)
		sum := md5.Sum(p.data)
		sums = append(sums, sum[:]...)
	}
	data := slices.Concat(pieces...)
	whole := md5.Sum(sums)
	if s.opt.OpaqueETags {
		whole[0] ^= 0xff
	}
	o := &object{data: data, lock: u.lock, header: u.header, tags: u.tags, etag: fmt.Sprintf(`"%s-%d"`, hex.EncodeToString(whole[:]), len(parts))}
	if u.algorithm == "CRC64NVME" {
		o.crc = crc64NVME(data)
	}
	return o, nil
}

func (s *Server) abortUpload(w http.ResponseWriter, q *request) *apiError {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.find(q); err != nil {
		return err
	}
	delete(s.uploads, q.query["uploadId"])
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// source returns the object that x-amz-copy-source names, if the preconditions
// on it hold; called with the lock held.
func (s *Server) source(q *request) (*object, *apiError) {
	h := q.r.Header
	name, err := url.PathUnescape(h.Get("X-Amz-Copy-Source"))
	bucket, key, ok := strings.Cut(strings.TrimPrefix(name, "/"), "/")
	if err != nil || !ok || bucket != s.opt.Bucket {
		return nil, &apiError{400, "InvalidArgument", "Invalid copy source object key"}
	}
	o := s.objects[key]
	if o == nil {
		return nil, errNoSuchKey
	}
	if v := h.Get("X-Amz-Copy-Source-If-Match"); v != "" && v != o.etag {
		return nil, errPrecondition
	}
	return o, unlocks(h, "X-Amz-Copy-Source-", o.lock)
}

type copyResult struct {
	XMLName      xml.Name
	LastModified string
	ETag         string
}

// copyObject ignores conditions on the destination, as all servers did that were
// tried.
func (s *Server) copyObject(w http.ResponseWriter, q *request) *apiError {
	s.mu.Lock()
	defer s.mu.Unlock()
	src, err := s.source(q)
	if err != nil {
		return err
	}
	if int64(len(src.data)) > s.opt.MaxCopy {
		return errTooLarge
	}
	o := *src
	h := q.r.Header
	if o.header = src.header.Clone(); o.header == nil {
		o.header = http.Header{}
	}
	switch h.Get("X-Amz-Metadata-Directive") {
	case "", "COPY":
		if h.Get("X-Amz-Copy-Source") == s.opt.Bucket+"/"+q.key {
			return &apiError{400, "InvalidRequest", "This copy request is illegal because it is trying to copy an object to itself"}
		}
	case "REPLACE":
		o.header = keptHeaders(h)
	}
	// The storage class is the request's, never the source's.
	o.header.Del("X-Amz-Storage-Class")
	if c := h.Get("X-Amz-Storage-Class"); c != "" {
		o.header.Set("X-Amz-Storage-Class", c)
	}
	if o.lock, err = customer(h, "X-Amz-"); err != nil {
		return err
	}
	o.header.Del("X-Amz-Acl") // never copied
	for _, k := range []string{"X-Amz-Acl", "X-Amz-Server-Side-Encryption", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id"} {
		if v := h.Get(k); v != "" {
			o.header.Set(k, v)
		}
	}
	o.etag = s.lockedETag(src.data, o.lock)
	s.store(q.key, &o)
	writeXML(w, 200, copyResult{XMLName: xml.Name{Local: "CopyObjectResult"}, LastModified: o.modTime.Format(listTime), ETag: o.etag})
	return nil
}

func (s *Server) uploadPartCopy(w http.ResponseWriter, q *request) *apiError {
	n, err := partNumber(q)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u, err := s.find(q)
	if err != nil {
		return err
	}
	src, err := s.source(q)
	if err != nil {
		return err
	}
	if err := unlocks(q.r.Header, "X-Amz-", u.lock); err != nil {
		return err
	}
	data := src.data
	if spec := q.r.Header.Get("X-Amz-Copy-Source-Range"); spec != "" {
		first, last, _, err := byteRange(spec, int64(len(data)))
		if err != nil || !strings.HasSuffix(spec, "-"+strconv.FormatInt(last, 10)) {
			return &apiError{400, "InvalidArgument", "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are in the source"}
		}
		data = data[first : last+1]
	}
	if len(data) == 0 || int64(len(data)) > s.opt.MaxCopy {
		return errTooLarge
	}
	p := &part{data: data, etag: s.lockedETag(data, u.lock), modTime: s.opt.Now().UTC()}
	u.parts[n] = p
	writeXML(w, 200, copyResult{XMLName: xml.Name{Local: "CopyPartResult"}, LastModified: p.modTime.Format(listTime), ETag: p.etag})
	return nil
}
