package sftp

import (
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestOptionsFromURL(t *testing.T) {
	for raw, want := range map[string]Options{
		"sftp://ann@host":                {},
		"sftp://ann@host/":               {Dir: "/"},
		"sftp://ann@host/a%20b/c":        {Dir: "/a b/c"},
		"sftp://ann@host:2222/d":         {Dir: "/d", Port: 2222},
		"sftp://ann@host/~":              {},
		"sftp://ann@host/~/":             {},
		"sftp://ann@host/~/a/b":          {Dir: "a/b"},
		"sftp://ann@host/~bob":           {Dir: "/~bob"},
		"sftp://ann@[2001:db8::1]:22/d":  {Dir: "/d", Host: "2001:db8::1", Port: 22},
		"sftp://a%40b@host/%23":          {User: "a@b", Dir: "/#"},
		"sftp://ann@host/d?identity=/k":  {Dir: "/d", Identity: "/k"},
		"sftp://ann@host?known_hosts=/h": {KnownHosts: []string{"/h"}},
		"sftp://ann@host?certificate=/c&passphrase_file=/p&password_file=/w&agent=on&sync=off&overwrite=remove&staged_expiry=90m&copy_limit=7&connections=2&timeout=5s": {
			Certificate: "/c", PassphraseFile: "/p", PasswordFile: "/w", Agent: AgentOn, NoSync: true, RemoveFirst: true,
			StagedExpiry: 90 * time.Minute, CopyLimit: 7 << 20, Connections: 2, Timeout: 5 * time.Second,
		},
		"sftp://ann@host?staged_expiry=never&copy_limit=none&agent=off&sync=on&overwrite=atomic": {StagedExpiry: -1, CopyLimit: -1, Agent: AgentOff},
	} {
		if want.Host == "" {
			want.Host = "host"
		}
		if want.User == "" {
			want.User = "ann"
		}
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		got, err := OptionsFromURL(u)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v; want %+v", raw, got, err, want)
		}
	}
}

func TestOptionsFromURLErrors(t *testing.T) {
	for raw, says := range map[string]string{
		"sftp://ann:secret@host/d":             "environment variable FTPGATE_SFTP_PASSWORD",
		"sftp://ann:@host/d":                   "holds no password",
		"sftp://host/d":                        "names no user: write sftp://user@host:port/directory",
		"sftp:///d":                            "names no host",
		"sftp:ann@host":                        "names no host",
		"sftp://ann@/d":                        "names no host",
		"ftp://ann@host/d":                     "begins with sftp://",
		"sftp://ann@host/d#x":                  "%23",
		"sftp://ann@host:0/d":                  "port 0",
		"sftp://ann@host:99999/d":              "port 99999",
		"sftp://ann@host/a%00b":                "is no path",
		"sftp://ann@host?Sync=off":             `no parameter "Sync": it may have agent`,
		"sftp://ann@host?password=secret":      `no parameter "password"`,
		"sftp://ann@host?sync=off&sync=on":     "sync 2 times",
		"sftp://ann@host?sync=no":              "sync=no: it is on or off",
		"sftp://ann@host?agent=yes":            "it is auto, on or off",
		"sftp://ann@host?overwrite=x":          "it is atomic or remove",
		"sftp://ann@host?identity=":            "it is the path of a file",
		"sftp://ann@host?known_hosts=":         "it is the path of a file",
		"sftp://ann@host?staged_expiry=1":      "24h",
		"sftp://ann@host?timeout=-1s":          "90s",
		"sftp://ann@host?connections=0":        "number above 0",
		"sftp://ann@host?copy_limit=0":         "MiB",
		"sftp://ann@host?copy_limit=99999999x": "MiB",
		"sftp://ann@host?%zz":                  "can't be read",
	} {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		_, err = OptionsFromURL(u)
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v; want one line with %q, and no password", raw, err, says)
		}
	}
}
