package serve

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ftpgate/ftpgate/auth"
	"github.com/ftpgate/ftpgate/auth/pam"
	"github.com/ftpgate/ftpgate/cmd/ftpgate/internal/certs/certtest"
	"github.com/ftpgate/ftpgate/cmd/ftpgate/internal/config"
)

// Every example of docs/accounts.md is a configuration whose sources can be made, and
// its table of settings is that of the code.
func TestAccountsDocument(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "docs", "accounts.md"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	ca := certtest.NewCA(t, "authority")
	own := ca.Client("ftpgate")
	for name, data := range map[string][]byte{
		"ldap-ca.pem": ca.PEM(), "accounts-ca.pem": ca.PEM(), "db-ca.pem": ca.PEM(), "ftpgate.pem": own.Cert, "ftpgate.key": own.Key,
		"ldap-password": []byte("secret\n"), "db-password": []byte("secret\n"), "users": nil, "htpasswd": nil,
	} {
		certtest.Write(t, dir, name, data)
	}
	if err := os.WriteFile(filepath.Join(dir, "ftp-login"), []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{}
	blocks := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$").FindAllStringSubmatch(string(text), -1)
	for _, block := range blocks {
		example := strings.NewReplacer("/etc/ftpgate/", dir+"/", "/etc/apache2/", dir+"/", "/usr/local/lib/", dir+"/").Replace(block[1])
		file := certtest.Write(t, dir, "ftpgate.yaml", []byte(example))
		cfg, err := config.Load(file)
		if err == nil {
			err = cfg.ApplyEnvironment(func(name string) string {
				return map[string]string{"SHOP_DB_PASSWORD": "secret", "ACCOUNTS_TOKEN": "secret"}[name]
			})
		}
		if err != nil {
			t.Errorf("%v in\n%s", err, example)
			continue
		}
		sources, err := openSources(cfg, nil)
		_, without := pam.New(pam.Options{})
		if without != nil && err != nil && strings.HasSuffix(err.Error(), without.Error()) {
			kinds["pam"] = true
			continue
		}
		if err == nil {
			_, err = loadAccounts(cfg, auth.NewGate(1), sources)
			closeSources(sources)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "nobody could log in") { // the users files are empty
			t.Errorf("%v in\n%s", err, example)
		}
		for _, s := range sources {
			kinds[s.cfg.Kind()] = true
		}
	}
	if len(kinds) != 5 || len(blocks) < 10 {
		t.Errorf("%d examples show %v", len(blocks), kinds)
	}
	section := regexp.MustCompile(`(?ms)^## Settings$(.*?)^## `).FindString(string(text))
	documented := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]*`) \\|").FindAllStringSubmatch(section, -1) {
		for _, key := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(row[1], -1) {
			documented[key[1]] = true
		}
	}
	// The error of an unknown key lists all that there are.
	_, known, _ := strings.Cut(auth.CheckSetting("?").Error(), "there are ")
	keys := regexp.MustCompile(`\w+`).FindAllString(strings.Replace(known, " and ", ", ", 1), -1)
	for key := range documented {
		if err := auth.CheckSetting(key); err != nil {
			t.Error(err)
		}
	}
	for _, key := range keys {
		if !documented[key] {
			t.Errorf("docs/accounts.md does not tell of %s", key)
		}
	}
}
