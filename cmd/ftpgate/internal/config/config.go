// Package config is the configuration of "ftpgate serve": a YAML file turned into
// structs, with flags on top. The comments of the structs are the text of
// docs/config.md, and their default tags are the defaults.
package config

//go:generate go test -run TestDocument -update

// Config is what ftpgate serves, to whom and how.
type Config struct {
	// What is served: a directory, `file:///dir`, `s3://bucket/prefix?endpoint=…&region=…`,
	// `sftp://user@host/dir` or `"mem:"` (quoted, for its colon). A relative path begins at the directory of the configuration file;
	// without this key it is the current directory. Credentials of a store are never
	// part of it. `{user}` stands for the name of the user who logs in.
	URL URL `yaml:"url" default:"."`
	// Other stores in directories of what is served.
	Mounts []Mount `yaml:"mounts"`
	// How stores are opened and used.
	Stores Stores `yaml:"stores"`
	// What each user may store.
	Quota Quota `yaml:"quota"`
	// Where clients connect: `HOST:PORT`, `[IPv6]:PORT`, or `:PORT` for all addresses
	// of this machine. Port 0 takes a free one. One address or a list.
	Listen []Address `yaml:"listen" default:"127.0.0.1:2121"`
	// Whether `anonymous` and `ftp` may log in with any password. Without this key
	// they may if there are no users.
	Anonymous *bool `yaml:"anonymous"`
	// Whether those who may log in may also write, if they have no `permissions` of
	// their own: all of the letters `elradfmwMT` instead of `elr`.
	Write bool `yaml:"write" default:"false"`
	// The users who may log in, in addition to those of users files. A name that
	// several sources have is taken from the first of: command line, environment,
	// this list, users files in their order, account sources in theirs.
	Users []User `yaml:"users"`
	// Files with a user per line, `name:hash` or `name:hash:perm=elr,home=/dir,…`, which
	// `ftpgate passwd` writes; htpasswd files with bcrypt or SHA-crypt hashes work too. They are read
	// again when they change. One path or
	// a list; relative paths begin at the directory of the configuration file.
	UsersFiles []Path `yaml:"users_files"`
	// Sources of users outside of ftpgate, asked in their order after `users`, `users_files` and
	// `anonymous`. The first one that knows a name decides. See [accounts.md](accounts.md).
	AccountSources []AccountSource `yaml:"account_sources"`
	// The greeting, which may have several lines.
	Banner string `yaml:"banner" default:"FTP server ready"`
	// The time zone of the times in LIST, such as `Europe/Berlin`, or `Local`. MLSD and
	// MDTM are always in UTC.
	TimeZone TimeZone `yaml:"time_zone" default:"UTC"`
	// The representation type of a session that has not sent TYPE: `ascii`, as the RFC
	// has it, or `binary`, for clients that forget to ask for it.
	DefaultType Type `yaml:"default_type" default:"ascii"`
	// The device profile of users who have none of their own.
	Profile ProfileName `yaml:"profile"`
	// Sets of tolerances for devices and old programs, from which `profile` and users choose.
	Profiles []Profile `yaml:"profiles"`
	// The virtual hosts that clients may ask for (HOST). Without this key every name is
	// accepted.
	Hosts []HostName `yaml:"hosts"`
	// How fast each session may transfer in each direction, in bytes a second, such as
	// `500K`, `2M` or `up 500K down 2M`. A user's own rate wins.
	Rate Rates `yaml:"rate" default:"off"`
	// How fast sessions may transfer together.
	SharedRates SharedRates `yaml:"shared_rates"`
	// What users may not do beside `permissions`, unless they say otherwise.
	Policy Policy `yaml:"policy"`
	// Who is kept out. See [security.md](security.md).
	Defence Defence `yaml:"defence"`
	// What clients can take at most.
	Limits Limits `yaml:"limits"`
	// When to end what takes too long.
	Timeouts Timeouts `yaml:"timeouts"`
	// The connections that carry files and listings.
	Data Data `yaml:"data"`
	// Load balancers in front of ftpgate that tell the client's address.
	Proxy Proxy `yaml:"proxy"`
	// FTPS: what TLS is offered, and where it is required. See [tls.md](tls.md).
	TLS TLS `yaml:"tls"`
	// What becomes of uploads that did not end well.
	Uploads Uploads `yaml:"uploads"`
	// What is logged to standard error.
	Log Log `yaml:"log"`

	// File is where this was read, or empty.
	File string
}

// User is one who may log in.
type User struct {
	// The name, as the client spells it; case matters.
	Name UserName `yaml:"name"`
	// The password in clear. Better is `hash`; and a user who has neither gets the
	// password from the environment (`FTPGATE_USERS`) or the command line.
	Password Password `yaml:"password"`
	// The hash of the password, which `ftpgate passwd` prints: argon2id, bcrypt, scrypt,
	// yescrypt, PBKDF2 or SHA-crypt. `!` locks the account.
	Hash Hash `yaml:"hash"`
	// The directory that is the root of this user, such as `/alice` or `/home/{user}`.
	Home Home `yaml:"home" default:"/"`
	// What is served to this user in place of `url`.
	URL URL `yaml:"url"`
	// As `quota.bytes`, for this user.
	QuotaBytes Size `yaml:"quota_bytes"`
	// As `quota.files`, for this user.
	QuotaFiles Count `yaml:"quota_files"`
	// What the user may do, in letters: `e` enter directories, `l` list, `r` read, `a`
	// append, `d` delete, `f` rename, `m` make directories, `w` store files, `M` change
	// permission bits, `T` change times. Behind the letters parts of them may be added or
	// taken away, as in `elradw-overwrite` or `elr+rmdir`: `read` and `hash` are `r`, `delete` and `rmdir`
	// are `d`, `create`, `overwrite` and `symlink` are `w`. Without this key `write` decides.
	Permissions Permissions `yaml:"permissions"`
	// What this user may not do beside that.
	Policy Policy `yaml:"policy"`
	// How fast each session of this user may transfer in each direction; `off` lifts
	// the limit that `rate` sets for all.
	Rate Rates `yaml:"rate"`
	// How fast all sessions of this user together may transfer in each direction.
	UserRate Rates `yaml:"user_rate"`
	// How many sessions this user may have at once.
	Sessions Count `yaml:"sessions"`
	// As `uploads.control_lost`, for this user.
	ControlLost ControlLost `yaml:"control_lost"`
	// As `uploads.lenient_tls`, for this user.
	LenientTLS *bool `yaml:"lenient_tls"`
	// Refuses the login without TLS, and transfers without TLS on the data connection,
	// whatever `tls.required` says for others.
	RequireTLS bool `yaml:"require_tls" default:"false"`
	// The device profile of this user's sessions.
	Profile ProfileName `yaml:"profile"`
	// Whether data connections of this user may go to other hosts, for transfers between two
	// servers (FXP).
	FXP bool `yaml:"fxp" default:"false"`
	// Refuses the login.
	Disabled bool `yaml:"disabled" default:"false"`
	// The first day on which the login is refused, such as `2027-01-31` (in UTC), or a
	// moment such as `2027-01-31T12:00:00+01:00`.
	Expires Moment `yaml:"expires"`

	position
}

// Limits bound what clients can take.
type Limits struct {
	// Sessions in all; the next one is told to come back later.
	Sessions Count `yaml:"sessions" default:"20000"`
	// Sessions of one IPv4 address or IPv6 /64. Without this key it is 2048 and does not hold for
	// clients on this machine; see also `defence`.
	PerAddress Count `yaml:"per_address"`
	// Sessions of one user, where `users.sessions` does not say.
	PerUser Count `yaml:"per_user" default:"off"`
	// Sessions that have not logged in; without this key a quarter of `sessions`.
	Waiting Count `yaml:"waiting"`
	// Commands about files a second of one session, each of which may cost a request to
	// the store. As many may come at once; then the session is slowed down.
	CommandRate Count `yaml:"commands_per_second" default:"10000"`
	// Bytes of a command line. A longer one ends the session.
	LineLength Count `yaml:"line_length" default:"8192"`
	// Failed logins that end a session.
	LoginFailures Count `yaml:"login_failures" default:"5"`
	// Unknown commands before login that end a session.
	UnknownCommands Count `yaml:"unknown_commands" default:"20"`
	// Bytes that one HASH, XCRC or the like reads at most.
	HashSize Size `yaml:"hash_size" default:"64G"`
	// Entries that DSIZ counts, and RMDA and SITE RMDIR remove, at most.
	Tree Count `yaml:"tree" default:"100000"`
	// Operations that may hang in a store that no longer answers before new logins are
	// told to come back later.
	Abandoned Count `yaml:"abandoned" default:"256"`
}

// Timeouts end what takes too long.
type Timeouts struct {
	// From connecting to having logged in.
	Login Duration `yaml:"login" default:"10s"`
	// How long a refused login takes at least where there are `account_sources`, so that its time
	// tells nothing about who is known to them; longer than they take.
	Refusal Duration `yaml:"refusal" default:"500ms"`
	// Between two commands.
	Idle Duration `yaml:"idle" default:"5m"`
	// What clients may set it to (SITE IDLE) at most.
	IdleMax Duration `yaml:"idle_max" default:"2h"`
	// Until the client opened the data connection.
	DataOpen Duration `yaml:"data_open" default:"30s"`
	// Without a byte on the data connection.
	Stall Duration `yaml:"stall" default:"1m"`
	// For the client to take a reply.
	Write Duration `yaml:"write" default:"30s"`
	// For TLS handshakes.
	Handshake Duration `yaml:"handshake" default:"10s"`
	// For the store to give up what was cancelled.
	Abandon Duration `yaml:"abandon" default:"10s"`
	// How long running transfers may go on when ftpgate is told to stop; `0s` cuts them
	// at once, `off` waits for all of them.
	Grace Grace `yaml:"grace" default:"30s"`
}

// Data describes the data connections.
type Data struct {
	// The ports that passive data connections use, which a firewall must let in. The
	// default lies outside of Linux' ephemeral range. A change takes a restart.
	PassivePorts Ports `yaml:"passive_ports" default:"61000-65535"`
	// What PASV tells to clients, for a server behind NAT: an IPv4 address, a host name, which is
	// looked up once a minute, or `0.0.0.0`, which many clients take for the address that they connected
	// to. Without this key it is that address itself.
	PublicAddress PublicAddress `yaml:"public_address"`
	// What PASV tells to clients of some networks instead.
	PublicAddresses []ClientAddress `yaml:"public_addresses"`
	// Whose data connections are accepted: `exact` those of the client's address, `network` those of its
	// IPv4 /24 or IPv6 /64, for clients behind NAT with several addresses, or those of `any`body, which lets
	// others steal and send files.
	PeerCheck PeerCheck `yaml:"peer_check" default:"exact"`
	// Whether data may be compressed (MODE Z): `on_demand` for who asks, `offer` also tells it in FEAT, which
	// makes lftp use it by itself, also where the network is faster; or `off`.
	Deflate Deflate `yaml:"deflate" default:"on_demand"`
	// Whether the server may connect to clients (PORT, EPRT).
	Active bool `yaml:"active" default:"true"`
	// Whether clients may connect to the server (PASV, EPSV).
	Passive bool `yaml:"passive" default:"true"`
}

// TLS is FTPS.
type TLS struct {
	// The certificates. A client gets the first one for the name that it asks for (SNI),
	// or else the first of all. They are read again when the files change and at
	// SIGHUP.
	Certificates []Certificate `yaml:"certificates"`
	// Offers TLS with a certificate that is made at the start and that nobody trusts, for
	// trying out.
	SelfSigned bool `yaml:"self_signed" default:"false"`
	// Certificates from an authority that speaks ACME, such as Let's Encrypt.
	ACME ACME `yaml:"acme"`
	// What is refused without TLS: `control` logins, `data` transfers, `all` both, or
	// `off` nothing.
	Required TLSRequired `yaml:"required" default:"off"`
	// Where clients connect that begin with TLS, by custom port 990: one address or a
	// list, as in `listen`. A change takes a restart.
	ImplicitListen []Address `yaml:"implicit_listen"`
	// The least version: `1.0`, `1.1`, `1.2` or `1.3`. Versions below 1.2 are broken; some old
	// devices have no other.
	MinVersion TLSVersion `yaml:"min_version" default:"1.2"`
	// Whether data connections have to prove, by resuming the TLS session of their
	// control connection, that the same client opened them: `require`, `offer` or `off`.
	// `require` shuts out clients that can't, and limits TLS to 1.2.
	Resumption Resumption `yaml:"resumption" default:"offer"`
	// Whether clients may take TLS off the control connection after the login (CCC), for
	// firewalls that have to read it.
	AllowCCC bool `yaml:"allow_ccc" default:"false"`
	// Certificates of clients.
	ClientCertificates ClientCertificates `yaml:"client_certificates"`
}

// Certificate is one of the server.
type Certificate struct {
	// The file with the certificate and its chain, in PEM.
	Cert Path `yaml:"cert"`
	// The file with its private key, in PEM without a passphrase. Without this key it
	// is in the file `cert`.
	Key Path `yaml:"key"`

	position
}

// ACME gets certificates by itself.
type ACME struct {
	// The names to get certificates for. Each must lead to this machine.
	Domains []Domain `yaml:"domains"`
	// Where the authority may send warnings.
	Email Email `yaml:"email"`
	// The URL of the authority's directory.
	Directory WebURL `yaml:"directory" default:"https://acme-v02.api.letsencrypt.org/directory"`
	// The directory that keeps the account's key and the certificates; it is made if
	// there is none. By default it is `ftpgate/acme` in the user's configuration
	// directory.
	Cache Path `yaml:"cache"`
	// Where the authority's HTTP requests arrive (http-01): it sends them to port 80 of each
	// name. `off` does without. A change takes a restart.
	HTTPListen Listen `yaml:"http_listen" default:":80"`
	// Where the authority's TLS requests arrive (tls-alpn-01): it sends them to port 443 of
	// each name. A change takes a restart.
	TLSListen Listen `yaml:"tls_listen" default:"off"`
	// A file with the authorities, in PEM, that the directory's own certificate is
	// checked against instead of those of this machine.
	CA Path `yaml:"ca"`
}

// ClientCertificates are what clients show of themselves.
type ClientCertificates struct {
	// The file with the authorities, in PEM, whose certificates clients may show.
	// Without this key clients are not asked for any.
	CA Path `yaml:"ca"`
	// Files with the lists of revoked certificates, in PEM or DER, of each authority that
	// issues certificates of clients. A list that has expired lets nobody in.
	CRL []Path `yaml:"crl"`
	// What in the certificate is the name of the user: `common_name` of the subject, or one of
	// its addresses of `email`. Another user is refused. With `any` the certificate opens the connection, and
	// any user may log in with a password.
	User CertificateUser `yaml:"user" default:"common_name"`
	// Whether the certificate is enough to log in, `alone`, or goes `with_password`.
	Login CertificateLogin `yaml:"login" default:"with_password"`
	// Whether clients without a certificate are refused. Needs `tls.required` for
	// logins.
	Required bool `yaml:"required" default:"false"`
}

// Uploads decide about uploads that did not end well.
type Uploads struct {
	// Where users see their own interrupted uploads: `exact` if they ask for the very
	// name (SIZE, MLST, MDTM), `listing` in listings too, `off` nowhere. Others never
	// see them.
	ShowStaged ShowStaged `yaml:"show_staged" default:"exact"`
	// Who may go on with an interrupted upload: the same `user`, the user from the same address
	// or IPv6 /64 (`user+address`, for accounts that several people share), or only the same
	// `session`.
	ResumeScope ResumeScope `yaml:"resume_scope" default:"user"`
	// What to do with an upload whose data connection ended cleanly although the
	// control connection is gone: `park` it, because a killed client looks the same, or
	// `commit` it, for devices that close both at once.
	ControlLost ControlLost `yaml:"control_lost" default:"park"`
	// Whether an upload counts as whole although its TLS ended without close_notify, for
	// old clients that never send it. Who sits on the way can then cut uploads short.
	LenientTLS bool `yaml:"lenient_tls" default:"false"`
}

// Log says what is logged.
type Log struct {
	// `text` or `json`.
	Format LogFormat `yaml:"format" default:"text"`
	// The least important messages that are logged: `debug`, `info`, `warn` or `error`.
	Level LogLevel `yaml:"level" default:"info"`
}
