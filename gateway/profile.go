package gateway

import (
	"fmt"
	"strings"

	"golang.org/x/text/encoding"

	"github.com/ftpgate/ftpgate/auth"
	"github.com/ftpgate/ftpgate/gateway/wire"
	"github.com/ftpgate/ftpgate/vfs"
)

// Profile is a set of tolerances for devices and old programs that nobody can
// change any more. The zero value tolerates nothing. It is not changed once it is in
// use. (docs/compatibility.md names what needs which.)
type Profile struct {
	// MakeParents makes the missing directories above the name of an upload (STOR,
	// APPE), of MKD and of RNTO, if the user may make directories.
	MakeParents bool
	// Charset is how the client writes names until it sends OPTS UTF8 ON, and again
	// after OPTS UTF8 OFF; nil: UTF-8, which then can't be switched off. It has to
	// contain ASCII. Names that it can't express are left out of listings.
	Charset encoding.Encoding
	// Names says which other spellings of a name mean the same file; see vfs.Fold.
	Names vfs.Folding
	// Backslash separates directories, as '/' does.
	Backslash bool
	// Binary takes TYPE A for TYPE I: for clients that ask for text and send bytes.
	Binary bool
	// ListDate is the form of the times in LIST.
	ListDate wire.DateForm
	// CommitOnControlLost and LenientTLS are as in Uploads.
	CommitOnControlLost, LenientTLS bool
}

// profile returns the one of that name, or the server's own if the name is empty.
func (c *Config) profile(name string) (*Profile, error) {
	if name == "" {
		name = c.Profile
	}
	p := c.Profiles[name]
	if p == nil && name != "" {
		return nil, fmt.Errorf("there is no device profile %q", name)
	}
	if p == nil {
		p = &Profile{}
	}
	return p, nil
}

// commitsOnControlLost reports whether an upload counts as whole although the control
// connection is gone: what the user says wins.
func (s *session) commitsOnControlLost() bool {
	if own := s.principal.CommitOnControlLost; own != nil {
		return *own
	}
	return s.cfg.Uploads.CommitOnControlLost || s.profile.CommitOnControlLost
}

// lenientTLS reports whether one does without close_notify.
func (s *session) lenientTLS() bool {
	if own := s.principal.LenientTLS; own != nil {
		return *own
	}
	return s.cfg.Uploads.LenientTLS || s.profile.LenientTLS
}

// fold finds the names of fsys as the profile says. The policy is asked for the real
// names, too.
func (p *Profile) fold(fsys vfs.FS, policy *auth.Policy) vfs.FS {
	if p.Names == 0 {
		return fsys
	}
	return vfs.Fold(vfs.GuardRules(fsys, policy), p.Names)
}

// charset is how the client writes names; nil: UTF-8, or whatever bytes they are.
func (s *session) charset() encoding.Encoding {
	if s.utf8 {
		return nil
	}
	return s.profile.Charset
}

// fromWire is text of the client in UTF-8. It is false if it is not in the charset.
func (s *session) fromWire(text string) (string, bool) {
	cs := s.charset()
	if cs == nil || isASCII(text) {
		return text, true
	}
	out, err := cs.NewDecoder().String(text)
	return out, err == nil && !strings.ContainsRune(out, encoding.ASCIISub) && !strings.ContainsRune(out, '\uFFFD')
}

// onWire is name as the client reads it. It is false if the charset has no such
// characters.
func (s *session) onWire(name string) (string, bool) {
	cs := s.charset()
	if cs == nil || isASCII(name) {
		return name, true
	}
	out, err := cs.NewEncoder().String(name)
	return out, err == nil
}

// onWireReply is r as the client reads it, with substitutes for characters that the
// charset does not have.
func (s *session) onWireReply(r wire.Reply) wire.Reply {
	cs := s.charset()
	if cs == nil {
		return r
	}
	lines := make([]string, len(r.Lines))
	for i, line := range r.Lines {
		if lines[i] = line; !isASCII(line) {
			lines[i], _ = encoding.ReplaceUnsupported(cs.NewEncoder()).String(line)
		}
	}
	r.Lines = lines
	return r
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
