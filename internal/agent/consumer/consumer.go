// Package consumer tells the program that uses a key that there is a new one, and asks
// whether it works with it.
//
// A [Command] is run without a shell, without anything of the key in its arguments or its
// environment, in a process group of its own: when its time is over, the whole group is
// killed, so that nothing of it lives on. What it prints is not kept, for it may hold the
// key. A [Probe] is such a command, or one request to a URL.
//
// Who may call: package agent. What is trusted: the configuration, which names the
// commands; the URL of a probe, which is of the operator's choice like a command and may
// well be on this machine, so no guard of addresses stands before it.
package consumer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"syscall"
	"time"
)

// A Command is a program and its arguments.
type Command struct {
	Argv    []string // at least the program
	Timeout time.Duration
}

// Run runs the command to its end. Its error says how it ended, in words without anything
// that the command printed.
func (c Command) Run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.Argv[0], c.Argv[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	err := cmd.Run() // its streams are the null device, so no grandchild can hold them open
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("running %s: it did not end within %v and was killed", c.Argv[0], c.Timeout)
	case errors.As(err, &exit):
		return fmt.Errorf("running %s: %s", c.Argv[0], exit.ProcessState)
	}
	return fmt.Errorf("running %s: %w", c.Argv[0], err)
}

// A Probe asks whether the consumer works with the new key.
type Probe struct {
	Command  Command // if URL is ""
	URL      string
	Status   int // that the URL must answer
	Timeout  time.Duration
	Interval time.Duration // between two of them
}

// Run asks once.
func (p Probe) Run(ctx context.Context) error {
	if p.URL == "" {
		return p.Command.Run(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL, nil)
	if err != nil {
		return fmt.Errorf("probing: %w", err)
	}
	transport := &http.Transport{DisableKeepAlives: true} // no proxy: the consumer itself is asked
	resp, err := transport.RoundTrip(r)                   // which follows no redirect
	if err != nil {
		return fmt.Errorf("probing %s: %w", p.URL, err)
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // what it says beyond the status does not count
	_ = resp.Body.Close()
	if resp.StatusCode != p.Status {
		return fmt.Errorf("probing %s: it answered %d instead of %d", p.URL, resp.StatusCode, p.Status)
	}
	return nil
}
