package auth

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-crypt/crypt/algorithm"
	"github.com/go-crypt/crypt/algorithm/argon2"
	"github.com/go-crypt/crypt/algorithm/bcrypt"
)

// Algorithms are the names that HashPassword knows, the default first.
func Algorithms() []string {
	return []string{"argon2id", "bcrypt"}
}

// HashPassword returns a new hash of password for a users file; algorithm is one
// of Algorithms, or empty for the default. FTP clients log in for every
// connection that they open, so the costs are the lowest that OWASP recommends.
func HashPassword(password, algorithm string) (string, error) {
	if password == "" {
		return "", errors.New("the password is empty")
	}
	h, err := hasher(algorithm)
	if err != nil {
		return "", err
	}
	digest, err := h.Hash(password)
	if err != nil {
		if len(password) > 72 && algorithm == "bcrypt" {
			return "", errors.New("bcrypt takes at most 72 bytes, the password is longer; use argon2id")
		}
		return "", fmt.Errorf("hashing the password: %w", err)
	}
	return digest.Encode(), nil
}

func hasher(name string) (algorithm.Hash, error) {
	switch name {
	case "", "argon2id":
		return argon2.New(argon2.WithVariantID(), argon2.WithM(19*1024), argon2.WithT(2), argon2.WithP(1))
	case "bcrypt":
		return bcrypt.New(bcrypt.WithIterations(10))
	}
	return nil, fmt.Errorf("algorithm %q is unknown; there are %s", name, strings.Join(Algorithms(), " and "))
}

// hashName is what people call the hashes of identifier id.
func hashName(id string) string {
	switch id {
	case "2a", "2b", "2y", "bcrypt-sha256":
		return "bcrypt"
	case "y":
		return "yescrypt"
	case "5":
		return "SHA-256-crypt"
	case "6":
		return "SHA-512-crypt"
	}
	if strings.HasPrefix(id, "pbkdf2") {
		return "PBKDF2"
	}
	return id
}

// Bounds of what one login may cost: about ten seconds and a gibibyte.
const (
	maxMemory = 1 << 30
	maxRounds = 20_000_000
)

// checkCost refuses hashes whose parameters are out of range, by mistake or by
// malice, before they take all memory or all time at the first login.
func checkCost(id string, params []string) error {
	switch id {
	case "argon2id", "argon2i", "argon2d":
		return checkArgon2(params)
	case "2a", "2b", "2y":
		return between("cost", params[0], 4, 17)
	case "bcrypt-sha256":
		return checkParams(params[0], map[string]bounds{"v": {2, 2}, "t": {}, "r": {4, 17}})
	case "scrypt":
		return checkScrypt(params[0])
	case "y":
		return checkYescrypt(params[0])
	case "5", "6":
		if strings.HasPrefix(params[0], "rounds=") {
			return checkParams(params[0], map[string]bounds{"rounds": {1000, maxRounds}})
		}
		return nil
	}
	return between("iterations", params[0], 1, maxRounds) // PBKDF2
}

func checkArgon2(params []string) error {
	if len(params) != 4 {
		return errors.New("it does not have the form $argon2id$v=19$m=,t=,p=$salt$hash")
	}
	return checkParams(params[1], map[string]bounds{"m": {8, maxMemory / 1024}, "t": {1, 1000}, "p": {1, 255}})
}

func checkScrypt(params string) error {
	err := checkParams(params, map[string]bounds{"ln": {1, 23}, "r": {1, 64}, "p": {1, 64}})
	if err != nil {
		return err
	}
	var ln, r, p int
	if _, err := fmt.Sscanf(params, "ln=%d,r=%d,p=%d", &ln, &r, &p); err != nil {
		return errors.New("it does not have the form $scrypt$ln=,r=,p=$salt$hash")
	}
	if 128*r<<ln > maxMemory {
		return fmt.Errorf("it would take %d MiB at every login, more than %d MiB", 128*r<<ln>>20, maxMemory>>20)
	}
	return nil
}

// checkYescrypt reads the setting of crypt(5): a letter for the flags, then log2
// of N, then r, each one digit of the crypt alphabet, less one.
func checkYescrypt(setting string) error {
	const alphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	if len(setting) != 3 || setting[0] != 'j' {
		return errors.New("only the usual setting j.. is supported")
	}
	ln, r := strings.IndexByte(alphabet, setting[1]), strings.IndexByte(alphabet, setting[2])
	if ln < 0 || r < 0 {
		return errors.New("its setting is damaged")
	}
	ln, r = ln+1, r+1
	if ln > 23 || 128*r<<ln > maxMemory {
		return fmt.Errorf("it would take more than %d MiB at every login", maxMemory>>20)
	}
	return nil
}

// bounds are inclusive; the zero value takes anything.
type bounds struct{ from, to int }

// checkParams reads "k=v,k=v" where all keys are known and none is missing.
func checkParams(s string, known map[string]bounds) error {
	seen := map[string]bool{}
	for param := range strings.SplitSeq(s, ",") {
		key, value, _ := strings.Cut(param, "=")
		b, ok := known[key]
		if !ok || seen[key] {
			return errors.New("its parameters are damaged")
		}
		seen[key] = true
		if b == (bounds{}) {
			continue
		}
		if err := between("parameter "+key, value, b.from, b.to); err != nil {
			return err
		}
	}
	if len(seen) != len(known) {
		return errors.New("parameters are missing")
	}
	return nil
}

func between(what, value string, from, to int) error {
	n, err := strconv.Atoi(value)
	if err != nil {
		return fmt.Errorf("%s is not a number", what)
	}
	if n < from || n > to {
		return fmt.Errorf("%s is %d, not between %d and %d", what, n, from, to)
	}
	return nil
}
