package s3

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/ftpgate/ftpgate/vfs"
)

// Open costs one GET, whose answer tells the size and pins the version. It reaches
// the object where a directory has the same name.
func (f *FS) Open(ctx context.Context, name string, offset, length int64) (fs.File, error) {
	key, err := f.key("open", name)
	if err != nil {
		return nil, err
	}
	if offset < 0 {
		return nil, vfs.PathError("open", name, fs.ErrInvalid)
	}
	if err := vfs.ContextError(ctx, "open", name); err != nil {
		return nil, err
	}
	if key == f.prefix {
		return nil, vfs.PathError("open", name, vfs.ErrIsDir)
	}
	fctx, cancel := context.WithCancel(ctx)
	s, err := f.openStream(fctx, key, offset, length)
	if err != nil {
		cancel()
		return nil, f.fail(ctx, "open", name, err)
	}
	return &file{f: f, ctx: ctx, cancel: cancel, name: name, from: newDownload(s)}, nil
}

// openStream pins the current version of the object and starts to read it.
func (f *FS) openStream(ctx context.Context, key string, offset, length int64) (*stream, error) {
	end := int64(math.MaxInt64)
	if length >= 0 && length < end-offset {
		end = offset + length
	}
	var o *object
	var body io.ReadCloser
	var err error
	if end > offset {
		o, body, err = f.get(ctx, key, offset, end, "")
	}
	if code := status(err); end == offset || code == http.StatusRequestedRangeNotSatisfiable {
		// No byte is asked for, or none is there: the version alone tells.
		o, err = f.head(ctx, key)
		if err == nil && o == nil {
			err = fs.ErrNotExist
		}
	}
	if status(err) == http.StatusNotFound || err == fs.ErrNotExist {
		if dir, derr := f.isDir(ctx, key); derr == nil && dir {
			err = vfs.ErrIsDir
		}
	}
	switch {
	case err != nil:
		return nil, err
	case offset > o.size:
		return nil, &vfs.OffsetError{Offset: offset, Accept: o.size}
	}
	return &stream{f: f, ctx: ctx, object: o, pos: offset, end: min(end, o.size), body: body}, nil
}

// get requests the bytes [first,end) of an object, to its end if there are fewer.
// etag, if it is not empty, is the version that must be the current one.
func (f *FS) get(ctx context.Context, key string, first, end int64, etag string) (*object, io.ReadCloser, error) {
	in := &awss3.GetObjectInput{Bucket: &f.bucket, Key: &key}
	if etag != "" {
		in.IfMatch = &etag
	}
	// Without a range an empty object is no error.
	switch {
	case end != math.MaxInt64:
		in.Range = aws.String(fmt.Sprintf("bytes=%d-%d", first, end-1))
	case first > 0:
		in.Range = aws.String(fmt.Sprintf("bytes=%d-", first))
	}
	out, err := f.client.GetObject(ctx, in)
	if err != nil {
		return nil, nil, err
	}
	o := &object{key: key, size: aws.ToInt64(out.ContentLength), etag: aws.ToString(out.ETag),
		modTime: f.timeOf(out.Metadata, out.LastModified), mediaType: aws.ToString(out.ContentType)}
	if in.Range != nil {
		if o.size, err = wholeSize(aws.ToString(out.ContentRange), first); err != nil {
			out.Body.Close()
			return nil, nil, err
		}
	}
	return o, out.Body, nil
}

// wholeSize reads the size of the object from a Content-Range that has to begin at
// first.
func wholeSize(contentRange string, first int64) (int64, error) {
	span, size, _ := strings.Cut(contentRange, "/")
	n, err := strconv.ParseInt(size, 10, 64)
	if err != nil || !strings.HasPrefix(span, fmt.Sprintf("bytes %d-", first)) {
		return 0, fmt.Errorf("the store answers a range from %d with %q", first, contentRange)
	}
	return n, nil
}

// maxCuts is how many times in a row a stream may break off without a byte.
const maxCuts = 5

// stream reads the bytes [pos,end) of one version of an object in order. What
// breaks off is taken up at the exact byte.
type stream struct {
	f        *FS
	ctx      context.Context
	object   *object
	pos, end int64
	body     io.ReadCloser // nil: to be requested
	cuts     int           // in a row
}

func (s *stream) Read(p []byte) (int, error) {
	for s.pos < s.end {
		if s.ctx.Err() != nil {
			return 0, context.Cause(s.ctx)
		}
		if s.body == nil {
			if err := s.resume(); err != nil {
				return 0, err
			}
		}
		n, err := s.body.Read(p[:min(int64(len(p)), s.end-s.pos)])
		s.pos += int64(n)
		if n > 0 {
			s.cuts = 0
		}
		if err != nil && (s.pos < s.end || err != io.EOF) {
			s.close()
			if s.pos == s.end {
				return n, plainCause(err)
			}
			if s.ctx.Err() != nil {
				return n, context.Cause(s.ctx)
			}
			if s.cuts++; s.cuts > maxCuts {
				return n, fmt.Errorf("the connection to the store keeps breaking off: %w", plainCause(err))
			}
		}
		if n > 0 || len(p) == 0 {
			return n, nil
		}
	}
	return 0, s.finish()
}

// finish returns io.EOF once the answer ended as it should: where the store told a
// checksum, the SDK compares it there.
func (s *stream) finish() error {
	if s.body == nil {
		return io.EOF
	}
	defer s.close()
	n, err := s.body.Read(make([]byte, 1))
	if n > 0 {
		return fmt.Errorf("the store sends more than the %d bytes that it announced", s.object.size)
	}
	if err == nil {
		err = io.EOF
	}
	return err
}

// resume requests the rest.
func (s *stream) resume() error {
	if s.cuts > 1 {
		s.f.tuning.pause(s.ctx, s.cuts-1)
	}
	_, body, err := s.f.get(s.ctx, s.object.key, s.pos, s.end, s.object.etag)
	if status(err) == http.StatusPreconditionFailed {
		return errChanged
	}
	s.body = body
	return err
}

func (s *stream) close() {
	if s.body != nil {
		s.body.Close()
		s.body = nil
	}
}

// file is an open file.
type file struct {
	f      *FS
	ctx    context.Context // the caller's
	cancel context.CancelFunc
	name   string
	from   *download
	closed bool
}

// Stat describes the whole file in its pinned version.
func (r *file) Stat() (fs.FileInfo, error) {
	_, element := vfs.Split(r.name)
	return r.f.fileInfo(r.from.object, element), nil
}

func (r *file) Read(p []byte) (int, error) {
	if r.closed {
		return 0, vfs.PathError("read", r.name, fs.ErrClosed)
	}
	n, err := r.from.Read(p)
	if err != nil && err != io.EOF {
		err = r.f.fail(r.ctx, "read", r.name, err)
	}
	return n, err
}

// Close gives the connection back, or ends it if bytes are left on it.
func (r *file) Close() error {
	if !r.closed {
		r.closed = true
		r.cancel()
		r.from.close()
	}
	return nil
}
