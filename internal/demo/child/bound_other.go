//go:build !linux

package child

import "syscall"

// bound adds nothing: only Linux ends children with their parent.
func bound() *syscall.SysProcAttr { return nil }
