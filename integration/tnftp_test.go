package integration

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/ftpgate/ftpgate/integration/internal/daemon"
)

// tnftp runs commands in one session. It ends with status 0 whatever happened,
// so a refused command in the dialogue is the error.
func (j *job) tnftp(commands ...string) (string, error) {
	args := []string{"-n", "-i", "-g", "-v", "-d"}
	if j.mode.active() {
		args = append(args, "-A")
	}
	script := []string{"user " + daemon.User + " " + daemon.Password}
	if j.mode == pasv || j.mode == port {
		script = append(script, "epsv4") // switches EPSV and EPRT off over IPv4
	}
	script = append(append(append(script, "binary"), commands...), "bye")
	said, err := j.runWith(strings.Join(script, "\n")+"\n", "tnftp",
		append(args, j.host(), strconv.Itoa(int(j.site.Addr.Port())))...)
	if err == nil {
		err = refused(said)
	}
	return said, err
}

// refused returns the first refusal in a dialogue, of a command that a client
// does not just try.
func refused(dialogue string) error {
	verb := ""
	for line := range strings.Lines(dialogue) {
		if command, ok := strings.CutPrefix(line, "---> "); ok {
			verb, _, _ = strings.Cut(strings.TrimSpace(command), " ")
		}
		tried := verb == "SIZE" || verb == "MDTM" || verb == "FEAT" || verb == "SYST"
		if !tried && len(line) > 4 && (line[0] == '4' || line[0] == '5') && (line[3] == ' ' || line[3] == '-') {
			return fmt.Errorf("%s was refused: %s", verb, strings.TrimSpace(line))
		}
	}
	return nil
}

func tnftpQuote(path string) string { return `"` + path + `"` }

func tnftpClient() client {
	two := func(verb string) func(j *job, from, to string) (string, error) {
		return func(j *job, from, to string) (string, error) {
			return j.tnftp(verb + " " + tnftpQuote(from) + " " + tnftpQuote(to))
		}
	}
	one := func(verb string) func(j *job, path string) (string, error) {
		return func(j *job, path string) (string, error) { return j.tnftp(verb + " " + tnftpQuote(path)) }
	}
	each := func(verb string) func(j *job, from, to string, names []string) (string, error) {
		return func(j *job, from, to string, names []string) (string, error) {
			var commands []string
			for _, name := range names {
				commands = append(commands, verb+" "+tnftpQuote(from+"/"+name)+" "+tnftpQuote(to+"/"+name))
			}
			return j.tnftp(commands...)
		}
	}
	return client{
		name:     "tnftp",
		modes4:   []mode{epsv, pasv, eprt, port},
		modes6:   []mode{epsv, eprt},
		upload:   each("put"),
		download: each("get"),
		list: func(j *job, remote string) ([]string, string, error) {
			file := filepath.Join(j.home, "names")
			said, err := j.tnftp("nlist " + tnftpQuote(remote) + " " + tnftpQuote(file))
			var names []string
			for _, name := range lines(string(readTree(j.t, j.home)["names"])) {
				names = append(names, strings.TrimPrefix(name, remote+"/"))
			}
			return names, said, err
		},
		rename:         two("rename"),
		remove:         one("delete"),
		mkdir:          one("mkdir"),
		rmdir:          one("rmdir"),
		resumeDownload: two("reget"),
		resumeUpload: func(j *job, local, remote string) (string, error) {
			offset := len(j.site.door.fetch(j.t, filepath.Dir(remote))[filepath.Base(remote)])
			return j.tnftp("restart "+strconv.Itoa(offset), "put "+tnftpQuote(local)+" "+tnftpQuote(remote))
		},
		more: func(t *testing.T, j *job) {
			t.Run("commands", func(t *testing.T) { tnftpCommands(t, j) })
			t.Run("many", func(t *testing.T) { tnftpMany(t, j) })
		},
	}
}

// tnftpCommands goes through what else the client has a command for.
func tnftpCommands(t *testing.T, j *job) {
	dir := tnftpQuote(j.dir)
	said, err := j.tnftp("cd "+dir, "pwd", "cdup", "cd "+dir, "size plain.bin", "modtime plain.bin",
		"features", "mlst plain.bin", "mlsd", "ls", "dir", "ls -la", "system", "rhelp", "rstatus", "status", "remopts UTF8 ON", "quote NOOP")
	j.must(t, "commands")(said, err)
	for _, want := range []string{
		"\n257 ", "213 " + strconv.Itoa(len(j.site.samples()["plain.bin"])), "\n215 UNIX Type: L8", "MLST ",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("the dialogue lacks %q:\n%s", want, said)
		}
	}
}

// tnftpMany sends and fetches by patterns.
func tnftpMany(t *testing.T, j *job) {
	dir := j.dir + "-many"
	files := tree{"a.txt": []byte("a"), "b.txt": []byte("bb"), "c.bin": []byte("ccc")}
	local, back := filepath.Join(j.home, "many"), filepath.Join(j.home, "many back")
	writeTree(t, local, files)
	writeTree(t, back, tree{})
	j.must(t, "mput")(j.tnftp("glob", "lcd "+tnftpQuote(local), "mkdir "+dir, "cd "+dir, "mput *.txt c.bin"))
	j.site.door.fetch(t, dir).mustEqual(t, "after mput", files)
	writeTree(t, back, tree{"here": nil})
	j.must(t, "mget")(j.tnftp("glob", "lcd "+tnftpQuote(back), "cd "+dir, "mget *.txt", "mdelete *.txt"))
	readTree(t, back).only("a.txt", "b.txt").mustEqual(t, "after mget", files.only("a.txt", "b.txt"))
	j.site.door.fetch(t, dir).mustEqual(t, "after mdelete", files.only("c.bin"))
}
