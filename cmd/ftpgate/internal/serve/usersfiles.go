package serve

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"

	"github.com/ftpgate/ftpgate/cmd/ftpgate/internal/config"
)

// digest is what files held.
type digest [sha256.Size]byte

func digestOf(paths []config.Path) (d digest) {
	sum := sha256.New()
	for _, path := range paths {
		fmt.Fprintf(sum, "%q\n", path)
		f, err := os.Open(string(path))
		if err == nil {
			_, err = io.Copy(sum, f)
			_ = f.Close()
		}
		fmt.Fprintf(sum, "\n%v\n", err)
	}
	sum.Sum(d[:0])
	return d
}

// watch notes when files change. It waits until two looks have seen the same, because
// a file may be written in steps.
type watch struct {
	used digest // what was taken over, or refused
	seen digest // at the last look
}

// changed reports whether the files hold, by now for good, what take was not called
// with yet.
func (w *watch) changed(paths []config.Path) bool {
	now := digestOf(paths)
	settled := now == w.seen
	w.seen = now
	if !settled || now == w.used {
		return false
	}
	w.used = now
	return true
}

// pollUsersFiles takes over users files that have changed. A broken one is told once,
// and leaves everything as it was.
func (r *run) pollUsersFiles() {
	if !r.usersFiles.changed(r.live.UsersFiles) {
		return
	}
	accounts, err := loadAccounts(r.live, r.gate, r.sources)
	if err == nil {
		next := r.gatewayConfig(r.live, accounts)
		if err = r.server.Reload(next); err == nil {
			r.gateway = next
		}
	}
	if err != nil {
		r.log.Error("the users files can't be reloaded, the old users stay", "err", err)
		return
	}
	r.log.Info("users files reloaded", "users", accounts.count())
}
