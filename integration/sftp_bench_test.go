package integration

import (
	"fmt"
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
	linkRate  = 40_000_000 // bytes a second each way
	slowRate  = 10_000_000 // likewise, which also a busy machine keeps up with
	linkDelay = 15 * time.Millisecond
	linkFile  = 64 << 20 // bytes
)

// benchLink opens an empty directory of an OpenSSH server behind the link.
func benchLink(b *testing.B, rate int64) (*sftp.FS, string) {
	server := startSSHD(b)
	proxy, err := link.New(server.Addr(), link.Options{Delay: linkDelay, Rate: rate})
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
func baseline(b *testing.B, rate int64) float64 {
	sink, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer sink.Close()
	proxy, err := link.New(sink.Addr().String(), link.Options{Delay: linkDelay, Rate: rate})
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
func report(b *testing.B, rate int64) {
	b.SetBytes(linkFile)
	b.ReportMetric(linkFile*float64(b.N)/b.Elapsed().Seconds()/baseline(b, rate), "of-link")
}

// overLinks runs a benchmark over both links.
func overLinks(b *testing.B, bench func(b *testing.B, rate int64)) {
	for _, rate := range []int64{slowRate, linkRate} {
		b.Run(fmt.Sprintf("%d-MB-per-s", rate/1_000_000), func(b *testing.B) {
			bench(b, rate)
			report(b, rate)
		})
	}
}

// zeros is an endless connection.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// BenchmarkSFTPUpload and BenchmarkSFTPDownload give the throughput over a link with
// a round trip of 30 ms, from the first request to the confirmed end.
func BenchmarkSFTPUpload(b *testing.B) { overLinks(b, benchUpload) }

func benchUpload(b *testing.B, rate int64) {
	f, _ := benchLink(b, rate)
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
}

func BenchmarkSFTPDownload(b *testing.B) { overLinks(b, benchDownload) }

func benchDownload(b *testing.B, rate int64) {
	f, dir := benchLink(b, rate)
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
}

// BenchmarkSFTPSmallUploads gives how many small files go over that link, one after
// the other.
func BenchmarkSFTPSmallUploads(b *testing.B) {
	f, _ := benchLink(b, linkRate)
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
	f, dir := benchLink(b, linkRate)
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
