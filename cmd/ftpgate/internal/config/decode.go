package config

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/ftpgate/ftpgate/auth"
)

// position is where a value stands in its file; the zero value is nowhere.
type position struct {
	file         string
	line, column int
}

// locate notes where the value begins.
func (p *position) locate(at position) { *p = at }

// located is a section or value that knows its place, for errors that come later: it embeds
// a position.
type located interface{ locate(position) }

// wrap makes err an error of this place.
func (p position) wrap(err error) error {
	if p.line == 0 {
		return err
	}
	return &auth.FileError{File: p.file, Line: p.line, Column: p.column, Err: err}
}

// decode reads YAML into the struct that v points to. What the text does not say
// stays as it is. Every error is an *auth.FileError of one line.
func decode(file string, data []byte, v any) error {
	d := &decoder{file: file, anchors: map[string]ast.Node{}}
	if len(data) > maxSize {
		return position{file, 1, 1}.wrap(fmt.Errorf("the file has more than %d MiB; is it a configuration at all?", maxSize>>20))
	}
	tree, err := parser.ParseBytes(bytes.TrimPrefix(data, []byte("\ufeff")), 0)
	if err != nil {
		return d.syntax(err)
	}
	documents := 0
	for _, doc := range tree.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.NullType || doc.Body.Type() == ast.CommentType {
			continue
		}
		if documents++; documents > 1 {
			return d.fail(doc.Body, errors.New("a second document begins; write one only"))
		}
		if err := d.value(doc.Body, reflect.ValueOf(v).Elem(), ""); err != nil {
			return err
		}
	}
	return nil
}

// maxSize bounds a configuration file, in bytes.
const maxSize = 1 << 20

type decoder struct {
	file    string
	anchors map[string]ast.Node
}

// syntax is an error of the YAML parser on one line.
func (d *decoder) syntax(err error) error {
	var ye yaml.Error
	if !errors.As(err, &ye) || ye.GetToken() == nil {
		return position{d.file, 1, 1}.wrap(errors.New(firstLine(err.Error())))
	}
	message := firstLine(strings.ReplaceAll(ye.GetMessage(), "\t", `\t`))
	switch {
	case strings.Contains(message, `'\t'`):
		message += "; indent with spaces"
	case strings.Contains(message, "mapping value is not allowed"):
		message += "; put a value that has a colon into quotes"
	}
	return d.at(ye.GetToken()).wrap(errors.New(message))
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return s
}

func (d *decoder) at(tk *token.Token) position {
	if tk == nil || tk.Position == nil {
		return position{d.file, 1, 1}
	}
	return position{d.file, max(1, tk.Position.Line), max(1, tk.Position.Column)}
}

func (d *decoder) fail(n ast.Node, err error) error { return d.at(start(n)).wrap(err) }

// start is the first token of n. Block mappings are named by their first colon.
func start(n ast.Node) *token.Token {
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		return m.Values[0].Key.GetToken()
	}
	if m, ok := n.(*ast.MappingValueNode); ok {
		return m.Key.GetToken()
	}
	return n.GetToken()
}

// resolve follows anchors and aliases.
func (d *decoder) resolve(n ast.Node) (ast.Node, error) {
	for {
		switch x := n.(type) {
		case *ast.AnchorNode:
			d.anchors[x.Name.GetToken().Value] = x.Value
			n = x.Value
		case *ast.AliasNode:
			target := d.anchors[x.Value.GetToken().Value]
			if target == nil || target == n {
				return nil, d.fail(n, fmt.Errorf("the anchor &%s is not above", x.Value.GetToken().Value))
			}
			n = target
		case *ast.TagNode:
			return nil, d.fail(n, fmt.Errorf("tags such as %s are not used here; delete it", x.Start.Value))
		default:
			return n, nil
		}
	}
}

// value reads n into v; path is the key, for errors.
func (d *decoder) value(n ast.Node, v reflect.Value, path string) error {
	n, err := d.resolve(n)
	if err != nil {
		return err
	}
	if x, ok := v.Addr().Interface().(located); ok {
		x.locate(d.at(start(n)))
	}
	if text, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		s, err := d.scalar(n, path)
		if err != nil {
			return err
		}
		if err := text.UnmarshalText([]byte(s)); err != nil {
			return d.fail(n, fmt.Errorf("%s: %w", path, err))
		}
		return nil
	}
	if pairs, ok := v.Addr().Interface().(*Pairs); ok {
		return d.pairs(n, pairs, path)
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		if v.Elem().Kind() == reflect.Struct {
			setDefaults(v.Elem())
		}
		return d.value(n, v.Elem(), path)
	case reflect.Bool:
		b, ok := n.(*ast.BoolNode)
		if !ok {
			return d.fail(n, fmt.Errorf("%s: write true or false", path))
		}
		v.SetBool(b.Value)
		return nil
	case reflect.String:
		s, err := d.scalar(n, path)
		v.SetString(s)
		return err
	case reflect.Slice:
		return d.list(n, v, path)
	case reflect.Struct:
		return d.mapping(n, v, path)
	}
	panic(fmt.Sprintf("config: no way to read a %s", v.Type()))
}

// scalar is the text of n as it was written, so that a password 0123 stays one.
func (d *decoder) scalar(n ast.Node, path string) (string, error) {
	switch x := n.(type) {
	case *ast.StringNode:
		return x.Value, nil
	case *ast.LiteralNode:
		return x.Value.Value, nil
	case *ast.NullNode:
		return "", d.fail(n, fmt.Errorf("%s has no value; write one, or delete the line", path))
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, nil
	}
	return "", d.fail(n, fmt.Errorf("%s: one value is wanted here, not a list or keys", path))
}

// list reads n, or the only item of a list.
func (d *decoder) list(n ast.Node, v reflect.Value, path string) error {
	items := []ast.Node{n}
	switch x := n.(type) {
	case *ast.SequenceNode:
		items = x.Values
	case *ast.NullNode:
		items = nil
	case *ast.MappingNode, *ast.MappingValueNode:
		return d.fail(n, fmt.Errorf("%s: a list is wanted here; begin each item with a dash", path))
	}
	list := reflect.MakeSlice(v.Type(), 0, len(items))
	for _, item := range items {
		e := reflect.New(v.Type().Elem()).Elem()
		if err := d.value(item, e, path); err != nil {
			return err
		}
		list = reflect.Append(list, e)
	}
	v.Set(list)
	return nil
}

// entries are the keys and values of n; ok is false if it is something else.
func entries(n ast.Node) (values []*ast.MappingValueNode, ok bool) {
	switch x := n.(type) {
	case *ast.MappingNode:
		return x.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{x}, true
	case *ast.NullNode:
		return nil, true
	}
	return nil, false
}

// pairs reads keys that are not known here.
func (d *decoder) pairs(n ast.Node, pairs *Pairs, path string) error {
	values, ok := entries(n)
	if !ok {
		return d.fail(n, fmt.Errorf("%s: keys with values are wanted here", path))
	}
	for _, m := range values {
		key, err := d.keyText(m)
		if err != nil {
			return err
		}
		node, err := d.resolve(m.Value)
		if err != nil {
			return err
		}
		value, err := d.scalar(node, join(path, key))
		if err != nil {
			return err
		}
		*pairs = append(*pairs, Pair{key, value, d.at(m.Key.GetToken()), d.at(start(node))})
	}
	return nil
}

func (d *decoder) mapping(n ast.Node, v reflect.Value, path string) error {
	values, ok := entries(n)
	if !ok {
		what := "keys are wanted here, such as " + keys(v.Type())[0] + ": …"
		if path != "" {
			what = path + ": " + what
		}
		return d.fail(n, errors.New(what))
	}
	seen := map[string]bool{}
	for _, m := range values {
		key, err := d.key(m, v.Type(), path)
		if err != nil {
			return err
		}
		if seen[key] {
			return d.fail(m.Key, fmt.Errorf("%s is given twice", join(path, key)))
		}
		seen[key] = true
		if err := d.value(m.Value, field(v, key), join(path, key)); err != nil {
			return err
		}
	}
	return nil
}

// key is the key of m, if t has it.
func (d *decoder) key(m *ast.MappingValueNode, t reflect.Type, path string) (string, error) {
	name, err := d.keyText(m)
	if err != nil {
		return "", err
	}
	known := keys(t)
	if slices.Contains(known, name) {
		return name, nil
	}
	hint := "known here are " + strings.Join(known, ", ")
	if near := nearest(name, known); near != "" {
		hint = "is it " + near + "?"
	}
	return "", d.fail(m.Key, fmt.Errorf("key %q is unknown; %s", join(path, name), hint))
}

func (d *decoder) keyText(m *ast.MappingValueNode) (string, error) {
	if m.Key.Type() == ast.MergeKeyType {
		return "", d.fail(m.Key, errors.New("merging keys with << is not supported; write them out"))
	}
	if s, ok := m.Key.(*ast.StringNode); ok {
		return s.Value, nil
	}
	return m.Key.GetToken().Value, nil
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// keys are the keys of struct type t in order.
func keys(t reflect.Type) []string {
	var out []string
	for i := range t.NumField() {
		if key := t.Field(i).Tag.Get("yaml"); key != "" {
			out = append(out, key)
		}
	}
	return out
}

// field is the field of struct v that key names.
func field(v reflect.Value, key string) reflect.Value {
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("yaml") == key {
			return v.Field(i)
		}
	}
	panic("config: no key " + key)
}

// nearest is the name that differs from s in at most two letters, or "".
func nearest(s string, names []string) string {
	best, at := "", 3
	for _, n := range names {
		if d := distance(s, n); d < at && d < len(n) {
			best, at = n, d
		}
	}
	return best
}

// distance is the number of letters to insert, delete or replace to make a of b.
func distance(a, b string) int {
	if max(len(a), len(b)) > 64 {
		return 64
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
