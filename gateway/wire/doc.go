// Package wire is the codec of the FTP control connection and of listings:
// bytes to command lines and back, and nothing else. It holds no state of a
// session, opens no connection and knows no file system.
//
// The rules come from RFC 959 (commands, replies, TYPE A), RFC 854 (Telnet),
// RFC 2389 (FEAT), RFC 2428 (EPRT, EPSV) and RFC 3659 (times, MLSx).
//
// Types are used by one goroutine at a time. Functions named Append extend a
// buffer of the caller and allocate nothing while its capacity lasts.
package wire

import "errors"

var (
	// ErrSyntax: an argument does not follow its grammar (reply 501).
	ErrSyntax = errors.New("syntax error in argument")
	// ErrFamily: a network protocol that RFC 2428 numbers, or may number one
	// day, and that we don't speak (reply 522).
	ErrFamily = errors.New("network protocol not supported")
	// ErrLineTooLong: a command line exceeds the limit of its LineReader.
	ErrLineTooLong = errors.New("command line too long")
	// ErrBuffered: bytes were read that nobody has consumed.
	ErrBuffered = errors.New("unread bytes in the command buffer")
)
