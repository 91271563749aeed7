// Package dataconn brings about FTP's data connections (RFC 959 3.2, RFC 2428):
// passive ones from a pool of ports, active ones by dialling, and only to and from
// the host at the other end of the control connection (RFC 2577).
package dataconn
