package sftp

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const urlForm = "sftp://user@host:port/directory"

// OptionsFromURL reads "sftp://user@host:port/directory". The path is absolute on
// the server; "/~/sub" is below the home directory, which no path at all is too.
// These parameters are all optional:
//
//	known_hosts=FILE         see Options.KnownHosts
//	identity=FILE            a private key
//	certificate=FILE         for that key; identity + "-cert.pub" if that is there
//	passphrase_file=FILE     opens the key; else FTPGATE_SFTP_PASSPHRASE
//	password_file=FILE       a password; else FTPGATE_SFTP_PASSWORD
//	agent=auto|on|off        the keys of the SSH agent; auto
//	sync=on|off              fsync before an upload is confirmed; on
//	overwrite=atomic|remove  see Options.RemoveFirst; atomic
//	staged_expiry=24h        a duration, or never
//	copy_limit=64            MiB, see Options.CopyLimit; or none
//	connections=4            at most
//	timeout=30s              for one answer of the server
//
// Each may stand once. Errors are one line and hold no password.
func OptionsFromURL(u *url.URL) (Options, error) {
	var o Options
	if _, secret := u.User.Password(); secret {
		return o, errors.New("an SFTP URL holds no password: give it in the environment variable FTPGATE_SFTP_PASSWORD, or in a file by password_file=FILE")
	}
	switch {
	case u.Scheme != "sftp":
		return o, errors.New("an SFTP URL begins with sftp://: write " + urlForm)
	case u.Opaque != "" || u.Hostname() == "":
		return o, errors.New("the SFTP URL names no host: write " + urlForm)
	case u.User.Username() == "":
		return o, errors.New("the SFTP URL names no user: write " + urlForm)
	case u.Fragment != "":
		return o, errors.New("an SFTP URL has no fragment: write # in a path as %23")
	}
	o.Host, o.User, o.Dir = u.Hostname(), u.User.Username(), u.Path
	if home, ok := strings.CutPrefix(u.Path, "/~"); ok && (home == "" || home[0] == '/') {
		o.Dir = strings.TrimLeft(home, "/")
	}
	if port := u.Port(); port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return o, fmt.Errorf("the SFTP URL has the port %s: it is from 1 to 65535", port)
		}
		o.Port = int(n)
	}
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return o, fmt.Errorf("the parameters of the SFTP URL can't be read (%v): write ?identity=FILE&sync=off", err)
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if n := len(values[key]); n > 1 {
			return o, fmt.Errorf("the SFTP URL gives %s %d times: give it once", key, n)
		}
		if err := o.set(key, values.Get(key)); err != nil {
			return o, err
		}
	}
	_, err = o.complete()
	return o, err
}

// set sets what the parameter key stands for.
func (o *Options) set(key, v string) error {
	var err error
	switch key {
	case "known_hosts":
		o.KnownHosts = []string{v}
		err = filePath(&v, v)
	case "identity":
		err = filePath(&o.Identity, v)
	case "certificate":
		err = filePath(&o.Certificate, v)
	case "passphrase_file":
		err = filePath(&o.PassphraseFile, v)
	case "password_file":
		err = filePath(&o.PasswordFile, v)
	case "agent":
		var i int
		i, err = choose(v, "auto", "on", "off")
		o.Agent = AgentUse(i)
	case "sync":
		var i int
		i, err = choose(v, "on", "off")
		o.NoSync = i == 1
	case "overwrite":
		var i int
		i, err = choose(v, "atomic", "remove")
		o.RemoveFirst = i == 1
	case "staged_expiry":
		if o.StagedExpiry = -1; v != "never" {
			o.StagedExpiry, err = duration(v)
		}
	case "copy_limit":
		if o.CopyLimit = -1; v != "none" {
			var n uint64
			if n, err = strconv.ParseUint(v, 10, 40); err != nil || n == 0 {
				err = errors.New("it is a number of MiB, or none")
			}
			o.CopyLimit = int64(n) << 20
		}
	case "connections":
		if o.Connections, err = strconv.Atoi(v); err != nil || o.Connections < 1 {
			err = errors.New("it is a number above 0")
		}
	case "timeout":
		o.Timeout, err = duration(v)
	default:
		return fmt.Errorf("an SFTP URL has no parameter %q: it may have agent, certificate, connections, copy_limit, identity, known_hosts, "+
			"overwrite, passphrase_file, password_file, staged_expiry, sync and timeout", key)
	}
	if err != nil {
		return fmt.Errorf("the SFTP URL says %s=%s: %w", key, v, err)
	}
	return nil
}

func filePath(to *string, v string) error {
	if *to = v; v == "" {
		return errors.New("it is the path of a file")
	}
	return nil
}

// choose returns the index of v in of.
func choose(v string, of ...string) (int, error) {
	i := slices.Index(of, v)
	if i < 0 {
		last := len(of) - 1
		return 0, fmt.Errorf("it is %s or %s", strings.Join(of[:last], ", "), of[last])
	}
	return i, nil
}

func duration(v string) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	if err != nil || d <= 0 {
		return 0, errors.New("it is a duration such as 24h or 90s")
	}
	return d, nil
}
