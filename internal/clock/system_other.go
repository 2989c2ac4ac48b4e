//go:build !linux

package clock

import (
	"crypto/rand"
	"time"
)

// System answers this machine's clocks that nobody can set, for Options. Here there is
// none that counts suspension and outlives the process: every start is a reboot, and a
// machine that wakes up has a clock that jumped.
func System() (machine func() Machine, awake func() time.Duration) {
	start, name := time.Now(), rand.Text()
	awake = func() time.Duration { return time.Since(start) }
	return func() Machine { return Machine{name, awake()} }, awake
}
