package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/ftpgate/ftpgate/auth"
)

const passwdHelp = `Read a password and hash it. From a terminal it is asked for twice, without echo;
otherwise it is the first line of standard input.

With --file the hash becomes that of user NAME in this users file, which is made if
there is none; everything else in it stays. Otherwise the line for such a file is
printed, or, without NAME, only the hash.`

func (p surroundings) passwdCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "passwd [NAME]",
		Short: "Hash a password, or set it in a users file",
		Long:  passwdHelp,
		Example: `  ftpgate passwd --file users alice
  echo secret | ftpgate passwd`,
		Args: atMost(1),
	}
	file := cmd.Flags().String("file", "", "set the password in this users `FILE`")
	algorithm := cmd.Flags().String("algorithm", auth.Algorithms()[0], "`NAME` of the hash: "+strings.Join(auth.Algorithms(), " or "))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name := ""
		if len(args) > 0 {
			name = args[0]
			if err := auth.CheckUserName(name); err != nil {
				return usageError{err}
			}
		}
		if !slices.Contains(auth.Algorithms(), *algorithm) {
			return usageError{fmt.Errorf("--algorithm: %q is not %s", *algorithm, strings.Join(auth.Algorithms(), " or "))}
		}
		if *file != "" && name == "" {
			return usageError{errors.New("--file needs the NAME of the user")}
		}
		password, err := p.readPassword(cmd.Context())
		if err != nil {
			return err
		}
		hash, err := auth.HashPassword(password, *algorithm)
		if err != nil {
			return err
		}
		if *file != "" {
			return setPassword(*file, name, hash)
		}
		if name != "" {
			hash = name + ":" + hash
		}
		_, err = fmt.Fprintln(p.stdout, hash)
		return err
	}
	return cmd
}

// readPassword asks on a terminal, or reads a line.
func (p surroundings) readPassword(ctx context.Context) (string, error) {
	if f, ok := p.stdin.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return p.askPassword(ctx, f)
	}
	const longest = 4096
	line, err := bufio.NewReader(io.LimitReader(p.stdin, longest+1)).ReadString('\n')
	if err != nil && err != io.EOF {
		return "", fmt.Errorf("reading the password: %w", err)
	}
	if len(line) > longest {
		return "", fmt.Errorf("the password is longer than %d bytes", longest)
	}
	line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
	if line == "" {
		return "", errors.New("the password is empty; write it to standard input, or run this in a terminal")
	}
	return line, nil
}

// askPassword asks twice. A signal puts the echo back on.
func (p surroundings) askPassword(ctx context.Context, tty *os.File) (string, error) {
	fd := int(tty.Fd())
	state, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("the terminal: %w", err)
	}
	defer func() { _ = term.Restore(fd, state) }()
	signals, stop := p.notify()
	defer stop()
	ask := func(prompt string) (string, error) {
		fmt.Fprint(p.stderr, prompt)
		defer fmt.Fprintln(p.stderr)
		type answer struct {
			text []byte
			err  error
		}
		answers := make(chan answer, 1) // a read of a terminal can't be called off
		go func() {
			text, err := term.ReadPassword(fd)
			answers <- answer{text, err}
		}()
		select {
		case a := <-answers:
			return string(a.text), a.err
		case <-signals:
			return "", errors.New("interrupted, nothing was changed")
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
	first, err := ask("Password: ")
	if err != nil {
		return "", err
	}
	if first == "" {
		return "", errors.New("the password is empty")
	}
	second, err := ask("Again: ")
	if err != nil {
		return "", err
	}
	if first != second {
		return "", errors.New("the two passwords differ, nothing was changed")
	}
	return first, nil
}
