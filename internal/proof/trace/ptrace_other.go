//go:build !linux || !amd64

package trace

import (
	"errors"
	"os/exec"
)

// Supported tells whether programs can be traced on this machine.
const Supported = false

// Start answers that it cannot.
func Start(*exec.Cmd, Hooks) (*Process, error) {
	return nil, errors.New("tracing a program: it needs Linux on amd64")
}

// Written answers nothing.
func (c *Call) Written() []byte { return nil }

// Offset answers that it is not known.
func (c *Call) Offset() (int64, error) {
	return 0, errors.New("tracing a program: it needs Linux on amd64")
}

// Locks answers that nothing is known to.
func (c *Call) Locks() bool { return false }
