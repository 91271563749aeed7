package sftp

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

// The kinds of hidden names, by their letter.
const (
	kindParked  = 'n' // an owner's parked upload of a name
	kindParkedH = 'h' // the same for a long name
	kindLink    = 'p' // a link to an owner's running upload of a name
	kindLinkH   = 'q' // the same for a long name
	kindRunning = 'x' // an upload while it runs
)

// begin checks what every method checks: its name and its context.
func begin(ctx context.Context, op, name string) error {
	if err := checkName(op, name); err != nil {
		return err
	}
	return vfs.ContextError(ctx, op, name)
}

// checkName refuses hidden names too, and elements that no disk can hold.
func checkName(op, name string) error {
	if err := vfs.CheckName(op, name); err != nil {
		return err
	}
	for elem := range strings.SplitSeq(name, "/") {
		if hidden(elem) || len(elem) > maxElement {
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

// parkedName is where the owner's upload of base is parked.
func parkedName(owner, base string) string { return ownedName(kindParked, kindParkedH, owner, base) }

// linkName is the link to the owner's running upload of base.
func linkName(owner, base string) string { return ownedName(kindLink, kindLinkH, owner, base) }

func ownedName(kind, long byte, owner, base string) string {
	if name := ownedPrefix(kind, owner) + base; len(name) <= maxElement {
		return name
	}
	return ownedPrefix(long, owner) + digest(base, 16)
}

// ownedPrefix begins the owner's names of a kind.
func ownedPrefix(kind byte, owner string) string {
	return hiddenPrefix + string(kind) + "-" + digest(owner, 8) + "-"
}

func digest(s string, bytes int) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:bytes])
}

// runningName is a new name for an upload that runs. No two uploads ever have the
// same, so that whoever finds his gone knows that the upload was taken from him.
func runningName() string { return hiddenPrefix + string(kindRunning) + "-" + rand.Text() }

// isRunningName reports whether runningName made elem.
func isRunningName(elem string) bool {
	random, ok := strings.CutPrefix(elem, hiddenPrefix+string(kindRunning)+"-")
	return ok && len(random) == 26 && strings.Trim(random, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

// hiddenKind tells the kind of a name that was made here.
func hiddenKind(elem string) (kind byte, ok bool) {
	rest, ok := strings.CutPrefix(elem, hiddenPrefix)
	if !ok || len(rest) < 3 || rest[1] != '-' || !strings.Contains("nhpqx", rest[:1]) {
		return 0, false
	}
	return rest[0], true
}

// registry knows what runs in this process. The zero value is ready.
type registry struct {
	mu      sync.Mutex
	held    map[string]bool   // names that an Append or WriteAt goes on with
	running map[string]bool   // hidden names of running uploads
	owners  map[[2]string]int // running uploads by owner and name
}

// hold reports whether nobody else goes on with name.
func (r *registry) hold(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held[name] {
		return false
	}
	if r.held == nil {
		r.held = map[string]bool{}
	}
	r.held[name] = true
	return true
}

func (r *registry) letGo(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.held, name)
}

// start notes an upload of the owner to name in the hidden file stage.
func (r *registry) start(stage, owner, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running == nil {
		r.running, r.owners = map[string]bool{}, map[[2]string]int{}
	}
	r.running[stage] = true
	r.owners[[2]string{owner, name}]++
}

func (r *registry) stop(stage, owner, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.running, stage)
	key := [2]string{owner, name}
	if r.owners[key]--; r.owners[key] <= 0 {
		delete(r.owners, key)
	}
}

func (r *registry) isRunning(stage string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.running[stage]
}

// runs reports whether an upload of the owner to name runs.
func (r *registry) runs(owner, name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.owners[[2]string{owner, name}] > 0
}
