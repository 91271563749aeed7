package gateway

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"slices"
	"time"

	"github.com/ftpgate/ftpgate/gateway/dataconn"
	"github.com/ftpgate/ftpgate/gateway/wire"
	"github.com/ftpgate/ftpgate/vfs"
)

// openData brings the data connection about and says 150. The connection closes
// when the command's context ends, which is how ABOR and shutdown reach a worker
// that is blocked on it; done closes it at the end. A client that never connects gets 425 and has changed
// nothing.
func (s *session) openData(c *call, text string) (conn net.Conn, done func(), err error) {
	ctx := c.Context
	if t := s.cfg.Timeouts.DataOpen; t > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, t, errDataDeadline)
		defer cancel()
	}
	conn, err = c.endpoint.Connect(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil, nil, context.Cause(ctx)
		}
		s.log.Warn("data connection failed", "command", c.row.verb, "err", err)
		return nil, nil, errDataOpen
	}
	raw := conn
	stop := context.AfterFunc(c, func() { raw.Close() })
	c.task.tell(event{kind: evReply, reply: reply(150, text)})
	if s.prot == 'P' {
		if conn, err = s.secureData(c, conn); err != nil {
			stop()
			raw.Close()
			return nil, nil, err
		}
	}
	return conn, func() {
		stop()
		conn.Close()
	}, nil
}

// typeName is for the text of 150.
func (s *session) typeName() string {
	if s.typ == 'A' {
		return "ASCII"
	}
	return "BINARY"
}

// retrieve sends a file. What can be refused is refused before 150.
func (s *session) retrieve(c *call) (wire.Reply, error) {
	defer c.endpoint.Close()
	start := time.Now()
	if err := s.structured(c); err != nil {
		return wire.Reply{}, err
	}
	offset, length := c.rest, int64(-1)
	if c.span != (byteRange{}) {
		offset, length = c.span.from, c.span.to-c.span.from
	}
	if s.typ == 'A' {
		offset, length = 0, -1 // offsets count bytes as sent: see pump.sendText
	}
	f, err := s.fsys.Open(c, c.name, offset, length)
	var beyond *vfs.OffsetError
	if length >= 0 && errors.As(err, &beyond) {
		// draft-bryan-ftp-range 4.3: nothing is sent of a range behind the end.
		f, err = s.fsys.Open(c, c.name, beyond.Accept, 0)
	}
	if err != nil {
		return wire.Reply{}, err
	}
	defer f.Close()
	text := "Opening " + s.typeName() + " mode data connection."
	if info, err := f.Stat(); err == nil && s.typ != 'A' {
		size := max(info.Size()-offset, 0)
		if length >= 0 {
			size = min(size, length)
		}
		text = replyf(0, "Opening BINARY mode data connection (%d bytes).", size).Lines[0]
	}
	conn, done, err := s.openData(c, text)
	if err != nil {
		return wire.Reply{}, err
	}
	defer done()
	p := s.pump(c, conn, s.down)
	if s.typ == 'A' {
		err = p.sendText(f)
	} else {
		err = p.send(f)
	}
	if err == nil {
		err = p.finish()
	}
	s.logTransfer(c, "download", start, err)
	if err != nil {
		return wire.Reply{}, err
	}
	return reply(226, "Transfer complete."), nil
}

// structured refuses what record structure has no meaning for (RFC 959 3.1.2.2): bytes
// that are no text, and offsets.
func (s *session) structured(c *call) error {
	if s.stru == 'R' && (s.typ != 'A' || c.rest > 0 || c.span != (byteRange{})) {
		return refuse(504, "STRU R is for TYPE A, and has no REST or RANG; send STRU F.")
	}
	return nil
}

// store receives a file. The order is fixed: checks, data connection, 150,
// Create, bytes, the decision whether that was all, Commit, 226.
func (s *session) store(c *call, opt vfs.CreateOptions, text string) (wire.Reply, error) {
	defer c.endpoint.Close()
	start := time.Now()
	if err := s.structured(c); err != nil {
		return wire.Reply{}, err
	}
	if c.span != (byteRange{}) {
		return wire.Reply{}, refuse(504, "RANG is for RETR and HASH; nothing was stored.")
	}
	parents, err := s.mayCreate(c)
	if err != nil {
		return wire.Reply{}, err
	}
	if opt.Mode == vfs.WriteAt && s.typ == 'A' {
		offset, err := s.storedOffset(c, opt.Offset)
		if err != nil {
			return wire.Reply{}, err
		}
		opt.Offset = offset
	}
	conn, done, err := s.openData(c, text)
	if err != nil {
		return wire.Reply{}, err
	}
	defer done()
	if err := s.mkdirs(c, parents); err != nil {
		return wire.Reply{}, err
	}
	w, err := s.fsys.Create(c, c.name, opt)
	if err != nil {
		return wire.Reply{}, err
	}
	defer w.Abort()
	err = s.receive(c, conn, w)
	if err == nil {
		err = w.Commit()
	} else {
		s.keep(c, w, err)
	}
	s.logTransfer(c, "upload", start, err)
	if err != nil {
		return wire.Reply{}, err
	}
	return reply(226, "Transfer complete."), nil
}

// mayCreate are the cheap checks before 150; it returns the directories that have to
// be made first. A store without real directories would have to be asked over the
// network; there Create says it.
func (s *session) mayCreate(c *call) (parents []string, err error) {
	if !s.fsys.Caps().Has(vfs.RealDirs) {
		return nil, nil
	}
	parents, err = s.missingParents(c, c.name)
	if err != nil || len(parents) > 0 {
		return parents, err
	}
	info, err := s.visible.Stat(c, c.name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, vfs.ErrIsDir
	case c.row.op == vfs.OpWrite:
		return nil, s.overwritable(c.name)
	}
	return nil, nil
}

// missingParents are the directories above name that are not there and that this
// user may make, the upper ones first. Without Profile.MakeParents all of them have to
// be there.
func (s *session) missingParents(c *call, name string) ([]string, error) {
	dir, _ := vfs.Split(name)
	if !s.profile.MakeParents {
		info, err := s.visible.Stat(c, dir)
		if err == nil && !info.IsDir() {
			err = vfs.ErrNotDir
		}
		return nil, err
	}
	missing, err := s.missingDirs(c, dir)
	for _, dir := range missing {
		if err := s.allow(vfs.OpMkdir, dir); err != nil {
			return nil, err
		}
	}
	return missing, err
}

// missingDirs are dir and the directories above it as far as they are not there, the
// upper ones first.
func (s *session) missingDirs(c *call, dir string) ([]string, error) {
	var missing []string
	for ; dir != "."; dir, _ = vfs.Split(dir) {
		info, err := s.visible.Stat(c, dir)
		if err == nil && !info.IsDir() {
			return nil, vfs.ErrNotDir
		}
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		missing = append(missing, dir)
	}
	slices.Reverse(missing)
	return missing, nil
}

// mkdirs makes dirs in their order. Somebody else may have been faster.
func (s *session) mkdirs(c *call, dirs []string) error {
	for _, dir := range dirs {
		if err := s.fsys.Mkdir(c, dir); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// overwritable is fs.ErrExist for who may write but not overwrite.
func (s *session) overwritable(name string) error {
	if s.allow(vfs.OpOverwrite, name) != nil {
		return fs.ErrExist
	}
	return nil
}

// receive moves the bytes and finds out whether they were all: nil means that
// the upload is whole and shall be committed.
func (s *session) receive(c *call, conn net.Conn, w vfs.Writer) error {
	p := s.pump(c, conn, s.up)
	var err error
	var records wire.RecordDecoder
	switch {
	case s.stru == 'R':
		err = p.receiveBuffered(w, &records)
	case s.typ == 'A':
		err = p.receiveBuffered(w, &textDecoder{})
	default:
		err = p.receive(w)
	}
	if err != nil {
		return err
	}
	marked := records.Ended() || p.z != nil && p.z.ended // the data tells its end
	secured, overTLS := conn.(*dataconn.Secured)
	if overTLS && !secured.Clean() && !marked {
		if !s.lenientTLS() {
			return errNoCloseNotify
		}
		s.log.Warn("upload accepted without close_notify", "path", display(c.name))
	}
	n := c.task.bytes.Load()
	whole := w.Offset() + n
	proved := marked || overTLS && secured.Clean() || c.allo > 0 && s.typ == 'I' && (n == c.allo || whole == c.allo)
	if c.allo > whole && s.typ == 'I' {
		return errIncomplete
	}
	conn.Close() // clients wait for it before they listen for 226
	c.task.tell(event{kind: evEnded, proved: proved})
	syncErr := w.Sync() // beside the owner's decision
	select {
	case err = <-c.task.verdict:
	case <-c.Done():
		err = context.Cause(c)
	}
	if err == nil {
		err = syncErr
	}
	return err
}

// keep parks an upload that did not end well, so that its user can go on with it.
// Text can't be continued by offset, of a compressed upload the client does not know
// how much arrived, a name made by STOU is not known to the client, and what is too large
// only grows.
func (s *session) keep(c *call, w vfs.Writer, cause error) {
	if s.typ == 'A' || s.mode == 'Z' || c.row.verb == "STOU" || errors.Is(cause, vfs.ErrTooLarge) || !s.fsys.Caps().Has(vfs.CanPark) {
		_ = w.Abort()
		return
	}
	err := w.Park()
	switch {
	case err == nil:
		s.log.Info("upload parked", "path", display(c.name), "bytes", w.Offset()+c.task.bytes.Load(), "cause", cause)
	case !errors.Is(err, errors.ErrUnsupported):
		s.log.Error("upload could not be parked and is lost", "path", display(c.name), "err", err)
	}
}

// storedOffset is the offset in the stored file at which its text as sent is at
// sent (RFC 3659 5: REST counts what goes over the data connection).
func (s *session) storedOffset(c *call, sent int64) (int64, error) {
	if sent == 0 {
		return 0, nil
	}
	f, err := s.fsys.Open(c, c.name, 0, -1)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	buf := s.srv.buffer()
	defer s.srv.recycle(buf)
	var enc wire.ASCIIEncoder
	var out []byte
	var stored, seen int64
	for {
		n, err := f.Read(*buf)
		for i := range n {
			out = enc.Append(out[:0], (*buf)[i:i+1])
			stored++
			if seen += int64(len(out)); seen >= sent {
				if seen > sent {
					return 0, &vfs.OffsetError{Offset: sent, Accept: seen - int64(len(out))}
				}
				return stored, nil
			}
		}
		if err == io.EOF {
			return 0, &vfs.OffsetError{Offset: sent, Accept: seen}
		}
		if err != nil {
			return 0, err
		}
		if err := vfs.ContextError(c, "read", c.name); err != nil {
			return 0, err
		}
	}
}

func (s *session) logTransfer(c *call, kind string, start time.Time, err error) {
	args := []any{"path", display(c.name), "bytes", c.task.bytes.Load(), "seconds", time.Since(start).Seconds(), "offset", c.rest}
	switch {
	case err == nil:
		s.log.Info(kind, args...)
	case errors.Is(err, errDataClosed), errors.Is(err, errAborted): // the client's own wish
		s.log.Info(kind+" ended early", append(args, "err", err)...)
	default:
		s.log.Warn(kind+" failed", append(args, "err", err)...)
	}
}
