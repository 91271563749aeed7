package gateway

import (
	"context"
	"fmt"
	"io/fs"
	"net/netip"
	"time"

	"github.com/ftpgate/ftpgate/gateway/dataconn"
	"github.com/ftpgate/ftpgate/gateway/wire"
	"github.com/ftpgate/ftpgate/vfs"
)

// command is one row of the table that feeds dispatch, gates, argument parsing,
// permissions, FEAT, HELP and docs/commands.md.
type command struct {
	// verb is upper case; "SITE HELP" and "OPTS MLST" are rows of their own.
	verb string
	// aliases run the same row (XCWD).
	aliases []string
	// run executes the command: on the session's own goroutine if flow is
	// inline, else on the worker.
	run handler
	arg argKind
	// parse reads the argument if arg is argOwn; an error answers 501.
	parse func(s *session, c *call) error
	// syntax is the argument as HELP and the documentation show it.
	syntax string
	need   need
	// follows is the verb that must have come just before; "": none. Otherwise 503.
	follows string
	// op is asked for the argument's path, or else the working directory, before run;
	// "" asks nothing.
	op   vfs.Op
	flow flow
	// during says what happens when the line arrives while a worker runs.
	during attention
	// bare is the row that serves the verb without an argument; nil: this one.
	bare *command
	// keepsRest leaves the offset of REST and the size of ALLO for the next
	// command.
	keepsRest bool
	// creates answers errors with the codes for names that can't be made.
	creates bool
	// caps are the abilities of the store without which the row is absent.
	caps vfs.Caps
	// tls makes the row absent where no TLS is configured.
	tls bool
	// feat returns the row's lines in FEAT; nil: none.
	feat func(s *session) []string
	// masked keeps the argument out of the log.
	masked bool
	// help is one line for HELP and the documentation.
	help string
	rfc  string
}

// handler runs a command. The reply counts only if the error is nil; replyFor
// knows what to say otherwise. An empty reply says nothing more.
type handler func(s *session, c *call) (wire.Reply, error)

// call is one command being run. On the worker, a handler may read the session's
// state, which does not change meanwhile, and changes it only through after.
type call struct {
	context.Context
	row  *command
	verb string // as sent, upper case
	args
	// rest, allo, span and from are the one-shot state that this command consumes.
	rest, allo int64
	span       byteRange
	from       string            // of RNFR or SITE CPFR
	endpoint   dataconn.Endpoint // agreed for this transfer
	task       *task             // nil for inline rows
	commits    []func()
	discards   []func()      // undo what commits would have taken over
	delay      time.Duration // of the reply
}

// args is a parsed argument.
type args struct {
	text  string         // as sent
	given bool           // there was a space behind the verb
	name  string         // of a path kind
	num   int64          // of argNumber
	addr  netip.AddrPort // of argHostPort and argExtended

	// Of argOwn, as far as the row has them.
	names []string // besides name
	part  byteRange
	mode  fs.FileMode
	facts []wire.FactChange
}

// after runs change on the session's own goroutine when the command has
// succeeded, before its reply is sent.
func (c *call) after(change func()) { c.commits = append(c.commits, change) }

// argKind says how the argument is parsed.
type argKind uint8

const (
	argNone     argKind = iota // 501 if there is one
	argIgnored                 // whatever it is
	argText                    // 501 if empty
	argOptText                 // may be missing
	argPath                    // a path; 501 if empty
	argParent                  // none; the path is the parent of the working directory
	argOptPath                 // a path; the working directory if missing
	argList                    // options, then an optional path
	argNumber                  // a decimal number of bytes
	argHostPort                // of PORT
	argExtended                // of EPRT
	argOwn                     // as the row's parse has it; 501 if empty
)

// need is a set of conditions, each with its reply.
type need uint8

const (
	needLogin need = 1 << iota // 530
	needData                   // 425: a data connection was agreed
	needTLS                    // 503: the control connection is protected
)

// flow says which goroutine runs the command.
type flow uint8

const (
	inline   flow = iota // touches session state only
	work                 // touches the file system, the authenticator or Open
	transfer             // work that uses the data connection: ABOR stops it
	stream               // work that answers at length: ABOR stops it
)

// attention says what a line does that arrives while a worker runs.
type attention uint8

const (
	queued    attention = iota // waits
	immediate                  // answered at once if nothing waits before it
	aborts                     // ABOR: acts at once
	quits                      // QUIT: remembered, and nothing is read behind it
)

// commandTable is every command of a server, with those of its embedder.
type commandTable struct {
	rows   []*command
	byVerb map[string]*command // aliases too
}

// files reports whether the command concerns files: what else a session needs, such as
// agreeing on a data connection, a list of allowed commands need not name.
func (row *command) files() bool { return row.op != "" || row.flow != inline && row.verb != "PASV" }

// CommandNames are the verbs of all commands in upper case, those of SITE and OPTS
// with their second word.
func CommandNames() []string {
	var names []string
	for _, row := range table() {
		names = append(append(names, row.verb), row.aliases...)
	}
	return names
}

// newCommandTable adds the embedder's SITE commands to the table.
func newCommandTable(site []SiteCommand) (*commandTable, error) {
	t := &commandTable{rows: table()}
	t.byVerb = index(t.rows)
	for _, sc := range site {
		row, err := sc.row()
		if err != nil {
			return nil, err
		}
		if t.byVerb[row.verb] != nil {
			return nil, fmt.Errorf("gateway: Config.Site has a command %q, which exists already", sc.Name)
		}
		t.rows = append(t.rows, row)
		t.byVerb[row.verb] = row
	}
	return t, nil
}

// table returns every command. The order is that of HELP and the documentation.
func table() []*command {
	var rows []*command
	rows = append(rows, accessCommands()...)
	rows = append(rows, securityCommands()...)
	rows = append(rows, parameterCommands()...)
	rows = append(rows, transferCommands()...)
	rows = append(rows, fileCommands()...)
	rows = append(rows, treeCommands()...)
	rows = append(rows, combineCommands()...)
	rows = append(rows, listCommands()...)
	rows = append(rows, timeCommands()...)
	rows = append(rows, hashCommands()...)
	rows = append(rows, informationCommands()...)
	rows = append(rows, clientCommands()...)
	rows = append(rows, siteCommands()...)
	return rows
}

// index makes the rows findable by verb and alias.
func index(rows []*command) map[string]*command {
	m := make(map[string]*command, len(rows))
	for _, row := range rows {
		m[row.verb] = row
		for _, a := range row.aliases {
			m[a] = row
		}
	}
	return m
}
