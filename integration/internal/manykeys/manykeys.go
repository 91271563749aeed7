// Package manykeys is an S3 server that lists as many keys as one likes and holds none
// of them: they are made up page by page. It knows listings alone, and no signatures.
package manykeys

import (
	"encoding/xml"
	"fmt"
	"net"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

// pageKeys is how many keys a page holds, as S3's do.
const pageKeys = 1000

// Server is a running server. Its methods may be called concurrently.
type Server struct {
	// URL is the endpoint.
	URL string

	keys int
	http *http.Server
	done sync.WaitGroup

	mu   sync.Mutex
	asks []Ask
	hold func(Ask) <-chan struct{}
}

// Ask is one request for a page.
type Ask struct {
	Prefix string
	Page   int // of this listing, counted from 0
}

// New serves a bucket "many" with the keys big/2023-0000000.dat and so on: the first half
// of all, from which 1,500 for 2024 follow, and 2025 has the rest. Close ends it.
func New(keys int) (*Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Server{URL: "http://" + l.Addr().String(), keys: keys}
	s.http = &http.Server{Handler: s}
	s.done.Go(func() { _ = s.http.Serve(l) })
	return s, nil
}

// Close ends the server and what it holds.
func (s *Server) Close() {
	s.Hold(nil)
	_ = s.http.Close()
	s.done.Wait()
}

// Keys2024 is how many keys begin with big/2024-.
const Keys2024 = 1500

func (s *Server) key(i int) string {
	year := 2025
	switch half := s.keys / 2; {
	case i < half:
		year = 2023
	case i < half+Keys2024:
		year = 2024
	}
	return fmt.Sprintf("big/%d-%07d.dat", year, i)
}

// Hold makes requests for which it returns a channel wait until that is closed; nil
// holds nothing.
func (s *Server) Hold(hold func(Ask) <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hold = hold
}

// Asked returns the requests for pages since the last call.
func (s *Server) Asked() []Ask {
	s.mu.Lock()
	defer s.mu.Unlock()
	asks := s.asks
	s.asks = nil
	return asks
}

// ServeHTTP answers ListObjectsV2; nothing else is there.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if r.Method != http.MethodGet || q.Get("list-type") != "2" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	prefix, limit := q.Get("prefix"), pageKeys
	if n, err := strconv.Atoi(q.Get("max-keys")); err == nil {
		limit = min(n, limit)
	}
	first, end := s.span(prefix)
	at := first
	if token := q.Get("continuation-token"); token != "" {
		at, _ = strconv.Atoi(token)
	}
	s.mu.Lock()
	ask := Ask{prefix, (at - first) / pageKeys}
	s.asks = append(s.asks, ask)
	hold := s.hold
	s.mu.Unlock()
	if hold != nil {
		if c := hold(ask); c != nil {
			select {
			case <-c:
			case <-r.Context().Done():
				return
			}
		}
	}
	s.page(w, prefix, q.Get("delimiter"), at, min(at+limit, end), end)
}

// span is the range of the keys with a prefix.
func (s *Server) span(prefix string) (first, end int) {
	first = sort.Search(s.keys, func(i int) bool { return s.key(i) >= prefix })
	end = first + sort.Search(s.keys-first, func(i int) bool { return !strings.HasPrefix(s.key(first+i), prefix) })
	return first, end
}

type result struct {
	XMLName               xml.Name `xml:"ListBucketResult"`
	Name, Prefix          string
	EncodingType          string
	KeyCount, MaxKeys     int
	IsTruncated           bool
	NextContinuationToken string `xml:",omitempty"`
	Contents              []content
	CommonPrefixes        []common
}

type content struct {
	Key          string
	LastModified string
	ETag         string
	Size         int
}

type common struct{ Prefix string }

func (s *Server) page(w http.ResponseWriter, prefix, delimiter string, at, to, end int) {
	out := result{Name: "many", Prefix: prefix, EncodingType: "url", MaxKeys: pageKeys}
	if delimiter == "/" && !strings.HasPrefix(prefix, "big/") { // all of them in one
		if at < end {
			out.CommonPrefixes = []common{{"big/"}}
		}
		to = end
	}
	if len(out.CommonPrefixes) == 0 {
		for i := at; i < to; i++ {
			out.Contents = append(out.Contents, content{s.key(i), time.Unix(1.7e9, 0).UTC().Format("2006-01-02T15:04:05.000Z"), `"0"`, i})
		}
	}
	out.KeyCount = len(out.Contents) + len(out.CommonPrefixes)
	if to < end {
		out.IsTruncated, out.NextContinuationToken = true, strconv.Itoa(to)
	}
	w.Header().Set("Content-Type", "application/xml")
	_ = xml.NewEncoder(w).Encode(out)
}
