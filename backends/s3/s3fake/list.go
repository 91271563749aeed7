package s3fake

import (
	"cmp"
	"encoding/base64"
	"encoding/xml"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

const listTime = "2006-01-02T15:04:05.000Z"

type listed struct {
	Key          string
	LastModified string
	ETag         string
	Size         int64
	StorageClass string
}

type commonPrefix struct{ Prefix string }

type listResult struct {
	XMLName               xml.Name `xml:"ListBucketResult"`
	Name                  string
	Prefix                string
	Delimiter             string `xml:",omitempty"`
	StartAfter            string `xml:",omitempty"`
	MaxKeys               int
	KeyCount              int
	EncodingType          string `xml:",omitempty"`
	IsTruncated           bool
	ContinuationToken     string `xml:",omitempty"`
	NextContinuationToken string `xml:",omitempty"`
	Contents              []listed
	CommonPrefixes        []commonPrefix
}

// listQuery are the parameters that listings know.
var listQuery = []string{"list-type", "prefix", "delimiter", "max-keys", "continuation-token", "start-after", "encoding-type", "x-id", "fetch-owner"}

func (s *Server) listObjects(w http.ResponseWriter, q *request) *apiError {
	for k := range q.query {
		if !slices.Contains(listQuery, k) {
			return &apiError{501, "NotImplemented", "query parameter " + k}
		}
	}
	limit := s.opt.PageLimit
	if v, ok := q.query["max-keys"]; ok {
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 {
			return &apiError{400, "InvalidArgument", "max-keys"}
		}
		limit = min(limit, n)
	}
	prefix, delimiter, after := q.query["prefix"], q.query["delimiter"], q.query["start-after"]
	if delimiter != "" && delimiter != "/" {
		return &apiError{501, "NotImplemented", "delimiter " + delimiter}
	}
	if v, ok := q.query["continuation-token"]; ok {
		token, err := base64.RawURLEncoding.DecodeString(v)
		if err != nil {
			return &apiError{400, "InvalidArgument", "The continuation token provided is incorrect"}
		}
		after = string(token)
	}
	encode := func(v string) string { return v }
	out := listResult{Name: s.opt.Bucket, MaxKeys: limit, ContinuationToken: q.query["continuation-token"]}
	switch q.query["encoding-type"] {
	case "url":
		if !s.opt.PlainListing {
			out.EncodingType, encode = "url", encodeKey
		}
	case "":
	default:
		return &apiError{400, "InvalidArgument", "Invalid Encoding Method specified in Request"}
	}
	out.Prefix, out.Delimiter, out.StartAfter = encode(prefix), encode(delimiter), encode(q.query["start-after"])

	s.mu.Lock()
	defer s.mu.Unlock()
	s.fillPage(&out, prefix, delimiter, after, limit, encode)
	writeXML(w, 200, out)
	return nil
}

// fillPage adds up to limit keys and common prefixes behind after; called with the
// lock held.
func (s *Server) fillPage(out *listResult, prefix, delimiter, after string, limit int, encode func(string) string) {
	keys := s.sorted
	i := sort.SearchStrings(keys, max(prefix, after))
	if i < len(keys) && keys[i] == after && after != "" {
		i++
	}
	// A page that ended with a common prefix goes on behind everything below it.
	if delimiter != "" && strings.HasSuffix(after, delimiter) && strings.HasPrefix(after, prefix) && after != prefix {
		i = behind(keys, i, after)
	}
	last := ""
	for i < len(keys) && strings.HasPrefix(keys[i], prefix) {
		if out.KeyCount == limit {
			out.IsTruncated = limit > 0
			break
		}
		key := keys[i]
		if j := strings.Index(key[len(prefix):], "/"); delimiter != "" && j >= 0 {
			last = key[:len(prefix)+j+1]
			out.CommonPrefixes = append(out.CommonPrefixes, commonPrefix{encode(last)})
			i = behind(keys, i, last)
		} else {
			o := s.objects[key]
			last = key
			class := o.header.Get("X-Amz-Storage-Class")
			if class == "" {
				class = "STANDARD"
			}
			out.Contents = append(out.Contents, listed{encode(key), o.modTime.Format(listTime), o.etag, int64(len(o.data)), class})
			i++
		}
		out.KeyCount++
	}
	if out.IsTruncated {
		out.NextContinuationToken = base64.RawURLEncoding.EncodeToString([]byte(last))
	}
}

// behind returns the index of the first key from i on that is not below prefix.
func behind(keys []string, i int, prefix string) int {
	return i + sort.Search(len(keys)-i, func(j int) bool { return !strings.HasPrefix(keys[i+j], prefix) })
}

// encodeKey is encoding-type=url: as in a query string, but '/' stays.
func encodeKey(v string) string { return strings.ReplaceAll(url.QueryEscape(v), "%2F", "/") }

func (s *Server) listUploads(w http.ResponseWriter, q *request) *apiError {
	type entry struct {
		Key       string
		UploadID  string `xml:"UploadId"`
		Initiated string
	}
	var out struct {
		XMLName            xml.Name `xml:"ListMultipartUploadsResult"`
		Bucket             string
		Prefix             string
		EncodingType       string `xml:",omitempty"`
		IsTruncated        bool
		NextKeyMarker      string  `xml:",omitempty"`
		NextUploadIDMarker string  `xml:"NextUploadIdMarker,omitempty"`
		Uploads            []entry `xml:"Upload"`
	}
	for k := range q.query {
		if !slices.Contains([]string{"uploads", "prefix", "x-id", "max-uploads", "encoding-type", "key-marker", "upload-id-marker"}, k) {
			return &apiError{501, "NotImplemented", "query parameter " + k}
		}
	}
	encode := func(v string) string { return v }
	if q.query["encoding-type"] == "url" && !s.opt.PlainListing {
		out.EncodingType, encode = "url", encodeKey
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out.Bucket, out.Prefix = s.opt.Bucket, encode(q.query["prefix"])
	var all []entry
	for id, u := range s.uploads {
		after := u.key > q.query["key-marker"] || u.key == q.query["key-marker"] && id > q.query["upload-id-marker"]
		if strings.HasPrefix(u.key, q.query["prefix"]) && after {
			all = append(all, entry{u.key, id, u.began.Format(time.RFC3339)})
		}
	}
	slices.SortFunc(all, func(a, b entry) int {
		return cmp.Or(strings.Compare(a.Key, b.Key), strings.Compare(a.UploadID, b.UploadID))
	})
	if len(all) > s.opt.PageLimit {
		all, out.IsTruncated = all[:s.opt.PageLimit], true
		out.NextKeyMarker, out.NextUploadIDMarker = encode(all[len(all)-1].Key), all[len(all)-1].UploadID
	}
	for _, e := range all {
		e.Key = encode(e.Key)
		out.Uploads = append(out.Uploads, e)
	}
	writeXML(w, 200, out)
	return nil
}
