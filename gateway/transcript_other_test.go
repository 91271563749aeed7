//go:build !linux

package gateway_test

import (
	"errors"
	"net"
)

// sendUrgent is a system call that the transcripts make on Linux only.
func sendUrgent(*net.TCPConn, []byte) error { return errors.New("urgent data is sent on Linux only") }

// queuedToSend and queuedToRead never let a wait end: what can't be told must not
// be assumed.
func queuedToSend(*net.TCPConn) int { return 1 }
func queuedToRead(*net.TCPConn) int { return 1 }
