//go:build !linux

package gateway

import (
	"net"
	"time"
)

// roundTrip is a guess where the kernel is not asked.
func roundTrip(net.Conn) time.Duration { return 10 * time.Millisecond }

// inlineUrgent does nothing: urgent bytes are lost, and wire.LineReader copes with
// what is left of a Synch.
func inlineUrgent(net.Conn) {}

// hungUp leaves it to the reader to find out.
func hungUp(net.Conn) bool { return false }

// unread always drains.
func unread(net.Conn) bool { return true }
