package s3

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ftpgate/ftpgate/vfs"
)

// OptionsFromURL reads
//
//	s3://bucket/prefix?endpoint=http://127.0.0.1:7070&region=us-east-1&path_style=true&provider=generic&profile=NAME&expiry=24h
//
// Every key is optional. What it does not know is an error that says what is
// allowed. Credentials are never part of the URL.
func OptionsFromURL(u *url.URL) (Options, error) {
	var o Options
	switch {
	case u.Scheme != "s3":
		return o, fmt.Errorf("%s: not an s3:// URL", u.Redacted())
	case u.User != nil:
		return o, fmt.Errorf("%s: credentials come from the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), a profile (profile=NAME) or a role, never from the URL", u.Redacted())
	case u.Host == "" || u.Opaque != "":
		return o, fmt.Errorf("%s: the bucket is missing; write s3://BUCKET/PREFIX", u)
	case u.Port() != "" || strings.Contains(u.Host, ":"):
		return o, fmt.Errorf("%s: the place of the host is the bucket's; give the server as endpoint=http://HOST:PORT", u)
	case u.Fragment != "":
		return o, fmt.Errorf("%s: write # in a prefix as %%23", u)
	}
	o.Bucket = u.Host
	o.Prefix = strings.TrimSuffix(strings.TrimPrefix(u.Path, "/"), "/")
	if err := checkPrefix(o.Prefix); err != nil {
		return o, fmt.Errorf("%s: %w", u, err)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return o, fmt.Errorf("%s: %w", u, err)
	}
	for key, values := range query {
		if len(values) > 1 {
			return o, fmt.Errorf("%s: %s is given %d times", u, key, len(values))
		}
		if err := o.set(key, values[0]); err != nil {
			return o, fmt.Errorf("%s: %w", u, err)
		}
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

func (o *Options) set(key, value string) error {
	if value == "" {
		return fmt.Errorf("%s is empty; leave it out for its default", key)
	}
	switch key {
	case "endpoint":
		e, err := url.Parse(value)
		if err != nil || e.Scheme != "http" && e.Scheme != "https" || e.Host == "" || e.User != nil || e.RawQuery != "" || e.Fragment != "" {
			return fmt.Errorf("endpoint=%s must look like http://HOST:PORT or https://HOST", value)
		}
		o.Endpoint = value
	case "region":
		o.Region = value
	case "path_style":
		if value != "true" && value != "false" {
			return fmt.Errorf("path_style=%s must be true or false", value)
		}
		on := value == "true"
		o.PathStyle = &on
	case "provider":
		o.Provider = Provider(value)
		return o.Provider.check()
	case "profile":
		o.Profile = value
	case "expiry":
		d, err := time.ParseDuration(value)
		if err != nil || d < minExpiry {
			return fmt.Errorf("expiry=%s must be a time like 24h, two hours at least", value)
		}
		o.Expiry = d
	default:
		return fmt.Errorf("%s is unknown; allowed are endpoint, region, path_style, provider, profile and expiry", key)
	}
	return nil
}

func (p Provider) check() error {
	switch p {
	case "", AWS, Generic, R2:
		return nil
	}
	return fmt.Errorf("provider=%s must be aws, generic or r2", string(p))
}
