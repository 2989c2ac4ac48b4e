// Package child runs processes that do not outlive the one that started them: each is killed
// when that ends, however it does, where the system can (Linux); elsewhere who starts one
// must kill it. A Ctrl-C at the terminal does not reach them.
//
// Who may call: package demo. Nothing is stored but the log of what they write.
package child

import (
	"context"
	"fmt"
	"os"
	"os/exec"
)

// A Process is one that was started. Its methods may be called concurrently.
type Process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has
}

// Start starts a program under the name keyward, with arguments. What it writes is added to
// a file that only its owner reads.
func Start(executable, log string, args ...string) (*Process, error) {
	out, err := os.OpenFile(log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening a log: %w", err)
	}
	defer func() { _ = out.Close() }() // the process has it
	p := &Process{cmd: exec.Command(executable), ended: make(chan struct{})}
	p.cmd.Args = append([]string{"keyward"}, args...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = bound()
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting keyward: %w", err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // how it ended, its state says
	}()
	return p, nil
}

// ID answers the number of the process.
func (p *Process) ID() int { return p.cmd.Process.Pid }

// Kill ends it with SIGKILL and waits until it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

// Gone answers an error if it has ended, however it did; nil while it runs.
func (p *Process) Gone() error {
	select {
	case <-p.ended:
		return fmt.Errorf("process %d ended: %s", p.ID(), p.cmd.ProcessState)
	default:
		return nil
	}
}

// Finish waits until it has ended, and answers an error unless it did so well.
func (p *Process) Finish(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-p.ended:
	}
	if !p.cmd.ProcessState.Success() {
		return fmt.Errorf("process %d ended: %s", p.ID(), p.cmd.ProcessState)
	}
	return nil
}
