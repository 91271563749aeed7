package integration

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/ftpgate/ftpgate/backends/sftp"
	"github.com/ftpgate/ftpgate/integration/internal/link"
	"github.com/ftpgate/ftpgate/vfs"
)

// The link of the benchmarks: 30 ms there and back.
const (
	linkRate  = 40e6 // bytes a second each way
	linkDelay = 15 * time.Millisecond
	linkFile  = 64 << 20 // bytes
)

// benchLink opens an empty directory of an OpenSSH server behind the link.
func benchLink(b *testing.B) (*sftp.FS, string) {
	server := startSSHD(b)
	proxy, err := link.New(server.Addr(), link.Options{Delay: linkDelay, Rate: linkRate})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(proxy.Close)
	dir := b.TempDir()
	o := sftpOptions(server, dir)
	o.Port = proxy.Port()
	known, err := os.ReadFile(server.KnownHosts)
	if err != nil {
		b.Fatal(err)
	}
	o.KnownHosts = []string{filepath.Join(b.TempDir(), "known_hosts")}
	if err := os.WriteFile(o.KnownHosts[0], atPort(known, server.Port, proxy.Port()), 0o600); err != nil {
		b.Fatal(err)
	}
	return openSFTP(b, o), dir
}

// baseline is how fast one plain TCP connection sends linkFile bytes over such a
// link on this machine, in bytes a second.
func baseline(b *testing.B) float64 {
	sink, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer sink.Close()
	proxy, err := link.New(sink.Addr().String(), link.Options{Delay: linkDelay, Rate: linkRate})
	if err != nil {
		b.Fatal(err)
	}
	defer proxy.Close()
	conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(proxy.Port())))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	peer, err := sink.Accept()
	if err != nil {
		b.Fatal(err)
	}
	defer peer.Close()
	begun := time.Now()
	go func() {
		_, _ = io.Copy(conn, io.LimitReader(zeros{}, linkFile))
	}()
	if _, err := io.CopyN(io.Discard, peer, linkFile); err != nil {
		b.Fatal(err)
	}
	return linkFile / time.Since(begun).Seconds()
}

// report tells which part of the link's throughput was used.
func report(b *testing.B) {
	b.SetBytes(linkFile)
	rate := linkFile * float64(b.N) / b.Elapsed().Seconds()
	b.ReportMetric(rate/baseline(b), "of-link")
}

// zeros is an endless connection.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// BenchmarkSFTPUpload and BenchmarkSFTPDownload give the throughput over a link with
// a round trip of 30 ms, from the first request to the confirmed end.
func BenchmarkSFTPUpload(b *testing.B) {
	f, _ := benchLink(b)
	upload(b, f, "warm", 1000)
	for b.Loop() {
		w, err := f.Create(b.Context(), "f", vfs.CreateOptions{Owner: "ann"})
		if err != nil {
			b.Fatal(err)
		}
		for left := int64(linkFile); left > 0; { // in chunks, as the gateway copies
			n, err := w.ReadFrom(io.LimitReader(zeros{}, min(left, 1<<20)))
			if err != nil {
				b.Fatal(err)
			}
			left -= n
		}
		if err := w.Commit(); err != nil {
			b.Fatal(err)
		}
	}
	report(b)
}

func BenchmarkSFTPDownload(b *testing.B) {
	f, dir := benchLink(b)
	if err := os.WriteFile(filepath.Join(dir, "f"), make([]byte, linkFile), 0o600); err != nil {
		b.Fatal(err)
	}
	upload(b, f, "warm", 1000)
	buf := make([]byte, 256<<10)
	for b.Loop() {
		r, err := f.Open(b.Context(), "f", 0, -1)
		if err != nil {
			b.Fatal(err)
		}
		if n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{r}, buf); n != linkFile || err != nil {
			b.Fatal(n, err)
		}
		r.Close()
	}
	report(b)
}

// BenchmarkSFTPSmallUploads gives how many small files go over that link, one after
// the other.
func BenchmarkSFTPSmallUploads(b *testing.B) {
	f, _ := benchLink(b)
	upload(b, f, "warm", 1000)
	for b.Loop() {
		upload(b, f, "f", 1000)
	}
}

// upload does one upload of n bytes.
func upload(b *testing.B, f *sftp.FS, name string, n int) {
	w, err := f.Create(b.Context(), name, vfs.CreateOptions{Owner: "ann"})
	if err == nil {
		_, err = w.Write(make([]byte, n))
	}
	if err == nil {
		err = w.Commit()
	}
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkSFTPList gives the time of a listing of 10,000 files over that link.
func BenchmarkSFTPList(b *testing.B) {
	f, dir := benchLink(b)
	for i := range 10_000 {
		if err := os.WriteFile(filepath.Join(dir, "file-"+time.Duration(i).String()), nil, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		for _, err := range f.ReadDir(b.Context(), ".", "") {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}
