package s3

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ftpgate/ftpgate/backends/s3/s3fake"
	"github.com/ftpgate/ftpgate/vfs"
)

func TestModTimeText(t *testing.T) {
	for _, c := range []struct {
		text string
		at   time.Time
		ok   bool
	}{
		{"1700000000", time.Unix(1.7e9, 0), true},
		{"1700000000.5", time.Unix(1.7e9, 5e8), true},
		{"1354040105.123456789", time.Unix(1354040105, 123456789), true},
		{"1354040105.1234567891234", time.Unix(1354040105, 123456789), true},
		{"0", time.Unix(0, 0), true},
		{"-1.25", time.Unix(-2, 75e7), true},
		{"", time.Time{}, false}, {"x", time.Time{}, false}, {"1.x", time.Time{}, false}, {"+1", time.Time{}, false},
		{"--1", time.Time{}, false}, {"1e9", time.Time{}, false}, {"99999999999999999", time.Time{}, false},
	} {
		at, ok := parseModTime(c.text)
		if ok != c.ok || !at.Equal(c.at) {
			t.Errorf("parseModTime(%q) = %v, %v", c.text, at, ok)
		}
		if again, ok := parseModTime(formatModTime(c.at)); c.ok && (!ok || !again.Equal(c.at)) {
			t.Errorf("%v is written as %q, which is read as %v", c.at, formatModTime(c.at), again)
		}
	}
	if got := formatModTime(time.Unix(1.7e9, 120_000_000)); got != "1700000000.12" {
		t.Errorf("%q", got)
	}
}

// TestModTimeKept: SetModTime changes the time and nothing else that is stored, of small
// objects and of those that have to be copied in parts; rclone's times are read.
func TestModTimeKept(t *testing.T) {
	s, f := fake(t, s3fake.Options{MinPart: 128 << 10, MaxCopy: 300 << 10}, smallParts, func(o *Options) {
		o.KeepModTime, o.tuning.copyLimit, o.tuning.copyPart = true, 300<<10, 128<<10
		o.Metadata, o.CacheControl, o.Tags = map[string]string{"from": "ftp"}, "no-cache", map[string]string{"k": "v"}
		o.StorageClass, o.ACL = "STANDARD_IA", "bucket-owner-full-control"
	})
	at := time.Unix(1.5e9, 123e6).UTC()
	for name, size := range map[string]int{"small.txt": 1000, "large.txt": 700_000} {
		data := pattern(size)
		if err := upload1(t.Context(), f, name, data, vfs.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		before := s.Header("pre/fix/" + name)
		if _, ok := parseModTime(before.Get("X-Amz-Meta-Mtime")); !ok {
			t.Errorf("%s has the mtime %q", name, before.Get("X-Amz-Meta-Mtime"))
		}
		if err := f.SetModTime(t.Context(), name, at); err != nil {
			t.Fatal(err)
		}
		after := s.Header("pre/fix/" + name)
		if got := after.Get("X-Amz-Meta-Mtime"); got != "1500000000.123" {
			t.Errorf("%s has the mtime %q", name, got)
		}
		for _, h := range []string{"Content-Type", "Cache-Control", "X-Amz-Meta-From", "X-Amz-Storage-Class", "X-Amz-Acl"} {
			if before.Get(h) == "" || after.Get(h) != before.Get(h) {
				t.Errorf("%s: %s was %q and is %q", name, h, before.Get(h), after.Get(h))
			}
		}
		if got := s.Tags("pre/fix/" + name); got != "k=v" {
			t.Errorf("%s has the tags %q", name, got)
		}
		if got, _ := s.Get("pre/fix/" + name); !bytes.Equal(got, data) {
			t.Errorf("%s has other bytes", name)
		}
	}
	listed := 0
	for info, err := range f.ReadDir(t.Context(), ".", "") {
		if err != nil || !info.ModTime().Equal(at) {
			t.Errorf("%v, %v", info, err)
		}
		listed++
	}
	if listed != 2 {
		t.Errorf("%d files are listed", listed)
	}
}

// TestTimesStayFast: the times of a listing are asked for many at once, in order, and
// none once nobody wants more.
func TestTimesStayFast(t *testing.T) {
	s, f := fake(t, s3fake.Options{}, func(o *Options) { o.KeepModTime = true })
	for i := range 200 {
		s.Put(fmt.Sprintf("pre/fix/%03d", i), nil)
	}
	s.ResetCounts()
	n := 0
	for info, err := range f.ReadDir(t.Context(), ".", "") {
		if err != nil || info.Name() != fmt.Sprintf("%03d", n) {
			t.Fatal(info, err)
		}
		if n++; n == 10 {
			break
		}
	}
	if heads := s.Counts()["HeadObject"]; heads > 10+headsAhead {
		t.Errorf("%d HEADs for ten entries", heads)
	}
	held, release := make(chan struct{}, 200), make(chan struct{})
	s.Inject(s3fake.Fault{Op: "HeadObject", Times: headsAhead, Do: func() { held <- struct{}{}; <-release }})
	go func() {
		for range headsAhead {
			<-held // all of them at once
		}
		close(release)
	}()
	n = 0
	for _, err := range f.ReadDir(t.Context(), ".", "") {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 200 {
		t.Errorf("%d entries", n)
	}
}

func TestHash(t *testing.T) {
	s, f := fake(t, smallFake, smallParts)
	data := pattern(1000)
	s.Put("pre/fix/f", data)
	sum, crc, whole := sha256.Sum256(data), crc32.ChecksumIEEE(data), md5.Sum(data)
	crcBytes := []byte{byte(crc >> 24), byte(crc >> 16), byte(crc >> 8), byte(crc)}
	text := base64.StdEncoding.EncodeToString
	set := func(kind string) {
		s.SetSums("pre/fix/f", map[string]string{
			"x-amz-checksum-sha256": text(sum[:]), "x-amz-checksum-crc32": text(crcBytes), "x-amz-checksum-type": kind,
		})
	}
	check := func(what string, alg vfs.HashAlgorithm, offset, length int64, want []byte) {
		t.Helper()
		got, err := vfs.ServerHash(t.Context(), f, "f", alg, offset, length)
		if want == nil && !errors.Is(err, errors.ErrUnsupported) || want != nil && (err != nil || !bytes.Equal(got, want)) {
			t.Errorf("%s: %x, %v; want %x", what, got, err, want)
		}
	}
	set("FULL_OBJECT")
	s.ResetCounts()
	check("SHA-256", vfs.SHA256, 0, -1, sum[:])
	check("CRC32", vfs.CRC32, 0, 1000, crcBytes)
	check("MD5 of the ETag", vfs.MD5, 0, -1, whole[:])
	check("SHA-1 that is not stored", vfs.SHA1, 0, -1, nil)
	check("a range", vfs.SHA256, 0, 999, nil)
	check("a range", vfs.SHA256, 1, -1, nil)
	if n := s.Counts()["GetObject"]; n != 0 {
		t.Errorf("the object was read %d times", n)
	}
	set("COMPOSITE")
	check("a sum of sums", vfs.SHA256, 0, -1, nil)
	// An ETag of parts is no MD5.
	if err := upload1(t.Context(), f, "f", pattern(300<<10), vfs.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	check("ETag of parts", vfs.MD5, 0, -1, nil)
	for _, opt := range []s3fake.Options{{OpaqueETags: true}} {
		s, f = fake(t, opt)
		s.Put("pre/fix/f", data)
		check("an ETag that is not MD5", vfs.MD5, 0, -1, nil)
		if f.Caps().Has(vfs.CanHash) {
			t.Error("Caps promises digests")
		}
	}
}

// TestStoredAttributes: what the options give to new objects is there, on small and on
// large ones, and the gateway's own objects have none of it.
func TestStoredAttributes(t *testing.T) {
	s, f := fake(t, smallFake, smallParts, func(o *Options) {
		o.StorageClass, o.ACL, o.CacheControl = "INTELLIGENT_TIERING", "public-read", "max-age=60"
		o.Tags, o.Metadata = map[string]string{"a": "1", "b": "x y"}, map[string]string{"from": "Köln 100%"}
	})
	for name, size := range map[string]int{"small.html": 10, "large.html": 300 << 10} {
		if err := upload1(t.Context(), f, name, pattern(size), vfs.CreateOptions{Owner: "ann"}); err != nil {
			t.Fatal(err)
		}
		h := s.Header("pre/fix/" + name)
		for k, want := range map[string]string{"X-Amz-Storage-Class": "INTELLIGENT_TIERING", "X-Amz-Acl": "public-read",
			"Cache-Control": "max-age=60", "X-Amz-Meta-From": "K%C3%B6ln 100%25", "Content-Type": "text/html; charset=utf-8"} {
			if h.Get(k) != want {
				t.Errorf("%s: %s is %q, want %q", name, k, h.Get(k), want)
			}
		}
		if got := s.Tags("pre/fix/" + name); got != "a=1&b=x+y" {
			t.Errorf("%s: tags %q", name, got)
		}
	}
	if err := f.Rename(t.Context(), "small.html", "moved", vfs.RenameOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := s.Header("pre/fix/moved").Get("X-Amz-Acl"); got != "public-read" {
		t.Errorf("after a rename the ACL is %q", got)
	}
	if err := write1(t, f, "parked", pattern(300<<10), vfs.CreateOptions{Owner: "ann"}).Park(); err != nil {
		t.Fatal(err)
	}
	for _, key := range s.Keys() {
		if strings.Contains(key, stateDir) && (s.Header(key).Get("X-Amz-Acl") != "" || s.Tags(key) != "") {
			t.Errorf("%s: %v", key, s.Header(key))
		}
	}
	if err := f.Remove(t.Context(), "moved"); err != nil {
		t.Fatal(err)
	}
}

// everything does each kind of request once.
func everything(t *testing.T, f *FS) {
	t.Helper()
	data := pattern(400 << 10)
	step := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	step("mkdir", f.Mkdir(t.Context(), "d"))
	step("upload", upload1(t.Context(), f, "d/large", data, vfs.CreateOptions{Owner: "ann"}))
	step("upload", upload1(t.Context(), f, "d/small", data[:1000], vfs.CreateOptions{NoReplace: true}))
	step("park", write1(t, f, "d/new", data[:300<<10], vfs.CreateOptions{Owner: "ann"}).Park())
	at := told(t, f, "d/new", "ann")
	step("resume", write1(t, f, "d/new", data[at:], resumeAt(at)).Commit())
	step("append", write1(t, f, "d/new", []byte("more"), vfs.CreateOptions{Mode: vfs.Append, Owner: "ann"}).Commit())
	step("copy", f.Copy(t.Context(), "d/new", "d/copy", vfs.CopyOptions{}))
	step("copy", f.Copy(t.Context(), "d/small", "d/once", vfs.CopyOptions{NoReplace: true}))
	step("rename", f.Rename(t.Context(), "d", "e", vfs.RenameOptions{}))
	for _, name := range []string{"e/new", "e/copy"} {
		r, err := f.Open(t.Context(), name, 0, -1)
		step("open", err)
		got, err := io.ReadAll(r)
		step("read", err)
		r.Close()
		if !bytes.Equal(got, append(bytes.Clone(data), "more"...)) {
			t.Errorf("%s has other bytes", name)
		}
	}
	if _, err := f.Stat(t.Context(), "e/once"); err != nil {
		t.Error(err)
	}
	if n, err := f.Sweep(t.Context(), ByExpiry); err != nil || n != (Swept{}) {
		t.Errorf("Sweep: %v, %v", n, err)
	}
}

// TestEncryption: where the bucket asks for it, all requests say how to encrypt, those for
// the gateway's own objects too, and a customer's key opens what it closed.
func TestEncryption(t *testing.T) {
	key := bytes.Repeat([]byte{7}, 32)
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(base64.StdEncoding.EncodeToString(key)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, require string
		change        func(*Options)
	}{
		{"s3", "AES256", func(o *Options) { o.Encryption = S3Encryption }},
		{"kms", "aws:kms", func(o *Options) { o.Encryption, o.KMSKey = KMSEncryption, "arn:aws:kms:x:y" }},
		{"kms-dsse", "aws:kms:dsse", func(o *Options) { o.Encryption = DoubleKMSEncryption }},
		{"c", "", func(o *Options) { o.Encryption, o.CustomerKeyFile = CustomerEncryption, file }},
		{"c on AWS", "", func(o *Options) { o.Encryption, o.CustomerKeyFile, o.Provider = CustomerEncryption, file, AWS }},
	} {
		t.Run(c.name, func(t *testing.T) {
			opt := smallFake
			opt.RequireEncryption, opt.OpaqueETags = c.require, c.require != "" && c.require != "AES256"
			s, f := fake(t, opt, smallParts, c.change)
			everything(t, f)
			if c.name == "kms" {
				if h := s.Header("pre/fix/e/new"); h.Get("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id") != "arn:aws:kms:x:y" {
					t.Errorf("%v", h)
				}
			}
			if c.require == "" { // without the key nothing opens
				o := fakeOptions(s, "pre/fix")
				g := attach(t, o)
				if _, err := g.Open(t.Context(), "e/new", 0, -1); err == nil {
					t.Error("the object opens without the key")
				}
			}
		})
	}
	for name, text := range map[string]string{"short": "c2VjcmV0", "none": "", "text": "secret secret"} {
		t.Setenv(customerKeyVariable, text)
		s := s3fake.New(t, s3fake.Options{})
		o := fakeOptions(s, "")
		o.Encryption = CustomerEncryption
		if _, err := Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), customerKeyVariable) || text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRequesterPays(t *testing.T) {
	opt := smallFake
	opt.RequesterPays = true
	_, f := fake(t, opt, smallParts, func(o *Options) { o.RequesterPays = true })
	everything(t, f)
	s := s3fake.New(t, opt)
	if _, err := Open(t.Context(), fakeOptions(s, "")); err == nil {
		t.Error("the bucket opens without paying")
	}
}

// TestRole: the credentials of the store come from the role, asked for by those of the
// environment.
func TestRole(t *testing.T) {
	s := s3fake.New(t, s3fake.Options{AccessKey: "ROLE", SecretKey: "role-secret"})
	var asked string
	sts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		asked = r.Form.Encode()
		w.Header().Set("Content-Type", "text/xml")
		fmt.Fprint(w, `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
			<AccessKeyId>ROLE</AccessKeyId><SecretAccessKey>role-secret</SecretAccessKey><SessionToken>t</SessionToken>
			<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`)
	}))
	defer sts.Close()
	t.Setenv("AWS_ENDPOINT_URL_STS", sts.URL)
	o := fakeOptions(s, "")
	o.Role, o.ExternalID = "arn:aws:iam::123456789012:role/ftp", "partner"
	f := open(t, s, o)
	if err := upload1(t.Context(), f, "f", []byte("x"), vfs.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"ExternalId=partner", "RoleSessionName=ftpgate", "role%2Fftp"} {
		if !strings.Contains(asked, want) {
			t.Errorf("STS is asked for %q", asked)
		}
	}
	// A role that can't be taken is told at the start.
	sts.Config.Handler = http.NotFoundHandler()
	sts.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>`)
	})
	if _, err := Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), "role") {
		t.Errorf("a refused role: %v", err)
	}
}

// TestReadOnlyURL: such a bucket is served without writing anything to it.
func TestReadOnlyURL(t *testing.T) {
	s, f := fake(t, s3fake.Options{ReadOnly: true}, func(o *Options) { o.ReadOnly = true })
	s.Put("pre/fix/f", []byte("x"))
	if _, err := f.Create(t.Context(), "g", vfs.CreateOptions{Owner: "ann"}); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("Create: %v", err)
	}
	if n, err := f.Sweep(t.Context(), 0); err != nil || n != (Swept{}) {
		t.Errorf("Sweep: %v, %v", n, err)
	}
	for op := range s.Counts() {
		if op != "ListObjectsV2" {
			t.Errorf("it asks for %s", op)
		}
	}
}

// TestParkedBounds: of too many parked uploads of one owner the oldest go, and one that
// is too large is not kept at all; other owners lose nothing.
func TestParkedBounds(t *testing.T) {
	s, f := fake(t, smallFake, smallParts, func(o *Options) { o.MaxParked, o.MaxParkedSize = 3, 1<<20 })
	park := func(name, owner string, size int) error {
		time.Sleep(2 * time.Millisecond) // their times tell the order
		return write1(t, f, name, pattern(size), vfs.CreateOptions{Owner: owner}).Park()
	}
	parked := func(owner string) (names []string) {
		for _, dir := range []string{".", "d"} {
			for info, err := range f.Staged(t.Context(), dir, owner) {
				if err != nil {
					t.Fatal(err)
				}
				names = append(names, info.Name())
			}
		}
		return names
	}
	if err := park("other", "bob", 1000); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		name := fmt.Sprint("f", i)
		if i == 1 {
			name = "d/" + name
		}
		if err := park(name, "ann", 200<<10); err != nil {
			t.Fatal(err)
		}
	}
	if got := fmt.Sprint(parked("ann")); got != "[f4 f3 f2]" {
		t.Errorf("parked are %s", got)
	}
	if err := park("big", "ann", 700<<10); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(parked("ann")); got != "[big f4]" {
		t.Errorf("parked are %s", got)
	}
	if err := park("huge", "ann", 1<<20+1); !errors.Is(err, vfs.ErrQuota) {
		t.Errorf("an upload that is too large: %v", err)
	}
	if got := fmt.Sprint(parked("ann"), parked("bob")); got != "[big f4] [other]" {
		t.Errorf("parked are %s", got)
	}
	unclaimed(t, s)
}

// TestFileBesideDirectory: the directory is what is listed and entered, RETR and SIZE
// reach the file.
func TestSizeBesideDirectory(t *testing.T) {
	s, f := fake(t, s3fake.Options{})
	s.Put("pre/fix/a", []byte("four"))
	s.Put("pre/fix/a/b", []byte("x"))
	info, err := f.Stat(t.Context(), "a")
	if err != nil || !info.IsDir() {
		t.Fatal(info, err)
	}
	if n, err := vfs.Size(t.Context(), f, "a"); n != 4 || err != nil {
		t.Errorf("Size = %d, %v", n, err)
	}
	s.Delete("pre/fix/a")
	if _, err := vfs.Size(t.Context(), f, "a"); !errors.Is(err, vfs.ErrIsDir) {
		t.Errorf("Size of a directory: %v", err)
	}
}

// TestMinRate: a body that trickles, each byte in time, is given up and taken again; at
// the rate that is asked for it goes on.
func TestMinRate(t *testing.T) {
	for _, c := range []struct {
		name   string
		bytes  int // each second
		broken bool
	}{{"slow", 900, true}, {"fast enough", 1100, false}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				body := &trickle{left: 200_000, piece: c.bytes}
				g := &stallGuard{next: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
					return &http.Response{StatusCode: 200, Body: &cancelled{body, r}, Request: r}, nil
				})}, stall: 30 * time.Second, slow: time.Minute, rate: 1000}
				req, err := http.NewRequestWithContext(t.Context(), "GET", "http://store.example/", nil)
				if err != nil {
					t.Fatal(err)
				}
				resp, err := g.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				_, err = io.Copy(io.Discard, resp.Body)
				var stalled *stallError
				if errors.As(err, &stalled) != c.broken {
					t.Errorf("it ends with %v", err)
				}
			})
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// trickle gives a piece each second.
type trickle struct{ left, piece int }

func (r *trickle) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, io.EOF
	}
	time.Sleep(time.Second)
	n := min(r.piece, len(p), r.left)
	r.left -= n
	return n, nil
}

// cancelled reads until the request is given up.
type cancelled struct {
	*trickle
	r *http.Request
}

func (c *cancelled) Read(p []byte) (int, error) {
	if err := c.r.Context().Err(); err != nil {
		return 0, err
	}
	return c.trickle.Read(p)
}

func (c *cancelled) Close() error { return nil }

// TestSession: what a session has just listed answers its Stat without a request, until
// anybody changes something through this FS, or the moment is over.
func TestSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f, end := bubble(t, smallFake, smallParts)
		defer end()
		s.Put("pre/fix/d/a", []byte("one"))
		s.Put("pre/fix/d/b", []byte("two"))
		one, two := f.Session(), f.Session()
		asked := func() (n int) {
			for _, c := range s.Counts() {
				n += c
			}
			s.ResetCounts()
			return n
		}
		list := func(fsys vfs.FS) {
			for _, err := range fsys.ReadDir(t.Context(), "d", "") {
				if err != nil {
					t.Fatal(err)
				}
			}
			asked()
		}
		size := func(what string, fsys vfs.FS, requests int, want int64) {
			t.Helper()
			got, err := vfs.Size(t.Context(), vfs.ForOwner(fsys, "ann", vfs.ShowExact), "d/a")
			if n := asked(); got != want || err != nil || n != requests {
				t.Errorf("%s: %d bytes, %v, by %d requests; want %d by %d", what, got, err, n, want, requests)
			}
		}
		list(one)
		size("first of a directory", one, 1, 3) // whether something is staged there
		size("listed", one, 0, 3)
		size("listed by another session", two, 3, 3)
		s.Put("pre/fix/d/a", []byte("longer"))
		size("changed by others, within the moment", one, 0, 3)
		time.Sleep(remembered)
		size("changed by others", one, 3, 6)

		list(one)
		size("listed", one, 0, 6)
		if err := upload1(t.Context(), two, "d/b", []byte("x"), vfs.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		asked()
		size("after a change by another session", one, 3, 6)
		list(one)
		w, err := two.Create(t.Context(), "d/a", vfs.CreateOptions{Owner: "ann"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(pattern(1000)); err != nil {
			t.Fatal(err)
		}
		list(one)
		if err := w.Park(); err != nil {
			t.Fatal(err)
		}
		asked()
		size("parked by another session", one, 2, 999)
		if err := f.Discard(t.Context(), "d/a", "ann"); err != nil {
			t.Fatal(err)
		}
	})
}

// TestEncryptionOfCopies: a copy is encrypted as the options say, and not half as its
// source was.
func TestEncryptionOfCopies(t *testing.T) {
	for _, c := range []struct {
		h    requestHeaders
		want string
	}{
		{requestHeaders{}, "aws:kms,theirs"},
		{requestHeaders{encryption: S3Encryption}, "AES256,"},
		{requestHeaders{encryption: KMSEncryption}, "aws:kms,"},
		{requestHeaders{encryption: DoubleKMSEncryption, kmsKey: "ours"}, "aws:kms:dsse,ours"},
		{requestHeaders{encryption: CustomerEncryption, customerKey: make([]byte, 32)}, ","},
	} {
		to := http.Header{}
		to.Set("x-amz-server-side-encryption", "aws:kms")
		to.Set("x-amz-server-side-encryption-aws-kms-key-id", "theirs")
		c.h.add("CopyObject", to)
		if got := to.Get("x-amz-server-side-encryption") + "," + to.Get("x-amz-server-side-encryption-aws-kms-key-id"); got != c.want {
			t.Errorf("%v: %q, want %q", c.h.encryption, got, c.want)
		}
	}
}
