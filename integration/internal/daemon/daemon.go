// Package daemon runs the servers that the tests, the demo and the campaigns talk
// to as children of this process: the gateway itself and a real S3 server. A
// child is stopped by its own process id and dies with its parent.
package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	startTime = 30 * time.Second // to become ready, on a busy machine
	stopTime  = 3 * time.Minute  // to drain after SIGTERM, and to remove what a campaign stored
	// keptOutput bounds what is remembered of a child's output, from its start.
	keptOutput = 64 << 20
)

// Process is a running child. Its methods may be called concurrently.
type Process struct {
	name   string
	cmd    *exec.Cmd
	output *output
	done   chan struct{} // closed when the child has ended
	err    error         // how, once done is closed
}

// start runs cmd and waits until ready accepts one of the lines that it prints.
func start(name string, cmd *exec.Cmd, ready func(line string) bool) (*Process, error) {
	p := &Process{name: name, cmd: cmd, done: make(chan struct{})}
	p.output = &output{ready: ready, isReady: make(chan struct{}), changed: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.output, p.output
	// Ctrl-C is for this process, which then ends its children in order; if it dies
	// instead, so do they.
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid, cmd.SysProcAttr.Pdeathsig = true, syscall.SIGTERM
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	select {
	case <-p.output.isReady:
		return p, nil
	case <-p.done:
		return nil, fmt.Errorf("%s ended before it was ready: %v\n%s", name, p.err, p.Output())
	case <-time.After(startTime):
		p.Kill()
		return nil, fmt.Errorf("%s was not ready after %v\n%s", name, startTime, p.Output())
	}
}

// PID is the child's process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Output is what the child has printed so far, to both streams.
func (p *Process) Output() string { return p.output.String() }

// Await waits until the child has printed all of texts since the byte from of its
// output.
func (p *Process) Await(from int, patience time.Duration, texts ...string) error {
	timeout := time.After(patience)
	for {
		changed := p.output.changedChan()
		out := p.Output()
		recent := out[min(from, len(out)):]
		if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(recent, text) }) {
			return nil
		}
		select {
		case <-changed:
		case <-p.done:
			return fmt.Errorf("%s ended before it printed %q\n%s", p.name, texts, tail(p.Output()))
		case <-timeout:
			return fmt.Errorf("%s did not print %q within %v\n%s", p.name, texts, patience, tail(p.Output()))
		}
	}
}

// PeakRSS is the largest resident set that the child has had, in bytes.
func (p *Process) PeakRSS() (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		var kib int64
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kib); err == nil {
			return kib << 10, nil
		}
	}
	return 0, errors.New("no VmHWM in the status of the process")
}

// Done is closed when the child has ended, for whatever reason.
func (p *Process) Done() <-chan struct{} { return p.done }

// Stop sends SIGTERM and waits. A child that ends with another status than 0, or
// that has to be killed, is an error with its last lines.
func (p *Process) Stop() error {
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(stopTime):
		p.Kill()
		return fmt.Errorf("%s did not end within %v of SIGTERM\n%s", p.name, stopTime, tail(p.Output()))
	}
	if p.err != nil {
		return fmt.Errorf("%s: %w\n%s", p.name, p.err, tail(p.Output()))
	}
	return nil
}

// Kill ends the child as a power cut would.
func (p *Process) Kill() {
	p.cmd.Process.Kill()
	<-p.done
}

// Crashes returns what the child printed about data races and panics, or "".
func (p *Process) Crashes() string {
	out := p.Output()
	for _, mark := range []string{"WARNING: DATA RACE", "panic:", "fatal error:", "SIGSEGV"} {
		if i := strings.Index(out, mark); i >= 0 {
			return out[i:min(len(out), i+8000)]
		}
	}
	return ""
}

func tail(s string) string {
	return s[max(0, len(s)-4000):]
}

// output collects what a child prints and looks for the line that says ready.
type output struct {
	mu      sync.Mutex
	kept    []byte
	partial []byte // of the last line
	ready   func(line string) bool
	isReady chan struct{}
	changed chan struct{} // closed at the next Write
}

func (o *output) changedChan() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.changed
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.kept = append(o.kept, b[:min(len(b), keptOutput-len(o.kept))]...)
	close(o.changed)
	o.changed = make(chan struct{})
	if o.ready == nil {
		return len(b), nil
	}
	o.partial = append(o.partial, b...)
	for {
		line, rest, whole := bytes.Cut(o.partial, []byte{'\n'})
		if !whole {
			return len(b), nil
		}
		o.partial = rest
		if o.ready(strings.TrimSuffix(string(line), "\r")) {
			o.ready, o.partial = nil, nil
			close(o.isReady)
			return len(b), nil
		}
	}
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.kept)
}

// Build compiles the package pkg of the module in dir to the file out, with the
// given extra flags of go build.
func Build(dir, pkg, out string, flags ...string) error {
	cmd := exec.Command("go", append(append([]string{"build", "-o", out}, flags...), pkg)...)
	cmd.Dir = dir
	if text, err := cmd.CombinedOutput(); err != nil {
		return errors.Join(fmt.Errorf("go build %s: %w", pkg, err), errors.New(string(text)))
	}
	return nil
}
