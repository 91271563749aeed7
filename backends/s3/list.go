package s3

import (
	"context"
	"io/fs"
	"iter"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/ftpgate/ftpgate/vfs"
)

// keyDecoder decodes listed keys, if the answer says that they are encoded: not all
// servers do what was asked for.
func keyDecoder(e types.EncodingType) func(string) string {
	if e != types.EncodingTypeUrl {
		return func(key string) string { return key }
	}
	return func(key string) string {
		if plain, err := url.QueryUnescape(key); err == nil {
			return plain
		}
		return key
	}
}

// ReadDir streams the pages of a listing and fetches one page ahead. Where a file
// and a directory have one name, it shows the directory.
func (f *FS) ReadDir(ctx context.Context, name, prefix string) iter.Seq2[fs.FileInfo, error] {
	if key, err := f.key("readdir", name); err == nil && f.mtimes {
		return f.failing(ctx, "readdir", name, f.withTimes(ctx, f.below(key), f.readDir(ctx, name, prefix)))
	}
	return f.readDir(ctx, name, prefix)
}

// failing gives the errors of a listing the caller's name.
func (f *FS) failing(ctx context.Context, op, name string, entries iter.Seq2[fs.FileInfo, error]) iter.Seq2[fs.FileInfo, error] {
	return func(yield func(fs.FileInfo, error) bool) {
		for info, err := range entries {
			if !yield(info, f.fail(ctx, op, name, err)) || err != nil {
				return
			}
		}
	}
}

func (f *FS) readDir(ctx context.Context, name, prefix string) iter.Seq2[fs.FileInfo, error] {
	return func(yield func(fs.FileInfo, error) bool) {
		key, err := f.key("readdir", name)
		if err == nil {
			err = vfs.ContextError(ctx, "readdir", name)
		}
		if err != nil {
			yield(nil, err)
			return
		}
		l := &listing{f: f, ctx: ctx, name: name, base: f.below(key), yield: yield}
		if err := l.run(key, prefix); err != nil {
			yield(nil, f.fail(ctx, "readdir", name, err))
		}
		if l.unshowable > 0 {
			f.log.Warn("keys that FTP cannot show are left out of a listing", "dir", l.base, "count", l.unshowable)
		}
	}
}

// listing is one run of ReadDir.
type listing struct {
	f     *FS
	ctx   context.Context
	name  string
	base  string // prefix of the directory's keys
	yield func(fs.FileInfo, error) bool

	held       []fs.FileInfo // files that a directory of the same name may still replace
	unshowable int
	any        bool // a key was seen, the directory exists
	stopped    bool // the caller wants no more
}

// page is an answer, or why there is none.
type page struct {
	out *awss3.ListObjectsV2Output
	err error
}

// fetch asks for a page in the background.
func (l *listing) fetch(ctx context.Context, prefix string, token *string) <-chan page {
	ch := make(chan page, 1)
	go func() {
		out, err := l.f.client.ListObjectsV2(ctx, &awss3.ListObjectsV2Input{
			Bucket: &l.f.bucket, Prefix: &prefix, Delimiter: aws.String("/"), EncodingType: types.EncodingTypeUrl,
			ContinuationToken: token,
		})
		ch <- page{out, err}
	}()
	return ch
}

func (l *listing) run(key, prefix string) error {
	if prefix != "" && !vfs.ValidElement(prefix) {
		return l.exists(key) // no entry starts with it
	}
	ctx, cancel := context.WithCancel(l.ctx)
	next := l.fetch(ctx, l.base+prefix, nil)
	defer func() {
		cancel()
		if next != nil {
			<-next
		}
	}()
	for next != nil {
		p := <-next
		next = nil
		if p.err != nil {
			return p.err
		}
		if aws.ToBool(p.out.IsTruncated) {
			next = l.fetch(ctx, l.base+prefix, p.out.NextContinuationToken)
		}
		if err := l.show(p.out); err != nil || l.stopped {
			return err
		}
	}
	for i := range l.held {
		if err := l.emit(l.held[i]); err != nil || l.stopped {
			return err
		}
	}
	if !l.any {
		return l.exists(key)
	}
	return nil
}

// exists says what an empty listing means.
func (l *listing) exists(key string) error {
	what, err := l.f.look(l.ctx, key)
	switch {
	case err != nil || what.dir:
		return err
	case what.file != nil:
		return vfs.ErrNotDir
	}
	return fs.ErrNotExist
}

// show emits a page: its keys and common prefixes, each in the order of their
// bytes, merged.
func (l *listing) show(out *awss3.ListObjectsV2Output) error {
	decode := keyDecoder(out.EncodingType)
	files, dirs := out.Contents, out.CommonPrefixes
	var dir, file string
	for len(files) > 0 || len(dirs) > 0 {
		if len(dirs) > 0 && dir == "" {
			dir = decode(aws.ToString(dirs[0].Prefix))
		}
		if len(files) > 0 && file == "" {
			file = decode(aws.ToString(files[0].Key))
		}
		var err error
		if len(files) == 0 || len(dirs) > 0 && dir < file {
			err = l.dir(dir)
			dirs, dir = dirs[1:], ""
		} else {
			err = l.file(file, files[0])
			files, file = files[1:], ""
		}
		if err != nil || l.stopped {
			return err
		}
	}
	return nil
}

// element is the name of an entry, or false if it is not shown.
func (l *listing) element(key string) (string, bool) {
	l.any = true
	element := strings.TrimSuffix(strings.TrimPrefix(key, l.base), "/")
	switch {
	case key == l.base: // the directory's own marker
		return "", false
	case !strings.HasPrefix(key, l.base) || !showable(element):
		l.unshowable++
		return "", false
	}
	return element, !reserved(element)
}

func (l *listing) dir(prefix string) error {
	element, ok := l.element(prefix)
	if !ok {
		return nil
	}
	if err := l.pass(element + "/"); err != nil || l.stopped {
		return err
	}
	if n := len(l.held); n > 0 && l.held[n-1].Name() == element {
		l.held = l.held[:n-1]
	}
	return l.emit(l.f.dirInfo(l.base+element, element, l.f.opened))
}

func (l *listing) file(key string, o types.Object) error {
	element, ok := l.element(key)
	if !ok {
		return nil
	}
	if err := l.pass(element); err != nil || l.stopped {
		return err
	}
	l.held = append(l.held, l.f.fileInfo(&object{key: key, size: aws.ToInt64(o.Size), modTime: fileTime(o.LastModified)}, element))
	return nil
}

// pass emits the held files whose directory would have come before at. What stays
// held are names of which each is the start of the next, so their number is
// bounded by the length of a name.
func (l *listing) pass(at string) error {
	for n := len(l.held); n > 0 && l.held[n-1].Name()+"/" < at; n-- {
		info := l.held[n-1]
		l.held = l.held[:n-1]
		if err := l.emit(info); err != nil || l.stopped {
			return err
		}
	}
	return nil
}

func (l *listing) emit(info fs.FileInfo) error {
	if l.ctx.Err() != nil {
		return context.Cause(l.ctx)
	}
	l.stopped = !l.yield(info, nil)
	return nil
}
