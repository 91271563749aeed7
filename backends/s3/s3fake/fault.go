package s3fake

import (
	"bytes"
	"io"
	"net/http"
)

// Fault makes matching requests fail. The zero value of each field changes
// nothing; faults are tried in the order of Inject, and a request meets the first
// that matches.
type Fault struct {
	Op    string // S3 operation, such as "GetObject"; "" is any
	Key   string // exact key; "" is any
	Skip  int    // so many matching requests are spared first
	Times int    // how many requests fail then: 0 is one, negative is all

	// Status and Code answer instead of doing what was asked; with After, the
	// request takes its effect first.
	Status int
	Code   string
	After  bool
	// Do runs before the request is served, without any lock: it may change
	// objects, or block.
	Do func()
	// CutRequest closes the connection after so many bytes of the request's
	// body; CutBody after so many of the answer's, -1 right behind its header.
	CutRequest int64
	CutBody    int64
	// Stall holds the answer after StallAt bytes of its body (0: before the
	// header) until Release is closed or the client hangs up.
	Stall   bool
	StallAt int64
	Release <-chan struct{}

	left int // requests still to fail; negative: all
}

// Inject adds a fault.
func (s *Server) Inject(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.left = f.Times; f.Times == 0 {
		f.left = 1
	}
	s.faults = append(s.faults, &f)
}

// ClearFaults drops all faults.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// matching returns the fault that q meets, or nil; called with the lock held.
func (s *Server) matching(q *request) *Fault {
	for _, f := range s.faults {
		if f.left == 0 || f.Op != "" && f.Op != q.op || f.Key != "" && f.Key != q.key {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		if f.left > 0 {
			f.left--
		}
		return f
	}
	return nil
}

// before acts ahead of the answer and returns the writer to answer to, or nil if
// there is nothing more to do.
func (f *Fault) before(s *Server, q *request, w http.ResponseWriter) http.ResponseWriter {
	if f.Do != nil {
		f.Do()
	}
	if f.CutRequest > 0 {
		io.CopyN(io.Discard, q.r.Body, f.CutRequest)
		panic(http.ErrAbortHandler)
	}
	if f.Stall && f.StallAt == 0 {
		// The server notices a hang-up only once it has read the whole request.
		body, _ := io.ReadAll(q.r.Body)
		q.r.Body = io.NopCloser(bytes.NewReader(body))
		f.wait(s, q)
	}
	if f.Status != 0 {
		e := &apiError{f.Status, f.Code, "injected"}
		if f.After {
			s.answer(&discardWriter{header: http.Header{}}, q)
		} else {
			io.Copy(io.Discard, q.r.Body)
		}
		e.write(w, q)
		return nil
	}
	if f.CutBody != 0 || f.StallAt > 0 {
		return &faultyWriter{ResponseWriter: w, f: f, s: s, q: q}
	}
	return w
}

func (f *Fault) wait(s *Server, q *request) {
	select {
	case <-f.Release:
	case <-q.r.Context().Done():
		panic(http.ErrAbortHandler)
	case <-s.closing:
		panic(http.ErrAbortHandler)
	}
}

// faultyWriter cuts or stalls in the middle of a body.
type faultyWriter struct {
	http.ResponseWriter
	f    *Fault
	s    *Server
	q    *request
	sent int64
}

func (w *faultyWriter) Write(p []byte) (int, error) {
	at := w.f.CutBody
	if at == 0 {
		at = w.f.StallAt
	}
	at = max(at, 0)
	if w.sent+int64(len(p)) < at || w.sent > at {
		n, err := w.ResponseWriter.Write(p)
		w.sent += int64(n)
		return n, err
	}
	head := p[:at-w.sent]
	n, err := w.ResponseWriter.Write(head)
	w.sent += int64(n) + 1
	if err != nil {
		return n, err
	}
	http.NewResponseController(w.ResponseWriter).Flush()
	if w.f.CutBody != 0 {
		panic(http.ErrAbortHandler)
	}
	w.f.wait(w.s, w.q)
	m, err := w.ResponseWriter.Write(p[len(head):])
	return n + m, err
}

// discardWriter takes the answer that the client shall not see.
type discardWriter struct{ header http.Header }

func (w *discardWriter) Header() http.Header         { return w.header }
func (w *discardWriter) Write(p []byte) (int, error) { return len(p), nil }
func (w *discardWriter) WriteHeader(int)             {}
