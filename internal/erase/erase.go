// Package erase removes secrets from memory that nobody uses any more. Go gives no
// program the last word on where its values lie: the compiler spills them to stacks,
// libraries copy them to the heap, and the collector reuses what is free without
// clearing it first. Three things together close that gap:
//
//   - [Do] runs what touches key material. In a build with GOEXPERIMENT=runtimesecret on
//     Linux (amd64, arm64) the stack and the registers that it used are erased before it
//     returns, and what it allocated as soon as the collector finds it unreachable. That
//     makes the collector the reference count of a key: drop the last reference, and no
//     operation under way is disturbed and no copy is forgotten. Otherwise Do only calls.
//   - [After] erases the stack only, for work whose allocations would cost too much inside
//     Do: a signature with RSA, a whole request.
//   - [Heap] collects now, so that what was dropped is erased now. The release build also
//     has the collector overwrite all that it frees (-X runtime.godebugDefault=clobberfree=1
//     in the Makefile), which reaches the buffers of net/http and encoding/json.
//
// What can be overwritten by hand is overwritten by hand as well, in every build; see
// [material.Bytes.Zero]. docs/design/memory.md says what is promised and what is not.
// The package keeps no state; every function may be called concurrently.
//
// [material.Bytes.Zero]: https://pkg.go.dev/github.com/keyward/keyward/internal/material#Bytes.Zero
package erase

import (
	"runtime"
	"runtime/debug"
)

// cycles is how many collections free all that was dropped: what a sync.Pool holds
// survives two of them.
const cycles = 3

// Heap frees, and so erases, everything that is not reachable any more, and gives the
// memory back to the system. It takes some milliseconds of CPU for each megabyte in use,
// beside the running program, and returns when all is done.
func Heap() {
	for range cycles - 1 {
		runtime.GC()
	}
	debug.FreeOSMemory() // collects once more
}

// With is [Do] for a function with a result and an error.
func With[T any](f func() (T, error)) (out T, err error) {
	Do(func() { out, err = f() })
	return out, err
}

// AfterWith is [After] for a function with a result and an error.
func AfterWith[T any](f func() (T, error)) (out T, err error) {
	After(func() { out, err = f() })
	return out, err
}
