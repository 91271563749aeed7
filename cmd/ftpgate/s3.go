package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ftpgate/ftpgate/backends/s3"
)

// s3Housekeeping is what an operator asks of a bucket.
type s3Housekeeping interface {
	Sweep(ctx context.Context, olderThan time.Duration) (s3.Swept, error)
	StagedUploads(ctx context.Context) ([]s3.StagedUpload, error)
}

func (p surroundings) s3Command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "s3",
		Short: "Look after what interrupted uploads leave in a bucket",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var age sweepAge
	sweep := p.s3Subcommand("sweep", "Delete what nobody resumed in time, as each gateway does once an hour",
		func(ctx context.Context, bucket s3Housekeeping) error { return p.sweep(ctx, bucket, age) })
	sweep.Flags().Var(&age, "older-than", "`time` that nobody touched what is deleted, such as 48h, instead of the URL's expiry.\n"+
		"Below 2h only while no gateway serves the bucket: it would take running uploads")
	cmd.AddCommand(p.s3Subcommand("staged", "Show the uploads that wait to be resumed, or run", p.showStaged), sweep)
	return cmd
}

// sweepAge is the flag --older-than.
type sweepAge struct {
	set bool
	age time.Duration
}

func (a *sweepAge) String() string {
	if !a.set {
		return ""
	}
	return a.age.String()
}

func (a *sweepAge) Type() string { return "time" }

func (a *sweepAge) Set(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return errors.New("it must be a time like 48h or 0s")
	}
	a.set, a.age = true, d
	return nil
}

func (p surroundings) s3Subcommand(name, short string, do func(context.Context, s3Housekeeping) error) *cobra.Command {
	return &cobra.Command{
		Use:     name + " URL",
		Short:   short,
		Example: "  ftpgate s3 " + name + " \"s3://bucket/prefix?region=eu-central-1\"",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{errors.New("give one URL, s3://bucket/prefix")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			fsys, closer, err := p.open(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			defer closer.Close()
			bucket, ok := fsys.(s3Housekeeping)
			if !ok {
				return usageError{errors.New("that is no bucket: give a URL that begins with s3://")}
			}
			return do(cmd.Context(), bucket)
		},
	}
}

func (p surroundings) showStaged(ctx context.Context, bucket s3Housekeeping) error {
	all, err := bucket.StagedUploads(ctx)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "TOUCHED\tSIZE\tSTATE\tOWNER\tNODE\tNAME")
	for _, u := range all {
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%s\t%s\n", u.Touched.Format(time.RFC3339), u.Size, stateOf(u), plain(u.Owner), plain(u.Node), plain(u.Name))
	}
	return table.Flush()
}

func stateOf(u s3.StagedUpload) string {
	switch {
	case u.Hidden:
		return "superseded"
	case u.Parked:
		return "parked"
	}
	return "running or killed"
}

// plain quotes a text that would disturb a terminal or the table.
func plain(s string) string {
	if q := fmt.Sprintf("%q", s); s == "" || q != `"`+s+`"` || strings.ContainsRune(s, ' ') {
		return q
	}
	return s
}

func (p surroundings) sweep(ctx context.Context, bucket s3Housekeeping, age sweepAge) error {
	olderThan := time.Duration(s3.ByExpiry)
	if age.set {
		olderThan = age.age
	}
	n, err := bucket.Sweep(ctx, olderThan)
	fmt.Fprintf(p.stdout, "deleted: %d staged uploads, %d tails, %d orphaned multipart uploads, %d probes; %d renames ended\n",
		n.Uploads, n.Tails, n.Orphans, n.Probes, n.Moves)
	return err
}
