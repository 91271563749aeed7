package config

import (
	"errors"
	"net/netip"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/ftpgate/ftpgate/auth"
	"github.com/ftpgate/ftpgate/gateway"
	"github.com/ftpgate/ftpgate/vfs"
)

func TestDefenceDefaults(t *testing.T) {
	c := Default()
	want := gateway.Defence{
		BanOptions: auth.BanOptions{Score: 100, Window: 10 * time.Minute, For: 30 * time.Minute},
		Fruitless:  60, Delay: 500 * time.Millisecond, MaxDelay: 8 * time.Second,
	}
	if got := c.Defence.Gateway(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if c.Limits.PerUser != -1 || c.Limits.Waiting != 0 || c.Limits.CommandRate != 10_000 {
		t.Errorf("%+v", c.Limits)
	}
}

func TestDefenceKeys(t *testing.T) {
	c, err := Load(filepath.Join("testdata", "full.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	network := func(s string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(s)} }
	want := gateway.Defence{
		Allow: append(network("10.0.0.0/8"), network("2001:db8::/32")...), Deny: network("10.1.2.3/32"), Exempt: network("10.9.0.0/16"),
		CountLoopback: true, BehindBalancer: true, BanOptions: auth.BanOptions{Score: 50, Window: time.Minute, For: 100 * 365 * 24 * time.Hour},
		Fruitless: 30, Delay: time.Second, MaxDelay: 2 * time.Second,
	}
	if got := c.Defence.Gateway(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if r := c.SharedRates; r.User.Rates != auth.Both(1<<20) || r.Address.Rates != (auth.Rates{Down: 2 << 20}) || r.Total.Rates != (auth.Rates{Up: 3 << 20, Down: 4 << 20}) {
		t.Errorf("%+v", r)
	}

	all := &auth.Policy{Permissions: auth.ReadOnly}
	if err := c.Policy.Apply(all); err != nil {
		t.Fatal(err)
	}
	c.Users = c.Users[3:]
	accounts, err := c.Accounts(auth.Account{Settings: auth.Settings{Policy: all}})
	if err != nil {
		t.Fatal(err)
	}
	dave := accounts[0]
	if dave.Sessions != 3 || dave.UserRate != (auth.Rates{Up: 1 << 20}) || !*dave.CommitOnControlLost || *dave.LenientTLS || dave.Policy.MaxSize != 10<<20 {
		t.Errorf("%+v", dave)
	}
	if all.Allow(vfs.OpRead, ".git") == nil || all.Allow(vfs.OpRead, "x.tmp") != nil || all.MaxSize != 0 {
		t.Errorf("the policy of all is %+v", all)
	}
	for name, want := range map[string]bool{"x.csv": true, ".csv": false, "x.exe": false, "in/x.csv": false, "out/x.csv": false, "x.txt": false} {
		if err := dave.Policy.Allow(vfs.OpRemove, name); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if dave.Policy.Allow(vfs.OpWrite, "in/x.csv") != nil || dave.Policy.Allow(vfs.OpOverwrite, "x.csv") == nil {
		t.Error("permissions of dave")
	}
	if p := &dave.Policy.Commands; !p.Allow("STOR", true) || p.Allow("LIST", true) || p.Allow("SITE HELP", false) {
		t.Errorf("%+v", p)
	}
}

func TestDefenceErrors(t *testing.T) {
	for text, want := range map[string]string{
		"defence: {deny: 10.0.0.1/8}":                                                          `f:1:17: defence.deny: "10.0.0.1/8" has bits behind its length; is it 10.0.0.0/8?`,
		"defence: {deny: all}":                                                                 `f:1:17: defence.deny: "all" is not a network such as 192.0.2.0/24 or 2001:db8::/32, nor an address`,
		"defence: {allow: '::ffff:10.0.0.0/104'}":                                              `f:1:18: defence.allow: "::ffff:10.0.0.0/104" is an IPv4 network; write it as one`,
		"defence: {ban_scor: 1}":                                                               `f:1:11: key "defence.ban_scor" is unknown; is it ban_score?`,
		"shared_rates: {user: left 1M}":                                                        `f:1:22: shared_rates.user: rate "left 1M" is not one such as 2M, off, or up 500K down 2M`,
		"policy: {hide: a/b}":                                                                  `f:1:16: policy.hide: pattern "a/b" is not one for a single name, such as *.key; it must have no /`,
		"policy: {max_size: 0}":                                                                `f:1:20: policy.max_size: "0" is not a number of bytes such as 500M or 64G, nor off`,
		"policy: {commands: [RETR, STRO]}":                                                     `f:1:27: policy.commands: there is no command "STRO"; is it STRU?`,
		"users:\n- {name: a, policy: {directories: [{path: x}]}}":                              `f:2:43: users.policy.directories.path: home "x" does not begin with / (which is the top of what is served)`,
		"users:\n- {name: a, password: x, policy: {directories: [{path: /x}]}}":                `f:2:49: directories: /x has no permissions`,
		"policy: {directories: [{path: /x, permissions: e}, {path: /X, permissions: e}]}":      `f:1:52: directory "/X" is given twice`,
		"users:\n- {name: a, password: x, policy: {directories: [{path: /, permissions: e}]}}": `f:2:49: directory "/" is not a plain absolute path such as /inbox`,
		"users:\n- {name: a, password: x, permissions: elr+fly}":                               `f:2:39: users.permissions: permission "fly" is unknown, those behind + and - are read, hash, delete, rmdir, create, overwrite, symlink`,
		"users:\n- {name: a, password: x, control_lost: wait}":                                 `f:2:40: users.control_lost: "wait" is not one of park, commit`,
		"limits: {commands_per_second: 0}":                                                     `f:1:31: limits.commands_per_second: "0" is not a number above 0; write off for no limit`,
	} {
		c, err := parse("f", []byte(text))
		if err == nil {
			err = c.Policy.Apply(&auth.Policy{})
		}
		if err == nil {
			_, err = c.Accounts(auth.Account{})
		}
		var fe *auth.FileError
		if !errors.As(err, &fe) || err.Error() != want {
			t.Errorf("%s:\n got %v\nwant %s", text, err, want)
		}
	}
}
