package gateway_test

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ftpgate/ftpgate/auth"
	"github.com/ftpgate/ftpgate/backends/memory"
	"github.com/ftpgate/ftpgate/gateway"
	"github.com/ftpgate/ftpgate/vfs"
)

// change is a dialogue that changes the store, or for HASH and its like tells what is
// in it, and the operations that it takes: without any one of them it must not.
type change struct {
	lines []string
	needs []vfs.Op
	tells bool // changes nothing
}

// changes has every verb that changes something.
func changes() map[string][]change {
	hash := func(verb string) []change {
		return []change{{lines: []string{verb + " f"}, needs: []vfs.Op{vfs.OpRead, vfs.OpHash}, tells: true}}
	}
	removeTree := []vfs.Op{vfs.OpRmdir, vfs.OpRemove, vfs.OpList}
	return map[string][]change{
		"STOR": {
			{lines: []string{"STOR new"}, needs: []vfs.Op{vfs.OpWrite}},
			{lines: []string{"STOR f"}, needs: []vfs.Op{vfs.OpWrite, vfs.OpOverwrite}},
			{lines: []string{"REST 2", "STOR f"}, needs: []vfs.Op{vfs.OpWrite, vfs.OpOverwrite}},
		},
		"STOU": {{lines: []string{"STOU"}, needs: []vfs.Op{vfs.OpWrite}}, {lines: []string{"STOU d/x"}, needs: []vfs.Op{vfs.OpWrite}}},
		"APPE": {{lines: []string{"APPE f"}, needs: []vfs.Op{vfs.OpAppend}}, {lines: []string{"APPE new"}, needs: []vfs.Op{vfs.OpAppend}}},
		"RNFR": nil, // by RNTO
		"RNTO": {
			{lines: []string{"RNFR f", "RNTO new"}, needs: []vfs.Op{vfs.OpRename}},
			{lines: []string{"RNFR d", "RNTO new"}, needs: []vfs.Op{vfs.OpRename}},
			{lines: []string{"RNFR f", "RNTO g"}, needs: []vfs.Op{vfs.OpRename, vfs.OpOverwrite}},
		},
		"DELE":         {{lines: []string{"DELE f"}, needs: []vfs.Op{vfs.OpRemove}}},
		"RMD":          {{lines: []string{"RMD empty"}, needs: []vfs.Op{vfs.OpRmdir}}},
		"MKD":          {{lines: []string{"MKD new"}, needs: []vfs.Op{vfs.OpMkdir}}},
		"RMDA":         {{lines: []string{"RMDA d"}, needs: removeTree}},
		"SITE RMDIR":   {{lines: []string{"SITE RMDIR d"}, needs: removeTree}},
		"SITE MKDIR":   {{lines: []string{"SITE MKDIR new/er"}, needs: []vfs.Op{vfs.OpMkdir}}},
		"SITE CHMOD":   {{lines: []string{"SITE CHMOD 600 f"}, needs: []vfs.Op{vfs.OpSetMode}}},
		"SITE UTIME":   {{lines: []string{"SITE UTIME 20200101000000 f"}, needs: []vfs.Op{vfs.OpSetModTime}}},
		"MFMT":         {{lines: []string{"MFMT 20200101000000 f"}, needs: []vfs.Op{vfs.OpSetModTime}}},
		"MFCT":         {{lines: []string{"MFCT 20200101000000 f"}, needs: []vfs.Op{vfs.OpSetCreateTime}}},
		"MDTM":         {{lines: []string{"MDTM 20200101000000 f"}, needs: []vfs.Op{vfs.OpSetModTime}}},
		"MFF":          {{lines: []string{"MFF modify=20200101000000; f"}, needs: []vfs.Op{vfs.OpSetModTime}}, {lines: []string{"MFF create=20200101000000; f"}, needs: []vfs.Op{vfs.OpSetCreateTime}}, {lines: []string{"MFF UNIX.mode=600; f"}, needs: []vfs.Op{vfs.OpSetMode}}},
		"SITE CPFR":    nil, // by SITE CPTO
		"SITE CPTO":    {{lines: []string{"SITE CPFR f", "SITE CPTO new"}, needs: []vfs.Op{vfs.OpRead, vfs.OpWrite}}, {lines: []string{"SITE CPFR f", "SITE CPTO g"}, needs: []vfs.Op{vfs.OpRead, vfs.OpWrite, vfs.OpOverwrite}}},
		"SITE COPY":    {{lines: []string{"SITE COPY f new"}, needs: []vfs.Op{vfs.OpRead, vfs.OpWrite}}, {lines: []string{"SITE COPY f g"}, needs: []vfs.Op{vfs.OpRead, vfs.OpWrite, vfs.OpOverwrite}}},
		"SITE SYMLINK": {{lines: []string{"SITE SYMLINK f link"}, needs: []vfs.Op{vfs.OpSymlink, vfs.OpRead}}},
		"COMB":         {{lines: []string{"COMB new f g"}, needs: []vfs.Op{vfs.OpWrite, vfs.OpRead, vfs.OpRemove}}, {lines: []string{"COMB f g"}, needs: []vfs.Op{vfs.OpAppend, vfs.OpRead, vfs.OpRemove}}},
		"HASH":         hash("HASH"),
		"XCRC":         hash("XCRC"),
		"XMD5":         hash("XMD5"),
		"MD5":          hash("MD5"),
		"XSHA":         hash("XSHA"),
		"XSHA1":        hash("XSHA1"),
		"XSHA256":      hash("XSHA256"),
		"XSHA512":      hash("XSHA512"),
	}
}

// unchanging are the verbs that can't change the store. A new row has to be put here
// or into changes.
func unchanging() []string {
	return []string{"USER", "PASS", "ACCT", "CWD", "CDUP", "SMNT", "REIN", "QUIT", "AUTH", "PBSZ", "PROT", "CCC", "ADAT", "MIC", "CONF", "ENC",
		"PORT", "PASV", "EPRT", "EPSV", "TYPE", "STRU", "MODE", "OPTS", "OPTS MODE", "OPTS UTF8", "OPTS UTF-8", "OPTS MLST", "OPTS HASH", "RANG",
		"RETR", "ALLO", "REST", "ABOR", "PWD", "AVBL", "DSIZ", "LIST", "NLST", "MLSD", "MLST", "STAT", "SIZE", "FEAT", "HELP", "NOOP", "SYST",
		"SITE", "SITE HELP", "SITE IDLE", "HOST", "LANG", "CLNT", "CSID"}
}

func bitOf(op vfs.Op) auth.Permissions {
	return map[vfs.Op]auth.Permissions{
		vfs.OpList: auth.List, vfs.OpRead: auth.ReadFile, vfs.OpHash: auth.HashFile, vfs.OpWrite: auth.CreateFile, vfs.OpOverwrite: auth.Overwrite,
		vfs.OpAppend: auth.Append, vfs.OpRemove: auth.DeleteFile, vfs.OpRmdir: auth.RemoveDir, vfs.OpMkdir: auth.MakeDir, vfs.OpRename: auth.Rename,
		vfs.OpSetModTime: auth.ChTime, vfs.OpSetCreateTime: auth.ChTime, vfs.OpSetMode: auth.ChMode, vfs.OpSymlink: auth.Symlink,
	}[op]
}

func TestEveryRowIsCovered(t *testing.T) {
	known := append(slices.Collect(maps.Keys(changes())), unchanging()...)
	for verb, op := range gateway.Permissions() {
		if !slices.Contains(known, verb) {
			t.Errorf("say in changes or unchanging whether %s changes the store", verb)
		}
		if op != "" && op.Mutates() && slices.Contains(unchanging(), verb) {
			t.Errorf("%s has the permission %s, but is said to change nothing", verb, op)
		}
	}
	for _, verb := range known {
		if _, ok := gateway.Permissions()[verb]; !ok {
			t.Errorf("there is no command %s any more", verb)
		}
	}
	covered := map[vfs.Op]bool{}
	for _, list := range changes() {
		for _, c := range list {
			for _, op := range c.needs {
				covered[op] = true
				if bitOf(op) == 0 {
					t.Errorf("no permission is known for %s", op)
				}
			}
		}
	}
	for _, op := range []vfs.Op{vfs.OpWrite, vfs.OpOverwrite, vfs.OpAppend, vfs.OpRemove, vfs.OpRmdir, vfs.OpMkdir, vfs.OpRename, vfs.OpSetModTime, vfs.OpSetCreateTime, vfs.OpSetMode, vfs.OpSymlink} {
		if !covered[op] {
			t.Errorf("no command is tried without %s", op)
		}
	}
}

// TestEveryChangeNeedsItsPermissions: who may do nothing changes nothing, and who may do
// all but one thing not that; with the dispatcher's question and, to show that
// vfs.GuardRules is enough, without.
func TestEveryChangeNeedsItsPermissions(t *testing.T) {
	for _, dropped := range []bool{false, true} {
		t.Run(fmt.Sprintf("dropped=%v", dropped), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for verb, list := range changes() {
					for _, c := range list {
						c.try(t, auth.ReadWrite, dropped, true)
						c.try(t, 0, dropped, false)
						for _, op := range c.needs {
							if kept := stays(verb, op); dropped && kept != "" {
								// Commands of several steps do what they may.
								if after := c.do(t, auth.ReadWrite&^bitOf(op), dropped).after; !strings.Contains(after, kept) {
									t.Errorf("%s without %s left\n%s", verb, op, after)
								}
								continue
							}
							c.try(t, auth.ReadWrite&^bitOf(op), dropped, false)
						}
					}
				}
			})
		})
	}
}

// stays is what has to be there after a command of several steps without op; empty: all.
func stays(verb string, op vfs.Op) string {
	switch {
	case verb == "COMB" && op == vfs.OpRemove:
		return "content of g"
	case op == vfs.OpRmdir && verb != "RMD":
		return "d/sub"
	}
	return ""
}

// outcome is what a dialogue came to.
type outcome struct{ before, after, last string }

// do runs the dialogue as somebody with the permissions p.
func (c change) do(t *testing.T, p auth.Permissions, dropped bool) outcome {
	t.Helper()
	var srv *gateway.Server
	s := servePolicy(t, &auth.Policy{Permissions: p}, func(s *gateway.Server) { srv = s })
	if dropped {
		srv.DropPermissions()
	}
	o := outcome{before: inventory(t, s.fsys)}
	client := s.login(t)
	for _, line := range c.lines {
		o.last = client.run(line)
	}
	o.after = inventory(t, s.fsys)
	client.conn.Close()
	return o
}

// try checks that the dialogue succeeds, or that it does nothing.
func (c change) try(t *testing.T, p auth.Permissions, dropped, may bool) {
	t.Helper()
	o := c.do(t, p, dropped)
	did := o.last[0] == '2'
	if !c.tells {
		did = o.before != o.after
	}
	if did != may || (o.last[0] == '2') != may {
		t.Errorf("%s with %s: %q; it was\n%s\nand is\n%s", strings.Join(c.lines, ", "), p, o.last, o.before, o.after)
	}
}

// servePolicy serves a memory store with a few files under policy.
func servePolicy(t *testing.T, policy *auth.Policy, see func(*gateway.Server), configure ...func(*gateway.Config)) *memServer {
	t.Helper()
	fsys := memory.New(memory.Options{})
	for _, dir := range []string{"d", "d/sub", "empty"} {
		if err := fsys.Mkdir(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"f", "g", "d/f", "d/sub/f"} {
		writeFile(t, fsys, name, "content of "+name)
	}
	s := serveMemory(t, func(cfg *gateway.Config) {
		cfg.Auth = auth.AuthenticatorFunc(func(_ context.Context, a auth.Attempt) (*auth.Principal, error) {
			return &auth.Principal{Name: a.User, Settings: auth.Settings{Policy: policy}}, nil
		})
		cfg.Open = func(context.Context, *auth.Principal) (vfs.FS, func(), error) { return fsys, nil, nil }
		for _, c := range configure {
			c(cfg)
		}
	}, see)
	s.fsys = fsys
	return s
}

func writeFile(t *testing.T, fsys vfs.FS, name, content string) {
	t.Helper()
	w, err := fsys.Create(t.Context(), name, vfs.CreateOptions{})
	if err == nil {
		_, err = io.WriteString(w, content)
	}
	if err == nil {
		err = w.Commit()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// run sends a command, with a data connection if it needs one, and returns the last
// line of its last reply.
func (c *memClient) run(line string) string {
	c.t.Helper()
	verb, _, _ := strings.Cut(line, " ")
	var data io.ReadWriteCloser
	if slices.Contains([]string{"STOR", "STOU", "APPE", "RETR", "LIST", "NLST", "MLSD"}, verb) {
		data = c.data()
	}
	c.send(line + "\r\n")
	got := c.reply()
	if strings.HasPrefix(got, "150") {
		if verb[:2] == "ST" || verb == "APPE" {
			_, _ = io.WriteString(data, "uploaded")
		} else {
			_, _ = io.Copy(io.Discard, data)
		}
		data.Close()
		got = c.reply()
	}
	if data != nil {
		data.Close()
	}
	return got
}

// inventory is all that a store has: names, content, modes, times, what is parked.
func inventory(t *testing.T, fsys vfs.FS) string {
	t.Helper()
	var lines []string
	var walk func(dir string)
	walk = func(dir string) {
		for info, err := range fsys.ReadDir(t.Context(), dir, "") {
			if err != nil {
				t.Fatal(err)
			}
			name := vfs.Join(dir, info.Name())
			line := fmt.Sprint(info.Mode())
			for _, at := range []time.Time{info.ModTime(), vfs.AttrOf(info).Created} {
				line += at.UTC().Format(" 20060102150405.000")
			}
			line += " " + name
			if info.Mode()&fs.ModeType == 0 {
				line += " " + contentOf(t, fsys, name)
			}
			if info.IsDir() {
				line = fmt.Sprint(info.Mode(), " ", name) // its time follows from what is inside
				walk(name)
			}
			lines = append(lines, line)
		}
		for info, err := range vfs.Staged(t.Context(), fsys, dir, "joe") {
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, "parked "+vfs.Join(dir, info.Name()))
		}
	}
	walk(".")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func contentOf(t *testing.T, fsys vfs.FS, name string) string {
	t.Helper()
	f, err := fsys.Open(t.Context(), name, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestPolicyOverTheWire: directories, names, sizes and commands, as a client meets them.
func TestPolicyOverTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dirs, err := auth.ParseDirectories("/d elr; /d/sub none; /empty el+create")
		if err != nil {
			t.Fatal(err)
		}
		policy := &auth.Policy{Permissions: auth.ReadWrite, Directories: dirs, MaxSize: 20,
			Commands: auth.Commands{Never: []string{"SITE", "MFMT", "XCUP"}}}
		for to, text := range map[*auth.Patterns]string{&policy.Hidden: ".*", &policy.Refused: "*.key"} {
			if *to, err = auth.NewPatterns(text); err != nil {
				t.Fatal(err)
			}
		}
		s := servePolicy(t, policy, func(*gateway.Server) {})
		writeFile(t, s.fsys, ".hidden", "x")
		writeFile(t, s.fsys, "a.key", "x")
		c := s.login(t)
		for _, step := range []struct{ line, want string }{
			{"SIZE .hidden", "550 No such file or directory."}, {"SIZE .missing", "550 No such file or directory."}, {"RETR .HIDDEN", "550 No such"},
			{"STOR .new", "550 No such"}, {"NLST .*", "550 No such"}, {"RNFR .hidden", "550 No such"}, {"MKD .x", "550 No such"}, {"CWD .x", "550 No such"}, {"HASH .hidden", "550 No such"},
			{"MLST .hidden", "550 No such"}, {"STAT .hidden", "550 No such"}, {"LIST .hidden", "550 No such"}, {"DELE .hidden", "550 No such"},
			{"RETR a.key", "550 Permission denied."}, {"SIZE A.KEY", "550 Permission"}, {"DELE a.key", "550 Permission"}, {"STOR b.KEY", "550 Permission"},
			{"RNFR f", "350"}, {"RNTO f.key", "550 Permission"}, {"RNFR f", "350"}, {"RNTO .f", "550 No such"},
			{"STOR d/new", "550 Permission"}, {"RETR d/f", "226"}, {"DELE d/f", "550"}, {"RETR d/sub/f", "550"}, {"LIST d/sub", "550"}, {"CWD d/sub", "550"},
			{"RNFR d", "550"}, {"RNFR d/sub", "550"}, {"RMDA d", "550"}, {"RNFR f", "350"}, {"RNTO d/sub/f2", "550"}, {"RNFR f", "350"}, {"RNTO empty/f", "550"},
			{"STOR empty/x", "226"}, {"STOR empty/x", "553"}, {"DELE empty/x", "550"}, {"CWD empty", "250"}, {"STOU", "226"}, {"CDUP", "250"},
			{"COMB big f g", "552"}, {"APPE f", "226"}, {"APPE f", "552"}, {"ALLO 21", "200"}, {"STOR big", "552"},
			{"SITE CHMOD 600 f", "502"}, {"SITE HELP", "502"}, {"MFMT 20200101000000 f", "502"}, {"DSIZ empty", "213"}, {"DSIZ d", "550"},
		} {
			if got := c.run(step.line); !strings.HasPrefix(got, step.want) {
				t.Errorf("%s: %q, want %s", step.line, got, step.want)
			}
		}
		for _, command := range []string{"LIST", "NLST", "MLSD", "NLST *", "STAT", "FEAT", "HELP"} {
			if got := c.listing(command); strings.Contains(got, "hidden") || command == "NLST" && !strings.Contains(got, "a.key") ||
				strings.Contains(got, "MFMT") || strings.Contains(got, " SITE") {
				t.Errorf("%s shows %s", command, got)
			}
		}
		if got := c.facts("empty"); !strings.Contains(got, "perm=cel;") {
			t.Errorf("MLST of a directory of its own: %s", got)
		}
		if got := c.facts("d"); !strings.Contains(got, "perm=el;") {
			t.Errorf("MLST of a directory of its own: %s", got)
		}
		for _, name := range []string{".hidden", "a.key", "d/sub/f", "d/f", "f"} {
			if _, err := s.fsys.Stat(t.Context(), name); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestOnlyCommands: what a session needs is there although nobody named it.
func TestOnlyCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		policy := &auth.Policy{Permissions: auth.ReadWrite, Commands: auth.Commands{Only: []string{"retr", "SIZE"}}}
		c := servePolicy(t, policy, func(*gateway.Server) {}).login(t)
		for _, step := range []struct{ line, want string }{
			{"PASV", "227"}, {"RETR f", "226"}, {"SIZE f", "213"}, {"PWD", "257"}, {"STOR f", "502"}, {"DELE f", "502"}, {"LIST", "502"}, {"CWD d", "502"},
			{"SITE CHMOD 600 f", "504"}, {"MFF modify=20200101000000; f", "502"}, {"HASH f", "502"}, {"NOOP", "200"}, {"QUIT", "221"},
		} {
			if got := c.run(step.line); !strings.HasPrefix(got, step.want) {
				t.Errorf("%s: %q, want %s", step.line, got, step.want)
			}
		}
	})
}

// listing is what a command shows, on whichever connection.
func (c *memClient) listing(line string) string {
	c.t.Helper()
	verb, _, _ := strings.Cut(line, " ")
	if verb != "LIST" && verb != "NLST" && verb != "MLSD" {
		c.send(line + "\r\n")
		text, err := wholeReply(c.in)
		if err != nil {
			c.t.Fatal(err)
		}
		return text
	}
	data := c.data()
	defer data.Close()
	c.ask(line, "150")
	b, err := io.ReadAll(data)
	if err != nil {
		c.t.Fatal(err)
	}
	c.want("226")
	return string(b)
}

// facts are what MLST tells.
func (c *memClient) facts(name string) string { return c.listing("MLST " + name) }

// TestRemovingWhatHoldsHiddenNames: what a user can't see is never removed along, nor
// counted, and a directory that holds it is not empty.
func TestRemovingWhatHoldsHiddenNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hidden, err := auth.NewPatterns(".*")
		if err != nil {
			t.Fatal(err)
		}
		s := servePolicy(t, &auth.Policy{Permissions: auth.ReadWrite, Hidden: hidden}, func(*gateway.Server) {})
		writeFile(t, s.fsys, "d/sub/.keep", strings.Repeat("x", 1000))
		writeFile(t, s.fsys, "empty/.keep", "x")
		c := s.login(t)
		if got := c.ask("DSIZ d", "213"); got != fmt.Sprintf("213 %d", len("content of d/f")+len("content of d/sub/f")) {
			t.Error(got)
		}
		if got := c.listing("NLST empty"); got != "" {
			t.Errorf("listed: %q", got)
		}
		c.ask("RMD empty", "550 Directory is not empty.")
		c.ask("RMDA d", "550 Directory is not empty.")
		c.ask("SITE RMDIR empty", "550 Directory is not empty.")
		c.ask("COMB new empty/.keep", "550 No such file")
		c.ask("SITE COPY d/sub/.keep new", "550 No such file")
		for _, name := range []string{"d/sub/.keep", "empty/.keep"} {
			if _, err := s.fsys.Stat(t.Context(), name); err != nil {
				t.Error(err)
			}
		}
	})
}
