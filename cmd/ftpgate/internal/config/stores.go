package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ftpgate/ftpgate/auth"
	"github.com/ftpgate/ftpgate/vfs"
)

// Mount is a store in a directory of what is served.
type Mount struct {
	// The directory, such as `/archive`; it need not exist in another store. It covers what `url` has at
	// its place, and can't be removed or renamed by clients.
	Path Home `yaml:"path"`
	// What is mounted, as in `url`.
	URL URL `yaml:"url"`
	// Refuses everything that would change it.
	ReadOnly bool `yaml:"read_only" default:"false"`
	// What users may do there at most, in the letters of `users.permissions`; their own permissions
	// hold too.
	Permissions Permissions `yaml:"permissions"`
	// As `stores.names`, for this store alone.
	Names Names `yaml:"names" default:"exact"`
	// How many bytes the store may hold, such as `500G`, with uploads that run or wait to be resumed.
	QuotaBytes Size `yaml:"quota_bytes" default:"off"`
	// How many files the store may hold; directories don't count.
	QuotaFiles Count `yaml:"quota_files" default:"off"`

	position
}

// Stores says how stores are opened and used.
type Stores struct {
	// How names are found: `exact`; `unicode`, so that accents may be written as letters of their own
	// (NFC) or after the letter (NFD); or `insensitive`, which also ignores upper and lower case, as Windows and
	// macOS do. The exact name wins; new names stay as they were written.
	Names Names `yaml:"names" default:"exact"`
	// Whether a `home` that is missing is made at the login, and the directory that a `url` with `{user}` names
	// on this machine.
	MakeHome bool `yaml:"make_home" default:"false"`
	// How long a store that only some users have stays open when none of them is logged in; `off` is
	// until ftpgate ends.
	CloseAfter Duration `yaml:"close_after" default:"10m"`
	// Whether a rename from one store to another copies and then removes. Else it is refused.
	Move bool `yaml:"move" default:"true"`
}

// Quota bounds what each user may store.
type Quota struct {
	// How many bytes may be below a user's `home`, such as `10G`, with uploads that run or wait to be resumed, and
	// without what is mounted there.
	Bytes Size `yaml:"bytes" default:"off"`
	// How many files may be there; directories don't count.
	Files Count `yaml:"files" default:"off"`
	// The directory that keeps what is used over restarts, in a small file for each tree with a quota; it is made
	// if there is none. By default it is `ftpgate/quota` in the user's configuration directory.
	State Path `yaml:"state"`
}

// Limits are those of a user who has none of their own.
func (q *Quota) Limits(own auth.Quota) vfs.Limits {
	return limits(int64(q.Bytes), int64(q.Files), own)
}

// Limits are those of the store.
func (m *Mount) Limits() vfs.Limits {
	return limits(int64(m.QuotaBytes), int64(m.QuotaFiles), auth.Quota{})
}

func limits(bytes, files int64, own auth.Quota) vfs.Limits {
	if own.Bytes != 0 {
		bytes = own.Bytes
	}
	if own.Files != 0 {
		files = own.Files
	}
	return vfs.Limits{Bytes: max(0, bytes), Files: max(0, files)}
}

// Names is how names are found.
type Names string

// UnmarshalText reads exact, unicode or insensitive.
func (n *Names) UnmarshalText(text []byte) error {
	return oneOf(n, text, "exact", "unicode", "insensitive")
}

// Folding is n for vfs.Fold; 0: none.
func (n Names) Folding() vfs.Folding {
	switch n {
	case "unicode":
		return vfs.FoldForm
	case "insensitive":
		return vfs.FoldForm | vfs.FoldCase
	}
	return 0
}

// Dir is the place of the mount as a name of the vfs.
func (m *Mount) Dir() string { return string(m.Path[1:]) }

// checkStores is what only shows when all keys have been read.
func (c *Config) checkStores() error {
	first := map[Home]position{}
	for i := range c.Mounts {
		m := &c.Mounts[i]
		switch at, taken := first[m.Path]; {
		case m.Path == "":
			return m.wrap(errors.New("mounts: path is missing; write a directory such as /archive"))
		case m.Path == "/":
			return m.wrap(errors.New("mounts: the path is /; write what lies there into url"))
		case m.URL == "":
			return m.wrap(fmt.Errorf("mounts: url of %s is missing", m.Path))
		case taken:
			return m.wrap(fmt.Errorf("mounts: %s is already in line %d; delete one of the two", m.Path, at.line))
		case strings.Contains(string(m.Path), "{user}"):
			return m.wrap(fmt.Errorf("mounts: the path %s is the same for all users; {user} can be in url and home", m.Path))
		}
		first[m.Path] = m.position
	}
	return nil
}

// storesEqual reports whether b mounts the same stores.
func (c *Config) storesEqual(b *Config) bool {
	return slices.EqualFunc(c.Mounts, b.Mounts, func(x, y Mount) bool {
		x.position, y.position = position{}, position{}
		return x == y
	})
}
