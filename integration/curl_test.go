package integration

import (
	"bytes"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ftpgate/ftpgate/integration/internal/daemon"
)

// curlArgs are the flags of every run of curl in a mode.
func curlArgs(m mode) []string {
	args := []string{"--silent", "--show-error", "--verbose", "--globoff", "--user", account}
	switch m {
	case pasv:
		args = append(args, "--disable-epsv")
	case eprt:
		args = append(args, "--ftp-port", "-")
	case port:
		args = append(args, "--ftp-port", "-", "--disable-eprt")
	}
	return args
}

// escape makes the path of a URL.
func escape(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	return strings.Join(parts, "/")
}

func (j *job) url(path string) string { return j.site.URL(escape(path)) }

func (j *job) curl(args ...string) (string, error) {
	return j.run("curl", append(curlArgs(j.mode), args...)...)
}

// curls makes one transfer for each name: the first three in one session, the others
// in one each, because curl 7 waits up to a second before each further passive data
// connection of a session.
func (j *job) curls(names []string, transfer func(name string) []string) (string, error) {
	var said strings.Builder
	for n := 3; len(names) > 0; n = 1 {
		var args []string
		n = min(n, len(names))
		for _, name := range names[:n] {
			args = append(args, transfer(name)...)
		}
		names = names[n:]
		out, err := j.curl(args...)
		said.WriteString(out)
		if err != nil {
			return said.String(), err
		}
	}
	return said.String(), nil
}

// quote sends commands and transfers nothing but the list of the root's names.
func (j *job) quote(commands ...string) (string, error) {
	args := []string{"--list-only", "--output", os.DevNull, j.site.URL("")}
	for _, c := range commands {
		args = append(args, "--quote", c)
	}
	return j.curl(args...)
}

func curlClient() client {
	return client{
		name:   "curl",
		modes4: []mode{epsv, pasv, eprt, port},
		modes6: []mode{epsv, eprt},
		upload: func(j *job, local, remote string, names []string) (string, error) {
			return j.curls(names, func(name string) []string {
				return []string{"--upload-file", filepath.Join(local, name), j.url(remote + "/" + name)}
			})
		},
		download: func(j *job, remote, local string, names []string) (string, error) {
			return j.curls(names, func(name string) []string {
				return []string{"--output", filepath.Join(local, name), j.url(remote + "/" + name)}
			})
		},
		list: func(j *job, remote string) ([]string, string, error) {
			file := filepath.Join(j.home, "names")
			os.Remove(file)
			said, err := j.curl("--list-only", "--output", file, j.url(remote)+"/")
			text, _ := os.ReadFile(file)
			return lines(string(text)), said, err
		},
		rename: func(j *job, from, to string) (string, error) {
			return j.quote("RNFR "+from, "RNTO "+to)
		},
		remove: func(j *job, path string) (string, error) { return j.quote("DELE " + path) },
		mkdir:  func(j *job, path string) (string, error) { return j.quote("MKD " + path) },
		rmdir:  func(j *job, path string) (string, error) { return j.quote("RMD " + path) },
		resumeDownload: func(j *job, remote, local string) (string, error) {
			return j.curl("--continue-at", "-", "--output", local, j.url(remote))
		},
		resumeUpload: func(j *job, local, remote string) (string, error) {
			return j.curl("--continue-at", "-", "--upload-file", local, j.url(remote))
		},
		more: func(t *testing.T, j *job) {
			t.Run("ranges", func(t *testing.T) { curlRanges(t, j) })
			t.Run("methods", func(t *testing.T) { curlMethods(t, j) })
			t.Run("parents", func(t *testing.T) { curlParents(t, j) })
			t.Run("append", func(t *testing.T) { curlAppend(t, j) })
			t.Run("listing", func(t *testing.T) { curlListing(t, j) })
			t.Run("ascii", func(t *testing.T) { curlASCII(t, j) })
			t.Run("missing", func(t *testing.T) { curlMissing(t, j) })
		},
	}
}

// lines are the lines of a text without their ends.
func lines(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
}

// curlRanges asks for parts of a file; curl closes the data connection as soon as
// it has them.
func curlRanges(t *testing.T, j *job) {
	data := j.site.samples()["plain.bin"]
	for _, r := range []struct {
		flag string
		want []byte
	}{
		{"0-0", data[:1]},
		{"0-99", data[:100]},
		{"1000-1999", data[1000:2000]},
		{"1048500-1048600", data[1048500:min(len(data), 1048601)]},
		{"1000000-", data[1000000:]},
		{"-500", data[len(data)-500:]},
	} {
		file := filepath.Join(j.home, "range")
		j.must(t, "range "+r.flag)(j.curl("--range", r.flag, "--output", file, j.url(j.dir+"/plain.bin")))
		if got, _ := os.ReadFile(file); !bytes.Equal(got, r.want) {
			t.Errorf("range %s: %d bytes, want %d", r.flag, len(got), len(r.want))
		}
	}
}

// curlMethods reaches a file by one CWD an element, one CWD in all, and none.
func curlMethods(t *testing.T, j *job) {
	dir := j.dir + "/deep er/and ü"
	j.site.door.store(t, dir, tree{"leaf": []byte("found")})
	for _, method := range []string{"multicwd", "singlecwd", "nocwd"} {
		file := filepath.Join(j.home, "leaf")
		j.must(t, method)(j.curl("--ftp-method", method, "--output", file, j.url(dir+"/leaf")))
		if got, _ := os.ReadFile(file); string(got) != "found" {
			t.Errorf("--ftp-method %s: %q", method, got)
		}
		// The same from the root, by an absolute path.
		j.must(t, method)(j.curl("--ftp-method", method, "--output", file, j.site.URL("/"+escape(dir+"/leaf"))))
	}
}

func curlParents(t *testing.T, j *job) {
	local := filepath.Join(j.home, "parents")
	writeTree(t, j.home, tree{"parents": []byte("below")})
	dir := j.dir + "-parents"
	j.must(t, "--ftp-create-dirs")(j.curl("--ftp-create-dirs", "--upload-file", local, j.url(dir+"/x/y z/file")))
	j.site.door.fetch(t, dir).mustEqual(t, "after --ftp-create-dirs", tree{"x/y z/file": []byte("below")})
}

func curlAppend(t *testing.T, j *job) {
	dir := j.dir + "-append"
	j.must(t, "mkdir")(j.quote("MKD " + dir))
	writeTree(t, j.home, tree{"first": []byte("first "), "second": []byte("second")})
	target := j.url(dir + "/log")
	for _, file := range []string{"first", "second"} {
		j.must(t, "append")(j.curl("--append", "--upload-file", filepath.Join(j.home, file), target))
	}
	j.site.door.fetch(t, dir).mustEqual(t, "after two APPE", tree{"log": []byte("first second")})
}

// curlListing reads LIST, which people look at, and MLSD, and the head of a file.
func curlListing(t *testing.T, j *job) {
	file := filepath.Join(j.home, "listing")
	for _, list := range []string{"LIST", "LIST -la", "MLSD"} {
		j.must(t, list)(j.curl("--request", list, "--output", file, j.url(j.dir)+"/"))
		text, _ := os.ReadFile(file)
		for name, data := range j.site.samples() {
			rows := slices.DeleteFunc(lines(string(text)), func(row string) bool { return !strings.HasSuffix(row, " "+name) })
			if len(rows) != 1 {
				t.Errorf("%s has %d rows of %q:\n%s", list, len(rows), name, text)
				continue
			}
			words := strings.FieldsFunc(rows[0], func(r rune) bool { return r == ' ' || r == '=' || r == ';' })
			if size := strconv.Itoa(len(data)); !slices.Contains(words, size) {
				t.Errorf("%s of %q tells another size than %s: %q", list, name, size, rows[0])
			}
		}
	}
	head := filepath.Join(j.home, "head")
	j.must(t, "head")(j.curl("--head", "--output", head, j.url(j.dir+"/plain.bin")))
	text, _ := os.ReadFile(head)
	if !strings.Contains(string(text), "Content-Length: "+strconv.Itoa(len(j.site.samples()["plain.bin"]))) || !strings.Contains(string(text), "Last-Modified:") {
		t.Errorf("curl --head prints %q", text)
	}
}

// curlASCII has the line ends translated both ways by TYPE A.
func curlASCII(t *testing.T, j *job) {
	dir := j.dir + "-ascii"
	j.must(t, "mkdir")(j.quote("MKD " + dir))
	writeTree(t, j.home, tree{"unix": []byte("one\ntwo\n")})
	j.must(t, "upload")(j.curl("--use-ascii", "--crlf", "--upload-file", filepath.Join(j.home, "unix"), j.url(dir+"/text")))
	j.site.door.fetch(t, dir).mustEqual(t, "after TYPE A", tree{"text": []byte("one\ntwo\n")})
	file := filepath.Join(j.home, "ascii")
	j.must(t, "download")(j.curl("--use-ascii", "--output", file, j.url(dir+"/text")))
	if got, _ := os.ReadFile(file); string(got) != "one\r\ntwo\r\n" && string(got) != "one\ntwo\n" {
		t.Errorf("downloaded %q", got)
	}
}

// curlMissing checks the exit status that scripts rely on.
func curlMissing(t *testing.T, j *job) {
	for _, c := range []struct {
		status int
		args   []string
	}{
		{78, []string{j.url(j.dir + "/no such file")}},
		{9, []string{j.url("no such directory/file")}},
		{9, []string{j.url("no such directory") + "/"}},
		{25, []string{"--upload-file", filepath.Join(j.home, "local", "one"), j.url(j.dir + "/one/below a file")}},
		{67, []string{"--user", daemon.User + ":wrong", j.url("")}},
	} {
		said, err := j.curl(append(c.args, "--output", os.DevNull)...)
		if got := status(err); got != c.status && !(c.status == 25 && got == 9) {
			t.Errorf("curl %q ended with %d (%v), want %d\n%s", c.args, got, err, c.status, said)
		}
	}
}

// curlDoor reaches a storage through the gateway by curl, as the user to whom
// nobody's interrupted uploads show.
type curlDoor struct{ gateway *daemon.Gateway }

// curl runs curl in active mode, in which it does not pause between transfers.
func (c curlDoor) curl(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return run(command(t, t.TempDir(), "curl", append([]string{"--silent", "--show-error", "--globoff", "--ftp-port", "-",
		"--user", daemon.Other + ":" + daemon.Password}, args...)...))
}

func (c curlDoor) fetch(t *testing.T, dir string) tree {
	t.Helper()
	listing, err := c.curl(t, "--request", "MLSD", c.gateway.URL(escape(dir))+"/")
	files := tree{}
	if status(err) == 9 { // there is no such directory
		return files
	}
	if err != nil {
		t.Fatalf("curl: %v\n%s", err, listing)
	}
	local := t.TempDir()
	var args, names []string
	for _, line := range lines(listing) {
		facts, name, _ := strings.Cut(line, " ")
		switch facts = ";" + strings.ToLower(facts); {
		case strings.Contains(facts, ";type=dir;"):
			for sub, data := range c.fetch(t, dir+"/"+name) {
				files[name+"/"+sub] = data
			}
		case strings.Contains(facts, ";type=file;"):
			args = append(args, "--output", filepath.Join(local, strconv.Itoa(len(names))), c.gateway.URL(escape(dir+"/"+name)))
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return files
	}
	if out, err := c.curl(t, args...); err != nil {
		t.Fatalf("curl: %v\n%s", err, out)
	}
	for i, name := range names {
		data, err := os.ReadFile(filepath.Join(local, strconv.Itoa(i)))
		if err != nil && !os.IsNotExist(err) { // curl makes no file of no bytes
			t.Fatal(err)
		}
		files[name] = data
	}
	return files
}

func (c curlDoor) store(t *testing.T, dir string, files tree) {
	t.Helper()
	local := t.TempDir()
	writeTree(t, local, files)
	args := []string{"--ftp-create-dirs"}
	for _, name := range files.names() {
		args = append(args, "--upload-file", filepath.Join(local, filepath.FromSlash(name)), c.gateway.URL(escape(dir+"/"+name)))
	}
	if out, err := c.curl(t, args...); err != nil {
		t.Fatalf("curl: %v\n%s", err, out)
	}
}
