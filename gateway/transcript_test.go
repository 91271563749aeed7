package gateway_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"
)

// TestTranscripts runs every dialogue of testdata/wire against a server, over every
// store and network that it applies to.
func TestTranscripts(t *testing.T) {
	all := transcripts(t)
	for _, v := range variants() {
		t.Run(v.name, func(t *testing.T) {
			for _, tr := range all {
				t.Run(strings.TrimSuffix(tr.file, ".ftp"), func(t *testing.T) {
					if v.virtual {
						synctest.Test(t, func(t *testing.T) { runTranscript(t, v, tr) })
					} else {
						runTranscript(t, v, tr)
					}
				})
			}
		})
	}
	goleak.VerifyNone(t)
}

func runTranscript(t *testing.T, v variant, tr *transcript) {
	fsys, dir := v.open(t)
	why, err := tr.applies(v, fsys.Caps())
	if err != nil {
		t.Fatal(err)
	}
	if why != "" {
		t.Skip(why)
	}
	s, err := serve(t, v, tr, fsys, dir)
	if err != nil {
		t.Fatal(err)
	}
	r := &runner{t: t, s: s, caught: captures{}, talks: map[string]*talk{}}
	defer r.closeAll()
	err = r.run(tr)
	broken := tr.setting("broken")
	switch {
	case len(broken) == 0 && err != nil:
		t.Error(err)
	case len(broken) > 0 && err == nil:
		t.Errorf("%s: this works now: take the line away", broken[0].at)
	case len(broken) > 0:
		t.Logf("known to be broken, %s:\n%v", broken[0].rest, err)
	}
}

// runner plays the client of a transcript.
type runner struct {
	t      *testing.T
	s      *served
	caught captures
	talks  map[string]*talk // by the number that "control" gives
	now    *talk
	said   []string // the dialogue so far
}

// stepError says what went wrong where.
type stepError struct {
	step step
	err  error
	said []string
}

func (e *stepError) Error() string {
	return fmt.Sprintf("%s: %s\n%v\n\nThe dialogue so far:\n%s", e.step.at, e.step.text, e.err, strings.Join(e.said, "\n"))
}

func (r *runner) run(tr *transcript) error {
	for _, s := range tr.steps {
		if err := r.step(s); err != nil {
			return &stepError{s, err, r.said}
		}
	}
	if err := r.finish(); err != nil {
		end := step{at: tr.file, text: "the end"}
		return &stepError{end, err, r.said}
	}
	return nil
}

func (r *runner) say(format string, args ...any) {
	r.said = append(r.said, "\t"+fmt.Sprintf(format, args...))
}

// step runs one step. What begins with '<' or '>' belongs to the control
// connection.
func (r *runner) step(s step) error {
	do, ok := directives()[s.verb]
	if !ok {
		return errors.New("there is no such step")
	}
	if len(s.block) > 0 && s.verb != "data" {
		return errors.New("nothing may be indented below this step")
	}
	return do(r, s)
}

// directives are the steps by their first word; README.md explains them.
func directives() map[string]func(*runner, step) error {
	return map[string]func(*runner, step) error{
		">":       (*runner).sendLine,
		">.":      (*runner).sendSlowly,
		">>":      (*runner).sendRaw,
		">!":      (*runner).sendUrgent,
		"<":       (*runner).expectLine,
		"<*":      (*runner).expectReply,
		"nothing": (*runner).expectNothing,
		"login":   (*runner).login,
		"control": (*runner).control,
		"data":    (*runner).data,
		"file":    (*runner).file,
		"dir":     (*runner).directory,
		"link":    (*runner).link,
		"foreign": (*runner).foreign,
		"fault":   (*runner).fault,
		"wait":    (*runner).wait,
	}
}

// finish ends what is still open: a server that has something left to say then has
// said too much.
func (r *runner) finish() error {
	for _, name := range sortedKeys(r.talks) {
		c := r.talks[name]
		if c.conn == nil {
			continue
		}
		r.now = c
		r.closeData(c)
		if err := closeWrite(c.conn); err != nil {
			return fmt.Errorf("control %s: %w", name, err)
		}
		line, err := r.readLine(c)
		if err == nil && !r.goodbye(line) {
			return fmt.Errorf("control %s: the transcript ends, but the server goes on with %q", name, show(line))
		}
	}
	return nil
}

func (r *runner) closeAll() {
	for _, c := range r.talks {
		r.closeData(c)
		c.stopListening()
		if c.conn != nil {
			c.conn.Close()
		}
	}
}
