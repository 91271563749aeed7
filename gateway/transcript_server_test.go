package gateway_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/ftpgate/ftpgate/auth"
	"github.com/ftpgate/ftpgate/backends/local"
	"github.com/ftpgate/ftpgate/backends/memory"
	"github.com/ftpgate/ftpgate/backends/s3"
	"github.com/ftpgate/ftpgate/backends/s3/s3fake"
	"github.com/ftpgate/ftpgate/gateway"
	"github.com/ftpgate/ftpgate/gateway/dataconn"
	"github.com/ftpgate/ftpgate/gateway/ftptest"
	"github.com/ftpgate/ftpgate/gateway/wire"
	"github.com/ftpgate/ftpgate/vfs"
)

// variant is one way to run every transcript. A further backend, or TLS, is one
// more line in variants.
type variant struct {
	name string
	// traits are what the settings "only" and "not" may name.
	traits []string
	// open makes an empty store; dir is where it lies on disk, if it does.
	open func(t *testing.T) (fsys vfs.FS, dir string)
	// virtual runs it in a synctest bubble, on a network in memory.
	virtual bool
	// tls protects the control connection and every data connection.
	tls bool
}

func variants() []variant {
	return []variant{
		{name: "memory", traits: []string{"memory", "tcp"}, open: openMemory},
		{name: "local", traits: []string{"local", "tcp"}, open: openLocal},
		{name: "virtual", traits: []string{"memory", "virtual"}, open: openMemory, virtual: true},
		{name: "tls", traits: []string{"memory", "tcp", "tls"}, open: openMemory, tls: true},
		{name: "s3", traits: []string{"s3", "tcp"}, open: openS3},
	}
}

func openMemory(*testing.T) (vfs.FS, string) { return memory.New(memory.Options{}), "" }

func openLocal(t *testing.T) (vfs.FS, string) {
	dir := t.TempDir()
	fsys, err := local.Open(local.Options{Dir: dir, NoSync: true, FileMode: 0o644, DirMode: 0o755})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { fsys.Close() })
	return fsys, dir
}

// openS3 is a bucket of a server in this process.
func openS3(t *testing.T) (vfs.FS, string) {
	fake := s3fake.New(t, s3fake.Options{})
	fsys, err := s3.Open(context.Background(), s3.Options{
		Bucket: fake.Bucket(), Endpoint: fake.URL, Region: "us-east-1",
		Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { fsys.Close() })
	return fsys, ""
}

// served is a server that runs a transcript.
type served struct {
	v    variant
	fsys vfs.FS // without faults
	dir  string
	addr netip.AddrPort
	net  network
	tls  *tls.Config // of the client, where the server offers TLS
	// codes is set where the server is not ours.
	codes *codesOnly

	mu     sync.Mutex
	cond   sync.Cond
	open   int  // sessions that hold the store
	late   bool // patience has run out
	faults map[fault]error
}

// fault is an operation on a name that is to fail.
type fault struct {
	op   vfs.Op
	name string
}

// serve starts the server that the head of tr describes.
func serve(t *testing.T, v variant, tr *transcript, fsys vfs.FS, dir string) (*served, error) {
	s := &served{v: v, fsys: fsys, dir: dir, faults: map[fault]error{}}
	s.cond.L = &s.mu
	cfg := gateway.Config{DefaultType: 'A'}
	var accounts []account
	host := netip.MustParseAddr("127.0.0.1")
	for _, line := range tr.head {
		var err error
		switch line.verb {
		case "config":
			err = configure(&cfg, line.rest)
		case "profile":
			err = defineProfile(&cfg, line.rest)
		case "user":
			var a account
			a, err = parseAccount(line.rest)
			accounts = append(accounts, a)
		case "network":
			switch line.rest {
			case "ip6":
				host = netip.IPv6Loopback()
			default:
				err = errors.New("the network is ip6, or is not mentioned")
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", line.at, err)
		}
	}
	cfg.Auth = authenticator(accounts)
	cfg.Open = s.openStore
	if v.virtual {
		return s, s.startVirtual(t, cfg, host)
	}
	return s, s.startTCP(t, cfg, host, v.tls || len(tr.setting("tls")) > 0)
}

func (s *served) startTCP(t *testing.T, cfg gateway.Config, host netip.Addr, withTLS bool) error {
	seen := &seenConns{}
	s.net = &tcpNetwork{seen: seen}
	o := ftptest.Options{FS: s.fsys, TLS: withTLS, Configure: func(c *gateway.Config) {
		cfg.Logger, cfg.TLS.Config = c.Logger, c.TLS.Config
		*c = cfg
		c.Data.Network = recordingNetwork{dataconn.System(), seen}
	}}
	if host.Is6() {
		o.Network = "tcp6"
	}
	srv := ftptest.Start(t, o)
	s.tls = srv.ClientTLS
	var err error
	s.addr, err = netip.ParseAddrPort(srv.Addr)
	return err
}

func (s *served) startVirtual(t *testing.T, cfg gateway.Config, host netip.Addr) error {
	mem := newMemNet()
	s.net = memNetwork{mem}
	cfg.Data.Network = mem
	cfg.Logger = slog.New(slog.NewTextHandler(logWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	srv, err := gateway.New(cfg)
	if err != nil {
		return err
	}
	s.addr = netip.AddrPortFrom(host, 21)
	l, err := mem.Listen(t.Context(), s.addr)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() {
		srv.Close()
		<-done
	})
	return nil
}

// logWriter writes the server's log to the test's.
type logWriter struct{ t *testing.T }

func (l logWriter) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSuffix(string(p), "\n"))
	return len(p), nil
}

// openStore is gateway.Config.Open: it counts who holds the store, and puts the
// faults in front of it.
func (s *served) openStore(context.Context, *auth.Principal) (vfs.FS, func(), error) {
	s.count(1)
	return vfs.Guard(s.fsys, s.check), func() { s.count(-1) }, nil
}

func (s *served) count(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open += n
	s.cond.Broadcast()
}

// waitSessions blocks until n sessions hold the store, or until giveUp.
func (s *served) waitSessions(n int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.open != n {
		if s.late {
			return fmt.Errorf("%d sessions hold the store", s.open)
		}
		s.cond.Wait()
	}
	return nil
}

func (s *served) giveUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.late = true
	s.cond.Broadcast()
}

func (s *served) check(op vfs.Op, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.faults[fault{op, name}]
}

func (s *served) setFault(op vfs.Op, name string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[fault{op, name}] = err
}

// account is who may log in.
type account struct {
	name, password string
	anonymous      bool
	settings       auth.Settings
}

// parseAccount reads "joe secret perm=elr profile=camera", with the keys of users
// files; without perm everything is allowed.
func parseAccount(text string) (account, error) {
	fields := strings.Fields(text)
	if len(fields) < 2 {
		return account{}, errors.New("write: user NAME PASSWORD [perm=LETTERS] [anonymous]")
	}
	a := account{name: fields[0], password: fields[1]}
	for _, f := range fields[2:] {
		if f == "anonymous" {
			a.anonymous = true
			continue
		}
		var set auth.Account
		key, value, hasValue := strings.Cut(f, "=")
		set.Settings = a.settings
		if err := set.Set(key, value, hasValue); err != nil {
			return account{}, err
		}
		a.settings = set.Settings
	}
	return a, nil
}

// authenticator knows accounts, or without any lets joe in with "secret".
func authenticator(accounts []account) auth.Authenticator {
	if len(accounts) == 0 {
		accounts = []account{{name: "joe", password: "secret"}}
	}
	return auth.AuthenticatorFunc(func(_ context.Context, try auth.Attempt) (*auth.Principal, error) {
		for _, a := range accounts {
			if a.name == try.User && (a.anonymous || a.password == try.Password) {
				return &auth.Principal{Name: a.name, Anonymous: a.anonymous, Settings: a.settings}, nil
			}
		}
		return nil, auth.ErrDenied
	})
}

// configure sets one field of cfg.
func configure(cfg *gateway.Config, text string) error {
	key, value, _ := strings.Cut(text, " ")
	number := map[string]*int{
		"sessions": &cfg.Limits.Sessions, "per-address": &cfg.Limits.PerAddress, "line-length": &cfg.Limits.LineLength,
		"login-failures": &cfg.Limits.LoginFailures, "unknown": &cfg.Limits.Unknown, "tree": &cfg.Limits.Tree,
	}
	duration := map[string]*time.Duration{
		"login": &cfg.Timeouts.Login, "idle": &cfg.Timeouts.Idle, "data-open": &cfg.Timeouts.DataOpen,
		"stall": &cfg.Timeouts.Stall, "idle-max": &cfg.Timeouts.IdleMax,
	}
	flag := map[string]*bool{
		"no-active": &cfg.Data.NoActive, "no-passive": &cfg.Data.NoPassive,
		"commit-on-control-lost": &cfg.Uploads.CommitOnControlLost, "lenient-tls": &cfg.Uploads.LenientTLS,
		"count-loopback": &cfg.Defence.CountLoopback, "require-tls": &cfg.TLS.RequireControl, "require-prot": &cfg.TLS.RequireData, "allow-ccc": &cfg.TLS.AllowCCC,
	}
	var err error
	switch {
	case number[key] != nil:
		*number[key], err = strconv.Atoi(value)
	case duration[key] != nil:
		*duration[key], err = time.ParseDuration(value)
	case flag[key] != nil && value == "":
		*flag[key] = true
	case key == "banner":
		cfg.Banner, err = strconv.Unquote(value)
	case key == "default-type" && (value == "A" || value == "I"):
		cfg.DefaultType = value[0]
	case key == "passive-ports":
		_, err = fmt.Sscanf(value, "%d-%d", &cfg.Data.PassivePorts.From, &cfg.Data.PassivePorts.To)
	case key == "zone":
		var hours int
		hours, err = strconv.Atoi(value)
		cfg.Location = time.FixedZone("", hours*3600)
	case key == "hash-size":
		cfg.Limits.HashSize, err = strconv.ParseInt(value, 10, 64)
	case key == "host":
		cfg.Host = func(name string) bool { return name == value }
	case key == "deflate":
		deflate, ok := map[string]gateway.Deflate{"on-demand": gateway.DeflateOnDemand, "offer": gateway.DeflateOffer, "off": gateway.DeflateOff}[value]
		if cfg.Data.Deflate = deflate; !ok {
			err = errors.New("it is on-demand, offer or off")
		}
	case key == "profile":
		cfg.Profile = value
	case key == "rate":
		cfg.Rates.Session, err = auth.ParseRates(value)
	case key == "show-staged":
		show, ok := map[string]vfs.ShowStaged{"exact": vfs.ShowExact, "listing": vfs.ShowListing, "never": vfs.ShowNever}[value]
		if cfg.Uploads.ShowStaged = show; !ok {
			err = errors.New("it is exact, listing or never")
		}
	default:
		err = configureNetwork(cfg, key, value)
	}
	if err != nil {
		return fmt.Errorf("config %s: %w", text, err)
	}
	return nil
}

// defineProfile reads "NAME KEY KEY=VALUE …" into a device profile.
func defineProfile(cfg *gateway.Config, text string) error {
	words := strings.Fields(text)
	if len(words) < 2 {
		return errors.New("write: profile NAME KEY…")
	}
	p := &gateway.Profile{}
	for _, word := range words[1:] {
		var ok bool
		switch key, value, _ := strings.Cut(word, "="); key {
		case "make-parents":
			p.MakeParents, ok = true, true
		case "backslash":
			p.Backslash, ok = true, true
		case "binary":
			p.Binary, ok = true, true
		case "commit-on-control-lost":
			p.CommitOnControlLost, ok = true, true
		case "lenient-tls":
			p.LenientTLS, ok = true, true
		case "names":
			p.Names, ok = map[string]vfs.Folding{"unicode": vfs.FoldForm, "insensitive": vfs.FoldForm | vfs.FoldCase}[value]
		case "charset":
			p.Charset, ok = map[string]encoding.Encoding{"gbk": simplifiedchinese.GBK, "cp1252": charmap.Windows1252}[value]
		case "list-date":
			p.ListDate, ok = map[string]wire.DateForm{"year": wire.DateYear, "hour": wire.DateHour}[value]
		}
		if !ok {
			return fmt.Errorf("profile: %q is unknown", word)
		}
	}
	if cfg.Profiles == nil {
		cfg.Profiles = map[string]*gateway.Profile{}
	}
	cfg.Profiles[words[0]] = p
	return nil
}

// foreign makes a file behind the store's back, with a hole before offset.
func (s *served) foreign(name string, content []byte, offset int64) error {
	if s.dir == "" {
		return errNotOnDisk
	}
	f, err := os.OpenFile(filepath.Join(s.dir, name), os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(content, offset)
	return errors.Join(err, f.Close())
}

// foreignLink makes a symbolic link that the store would not make.
func (s *served) foreignLink(name, target string) error {
	if s.dir == "" {
		return errNotOnDisk
	}
	return os.Symlink(target, filepath.Join(s.dir, name))
}

var errNotOnDisk = errors.New("foreign files need a store on disk: only local because …")
