package gateway_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ftpgate/ftpgate/vfs"
)

// file is "file put NAME STRING", "file is NAME STRING", "file absent NAME" or
// "file time NAME TIME".
func (r *runner) file(s step) error {
	what, arg, _ := strings.Cut(s.rest, " ")
	name, content, err := nameAndRest(arg)
	if err != nil {
		return err
	}
	r.say("%s", s.text)
	fsys, ctx := r.s.fsys, r.t.Context()
	switch what {
	case "put":
		b, err := literal(content)
		if err != nil {
			return err
		}
		w, err := fsys.Create(ctx, name, vfs.CreateOptions{})
		if err != nil {
			return err
		}
		defer w.Abort()
		if _, err := w.Write(b); err != nil {
			return err
		}
		if err := w.Commit(); err != nil {
			return err
		}
		return r.s.own(name)
	case "is":
		want, err := literal(content)
		if err != nil {
			return err
		}
		f, err := fsys.Open(ctx, name, 0, -1)
		if err != nil {
			return err
		}
		defer f.Close()
		got, err := io.ReadAll(f)
		if err != nil {
			return err
		}
		return sameBytes(got, want)
	case "absent":
		info, err := fsys.Stat(ctx, name)
		if err == nil {
			return fmt.Errorf("it is there, with %d bytes", info.Size())
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	case "time":
		at, err := time.Parse(time.RFC3339, content)
		if err != nil {
			return err
		}
		return vfs.SetModTime(ctx, fsys, name, at)
	}
	return errors.New("write: file put, is, absent or time")
}

// nameAndRest splits off a name, which may be a string in double quotes.
func nameAndRest(text string) (name, rest string, err error) {
	if strings.HasPrefix(text, `"`) {
		quoted, err := strconv.QuotedPrefix(text)
		if err != nil {
			return "", "", err
		}
		name, err = strconv.Unquote(quoted)
		return name, strings.TrimPrefix(text[len(quoted):], " "), err
	}
	name, rest, _ = strings.Cut(text, " ")
	if name == "" {
		return "", "", errors.New("a name is missing")
	}
	return name, rest, nil
}

// directory is "dir make NAME" or "dir is NAME".
func (r *runner) directory(s step) error {
	what, arg, _ := strings.Cut(s.rest, " ")
	name, _, err := nameAndRest(arg)
	if err != nil {
		return err
	}
	r.say("%s", s.text)
	switch what {
	case "make":
		if err := r.s.fsys.Mkdir(r.t.Context(), name); err != nil {
			return err
		}
		return r.s.own(name)
	case "is":
		info, err := r.s.fsys.Stat(r.t.Context(), name)
		if err != nil {
			return err
		}
		if !info.IsDir() {
			return errors.New("it is no directory")
		}
		return nil
	}
	return errors.New("write: dir make or dir is")
}

// link is "link NAME TARGET", a symbolic link.
func (r *runner) link(s step) error {
	names, err := words(s.rest)
	if err != nil || len(names) != 2 {
		return errors.New("write: link NAME TARGET")
	}
	r.say("%s", s.text)
	if err := vfs.Symlink(r.t.Context(), r.s.fsys, names[1], names[0]); err != nil {
		return err
	}
	return r.s.own(names[0])
}

// foreign is "foreign NAME STRING [at OFFSET]" or "foreign NAME -> TARGET".
func (r *runner) foreign(s step) error {
	name, rest, err := nameAndRest(s.rest)
	if err != nil {
		return err
	}
	r.say("%s", s.text)
	if target, ok := strings.CutPrefix(rest, "-> "); ok {
		if err := r.s.foreignLink(name, target); err != nil {
			return err
		}
		return r.s.own(name)
	}
	rest, at, holed := strings.Cut(rest, " at ")
	content, err := literal(rest)
	if err != nil {
		return err
	}
	var offset int64
	if holed {
		if offset, err = strconv.ParseInt(at, 10, 64); err != nil {
			return err
		}
	}
	if err := r.s.foreign(name, content, offset); err != nil {
		return err
	}
	return r.s.own(name)
}

// fault is "fault OPERATION NAME ERROR"; the error "none" takes it away.
func (r *runner) fault(s step) error {
	args, err := words(s.rest)
	if err != nil || len(args) != 3 {
		return errors.New("write: fault OPERATION NAME ERROR")
	}
	ops := []vfs.Op{
		vfs.OpStat, vfs.OpList, vfs.OpRead, vfs.OpWrite, vfs.OpAppend, vfs.OpRemove, vfs.OpRmdir, vfs.OpMkdir, vfs.OpRename,
	}
	if !slices.Contains(ops, vfs.Op(args[0])) {
		return fmt.Errorf("the operations are %q", ops)
	}
	fault, ok := map[string]error{
		"none": nil, "exist": fs.ErrExist, "permission": fs.ErrPermission, "busy": vfs.ErrBusy, "nospace": vfs.ErrNoSpace, "quota": vfs.ErrQuota,
		"toolarge": vfs.ErrTooLarge, "offline": vfs.ErrOffline, "unsupported": errors.ErrUnsupported,
		"broken": errors.New("the secret path /srv/disk7 is on fire"),
	}[args[2]]
	if !ok {
		return fmt.Errorf("there is no error %q", args[2])
	}
	r.say("%s", s.text)
	r.s.setFault(vfs.Op(args[0]), args[1], fault)
	return nil
}

// wait is "wait data", "wait rest" or "wait sessions N".
func (r *runner) wait(s step) error {
	r.say("%s", s.text)
	what, arg, _ := strings.Cut(s.rest, " ")
	switch what {
	case "data":
		if r.now == nil || r.now.rawData == nil {
			return errors.New("there is no data connection")
		}
		return r.s.net.drained(r.now.rawData)
	case "rest":
		if !r.s.net.rest() {
			return errors.New("nobody can tell: only virtual because …")
		}
		return nil
	case "sessions":
		n, err := strconv.Atoi(arg)
		if err != nil {
			return err
		}
		timer := time.AfterFunc(r.s.net.patience(), r.s.giveUp)
		defer timer.Stop()
		if r.s.codes != nil {
			return waitConns(r.s.addr, n, r.s.net.patience())
		}
		return r.s.waitSessions(n)
	}
	return errors.New("write: wait data, wait rest or wait sessions N")
}
