package local

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/ftpgate/ftpgate/vfs"
)

const (
	hiddenPrefix = ".ftpgate-"
	maxElement   = 255 // bytes, on every common disk
)

// begin checks what every method checks: its name and its context.
func begin(ctx context.Context, op, name string) error {
	if err := checkName(op, name); err != nil {
		return err
	}
	return vfs.ContextError(ctx, op, name)
}

// checkName refuses hidden names too, and what the system can't hold.
func checkName(op, name string) error {
	if err := vfs.CheckName(op, name); err != nil {
		return err
	}
	for elem := range strings.SplitSeq(name, "/") {
		if hidden(elem) || !legal(elem) {
			return &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
		}
	}
	return nil
}

// hidden reports whether elem is, on whatever disk, one of the names that are
// kept for uploads.
func hidden(elem string) bool {
	if hasHiddenPrefix(elem) {
		return true
	}
	if !strings.ContainsFunc(elem, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return false
	}
	// A disk that ignores letter case may also ignore characters without a look.
	visible := strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) {
			return -1
		}
		return r
	}, elem)
	return len(visible) != len(elem) && hasHiddenPrefix(visible)
}

func hasHiddenPrefix(elem string) bool {
	return len(elem) >= len(hiddenPrefix) && strings.EqualFold(elem[:len(hiddenPrefix)], hiddenPrefix)
}

// stagedName is where the owner's upload of base is written.
func stagedName(owner, base string) string {
	if name := stagedPrefix(owner) + base; len(name) <= maxElement {
		return name
	}
	return stagedLongPrefix(owner) + digest(base, 16)
}

// stagedPrefix begins the staged names that tell their base.
func stagedPrefix(owner string) string {
	return hiddenPrefix + "n-" + digest(owner, 8) + "-"
}

// stagedLongPrefix begins those that don't.
func stagedLongPrefix(owner string) string {
	return hiddenPrefix + "h-" + digest(owner, 8) + "-"
}

func digest(s string, bytes int) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:bytes])
}

// passingName is a new name for an upload that can't be resumed.
func passingName() string { return hiddenPrefix + "x-" + rand.Text() }

// stagedKind tells the letter of a name that was made by stagedName or
// passingName.
func stagedKind(elem string) (kind byte, ok bool) {
	rest, ok := strings.CutPrefix(elem, hiddenPrefix)
	if !ok || len(rest) < 3 || rest[1] != '-' || !strings.Contains("nhx", rest[:1]) {
		return 0, false
	}
	return rest[0], true
}

// nameLocks lets one Append or WriteAt, or one direct upload, at a name. The zero
// value is ready.
type nameLocks struct {
	mu   sync.Mutex
	held map[nameKey]bool
}

// nameKey is a name however it was reached.
type nameKey struct {
	dir  fileID
	base string
}

// take reports whether the name was free.
func (l *nameLocks) take(k nameKey) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[k] {
		return false
	}
	if l.held == nil {
		l.held = map[nameKey]bool{}
	}
	l.held[k] = true
	return true
}

func (l *nameLocks) free(k nameKey) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, k)
}
