package wire

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

func TestParseHostPort(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"127,0,0,1,4,1", "127.0.0.1:1025"},
		{"0,0,0,0,0,1", "0.0.0.0:1"},
		{"255,255,255,255,255,255", "255.255.255.255:65535"},
		{" 10, 0,0 ,1, 4 , 210 ", "10.0.0.1:1234"},
		{"010,000,0,1,04,210", "10.0.0.1:1234"},
		{"", ""}, {",,,,,", ""}, {"1,2,3,4,5", ""}, {"1,2,3,4,5,6,", ""}, {"1,2,3,4,5,6,7", ""}, {",1,2,3,4,5,6", ""},
		{"256,0,0,1,4,1", ""}, {"1,2,3,4,256,1", ""}, {"1,2,3,4,1,256", ""}, {"1,2,3,4,5,", ""}, {"1,2,3,,5,6", ""},
		{"-1,2,3,4,5,6", ""}, {"+1,2,3,4,5,6", ""}, {"1,2,3,4,5,6x", ""}, {"0x1,2,3,4,5,6", ""}, {"1.2.3.4,5,6", ""},
		{"1 1,2,3,4,5,6", ""}, {"0001,2,3,4,5,6", ""}, {"1,2,3,4,0,0", ""}, {"1,2,3,4,5,6\r", ""}, {"１,2,3,4,5,6", ""},
		{"4294967297,2,3,4,5,6", ""}, {"\t1,2,3,4,5,6", ""},
	} {
		got, err := ParseHostPort(tt.in)
		if tt.want == "" {
			if err != ErrSyntax {
				t.Errorf("ParseHostPort(%q) = %v, %v; want ErrSyntax", tt.in, got, err)
			}
		} else if err != nil || got.String() != tt.want {
			t.Errorf("ParseHostPort(%q) = %v, %v; want %s", tt.in, got, err, tt.want)
		}
	}
}

func TestFormatHostPort(t *testing.T) {
	for in, want := range map[string]string{
		"127.0.0.1:1025":          "127,0,0,1,4,1",
		"255.255.255.255:65535":   "255,255,255,255,255,255",
		"[::ffff:192.0.2.1]:21":   "192,0,2,1,0,21",
		"0.0.0.0:256":             "0,0,0,0,1,0",
		"[::1]:21":                "",
		"[fe80::1%eth0]:21":       "",
		"[2001:db8::1]:12345":     "",
		"[::ffff:0:192.0.2.1]:21": "",
	} {
		got, err := FormatHostPort(netip.MustParseAddrPort(in))
		if got != want || (err == ErrFamily) != (want == "") {
			t.Errorf("FormatHostPort(%s) = %q, %v; want %q", in, got, err, want)
		}
	}
	if got, err := FormatHostPort(netip.AddrPort{}); err != ErrFamily {
		t.Errorf("FormatHostPort of nothing: %q, %v", got, err)
	}
}

func TestParseExtended(t *testing.T) {
	for _, tt := range []struct {
		in, want string
		err      error
	}{
		{"|1|132.235.1.2|6275|", "132.235.1.2:6275", nil},
		{"|2|1080::8:800:200C:417A|5282|", "[1080::8:800:200c:417a]:5282", nil},
		{"|2|::1|21|", "[::1]:21", nil},
		{"|2|::ffff:192.0.2.1|1024|", "192.0.2.1:1024", nil},
		{"!1!1.2.3.4!65535!", "1.2.3.4:65535", nil},
		{"~1~1.2.3.4~1~", "1.2.3.4:1", nil},
		{"a1a1.2.3.4a1a", "1.2.3.4:1", nil},
		{" |1|1.2.3.4|21| ", "1.2.3.4:21", nil},
		{"|1|1.2.3.4|00021|", "1.2.3.4:21", nil},

		{"|0|1.2.3.4|21|", "", ErrFamily},
		{"|3|1.2.3.4|21|", "", ErrFamily},
		{"|65535|whatever|21|", "", ErrFamily},

		{"", "", ErrSyntax}, {"|", "", ErrSyntax}, {"||", "", ErrSyntax}, {"|||||", "", ErrSyntax}, {"||||||", "", ErrSyntax},
		{"|1|1.2.3.4|21", "", ErrSyntax}, {"1|1.2.3.4|21|", "", ErrSyntax}, {"|1|1.2.3.4|21|x", "", ErrSyntax},
		{"|1|1.2.3.4|21||", "", ErrSyntax}, {"|1|1.2.3.4|21|x|", "", ErrSyntax}, {"|1|1.2.3.4|", "", ErrSyntax},
		{"|1|1.2.3.4|0|", "", ErrSyntax}, {"|1|1.2.3.4|65536|", "", ErrSyntax}, {"|1|1.2.3.4|-1|", "", ErrSyntax},
		{"|1|1.2.3.4|+1|", "", ErrSyntax}, {"|1|1.2.3.4||", "", ErrSyntax}, {"|1||21|", "", ErrSyntax},
		{"|1|::1|21|", "", ErrSyntax}, {"|2|1.2.3.4|21|", "", ErrSyntax}, {"|1|::ffff:1.2.3.4|21|", "", ErrSyntax},
		{"|1|1.2.3|21|", "", ErrSyntax}, {"|1|1.2.3.256|21|", "", ErrSyntax}, {"|1|localhost|21|", "", ErrSyntax},
		{"|1| 1.2.3.4|21|", "", ErrSyntax}, {"|2|[::1]|21|", "", ErrSyntax}, {"|2|fe80::1%eth0|21|", "", ErrSyntax},
		{"|x|1.2.3.4|21|", "", ErrSyntax}, {"||1.2.3.4|21|", "", ErrSyntax}, {"|-1|1.2.3.4|21|", "", ErrSyntax},
		{"|99999|1.2.3.4|21|", "", ErrSyntax}, {".1.1.2.3.4.21.", "", ErrSyntax}, {":2:::1:21:", "", ErrSyntax},
		{"\x7f1\x7f1.2.3.4\x7f21\x7f", "", ErrSyntax}, {"\xa61\xa61.2.3.4\xa621\xa6", "", ErrSyntax},
		{"|1!1.2.3.4|21|", "", ErrSyntax}, {"|1|1.2.3.4|21!", "", ErrSyntax},
	} {
		got, err := ParseExtended(tt.in)
		if err != tt.err || err == nil && got.String() != tt.want {
			t.Errorf("ParseExtended(%q) = %v, %v; want %s, %v", tt.in, got, err, tt.want, tt.err)
		}
	}
}

func TestExtendedPassive(t *testing.T) {
	if got := FormatExtendedPassive(6446); got != "|||6446|" {
		t.Error(got)
	}
	for _, tt := range []struct {
		in     string
		family Family
		all    bool
		err    error
	}{
		{"", AnyFamily, false, nil}, {" ", AnyFamily, false, nil},
		{"1", IPv4, false, nil}, {"2", IPv6, false, nil}, {" 2 ", IPv6, false, nil},
		{"ALL", AnyFamily, true, nil}, {"all", AnyFamily, true, nil},
		{"0", 0, false, ErrFamily}, {"3", 0, false, ErrFamily}, {"42", 0, false, ErrFamily},
		{"ALLE", 0, false, ErrSyntax}, {"-1", 0, false, ErrSyntax}, {"1 2", 0, false, ErrSyntax}, {"1x", 0, false, ErrSyntax},
		{"ＡLL", 0, false, ErrSyntax}, {"100000", 0, false, ErrSyntax},
	} {
		family, all, err := ParseExtendedPassive(tt.in)
		if family != tt.family || all != tt.all || err != tt.err {
			t.Errorf("ParseExtendedPassive(%q) = %v, %v, %v", tt.in, family, all, err)
		}
	}
}

// FuzzHostPort: what is accepted are six numbers, and they are the address.
func FuzzHostPort(f *testing.F) {
	for _, s := range []string{"127,0,0,1,4,1", "1,2,3,4,5", " 1 , 2 , 3 , 4 , 5 , 6 ", "256,1,1,1,1,1", "1,2,3,4,0,0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseHostPort(s)
		if err != nil {
			if err != ErrSyntax {
				t.Fatal(err)
			}
			return
		}
		var n [6]int
		if k, err := fmt.Sscanf(strings.ReplaceAll(s, " ", ""), "%d,%d,%d,%d,%d,%d", &n[0], &n[1], &n[2], &n[3], &n[4], &n[5]); k != 6 {
			t.Fatalf("%q was accepted as %v: %v", s, got, err)
		}
		if want := fmt.Sprintf("%d.%d.%d.%d:%d", n[0], n[1], n[2], n[3], n[4]*256+n[5]); got.String() != want {
			t.Fatalf("%q: %v, want %s", s, got, want)
		}
		text, err := FormatHostPort(got)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := ParseHostPort(text); err != nil || back != got {
			t.Fatalf("%v as %q is %v, %v", got, text, back, err)
		}
	})
}

// FuzzExtended: what is accepted is an unmapped address without zone and a port,
// and comes back from its own form.
func FuzzExtended(f *testing.F) {
	for _, s := range []string{"|1|1.2.3.4|21|", "|2|::1|21|", "|2|::ffff:1.2.3.4|21|", "|3|x|1|", "|2|fe80::1%a|21|", "!1!1.2.3.4!1!", "11111"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseExtended(s)
		if err != nil {
			if err != ErrSyntax && err != ErrFamily || got.IsValid() {
				t.Fatal(got, err)
			}
			return
		}
		addr := got.Addr()
		if !addr.IsValid() || addr.Is4In6() || addr.Zone() != "" || got.Port() == 0 {
			t.Fatalf("%q: %v", s, got)
		}
		family := 2
		if addr.Is4() {
			family = 1
		}
		if back, err := ParseExtended(fmt.Sprintf("|%d|%s|%d|", family, addr, got.Port())); err != nil || back != got {
			t.Fatalf("%v came back as %v, %v", got, back, err)
		}
	})
}

// Every IPv4 address and port, sampled, survives its PORT form.
func TestHostPortRoundTrip(t *testing.T) {
	for n := range uint32(1 << 16) {
		var addr [4]byte
		binary.BigEndian.PutUint32(addr[:], n*65521)
		want := netip.AddrPortFrom(netip.AddrFrom4(addr), uint16(max(n, 1)))
		text, err := FormatHostPort(want)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ParseHostPort(text); err != nil || got != want {
			t.Fatalf("%v as %q is %v, %v", want, text, got, err)
		}
	}
}
