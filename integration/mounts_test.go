package integration

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ftpgate/ftpgate/integration/internal/daemon"
)

// TestMountsAndQuotas serves a tree of several stores to real clients: a directory for
// each user, an archive that is read-only, and a bucket with a quota.
func TestMountsAndQuotas(t *testing.T) {
	dir := t.TempDir()
	writeTree(t, dir, tree{"users/.keep": nil, "archive/2024/Report.txt": []byte("a report")})
	config := filepath.Join(dir, "ftpgate.yaml")
	text := fmt.Sprintf(`
mounts:
- {path: /archive, url: archive, read_only: true, names: insensitive}
- {path: /in/bucket, url: %q, quota_bytes: 2M}
stores: {make_home: true}
quota: {bytes: 3M, state: state}
`, shared.s3.URL("mounts"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	start := func() *daemon.Gateway {
		t.Helper()
		g, err := daemon.StartGateway(daemon.GatewayConfig{Binary: shared.ftpgate, Host: loopbacks[0].addr,
			Storage: "file://" + dir + "/users/{user}", Env: shared.s3.Env(), Flags: []string{"--config", config}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(g.Kill)
		return g
	}
	stop := func(g *daemon.Gateway) {
		t.Helper()
		if err := g.Stop(); err != nil || g.Crashes() != "" {
			t.Errorf("stopping the gateway: %v\n%s", err, g.Crashes())
		}
	}
	g := start()
	home := t.TempDir()
	mega, much := randomBytes(1, 1<<20), randomBytes(2, 2<<20+1)
	writeTree(t, home, tree{"mega": mega, "much": much, "tiny": []byte("x")})
	curl := func(user string, want int, args ...string) string {
		t.Helper()
		out, err := run(command(t, home, "curl", append([]string{"-sS", "--user", user + ":" + daemon.Password}, args...)...))
		if status(err) != want {
			t.Errorf("curl %q ends with %d, want %d:\n%s", args, status(err), want, out)
		}
		return out
	}
	const (
		fine    = 0
		refused = 18 // CURLE_PARTIAL_FILE, "server did not report OK, got 553"
		missing = 78 // CURLE_REMOTE_FILE_NOT_FOUND
		full    = 70 // CURLE_REMOTE_DISK_FULL
	)
	lftp := func(commands ...string) (string, error) {
		all := append([]string{"set cmd:fail-exit yes", "set net:max-retries 1", "set net:timeout 30",
			fmt.Sprintf("open -p %d -u %s,%s ftp://%s", g.Addr.Port(), daemon.User, daemon.Password, g.Addr.Addr())}, commands...)
		return run(command(t, home, "lftp", "--norc", "-c", strings.Join(all, "; ")))
	}

	// Each user has a directory; the mounts are for both.
	curl(daemon.User, fine, "--upload-file", "mega", g.URL("mine"))
	for user, want := range map[string]string{daemon.User: "archive in mine", daemon.Other: "archive in"} {
		got := lines(curl(user, fine, "--list-only", g.URL("")))
		slices.Sort(got)
		if strings.Join(got, " ") != want {
			t.Errorf("%s sees %q, want %s", user, got, want)
		}
	}
	readTree(t, filepath.Join(dir, "users", daemon.User)).mustEqual(t, "alice's directory", tree{"mine": mega})
	if got := curl(daemon.Other, fine, g.URL("archive/2024/report.txt")); got != "a report" {
		t.Errorf("the report is %q", got)
	}
	curl(daemon.User, refused, "--upload-file", "tiny", g.URL("archive/new"))
	curl(daemon.User, refused, "--upload-file", "tiny", g.URL("in/new"))

	// A rename to the bucket, and a tree that goes there and comes back.
	if out, err := lftp("mkdir d", "put -O d mega -o one", "mv mine in/bucket/moved", "mv d in/bucket/d", "cls -1 in/bucket"); err != nil ||
		!strings.Contains(out, "moved") || !strings.Contains(out, "d/") {
		t.Errorf("lftp: %v\n%s", err, out)
	}
	bucket{"mounts"}.fetch(t, "").mustEqual(t, "the bucket", tree{"moved": mega, "d/one": mega})
	readTree(t, filepath.Join(dir, "users", daemon.User)).mustEqual(t, "alice's directory after the moves", tree{})
	if out, err := lftp("rmdir in/bucket"); err == nil {
		t.Errorf("a mount point can be removed\n%s", out)
	}
	// The bucket is full now, for everybody.
	curl(daemon.Other, full, "--upload-file", "mega", g.URL("in/bucket/more"))
	if out, err := lftp("put mega -o three", "mv three in/bucket/three"); err == nil {
		t.Errorf("a move gets around the quota\n%s", out)
	}
	if out, err := lftp("mv in/bucket/d back", "cls -1 back"); err != nil || !strings.Contains(out, "one") {
		t.Errorf("lftp: %v\n%s", err, out)
	}
	bucket{"mounts"}.fetch(t, "").mustEqual(t, "the bucket after the move back", tree{"moved": mega})

	// A user's own quota, which a restart does not forget. What is visible stays whole.
	curl(daemon.User, full, "--upload-file", "much", g.URL("much"))
	stop(g)
	readTree(t, filepath.Join(dir, "users", daemon.User)).only("three", "back/one", "much").mustEqual(t, "alice's directory, two of three MiB full",
		tree{"three": mega, "back/one": mega})
	states, err := filepath.Glob(filepath.Join(dir, "state", "*.json"))
	if err != nil || len(states) != 3 {
		t.Errorf("states: %q, %v", states, err)
	}
	for _, path := range states {
		data, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(data, []byte(`"clean": true`)) {
			t.Errorf("%s: %s, %v", path, data, err)
		}
	}
	g = start()
	curl(daemon.User, full, "--upload-file", "much", g.URL("much"))
	curl(daemon.User, fine, "--quote", "DELE three", "--quote", "DELE much", "--list-only", g.URL(""))
	curl(daemon.User, fine, "--upload-file", "mega", g.URL("again"))
	curl(daemon.User, missing, g.URL("much"))
	stop(g)
}
