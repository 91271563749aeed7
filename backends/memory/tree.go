package memory

import (
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ftpgate/ftpgate/vfs"
)

// node is a file, a directory or a link. All of it is guarded by store.mu. What attr
// points to never changes, because infos have it too.
type node struct {
	mode    fs.FileMode
	modTime time.Time
	attr    *vfs.Attr // Target is a name of the whole store

	content content // of a file

	// Of a directory.
	parent  *node // nil for the root
	dead    bool  // removed
	entries map[string]*entry
	order   []*entry // by seq; removed ones are left as gaps until there are many
	gaps    int
	staged  map[claim]*staged
}

// entry is a name in a directory. node is nil once it is removed.
type entry struct {
	seq  uint64
	name string
	node *node
}

func (s *store) newNode(mode fs.FileMode, target string) *node {
	s.lastID++
	now := time.Now()
	n := &node{mode: mode, modTime: now, attr: &vfs.Attr{
		Unique: strconv.FormatUint(s.lastID, 36), Created: now, Target: target,
	}}
	if n.isDir() {
		n.entries = map[string]*entry{}
	}
	return n
}

func (n *node) isDir() bool  { return n.mode.IsDir() }
func (n *node) isLink() bool { return n.mode&fs.ModeSymlink != 0 }

// within reports whether the directory n is dir or below it.
func (n *node) within(dir *node) bool {
	for ; n != nil; n = n.parent {
		if n == dir {
			return true
		}
	}
	return false
}

func (n *node) size() int64 {
	switch {
	case n.isLink():
		return int64(len(n.attr.Target))
	case n.isDir():
		return 0
	}
	return n.content.size
}

// place is where a name leads: an entry of dir, with its node or free. The root
// has no dir.
type place struct {
	dir  *node
	base string
	node *node
}

// maxLinks is how many links a name may lead through.
const maxLinks = 40

// find returns where name leads; follow says whether a link as its last element
// is followed. The caller holds the lock.
func (f *FS) find(name string, follow bool) (place, error) {
	root := f.s.root
	if f.outer != nil {
		p, err := f.outer.find(f.dir, true)
		if err != nil {
			return place{}, err
		}
		if p.node == nil {
			return place{}, fs.ErrNotExist
		}
		if root = p.node; !root.isDir() {
			return place{}, vfs.ErrNotDir
		}
	}
	links := 0
	return f.s.walk(root, root, name, follow, &links)
}

// walk goes from at along name. Links may not lead out of top.
func (s *store) walk(top, at *node, name string, follow bool, links *int) (place, error) {
	if name == "." {
		return place{node: at}, nil
	}
	for {
		elem, rest, more := strings.Cut(name, "/")
		p := place{dir: at, base: elem}
		if e := at.entries[elem]; e != nil {
			p.node = e.node
		}
		if p.node != nil && p.node.isLink() && (more || follow) {
			if *links++; *links > maxLinks {
				return place{}, fs.ErrNotExist
			}
			var err error
			if p, err = s.walk(s.root, s.root, p.node.attr.Target, true, links); err != nil {
				return place{}, err
			}
			if p.dir != nil && !p.dir.within(top) && p.node != top || p.dir == nil && p.node != top {
				return place{}, fs.ErrPermission
			}
			if p.node == top {
				p.dir = nil // no way to see the parent of the top
			}
		}
		switch {
		case !more:
			return p, nil
		case p.node == nil:
			return place{}, fs.ErrNotExist
		case !p.node.isDir():
			return place{}, vfs.ErrNotDir
		}
		at, name = p.node, rest
	}
}

// existing returns the node of name, with links followed.
func (f *FS) existing(name string) (*node, error) {
	p, err := f.find(name, true)
	if err == nil && p.node == nil {
		err = fs.ErrNotExist
	}
	return p.node, err
}

// info describes n under the last element of name.
func (f *FS) info(name string, n *node) vfs.Info {
	_, base := vfs.Split(name)
	attr := n.attr
	if n.isLink() && f.outer != nil {
		own := *attr
		own.Target = f.own(attr.Target)
		attr = &own
	}
	return vfs.NewInfo(base, n.size(), n.mode, n.modTime, attr)
}

// own returns the name in f of what has this name in the whole store; empty: it has
// none.
func (f *FS) own(name string) string {
	switch {
	case f.outer == nil:
		return name
	case !vfs.Within(name, f.prefix):
		return ""
	case name == f.prefix:
		return "."
	}
	return strings.TrimPrefix(name, f.prefix+"/")
}

// nextEntries appends to infos what comes behind the entry seq of dir, until it is
// full or a batch was looked at. It returns where it stopped and whether there may
// be more.
func (f *FS) nextEntries(infos []vfs.Info, dir *node, prefix string, seq uint64) ([]vfs.Info, uint64, bool) {
	i, _ := slices.BinarySearchFunc(dir.order, seq+1, func(e *entry, seq uint64) int {
		switch {
		case e.seq < seq:
			return -1
		case e.seq > seq:
			return 1
		}
		return 0
	})
	rest := dir.order[i:]
	rest = rest[:min(len(rest), cap(infos))]
	for _, e := range rest {
		if seq = e.seq; e.node != nil && strings.HasPrefix(e.name, prefix) {
			infos = append(infos, f.info(e.name, e.node))
		}
	}
	return infos, seq, len(rest) == cap(infos)
}

// make adds an empty node at name.
func (f *FS) make(name string, mode fs.FileMode, target string) (*node, error) {
	p, err := f.find(name, false)
	if err != nil {
		return nil, err
	}
	if p.node != nil {
		return nil, fs.ErrExist
	}
	if err := f.s.hasInode(); err != nil {
		return nil, err
	}
	n := f.s.newNode(mode, target)
	f.s.files++
	f.s.link(p, n)
	return n, nil
}

// hasInode is ErrNoSpace when the store may hold no more nodes.
func (s *store) hasInode() error {
	if s.opt.MaxFiles > 0 && s.files >= s.opt.MaxFiles {
		return vfs.ErrNoSpace
	}
	return nil
}

// put makes p a file with the content c, of which charged bytes are charged
// already. It fails without a trace.
func (s *store) put(p place, c content, charged int64, noReplace bool) error {
	switch {
	case p.dir != nil && p.dir.dead:
		return fs.ErrNotExist
	case p.node != nil && p.node.isDir():
		return vfs.ErrIsDir
	case p.node != nil && (noReplace || p.node.isLink()):
		return fs.ErrExist
	}
	var old int64
	if p.node != nil {
		old = p.node.content.size
	} else if err := s.hasInode(); err != nil {
		return err
	}
	if !s.charge(c.size - charged - old) {
		return vfs.ErrNoSpace
	}
	if p.node == nil {
		p.node = s.newNode(0o644, "")
		s.files++
		s.link(p, p.node)
	}
	p.node.content, p.node.modTime = c, time.Now()
	return nil
}

// link adds the entry p, which is free.
func (s *store) link(p place, n *node) {
	s.lastSeq++
	e := &entry{seq: s.lastSeq, name: p.base, node: n}
	p.dir.entries[p.base] = e
	p.dir.order = append(p.dir.order, e)
	p.dir.modTime = time.Now()
	if n.isDir() {
		n.parent = p.dir
	}
}

// unlink takes the entry p away, and not its node.
func (s *store) unlink(p place) {
	d := p.dir
	d.entries[p.base].node = nil
	delete(d.entries, p.base)
	d.modTime = time.Now()
	if d.gaps++; d.gaps > 64 && d.gaps > len(d.order)/2 {
		d.order = slices.DeleteFunc(d.order, func(e *entry) bool { return e.node == nil })
		d.gaps = 0
	}
}

// remove takes away the entry p with its node, and drops the uploads staged in it.
func (s *store) remove(p place) {
	s.unlink(p)
	s.files--
	s.charge(-p.node.content.size)
	p.node.dead = true
	for claim := range p.node.staged {
		s.drop(p.node, claim)
	}
}

// move takes the entry from to the place to, where a file may stand.
func (s *store) move(from, to place) {
	if to.node != nil {
		s.remove(to)
	}
	s.unlink(from)
	s.link(to, from.node)
}
