// Package pam asks the Pluggable Authentication Modules of the system who may log
// in: it authenticates the user and then does the account management, which refuses
// accounts that are expired or locked. It opens no PAM session.
//
// It needs cgo and the headers of libpam, and is built with the tag pam; without it, New is
// an error.
package pam

import (
	"time"

	"github.com/ftpgate/ftpgate/auth"
)

// Options say which service is asked, and how.
type Options struct {
	// Service names the file in /etc/pam.d; empty: ftpgate.
	Service string
	// ConfDir has the files of services; empty: those of the system.
	ConfDir string
	// Timeout bounds one login; 0: 10 s. A module that hangs can't be interrupted: it keeps
	// its place of Concurrency until it ends.
	Timeout time.Duration
	// Concurrency is how many logins there are at once; 0: 16. Further logins wait.
	Concurrency int
	// Defaults are what holds for the users; PAM says nothing of it.
	Defaults auth.Account
}
