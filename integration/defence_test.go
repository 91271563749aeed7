package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/ftpgate/ftpgate/integration/internal/daemon"
)

// defended starts the released command with a configuration of its own, over a
// directory with the files f and secret.key, and returns it with its directories.
func defended(t *testing.T, config string) (gateway *daemon.Gateway, root, home string) {
	t.Helper()
	root, home = t.TempDir(), t.TempDir()
	writeTree(t, root, tree{"f": randomBytes(1, 1<<20), "secret.key": []byte("x"), "inbox/old": []byte("x")})
	file := filepath.Join(home, "ftpgate.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	gateway, err := daemon.StartGateway(daemon.GatewayConfig{
		Binary: shared.plain, Host: loopbacks[0].addr, Storage: root, Flags: []string{"--config", file},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := gateway.Stop(); err != nil {
			t.Error(err)
		}
	})
	return gateway, root, home
}

// curlFrom runs curl with another address of loopback as its own.
func curlFrom(t *testing.T, home, from, user string, args ...string) (string, error) {
	t.Helper()
	return run(command(t, home, "curl", append([]string{"--silent", "--show-error", "--verbose", "--interface", from, "--user", user}, args...)...))
}

// TestBanByTheBinary: passwords that are wrong too often shut out one address, and
// curl and lftp from there with it.
func TestBanByTheBinary(t *testing.T) {
	gateway, _, home := defended(t, "defence: {count_loopback: true, ban_score: 30, ban_for: 1h, login_delay: 1ms}\n")
	url := gateway.URL("")
	for attempt := 1; ; attempt++ {
		out, err := curlFrom(t, home, "127.0.0.2", daemon.User+":wrong", url)
		if err == nil {
			t.Fatal(out)
		}
		if strings.Contains(out, "421 Your address is banned") {
			if attempt < 6 { // five, with 6 points each
				t.Errorf("banned at attempt %d", attempt)
			}
			break
		}
		if !strings.Contains(out, "530 Login incorrect.") || attempt > 10 {
			t.Fatalf("attempt %d: %s", attempt, out)
		}
	}
	if out, err := curlFrom(t, home, "127.0.0.2", account, url); err == nil || !strings.Contains(out, "421 Your address is banned") {
		t.Errorf("the right password from the banned address: %v, %s", err, out)
	}
	if out, err := curlFrom(t, home, "127.0.0.3", account, url); err != nil {
		t.Errorf("another address: %v, %s", err, out)
	}
	lftp := func(from string) (string, error) {
		name, password, _ := strings.Cut(account, ":")
		return run(command(t, home, "lftp", "--norc", "-c", fmt.Sprintf(
			"set net:max-retries 1; set net:socket-bind-ipv4 %s; set ftp:ssl-allow no; open -u %s,%s %s; cls", from, name, password, url)))
	}
	if out, err := lftp("127.0.0.2"); err == nil {
		t.Errorf("lftp from the banned address: %s", out)
	}
	if out, err := lftp("127.0.0.3"); err != nil || !strings.Contains(out, "inbox") {
		t.Errorf("lftp from another address: %v, %s", err, out)
	}
	for _, want := range []string{`msg="address banned" address=127.0.0.2/32`, `msg="connection refused"`, "reason=banned"} {
		if !strings.Contains(gateway.Output(), want) {
			t.Errorf("the log does not have %q:\n%s", want, gateway.Output())
		}
	}
}

// TestNetworksByTheBinary: deny and allow, and loopback's own exemption from bans.
func TestNetworksByTheBinary(t *testing.T) {
	gateway, _, home := defended(t, "defence:\n  allow: 127.0.0.0/24\n  deny: [127.0.0.4, 127.0.0.8/29]\n  ban_score: 10\n  login_delay: 1ms\n")
	url := gateway.URL("")
	for from, want := range map[string]bool{"127.0.0.1": true, "127.0.0.4": false, "127.0.0.9": false, "127.0.0.16": true, "127.0.1.1": false} {
		out, err := curlFrom(t, home, from, account, url)
		if (err == nil) != want || !want && !strings.Contains(out, "421 Connections from your address are not accepted.") {
			t.Errorf("from %s: %v, %s", from, err, out)
		}
	}
	for range 5 {
		if out, err := curlFrom(t, home, "127.0.0.2", "eve:wrong", url); err == nil || !strings.Contains(out, "530") {
			t.Errorf("%v, %s", err, out)
		}
	}
	if out, err := curlFrom(t, home, "127.0.0.2", account, url); err != nil {
		t.Errorf("loopback was banned: %v, %s", err, out)
	}
}

// TestRatesByTheBinary: a rate is never exceeded, however fast the machine is; how slow
// it may be is not looked at.
func TestRatesByTheBinary(t *testing.T) {
	const rate = 512 << 10
	gateway, _, home := defended(t, "rate: off\nshared_rates: {total: 8M, user: down 512K}\n")
	out, err := curlFrom(t, home, "127.0.0.1", account, "--output", filepath.Join(home, "f"), "--write-out", "\nSPEED %{speed_download}\n", gateway.URL("f"))
	if err != nil {
		t.Fatal(err, out)
	}
	_, figure, _ := strings.Cut(out, "\nSPEED ")
	figure, _, _ = strings.Cut(figure, "\n")
	speed, err := strconv.ParseFloat(figure, 64)
	if err != nil || speed <= 0 || speed > rate*1.3 { // what moves at once comes on top, and the size of the file is 1 MiB
		t.Errorf("curl says %q bytes a second, %v", figure, err)
	}
}

// TestPolicyByTheBinary: what a configuration says about directories and names, as curl
// meets it; and a user who is removed meanwhile.
func TestPolicyByTheBinary(t *testing.T) {
	gateway, root, home := defended(t, `policy:
  hide: "*.KEY"
  directories:
    - {path: /inbox, permissions: el+create}
  max_size: 2M
  no_commands: [SITE, DELE]
`)
	for what, test := range map[string]struct {
		args []string
		ok   bool
		says string
	}{
		"list":          {[]string{gateway.URL("")}, true, "inbox"},
		"hidden":        {[]string{gateway.URL("secret.key")}, false, "550"},
		"write":         {[]string{"--upload-file", filepath.Join(root, "f"), gateway.URL("inbox/new")}, true, "226"},
		"overwrite":     {[]string{"--upload-file", filepath.Join(root, "f"), gateway.URL("inbox/old")}, false, "553"},
		"read":          {[]string{gateway.URL("inbox/old")}, false, "550 Permission denied."},
		"rename":        {[]string{"--quote", "RNFR inbox", gateway.URL("")}, false, "550"},
		"not a command": {[]string{"--quote", "DELE f", gateway.URL("")}, false, "502"},
	} {
		out, err := curlFrom(t, home, "127.0.0.1", account, test.args...)
		if (err == nil) != test.ok || !strings.Contains(out, test.says) {
			t.Errorf("%s: %v, %s", what, err, out)
		}
	}
	if out, err := curlFrom(t, home, "127.0.0.1", account, "--list-only", gateway.URL("")); err != nil || strings.Contains(out, "secret") {
		t.Errorf("%v, %s", err, out)
	}
	large := filepath.Join(home, "large")
	if err := os.WriteFile(large, make([]byte, 3<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := curlFrom(t, home, "127.0.0.1", account, "--upload-file", large, gateway.URL("large")); err == nil {
		t.Errorf("a file too large: %s", out)
	}
	if _, err := os.Stat(filepath.Join(root, "large")); err == nil {
		t.Error("a file too large is there")
	}
}
