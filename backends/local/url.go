package local

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// OptionsFromURL reads "file:///directory" with these parameters, all optional:
//
//	sync=on|off             fsync before an upload is confirmed; on
//	publish=atomic|direct   see Options.Direct; atomic
//	append=auto|copy        copy: Append never writes in place (Options.CopyLimit); auto
//	staged_expiry=24h       a duration, or never
//	umask=022               octal, of new files and directories; the process's
//	file_mode=0644          octal, of new files; by umask
//	dir_mode=0755           octal, of new directories; by umask
//	chown=user:group        whom they belong to; the process's user
//	owner=, group=          what listings tell; none
//
// Each may stand once. Errors are one line and hold no password.
func OptionsFromURL(u *url.URL) (Options, error) {
	opt := Options{Dir: filepath.FromSlash(u.Path)}
	switch {
	case u.User != nil:
		return opt, errors.New("a file URL has no user or password: write file:///directory")
	case u.Host != "":
		return opt, fmt.Errorf("a file URL names no host, but this one begins with %q: write file:///directory, or the plain path", u.Host)
	case u.Opaque != "" || !strings.HasPrefix(u.Path, "/"):
		return opt, errors.New("a file URL holds an absolute path: write file:///directory, or the plain path")
	case u.Fragment != "":
		return opt, errors.New("a file URL has no fragment: write # in a path as %23, or give the plain path")
	}
	if runtime.GOOS == "windows" { // file:///C:/directory
		opt.Dir = strings.TrimPrefix(opt.Dir, `\`)
	}
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return opt, fmt.Errorf("the parameters of the file URL can't be read (%v): write ?sync=off&publish=direct", err)
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if n := len(values[key]); n > 1 {
			return opt, fmt.Errorf("the file URL gives %s %d times: give it once", key, n)
		}
		if err := opt.set(key, values.Get(key)); err != nil {
			return opt, err
		}
	}
	return opt, nil
}

// set sets what the parameter key stands for.
func (o *Options) set(key, v string) error {
	var err error
	switch key {
	case "sync":
		err = choose(&o.NoSync, v, "on", "off")
	case "publish":
		err = choose(&o.Direct, v, "atomic", "direct")
	case "append":
		always := false
		if err = choose(&always, v, "auto", "copy"); always {
			o.CopyLimit = -1
		}
	case "staged_expiry":
		o.StagedExpiry, err = expiry(v)
	case "file_mode":
		o.FileMode, err = permissions(v)
	case "dir_mode":
		o.DirMode, err = permissions(v)
	case "umask":
		if o.Umask, err = permissions(v); err != nil || o.Umask&0o700 != 0 {
			err = errors.New("it is what others may not, in octal, such as 022; for no restriction write file_mode=0666&dir_mode=0777")
		}
	case "chown":
		o.Chown = v
		_, err = ownershipOf(v)
		if v == "" {
			err = errors.New("it is user, user:group or :group, by name or number")
		}
	case "owner":
		o.Owner = v
	case "group":
		o.Group = v
	default:
		return fmt.Errorf("a file URL has no parameter %q: it may have append, chown, dir_mode, file_mode, group, owner, publish, staged_expiry, sync and umask", key)
	}
	if err != nil {
		return fmt.Errorf("the file URL says %s=%s: %w", key, v, err)
	}
	return nil
}

// choose sets to for v being yes, and leaves it for no.
func choose(to *bool, v, no, yes string) error {
	if v != no && v != yes {
		return fmt.Errorf("it is %s or %s", no, yes)
	}
	*to = v == yes
	return nil
}

func expiry(v string) (time.Duration, error) {
	if v == "never" {
		return -1, nil
	}
	d, err := time.ParseDuration(v)
	if err != nil || d <= 0 {
		return 0, errors.New("it is a duration such as 24h or 90m, or never")
	}
	return d, nil
}

func permissions(v string) (fs.FileMode, error) {
	n, err := strconv.ParseUint(v, 8, 32)
	if err != nil || n == 0 || n > 0o777 {
		return 0, errors.New("it is permission bits in octal, such as 0640")
	}
	return fs.FileMode(n), nil
}
