//go:build !unix

package exec

import "os/exec"

// ownGroup does nothing: only the program itself is killed here.
func ownGroup(*exec.Cmd) {}

func killGroup(*exec.Cmd) error { return nil }
