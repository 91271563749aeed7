package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// counted is a secret that counts how often a password is checked against it.
func counted(password string, n *atomic.Int64) Secret {
	return Secret{match: func(got string) bool {
		n.Add(1)
		return got == password
	}}
}

func mustUsers(t testing.TB, accounts ...Account) *Users {
	t.Helper()
	u, err := NewUsers(accounts...)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// Whatever the outcome, a login with a name that directories look up checks one
// password, no more and no less.
func TestEqualTime(t *testing.T) {
	var n atomic.Int64
	first := mustUsers(t,
		Account{Name: "alice", Secret: counted("a", &n)},
		Account{Name: "disabled", Secret: counted("d", &n), Disabled: true},
		Account{Name: "expired", Secret: counted("e", &n), Expires: time.Unix(1, 0)},
		Account{Name: "locked"})
	second := mustUsers(t, Account{Name: "bob", Secret: counted("b", &n)}, Account{Name: "empty", Secret: counted("", &n)})
	nested := Chain(second)
	chains := map[string]Authenticator{
		"flat":   Chain(first, second),
		"nested": Chain(Chain(first), Anonymous(nil), nested),
	}
	for name, chain := range chains {
		for _, c := range []struct {
			user, password string
			want           error
			reason         string
		}{
			{"alice", "a", nil, ""},
			{"alice", "x", ErrDenied, "the password is wrong"},
			{"alice", "", ErrDenied, "the password is wrong"},
			{"Alice", "a", ErrDenied, "the user is unknown"},
			{"bob", "b", nil, ""},
			{"bob", "a", ErrDenied, "the password is wrong"},
			{"nobody", "a", ErrDenied, "the user is unknown"},
			{"", "", ErrDenied, "the user is unknown"},
			{"disabled", "d", ErrDenied, "the account is disabled"},
			{"disabled", "x", ErrDenied, "the account is disabled"},
			{"expired", "e", ErrDenied, "the account expired on 1970-01-01"},
			{"locked", "", ErrDenied, "the account is locked"},
			{"locked", "a", ErrDenied, "the account is locked"},
			{"empty", "", ErrDenied, "the password is wrong"},
		} {
			n.Store(0)
			p, err := chain.Authenticate(t.Context(), Attempt{User: c.user, Password: c.password})
			if !errors.Is(err, c.want) || (err == nil) != (p != nil) {
				t.Errorf("%s: %s/%q: %v, %v", name, c.user, c.password, p, err)
			}
			if n.Load() != 1 {
				t.Errorf("%s: %s/%q checked %d passwords", name, c.user, c.password, n.Load())
			}
			if err == nil {
				if p.Name != c.user {
					t.Errorf("%s: %s became %s", name, c.user, p.Name)
				}
				continue
			}
			if err.Error() != ErrDenied.Error() {
				t.Errorf("%s: %s/%q tells the client %q", name, c.user, c.password, err)
			}
			if got := logged(err); got != c.reason {
				t.Errorf("%s: %s/%q is logged as %q, not %q", name, c.user, c.password, got, c.reason)
			}
		}
	}
}

// logged is how err shows in a log.
func logged(err error) string {
	var b bytes.Buffer
	h := slog.NewTextHandler(&b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key != "error" {
			return slog.Attr{}
		}
		return a
	}})
	slog.New(h).Info("", "error", err)
	return strings.Trim(strings.TrimPrefix(strings.TrimSpace(b.String()), "error="), `"`)
}

// The same unknown name costs the same each time, and over many names all kinds
// of secrets come up, so that a cost does not tell known from unknown names.
func TestDecoys(t *testing.T) {
	var counts [3]atomic.Int64
	chain := Chain(
		mustUsers(t, Account{Name: "a", Secret: counted("a", &counts[0])}, Account{Name: "b", Secret: counted("b", &counts[1])}),
		mustUsers(t, Account{Name: "c", Secret: counted("c", &counts[2])}))
	for i := range 400 {
		for range 3 {
			_, _ = chain.Authenticate(t.Context(), Attempt{User: fmt.Sprint("user", i), Password: "x"})
		}
		for k := range counts {
			if n := counts[k].Load(); n%3 != 0 {
				t.Fatalf("the same name was checked against different secrets: %d is not a multiple of 3", n)
			}
		}
	}
	for k := range counts {
		if n := counts[k].Load(); n < 60 {
			t.Errorf("secret %d served %d of 1200 logins of unknown users", k, n)
		}
	}
	if _, err := Chain().Authenticate(t.Context(), Attempt{User: "x"}); !errors.Is(err, ErrUnknownUser) {
		t.Errorf("an empty chain: %v", err)
	}
}

func TestChainOrder(t *testing.T) {
	broken := errors.New("connection refused")
	source := func(err error, calls *int) Authenticator {
		return AuthenticatorFunc(func(_ context.Context, a Attempt) (*Principal, error) {
			*calls++
			if err != nil {
				return nil, err
			}
			return &Principal{Name: a.User, Settings: Settings{Home: "/second"}}, nil
		})
	}
	users := mustUsers(t, Account{Name: "alice", Secret: Plaintext("a"), Settings: Settings{Home: "/first"}})
	for _, c := range []struct {
		name, password string
		answer         error
		home           string
		want           error
		calls          int
	}{
		{"alice", "a", nil, "/first", nil, 0},
		{"alice", "wrong", nil, "", ErrDenied, 0},
		{"bob", "b", nil, "/second", nil, 1},
		{"bob", "b", ErrUnknownUser, "", ErrUnknownUser, 1},
		{"bob", "b", fmt.Errorf("ldap: %w", ErrDenied), "", ErrDenied, 1},
		{"bob", "b", broken, "", broken, 1},
	} {
		calls, last := 0, 0
		p, err := Chain(users, source(c.answer, &calls), source(ErrUnknownUser, &last)).Authenticate(t.Context(), Attempt{User: c.name, Password: c.password})
		if !errors.Is(err, c.want) || calls != c.calls {
			t.Errorf("%+v: %v after %d calls", c, err, calls)
		}
		if err == nil && p.Home != c.home {
			t.Errorf("%+v: home %s", c, p.Home)
		}
		if asked := last == 1; asked != (c.answer == ErrUnknownUser) {
			t.Errorf("%+v: the third source was asked: %v", c, asked)
		}
	}
}

type brokenDirectory struct{ *Users }

func (brokenDirectory) Lookup(context.Context, string) (*Account, error) { return nil, ErrUnavailable }

func TestChainUnavailableDirectory(t *testing.T) {
	next := mustUsers(t, Account{Name: "alice", Secret: Plaintext("a")})
	_, err := Chain(brokenDirectory{next}, next).Authenticate(t.Context(), Attempt{User: "alice", Password: "a"})
	if !errors.Is(err, ErrUnavailable) {
		t.Errorf("a source that can't be asked: %v", err)
	}
}

// At most as many passwords as the gate lets through are checked at once, also by
// two chains that share it, and a login that waits gives up with its context.
func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := NewGate(2)
		var running, most atomic.Int64
		slow := Secret{match: func(string) bool {
			most.Store(max(most.Load(), running.Add(1)))
			time.Sleep(time.Second)
			running.Add(-1)
			return true
		}}
		users := mustUsers(t, Account{Name: "u", Secret: slow})
		chains := []Authenticator{gate.Chain(users), gate.Chain(users)}
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				if _, err := chains[i%2].Authenticate(t.Context(), Attempt{User: "u", Password: "x"}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if took := time.Since(start); took != 5*time.Second || most.Load() != 2 {
			t.Errorf("10 checks of 1 s, 2 at once, took %v with %d at once", took, most.Load())
		}

		for range 2 {
			wg.Go(func() { _, _ = chains[0].Authenticate(t.Context(), Attempt{User: "u", Password: "x"}) })
		}
		synctest.Wait()
		hangUp := errors.New("the client hung up")
		ctx, cancel := context.WithCancelCause(t.Context())
		wg.Go(func() {
			_, err := chains[1].Authenticate(ctx, Attempt{User: "u", Password: "x"})
			if !errors.Is(err, ErrUnavailable) || !errors.Is(err, hangUp) || errors.Is(err, ErrDenied) {
				t.Errorf("a login that gave up: %v", err)
			}
		})
		synctest.Wait()
		cancel(hangUp)
		wg.Wait()
	})
}

func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain := Chain(mustUsers(t, Account{Name: "u", Secret: Plaintext("x"), Expires: time.Now().Add(time.Hour)}))
		login := func() error {
			_, err := chain.Authenticate(t.Context(), Attempt{User: "u", Password: "x"})
			return err
		}
		time.Sleep(time.Hour - 1)
		if err := login(); err != nil {
			t.Errorf("before the moment: %v", err)
		}
		time.Sleep(time.Nanosecond)
		if err := login(); !errors.Is(err, ErrDenied) {
			t.Errorf("at the moment: %v", err)
		}
	})
}

func TestAnonymous(t *testing.T) {
	policy := &Policy{Permissions: ReadOnly}
	for user, want := range map[string]bool{"anonymous": true, "Anonymous": true, "ftp": true, "FTP": true, "ftpx": false, "": false, "alice": false} {
		p, err := Anonymous(policy).Authenticate(t.Context(), Attempt{User: user, Password: "me@example.org"})
		if want != (err == nil) || (!want && !errors.Is(err, ErrUnknownUser)) {
			t.Errorf("%q: %v", user, err)
		}
		if want && (!p.Anonymous || p.Name != "anonymous" || p.Policy != policy || p.Home != "") {
			t.Errorf("%q: %+v", user, p)
		}
	}
}

func BenchmarkLogin(b *testing.B) {
	for _, algorithm := range Algorithms() {
		b.Run(algorithm, func(b *testing.B) {
			hash, err := HashPassword("a password", algorithm)
			if err != nil {
				b.Fatal(err)
			}
			secret, err := ParseSecret(hash)
			if err != nil {
				b.Fatal(err)
			}
			users := mustUsers(b, Account{Name: "u", Secret: secret})
			for b.Loop() {
				if _, err := users.Authenticate(b.Context(), Attempt{User: "u", Password: "a password"}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
