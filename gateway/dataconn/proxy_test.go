package dataconn

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"
)

func TestProxyHeader(t *testing.T) {
	const v1 = "PROXY TCP4 198.51.100.7 203.0.113.1 50000 21\r\n"
	v2 := "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + "\xc6\x33\x64\x07" + "\xcb\x00\x71\x01" + "\xc3\x50" + "\x00\x15"
	local := "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
	tests := []struct {
		name, sent, remote string
		err                error
	}{
		{"version 1", v1, "198.51.100.7:50000", nil},
		{"version 1, IPv6", "PROXY TCP6 2001:db8::7 2001:db8::1 50000 21\r\n", "[2001:db8::7]:50000", nil},
		{"version 2", v2, "198.51.100.7:50000", nil},
		{"health check", local, "", nil},
		{"unknown", "PROXY UNKNOWN\r\n", "", nil},
		{"no header", "USER anonymous\r\n", "", ErrProxyHeader},
		{"no end", string(make([]byte, 200)), "", ErrProxyHeader},
		{"version 2, too long", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff", "", ErrProxyHeader},
		{"nearly version 2", "\r\n\r\n\x00\r\nQUIX\n\x21\x11\x00\x00", "", ErrProxyHeader},
		{"cut", "PROXY TCP4 198.51", "", io.EOF},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			server, client := tcpPair(t)
			defer server.Close()
			defer client.Close()
			go func() {
				_, _ = io.WriteString(client, test.sent)
				if test.err == nil {
					_, _ = io.WriteString(client, "REST")
				}
				_ = client.(*net.TCPConn).CloseWrite()
			}()
			ends, err := (&Proxy{}).ReadHeader(server)
			if !errors.Is(err, test.err) {
				t.Fatalf("%v, want %v", err, test.err)
			}
			if err != nil {
				return
			}
			want := AddrOf(server.RemoteAddr()).String()
			if test.remote != "" {
				want = test.remote
			}
			if ends.Remote.String() != want {
				t.Errorf("remote %v, want %s", ends.Remote, want)
			}
			if rest, err := io.ReadAll(server); string(rest) != "REST" || err != nil {
				t.Errorf("behind the header: %q, %v", rest, err)
			}
		})
	}
}

func TestProxyHeaderHasADeadline(t *testing.T) {
	server, client := tcpPair(t)
	defer server.Close()
	defer client.Close()
	_, err := (&Proxy{Timeout: time.Millisecond}).ReadHeader(server)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

func TestPeerCheck(t *testing.T) {
	client := netip.MustParseAddrPort("198.51.100.7:40000")
	for _, test := range []struct {
		check  PeerCheck
		target string
		want   error
	}{
		{PeerExact, "198.51.100.7:2000", nil},
		{PeerExact, "[::ffff:198.51.100.7]:2000", nil},
		{PeerExact, "198.51.100.8:2000", ErrForeignAddress},
		{PeerExact, "[::]:2000", nil},
		{PeerExact, "0.0.0.0:2000", nil},
		{PeerExact, "[::]:25", ErrPrivilegedPort},
		{PeerExact, "198.51.100.7:1023", ErrPrivilegedPort},
		{PeerNetwork, "198.51.100.8:2000", nil},
		{PeerNetwork, "198.51.101.8:2000", ErrForeignAddress},
		{PeerAny, "192.0.2.1:2000", nil},
		{PeerAny, "192.0.2.1:25", ErrPrivilegedPort},
	} {
		if _, err := test.check.Target(netip.MustParseAddrPort(test.target), client); !errors.Is(err, test.want) {
			t.Errorf("check %d of %s: %v, want %v", test.check, test.target, err, test.want)
		}
	}
	linkLocal := netip.MustParseAddrPort("[fe80::1%eth0]:40000")
	got, err := PeerExact.Target(netip.MustParseAddrPort("[fe80::1]:2000"), linkLocal)
	if err != nil || got.String() != "[fe80::1%eth0]:2000" {
		t.Errorf("link-local: %v, %v", got, err)
	}
}
