//go:build !pam || !cgo || !(linux || freebsd || darwin)

package pam

import "testing"

func TestWithout(t *testing.T) {
	if s, err := New(Options{}); s != nil || err == nil || err.Error() != "this ftpgate was built without PAM; build it with -tags pam and cgo" {
		t.Error(s, err)
	}
}
