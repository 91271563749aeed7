package auth

import (
	"hash/maphash"
	"sync"
)

// Decoys choose secrets for a Directory that does not know all of its accounts: they
// remember those that were looked up, about as often as each kind occurs. It may be
// used concurrently.
type Decoys struct {
	seed   maphash.Seed
	preset Secret

	mu     sync.Mutex
	known  [256]Secret // by hash of the name
	filled int
}

// NewDecoys returns Decoys that offer a secret of the default algorithm until
// there is a better one.
func NewDecoys() *Decoys {
	// The hash of a random password that nobody kept.
	preset, err := ParseSecret("$argon2id$v=19$m=19456,t=2,p=1$N3vYc0yJkcG7c1xk2D6tXw$wq7Ch0W3m1bqKXyM0v8m0Wb0q3mJtqg5mC9y7mP3c1E")
	if err != nil {
		panic(err)
	}
	return &Decoys{seed: maphash.MakeSeed(), preset: preset}
}

// Saw remembers the secret of the account of that name.
func (d *Decoys) Saw(name string, s Secret) {
	if s.locked() {
		return
	}
	slot := maphash.String(d.seed, name) % uint64(len(d.known))
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.known[slot].locked() {
		d.filled++
	}
	d.known[slot] = s
}

// Pick is Directory.Decoy: the same secret for the same seed, unless a better one
// was seen since.
func (d *Decoys) Pick(seed uint64) Secret {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.filled == 0 {
		return d.preset
	}
	for ; ; seed++ {
		if s := d.known[seed%uint64(len(d.known))]; !s.locked() {
			return s
		}
	}
}
