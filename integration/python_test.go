package integration

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/ftpgate/ftpgate/integration/internal/daemon"
)

// ftplibArgs runs a verb of testdata/client.py.
func ftplibArgs(t *testing.T, gateway *daemon.Gateway, m mode, verb string, args ...string) []string {
	t.Helper()
	script, err := filepath.Abs("testdata/client.py")
	if err != nil {
		t.Fatal(err)
	}
	direction := "passive"
	if m.active() {
		direction = "active"
	}
	return append([]string{script, gateway.Addr.Addr().String(), strconv.Itoa(int(gateway.Addr.Port())),
		daemon.User, daemon.Password, direction, verb}, args...)
}

func (f ftplibDoor) run(t *testing.T, verb string, args ...string) {
	t.Helper()
	cmd := command(t, t.TempDir(), "python3", ftplibArgs(t, f.gateway, pasv, verb, args...)...)
	if said, err := run(cmd); err != nil {
		t.Fatalf("client.py %s %q: %v\n%s", verb, args, err, said)
	}
}

func (j *job) ftplib(verb string, args ...string) (string, error) {
	return j.run("python3", ftplibArgs(j.t, j.site.Gateway, j.mode, verb, args...)...)
}

func pythonClient() client {
	one := func(verb string) func(j *job, path string) (string, error) {
		return func(j *job, path string) (string, error) { return j.ftplib(verb, path) }
	}
	two := func(verb string) func(j *job, from, to string) (string, error) {
		return func(j *job, from, to string) (string, error) { return j.ftplib(verb, from, to) }
	}
	each := func(verb string) func(j *job, from, to string, names []string) (string, error) {
		return func(j *job, from, to string, names []string) (string, error) {
			return j.ftplib(verb, append([]string{from, to}, names...)...)
		}
	}
	return client{
		name:     "python",
		modes4:   []mode{pasv, port},
		modes6:   []mode{epsv, eprt},
		upload:   each("upload"),
		download: each("download"),
		list: func(j *job, remote string) ([]string, string, error) {
			said, err := j.ftplib("names", remote)
			var names []string
			for _, line := range lines(said) {
				if name, ok := strings.CutPrefix(line, "NAME "); ok {
					names = append(names, name)
				}
			}
			return names, said, err
		},
		rename:         two("rename"),
		remove:         one("remove"),
		mkdir:          one("mkdir"),
		rmdir:          one("rmdir"),
		resumeDownload: two("resume_download"),
		resumeUpload:   two("resume_upload"),
		uploadTree:     two("store"),
		downloadTree:   two("fetch"),
		more: func(t *testing.T, j *job) {
			t.Run("methods", func(t *testing.T) { pythonMethods(t, j) })
		},
	}
}

// pythonMethods calls every method of ftplib.FTP; the script checks the answers.
func pythonMethods(t *testing.T, j *job) {
	said, err := j.ftplib("methods", j.dir+"-methods", filepath.Join(j.home, "local", "plain.bin"))
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	want, err := os.ReadFile(filepath.Join(j.home, "local", "plain.bin"))
	if err != nil {
		t.Fatal(err)
	}
	j.site.door.fetch(t, j.dir+"-methods").mustEqual(t, "after all methods", tree{"kept.bin": want})
}
