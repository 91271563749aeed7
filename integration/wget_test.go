package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ftpgate/ftpgate/integration/internal/daemon"
)

// wget runs in dir, where it puts what it fetches.
func (j *job) wget(dir string, args ...string) (string, error) {
	flags := []string{"--debug", "--no-glob", "--tries=1", "--timeout=30", "--restrict-file-names=nocontrol",
		"--user=" + daemon.User, "--password=" + daemon.Password, "--directory-prefix=" + dir}
	if j.mode.active() {
		flags = append(flags, "--no-passive-ftp")
	}
	return j.run("wget", append(flags, args...)...)
}

// wgetClient only downloads.
func wgetClient() client {
	return client{
		name:   "wget",
		modes4: []mode{pasv, port},
		modes6: []mode{epsv, eprt},
		download: func(j *job, remote, local string, names []string) (string, error) {
			var urls []string
			for _, name := range names {
				if name != "%41" {
					urls = append(urls, j.url(remote+"/"+name))
				}
			}
			said, err := j.wget(local, urls...)
			if err == nil {
				// wget unescapes the name of its own file once more.
				_, err = j.wget(local, "--output-document="+filepath.Join(local, "%41"), j.url(remote+"/%41"))
			}
			return said, err
		},
		list: func(j *job, remote string) ([]string, string, error) {
			dir := j.t.TempDir()
			said, err := j.wget(dir, "--no-remove-listing", j.url(remote)+"/")
			text, _ := os.ReadFile(filepath.Join(dir, ".listing"))
			var names []string
			for _, line := range lines(string(text)) {
				// mode, links, owner, group, size, month, day, time or year, name
				rest := line
				for range 8 {
					_, rest, _ = strings.Cut(strings.TrimLeft(rest, " "), " ")
				}
				names = append(names, rest)
			}
			return names, said, err
		},
		resumeDownload: func(j *job, remote, local string) (string, error) {
			return j.wget(filepath.Dir(local), "--continue", j.url(remote))
		},
		downloadTree: func(j *job, remote, local string) (string, error) {
			return j.wget(local, "--recursive", "--level=inf", "--no-host-directories", "--cut-dirs=1", j.url(remote)+"/")
		},
		more: func(t *testing.T, j *job) {
			t.Run("timestamping", func(t *testing.T) { wgetTimes(t, j) })
			t.Run("missing", func(t *testing.T) { wgetMissing(t, j) })
		},
	}
}

// wgetTimes fetches a file, and then not again as it is no newer.
func wgetTimes(t *testing.T, j *job) {
	dir := t.TempDir()
	j.must(t, "wget -N")(j.wget(dir, "--timestamping", j.url(j.dir+"/plain.bin")))
	said, err := j.wget(dir, "--timestamping", j.url(j.dir+"/plain.bin"))
	j.must(t, "wget -N again")(said, err)
	if strings.Contains(said, "RETR") {
		t.Errorf("wget -N fetched the file again:\n%s", said)
	}
	readTree(t, dir).mustEqual(t, "fetched by wget -N", j.site.samples().only("plain.bin"))
}

func wgetMissing(t *testing.T, j *job) {
	dir := t.TempDir()
	if said, err := j.wget(dir, j.url(j.dir+"/no such file")); status(err) != 8 {
		t.Errorf("wget of a missing file ended with %v, want status 8 (the server refused)\n%s", err, said)
	}
	readTree(t, dir).mustEqual(t, "after a missing file", tree{})
}
