package auth

import (
	"fmt"
	"strings"
	"testing"
)

// vectors are hashes that other programs made: libxcrypt, libargon2 and Python's
// hashlib.
var vectors = []struct{ name, hash, password string }{
	{"argon2id", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "password"},
	{"bcrypt", "$2b$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2", "correct horse"},
	{"bcrypt by htpasswd", "$2y$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2", "correct horse"},
	{"yescrypt", "$y$j9T$saltsaltsalt$nNDsycEBP37XRiK/Qx62iZ4Jbzj3gHJ2kMaWwdseEp/", "correct horse"},
	{"sha512crypt", "$6$saltsalt$hRM5XZ86KXEw9UOmjigeVqFgULtFB2sgpC9lXQDfMib3Zgw7mEiUvBJI2EplzfAqxL5Vvwp2scFtv/uamSo5z0", "correct horse"},
	{"sha512crypt rounds", "$6$rounds=1000$saltsalt$4GMtaIz3E1AdDi2SmCokEW0ehi.HdxNDcL3fGE1XXuzvo6kbx7UOloZKONqEk5H3JrQA4NOfU8BmqFPrpGqwA1", "correct horse"},
	{"sha256crypt", "$5$saltsalt$myjXcpMpE2Ofk7fj9hqyNYSn6lmWG4Mqnjx.KIRRr4/", "correct horse"},
	{"sha512crypt ldap", "{CRYPT}$6$rounds=1000$saltsalt$4GMtaIz3E1AdDi2SmCokEW0ehi.HdxNDcL3fGE1XXuzvo6kbx7UOloZKONqEk5H3JrQA4NOfU8BmqFPrpGqwA1", "correct horse"},
	{"scrypt", "$scrypt$ln=4,r=8,p=1$c2FsdHNhbHRzYWx0c2FsdA$rkTI9fAgA7thDzzR8FHXhMiojYBreJBmYTkEzWypBCQ", "correct horse"},
	{"pbkdf2", "$pbkdf2-sha512$1000$c2FsdHNhbHRzYWx0c2FsdA$EHLBej.uEvxlmr0QnHnceg1vM6h1wbwSP5XErh3SmizNDWZsIi28RPGARe0EssjGRoiACzxgHjNvqwJY1zxKig", "correct horse"},
}

func TestParseSecretVectors(t *testing.T) {
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			s, err := ParseSecret(v.hash)
			if err != nil {
				t.Fatal(err)
			}
			if !LooksHashed(v.hash) {
				t.Error("does not look like a hash")
			}
			for password, want := range map[string]bool{v.password: true, v.password + " ": false} {
				if got := s.match(password); got != want {
					t.Errorf("match(%q) = %v", password, got)
				}
			}
		})
	}
}

func TestHashPassword(t *testing.T) {
	hashes := map[string]string{}
	for _, algorithm := range append(Algorithms(), "") {
		hash, err := HashPassword("päss:wörd", algorithm)
		if err != nil {
			t.Fatalf("%s: %v", algorithm, err)
		}
		if strings.ContainsAny(hash, ":\n ") {
			t.Errorf("%s: %q does not fit into a users file", algorithm, hash)
		}
		s, err := ParseSecret(hash)
		if err != nil {
			t.Fatalf("%s: %v", algorithm, err)
		}
		if !s.match("päss:wörd") {
			t.Errorf("%s: does not match its own password", algorithm)
		}
		if algorithm == "" && hash == hashes["argon2id"] {
			t.Error("the same salt twice")
		}
		hashes[algorithm] = hash
	}
	for _, c := range []struct{ password, algorithm, want string }{
		{"", "", "the password is empty"},
		{"x", "md5", `algorithm "md5" is unknown; there are argon2id and bcrypt`},
		{strings.Repeat("x", 73), "bcrypt", "bcrypt takes at most 72 bytes, the password is longer; use argon2id"},
	} {
		if _, err := HashPassword(c.password, c.algorithm); err == nil || err.Error() != c.want {
			t.Errorf("HashPassword(%q, %q): %v", c.password, c.algorithm, err)
		}
	}
}

// Every hash that is damaged, cut short, or dear enough to stop the server is an
// error that tells what to do and shows nothing of it.
func TestParseSecretErrors(t *testing.T) {
	for _, c := range []struct{ hash, want string }{
		{"", `the password hash is empty; make one with "ftpgate passwd", or write ! to lock the account`},
		{"hunter2", `not a password hash; make one with "ftpgate passwd"`},
		{"$", `not a password hash; make one with "ftpgate passwd"`},
		{"$hunter 2$x$y", `not a password hash; make one with "ftpgate passwd"`},
		{"{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", `not a password hash; make one with "ftpgate passwd"`},
		{"$apr1$saltsalt$abcdefghijklmnopqrstu/", `hashes of the kind $apr1$ are not supported; make one with "ftpgate passwd"`},
		{"$1$saltsalt$abcdefghijklmnopqrstu/", `hashes of the kind $1$ are not supported; make one with "ftpgate passwd"`},
		{"$2x$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2", `hashes of the kind $2x$ are not supported; make one with "ftpgate passwd"`},
		{"$2b$31$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2", "bcrypt hash: cost is 31, not between 4 and 17"},
		{"$2b$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy", `bcrypt hash: it is damaged, or cut short; make a new one with "ftpgate passwd"`},
		{"$2b$", `bcrypt hash: cost is not a number`},
		{"$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ", "argon2id hash: it does not have the form $argon2id$v=19$m=,t=,p=$salt$hash"},
		{"$argon2id$v=19$m=4294967295,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "argon2id hash: parameter m is 4294967295, not between 8 and 1048576"},
		{"$argon2id$v=19$m=65536,t=2$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "argon2id hash: parameters are missing"},
		{"$argon2id$v=19$m=65536,t=2,t=3,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "argon2id hash: its parameters are damaged"},
		{"$argon2id$v=16$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", `argon2id hash: it is damaged, or cut short; make a new one with "ftpgate passwd"`},
		{"$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CT", `argon2id hash: it is cut short; make a new one with "ftpgate passwd"`},
		{"$scrypt$ln=62,r=8,p=1$c2FsdHNhbHRzYWx0c2FsdA$rkTI9fAgA7thDzzR8FHXhMiojYBreJBmYTkEzWypBCQ", "scrypt hash: parameter ln is 62, not between 1 and 23"},
		{"$scrypt$ln=23,r=64,p=1$c2FsdHNhbHRzYWx0c2FsdA$rkTI9fAgA7thDzzR8FHXhMiojYBreJBmYTkEzWypBCQ", "scrypt hash: it would take 65536 MiB at every login, more than 1024 MiB"},
		{"$scrypt$ln=4,r=8,p=1$c2FsdA$rkTI", `scrypt hash: it is cut short; make a new one with "ftpgate passwd"`},
		{"$y$jzzzz$salt$hash", "yescrypt hash: only the usual setting j.. is supported"},
		{"$y$jzz$salt$hash", "yescrypt hash: it would take more than 1024 MiB at every login"},
		{"$6$rounds=999999999$saltsalt$x", "SHA-512-crypt hash: parameter rounds is 999999999, not between 1000 and 20000000"},
		{"$6$saltsalt$x", `SHA-512-crypt hash: it is cut short; make a new one with "ftpgate passwd"`},
		{"$5$saltsalt$", `SHA-256-crypt hash: it is damaged, or cut short; make a new one with "ftpgate passwd"`},
		{"$pbkdf2-sha512$0$c2FsdA$EHLB", "PBKDF2 hash: iterations is 0, not between 1 and 20000000"},
		{"$pbkdf2-sha512$-5$c2FsdA$EHLB", "PBKDF2 hash: iterations is -5, not between 1 and 20000000"},
	} {
		_, err := ParseSecret(c.hash)
		if err == nil || err.Error() != c.want {
			t.Errorf("ParseSecret(%q):\n got %v\nwant %s", c.hash, err, c.want)
		}
	}
}

func TestLockedSecrets(t *testing.T) {
	for _, hash := range []string{"!", "*", "!!", "*LK*", "!" + vectors[1].hash} {
		s, err := ParseSecret(hash)
		if err != nil || !s.locked() {
			t.Errorf("ParseSecret(%q) = %v, locked %v", hash, err, s.locked())
		}
	}
	if !Plaintext("").locked() {
		t.Error("an empty password is not locked")
	}
}

func TestPlaintext(t *testing.T) {
	s := Plaintext("secret")
	for password, want := range map[string]bool{"secret": true, "Secret": false, "secre": false, "secrets": false, "": false} {
		if s.match(password) != want {
			t.Errorf("match(%q) is not %v", password, want)
		}
	}
	for _, got := range []string{fmt.Sprint(s), fmt.Sprintf("%+v", Account{Secret: s}), fmt.Sprintf("%#v", s)} {
		if strings.Contains(got, "secret\"") || strings.Contains(got, "0x") {
			t.Errorf("the secret prints as %s", got)
		}
	}
}

// FuzzParseSecret finds hashes that would panic or take the server down when the
// first login is checked.
func FuzzParseSecret(f *testing.F) {
	for _, v := range vectors {
		f.Add(v.hash)
	}
	f.Add("$y$j..$$")
	f.Add("$bcrypt-sha256$v=2,t=2b,r=5$abcdefghijklmnopqrstuu$HNbAKRhpaujgo33bRWs.NLUTJO3lOy2")
	f.Fuzz(func(t *testing.T, hash string) {
		s, err := ParseSecret(hash)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\r\n") {
				t.Errorf("the error has several lines: %q", err)
			}
			return
		}
		if cheap(hash) && !s.locked() && s.match("a password that nobody has") {
			t.Errorf("%q matches", hash)
		}
	})
}

// cheap keeps the fuzzer from checking passwords at great cost.
func cheap(hash string) bool {
	for _, costly := range []string{"argon2", "scrypt", "$y$", "pbkdf2", "rounds=", "$2"} {
		if strings.Contains(hash, costly) {
			return len(hash) < 140 && strings.Contains(hash, "=4,") || strings.Contains(hash, "$04$")
		}
	}
	return true
}
