//go:build peers

package gateway_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ftpgate/ftpgate/backends/local"
	"github.com/ftpgate/ftpgate/vfs"
)

const peersTool = "../integration/tools/peers"

var peers = []string{"vsftpd", "proftpd", "pure-ftpd", "pyftpdlib"}

// played is how a peer played a transcript.
type played struct {
	unspoken string // a command that it does not have
	differs  string // the first difference, empty if there is none
	at       string // file:line
}

func (o played) String() string {
	switch {
	case o.unspoken != "":
		return "has no " + o.unspoken
	case o.differs != "":
		return o.differs
	}
	return "same"
}

// TestPeers plays the transcripts that need no configuration of ours against other
// servers. A difference needs a sentence in testdata/peers.txt that says why ours is
// right. With PEERS_TABLE in the environment the played is written there.
func TestPeers(t *testing.T) {
	if out, err := exec.Command(peersTool, "fetch").CombinedOutput(); err != nil {
		t.Fatalf("%s fetch: %v\n%s", peersTool, err, out)
	}
	sentences := peerSentences(t)
	results := map[string]map[string]played{}
	var mu sync.Mutex
	t.Run("servers", func(t *testing.T) {
		for _, tr := range transcripts(t) {
			if !plain(t, tr) {
				continue
			}
			name := strings.TrimSuffix(tr.file, ".ftp")
			results[name] = map[string]played{}
			for _, peer := range peers {
				t.Run(peer+"/"+name, func(t *testing.T) {
					t.Parallel()
					got := playPeer(t, peer, tr)
					t.Log(got)
					mu.Lock()
					defer mu.Unlock()
					results[name][peer] = got
				})
			}
		}
	})
	for _, name := range slices.Sorted(maps.Keys(results)) {
		differs := slices.ContainsFunc(peers, func(p string) bool { return results[name][p].differs != "" })
		if differs && sentences[name] == "" {
			t.Errorf("%s: peers differ, and testdata/peers.txt does not say why ours is right: %v", name, results[name])
		}
	}
	for name := range sentences {
		if results[name] == nil {
			t.Errorf("testdata/peers.txt has a sentence about %s, which is not played", name)
		}
	}
	if file := os.Getenv("PEERS_TABLE"); file != "" {
		if err := os.WriteFile(file, peersTable(t, results, sentences), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// plain says whether a transcript needs nothing but joe, who may do everything, on a
// disk.
func plain(t *testing.T, tr *transcript) bool {
	for _, s := range tr.head {
		switch s.verb {
		case "config", "profile", "user", "tls", "broken":
			return false
		}
	}
	if slices.ContainsFunc(tr.steps, func(s step) bool { return s.verb == "fault" }) {
		return false
	}
	why, err := tr.applies(variant{traits: []string{"local", "tcp"}}, ^vfs.Caps(0))
	if err != nil {
		t.Fatal(err)
	}
	return why == ""
}

// playPeer starts a peer over an empty directory, and plays the transcript.
func playPeer(t *testing.T, peer string, tr *transcript) played {
	s := startPeer(t, peer, tr)
	r := &runner{t: t, s: s, caught: captures{}, talks: map[string]*talk{}}
	defer r.closeAll()
	err := r.run(tr)
	if err == nil {
		return played{}
	}
	t.Log(err)
	var at *stepError
	if !errors.As(err, &at) {
		t.Fatal(err)
	}
	var code *codeError
	if errors.As(at.err, &code) {
		if verb, is := code.unspoken(); is {
			return played{unspoken: "`" + verb + "`", at: at.step.at}
		}
		want := strings.TrimRight(code.want[:min(3, len(code.want))], " *")
		return played{differs: fmt.Sprintf("%s to `%s`, not %s", code.reply[:3], briefly(code.sent), want), at: at.step.at}
	}
	what, _, _ := strings.Cut(at.err.Error(), "\n")
	if strings.Contains(what, "i/o timeout") {
		return played{differs: fmt.Sprintf("no answer to `%s`", briefly(r.now.asked())), at: at.step.at}
	}
	return played{differs: fmt.Sprintf("`%s`: %s", briefly(at.step.text), steady(what)), at: at.step.at}
}

// briefly is a line that fits into a table.
func briefly(line string) string {
	for _, verb := range []string{"PORT", "EPRT"} {
		if len(line) > 4 && strings.EqualFold(line[:4], verb) {
			return verb // the rest is another with each run
		}
	}
	line = strings.NewReplacer("|", "¦", "`", "'").Replace(show(line))
	if len(line) > 40 {
		line = line[:40] + "…"
	}
	return line
}

var quotation = regexp.MustCompile(` \(".*`)

// steady takes out what is another with each run.
func steady(text string) string {
	text = quotation.ReplaceAllString(text, "")
	for _, cut := range []string{"read tcp", "write tcp", "dial tcp"} {
		if i := strings.Index(text, cut); i >= 0 {
			text = text[:i] + text[strings.LastIndex(text, ": ")+2:]
		}
	}
	text = strings.NewReplacer("|", "¦", "\n", " ").Replace(text)
	if strings.HasPrefix(text, "nobody expected") {
		text, _, _ = strings.Cut(text, " the line")
		text += " a line that comes"
	}
	if len(text) > 90 {
		text = text[:90] + "…"
	}
	return text
}

// startPeer runs one until the test ends.
func startPeer(t *testing.T, peer string, tr *transcript) *served {
	host := netip.MustParseAddr("127.0.0.1")
	if len(tr.setting("network")) > 0 {
		host = netip.IPv6Loopback()
	}
	dir := t.TempDir()
	// The server's user has to get there.
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	fsys, err := local.Open(local.Options{Dir: dir, NoSync: true, FileMode: 0o644, DirMode: 0o755})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { fsys.Close() })
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	s := &served{fsys: fsys, dir: dir, net: &otherNetwork{}, codes: &codesOnly{}}
	s.codes.uid, _ = strconv.Atoi(nobody.Uid)
	s.codes.gid, _ = strconv.Atoi(nobody.Gid)
	s.addr = freePort(t, host)
	var said bytes.Buffer
	cmd := exec.Command(peersTool, "serve", peer, host.String(), strconv.Itoa(int(s.addr.Port())), dir)
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stopPeer(cmd)
		if t.Failed() {
			t.Logf("%s said: %s", peer, said.String())
		}
	})
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		c, err := net.Dial("tcp", s.addr.String())
		if err == nil {
			c.Close()
			return s
		}
		if time.Now().After(end) {
			t.Fatalf("%s does not begin to listen: %v", peer, err)
		}
	}
}

// stopPeer ends the server and the sessions that it started.
func stopPeer(cmd *exec.Cmd) {
	for _, pid := range append(children(cmd.Process.Pid), cmd.Process.Pid) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	_ = cmd.Wait()
}

// children lists all processes below pid.
func children(pid int) []int {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	var all []int
	for _, field := range strings.Fields(string(text)) {
		if child, err := strconv.Atoi(field); err == nil {
			all = append(append(all, children(child)...), child)
		}
	}
	return all
}

// freePort is below the range from which the kernel takes ports by itself: the server
// binds it only later.
func freePort(t *testing.T, host netip.Addr) netip.AddrPort {
	for range 1000 {
		at := netip.AddrPortFrom(host, uint16(12000+rand.IntN(20000)))
		if l, err := net.Listen("tcp", at.String()); err == nil {
			l.Close()
			return at
		}
	}
	t.Fatal("there is no free port")
	return netip.AddrPort{}
}

// peerSentences reads testdata/peers.txt: "NAME: why ours is right".
func peerSentences(t *testing.T) map[string]string {
	text, err := os.ReadFile("testdata/peers.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, line := range strings.Split(string(text), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, why, ok := strings.Cut(line, ": ")
		if !ok || why == "" || all[name] != "" {
			t.Fatalf("testdata/peers.txt: write each transcript once, NAME: why ours is right: %q", line)
		}
		all[name] = why
	}
	return all
}

// peersTable is docs/peers.md.
func peersTable(t *testing.T, results map[string]map[string]played, sentences map[string]string) []byte {
	versions, err := exec.Command(peersTool, "versions").Output()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	fmt.Fprint(&out, "# Other servers and our transcripts\n\n"+
		"Written by `make peers`. Each transcript of [gateway/testdata/wire](../gateway/testdata/wire) that needs nothing but a user\n"+
		"who may do everything was played against other servers, each with an empty directory. Compared are the reply codes, the\n"+
		"bytes of data connections, and the files afterwards; never the texts, and of listings the kind and the name. 125 counts as\n"+
		"150. A cell is \"same\", a command that the server does not have, or the first difference with its line in the transcript.\n\n")
	for _, line := range strings.Split(strings.TrimSpace(string(versions)), "\n") {
		fmt.Fprintf(&out, "- %s\n", line)
	}
	same, lacks, differ := map[string]int{}, map[string]int{}, map[string]int{}
	fmt.Fprintf(&out, "\n| transcript | %s |\n|---|---|---|---|---|\n", strings.Join(peers, " | "))
	for _, name := range slices.Sorted(maps.Keys(results)) {
		fmt.Fprintf(&out, "| [%s](../gateway/testdata/wire/%s.ftp) ", name, name)
		for _, peer := range peers {
			o := results[name][peer]
			_, line, _ := strings.Cut(o.at, ":")
			switch {
			case o.unspoken != "":
				lacks[peer]++
			case o.differs != "":
				differ[peer]++
				if line != "" {
					line += ": "
				}
				fmt.Fprintf(&out, "| %s%s ", line, o)
				continue
			default:
				same[peer]++
			}
			fmt.Fprintf(&out, "| %s ", o)
		}
		fmt.Fprintln(&out, "|")
	}
	fmt.Fprint(&out, "\n| | same | has no such command | differs |\n|---|---|---|---|\n")
	for _, peer := range peers {
		fmt.Fprintf(&out, "| %s | %d | %d | %d |\n", peer, same[peer], lacks[peer], differ[peer])
	}
	fmt.Fprint(&out, "\n## Why ours is right\n\n")
	for _, name := range slices.Sorted(maps.Keys(sentences)) {
		fmt.Fprintf(&out, "- **%s**: %s\n", name, sentences[name])
	}
	return out.Bytes()
}

// unspoken says whether the server tells that it has no such command, and which.
func (e *codeError) unspoken() (string, bool) {
	switch e.reply[:3] {
	case "504":
	case "500", "501", "502":
		if !noCommand.MatchString(e.reply) {
			return "", false
		}
	default:
		return "", false
	}
	words := strings.Fields(strings.ToUpper(e.sent))
	if e.begun || len(words) == 0 || words[0] == "HELP" || !letters.MatchString(words[0]) {
		return "", false
	}
	if len(words) > 1 && (words[0] == "SITE" || words[0] == "OPTS" || words[0] == "MODE" || words[0] == "STRU") {
		return words[0] + " " + words[1], true
	}
	return words[0], true
}

var noCommand = regexp.MustCompile(`(?i)unknown|not understood|not implemented|not recognized|unrecognized|unsupported|not supported|disabled|bad (mode|structure)`)

var letters = regexp.MustCompile(`^[A-Z0-9-]+$`)

// otherNetwork is the network in front of a server of another process.
type otherNetwork struct{ tcpNetwork }

func (*otherNetwork) patience() time.Duration { return 10 * time.Second }

// drained asks the kernel what the other process has not read.
func (n *otherNetwork) drained(c net.Conn) error {
	local := netip.MustParseAddrPort(c.LocalAddr().String()).Port()
	remote := netip.MustParseAddrPort(c.RemoteAddr().String()).Port()
	ours, theirs := fmt.Sprintf(":%04X", local), fmt.Sprintf(":%04X", remote)
	for end := time.Now().Add(n.patience()); time.Now().Before(end); time.Sleep(time.Millisecond) {
		rows, err := tcpSockets()
		if err != nil {
			return err
		}
		unread := false
		for _, row := range rows {
			switch {
			case strings.HasSuffix(row[0], theirs) && strings.HasSuffix(row[1], ours):
				unread = unread || !strings.HasSuffix(row[3], ":00000000")
			case strings.HasSuffix(row[0], ours) && strings.HasSuffix(row[1], theirs):
				unread = unread || !strings.HasPrefix(row[3], "00000000:")
			}
		}
		if !unread {
			return nil
		}
	}
	return errors.New("the server does not read what was sent")
}
