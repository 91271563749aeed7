package vfstest

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"strconv"
	"strings"

	"github.com/ftpgate/ftpgate/vfs"
)

// op is one operation of the model; its text is the verb and its fields.
type op struct {
	verb  string
	a, b  string // names
	owner string
	at    int64 // offset
	size  int   // of the content, with its seed
	seed  uint64
}

// opFields are the fields of each verb in the order in which they are written:
// a, b names, o owner, @ offset, n size, s seed.
var opFields = map[string]string{
	"mkdir": "a", "rmdir": "a", "remove": "a", "list": "a",
	"put": "ans", "putnew": "ans", "append": "ans", "writeat": "a@ns", "abort": "ans",
	"rename": "ab", "renamenew": "ab", "copy": "ab", "copynew": "ab", "read": "a@n",
	"park": "aons", "resume": "aons", "discard": "ao",
}

// verbs are all verbs; writing is more frequent than removing.
var verbs = []string{
	"mkdir", "mkdir", "mkdir", "put", "put", "put", "putnew", "append", "append", "writeat", "writeat", "abort",
	"rename", "rename", "renamenew", "copy", "copynew", "read", "list", "remove", "rmdir", "park", "discard",
}

func (o op) get(field rune) string {
	switch field {
	case 'a':
		return o.a
	case 'b':
		return o.b
	case 'o':
		return o.owner
	case '@':
		return strconv.FormatInt(o.at, 10)
	case 'n':
		return strconv.Itoa(o.size)
	}
	return strconv.FormatUint(o.seed, 10)
}

func (o *op) set(field rune, text string) (err error) {
	switch field {
	case 'a':
		o.a = text
	case 'b':
		o.b = text
	case 'o':
		o.owner = text
	case '@':
		o.at, err = strconv.ParseInt(text, 10, 64)
	case 'n':
		o.size, err = strconv.Atoi(text)
	default:
		o.seed, err = strconv.ParseUint(text, 10, 64)
	}
	return err
}

func (o op) String() string {
	words := []string{o.verb}
	for _, f := range opFields[o.verb] {
		words = append(words, o.get(f))
	}
	return strings.Join(words, " ")
}

func parseOps(text string) ([]op, error) {
	var ops []op
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		fields, ok := opFields[words[0]]
		if !ok || len(words) != 1+len(fields) {
			return nil, fmt.Errorf("line %d: %q is no operation", i+1, line)
		}
		o := op{verb: words[0]}
		for j, f := range fields {
			if err := o.set(f, words[j+1]); err != nil {
				return nil, fmt.Errorf("line %d: %w", i+1, err)
			}
		}
		ops = append(ops, o)
	}
	return ops, nil
}

// do does o on the store. before is what arrived of an upload that is resumed.
func (m *modelRun) do(o op, before []byte) error {
	data := content(o.seed, o.size)
	switch o.verb {
	case "mkdir":
		return m.fs.Mkdir(m.ctx, o.a)
	case "rmdir":
		return m.fs.Rmdir(m.ctx, o.a)
	case "remove":
		return m.fs.Remove(m.ctx, o.a)
	case "put", "putnew":
		return m.write(o.a, data, vfs.CreateOptions{NoReplace: o.verb == "putnew"})
	case "append":
		return m.write(o.a, data, vfs.CreateOptions{Mode: vfs.Append})
	case "writeat":
		return m.write(o.a, data, vfs.CreateOptions{Mode: vfs.WriteAt, Offset: o.at})
	case "abort":
		w, err := m.fs.Create(m.ctx, o.a, vfs.CreateOptions{})
		if err != nil {
			return err
		}
		if _, err := w.Write(data); err != nil {
			return err
		}
		return w.Abort()
	case "rename", "renamenew":
		return m.fs.Rename(m.ctx, o.a, o.b, vfs.RenameOptions{NoReplace: o.verb == "renamenew"})
	case "copy", "copynew":
		return vfs.ServerCopy(m.ctx, m.fs, o.a, o.b, vfs.CopyOptions{NoReplace: o.verb == "copynew"})
	case "read":
		return m.doRead(o)
	case "list":
		for _, err := range m.fs.ReadDir(m.ctx, o.a, "") {
			if err != nil {
				return err
			}
		}
		return nil
	case "park":
		w, err := m.fs.Create(m.ctx, o.a, vfs.CreateOptions{Owner: o.owner})
		if err != nil {
			return err
		}
		if _, err := w.Write(data); err != nil {
			return err
		}
		return w.Park()
	case "resume":
		return m.doResume(o, before)
	case "discard":
		return vfs.Discard(m.ctx, m.fs, o.a, o.owner)
	}
	return fmt.Errorf("no such verb %q", o.verb)
}

func (m *modelRun) doRead(o op) error {
	got, err := m.read(o.a, o.at, int64(o.size))
	if err != nil {
		return err
	}
	want := m.want[o.a][o.at:]
	if d := difference(got, want[:min(o.size, len(want))]); d != "" {
		return errors.New(d)
	}
	return nil
}

// doResume continues at the size told and commits.
func (m *modelRun) doResume(o op, before []byte) error {
	info, err := vfs.StatStaged(m.ctx, m.fs, o.a, o.owner)
	if err != nil {
		return err
	}
	if info.Size() >= int64(len(before)) {
		return fmt.Errorf("%d is told of %d bytes", info.Size(), len(before))
	}
	w, err := m.fs.Create(m.ctx, o.a, vfs.CreateOptions{Mode: vfs.WriteAt, Offset: info.Size(), Owner: o.owner})
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := w.Write(cat(before[info.Size():], content(o.seed, o.size))); err != nil {
		return err
	}
	return w.Commit()
}

type kind uint8

const (
	missing kind = iota
	file
	directory
)

func (m *modelRun) kind(name string) kind {
	data, ok := m.want[name]
	switch {
	case name == "." || ok && data == nil:
		return directory
	case ok:
		return file
	}
	return missing
}

// belowFile reports whether a file stands where name needs a directory, or is
// name.
func (m *modelRun) belowFile(name string) bool {
	for ; name != "."; name, _ = vfs.Split(name) {
		if m.kind(name) == file {
			return true
		}
	}
	return false
}

// errOffset stands for any *vfs.OffsetError.
var errOffset = errors.New("an *OffsetError")

// lookup is what is wrong with name as something that exists.
func (m *modelRun) lookup(name string) []error {
	dir, _ := vfs.Split(name)
	switch {
	case m.kind(name) != missing:
		return nil
	case m.belowFile(dir):
		return []error{fs.ErrNotExist, vfs.ErrNotDir}
	}
	return []error{fs.ErrNotExist}
}

// place is what is wrong with the parent of something that is made.
func (m *modelRun) place(name string) []error {
	dir, _ := vfs.Split(name)
	switch {
	case name == "." || m.kind(dir) == directory:
		return nil
	case m.kind(dir) == file:
		return []error{vfs.ErrNotDir}
	case m.belowFile(dir):
		return []error{vfs.ErrNotDir, fs.ErrNotExist}
	}
	return []error{fs.ErrNotExist}
}

// expect returns everything that is wrong with o, so that it has to fail with one
// of these; nothing means that it has to succeed.
func (m *modelRun) expect(o op) []error {
	var bad []error
	add := func(when bool, kinds ...error) {
		if when {
			bad = append(bad, kinds...)
		}
	}
	a, b := m.kind(o.a), m.kind(o.b)
	switch o.verb {
	case "mkdir":
		add(a != missing, fs.ErrExist)
		add(true, m.place(o.a)...)
	case "rmdir":
		add(true, m.lookup(o.a)...)
		add(a == file, vfs.ErrNotDir)
		add(a == directory && m.hasEntries(o.a), vfs.ErrNotEmpty)
	case "remove":
		add(true, m.lookup(o.a)...)
		add(a == directory, vfs.ErrIsDir)
	case "list":
		add(true, m.lookup(o.a)...)
		add(a == file, vfs.ErrNotDir)
	case "read":
		add(true, m.lookup(o.a)...)
		add(a == directory, vfs.ErrIsDir)
		add(a == file && o.at > int64(len(m.want[o.a])), errOffset)
	case "put", "abort", "park", "resume", "putnew":
		add(a == directory, vfs.ErrIsDir)
		add(true, m.place(o.a)...)
		add(o.verb == "putnew" && a != missing, fs.ErrExist)
	case "append", "writeat":
		add(a == directory, vfs.ErrIsDir)
		add(true, m.place(o.a)...)
		add(o.verb == "append" && a == file && !m.caps.Has(vfs.CanAppend), errors.ErrUnsupported)
		if o.verb == "writeat" && o.at > 0 {
			add(o.at > int64(len(m.want[o.a])), errOffset)
			add(!m.caps.Has(vfs.CanWriteAt), errors.ErrUnsupported)
		}
	case "discard":
		_, parked := m.staged[[2]string{o.a, o.owner}]
		add(!parked, fs.ErrNotExist)
	case "rename", "renamenew":
		return m.expectRename(o, a, b)
	case "copy", "copynew":
		add(true, m.lookup(o.a)...)
		add(true, m.place(o.b)...)
		add(a == directory, vfs.ErrIsDir)
		add(b == directory, vfs.ErrIsDir, fs.ErrExist)
		add(o.verb == "copynew" && b == file, fs.ErrExist)
		add(!m.caps.Has(vfs.CanCopy), errors.ErrUnsupported)
	}
	return bad
}

func (m *modelRun) expectRename(o op, a, b kind) []error {
	bad := m.lookup(o.a)
	if o.a == o.b {
		return bad
	}
	bad = append(bad, m.place(o.b)...)
	if b != missing && (o.verb == "renamenew" || a == directory || b == directory) {
		bad = append(bad, fs.ErrExist)
	}
	if a != missing && vfs.Within(o.b, o.a) {
		bad = append(bad, fs.ErrInvalid)
	}
	if a == directory && !m.caps.Has(vfs.CanRenameDir) {
		bad = append(bad, errors.ErrUnsupported)
	}
	return bad
}

func (m *modelRun) hasEntries(dir string) bool {
	for name := range m.want {
		if name != dir && vfs.Within(name, dir) {
			return true
		}
	}
	return false
}

// apply does o, which succeeded, on the map.
func (m *modelRun) apply(o op) {
	data := content(o.seed, o.size)
	if data == nil {
		data = []byte{}
	}
	switch old := m.want[o.a]; o.verb {
	case "mkdir":
		m.want[o.a] = nil
		m.forget(o.a)
	case "rmdir":
		delete(m.want, o.a)
		m.forget(o.a)
	case "remove":
		delete(m.want, o.a)
	case "put", "putnew":
		m.want[o.a] = data
	case "append":
		m.want[o.a] = cat(old, data)
	case "writeat":
		m.want[o.a] = cat(old[:o.at], data)
	case "rename", "renamenew":
		m.applyRename(o.a, o.b)
	case "copy", "copynew":
		m.want[o.b] = m.want[o.a]
	case "park":
		key := [2]string{o.a, o.owner}
		delete(m.unknown, key)
		if delete(m.staged, key); o.size > 0 {
			m.staged[key] = data
		}
	case "resume":
		key := [2]string{o.a, o.owner}
		m.want[o.a] = cat(m.staged[key], data)
		delete(m.staged, key)
	case "discard":
		delete(m.staged, [2]string{o.a, o.owner})
	}
}

func (m *modelRun) applyRename(from, to string) {
	if from == to {
		return
	}
	if m.want[from] == nil {
		for _, keys := range []iter.Seq[[2]string]{maps.Keys(m.staged), maps.Keys(maps.Clone(m.unknown))} {
			for key := range keys { // they may have moved along
				if vfs.Within(key[0], from) {
					m.unknown[[2]string{to + key[0][len(from):], key[1]}] = true
				}
			}
		}
		m.forget(from)
		m.forget(to)
	}
	moved := tree{}
	for name, data := range m.want {
		if vfs.Within(name, from) {
			moved[to+name[len(from):]] = data
			delete(m.want, name)
		}
	}
	for name, data := range moved {
		m.want[name] = data
	}
}

// forget takes the staged uploads at and below name out of the model: what
// becomes of them when a directory is moved or made there, the contract leaves
// open.
func (m *modelRun) forget(name string) {
	for key := range m.staged {
		if vfs.Within(key[0], name) {
			delete(m.staged, key)
			m.unknown[key] = true
		}
	}
}
