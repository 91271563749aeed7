package auth

import (
	"context"
	"crypto/tls"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestSetAttribute(t *testing.T) {
	for _, c := range []struct {
		key, value, want string
		holds            func(*Account) bool
	}{
		{"disabled", "TRUE", "", func(a *Account) bool { return a.Disabled }},
		{"disabled", "f", "", func(a *Account) bool { return !a.Disabled }},
		{"disabled", "", "", func(a *Account) bool { return a.Disabled }},
		{"disabled", "maybe", `disabled is "maybe", not true or false`, nil},
		{"require_tls", "1", "", func(a *Account) bool { return a.RequireTLS }},
		{"fxp", "yes", "", func(a *Account) bool { return a.FXP }},
		{"lenient_tls", "true", "", func(a *Account) bool { return a.LenientTLS != nil && *a.LenientTLS }},
		{"lenient_tls", "maybe", `"maybe" is neither on nor off`, nil},
		{"home", "/x", "", func(a *Account) bool { return a.Home == "/x" }},
		{"home", "", "", func(a *Account) bool { return a.Home == "/old" }},
		{"home", "x", "home \"x\" does not begin with / (which is the top of what is served)", nil},
		{"perm", "elr", "", func(a *Account) bool { return a.Policy.Permissions == ReadOnly }},
		{"rate", "2M", "", func(a *Account) bool { return a.Rate == Both(2<<20) }},
		{"expires", "2030-01-31", "", func(a *Account) bool { return a.Expires.Year() == 2030 }},
	} {
		a := Account{Disabled: true, Settings: Settings{Home: "/old"}}
		err := a.SetAttribute(c.key, c.value)
		if c.want != "" && (err == nil || err.Error() != c.want) || c.want == "" && (err != nil || !c.holds(&a)) {
			t.Errorf("%s=%q: %v, %+v", c.key, c.value, err, a)
		}
	}
	for _, value := range []string{"", "x"} {
		if err := new(Account).SetAttribute("shell", value); err == nil || !strings.HasPrefix(err.Error(), `key "shell" is unknown; there are `) {
			t.Errorf("an unknown key with %q: %v", value, err)
		}
	}
	for key, want := range map[string]bool{"home": true, "disabled": true, "perm": true, "Home": false, "": false} {
		if err := CheckSetting(key); (err == nil) != want {
			t.Errorf("CheckSetting(%q): %v", key, err)
		}
	}
}

func TestAdmit(t *testing.T) {
	for _, c := range []struct {
		account Account
		reason  string
	}{
		{Account{Name: "a"}, ""},
		{Account{Name: "a", Disabled: true}, "the account is disabled"},
		{Account{Name: "a", Expires: time.Unix(1, 0)}, "the account expired on 1970-01-01"},
	} {
		p, err := c.account.Admit()
		if c.reason == "" && (err != nil || p.Name != "a") || c.reason != "" && (!errors.Is(err, ErrDenied) || errors.Is(err, ErrUnknownUser) || logged(err) != c.reason) {
			t.Errorf("%+v: %v, %v", c.account, p, err)
		}
	}
}

func TestHookRequest(t *testing.T) {
	a := Attempt{User: "älice", Password: `p"<`, Remote: netip.MustParseAddrPort("[::ffff:203.0.113.7]:50000"), Local: netip.MustParseAddrPort("[2001:db8::1]:21"), Host: "ftp.example"}
	for _, c := range []struct {
		tls  *tls.ConnectionState
		want string
	}{
		{nil, `{"user":"älice","password":"p\"\u003c","protocol":"ftp","remote":"203.0.113.7","remote_port":50000,"local":"2001:db8::1","local_port":21,"host":"ftp.example"}`},
		{&tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256},
			`{"user":"älice","password":"p\"\u003c","protocol":"ftps","tls":"TLS 1.3","tls_cipher":"TLS_AES_128_GCM_SHA256","remote":"203.0.113.7","remote_port":50000,"local":"2001:db8::1","local_port":21,"host":"ftp.example"}`},
	} {
		a.TLS = c.tls
		got, err := HookRequest(a)
		if err != nil || string(got) != c.want {
			t.Errorf("%v\n got %s\nwant %s", err, got, c.want)
		}
	}
	for _, c := range []struct {
		user, password string
		unknown        bool
	}{{"a", "", false}, {"", "x", true}, {"a\x00", "x", true}, {"a\xff", "x", true}, {"a", "x\xff", false}} {
		_, err := HookRequest(Attempt{User: c.user, Password: c.password})
		if !errors.Is(err, ErrDenied) || errors.Is(err, ErrUnknownUser) != c.unknown {
			t.Errorf("%q/%q: %v", c.user, c.password, err)
		}
	}
}

func TestHookAnswer(t *testing.T) {
	defaults := Account{Settings: Settings{Home: "/preset", Rate: Both(7)}}
	good := map[string]func(*Account) bool{
		"":                                    func(a *Account) bool { return a.Name == "u" && a.Home == "/preset" && a.Rate == Both(7) },
		" \n":                                 func(a *Account) bool { return a.Name == "u" },
		"{}":                                  func(a *Account) bool { return a.Name == "u" && a.Home == "/preset" },
		`{"home": "/x", "rate": 1024}` + "\n": func(a *Account) bool { return a.Home == "/x" && a.Rate == Both(1024) },
		`{"name": "U", "disabled": true, "require_tls": false, "profile": null}`: func(a *Account) bool { return a.Name == "U" && a.Disabled && !a.RequireTLS },
	}
	for text, holds := range good {
		if a, err := HookAnswer([]byte(text), "u", defaults); err != nil || !holds(a) {
			t.Errorf("%s: %+v, %v", text, a, err)
		}
	}
	for text, want := range map[string]string{
		"[]":                          "the answer is not a JSON object",
		"ok":                          "the answer is not a JSON object",
		`{"home": "/x"`:               "the answer is not a whole JSON object",
		`{"home": "/x",}`:             "the answer is not a whole JSON object",
		`{"home": `:                   "the answer is not a whole JSON object",
		`{} {}`:                       "the answer goes on behind its JSON object",
		`{"home": "/x", "home": "/"}`: `the answer has "home" twice`,
		`{"home": ["/x"]}`:            `the answer, "home": a text, a number, true, false or null is wanted`,
		`{"name": "a:b"}`:             `the answer, "name": user name "a:b" has a colon`,
		`{"shell": 1}`:                `the answer, "shell": key "shell" is unknown; `,
		`{"rate": "fast"}`:            `the answer, "rate": rate "fast" is not `,
	} {
		if _, err := HookAnswer([]byte(text), "u", defaults); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// Names that were not seen are checked against secrets in the proportion in which
// they were seen.
func TestLearnedDecoys(t *testing.T) {
	d := NewDecoys()
	if d.Pick(1).locked() || d.Pick(1).match("") {
		t.Error("no preset")
	}
	d.Saw("locked", Secret{})
	kind := func(name string) Secret { return Secret{match: func(s string) bool { return s == name }} }
	for i := range 4000 {
		name := "rare"
		if i%4 > 0 {
			name = "usual"
		}
		d.Saw(strings.Repeat("x", i), kind(name))
	}
	usual := 0
	for seed := range uint64(1000) {
		s := d.Pick(seed)
		if !s.match("usual") && !s.match("rare") {
			t.Fatal("a secret that was not seen")
		}
		if s.match("usual") {
			usual++
		}
		if s.match("usual") != d.Pick(seed).match("usual") {
			t.Fatal("the same seed gives two secrets")
		}
	}
	if usual < 600 || usual > 900 {
		t.Errorf("%d of 1000 are of the kind that three quarters have", usual)
	}
}

// A login that was held is still asked about.
func TestHoldRecheck(t *testing.T) {
	for removed, want := range map[bool]error{false: nil, true: ErrDenied} {
		users := mustUsers(t, Account{Name: "alice", Disabled: removed, Secret: Plaintext("x")})
		if err := Recheck(t.Context(), Hold(Chain(users), time.Hour), &Principal{Name: "alice"}); !errors.Is(err, want) {
			t.Errorf("disabled %v: %v", removed, err)
		}
	}
}

// Refusals come together, whatever took how long; the others don't wait.
func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := map[string]error{"right": nil, "wrong": Deny("wrong"), "unknown": ErrUnknownUser, "down": ErrUnavailable}
		slow := Hold(AuthenticatorFunc(func(_ context.Context, a Attempt) (*Principal, error) {
			time.Sleep(time.Duration(len(a.Password)) * 10 * time.Millisecond)
			return nil, answers[a.User]
		}), time.Second)
		for user, err := range answers {
			for _, password := range []string{"", "x", "xxxx"} {
				start := time.Now()
				if _, got := slow.Authenticate(t.Context(), Attempt{User: user, Password: password}); got != err {
					t.Errorf("%s: %v", user, got)
				}
				want := time.Duration(len(password)) * 10 * time.Millisecond
				if errors.Is(err, ErrDenied) {
					want = time.Second
				}
				if took := time.Since(start); took != want {
					t.Errorf("%s took %v, not %v", user, took, want)
				}
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		start := time.Now()
		if _, err := slow.Authenticate(ctx, Attempt{User: "wrong"}); !errors.Is(err, ErrDenied) || time.Since(start) != 100*time.Millisecond {
			t.Errorf("after the hang-up: %v, %v", err, time.Since(start))
		}
	})
}
