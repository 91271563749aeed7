// Command ftpgate serves a directory, memory or an S3 bucket over FTP.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"
	_ "time/tzdata" // time zones on machines that have no database

	"github.com/spf13/cobra"

	"github.com/ftpgate/ftpgate/backends"
	"github.com/ftpgate/ftpgate/vfs"
)

func main() {
	// Nearly all of the heap is buffers without pointers: to collect it early costs
	// little, and saves a quarter of the memory.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
	os.Exit(process().run(context.Background(), os.Args[1:]))
}

// surroundings are what a command uses of the process.
type surroundings struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	// notify begins to deliver the signals of the process, until stop.
	notify func() (signals <-chan os.Signal, stop func())
	open   func(ctx context.Context, url string) (vfs.FS, io.Closer, error)
	poll   time.Duration // how often files are looked at; 0: see serve.Options
}

func process() surroundings {
	return surroundings{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv, open: backends.Open,
		notify: func() (<-chan os.Signal, func()) {
			c := make(chan os.Signal, 4)
			signal.Notify(c, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
			return c, func() { signal.Stop(c) }
		},
	}
}

// Exit statuses.
const (
	statusOK = iota
	statusFailed
	statusUsage
)

// usageError is a mistake on the command line.
type usageError struct{ error }

// run runs the command line. An error is one line on stderr.
func (p surroundings) run(ctx context.Context, args []string) int {
	root := p.rootCommand()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return statusOK
	}
	line := "ftpgate: " + oneLine(err.Error())
	var usage usageError
	if errors.As(err, &usage) {
		fmt.Fprintf(p.stderr, "%s; see \"%s --help\"\n", line, cmd.CommandPath())
		return statusUsage
	}
	fmt.Fprintln(p.stderr, line)
	return statusFailed
}

// oneLine joins the lines of a message.
func oneLine(s string) string {
	var parts []string
	for line := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == '\n' || r == '\r' }) {
		if line = strings.TrimSpace(line); line != "" {
			parts = append(parts, line)
		}
	}
	return strings.Join(parts, "; ")
}

func (p surroundings) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "ftpgate",
		Short: "An FTP gateway for directories, memory and S3 buckets",
		Long: "ftpgate serves a directory, memory or an S3 bucket over FTP.\n\n" +
			"    ftpgate serve                    # this directory, read-only, for this machine\n" +
			"    ftpgate serve s3://bucket/path   # credentials as for the AWS tools",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("command %q is unknown", args[0])}
			}
			return nil
		},
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(p.serveCommand(), p.passwdCommand(), p.s3Command(), p.versionCommand())
	return root
}

// atMost refuses more than n arguments; it does not repeat them, as one may be a
// password.
func atMost(n int) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) > n {
			return usageError{fmt.Errorf("%d arguments are given, at most %d is taken", len(args), n)}
		}
		return nil
	}
}
