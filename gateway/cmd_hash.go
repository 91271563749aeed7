package gateway

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ftpgate/ftpgate/gateway/wire"
	"github.com/ftpgate/ftpgate/vfs"
)

// hashCommands tell checksums: HASH with what belongs to it, and the commands that
// were there before it. They read the file where the store does not know its hash,
// within Limits.HashSize; ABOR stops them.
func hashCommands() []*command {
	rows := []*command{
		{verb: "HASH", run: (*session).cmdHash, arg: argPath, syntax: "<path>", need: needLogin, op: vfs.OpHash, flow: stream, feat: featHash, help: "Tell the hash of a file, or of the part that RANG chose.", rfc: "draft-bryan-ftpext-hash"},
		{verb: "OPTS HASH", run: (*session).cmdOptsHash, arg: argOptText, syntax: "[algorithm]", keepsRest: true, help: "Choose the algorithm of HASH, or tell it.", rfc: "draft-bryan-ftpext-hash"},
		{verb: "RANG", run: (*session).cmdRang, arg: argText, syntax: "<first byte> <last byte>", need: needLogin, keepsRest: true, feat: feature("RANG STREAM"), help: "Choose the part of a file that the next RETR or HASH is about; 1 0 is all.", rfc: "draft-bryan-ftp-range"},
	}
	for _, old := range [...]struct {
		verb      string
		code      int
		algorithm vfs.HashAlgorithm
		rfc       string
	}{
		{"XCRC", 250, vfs.CRC32, "–"}, {"XMD5", 250, vfs.MD5, "–"}, {"MD5", 251, vfs.MD5, "draft-twine-ftpmd5"},
		{"XSHA", 250, vfs.SHA1, "–"}, {"XSHA1", 250, vfs.SHA1, "–"}, {"XSHA256", 250, vfs.SHA256, "–"}, {"XSHA512", 250, vfs.SHA512, "–"},
	} {
		rows = append(rows, &command{verb: old.verb, run: func(s *session, c *call) (wire.Reply, error) {
			return s.oldHash(c, old.code, old.algorithm)
		}, arg: argOwn, parse: parseHashed, syntax: "<path> [<start> <end>]", need: needLogin, op: vfs.OpHash, flow: stream,
			feat: feature(old.verb), help: "Tell the " + string(old.algorithm) + " of a file, or of its bytes from start up to end.", rfc: old.rfc})
	}
	return rows
}

// hashAlgorithms are those of FEAT and OPTS HASH, the best first.
func hashAlgorithms() []vfs.HashAlgorithm {
	return []vfs.HashAlgorithm{vfs.SHA256, vfs.SHA512, vfs.SHA1, vfs.MD5, vfs.CRC32}
}

// draft-bryan-ftpext-hash 3.1: the selected algorithm has a star.
func featHash(s *session) []string {
	line := "HASH "
	for _, alg := range hashAlgorithms() {
		line += string(alg)
		if alg == s.hash {
			line += "*"
		}
		line += ";"
	}
	return []string{line}
}

// draft-bryan-ftpext-hash 3.2: an unknown algorithm changes nothing.
func (s *session) cmdOptsHash(c *call) (wire.Reply, error) {
	alg := vfs.HashAlgorithm(strings.ToUpper(c.text))
	switch {
	case c.text == "":
	case slices.Contains(hashAlgorithms(), alg):
		s.hash = alg
	default:
		return wire.Reply{}, refuse(501, "Unknown algorithm, the selection is not changed.")
	}
	return reply(200, string(s.hash)), nil
}

// draft-bryan-ftp-range 3: both points are inclusive. What is no range resets it, and
// only "1 0" is meant to; whether the range can be had, the next command says. REST
// and RANG replace each other.
func (s *session) cmdRang(c *call) (wire.Reply, error) {
	s.rest, s.span = 0, byteRange{}
	first, last, _ := strings.Cut(c.text, " ")
	from, ok1 := parseSize(first)
	to, ok2 := parseSize(last)
	switch {
	case ok1 && ok2 && from == 1 && to == 0:
		return reply(350, "The range is all of the file."), nil
	case !ok1 || !ok2 || from > to:
		return wire.Reply{}, refuse(501, "Syntax: RANG <first byte> <last byte>.")
	}
	s.span = byteRange{from, min(to, math.MaxInt64-1) + 1}
	return replyf(350, "The range is %d to %d. Send RETR or HASH.", from, to), nil
}

// draft-bryan-ftpext-hash 3: the range in the reply is inclusive, and that of an empty
// file is 0-0, because the draft has no other way to write it. The errors are those of
// 3.5, but that who may not read the file gets 550, as with every other command.
func (s *session) cmdHash(c *call) (wire.Reply, error) {
	info, err := s.complete(c, c.name)
	if errors.Is(err, vfs.ErrIsDir) {
		err = &replyError{reply: reply(553, "A directory has no hash."), cause: err}
	}
	if err != nil {
		return wire.Reply{}, err
	}
	part := byteRange{0, info.Size()}
	if c.span != (byteRange{}) {
		part = byteRange{c.span.from, min(c.span.to, info.Size())}
		if part.from >= part.to {
			return wire.Reply{}, refuse(501, "The range begins behind the end of the file.")
		}
	}
	sum, err := s.computeHash(c, 213, s.hash, part)
	if err != nil {
		return wire.Reply{}, err
	}
	return replyf(213, "%s %d-%d %x %s", s.hash, part.from, max(part.to-1, 0), sum, c.text), nil
}

// parseHashed reads the argument of XCRC and its like, which is a name, or a name and
// two offsets; the name may be in double quotes. A file that has the whole argument
// as its name wins: that is name, and names has the other reading. One number alone
// means the start to some servers and the end to others, and is no range here.
func parseHashed(s *session, c *call) (err error) {
	if c.name, err = s.resolve(c.text); err != nil {
		return err
	}
	path, numbers, quoted := wire.CutQuoted(c.text)
	if !quoted {
		if path, numbers = cutOffsets(c.text); numbers == "" {
			return nil
		}
	}
	c.part.to = -1 // to the end
	if numbers != "" {
		start, end, _ := strings.Cut(numbers[1:], " ")
		var ok1, ok2 bool
		c.part.from, ok1 = parseSize(start)
		c.part.to, ok2 = parseSize(end)
		if !ok1 || !ok2 {
			return wire.ErrSyntax
		}
	}
	name, err := s.resolve(path)
	c.names = []string{name}
	return err
}

// cutOffsets splits " <digits> <digits>" off the end of text, if that is there.
func cutOffsets(text string) (path, numbers string) {
	end := len(text)
	for range 2 {
		space := strings.LastIndexByte(text[:end], ' ')
		if space <= 0 || space+1 == end || strings.Trim(text[space+1:end], "0123456789") != "" {
			return text, ""
		}
		end = space
	}
	return text[:end], text[end:]
}

// oldHash is one of the commands that were there before HASH. There is no document but
// draft-twine-ftpmd5 for MD5 (251, and the name before the hash); the form of the
// others is that of ProFTPD: the range ends before its end, has to lie in the file, and
// the digits are upper case.
func (s *session) oldHash(c *call, code int, alg vfs.HashAlgorithm) (wire.Reply, error) {
	part, shown := byteRange{0, -1}, c.text
	info, err := s.complete(c, c.name)
	if errors.Is(err, fs.ErrNotExist) && len(c.names) > 0 {
		c.name, part, shown = c.names[0], c.part, display(c.names[0])
		info, err = s.complete(c, c.name)
	}
	switch {
	case err != nil:
		return wire.Reply{}, err
	case part.to < 0:
		part.to = info.Size()
	case part.from >= part.to || part.to > info.Size():
		return wire.Reply{}, refuse(501, "No such range in the file.")
	}
	sum, err := s.computeHash(c, code, alg, part)
	if err != nil {
		return wire.Reply{}, err
	}
	if code == 251 {
		return replyf(code, "%s %X", shown, sum), nil
	}
	return replyf(code, "%X", sum), nil
}

// complete describes the file that others see, too: of an interrupted upload there is
// no hash.
func (s *session) complete(ctx context.Context, name string) (fs.FileInfo, error) {
	f, err := s.fsys.Open(ctx, name, 0, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Stat()
}

// computeHash waits until the server has a place for it. A client that has to wait
// hears about it, in lines of the reply to come.
func (s *session) computeHash(c *call, code int, alg vfs.HashAlgorithm, part byteRange) ([]byte, error) {
	if limit := s.cfg.Limits.HashSize; limit > 0 && part.to-part.from > limit {
		return nil, refuse(556, fmt.Sprintf("More than %d bytes are not hashed.", limit))
	}
	defer c.task.comfort(code, "Computing the "+string(alg)+".")()
	select {
	case s.srv.hashing <- struct{}{}:
		defer func() { <-s.srv.hashing }()
	case <-c.Done():
		return nil, context.Cause(c)
	}
	sum, err := vfs.Hash(c, s.fsys, c.name, alg, part.from, part.to-part.from)
	if err != nil && c.Err() != nil {
		return nil, context.Cause(c)
	}
	return sum, err
}

// comfortEvery is the time after which a client that waits is told that it has to
// (draft-bryan-ftpext-hash 3: "every 5-10 seconds").
const comfortEvery = 10 * time.Second

// comfort tells a waiting client so, in lines that begin the reply to come, until
// stop is called.
func (t *task) comfort(code int, text string) (stop func()) {
	over, ended := make(chan struct{}), make(chan struct{})
	line := []byte(fmt.Sprintf("%d-%s\r\n", code, text))
	go func() {
		defer close(ended)
		tick := time.NewTicker(comfortEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-over:
				return
			}
			select {
			case t.events <- event{kind: evText, reply: reply(code), text: line}:
			case <-over:
				return
			case <-t.gone:
				return
			}
		}
	}()
	return func() {
		close(over)
		<-ended
	}
}
