package gateway

import "github.com/ftpgate/ftpgate/vfs"

// DropPermissions empties the column of permissions in the server's command table, so
// that nobody but vfs.GuardRules refuses anything.
func (s *Server) DropPermissions() {
	for _, row := range s.cfg.Load().commands.rows {
		row.op = ""
	}
}

// Permission is the vfs operation of the row; it and Verb are for tests that go
// through the table.
func Permissions() map[string]vfs.Op {
	ops := map[string]vfs.Op{}
	for _, row := range table() {
		ops[row.verb] = row.op
	}
	return ops
}
