package gateway

import (
	"fmt"
	"strings"

	"github.com/ftpgate/ftpgate/vfs"
)

//go:generate go test -run ^TestCommandsDocument$ -update .

// CommandsDocument writes the command table as a Markdown page: docs/commands.md
// is its output, and a test fails when that is stale.
func CommandsDocument() string {
	var b strings.Builder
	b.WriteString(`# Commands

Generated from the command table in ` + "`gateway/`" + `; do not edit. Refresh with ` + "`make generate`" + `.

| verb | syntax | RFC | login | permission | what it does |
|---|---|---|---|---|---|
`)
	for _, row := range table() {
		names := "`" + row.verb + "`"
		for _, a := range row.aliases {
			names += " `" + a + "`"
		}
		login := "no"
		if row.need&needLogin != 0 {
			login = "yes"
		}
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s | %s | %s |\n", names,
			strings.ReplaceAll(strings.TrimSpace(row.verb+" "+row.syntax), "|", `\|`), row.rfc, login, row.permission(), row.note())
	}
	b.WriteString(`
The letters of the permissions are explained in [config.md](config.md). A verb with a second name has the
same row. A row that the user's storage can't serve answers 502 or 500 and is absent from FEAT.
`)
	return b.String()
}

// permission is op as the letter that allows it.
func (row *command) permission() string {
	letters := map[vfs.Op]string{
		vfs.OpEnter: "e", vfs.OpList: "l", vfs.OpRead: "r", vfs.OpHash: "r", vfs.OpAppend: "a", vfs.OpRemove: "d", vfs.OpRmdir: "d",
		vfs.OpRename: "f", vfs.OpMkdir: "m", vfs.OpWrite: "w", vfs.OpSetMode: "M", vfs.OpSetModTime: "T", vfs.OpSetCreateTime: "T",
		vfs.OpSymlink: "w",
	}
	if l := letters[row.op]; l != "" {
		return "`" + l + "`"
	}
	return "–"
}

// note is the help with what the other columns don't tell.
func (row *command) note() string {
	notes := []string{row.help}
	switch row.during {
	case immediate:
		notes = append(notes, "Answered during a transfer.")
	case aborts:
		notes = append(notes, "Acts during a transfer.")
	}
	if row.bare != nil && row.bare.during == immediate {
		notes = append(notes, "Without a path it is answered during a transfer.")
	}
	if row.need&needData != 0 {
		notes = append(notes, "Needs a data connection.")
	}
	return strings.Join(notes, " ")
}
