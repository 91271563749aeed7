package s3

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ftpgate/ftpgate/vfs"
)

// OptionsFromURL reads
//
//	s3://bucket/prefix?endpoint=http://127.0.0.1:7070&region=us-east-1&path_style=true&provider=generic
//
// Every key is optional; docs/backends/s3.md lists them. What it does not know is an
// error that says what is allowed. Credentials and keys are never part of the URL, and
// no error shows what stands in the place of one.
func OptionsFromURL(u *url.URL) (Options, error) {
	var o Options
	at := "s3://" + u.Host + u.Path
	switch {
	case u.Scheme != "s3":
		return o, fmt.Errorf("%s: not an s3:// URL", u.Redacted())
	case u.User != nil:
		return o, fmt.Errorf("%s: credentials come from the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), a profile (profile=NAME) or a role, never from the URL", at)
	case u.Host == "" || u.Opaque != "":
		return o, fmt.Errorf("%s: the bucket is missing; write s3://BUCKET/PREFIX", at)
	case u.Port() != "" || strings.Contains(u.Host, ":"):
		return o, fmt.Errorf("%s: the place of the host is the bucket's; give the server as endpoint=http://HOST:PORT", at)
	case u.Fragment != "":
		return o, fmt.Errorf("%s: write # in a prefix as %%23", at)
	}
	o.Bucket = u.Host
	o.Prefix = strings.TrimSuffix(strings.TrimPrefix(u.Path, "/"), "/")
	if err := checkPrefix(o.Prefix); err != nil {
		return o, fmt.Errorf("%s: %w", at, err)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return o, fmt.Errorf("%s: %w", at, err)
	}
	for _, key := range slices.Sorted(maps.Keys(query)) {
		if n := len(query[key]); n > 1 {
			return o, fmt.Errorf("%s: %s is given %d times", at, key, n)
		}
		if err := o.set(key, query.Get(key)); err != nil {
			return o, fmt.Errorf("%s: %w", at, err)
		}
	}
	defaults := o
	if err := defaults.validate(); err != nil {
		return o, fmt.Errorf("%s: %s", at, strings.TrimPrefix(err.Error(), "s3: "))
	}
	return o, nil
}

func checkPrefix(prefix string) error {
	switch {
	case prefix == "":
		return nil
	case prefix == ".", !vfs.ValidName(prefix), !utf8.ValidString(prefix):
		return fmt.Errorf("the prefix %q is not a path of plain names", prefix)
	case slices.ContainsFunc(strings.Split(prefix, "/"), reserved):
		return fmt.Errorf("the prefix %q lies in the gateway's own directory", prefix)
	}
	return nil
}

// metadataKey begins the keys of the URL that become metadata.
const metadataKey = "meta."

// urlKey reads one key of the URL.
type urlKey struct {
	name string
	// read returns what is wrong with the value, as "it is …".
	read func(o *Options, v string) error
}

// urlKeys are in the order of the alphabet.
func urlKeys() []urlKey {
	text := func(field func(*Options) *string) func(*Options, string) error {
		return func(o *Options, v string) error { *field(o) = v; return nil }
	}
	size := func(field func(*Options) *int64) func(*Options, string) error {
		return func(o *Options, v string) (err error) { *field(o), err = parseSize(v); return err }
	}
	flag := func(set func(*Options, bool)) func(*Options, string) error {
		return func(o *Options, v string) error {
			if v != "true" && v != "false" {
				return errors.New("it is true or false")
			}
			set(o, v == "true")
			return nil
		}
	}
	return []urlKey{
		{"acl", text(func(o *Options) *string { return &o.ACL })},
		{"buffers", size(func(o *Options) *int64 { return &o.Buffers })},
		{"cache_control", text(func(o *Options) *string { return &o.CacheControl })},
		{"endpoint", readEndpoint},
		{"expiry", readExpiry},
		{"external_id", text(func(o *Options) *string { return &o.ExternalID })},
		{"max_parked", readMaxParked},
		{"max_parked_size", size(func(o *Options) *int64 { return &o.MaxParkedSize })},
		{"min_rate", size(func(o *Options) *int64 { return &o.MinRate })},
		{"mtime", readModTime},
		{"part_size", size(func(o *Options) *int64 { return &o.PartSize })},
		{"path_style", flag(func(o *Options, on bool) { o.PathStyle = &on })},
		{"profile", text(func(o *Options) *string { return &o.Profile })},
		{"provider", func(o *Options, v string) error { o.Provider = Provider(v); return nil }},
		{"read_only", flag(func(o *Options, on bool) { o.ReadOnly = on })},
		{"region", text(func(o *Options) *string { return &o.Region })},
		{"requester_pays", flag(func(o *Options, on bool) { o.RequesterPays = on })},
		{"role", text(func(o *Options) *string { return &o.Role })},
		{"sse", func(o *Options, v string) error { o.Encryption = Encryption(v); return nil }},
		{"sse_c_key_file", text(func(o *Options) *string { return &o.CustomerKeyFile })},
		{"sse_kms_key", text(func(o *Options) *string { return &o.KMSKey })},
		{"storage_class", text(func(o *Options) *string { return &o.StorageClass })},
		{"tags", readTags},
	}
}

func (o *Options) set(key, value string) error {
	if value == "" {
		return fmt.Errorf("%s is empty; leave it out for its default", key)
	}
	if name, ok := strings.CutPrefix(key, metadataKey); ok {
		if o.Metadata == nil {
			o.Metadata = map[string]string{}
		}
		o.Metadata[name] = value
		return nil
	}
	known := urlKeys()
	i := slices.IndexFunc(known, func(k urlKey) bool { return k.name == key })
	if i < 0 {
		var names []string
		for _, k := range known {
			names = append(names, k.name)
		}
		return fmt.Errorf("%s is unknown; allowed are %s and %sNAME", key, strings.Join(names, ", "), metadataKey)
	}
	err := known[i].read(o, value)
	if err != nil && key != "endpoint" { // that may hold a password
		err = fmt.Errorf("%s=%s: %w", key, value, err)
	}
	return err
}

func readEndpoint(o *Options, v string) error {
	e, err := url.Parse(v)
	switch {
	case err == nil && e.User != nil, err != nil && strings.Contains(v, "@"):
		return errors.New("endpoint holds credentials, which come from the environment, a profile or a role; it must look like http://HOST:PORT or https://HOST")
	case err != nil || e.Scheme != "http" && e.Scheme != "https" || e.Host == "" || e.RawQuery != "" || e.Fragment != "":
		return fmt.Errorf("endpoint=%s must look like http://HOST:PORT or https://HOST", v)
	}
	o.Endpoint = v
	return nil
}

func readExpiry(o *Options, v string) error {
	d, err := time.ParseDuration(v)
	if err != nil || d < minExpiry {
		return errors.New("it must be a time like 24h, two hours at least")
	}
	o.Expiry = d
	return nil
}

func readModTime(o *Options, v string) error {
	if v != "store" && v != "meta" {
		return errors.New("it must be store or meta")
	}
	o.KeepModTime = v == "meta"
	return nil
}

func readMaxParked(o *Options, v string) error {
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > 1_000_000 {
		return errors.New("it is a number above 0")
	}
	o.MaxParked = n
	return nil
}

func readTags(o *Options, v string) error {
	tags, err := url.ParseQuery(v)
	if err != nil {
		return errors.New("it must look like KEY=VALUE&KEY=VALUE, with & as %26")
	}
	o.Tags = map[string]string{}
	for k, values := range tags {
		if len(values) > 1 {
			return fmt.Errorf("the tag %s is given %d times", k, len(values))
		}
		o.Tags[k] = values[0]
	}
	return nil
}

// parseSize reads a number of bytes, or of KiB, MiB, GiB or TiB.
func parseSize(v string) (int64, error) {
	digits := strings.TrimRight(v, "BGKMTi")
	shift, ok := map[string]int{"": 0, "B": 0, "KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}[v[len(digits):]]
	n, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || n < 1 || n > 1<<62>>shift {
		return 0, errors.New("it is a size like 500000, 64KiB, 8MiB or 10GiB")
	}
	return n << shift, nil
}
