package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal opens a pseudo-terminal: what a person types goes into person, what
// they see comes out of it.
func terminal(t *testing.T) (person, tty *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	return person, tty
}

func echoes(t *testing.T, tty *os.File) bool {
	t.Helper()
	attr, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return attr.Lflag&unix.ECHO != 0
}

// On a terminal the password is asked for twice and never shown, and the echo is
// back afterwards, also after Ctrl-C.
func TestPasswdOnTerminal(t *testing.T) {
	for _, c := range []struct {
		name    string
		answers []string
		status  int
		want    string // at the end of what the person sees
	}{
		{"twice", []string{"s3cret\n", "s3cret\n"}, 0, "Again: \r\n"},
		{"different", []string{"s3cret\n", "s3cert\n"}, 1, "ftpgate: the two passwords differ, nothing was changed\r\n"},
		{"empty", []string{"\n"}, 1, "ftpgate: the password is empty\r\n"},
		{"interrupted", []string{"s3c\x03"}, 1, "ftpgate: interrupted, nothing was changed\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			person, tty := terminal(t)
			file := filepath.Join(t.TempDir(), "users")
			cmd := exec.Command(binary, "passwd", "--file", file, "alice")
			cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			seen := newOutput()
			go func() {
				_, _ = io.Copy(seen, person) // ends when the person's side is closed
			}()
			for i, a := range c.answers {
				// The prompt comes before the echo goes off, so wait for that too: what is
				// typed earlier would be shown by the terminal, not by us.
				seen.wait(t, []string{"Password: ", "Again: "}[i])
				for echoes(t, tty) {
					if err := syscall.Kill(cmd.Process.Pid, 0); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := io.WriteString(person, a); err != nil {
					t.Fatal(err)
				}
			}
			_ = cmd.Wait()
			if status := cmd.ProcessState.ExitCode(); status != c.status {
				t.Errorf("status %d", status)
			}
			seen.wait(t, regexp.QuoteMeta(c.want)+"$")
			if s := seen.String(); strings.Contains(s, "s3c") {
				t.Errorf("the person sees %q", s)
			}
			if !echoes(t, tty) {
				t.Error("the echo is still off")
			}
			if c.status == 0 {
				if !matches(t, file, "alice", "s3cret") {
					t.Error("the password was not set")
				}
			} else if _, err := os.Stat(file); err == nil {
				t.Error("there is a users file")
			}
			person.Close()
		})
	}
}
