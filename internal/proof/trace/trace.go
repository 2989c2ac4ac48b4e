// Package trace runs a program and stands between it and the kernel: it sees every
// system call that touches files, and may refuse, shorten or falsify it.
//
// strace cannot do this for keyward: it counts calls for each thread, and the threads of
// a Go program are interchangeable, so "the N-th call" would not be the same call twice.
// Here one thread traces all threads of the program; hooks run on it, one at a time, in
// an order that cause and effect allow: a call that the program made because another one
// had returned is seen after that.
//
// What is trusted: the kernel's ptrace(2). Only tests use this package.
package trace

import "syscall"

// A Call is one system call of the traced program. It is valid during the hook only.
type Call struct {
	Name   string // "pwrite64"
	Path   string // of the file that it is about, its descriptor's or its argument; "" if there is none
	To     string // second path, of a rename
	Args   [6]uint64
	Return int64 // set in Leave: what the kernel answered, negative for an error
	thread int
}

// A Verdict says what becomes of a call. The zero Verdict lets it be.
type Verdict struct {
	Errno  syscall.Errno // answered to the program
	Effect bool          // with Errno: the call happens all the same
	Length uint64        // if not 0: only so many bytes of the buffer are passed to the kernel
}

// Hooks are called on the tracing thread, while the thread that calls stands still.
type Hooks struct {
	Enter func(*Call) Verdict // before the kernel acts
	Leave func(*Call)         // after it; not called for a call that was refused or falsified
}

// A Process is a traced program.
type Process struct {
	Pid   int
	ended chan struct{}
}

// Kill ends the program as kill -9 does and waits until it is gone.
func (p *Process) Kill() {
	_ = syscall.Kill(p.Pid, syscall.SIGKILL) // it may be gone
	<-p.ended
}

// Ended is closed when the program has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }
