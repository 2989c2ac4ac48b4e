//go:build unix

package host

import "syscall"

// errGone is what reading of a process says that has ended meanwhile.
var errGone error = syscall.ESRCH
