// Package backends opens a store by its URL: one row for each kind of store.
package backends

//go:generate go test -run ^TestStoresDocument$ -update .

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/ftpgate/ftpgate/backends/local"
	"github.com/ftpgate/ftpgate/backends/memory"
	"github.com/ftpgate/ftpgate/backends/s3"
	"github.com/ftpgate/ftpgate/backends/sftp"
	"github.com/ftpgate/ftpgate/vfs"
)

// scheme is a kind of store.
type scheme struct {
	name    string
	example string
	open    func(context.Context, *url.URL) (vfs.FS, io.Closer, error)
}

func schemes() []scheme {
	return []scheme{
		{"file", "file:///directory", row(local.OptionsFromURL, openLocal)},
		{"mem", "mem:", row(memoryOptions, openMemory)},
		{"s3", "s3://bucket/prefix", row(s3.OptionsFromURL, s3.Open)},
		{"sftp", "sftp://user@host:port/directory", row(sftp.OptionsFromURL, sftp.Open)},
	}
}

// Open opens the store that rawURL names: a URL with one of the schemes file, mem,
// s3 and sftp, or the plain path of a directory, in which no character has a meaning
// of its own. What is wrong with it is an error of one line that says what to write
// instead, and never holds a password. The Closer releases the store when no FS
// made of it is used any more. ctx governs Open alone.
func Open(ctx context.Context, rawURL string) (vfs.FS, io.Closer, error) {
	name, isURL := schemeOf(rawURL)
	if !isURL {
		return openPath(rawURL)
	}
	i := slices.IndexFunc(schemes(), func(s scheme) bool { return s.name == name })
	if i < 0 {
		return nil, nil, fmt.Errorf("there is no storage of the kind %s://: write %s, or the path of a directory", name, examples())
	}
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, nil, fmt.Errorf("the %s URL can't be read%s: write %s, with %% in a name as %%25", name, reason(rawURL, err), schemes()[i].example)
	}
	return schemes()[i].open(ctx, u)
}

// schemeOf returns the scheme of what is meant as a URL. A path may hold colons
// too: of those, only what has a known scheme, or goes on with "//", is a URL.
func schemeOf(raw string) (name string, isURL bool) {
	name, rest, ok := strings.Cut(raw, ":")
	name = strings.ToLower(name)
	if !ok || len(name) < 2 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789+.-") != "" { // one letter: a drive
		return "", false
	}
	known := slices.ContainsFunc(schemes(), func(s scheme) bool { return s.name == name })
	return name, known || strings.HasPrefix(rest, "//")
}

func examples() string {
	var all []string
	for _, s := range schemes() {
		all = append(all, s.example)
	}
	return strings.Join(all, ", ")
}

// reason tells why a URL can't be read, if that can't show a password.
func reason(raw string, err error) string {
	var ue *url.Error
	if strings.Contains(raw, "@") || !errors.As(err, &ue) {
		return ""
	}
	return " (" + ue.Err.Error() + ")"
}

// openPath serves a directory with the options' defaults.
func openPath(path string) (vfs.FS, io.Closer, error) {
	if path == "" {
		return nil, nil, fmt.Errorf("no storage is given: write %s, or the path of a directory", examples())
	}
	f, err := local.Open(local.Options{Dir: filepath.Clean(path)})
	if err != nil {
		return nil, nil, err
	}
	return f, f, nil
}

// store is what a backend opens.
type store interface {
	vfs.FS
	io.Closer
}

// row joins what a backend offers: how its options are read and what opens it.
func row[O any, S store](read func(*url.URL) (O, error), open func(context.Context, O) (S, error)) func(context.Context, *url.URL) (vfs.FS, io.Closer, error) {
	return func(ctx context.Context, u *url.URL) (vfs.FS, io.Closer, error) {
		opt, err := read(u)
		if err != nil {
			return nil, nil, err
		}
		s, err := open(ctx, opt)
		if err != nil {
			return nil, nil, err
		}
		return s, s, nil
	}
}

func openLocal(_ context.Context, opt local.Options) (*local.FS, error) { return local.Open(opt) }

// scratch is a memory store; it has nothing to release.
type scratch struct{ *memory.FS }

func (scratch) Close() error { return nil }

func openMemory(_ context.Context, opt memory.Options) (scratch, error) {
	return scratch{memory.New(opt)}, nil
}

// memoryOptions reads "mem:" with the optional parameters max_bytes and max_files.
func memoryOptions(u *url.URL) (memory.Options, error) {
	var opt memory.Options
	if u.User != nil || u.Host != "" || u.Opaque != "" || u.Path != "" || u.Fragment != "" {
		return opt, errors.New("a memory store has no name: write mem: alone, or with parameters as in mem:?max_bytes=1000000")
	}
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return opt, fmt.Errorf("the parameters of mem: can't be read (%w): write mem:?max_bytes=1000000&max_files=1000", err)
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		limit := map[string]*int64{"max_bytes": &opt.MaxBytes, "max_files": &opt.MaxFiles}[key]
		if limit == nil {
			return opt, fmt.Errorf("mem: has no parameter %q: it may have max_bytes and max_files", key)
		}
		if n := len(values[key]); n > 1 {
			return opt, fmt.Errorf("mem: gives %s %d times: give it once", key, n)
		}
		if *limit, err = strconv.ParseInt(values.Get(key), 10, 64); err != nil || *limit <= 0 {
			return opt, fmt.Errorf("mem: says %s=%s: it is a number above 0", key, values.Get(key))
		}
	}
	return opt, nil
}
