package gateway

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// roundTrip is the kernel's estimate of the time to the client and back; 0 if
// conn is not TCP.
func roundTrip(conn net.Conn) time.Duration {
	var rtt time.Duration
	control(conn, func(fd int) {
		if info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			rtt = time.Duration(info.Rtt) * time.Microsecond
		}
	})
	return rtt
}

// inlineUrgent delivers TCP's urgent data in line, where the Telnet Synch before
// ABOR belongs (RFC 1123 4.1.2.10); out of line it would be lost.
func inlineUrgent(conn net.Conn) {
	control(conn, func(fd int) { _ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_OOBINLINE, 1) })
}

// unread reports whether the client has sent bytes that nobody has read.
func unread(conn net.Conn) bool {
	var n int
	control(conn, func(fd int) { n, _ = unix.IoctlGetInt(fd, unix.TIOCINQ) })
	return n > 0
}

// hungUp reports whether the client has closed its side and nothing unread lies
// before that.
func hungUp(conn net.Conn) bool {
	gone := false
	control(conn, func(fd int) {
		n, _, err := unix.Recvfrom(fd, make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
		gone = n == 0 && err == nil || err == unix.ECONNRESET
	})
	return gone
}

// control calls f with the descriptor of the socket, which may lie below TLS.
func control(conn net.Conn, f func(fd int)) {
	for {
		over, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		conn = over.NetConn()
	}
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return
	}
	if raw, err := sc.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { f(int(fd)) })
	}
}
