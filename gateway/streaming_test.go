package gateway_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ftpgate/ftpgate/vfs"
)

// manyFS has n files in its root, which are made when a listing asks for them. Behind
// the first "hangs" of them it waits for its context, if that is not 0.
type manyFS struct {
	vfs.FS
	n, hangs int
	taken    atomic.Int64
}

func (m *manyFS) ReadDir(ctx context.Context, name, prefix string) iter.Seq2[fs.FileInfo, error] {
	return func(yield func(fs.FileInfo, error) bool) {
		for i := range m.n {
			if m.hangs > 0 && i == m.hangs {
				<-ctx.Done()
				yield(nil, vfs.ContextError(ctx, "readdir", name))
				return
			}
			m.taken.Add(1)
			if !yield(vfs.NewInfo(fmt.Sprintf("file-%07d", i), int64(i), 0o644, time.Time{}, nil), nil) {
				return
			}
		}
	}
}

// A listing holds as much as fits into the connection and a buffer, however long it
// is: the store is asked no faster than the client reads.
func TestListingsStream(t *testing.T) {
	const files, ahead = 60_000, 20_000
	for _, command := range []string{"LIST", "NLST", "MLSD", "NLST file-*", "STAT ."} {
		t.Run(command, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := serveMemory(t, nil)
				many := &manyFS{FS: s.fsys, n: files}
				s.fsys = many
				c := s.login(t)
				in, first := c.in, "213-"
				if !strings.HasPrefix(command, "STAT") {
					in, first = bufio.NewReader(c.data()), ""
				}
				c.send(command + "\r\n")
				settle()
				if n := many.taken.Load(); n == 0 || n > ahead {
					t.Errorf("%d of %d entries were taken before the client read any", n, files)
				}
				lines := 0
				for {
					line, err := in.ReadString('\n')
					if err == io.EOF || strings.HasPrefix(line, "213 ") {
						break
					}
					if err != nil {
						t.Fatal(err)
					}
					if first == "" || !strings.HasPrefix(line, first) {
						lines++
					}
				}
				if lines != files {
					t.Errorf("%d lines, want %d", lines, files)
				}
				if first == "" {
					c.want("150")
					c.want("226")
				}
				c.ask("NOOP", "200")
			})
		})
	}
}

// What a slow store has told is sent before the rest is there, and ABOR ends the
// wait for it.
func TestListingOfSlowStore(t *testing.T) {
	for _, command := range []string{"LIST", "NLST", "MLSD", "STAT ."} {
		t.Run(command, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := serveMemory(t, nil)
				s.fsys = &manyFS{FS: s.fsys, n: 1000, hangs: 500}
				c := s.login(t)
				if command == "STAT ." {
					c.send(command + "\r\n")
					for _, want := range []string{"213-", "-rw-r--r--"} {
						if line, err := c.in.ReadString('\n'); err != nil || !strings.HasPrefix(line, want) {
							t.Fatalf("%q, %v", line, err)
						}
					}
					c.send("ABOR\r\n")
					for {
						line, err := c.in.ReadString('\n')
						if err != nil {
							t.Fatal(err)
						}
						if strings.HasPrefix(line, "213 ") {
							break
						}
					}
				} else {
					data := c.data()
					c.send(command + "\r\n")
					c.want("150")
					if line, err := bufio.NewReader(data).ReadString('\n'); err != nil || !strings.Contains(line, "file-0000000") {
						t.Fatalf("%q, %v", line, err)
					}
					c.ask("ABOR", "426")
				}
				c.want("226")
				c.ask("NOOP", "200")
			})
		})
	}
}
