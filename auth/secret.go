package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"

	"github.com/go-crypt/crypt"
	"github.com/go-crypt/crypt/algorithm"
	"github.com/go-crypt/crypt/algorithm/argon2"
	"github.com/go-crypt/crypt/algorithm/bcrypt"
	"github.com/go-crypt/crypt/algorithm/pbkdf2"
	"github.com/go-crypt/crypt/algorithm/scrypt"
	"github.com/go-crypt/crypt/algorithm/shacrypt"
)

// Secret is what a password is checked against. The zero value matches nothing.
// It is immutable and never printed.
type Secret struct {
	match      func(password string) bool
	noPassword bool
}

// Plaintext is the Secret of a password that is known in clear. It is compared
// in constant time; the empty password matches nothing.
func Plaintext(password string) Secret {
	if password == "" {
		return Secret{}
	}
	want := sha256.Sum256([]byte(password))
	return Secret{match: func(got string) bool {
		sum := sha256.Sum256([]byte(got))
		return subtle.ConstantTimeCompare(sum[:], want[:]) == 1
	}}
}

// NoPassword is the Secret of an account that logs in by other means (see Vouch). It
// matches nothing, but does not lock the account.
func NoPassword() Secret { return Secret{noPassword: true} }

// ParseSecret reads a password hash: argon2, bcrypt, scrypt, yescrypt, PBKDF2 or
// SHA-crypt, each as crypt(3) writes it ("$id$..."). "!" and "*", also in front
// of a hash, lock the account: such a secret matches nothing. Errors say what is
// wrong and never repeat the hash.
func ParseSecret(hash string) (Secret, error) {
	switch {
	case hash == "":
		return Secret{}, errors.New("the password hash is empty; make one with \"ftpgate passwd\", or write ! to lock the account")
	case strings.HasPrefix(hash, "!"), strings.HasPrefix(hash, "*"):
		return Secret{}, nil
	}
	hash = crypt.Normalize(hash)
	id, params, ok := splitHash(hash)
	if !ok {
		return Secret{}, errors.New("not a password hash; make one with \"ftpgate passwd\"")
	}
	decode := decoder(id)
	if decode == nil {
		return Secret{}, fmt.Errorf("hashes of the kind $%s$ are not supported; make one with \"ftpgate passwd\"", id)
	}
	if err := checkCost(id, params); err != nil {
		return Secret{}, fmt.Errorf("%s hash: %w", hashName(id), err)
	}
	digest, err := decode(hash)
	if err != nil {
		// The library's text may quote a part of the hash.
		return Secret{}, fmt.Errorf("%s hash: it is damaged, or cut short; make a new one with \"ftpgate passwd\"", hashName(id))
	}
	if len(digest.Key()) < shortestKey(id) {
		return Secret{}, fmt.Errorf("%s hash: it is cut short; make a new one with \"ftpgate passwd\"", hashName(id))
	}
	return Secret{match: digest.Match}, nil
}

// LooksHashed reports whether s claims to be a password hash that ParseSecret
// knows, whether or not it is a whole one.
func LooksHashed(s string) bool {
	id, _, ok := splitHash(crypt.Normalize(s))
	return ok && decoder(id) != nil
}

// String hides the secret from logs.
func (Secret) String() string { return "[secret]" }

// GoString hides the secret from %#v.
func (Secret) GoString() string { return "auth.Secret{}" }

// splitHash takes "$id$params..." apart.
func splitHash(hash string) (id string, params []string, ok bool) {
	parts := strings.Split(hash, "$")
	if len(parts) < 3 || parts[0] != "" || len(parts[1]) == 0 || len(parts[1]) > 16 {
		return "", nil, false
	}
	for _, c := range parts[1] {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' {
			return "", nil, false
		}
	}
	return parts[1], parts[2:], true
}

func decoder(id string) algorithm.DecodeFunc {
	switch id {
	case "argon2id", "argon2i", "argon2d":
		return argon2.Decode
	case "2a", "2b", "2y", "bcrypt-sha256": // not 2x, which marks a faulty implementation
		return bcrypt.Decode
	case "scrypt", "y":
		return scrypt.Decode
	case "pbkdf2", "pbkdf2-sha1", "pbkdf2-sha224", "pbkdf2-sha256", "pbkdf2-sha384", "pbkdf2-sha512":
		return pbkdf2.Decode
	case "5", "6":
		return shacrypt.Decode
	}
	return nil
}

// shortestKey is how many bytes a digest must have, because one that was cut to
// a byte or two would match many passwords. SHA-crypt keeps its digest encoded.
func shortestKey(id string) int {
	switch id {
	case "5":
		return 43
	case "6":
		return 86
	}
	return 16
}

// locked reports whether no password at all can match.
func (s Secret) locked() bool { return s.match == nil }
