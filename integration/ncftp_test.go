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

// ncftpArgs are the flags that all of NcFTP's commands have in common.
func (j *job) ncftpArgs() []string {
	flag := "-F"
	if j.mode.active() {
		flag = "-E"
	}
	return []string{flag, "-d", "stdout", "-u", daemon.User, "-p", daemon.Password,
		"-P", strconv.Itoa(int(j.site.Addr.Port())), "-t", "30"}
}

// ncftp runs commands in one session of the interactive client, which tells by
// words alone whether it failed.
func (j *job) ncftp(commands ...string) (string, error) {
	passive := "set passive on"
	if j.mode.active() {
		passive = "set passive off"
	}
	script := strings.Join(append(append([]string{passive}, commands...), "quit"), "\n") + "\n"
	said, err := j.runWith(script, "ncftp", "-u", daemon.User, "-p", daemon.Password,
		"-P", strconv.Itoa(int(j.site.Addr.Port())), j.host())
	for line := range strings.Lines(said) {
		if strings.Contains(line, "server said:") || strings.Contains(line, "failed") || strings.Contains(line, "could not") {
			err = fmt.Errorf("ncftp: %s", strings.TrimSpace(line))
		}
	}
	return said, err
}

func ncftpQuote(path string) string { return `"` + strings.ReplaceAll(path, `"`, `\"`) + `"` }

func ncftpClient() client {
	get := func(j *job, local string, flags []string, paths ...string) (string, error) {
		args := append(j.ncftpArgs(), flags...)
		return j.run("ncftpget", append(append(args, j.host(), local), paths...)...)
	}
	return client{
		name:   "ncftp",
		modes4: []mode{pasv, port}, // NcFTP 3.2 speaks no IPv6
		upload: func(j *job, local, remote string, names []string) (string, error) {
			args := append(j.ncftpArgs(), j.host(), remote)
			for _, name := range names {
				args = append(args, filepath.Join(local, name))
			}
			return j.run("ncftpput", args...)
		},
		download: func(j *job, remote, local string, names []string) (string, error) {
			var paths []string
			for _, name := range names {
				paths = append(paths, "/"+remote+"/"+name)
			}
			return get(j, local, nil, paths...)
		},
		list: func(j *job, remote string) ([]string, string, error) {
			debug := filepath.Join(j.home, "debug")
			os.Remove(debug)
			args := append(j.ncftpArgs(), "-d", debug, "-1", "ftp://"+j.site.Addr.Addr().String()+"/"+escape(remote)+"/")
			names, err := j.run("ncftpls", args...)
			said, _ := os.ReadFile(debug)
			return lines(names), string(said) + names, err
		},
		rename: func(j *job, from, to string) (string, error) {
			return j.ncftp("rename " + ncftpQuote(from) + " " + ncftpQuote(to))
		},
		remove: func(j *job, path string) (string, error) { return j.ncftp("rm " + ncftpQuote(path)) },
		mkdir:  func(j *job, path string) (string, error) { return j.ncftp("mkdir " + ncftpQuote(path)) },
		rmdir:  func(j *job, path string) (string, error) { return j.ncftp("rmdir " + ncftpQuote(path)) },
		resumeDownload: func(j *job, remote, local string) (string, error) {
			return get(j, filepath.Dir(local), []string{"-z"}, "/"+remote)
		},
		resumeUpload: func(j *job, local, remote string) (string, error) {
			dir, base := filepath.Split(remote)
			if filepath.Base(local) != base {
				j.t.Fatalf("ncftpput can't send %s as %s", local, base)
			}
			// Without -s it hands the file to sendfile from its start, whatever it
			// told the server with REST.
			return j.run("ncftpput", append(j.ncftpArgs(), "-z", "-s", j.host(), strings.TrimSuffix(dir, "/"), local)...)
		},
		uploadTree: func(j *job, local, remote string) (string, error) {
			args := append(j.ncftpArgs(), "-R", "-m", j.host(), remote)
			entries, err := os.ReadDir(local)
			if err != nil {
				return "", err
			}
			for _, e := range entries {
				args = append(args, filepath.Join(local, e.Name()))
			}
			return j.run("ncftpput", args...)
		},
		downloadTree: func(j *job, remote, local string) (string, error) {
			above := filepath.Join(j.home, "above")
			if err := os.MkdirAll(above, 0o755); err != nil {
				return "", err
			}
			said, err := get(j, above, []string{"-R", "-T"}, "/"+remote)
			if err != nil {
				return said, err
			}
			return said, os.Rename(filepath.Join(above, filepath.Base(remote)), local)
		},
		more: func(t *testing.T, j *job) {
			t.Run("append", func(t *testing.T) { ncftpAppend(t, j) })
			t.Run("temporary names", func(t *testing.T) { ncftpTemporary(t, j) })
		},
	}
}

func ncftpAppend(t *testing.T, j *job) {
	dir := j.dir + "-append"
	j.must(t, "mkdir")(j.ncftp("mkdir " + dir))
	file := filepath.Join(j.home, "appended")
	for _, text := range []string{"first ", "second"} {
		writeTree(t, j.home, tree{"appended": []byte(text)})
		j.must(t, "ncftpput -A")(j.run("ncftpput", append(j.ncftpArgs(), "-A", j.host(), dir, file)...))
	}
	j.site.door.fetch(t, dir).mustEqual(t, "after ncftpput -A", tree{"appended": []byte("first second")})
}

// ncftpTemporary uploads under a temporary name and renames, as many devices do.
func ncftpTemporary(t *testing.T, j *job) {
	dir := j.dir + "-temporary"
	j.must(t, "mkdir")(j.ncftp("mkdir " + dir))
	said, err := j.run("ncftpput", append(j.ncftpArgs(), "-T", "tmp.", "-S", ".part", j.host(), dir,
		filepath.Join(j.home, "local", "plain.bin"))...)
	j.must(t, "ncftpput -T")(said, err)
	if !strings.Contains(said, "RNTO plain.bin") {
		t.Errorf("the client did not rename:\n%s", said)
	}
	j.site.door.fetch(t, dir).mustEqual(t, "after an upload under a temporary name", j.site.samples().only("plain.bin"))
}
