package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func (p surroundings) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  atMost(0),
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(p.stdout, "ftpgate", version(debug.ReadBuildInfo()))
			return err
		},
	}
}

// version tells what the Go command noted about the build.
func version(info *debug.BuildInfo, ok bool) string {
	v := "(unknown)"
	commit, dirty := "", ""
	if ok {
		if info.Main.Version != "" {
			v = info.Main.Version
		}
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				commit = ", commit " + s.Value[:min(12, len(s.Value))]
			case s.Key == "vcs.modified" && s.Value == "true":
				dirty = " with changes"
			}
		}
	}
	return fmt.Sprintf("%s (%s %s/%s%s%s)", v, runtime.Version(), runtime.GOOS, runtime.GOARCH, commit, dirty)
}
