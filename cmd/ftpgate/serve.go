package main

import (
	"github.com/spf13/cobra"

	"github.com/ftpgate/ftpgate/cmd/ftpgate/internal/config"
	"github.com/ftpgate/ftpgate/cmd/ftpgate/internal/serve"
)

const serveHelp = `Serve a store over FTP. The URL is a directory (by default the current one),
file:///dir, mem: or s3://bucket/prefix?endpoint=...&region=...; S3 credentials come
from where the AWS tools take them: environment, profiles, roles.

Without users everybody on this machine may read, as anonymous. With users,
anonymous is off unless --anonymous is given.

Passwords: other users of this machine can read a command line. Instead of --user,
  FTPGATE_USER   holds one NAME:PASSWORD,
  FTPGATE_USERS  holds several, one a line,
  --users-file   names a file of hashes, which "ftpgate passwd" writes.
In all of them PASSWORD may also be a hash that "ftpgate passwd" prints.

TLS: --tls-cert and --tls-key, or --tls-self-signed to try it out. The certificates
are read again when their files change.

Signals: SIGTERM and Ctrl-C let running transfers finish, a second one cuts them
off; SIGHUP reads the configuration and the users files again.`

const serveExamples = `  ftpgate serve
  ftpgate serve --listen :2121 --user alice:secret --write /srv/files
  FTPGATE_USER=alice:secret ftpgate serve --write 's3://bucket/path?region=eu-central-1'
  ftpgate serve --config ftpgate.yaml`

func (p surroundings) serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "serve [URL]",
		Short:   "Serve a directory, memory or an S3 bucket",
		Long:    serveHelp,
		Example: serveExamples,
		Args:    atMost(1),
	}
	file := cmd.Flags().String("config", "", "read the configuration from this YAML `FILE`; flags win over it")
	flags := config.NewFlags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		load := func() (*config.Config, error) { return p.loadConfig(*file, args, flags) }
		signals, stop := p.notify()
		defer stop()
		return serve.Run(cmd.Context(), serve.Options{
			Load: load, Backend: p.open, Signals: signals, Release: stop, Poll: p.poll, Stdout: p.stdout, Stderr: p.stderr,
		})
	}
	return cmd
}

// loadConfig reads the file, then the environment, then the flags.
func (p surroundings) loadConfig(file string, args []string, flags *config.Flags) (*config.Config, error) {
	cfg := config.Default()
	if file != "" {
		var err error
		if cfg, err = config.Load(file); err != nil {
			return nil, err
		}
	}
	if err := cfg.ApplyEnvironment(p.getenv); err != nil {
		return nil, err
	}
	if err := flags.Apply(cfg); err != nil {
		return nil, usageError{err}
	}
	if len(args) > 0 {
		if err := cfg.URL.UnmarshalText([]byte(args[0])); err != nil {
			return nil, usageError{err}
		}
	}
	return cfg, cfg.Check()
}
