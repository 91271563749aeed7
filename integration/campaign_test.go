//go:build campaign

package integration

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ftpgate/ftpgate/backends"
	"github.com/ftpgate/ftpgate/integration/internal/control"
	"github.com/ftpgate/ftpgate/integration/internal/daemon"
	"github.com/ftpgate/ftpgate/vfs"
	"github.com/ftpgate/ftpgate/vfs/vfstest"
)

// TestCampaignProduct runs the contract suite and a long random model on every
// storage, bare and through each wrapper and a stack of them.
func TestCampaignProduct(t *testing.T) {
	wrappers := map[string]func(t *testing.T, fsys vfs.FS) vfs.FS{
		"bare":    func(_ *testing.T, fsys vfs.FS) vfs.FS { return fsys },
		"Guard":   func(_ *testing.T, fsys vfs.FS) vfs.FS { return vfs.Guard(fsys, allow) },
		"Observe": func(_ *testing.T, fsys vfs.FS) vfs.FS { return vfs.Observe(fsys, ignore) },
		"Sub":     below,
		"Fold":    func(_ *testing.T, fsys vfs.FS) vfs.FS { return vfs.Fold(fsys, vfs.FoldCase|vfs.FoldForm) },
		"Quota":   within,
		"Mount": func(t *testing.T, fsys vfs.FS) vfs.FS {
			m, err := vfs.Mount([]vfs.MountPoint{{Dir: ".", FS: fsys}}, vfs.MountOptions{})
			if err != nil {
				t.Fatal(err)
			}
			return m
		},
		"Fold(Guard(Quota(Sub)))": func(t *testing.T, fsys vfs.FS) vfs.FS {
			return vfs.Fold(vfs.Guard(within(t, below(t, fsys)), allow), vfs.FoldCase)
		},
		"Observe(Guard(Sub))": func(t *testing.T, fsys vfs.FS) vfs.FS {
			return vfs.Observe(vfs.Guard(below(t, fsys), allow), ignore)
		},
	}
	opened := func(url func(t *testing.T) string) func(t *testing.T) vfs.FS {
		return func(t *testing.T) vfs.FS {
			fsys, closer, err := backends.Open(t.Context(), url(t))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { closer.Close() })
			return fsys
		}
	}
	server := startSSHD(t)
	stores := map[string]func(t *testing.T) vfs.FS{
		"memory":  opened(func(*testing.T) string { return "mem:" }),
		"local":   opened(func(t *testing.T) string { return "file://" + t.TempDir() }),
		"s3":      opened(func(t *testing.T) string { return shared.s3.URL(fmt.Sprintf("product/%d", rand.Uint64())) }),
		"openssh": func(t *testing.T) vfs.FS { return openSFTP(t, sftpOptions(server, t.TempDir())) },
	}
	for _, store := range slices.Sorted(maps.Keys(stores)) {
		for _, wrapper := range slices.Sorted(maps.Keys(wrappers)) {
			t.Run(store+"/"+wrapper, func(t *testing.T) {
				steps := 5000
				if store == "s3" || store == "openssh" {
					steps = 1000
				}
				h := vfstest.Harness{
					ModelSteps: steps,
					New: func(t *testing.T) vfs.FS {
						return wrappers[wrapper](t, stores[store](t))
					},
				}
				vfstest.Run(t, h)
				t.Run("mounted", func(t *testing.T) { vfstest.Run(t, h.Mounted()) })
			})
		}
	}
}

func allow(vfs.Op, string) error { return nil }

// within is fsys within limits that are never reached.
func within(t *testing.T, fsys vfs.FS) vfs.FS {
	t.Helper()
	account, err := vfs.OpenAccount(fsys, vfs.AccountOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return vfs.Quota(fsys, account, vfs.Limits{Bytes: 1 << 40, Files: 1 << 30})
}

func ignore(context.Context, vfs.Observation) {}

// below is the tree below a directory that has a neighbour.
func below(t *testing.T, fsys vfs.FS) vfs.FS {
	for _, dir := range []string{"jail", "jail/in", "jail/inner"} {
		if err := fsys.Mkdir(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
	}
	sub, err := vfs.Sub(fsys, "jail/in")
	if err != nil {
		t.Fatal(err)
	}
	return sub
}

// TestCampaignKills kills the gateway with SIGKILL after random amounts of an
// upload, again and again over one storage: what is visible is always the old
// content or, once it was confirmed, the new one, and never a part.
func TestCampaignKills(t *testing.T) {
	const rounds = 100
	for _, b := range storages()[1:] { // memory ends with its process
		t.Run(b.name, func(t *testing.T) {
			url, env, door := b.open(t)
			visible := tree{"file": []byte("the first")}
			door.store(t, "d", visible)
			for round := range rounds {
				next := randomBytes(uint64(round), rand.IntN(24<<20))
				// Some are killed in the middle, some between the end of the data and its
				// confirmation, some after it.
				confirmed := killDuringUpload(t, daemon.GatewayConfig{
					Binary: shared.plain, Host: loopbacks[0].addr, Storage: url, Env: env,
				}, next, round%3)
				seen := door.fetch(t, "d")
				for name := range seen {
					if name != "file" {
						delete(seen, name) // what the store keeps to itself
					}
				}
				isNew := seen.difference(tree{"file": next}) == ""
				if !isNew && (confirmed || seen.difference(visible) != "") {
					t.Fatalf("round %d (confirmed: %v): neither the old content nor the new:\n%s", round, confirmed, seen.difference(visible))
				}
				if isNew {
					visible = seen
				}
			}
		})
	}
}

func killDuringUpload(t *testing.T, config daemon.GatewayConfig, content []byte, moment int) (confirmed bool) {
	t.Helper()
	gateway, err := daemon.StartGateway(config)
	if err != nil {
		t.Fatal(err)
	}
	defer gateway.Kill()
	c, err := control.Dial(gateway.Addr.String(), daemon.User, daemon.Password)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	data, err := c.Open("STOR d/file")
	if err != nil {
		t.Fatal(err)
	}
	defer data.Close()
	data.SetDeadline(time.Now().Add(patience))
	if moment == 0 {
		content = content[:rand.IntN(len(content)+1)]
	}
	if _, err := data.Write(content); err != nil {
		t.Fatal(err)
	}
	switch moment {
	case 1:
		data.Close()
		time.Sleep(time.Duration(rand.IntN(int(50 * time.Millisecond))))
	case 2:
		data.Close()
		if _, err := c.Expect("226"); err != nil {
			t.Fatal(err)
		}
		confirmed = true
	}
	return confirmed
}

// TestCampaignMillion lists a directory of a million files on disk in every format:
// the gateway's memory stays what it is for a small one.
func TestCampaignMillion(t *testing.T) {
	const (
		entries = 1_000_000
		bound   = 64 << 20 // bytes of resident memory
	)
	dir := t.TempDir()
	for i := range entries {
		if err := unix.Mknod(filepath.Join(dir, fmt.Sprintf("a file with an ordinary name %d", i)), unix.S_IFREG|0o600, 0); err != nil {
			t.Fatal(err)
		}
	}
	gateway, err := daemon.StartGateway(daemon.GatewayConfig{Binary: shared.plain, Host: loopbacks[0].addr, Storage: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer gateway.Kill()
	c, err := control.Dial(gateway.Addr.String(), daemon.User, daemon.Password)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, verb := range []string{"LIST", "MLSD", "NLST"} {
		begun := time.Now()
		data, err := c.Open(verb)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(data)
		n, first := 0, time.Duration(0)
		for lines.Scan() {
			if n++; n == 1 {
				first = time.Since(begun)
			}
		}
		data.Close()
		if _, err := c.Expect("226"); err != nil {
			t.Fatal(err)
		}
		if n != entries {
			t.Errorf("%s has %d lines", verb, n)
		}
		rss, err := gateway.PeakRSS()
		if err != nil || rss > bound {
			t.Errorf("after %s the gateway had %d bytes, %v", verb, rss, err)
		}
		t.Logf("%s: first line after %v, all after %.1f s, peak RSS %.1f MiB", verb, first, time.Since(begun).Seconds(), float64(rss)/(1<<20))
	}
}
