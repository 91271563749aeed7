package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/ftpgate/ftpgate/auth"
	"github.com/ftpgate/ftpgate/cmd/ftpgate/internal/config"
	"github.com/ftpgate/ftpgate/vfs"
)

// trees makes the file systems of those who log in.
type trees struct {
	*stores
	cfg *config.Config
}

// userTemplate stands for the name of the user.
const userTemplate = "{user}"

// openFixed opens the stores that are the same for all users, so that what is wrong
// with one is told at the start.
func (t *trees) openFixed(ctx context.Context) error {
	_, release, err := t.fixed(ctx, "url", t.cfg.URL)
	if err != nil {
		return err
	}
	release()
	for i := range t.cfg.Mounts {
		m := &t.cfg.Mounts[i]
		st, release, err := t.fixed(ctx, string(m.Path), m.URL)
		if err != nil {
			return fmt.Errorf("mounts: %s: %w", m.Path, err)
		}
		if st != nil && m.Limits() != (vfs.Limits{}) {
			_, err = t.account(st, ".", "")
		}
		release()
		if err != nil {
			return fmt.Errorf("mounts: %s: %w", m.Path, err)
		}
	}
	if t.cfg.Quota.Bytes > 0 || t.cfg.Quota.Files > 0 {
		_, err = t.ledger.dir()
	}
	return err
}

func (t *trees) fixed(ctx context.Context, place string, u config.URL) (*store, func(), error) {
	if strings.Contains(string(u), userTemplate) {
		return nil, func() {}, nil
	}
	return t.acquire(ctx, place, string(u), true)
}

// open is gateway.Config.Open: the tree of a principal is the one below its home, in
// its own store or the one of all, with the mounts.
func (t *trees) open(ctx context.Context, p *auth.Principal) (fsys vfs.FS, release func(), err error) {
	o := &opening{trees: t, p: p}
	defer func() {
		if err != nil {
			o.release()
		}
	}()
	home, err := fillIn(p.Home, p.Name)
	if err != nil {
		return nil, nil, fmt.Errorf("home %s: %w", p.Home, err)
	}
	if o.home = strings.Trim(home, "/"); o.home == "" {
		o.home = "."
	}
	if err := o.root(ctx); err != nil {
		return nil, nil, err
	}
	for i := range t.cfg.Mounts {
		if err := o.mount(ctx, &t.cfg.Mounts[i]); err != nil {
			return nil, nil, fmt.Errorf("mount %s: %w", t.cfg.Mounts[i].Path, err)
		}
	}
	if fsys, err = o.join(ctx); err != nil {
		return nil, nil, err
	}
	return fsys, o.release, nil
}

// opening is one login.
type opening struct {
	*trees
	p        *auth.Principal
	home     string // as a name of the vfs
	points   []point
	releases []func()
	sessions map[*store]vfs.FS
}

// session is the store as this login sees it: one view, in how many places it may be.
func (o *opening) session(st *store) vfs.FS {
	if o.sessions == nil {
		o.sessions = map[*store]vfs.FS{}
	}
	if o.sessions[st] == nil {
		o.sessions[st] = vfs.ForSession(st.fs)
	}
	return o.sessions[st]
}

// point is a store in its place.
type point struct {
	dir   string // in the whole tree
	store *store
	fs    vfs.FS
	mount *config.Mount // nil: the root
}

func (o *opening) release() {
	for i := len(o.releases) - 1; i >= 0; i-- {
		o.releases[i]()
	}
}

// root opens the store at the top.
func (o *opening) root(ctx context.Context) error {
	place, u := "url", o.cfg.URL
	if o.p.Store != "" {
		place, u = "url of "+o.p.Name, config.URL(o.p.Store)
	}
	st, err := o.store(ctx, place, u)
	if err != nil {
		return err
	}
	o.points = append(o.points, point{dir: ".", store: st, fs: o.session(st)})
	return nil
}

// store opens what u means for the user.
func (o *opening) store(ctx context.Context, place string, u config.URL) (*store, error) {
	real, err := fillURL(u, o.p.Name)
	if err != nil {
		return nil, err
	}
	if real != string(u) {
		place += " of " + o.p.Name
		if o.cfg.Stores.MakeHome {
			if err := makeRoot(u, real); err != nil {
				return nil, err
			}
		}
	}
	st, release, err := o.acquire(ctx, place, real, false)
	if err != nil {
		return nil, err
	}
	o.releases = append(o.releases, release)
	return st, nil
}

func (o *opening) mount(ctx context.Context, m *config.Mount) error {
	if !vfs.Within(m.Dir(), o.home) && !vfs.Within(o.home, m.Dir()) {
		return nil // out of the user's sight
	}
	st, err := o.store(ctx, string(m.Path), m.URL)
	if err != nil {
		return err
	}
	fsys := o.session(st)
	if l := m.Limits(); l != (vfs.Limits{}) {
		account, err := o.account(st, ".", "")
		if err != nil {
			return err
		}
		fsys = vfs.Quota(fsys, account, l)
	}
	o.points = append(o.points, point{m.Dir(), st, fsys, m})
	return nil
}

// join makes one tree of the points, with the home as its root.
func (o *opening) join(ctx context.Context) (vfs.FS, error) {
	base := 0
	for i, p := range o.points {
		if i > 0 && vfs.Within(o.home, p.dir) && (base == 0 || len(p.dir) > len(o.points[base].dir)) {
			base = i
		}
	}
	fsys, err := o.base(ctx, &o.points[base])
	if err != nil {
		return nil, err
	}
	list := []vfs.MountPoint{{Dir: ".", FS: o.rights(&o.points[base], fsys, ".")}}
	for i := range o.points {
		if p := &o.points[i]; p.dir != o.home && vfs.Within(p.dir, o.home) && p.dir != "." {
			dir := p.dir
			if o.home != "." {
				dir = p.dir[len(o.home)+1:]
			}
			list = append(list, vfs.MountPoint{Dir: dir, FS: o.rights(p, p.fs, dir)})
		}
	}
	tree := list[0].FS
	if len(list) > 1 {
		if tree, err = vfs.Mount(list, vfs.MountOptions{NoMove: !o.cfg.Stores.Move, Log: o.log.With("user", o.p.Name)}); err != nil {
			return nil, err
		}
	}
	return o.fold(tree, o.cfg.Stores.Names, "."), nil
}

// base is the directory of p that is the home, within the quota of the user.
func (o *opening) base(ctx context.Context, p *point) (vfs.FS, error) {
	dir := o.home
	switch {
	case o.home == p.dir:
		dir = "."
	case p.dir != ".":
		dir = o.home[len(p.dir)+1:]
	}
	fsys := p.fs
	if dir != "." {
		if err := o.haveHome(ctx, fsys, dir); err != nil {
			return nil, err
		}
		sub, err := vfs.Sub(fsys, dir)
		if err != nil {
			return nil, err
		}
		if c, ok := sub.(io.Closer); ok {
			o.releases = append(o.releases, func() { _ = c.Close() })
		}
		fsys = sub
	}
	limits := o.cfg.Quota.Limits(o.p.Quota)
	if limits == (vfs.Limits{}) {
		return fsys, nil
	}
	owner := o.p.Name
	if o.p.Anonymous {
		owner = ""
	}
	account, err := o.account(p.store, dir, owner)
	if err != nil {
		return nil, err
	}
	return vfs.Quota(fsys, account, limits), nil
}

// haveHome checks that dir is there, or makes it.
func (o *opening) haveHome(ctx context.Context, fsys vfs.FS, dir string) error {
	info, err := fsys.Stat(ctx, dir)
	if errors.Is(err, fs.ErrNotExist) && o.cfg.Stores.MakeHome {
		if err = makeDirs(ctx, fsys, dir); err == nil {
			o.log.Info("home made", "user", o.p.Name, "home", "/"+o.home)
			return nil
		}
	}
	if err == nil && !info.IsDir() {
		err = vfs.ErrNotDir
	}
	switch vfs.Kind(err) {
	case fs.ErrNotExist, vfs.ErrNotDir:
		return fmt.Errorf("home /%s is not a directory of what is served; make it, or set stores.make_home, or give the user another home: %w", o.home, fs.ErrNotExist)
	}
	return err
}

// makeDirs makes dir and what is missing above it.
func makeDirs(ctx context.Context, fsys vfs.FS, dir string) error {
	if dir == "." {
		return nil
	}
	err := fsys.Mkdir(ctx, dir)
	if errors.Is(err, fs.ErrNotExist) {
		parent, _ := vfs.Split(dir)
		if err := makeDirs(ctx, fsys, parent); err != nil {
			return err
		}
		err = fsys.Mkdir(ctx, dir)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// rights are those of the mount p, which is at dir of the user's tree.
func (o *opening) rights(p *point, fsys vfs.FS, dir string) vfs.FS {
	if p.mount == nil {
		return fsys
	}
	if p.mount.Permissions.Given {
		policy := &auth.Policy{Permissions: p.mount.Permissions.Permissions}
		fsys = vfs.GuardRules(fsys, policy)
	}
	if p.mount.ReadOnly {
		fsys = vfs.ReadOnly(fsys)
	}
	return o.fold(fsys, p.mount.Names, dir)
}

// fold finds names as how says in fsys, which is at dir of the user's tree. The
// user's policy is asked below it too, for the real name: a client could spell a name
// that is not allowed in another way.
func (o *opening) fold(fsys vfs.FS, how config.Names, dir string) vfs.FS {
	if how.Folding() == 0 {
		return fsys
	}
	return vfs.Fold(vfs.GuardRules(fsys, rulesBelow{o.p.Policy, dir}), how.Folding())
}

// rulesBelow are the rules of the directory dir as a tree of its own.
type rulesBelow struct {
	vfs.Rules
	dir string
}

func (r rulesBelow) Allow(op vfs.Op, name string) error {
	return r.Rules.Allow(op, vfs.Join(r.dir, name))
}

func (r rulesBelow) AllowMove(oldname, newname string, dir bool) error {
	return r.Rules.AllowMove(vfs.Join(r.dir, oldname), vfs.Join(r.dir, newname), dir)
}

func (r rulesBelow) AllowLink(target, name string) error {
	return r.Rules.AllowLink(vfs.Join(r.dir, target), vfs.Join(r.dir, name))
}

// fillIn puts the user's name into text. The name must be one element of a path, in
// whatever store.
func fillIn(text, user string) (string, error) {
	if !strings.Contains(text, userTemplate) {
		return text, nil
	}
	if err := checkElement(user); err != nil {
		return "", err
	}
	return strings.ReplaceAll(text, userTemplate, user), nil
}

// checkElement refuses a user name that is not one plain element of a path.
func checkElement(user string) error {
	why := ""
	switch {
	case !vfs.ValidElement(user) || strings.Contains(user, `\`) || len(user) > 255:
		why = "it is not one element of a path"
	case strings.ContainsFunc(user, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd }):
		why = "it has control characters or is not UTF-8"
	case strings.HasPrefix((vfs.FoldCase | vfs.FoldForm).Key(user), (vfs.FoldCase | vfs.FoldForm).Key(".ftpgate")):
		why = "it begins like ftpgate's own files"
	case strings.Contains(user, userTemplate):
		why = "it is a template itself"
	default:
		return nil
	}
	return fmt.Errorf("the user name %q can't stand for {user}: %s: %w", user, why, fs.ErrPermission)
}

// fillURL is fillIn for the URL or path of a store. In a URL the name is escaped.
func fillURL(u config.URL, user string) (string, error) {
	if u.IsPath() {
		return fillIn(string(u), user)
	}
	if !strings.Contains(string(u), userTemplate) {
		return string(u), nil
	}
	if err := checkElement(user); err != nil {
		return "", err
	}
	escaped := strings.ReplaceAll(url.QueryEscape(user), "+", "%20")
	return strings.ReplaceAll(string(u), userTemplate, escaped), nil
}

// makeRoot makes the directory real of this machine that the template u names for a
// user, if the directory above the part with the name is there.
func makeRoot(u config.URL, real string) error {
	template := string(u)
	if !u.IsPath() {
		from, err := url.Parse(real)
		if err != nil || from.Scheme != "file" || from.Host != "" {
			return nil // the store makes it, or says what is wrong
		}
		real, template = from.Path, strings.TrimPrefix(template, "file://")
	}
	before, _, _ := strings.Cut(template, userTemplate)
	above := before[:strings.LastIndexAny(before, "/"+string(filepath.Separator))+1]
	if info, err := os.Stat(above); err != nil || !info.IsDir() {
		return nil
	}
	return os.MkdirAll(real, 0o755)
}
