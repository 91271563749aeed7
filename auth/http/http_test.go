package http

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ftpgate/ftpgate/auth"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve is a source in front of a handler over TLS.
func serve(t *testing.T, opt Options, handler http.HandlerFunc) (*Source, *httptest.Server) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = true
	server.Config.ErrorLog = nil
	server.StartTLS()
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	if opt.TLS == nil {
		opt.TLS = &tls.Config{RootCAs: pool}
	}
	opt.URL = server.URL + "/login"
	s, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(); server.Close() })
	return s, server
}

func login(t *testing.T, s *Source, user, password string) (*auth.Principal, error) {
	t.Helper()
	return s.Authenticate(t.Context(), auth.Attempt{User: user, Password: password, Remote: netip.MustParseAddrPort("192.0.2.1:1000")})
}

func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		want   error
		err    string // of the log
		home   string
	}{
		{200, "", nil, "", "/preset"},
		{200, `{"home": "/u", "rate": 100}`, nil, "", "/u"},
		{200, `{"disabled": true}`, auth.ErrDenied, "", ""},
		{200, `{"expires": "2020-01-01"}`, auth.ErrDenied, "", ""},
		{401, "", auth.ErrDenied, "", ""},
		{403, `{"home": "/u"}`, auth.ErrDenied, "", ""},
		{404, "", auth.ErrUnknownUser, "", ""},
		{204, "", auth.ErrUnavailable, "status 204, not 200, 401, 403 or 404", ""},
		{302, "", auth.ErrUnavailable, "status 302, not 200, 401, 403 or 404", ""},
		{307, "", auth.ErrUnavailable, "status 307, not 200, 401, 403 or 404", ""},
		{500, "", auth.ErrUnavailable, "status 500, not 200, 401, 403 or 404", ""},
		{200, "<html>", auth.ErrUnavailable, "the answer is not a JSON object", ""},
		{200, `{"homes": "/u"}`, auth.ErrUnavailable, `key "homes" is unknown`, ""},
		{200, strings.Repeat(" ", 65<<10), auth.ErrUnavailable, "the answer is longer than 64 KiB", ""},
	} {
		s, server := serve(t, Options{Defaults: auth.Account{Settings: auth.Settings{Home: "/preset"}}}, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/login" {
				t.Errorf("the password went on to %s", r.URL)
			}
			w.Header().Set("Location", "/other")
			w.WriteHeader(c.status)
			io.WriteString(w, c.body)
		})
		p, err := login(t, s, "u", "secret")
		if !errors.Is(err, c.want) || (p == nil) != (c.want != nil) || c.want == auth.ErrDenied && errors.Is(err, auth.ErrUnknownUser) {
			t.Errorf("%d %s: %v, %v", c.status, c.body, p, err)
			continue
		}
		if err != nil && !strings.Contains(err.Error(), c.err) || c.err != "" && !strings.Contains(err.Error(), server.URL) {
			t.Errorf("%d %s: %v", c.status, c.body, err)
		}
		if p != nil && (p.Name != "u" || p.Home != c.home) {
			t.Errorf("%d %s: %+v", c.status, c.body, p)
		}
	}
}

func TestRequest(t *testing.T) {
	var asked atomic.Int64
	s, _ := serve(t, Options{Token: "t0ken"}, func(_ http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		var request map[string]any
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil || request["user"] != "u" || request["password"] != "se\"cret" || request["remote"] != "192.0.2.1" {
			t.Errorf("%v, %v", request, err)
		}
		if r.Method != "POST" || r.Header.Get("Authorization") != "Bearer t0ken" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s with %v", r.Method, r.Header)
		}
	})
	if _, err := login(t, s, "u", "se\"cret"); err != nil {
		t.Error(err)
	}
	for user, password := range map[string]string{"u": "", "": "x", "a:b": "x", "v": "\xff"} {
		if p, err := login(t, s, user, password); !errors.Is(err, auth.ErrDenied) {
			t.Errorf("%q/%q: %v, %v", user, password, p, err)
		}
	}
	if asked.Load() != 1 {
		t.Errorf("the service was asked %d times", asked.Load())
	}
}

// Nothing is sent to a server whose certificate is not that of the authorities given.
func TestTLS(t *testing.T) {
	asked := false
	s, _ := serve(t, Options{TLS: &tls.Config{}}, func(http.ResponseWriter, *http.Request) { asked = true })
	_, err := login(t, s, "u", "x")
	var unknown *tls.CertificateVerificationError
	if !errors.Is(err, auth.ErrUnavailable) || !errors.As(err, &unknown) || asked {
		t.Error(err, asked)
	}
}

// The client shows its certificate to services that ask for one.
func TestClientCertificate(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) != 1 {
			w.WriteHeader(403)
		}
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	server.StartTLS()
	defer server.Close()
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	for _, own := range [][]tls.Certificate{server.TLS.Certificates, nil} {
		s, err := New(Options{URL: server.URL, TLS: &tls.Config{RootCAs: pool, Certificates: own}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := login(t, s, "u", "x"); own != nil && err != nil || own == nil && !errors.Is(err, auth.ErrUnavailable) {
			t.Errorf("with %d certificates: %v", len(own), err)
		}
		s.Close()
	}
}

func TestUnavailable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := "http://" + l.Addr().String()
	l.Close()
	s, err := New(Options{URL: dead})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := login(t, s, "u", "hunter2"); !errors.Is(err, auth.ErrUnavailable) || !strings.Contains(err.Error(), "refused") || strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}

	release := make(chan struct{})
	slow, _ := serve(t, Options{Timeout: 200 * time.Millisecond}, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		<-release // in the middle of the body
	})
	_, err = login(t, slow, "u", "x")
	close(release)
	if !errors.Is(err, auth.ErrUnavailable) || !strings.Contains(err.Error(), "no answer within 200ms") {
		t.Error(err)
	}

	hangUp := errors.New("the client hung up")
	ctx, cancel := context.WithCancelCause(t.Context())
	gone, _ := serve(t, Options{Timeout: time.Minute}, func(_ http.ResponseWriter, r *http.Request) {
		cancel(hangUp)
		io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	if _, err := gone.Authenticate(ctx, auth.Attempt{User: "u", Password: "x"}); !errors.Is(err, hangUp) || !errors.Is(err, auth.ErrUnavailable) {
		t.Error(err)
	}
}

func TestCheckURL(t *testing.T) {
	for url, want := range map[string]string{
		"https://accounts.example.org/login": "",
		"http://127.0.0.1:8080/login?x=y":    "",
		"http://[::1]/":                      "",
		"http://localhost/":                  "",
		"http://accounts.example.org/":       "would send passwords in clear; write https",
		"http://127.0.0.1.example.org/":      "would send passwords in clear; write https",
		"https://u:p@accounts.example.org/":  "holds a user name or a password; send a token instead",
		"ftp://example.org/":                 "is not a URL that begins with https://",
		"accounts.example.org":               "is not a URL such as",
		"https:///login":                     "is not a URL such as",
		"https://example.org/#x":             "ends with a fragment",
		"":                                   "is not a URL such as",
	} {
		err := CheckURL(url)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", url, err)
		}
		if _, e := New(Options{URL: url}); fmt.Sprint(e) != "<nil>" && e.Error() != "url: "+err.Error() {
			t.Errorf("%s: %v", url, e)
		}
	}
}
