package serve

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ftpgate/ftpgate/cmd/ftpgate/internal/config"
	"github.com/ftpgate/ftpgate/vfs"
)

// saveEvery is how often what is used is written down while it changes.
const saveEvery = time.Minute

// ledgerPlace is the directory with the files of what is used; empty: the default one.
type ledgerPlace string

func (p ledgerPlace) dir() (string, error) {
	if p != "" {
		return string(p), nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("quota: there is no place for what is used (%w); set quota.state", err)
	}
	return filepath.Join(dir, "ftpgate", "quota"), nil
}

// ledger is the account of a directory of a store.
type ledger struct {
	account *vfs.Account
	tree    vfs.FS
	opened  bool // tree is to be closed
	log     *slog.Logger
	stop    func()
}

// account returns what counts the directory dir of st. owner is whose parked uploads
// are there; empty: nobody's in particular.
func (s *stores) account(st *store, dir, owner string) (*vfs.Account, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := st.ledgers[dir]; l != nil {
		return l.account, nil
	}
	tree, err := vfs.Sub(st.fs, dir)
	if err != nil {
		return nil, err
	}
	l := &ledger{tree: tree, opened: dir != ".", log: s.log.With("store", redacted(st.url), "directory", "/"+strings.TrimPrefix(dir, "."))}
	if l.account, err = s.openAccount(st, tree, dir, owner); err != nil {
		l.closeTree()
		return nil, err
	}
	l.keep()
	st.ledgers[dir] = l
	return l.account, nil
}

func (s *stores) openAccount(st *store, tree vfs.FS, dir, owner string) (*vfs.Account, error) {
	var opt vfs.AccountOptions
	if owner != "" {
		opt.Owners = []string{owner}
	}
	if !st.memory {
		place, err := s.ledger.dir()
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256([]byte(st.key + "\x00" + dir))
		opt.Store = ledgerFile{filepath.Join(place, hex.EncodeToString(sum[:12])+".json"), redacted(st.url), dir}
	}
	return vfs.OpenAccount(tree, opt)
}

// keep counts the tree if that is needed, and saves what is used from time to time.
func (l *ledger) keep() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	l.stop = func() {
		cancel()
		<-done
	}
	go func() {
		defer close(done)
		for {
			if l.account.Stale() {
				if err := l.account.Recount(ctx); err != nil && ctx.Err() == nil {
					l.log.Warn("counting what is used failed", "err", err)
				}
			}
			select {
			case <-time.After(saveEvery):
			case <-ctx.Done():
				return
			}
			if err := l.account.Save(); err != nil {
				l.log.Warn("what is used can't be written down; it is counted anew at the next start", "err", err)
			}
		}
	}()
}

func (l *ledger) close() {
	l.stop()
	if err := l.account.Close(); err != nil {
		l.log.Warn("what is used can't be written down; it is counted anew at the next start", "err", err)
	}
	l.closeTree()
}

func (l *ledger) closeTree() {
	if c, ok := l.tree.(io.Closer); ok && l.opened {
		_ = c.Close()
	}
}

// redacted is the URL of a store without a password.
func redacted(url string) string { return config.URL(url).String() }

// ledgerFile is a vfs.AccountStore: a small JSON file, which also tells people whose
// it is.
type ledgerFile struct{ path, store, dir string }

type ledgerText struct {
	Store string `json:"store"`
	Dir   string `json:"directory"`
	vfs.AccountState
}

// Load reads the file. One that can't be read as JSON counts as missing: what is used
// is counted then.
func (f ledgerFile) Load() (vfs.AccountState, error) {
	data, err := os.ReadFile(f.path)
	if err != nil {
		return vfs.AccountState{}, err
	}
	var text ledgerText
	if json.Unmarshal(data, &text) != nil {
		return vfs.AccountState{}, fs.ErrNotExist
	}
	return text.AccountState, nil
}

// Store replaces the file as a whole.
func (f ledgerFile) Store(state vfs.AccountState) error {
	data, err := json.MarshalIndent(ledgerText{f.store, f.dir, state}, "", "\t")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return fmt.Errorf("quota: %w", err)
	}
	temp, err := os.CreateTemp(filepath.Dir(f.path), ".new-*")
	if err != nil {
		return fmt.Errorf("quota: %w", err)
	}
	_, err = temp.Write(append(data, '\n'))
	err = errors.Join(err, temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), f.path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("quota: %w", err), os.Remove(temp.Name()))
	}
	return nil
}
