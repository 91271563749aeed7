package gateway

// Row is what tests outside of the package may know of a row of the command table.
type Row struct {
	Verb      string
	Aliases   []string
	Login     bool // 530 without
	Data      bool // 425 without
	NoArg     bool // 501 with an argument
	WantArg   bool // 501 without one
	Immediate bool // answered during a transfer, as it stands
	TLS       bool // 502 where the server has no TLS
}

// Names are the verb and its aliases.
func (r Row) Names() []string { return append([]string{r.Verb}, r.Aliases...) }

// Rows returns the command table.
func Rows() []Row {
	var rows []Row
	for _, c := range table() {
		r := Row{Verb: c.verb, Aliases: c.aliases, Login: c.need&needLogin != 0, Data: c.need&needData != 0, TLS: c.tls}
		switch c.arg {
		case argNone, argParent:
			r.NoArg = true
		case argIgnored, argOptText, argOptPath, argList:
		default:
			r.WantArg = true
		}
		r.Immediate = c.during == immediate
		if c.bare != nil {
			r.Login, r.Immediate = c.bare.need&needLogin != 0, c.bare.during == immediate
		}
		rows = append(rows, r)
	}
	return rows
}
