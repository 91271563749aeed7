package integration

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ftpgate/ftpgate/integration/internal/control"
	"github.com/ftpgate/ftpgate/integration/internal/daemon"
)

// streamed is more than the sockets and pipes between a client and a store hold,
// so that when a client has sent it, much of it is stored; on S3 more than a part.
const streamed = 48 << 20

// pieces cuts the data of a pipe, so that its writer stops in the middle.
const pieces = 1 << 20

// TestVanish kills clients with SIGKILL in the middle of STOR: nothing becomes
// visible, what was there before stays whole, the client's next run goes on where
// the first was killed, and when that is over S3 holds no multipart upload.
func TestVanish(t *testing.T) {
	for _, b := range storages() {
		t.Run(b.name, func(t *testing.T) {
			s := startSite(t, b, loopbacks[0].addr, "--log-level", "debug")
			old := tree{"taken.bin": []byte("what was there before")}
			s.door.store(t, "d", old)
			for _, c := range []struct {
				name   string
				killed func(t *testing.T, s *site, target string, data []byte)
			}{{"curl", killCurl}, {"lftp", killLftp}} {
				for _, target := range []string{"taken.bin", "new " + c.name + ".bin"} {
					t.Run(c.name+"/"+target, func(t *testing.T) {
						data := randomBytes(77, streamed+1<<20)
						from := len(s.Output())
						c.killed(t, s, "d/"+target, data)
						if err := s.Await(from, patience, "upload failed", "disconnected"); err != nil {
							t.Fatal(err)
						}
						s.visible(t, "d", old)
						if strings.HasPrefix(target, "new") {
							s.curlResumes(t, "d/"+target, data)
							s.remove(t, "d/"+target)
						}
					})
				}
			}
			// Deleting the name voids the upload that is parked under it.
			s.remove(t, "d/taken.bin")
			s.visible(t, "d", tree{})
			if door, ok := s.door.(bucket); ok {
				if open := door.uploads(t); len(open) > 0 {
					t.Errorf("multipart uploads are left: %q", open)
				}
			}
		})
	}
}

// killCurl lets curl upload from a pipe, and kills it when the pipe ends in the
// middle of the file.
func killCurl(t *testing.T, s *site, target string, data []byte) {
	cmd := command(t, t.TempDir(), "curl", append(curlArgs(epsv), "--upload-file", "-", s.URL(escape(target)))...)
	pipe, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	feedAndKill(t, cmd, pipe, data)
}

// killLftp does the same by a named pipe.
func killLftp(t *testing.T, s *site, target string, data []byte) {
	j := &job{t: t, site: s, mode: epsv, home: t.TempDir()}
	fifo := filepath.Join(j.home, "fifo")
	if out, err := run(command(t, j.home, "mkfifo", fifo)); err != nil {
		t.Fatalf("mkfifo: %v %s", err, out)
	}
	// Opened for both, so that neither end waits for the other.
	pipe, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	cmd := command(t, j.home, "lftp", "--norc", "-c", strings.Join(j.lftpScript(lftpf("put %s -o %s", fifo, target)), "; "))
	feedAndKill(t, cmd, pipe, data)
}

// feedAndKill runs cmd, writes the data that it is to send to pipe up to
// streamed bytes, and kills it.
func feedAndKill(t *testing.T, cmd *exec.Cmd, pipe io.WriteCloser, data []byte) {
	t.Helper()
	defer pipe.Close()
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for sent := 0; sent < streamed; sent += pieces {
		if _, err := pipe.Write(data[sent : sent+pieces]); err != nil {
			t.Errorf("after %d bytes: %v", sent, err)
			break
		}
	}
	cmd.Process.Kill()
	if err := cmd.Wait(); status(err) != -1 {
		t.Errorf("the client ended by itself: %v\n%s", err, &said)
	}
}

// visible checks that dir holds exactly files, for another user than the one who
// uploads and, at the back door, but for what the store keeps to itself.
func (s *site) visible(t *testing.T, dir string, files tree) {
	t.Helper()
	seen := s.door.fetch(t, dir)
	for name := range seen {
		if strings.HasPrefix(filepath.Base(name), ".ftpgate-") {
			delete(seen, name)
		}
	}
	seen.mustEqual(t, "at the back door", files)
	curlDoor{s.Gateway}.fetch(t, dir).mustEqual(t, "over FTP", files)
}

// curlResumes sends data to target with "curl -C -", as people do after a cut.
func (s *site) curlResumes(t *testing.T, target string, data []byte) {
	t.Helper()
	home := t.TempDir()
	writeTree(t, home, tree{"again": data})
	said, err := run(command(t, home, "curl", append(curlArgs(epsv), "--continue-at", "-",
		"--upload-file", filepath.Join(home, "again"), s.URL(escape(target)))...))
	if err != nil {
		t.Fatalf("curl -C -: %v\n%s", err, said)
	}
	if !strings.Contains(said, "> APPE ") {
		t.Errorf("curl did not resume:\n%s", said)
	}
	dir, base := filepath.Split(target)
	s.door.fetch(t, strings.TrimSuffix(dir, "/")).only(base).mustEqual(t, "after curl -C -", tree{base: data})
}

func (s *site) remove(t *testing.T, target string) {
	t.Helper()
	if said, err := run(command(t, t.TempDir(), "curl", append(curlArgs(epsv), "--quote", "DELE "+target, "--list-only", s.URL(""))...)); err != nil {
		t.Fatalf("DELE: %v\n%s", err, said)
	}
}

// TestNoDataConnection announces uploads and never opens the data connection, in
// three ways to end it: nothing may be truncated.
func TestNoDataConnection(t *testing.T) {
	config := filepath.Join(t.TempDir(), "ftpgate.yaml")
	if err := os.WriteFile(config, []byte("timeouts:\n  data_open: 200ms\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, b := range storages() {
		t.Run(b.name, func(t *testing.T) {
			s := startSite(t, b, loopbacks[0].addr, "--config", config, "--log-level", "debug")
			old := tree{"kept": []byte("what was there before")}
			s.door.store(t, "d", old)
			for _, verb := range []string{"STOR d/kept", "STOR d/new"} {
				from := len(s.Output())
				for _, end := range []func(c *control.Conn) error{
					func(c *control.Conn) error { // time-out
						_, err := c.Expect("425")
						return err
					},
					func(c *control.Conn) error { // ABOR
						if err := c.Send("ABOR"); err != nil {
							return err
						}
						if _, err := c.Expect("425", "426"); err != nil {
							return err
						}
						_, err := c.Expect("226")
						return err
					},
					func(c *control.Conn) error { return nil }, // gone
				} {
					c, err := control.Dial(s.Addr.String(), daemon.User, daemon.Password)
					if err != nil {
						t.Fatal(err)
					}
					if _, err := c.Passive(); err != nil {
						t.Fatal(err)
					}
					if err := c.Send(verb); err != nil {
						t.Fatal(err)
					}
					if err := end(c); err != nil {
						t.Errorf("%s: %v", verb, err)
					}
					c.Close()
					if err := s.Await(from, patience, "disconnected"); err != nil {
						t.Fatal(err)
					}
				}
				s.visible(t, "d", old)
			}
		})
	}
}

// TestKilledGateway ends the gateway itself with SIGKILL in the middle of STOR, as
// a power cut would: nothing half-written is visible after a restart, what was there
// before is, and the client goes on where the gateway died.
func TestKilledGateway(t *testing.T) {
	for _, b := range storages()[1:] { // memory ends with its process
		t.Run(b.name, func(t *testing.T) {
			url, env, door := b.open(t)
			config := daemon.GatewayConfig{Binary: shared.ftpgate, Host: loopbacks[0].addr, Storage: url, Env: env}
			old := tree{"taken": []byte("what was there before")}
			door.store(t, "d", old)
			for _, target := range []string{"taken", "new"} {
				gateway, err := daemon.StartGateway(config)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(gateway.Kill)
				c, err := control.Dial(gateway.Addr.String(), daemon.User, daemon.Password)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				data, err := c.Open("STOR d/" + target)
				if err != nil {
					t.Fatal(err)
				}
				defer data.Close()
				data.SetDeadline(time.Now().Add(patience))
				content := randomBytes(5, streamed+1<<20)
				if _, err := data.Write(content[:streamed]); err != nil {
					t.Fatal(err)
				}
				gateway.Kill()

				again, err := daemon.StartGateway(config)
				if err != nil {
					t.Fatal(err)
				}
				s := &site{Gateway: again, storage: b, door: door}
				s.visible(t, "d", old)
				s.curlResumes(t, "d/"+target, content)
				s.remove(t, "d/"+target)
				door.store(t, "d", old)
				s.visible(t, "d", old)
				if err := again.Stop(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
