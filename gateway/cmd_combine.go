package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/ftpgate/ftpgate/gateway/wire"
	"github.com/ftpgate/ftpgate/vfs"
)

func combineCommands() []*command {
	return []*command{
		{verb: "COMB", run: (*session).cmdComb, arg: argOwn, parse: parseComb, syntax: `"<target>" "<part>"…`, need: needLogin, op: vfs.OpWrite, flow: stream, caps: vfs.CanWrite, feat: feature("COMB"), help: "Put parts together at the end of a file, and remove the parts; also by the permissions r, d and, for a file that exists, a.", rfc: "–"},
	}
}

// parseComb reads names, each in double quotes if it has spaces. A name may be there
// once: otherwise a part would be taken twice, or the target removed.
func parseComb(s *session, c *call) error {
	words, err := wire.SplitWords(c.text)
	if err != nil || len(words) < 2 {
		return wire.ErrSyntax
	}
	for _, word := range words {
		name, err := s.resolve(word)
		if err != nil || slices.Contains(c.names, name) {
			return wire.ErrSyntax
		}
		c.names = append(c.names, name)
	}
	c.name, c.names = c.names[0], c.names[1:]
	return nil
}

// COMB has no document but that of its maker, GlobalSCAPE: the parts are appended to
// the target in their order, and removed. Here readers of the target see all of it or
// nothing, where the store can do that; the parts are removed after the commit, and
// then whatever the client does, because one that tries again must not append twice.
func (s *session) cmdComb(c *call) (wire.Reply, error) {
	for _, part := range c.names {
		if err := errors.Join(s.allow(vfs.OpRead, part), s.allow(vfs.OpRemove, part)); err != nil {
			return wire.Reply{}, err
		}
	}
	opt := vfs.CreateOptions{NoReplace: true}
	switch info, err := s.fsys.Stat(c, c.name); {
	case err == nil && vfs.AttrOf(info).Staged:
		return wire.Reply{}, refuse(450, "An upload of the target has not been finished.")
	case err == nil:
		opt = vfs.CreateOptions{Mode: vfs.Append}
	case !errors.Is(err, fs.ErrNotExist):
		return wire.Reply{}, err
	}
	if err := s.combine(c, opt); err != nil {
		return wire.Reply{}, err
	}
	kept := 0
	for _, part := range c.names {
		if err := s.fsys.Remove(context.WithoutCancel(c), part); err != nil {
			s.log.Warn("part could not be removed after COMB", "path", display(part), "err", err)
			kept++
		}
	}
	if kept > 0 {
		return replyf(250, "Combined; %d parts could not be removed.", kept), nil
	}
	return reply(250, "Combined."), nil
}

// combine writes the parts to c.name.
func (s *session) combine(c *call, opt vfs.CreateOptions) error {
	w, err := s.fsys.Create(c, c.name, opt)
	if err != nil {
		return err
	}
	defer w.Abort()
	for _, part := range c.names {
		if err := s.addPart(c, w, part); err != nil {
			return err
		}
	}
	return w.Commit()
}

func (s *session) addPart(c *call, w vfs.Writer, part string) error {
	f, err := s.fsys.Open(c, part, 0, -1)
	if errors.Is(err, fs.ErrNotExist) {
		return refuse(550, fmt.Sprintf("No such part: %s", display(part)))
	}
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		lr := io.LimitedReader{R: f, N: maxChunk}
		n, err := w.ReadFrom(&lr)
		if err != nil {
			return vfs.PathError("read", part, err)
		}
		if n < maxChunk {
			return nil
		}
		if err := vfs.ContextError(c, "read", part); err != nil {
			return err
		}
	}
}
