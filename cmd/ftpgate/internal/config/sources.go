package config

// AccountSource knows users outside of ftpgate. It is of one kind.
type AccountSource struct {
	// A directory server, such as OpenLDAP or Active Directory.
	LDAP *LDAP `yaml:"ldap"`
	// A database, PostgreSQL or SQLite.
	SQL *SQL `yaml:"sql"`
	// A web service.
	HTTP *HTTP `yaml:"http"`
	// A program.
	Exec *Exec `yaml:"exec"`
	// The Pluggable Authentication Modules of the system, if ftpgate was built with the tag `pam`.
	PAM *PAM `yaml:"pam"`
	// Whether the next source is asked when this one can't be, instead of refusing the login for
	// the time being. Then whoever is known to both gets in by the other one, and who is only known to this one is refused.
	Optional bool `yaml:"optional" default:"false"`
	// The settings of its users, where it does not say otherwise, by the keys of
	// [settings](accounts.md#settings).
	Defaults Pairs `yaml:"defaults"`

	position
}

// LDAP is a directory server.
type LDAP struct {
	// The servers, `ldaps://HOST:PORT`, `ldap://HOST:PORT` or `ldapi:///SOCKET`: one or a list. The
	// first one that answers is asked.
	URL []LDAPServer `yaml:"url"`
	// Whether connections to `ldap://` begin TLS by StartTLS.
	StartTLS bool `yaml:"start_tls" default:"false"`
	// Whether passwords may be sent without TLS to other machines, where anybody on the way
	// can read them.
	ClearText bool `yaml:"clear_text" default:"false"`
	// The file with the authorities, in PEM, that the server's certificate is checked against,
	// instead of those of the system.
	CA Path `yaml:"ca"`
	// The service account that looks for users. Without this key, and without `user_dn`, the search is
	// anonymous.
	BindDN string `yaml:"bind_dn"`
	// The environment variable with its password.
	BindPasswordEnv EnvName `yaml:"bind_password_env"`
	// The file with its password.
	BindPasswordFile Path `yaml:"bind_password_file"`
	// What to bind as, without a search before, such as `uid={user},ou=people,dc=example,dc=org`, or
	// `{user}@example.org` with Active Directory.
	UserDN UserDN `yaml:"user_dn"`
	// Where users are looked for, in the whole tree below, such as `ou=people,dc=example,dc=org`.
	Base DN `yaml:"base"`
	// What an entry must match, such as `(&(objectClass=person)(uid={user}))`. Without this key it is
	// `user_attribute` that must be the name.
	Filter Filter `yaml:"filter"`
	// The attribute with the name of the user: `uid`, or `sAMAccountName` with Active Directory.
	UserAttribute Attribute `yaml:"user_attribute" default:"uid"`
	// The groups, one of which the user must be in: one DN or a list.
	Groups []DN `yaml:"groups"`
	// Which attribute holds which [setting](accounts.md#settings), such as `home: ftpHome`.
	Attributes Pairs `yaml:"attributes"`
	// How long a login may take.
	Timeout Timeout `yaml:"timeout" default:"5s"`
	// Logins at once; further ones wait.
	Concurrency Bound `yaml:"concurrency" default:"16"`

	// BindPassword is that of bind_dn.
	BindPassword Password

	position
}

// SQL is a database.
type SQL struct {
	// `postgres://USER@HOST/DATABASE?sslmode=verify-full`, with the parameters of libpq, or
	// `sqlite:FILE`.
	Database Database `yaml:"database"`
	// The environment variable with the password of the database's user.
	PasswordEnv EnvName `yaml:"password_env"`
	// The file with that password.
	PasswordFile Path `yaml:"password_file"`
	// The query for the user whose name is `$1`, such as `SELECT hash, home FROM users WHERE name = $1`. Its columns
	// are `hash`, `name` if the database ignores case, and [settings](accounts.md#settings).
	Query Query `yaml:"query"`
	// How long a query may take.
	Timeout Timeout `yaml:"timeout" default:"5s"`
	// Connections at most; further logins wait.
	Concurrency Bound `yaml:"concurrency" default:"8"`

	// Password is that of the database's user.
	Password Password

	position
}

// HTTP is a web service.
type HTTP struct {
	// Where the question is posted: a URL that begins with `https://`, or `http://` on this machine.
	URL HookURL `yaml:"url"`
	// The environment variable with a bearer token.
	TokenEnv EnvName `yaml:"token_env"`
	// The file with a bearer token.
	TokenFile Path `yaml:"token_file"`
	// The file with the authorities, in PEM, that the server's certificate is checked against,
	// instead of those of the system.
	CA Path `yaml:"ca"`
	// The file with ftpgate's own certificate, in PEM, for services that ask for one.
	Cert Path `yaml:"cert"`
	// The file with its key. Without this key it is in the file `cert`.
	Key Path `yaml:"key"`
	// How long an answer may take.
	Timeout Timeout `yaml:"timeout" default:"5s"`
	// Connections at most; further logins wait.
	Concurrency Bound `yaml:"concurrency" default:"16"`

	// Token is the bearer token.
	Token Password

	position
}

// Exec is a program.
type Exec struct {
	// The program and its arguments: one text or a list. No shell reads them.
	Command []string `yaml:"command"`
	// How long it may run.
	Timeout Timeout `yaml:"timeout" default:"5s"`
	// Runs at once; further logins wait.
	Concurrency Bound `yaml:"concurrency" default:"16"`

	position
}

// PAM are the modules of the system.
type PAM struct {
	// The name of the file in `/etc/pam.d`.
	Service string `yaml:"service" default:"ftpgate"`
	// The directory of that file, if it is another.
	ConfDir Path `yaml:"conf_dir"`
	// How long a login may take.
	Timeout Timeout `yaml:"timeout" default:"10s"`
	// Logins at once; further ones wait.
	Concurrency Bound `yaml:"concurrency" default:"16"`

	position
}
