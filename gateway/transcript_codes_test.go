package gateway_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// codesOnly is what is compared where the server is not ours: reply codes, what data
// connections carry, and what the store holds afterwards.
type codesOnly struct {
	// within is the code of the reply of several lines whose further lines the
	// transcript still shows.
	within string
	// uid and gid own what the transcript puts into the store.
	uid, gid int
}

// codeError is another code than the transcript expects.
type codeError struct {
	sent, want, reply string
	// begun says that 1yz has come before.
	begun bool
}

func (e *codeError) Error() string {
	return fmt.Sprintf("to %s: expected %s\n     got %s", show(e.sent), e.want, show(e.reply))
}

// expectCode compares the code of the next reply with that of a pattern, and catches
// what the pattern names. 125 says what 150 says (RFC 959 5.4).
func (r *runner) expectCode(pattern string) error {
	if within := r.s.codes.within; within != "" {
		if strings.HasPrefix(pattern, within+" ") {
			r.s.codes.within = ""
		}
		return nil
	}
	c, err := r.current()
	if err != nil {
		return err
	}
	reply, err := r.readReply(c)
	if err != nil {
		return fmt.Errorf("expected %s, got: %w", pattern, err)
	}
	asked, begun := c.asked(), c.begun
	if c.begun = reply[0] == '1'; !c.begun {
		_, c.sent, _ = strings.Cut(c.sent, "\n")
	}
	if !sameCode(pattern, reply) {
		return &codeError{asked, pattern, reply, begun}
	}
	if len(pattern) > 3 && pattern[3] == '-' {
		r.s.codes.within = pattern[:3]
	}
	return r.catch(pattern, reply)
}

// asked is the first command whose reply has not come.
func (c *talk) asked() string {
	line, _, _ := strings.Cut(c.sent, "\n")
	return strings.TrimSpace(line)
}

// readReply reads a reply of any number of lines, of which the last is returned.
func (r *runner) readReply(c *talk) (string, error) {
	line, err := r.readLine(c)
	if err != nil {
		return "", err
	}
	if len(line) < 3 || !isCode(line[:3]) {
		return "", fmt.Errorf("%q is no reply", show(line))
	}
	for code := line[:3]; strings.HasPrefix(line, code+"-") || !strings.HasPrefix(line, code); {
		if line, err = r.readLine(c); err != nil {
			return "", err
		}
	}
	return line, nil
}

func sameCode(pattern, reply string) bool {
	for i := range 3 {
		switch {
		case i >= len(pattern), pattern[i] == '*':
			return true
		case pattern[i] != '#' && pattern[i] != reply[i]:
			return strings.HasPrefix(pattern, "150") && strings.HasPrefix(reply, "125")
		}
	}
	return true
}

// goodbye says whether the line is what other servers say when the client closes.
func (r *runner) goodbye(line string) bool {
	return r.s.codes != nil && (strings.HasPrefix(line, "221") || strings.HasPrefix(line, "421") || strings.HasSuffix(line, " Logout."))
}

// catch remembers what a pattern names, also where the server words it differently.
func (r *runner) catch(pattern, reply string) error {
	names := anyCapture.FindAllStringSubmatch(pattern, -1)
	if len(names) == 0 || r.caught.match(pattern, reply) == nil {
		return nil
	}
	name := names[0][1]
	for prefix, form := range map[string]*regexp.Regexp{
		"227": regexp.MustCompile(`(\d+,\d+,\d+,\d+,\d+,\d+)`),
		"229": regexp.MustCompile(`\(\|\|\|(\d+)\|\)`),
		"257": regexp.MustCompile(`"(.*)"`),
	} {
		if found := form.FindStringSubmatch(reply); strings.HasPrefix(pattern, prefix) && found != nil {
			r.caught[name] = found[1]
			return nil
		}
	}
	return fmt.Errorf("expected %s\n     got %s", pattern, show(reply))
}

var anyCapture = regexp.MustCompile(`\{([a-z][a-z0-9.]*)\}`)

// sameEntry compares lines of a listing: of the form of ls -l the kind and the name,
// of facts (RFC 3659 7) those that both have, of others all.
func (r *runner) sameEntry(pattern, line string) error {
	err := r.caught.match(pattern, line)
	if err == nil {
		return nil
	}
	want, got := lastName(pattern), lastName(line)
	switch {
	case want == line, want != pattern && r.caught.match(want, got) == nil && sameKind(pattern, line):
		return nil
	}
	return err
}

// lastName is the name in a line of ls -l or of facts, or the whole line.
func lastName(line string) string {
	if found := lsLine.FindStringSubmatch(line); found != nil {
		return found[1]
	}
	if found := factLine.FindStringSubmatch(line); found != nil {
		return found[1]
	}
	return line
}

var (
	// lsLine has the name behind the year or the time, or behind the wildcard that
	// stands for them.
	lsLine = regexp.MustCompile(`^(?:[-dl*].*(?:\d\d:\d\d|##:##|  ?\d{4}|\*) )(.*)$`)
	// factLine has it behind the last fact.
	factLine = regexp.MustCompile(`^ ?(?:[A-Za-z.]+=[^;]*;\*?)+ (.*)$`)
)

// sameKind compares what both lines say of the kind: the first letter of ls -l, the
// facts type, size and modify.
func sameKind(pattern, line string) bool {
	for _, fact := range []string{"type=", "size=", "modify="} {
		_, want, ok1 := strings.Cut(strings.ToLower(pattern), fact)
		_, got, ok2 := strings.Cut(strings.ToLower(line), fact)
		if !ok1 || !ok2 || strings.HasPrefix(want, "#") {
			continue
		}
		want, _, _ = strings.Cut(want, ";")
		if got, _, _ = strings.Cut(got, ";"); want != got {
			return false
		}
	}
	return strings.IndexByte("-dl", pattern[0]) < 0 || pattern[0] == line[0]
}

// own gives what the transcript has put into the store to the user of its server.
func (s *served) own(name string) error {
	if s.codes == nil {
		return nil
	}
	return os.Lchown(filepath.Join(s.dir, name), s.codes.uid, s.codes.gid)
}

// tcpSockets are the rows of the kernel's table of TCP sockets, as hexadecimal
// fields: local and remote address, state, queues.
func tcpSockets() ([][]string, error) {
	var rows [][]string
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for _, line := range strings.Split(string(text), "\n")[1:] {
			if fields := strings.Fields(line); len(fields) > 4 {
				rows = append(rows, fields[1:5])
			}
		}
	}
	return rows, nil
}

// waitConns waits until a server of another process has no more than n connections
// on its port.
func waitConns(at netip.AddrPort, n int, patience time.Duration) error {
	port := fmt.Sprintf(":%04X", at.Port())
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		rows, err := tcpSockets()
		if err != nil {
			return err
		}
		open := 0
		for _, row := range rows {
			// 01 is established; with 08 the client has closed and the server has not.
			if strings.HasSuffix(row[0], port) && (row[2] == "01" || row[2] == "08") {
				open++
			}
		}
		if open <= n {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%d connections are open", open)
		}
	}
}
