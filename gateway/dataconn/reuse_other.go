//go:build !unix

package dataconn

import "syscall"

// reuseAddress does nothing: elsewhere than on Unix the option would let others
// take the port over.
func reuseAddress(_, _ string, _ syscall.RawConn) error { return nil }
