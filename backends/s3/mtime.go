package s3

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/ftpgate/ftpgate/vfs"
)

const (
	// modTimeMetadata is where rclone keeps a file's time: seconds since 1970, with a
	// fraction.
	modTimeMetadata = "mtime"
	// headsAhead is how many files of a listing are asked for their times at once.
	headsAhead = 32
)

// formatModTime writes a time as rclone does.
func formatModTime(t time.Time) string {
	if t.Nanosecond() == 0 {
		return strconv.FormatInt(t.Unix(), 10)
	}
	whole, nanos := t.Unix(), t.Nanosecond()
	sign := ""
	if whole < 0 { // seconds and fraction have one sign
		whole, nanos, sign = -whole-1, 1e9-nanos, "-"
	}
	return sign + strings.TrimRight(fmt.Sprintf("%d.%09d", whole, nanos), "0")
}

// parseModTime reads what rclone and others write; false for what is no time.
func parseModTime(s string) (time.Time, bool) {
	digits, negative := strings.CutPrefix(s, "-")
	whole, fraction, _ := strings.Cut(digits, ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || whole[0] == '+' || whole[0] == '-' || sec > math.MaxInt32*8 || strings.Trim(fraction, "0123456789") != "" {
		return time.Time{}, false
	}
	nanos, _ := strconv.ParseInt((fraction + "000000000")[:9], 10, 64)
	if negative {
		sec, nanos = -sec, -nanos
	}
	return time.Unix(sec, nanos).UTC(), true
}

// keepTime makes t the time of a new object, if the options want it to be kept.
func (f *FS) keepTime(a *attributes, t time.Time) {
	if !f.mtimes {
		return
	}
	if a.metadata == nil {
		a.metadata = map[string]string{}
	}
	a.metadata[modTimeMetadata] = formatModTime(t)
}

// timeOf is the time of an object that was asked for by HEAD or GET.
func (f *FS) timeOf(metadata map[string]string, modified *time.Time) time.Time {
	if f.mtimes {
		if t, ok := parseModTime(metadata[modTimeMetadata]); ok {
			return t
		}
	}
	return fileTime(modified)
}

// SetModTime keeps the time in the metadata: the object is copied onto itself, with all
// else that is stored beside its bytes. A directory has it at its marker.
func (f *FS) SetModTime(ctx context.Context, name string, t time.Time) error {
	defer f.changed()
	key, err := f.writable("settime", name)
	if err != nil {
		return err
	}
	if !f.mtimes {
		return &fs.PathError{Op: "settime", Path: name, Err: errors.ErrUnsupported}
	}
	if err := vfs.ContextError(ctx, "settime", name); err != nil {
		return err
	}
	return f.fail(ctx, "settime", name, f.setModTime(ctx, key, t))
}

func (f *FS) setModTime(ctx context.Context, key string, t time.Time) error {
	if key == f.prefix {
		return fs.ErrPermission
	}
	what, err := f.look(ctx, key)
	switch {
	case err != nil:
		return err
	case what.dir:
		return f.setDirTime(ctx, key+"/", t)
	case what.file == nil:
		return fs.ErrNotExist
	}
	changed := *what.file
	f.keepTime(&changed.attributes, t)
	if changed.size > f.tuning.copyLimit {
		return f.copyParts(ctx, &changed, key, false)
	}
	in := &awss3.CopyObjectInput{
		Bucket: &f.bucket, Key: &key, CopySource: aws.String(copySource(f.bucket, key)), CopySourceIfMatch: &changed.etag,
		MetadataDirective: types.MetadataDirectiveReplace, Metadata: changed.metadata,
		ContentType: changed.contentType, CacheControl: changed.cacheControl, ContentDisposition: changed.contentDisposition,
		ContentEncoding: changed.contentEncoding, ContentLanguage: changed.contentLanguage, Expires: changed.expires,
		StorageClass: changed.storageClass, ServerSideEncryption: changed.encryption, SSEKMSKeyId: changed.encryptionKey, ACL: f.stored.acl,
	}
	_, err = f.client.CopyObject(ctx, in)
	return sourceChanged(err)
}

// setDirTime writes the marker anew.
func (f *FS) setDirTime(ctx context.Context, key string, t time.Time) error {
	a := markerAttributes()
	o, err := f.head(ctx, key)
	if err != nil {
		return err
	}
	if o != nil {
		if o.size > 0 { // somebody else's, with content
			return errors.ErrUnsupported
		}
		if a, err = f.copied(ctx, o); err != nil {
			return err
		}
	}
	f.keepTime(&a, t)
	return f.put(ctx, key, nil, a, onlyIf{})
}

// dirTime is the time of a directory: its marker's, if times are kept.
func (f *FS) dirTime(ctx context.Context, key string) (time.Time, error) {
	if !f.mtimes || key == f.prefix {
		return f.opened, nil
	}
	o, err := f.head(ctx, key+"/")
	if err != nil || o == nil {
		return f.opened, err
	}
	if t, ok := parseModTime(o.metadata[modTimeMetadata]); ok {
		return t, nil
	}
	return f.opened, nil
}

// withTimes replaces the times of a listing by those that are kept, which S3 tells only
// one by one: many are asked for at once, and the order stays.
func (f *FS) withTimes(ctx context.Context, base string, entries iter.Seq2[fs.FileInfo, error]) iter.Seq2[fs.FileInfo, error] {
	type answer struct {
		info fs.FileInfo
		err  error
	}
	return func(yield func(fs.FileInfo, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var asked sync.WaitGroup
		defer asked.Wait()
		defer cancel()
		waiting := make([]chan answer, 0, headsAhead)
		next := func() bool {
			a := <-waiting[0]
			waiting = waiting[1:]
			return yield(a.info, a.err) && a.err == nil
		}
		for info, err := range entries {
			if len(waiting) == headsAhead && !next() {
				return
			}
			ch := make(chan answer, 1)
			waiting = append(waiting, ch)
			if err != nil {
				ch <- answer{nil, err}
				break
			}
			asked.Go(func() {
				info, err := f.withTime(ctx, base, info)
				ch <- answer{info, err}
			})
		}
		for len(waiting) > 0 && next() {
		}
	}
}

func (f *FS) withTime(ctx context.Context, base string, info fs.FileInfo) (fs.FileInfo, error) {
	key := base + info.Name()
	at := info.ModTime()
	if info.IsDir() {
		t, err := f.dirTime(ctx, key)
		if err != nil {
			return nil, err
		}
		at = t
	} else {
		o, err := f.head(ctx, key)
		if err != nil {
			return nil, err
		}
		if o != nil { // else it is just gone
			at = o.modTime
		}
	}
	return vfs.NewInfo(info.Name(), info.Size(), info.Mode(), at, vfs.AttrOf(info)), nil
}

var _ vfs.ModTimeSetter = (*FS)(nil)
