package auth

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"unicode/utf8"
)

// hookRequest is an Attempt in JSON.
type hookRequest struct {
	User       string `json:"user"`
	Password   string `json:"password"`
	Protocol   string `json:"protocol"` // ftp, or ftps with TLS
	TLS        string `json:"tls,omitempty"`
	Cipher     string `json:"tls_cipher,omitempty"`
	Subject    string `json:"tls_client,omitempty"`
	Remote     string `json:"remote"`
	RemotePort uint16 `json:"remote_port"`
	Local      string `json:"local"`
	LocalPort  uint16 `json:"local_port"`
	Host       string `json:"host,omitempty"`
}

// HookRequest is what programs outside (see auth/http and auth/exec) are asked: a
// JSON object of user, password, protocol ("ftp", or "ftps" with TLS), remote, remote_port,
// local, local_port and, where there is something to say, host (of HOST), tls (the version), tls_cipher
// and tls_client (the subject of the client's certificate, if it was verified). It
// is ErrDenied for attempts that must not be asked at all: with an empty password, with a
// name that no account can have, or that JSON can't tell.
func HookRequest(a Attempt) ([]byte, error) {
	switch {
	case a.Password == "":
		return nil, Deny("the password is empty")
	case CheckUserName(a.User) != nil, !utf8.ValidString(a.User):
		return nil, ErrUnknownUser
	case !utf8.ValidString(a.Password):
		return nil, Deny("the password is not UTF-8, which JSON can't tell")
	}
	address := func(ap netip.AddrPort) (string, uint16) {
		if !ap.IsValid() {
			return "", 0
		}
		return ap.Addr().Unmap().String(), ap.Port()
	}
	r := hookRequest{User: a.User, Password: a.Password, Protocol: "ftp", Host: a.Host}
	r.Remote, r.RemotePort = address(a.Remote)
	r.Local, r.LocalPort = address(a.Local)
	if a.TLS != nil {
		r.Protocol, r.TLS, r.Cipher = "ftps", tls.VersionName(a.TLS.Version), tls.CipherSuiteName(a.TLS.CipherSuite)
		if len(a.TLS.VerifiedChains) > 0 {
			r.Subject = a.TLS.PeerCertificates[0].Subject.String()
		}
	}
	return json.Marshal(r)
}

// HookAnswer reads what such a program says of the user who tried to log in: nothing, or a JSON
// object with the keys of Account.Set, and name, how the user's name is really spelled.
// What it does not say is taken from defaults. Values are texts, numbers, true, false
// or null, which says nothing. Errors don't repeat values.
func HookAnswer(data []byte, user string, defaults Account) (*Account, error) {
	account := defaults
	account.Name = user
	if len(bytes.TrimSpace(data)) == 0 {
		return &account, nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("the answer is not a JSON object")
	}
	seen := map[string]bool{}
	for d.More() {
		key, value, err := hookField(d)
		if err != nil {
			return nil, err
		}
		if seen[key] {
			return nil, fmt.Errorf("the answer has %q twice", key)
		}
		seen[key] = true
		switch {
		case key == "name" && value != "":
			account.Name, err = value, CheckUserName(value)
		case key != "name":
			err = account.SetAttribute(key, value)
		}
		if err != nil {
			return nil, fmt.Errorf("the answer, %q: %w", key, err)
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, errors.New("the answer is not a whole JSON object")
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("the answer goes on behind its JSON object")
	}
	return &account, nil
}

// hookField reads one key and its value as text.
func hookField(d *json.Decoder) (key, value string, err error) {
	damaged := errors.New("the answer is not a whole JSON object")
	k, err := d.Token()
	if err != nil {
		return "", "", damaged
	}
	key, _ = k.(string)
	v, err := d.Token()
	if err != nil {
		return "", "", damaged
	}
	switch v := v.(type) {
	case nil:
		return key, "", nil
	case string:
		return key, v, nil
	case json.Number:
		return key, v.String(), nil
	case bool:
		return key, fmt.Sprint(v), nil
	}
	return "", "", fmt.Errorf("the answer, %q: a text, a number, true, false or null is wanted", key)
}
