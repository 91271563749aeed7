package gateway

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/ftpgate/ftpgate/auth"
	"github.com/ftpgate/ftpgate/gateway/dataconn"
	"github.com/ftpgate/ftpgate/gateway/wire"
	"github.com/ftpgate/ftpgate/vfs"
)

// reply builds a wire.Reply of one or more lines.
func reply(code int, lines ...string) wire.Reply { return wire.Reply{Code: code, Lines: lines} }

// replyf builds one of a single formatted line.
func replyf(code int, format string, args ...any) wire.Reply {
	return reply(code, fmt.Sprintf(format, args...))
}

// replyError is an error that is answered as it stands: its text was written for
// clients.
type replyError struct {
	reply wire.Reply
	cause error // for the log; may be nil
}

func (e *replyError) Error() string {
	if e.cause != nil {
		return e.cause.Error()
	}
	return fmt.Sprintf("%d %v", e.reply.Code, e.reply.Lines)
}

func (e *replyError) Unwrap() error { return e.cause }

// refuse is a handler's error with a reply of its own.
func refuse(code int, text string) error { return &replyError{reply: reply(code, text)} }

// Causes that end a worker's context, and what the data connection can suffer.
var (
	errAborted       = errors.New("aborted by ABOR")
	errControlLost   = errors.New("control connection lost")
	errShutdown      = errors.New("server is shutting down")
	errStalled       = errors.New("data connection stalled")
	errDataClosed    = errors.New("data connection closed before the end")
	errNoCloseNotify = errors.New("TLS ended without close_notify (uploads.lenient_tls accepts such clients)")
	errNeedsTLS      = errors.New("this user must use TLS")
	errHandshake     = errors.New("TLS handshake failed")
	errIncomplete    = errors.New("fewer bytes than ALLO announced")
	errDeflate       = errors.New("damaged data in MODE Z")
	errDataOpen      = errors.New("data connection could not be opened")
	errDataDeadline  = errors.New("data connection was not opened in time")
)

// errorReply is one row of the table from errors to replies.
type errorReply struct {
	err  error
	code int
	text string
	// create replaces code for commands that make a name (STOR, APPE, STOU,
	// RNTO); 0: the same.
	create int
}

// errorReplies is searched from the top. The texts are all that a client learns.
func errorReplies() []errorReply {
	return []errorReply{
		{errAborted, 426, "Transfer aborted.", 0},
		{errShutdown, 426, "Server is shutting down; transfer aborted.", 0},
		{errDismissed, 426, "You may no longer be here; transfer aborted.", 0},
		{errControlLost, 426, "Control connection lost; transfer aborted.", 0},
		{errStalled, 426, "Data connection stalled; transfer aborted.", 0},
		{errDataClosed, 426, "Data connection closed; transfer aborted.", 0},
		{errNoCloseNotify, 426, "TLS ended without close_notify; transfer aborted.", 0},
		{dataconn.ErrNotResumed, 522, "Data connection must resume the TLS session of the control connection.", 0},
		{errHandshake, 522, "TLS handshake on the data connection failed.", 0},
		{errIncomplete, 426, "Fewer bytes arrived than ALLO announced; transfer aborted.", 0},
		{errDeflate, 451, "The compressed data is damaged; transfer aborted.", 0},
		{wire.ErrRecord, 451, "The data is not in record structure, or not whole; transfer aborted.", 0},
		{errDataDeadline, 425, "Data connection was not opened in time.", 0},
		{errDataOpen, 425, "Can't open data connection.", 0},
		{auth.ErrUnavailable, 421, "Login is not possible right now, try again later.", 0},
		{auth.ErrDenied, 530, "Login incorrect.", 0},
		{fs.ErrNotExist, 550, "No such file or directory.", 553},
		{fs.ErrExist, 550, "Name is already taken.", 553},
		{fs.ErrPermission, 550, "Permission denied.", 553},
		{vfs.ErrNotDir, 550, "Not a directory.", 553},
		{vfs.ErrIsDir, 550, "Is a directory.", 553},
		{vfs.ErrNotEmpty, 550, "Directory is not empty.", 0},
		{vfs.ErrOffline, 550, "File is archived; it has to be restored first.", 0},
		{fs.ErrInvalid, 550, "File name not allowed.", 553},
		{vfs.ErrBusy, 450, "Busy, try again later.", 0},
		{vfs.ErrNoSpace, 452, "No space left.", 0},
		{vfs.ErrQuota, 552, "Quota exceeded.", 0},
		{vfs.ErrTooLarge, 552, "File is too large.", 0},
		{errors.ErrUnsupported, 502, "The storage behind this server can't do that.", 0},
		{context.DeadlineExceeded, 450, "The storage took too long, try again later.", 0},
	}
}

// replyFor turns a handler's error into what the client is told. internal is true
// for errors whose text the client must not see and the log should have; ref then
// joins the two.
func replyFor(err error, creates bool, ref string) (r wire.Reply, internal bool) {
	var re *replyError
	if errors.As(err, &re) {
		return re.reply, false
	}
	var oe *vfs.OffsetError
	if errors.As(err, &oe) {
		return replyf(554, "Can't continue at %d; REST %d would work.", oe.Offset, oe.Accept), false
	}
	for _, row := range errorReplies() {
		if errors.Is(err, row.err) {
			if creates && row.create != 0 {
				return reply(row.create, row.text), false
			}
			return reply(row.code, row.text), false
		}
	}
	return replyf(451, "Local error; the server's log has it as %s.", ref), true
}
