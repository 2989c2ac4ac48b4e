package mirror

import (
	"os/exec"
	"syscall"
)

// niceness is the priority of what reads and searches: whatever else runs here comes first.
const niceness = 10

// apart has a process lead a group, so that it ends with all that it started.
func apart(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}

// lower gives a process and what it starts little priority.
func lower(cmd *exec.Cmd) {
	_ = syscall.Setpriority(syscall.PRIO_PGRP, cmd.Process.Pid, niceness) // it may be over already
}
