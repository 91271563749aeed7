package backends_test

import (
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/ftpgate/ftpgate/backends"
	"github.com/ftpgate/ftpgate/vfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// opened is a store with one file written through it.
func opened(t *testing.T, raw string) vfs.FS {
	t.Helper()
	fsys, closer, err := backends.Open(t.Context(), raw)
	if err != nil {
		t.Fatalf("Open(%q): %v", raw, err)
	}
	t.Cleanup(func() {
		if err := closer.Close(); err != nil {
			t.Error(err)
		}
	})
	w, err := fsys.Create(t.Context(), "file", vfs.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	return fsys
}

// A plain path is never read as a URL, whatever is in it.
func TestOpenPath(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, dir := range []string{
		"plain", "100%", "%2F", "what?sync=off", "a#b", "a b", "a:b", "c:", "files", "mem", "x@y", "ü", "deep/er", "http:", "a+b:c", "-", "~",
	} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		abs, err := filepath.Abs(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{dir, "./" + dir, abs, dir + "/"} {
			opened(t, path)
			file := filepath.Join(abs, "file")
			if _, err := os.Stat(file); err != nil {
				t.Errorf("Open(%q) serves another directory: %v", path, err)
			}
			os.Remove(file)
		}
	}
	if err := os.Mkdir("file:", 0o755); err != nil {
		t.Fatal(err)
	}
	opened(t, "./file:")
	opened(t, ".")
}

func TestOpenURL(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "a b?"), 0o755); err != nil {
		t.Fatal(err)
	}
	for raw, caps := range map[string]vfs.Caps{
		"file://" + dir:                     vfs.CanPark,
		"FILE://" + dir + "/":               vfs.CanPark,
		"file:" + dir:                       vfs.CanPark,
		"file://" + dir + "/a%20b%3F":       vfs.CanPark,
		"file://" + dir + "?sync=off":       vfs.CanPark,
		"file://" + dir + "?append=copy":    vfs.CanPark | vfs.AtomicCommit,
		"file://" + dir + "?publish=direct": 0,
		"file://" + dir + "?umask=027":      vfs.CanPark,
		"file://" + dir + "?file_mode=0600&dir_mode=700&owner=ftp&group=ftp&staged_expiry=90m&publish=atomic&sync=on&append=auto": vfs.CanPark,
		"mem:":                                vfs.CanPark,
		"mem://":                              vfs.CanPark,
		"mem:?max_bytes=1000000&max_files=10": vfs.CanPark,
	} {
		got := opened(t, raw).Caps()
		if !got.Has(caps) || caps == 0 && got&(vfs.AtomicCommit|vfs.CanPark) != 0 {
			t.Errorf("Open(%q) has %v, want %v", raw, got, caps)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "a b?", "file")); err != nil {
		t.Error(err)
	}
	fsys := opened(t, "mem:?max_bytes=100")
	w, err := fsys.Create(t.Context(), "big", vfs.CreateOptions{SizeHint: 1000})
	if err == nil {
		if _, err = w.Write(make([]byte, 1000)); err == nil {
			err = w.Commit()
		}
		w.Abort()
	}
	if vfs.Kind(err) != vfs.ErrNoSpace {
		t.Errorf("beyond max_bytes: %v", err)
	}
}

// What is wrong is told in one line that says what to write, and no password.
func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file.txt")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ raw, says string }{
		{"", "write file:///directory"},
		{"ftp://host/dir", "no storage of the kind ftp://: write file:///directory, mem:, s3://bucket/prefix"},
		{"https://u:secret@host/dir", "write file:///directory"},
		{"gs://bucket", "no storage of the kind gs://"},
		{filepath.Join(dir, "none"), "does not exist: create it"},
		{"file://" + dir + "/none", "does not exist: create it"},
		{file, "is not a directory"},
		{"file://" + file, "is not a directory"},
		{"file:dir", "write file:///directory"},
		{"file:", "write file:///directory"},
		{"file://", "write file:///directory"},
		{"file://dir/sub", `begins with "dir"`},
		{"file://u:secret@" + dir, "no user or password"},
		{"file://" + dir + "#x", "%23"},
		{"file://" + dir + "/100%", "write file:///directory, with % in a name as %25"},
		{"file://" + dir + "?sync=no", "sync=no: it is on or off"},
		{"file://" + dir + "?Sync=off", `no parameter "Sync"`},
		{"file://" + dir + "?sync=off&sync=on", "2 times"},
		{"file://" + dir + "?sync", "it is on or off"},
		{"file://" + dir + "?publish=yes", "it is atomic or direct"},
		{"file://" + dir + "?append=x", "it is auto or copy"},
		{"file://" + dir + "?staged_expiry=1", "24h"},
		{"file://" + dir + "?staged_expiry=-1h", "24h"},
		{"file://" + dir + "?file_mode=999", "octal"},
		{"file://" + dir + "?dir_mode=01777", "octal"},
		{"file://" + dir + "?umask=0", "write file_mode=0666&dir_mode=0777"},
		{"file://" + dir + "?umask=200", "what others may not"},
		{"file://" + dir + "?umask=9", "what others may not"},
		{"file://" + dir + "?chown=", "it is user, user:group or :group"},
		{"file://" + dir + "?chown=no-such-user", "write user, user:group or :group, by name or number"},
		{"file://" + dir + "?%zz", "can't be read"},
		{"mem:x", "write mem: alone"},
		{"mem:/x", "write mem: alone"},
		{"mem://x", "write mem: alone"},
		{"mem:?max=1", `no parameter "max"`},
		{"mem:?max_bytes=0", "number above 0"},
		{"mem:?max_bytes=1GB", "number above 0"},
		{"mem:?max_files=1&max_files=2", "2 times"},
		{"s3:", "write s3://BUCKET/PREFIX"},
		{"s3://b?nonsense=1", "nonsense is unknown"},
		{"s3://key:secret@bucket", "never from the URL"},
		{"s3://key:sec/ret@bucket", "can't be read"},
	} {
		fsys, closer, err := backends.Open(t.Context(), c.raw)
		if err == nil {
			closer.Close()
			t.Errorf("Open(%q) = %v", c.raw, fsys)
			continue
		}
		if !strings.Contains(err.Error(), c.says) || strings.ContainsAny(err.Error(), "\r\n") {
			t.Errorf("Open(%q): %q does not say %q in one line", c.raw, err, c.says)
		}
		if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "sec") && strings.Contains(c.raw, "sec/ret") {
			t.Errorf("Open(%q): %q shows the password", c.raw, err)
		}
		if fsys != nil || closer != nil {
			t.Errorf("Open(%q) returns an FS with its error", c.raw)
		}
	}
}

// The row of S3 leads there: a server that knows no bucket is asked for it.
func TestOpenS3(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "id")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "key")
	server := httptest.NewServer(nil)
	defer server.Close()
	q := url.Values{"endpoint": {server.URL}, "region": {"us-east-1"}, "path_style": {"true"}, "provider": {"generic"}}
	_, _, err := backends.Open(t.Context(), "s3://bucket/prefix?"+q.Encode())
	if err == nil || !strings.Contains(err.Error(), "bucket") || strings.Contains(err.Error(), "\n") {
		t.Errorf("a missing bucket: %v", err)
	}
}
