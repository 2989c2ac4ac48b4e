package child

import "syscall"

// bound has a child in a process group of its own, and die when the narrator does.
func bound() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
