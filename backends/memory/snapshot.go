package memory

import "github.com/ftpgate/ftpgate/vfs"

// Snapshot returns a store of its own, under the same limits, with everything that f
// holds now, parked uploads included and running ones not: neither sees what is
// changed in the other later. It costs memory for the tree, but not for the content
// of the files, which both share. Tests lay out a tree once and give each case a
// snapshot of it, or compare a store with how it was before. A snapshot of a Sub has
// that directory for its root; links that lead out of it dangle.
//
// The error is a *fs.PathError: the directory of a Sub may be gone.
func (f *FS) Snapshot() (*FS, error) {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	f.s.sweep()
	root, err := f.existing(".")
	if err != nil {
		return nil, vfs.PathError("snapshot", ".", err)
	}
	s := &store{opt: f.s.opt, live: map[upload]bool{}, lastID: f.s.lastID, lastSeq: f.s.lastSeq}
	nodes := map[*node]*node{}
	s.root = s.adopt(f, root, nodes)
	s.root.parent = nil
	for e := f.s.parked.Front(); e != nil; e = e.Next() { // the oldest first
		if st := e.Value.(*staged); nodes[st.dir] != nil {
			s.park(st, nodes[st.dir])
		}
	}
	return &FS{s: s, prefix: "."}, nil
}

// adopt returns a copy of n, which is of f's store, with all below it, and notes the
// copies of directories in nodes.
func (s *store) adopt(f *FS, n *node, nodes map[*node]*node) *node {
	c := &node{mode: n.mode, modTime: n.modTime, attr: n.attr, content: n.content}
	if n.isLink() {
		own := *n.attr
		own.Target = f.own(n.attr.Target)
		c.attr = &own
	}
	s.bytes.Add(n.content.size)
	if !n.isDir() {
		return c
	}
	nodes[n] = c
	c.entries = make(map[string]*entry, len(n.entries))
	c.order = make([]*entry, 0, len(n.entries))
	for _, e := range n.order {
		if e.node == nil {
			continue
		}
		child := &entry{seq: e.seq, name: e.name, node: s.adopt(f, e.node, nodes)}
		if child.node.isDir() {
			child.node.parent = c
		}
		c.entries[e.name] = child
		c.order = append(c.order, child)
		s.files++
	}
	return c
}

// park adds a copy of a staged upload to dir.
func (s *store) park(st *staged, dir *node) {
	c := *st
	c.dir = dir
	c.element = s.parked.PushBack(&c)
	if dir.staged == nil {
		dir.staged = map[claim]*staged{}
	}
	dir.staged[c.claim] = &c
	s.files++
	s.bytes.Add(c.charged())
}
