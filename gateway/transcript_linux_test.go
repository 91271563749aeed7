package gateway_test

import (
	"net"

	"golang.org/x/sys/unix"
)

// sendUrgent sends p with MSG_OOB: its last byte is the urgent one.
func sendUrgent(c *net.TCPConn, p []byte) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = unix.Sendto(int(fd), p, unix.MSG_OOB, nil) })
	if err != nil {
		return err
	}
	return failed
}

// queuedToSend is how many bytes the other side has not acknowledged.
func queuedToSend(c *net.TCPConn) int { return socketCount(c, unix.TIOCOUTQ) }

// queuedToRead is how many bytes have come that nobody has read.
func queuedToRead(c *net.TCPConn) int { return socketCount(c, unix.TIOCINQ) }

// socketCount is 0 for a connection that is closed.
func socketCount(c *net.TCPConn, request uint) int {
	n := 0
	if raw, err := c.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), request) })
	}
	return n
}
