package daemon

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"slices"
)

// The accounts of the gateways that the tests start; both may write.
const (
	User     = "alice"
	Other    = "bob"
	Password = "s3cret-Pass" // of both
)

// Gateway is a running ftpgate.
type Gateway struct {
	*Process
	Addr netip.AddrPort
}

// GatewayConfig says what to serve and how.
type GatewayConfig struct {
	Binary  string     // the ftpgate command
	Host    netip.Addr // a loopback address; the port is a free one
	Storage string     // the URL to serve
	Env     []string   // added to the environment of this process
	Flags   []string   // further flags of "ftpgate serve"
	Under   []string   // a command to run it under, such as strace, with its flags
}

// StartGateway runs "ftpgate serve" with two accounts that may write.
func StartGateway(c GatewayConfig) (*Gateway, error) {
	args := slices.Concat(c.Under, []string{c.Binary, "serve",
		"--listen", net.JoinHostPort(c.Host.String(), "0"),
		"--user", User + ":" + Password, "--user", Other + ":" + Password, "--write"}, c.Flags, []string{c.Storage})
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), c.Env...)
	return startGateway(cmd, c.Host, c.Storage)
}

// StartConfigured runs "ftpgate serve --config file", which listens on 127.0.0.1.
func StartConfigured(binary, file string, env ...string) (*Gateway, error) {
	cmd := exec.Command(binary, "serve", "--config", file, "--listen", "127.0.0.1:0")
	cmd.Env = append(os.Environ(), env...)
	return startGateway(cmd, netip.MustParseAddr("127.0.0.1"), file)
}

func startGateway(cmd *exec.Cmd, host netip.Addr, what string) (*Gateway, error) {
	g := &Gateway{}
	// The start message holds an FTP URL with the address, and perhaps the SFTP URL of
	// the storage.
	address := regexp.MustCompile(`\bftp://(?:[^\s/@]*@)?` + regexp.QuoteMeta(bracketed(host)) + `:([1-9][0-9]*)`)
	var err error
	g.Process, err = start("ftpgate", cmd, func(line string) bool {
		m := address.FindStringSubmatch(line)
		if m == nil {
			return false
		}
		g.Addr, err = netip.ParseAddrPort(bracketed(host) + ":" + m[1])
		return err == nil
	})
	if err != nil {
		return nil, fmt.Errorf("serving %s: %w", what, err)
	}
	return g, nil
}

func bracketed(a netip.Addr) string {
	if a.Is6() {
		return "[" + a.String() + "]"
	}
	return a.String()
}

// URL is the FTP URL of the escaped path, without credentials.
func (g *Gateway) URL(path string) string { return "ftp://" + g.Addr.String() + "/" + path }
