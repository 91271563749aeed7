package integration

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ftpgate/ftpgate/integration/internal/daemon"
)

// lftpQuote makes one argument of an lftp command.
func lftpQuote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// lftpf fills in a command; the arguments are quoted.
func lftpf(format string, args ...string) string {
	quoted := make([]any, len(args))
	for i, a := range args {
		quoted[i] = lftpQuote(a)
	}
	return fmt.Sprintf(format, quoted...)
}

// lftp runs commands in one session.
func (j *job) lftp(commands ...string) (string, error) {
	return j.run("lftp", "--norc", "-c", strings.Join(j.lftpScript(commands...), "; "))
}

// lftpScript is the commands of a whole session.
func (j *job) lftpScript(commands ...string) []string {
	return append([]string{
		"debug -o /dev/stderr 9",
		"set cmd:fail-exit yes",
		"set ftp:use-mode-z no", // lftpCompressed does
		"set net:max-retries 1",
		"set net:timeout 30",
		"set net:reconnect-interval-base 1",
		"set ftp:passive-mode " + yesNo(!j.mode.active()),
		"set ftp:prefer-epsv " + yesNo(j.mode == epsv),
		fmt.Sprintf("open -p %d -u %s,%s ftp://%s", j.site.Addr.Port(), daemon.User, daemon.Password, literal(j.site.Addr.Addr())),
	}, commands...)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func lftpClient() client {
	each := func(j *job, names []string, command func(name string) string) (string, error) {
		var commands []string
		for _, name := range names {
			commands = append(commands, command(name))
		}
		return j.lftp(commands...)
	}
	return client{
		name:   "lftp",
		modes4: []mode{epsv, pasv, port},
		modes6: []mode{epsv, eprt},
		upload: func(j *job, local, remote string, names []string) (string, error) {
			return each(j, names, func(name string) string {
				return lftpf("put %s -o %s", filepath.Join(local, name), remote+"/"+name)
			})
		},
		download: func(j *job, remote, local string, names []string) (string, error) {
			return each(j, names, func(name string) string {
				return lftpf("get %s -o %s", remote+"/"+name, filepath.Join(local, name))
			})
		},
		list: func(j *job, remote string) ([]string, string, error) {
			file := filepath.Join(j.home, "names")
			said, err := j.lftp(lftpf("cd %s", remote), lftpf("cls -1 > %s", file))
			text, _ := os.ReadFile(file)
			var names []string
			for _, name := range lines(string(text)) {
				names = append(names, strings.TrimSuffix(name, "/"))
			}
			return names, said, err
		},
		rename: func(j *job, from, to string) (string, error) { return j.lftp(lftpf("mv %s %s", from, to)) },
		remove: func(j *job, path string) (string, error) { return j.lftp(lftpf("rm %s", path)) },
		mkdir:  func(j *job, path string) (string, error) { return j.lftp(lftpf("mkdir %s", path)) },
		rmdir:  func(j *job, path string) (string, error) { return j.lftp(lftpf("rmdir %s", path)) },
		resumeDownload: func(j *job, remote, local string) (string, error) {
			return j.lftp(lftpf("reget %s -o %s", remote, local))
		},
		resumeUpload: func(j *job, local, remote string) (string, error) {
			return j.lftp(lftpf("reput %s -o %s", local, remote))
		},
		uploadTree: func(j *job, local, remote string) (string, error) {
			return j.lftp(lftpf("mirror -R --parallel=3 %s %s", local, remote))
		},
		downloadTree: func(j *job, remote, local string) (string, error) {
			return j.lftp(lftpf("mirror --parallel=3 %s %s", remote, local))
		},
		more: func(t *testing.T, j *job) {
			t.Run("pget", func(t *testing.T) { lftpSegments(t, j) })
			t.Run("globs", func(t *testing.T) { lftpGlobs(t, j) })
			t.Run("mirror again", func(t *testing.T) { lftpMirrorAgain(t, j) })
			t.Run("lists", func(t *testing.T) { lftpLists(t, j) })
			t.Run("parents", func(t *testing.T) { lftpParents(t, j) })
			t.Run("compressed", func(t *testing.T) { lftpCompressed(t, j) })
		},
	}
}

// lftpCompressed lets lftp do what it does by default: MODE Z, if FEAT has it.
func lftpCompressed(t *testing.T, j *job) {
	dir := j.dir + "-compressed"
	files := j.site.samples().only("lines.txt", "empty", "one", "a b")
	commands := []string{"set ftp:use-mode-z yes", "mkdir " + dir}
	for _, name := range files.names() {
		commands = append(commands, lftpf("put %s -o %s", filepath.Join(j.home, "local", name), dir+"/"+name))
	}
	back := filepath.Join(j.home, "inflated")
	commands = append(commands, lftpf("mirror %s %s", dir, back))
	said, err := j.lftp(commands...)
	j.must(t, "MODE Z")(said, err)
	if offered, used := strings.Contains(said, "<---  MODE Z"), strings.Contains(said, "---> MODE Z"); offered != used {
		t.Errorf("MODE Z is offered: %v, used: %v\n%s", offered, used, said)
	}
	j.site.door.fetch(t, dir).mustEqual(t, "after STOR in MODE Z", files)
	readTree(t, back).mustEqual(t, "after RETR in MODE Z", files)
}

// lftpSegments fetches one file in four segments at once.
func lftpSegments(t *testing.T, j *job) {
	file := filepath.Join(j.home, "segments")
	j.must(t, "pget")(j.lftp(lftpf("pget -n 4 %s -o %s", j.dir+"/plain.bin", file)))
	if got, _ := os.ReadFile(file); !bytes.Equal(got, j.site.samples()["plain.bin"]) {
		t.Errorf("pget -n 4 fetched %d bytes, or others", len(got))
	}
}

func lftpGlobs(t *testing.T, j *job) {
	dir := j.dir + "-globs"
	files := tree{"a.txt": []byte("a"), "b.txt": []byte("b"), "c.bin": []byte("c"), "x y.txt": []byte("x y")}
	writeTree(t, filepath.Join(j.home, "globs"), files)
	j.must(t, "mput")(j.lftp(lftpf("mkdir %s", dir), lftpf("lcd %s", filepath.Join(j.home, "globs")), lftpf("cd %s", dir), "mput *"))
	j.site.door.fetch(t, dir).mustEqual(t, "after mput *", files)
	back := filepath.Join(j.home, "globbed")
	os.Mkdir(back, 0o755)
	j.must(t, "mget")(j.lftp(lftpf("lcd %s", back), lftpf("cd %s", dir), "mget *.txt"))
	readTree(t, back).mustEqual(t, "after mget *.txt", files.only("a.txt", "b.txt", "x y.txt"))

	list := filepath.Join(j.home, "globbed list")
	// The server expands this one: lftp sends LIST [ab]*.txt.
	j.must(t, "ls")(j.lftp(lftpf("cd %s", dir), lftpf("ls [ab]*.txt > %s", list)))
	text, _ := os.ReadFile(list)
	for name := range files {
		if got, want := strings.Contains(string(text), name), name == "a.txt" || name == "b.txt"; got != want {
			t.Errorf("ls [ab]*.txt lists %q: %v, want %v\n%s", name, got, want, text)
		}
	}
	j.must(t, "mrm")(j.lftp(lftpf("cd %s", dir), "mrm *.txt"))
	j.site.door.fetch(t, dir).mustEqual(t, "after mrm *.txt", files.only("c.bin"))
	j.must(t, "rm -r")(j.lftp(lftpf("rm -r %s", dir)))
	j.site.door.fetch(t, dir).mustEqual(t, "after rm -r", tree{})
}

// lftpMirrorAgain mirrors twice: the second time nothing may be sent, so sizes
// and times must agree between listing and MDTM, and --delete removes what is gone.
func lftpMirrorAgain(t *testing.T, j *job) {
	remote := j.dir + "-down-tree" // left by the common tests
	local := filepath.Join(j.home, "again")
	j.must(t, "mirror")(j.lftp(lftpf("mirror %s %s", remote, local)))
	want := readTree(t, local)
	said, err := j.lftp(lftpf("mirror %s %s", remote, local))
	j.must(t, "mirror again")(said, err)
	if strings.Contains(said, "RETR") {
		t.Errorf("a second mirror fetched files again:\n%s", said)
	}

	if err := os.Remove(filepath.Join(local, "one")); err != nil {
		t.Fatal(err)
	}
	writeTree(t, local, tree{"sub/new": []byte("new")})
	delete(want, "one")
	want["sub/new"] = []byte("new")
	j.must(t, "mirror back")(j.lftp(lftpf("mirror -R --delete --only-newer %s %s", local, remote)))
	j.site.door.fetch(t, remote).mustEqual(t, "after mirror -R --delete", want)
}

func lftpLists(t *testing.T, j *job) {
	for _, mlsd := range []bool{true, false} {
		for _, command := range []string{"ls", "nlist", "cls", "find", "du -a", "ls -la"} {
			file := filepath.Join(j.home, "list")
			j.must(t, command)(j.lftp("set ftp:use-mlsd "+yesNo(mlsd), lftpf("cd %s", j.dir), command+lftpf(" > %s", file)))
			text, _ := os.ReadFile(file)
			for name := range j.site.samples() {
				if !strings.Contains(string(text), name) {
					t.Errorf("%s (MLSD %v) lacks %q:\n%s", command, mlsd, name, text)
				}
			}
		}
	}
}

func lftpParents(t *testing.T, j *job) {
	dir := j.dir + "-parents"
	j.must(t, "mkdir -p")(j.lftp(lftpf("mkdir -p %s", dir+"/x/y z"), lftpf("put %s -o %s", filepath.Join(j.home, "local", "one"), dir+"/x/y z/one")))
	j.site.door.fetch(t, dir).mustEqual(t, "below mkdir -p", tree{"x/y z/one": []byte("1")})
}
