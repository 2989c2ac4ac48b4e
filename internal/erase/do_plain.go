//go:build !goexperiment.runtimesecret

package erase

// Enabled tells whether this build erases what [Do] leaves behind.
const Enabled = false

// Do calls f. A build with GOEXPERIMENT=runtimesecret erases what it leaves behind.
func Do(f func()) { f() }

// After calls f. A build with GOEXPERIMENT=runtimesecret erases the stack that it used.
func After(f func()) { f() }
