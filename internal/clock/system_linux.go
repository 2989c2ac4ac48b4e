package clock

import (
	"crypto/rand"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// System answers this machine's clocks that nobody can set, for Options.
func System() (machine func() Machine, awake func() time.Duration) {
	start := time.Now()
	awake = func() time.Duration { return time.Since(start) } // CLOCK_MONOTONIC, which stands still in suspension
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	name := strings.TrimSpace(string(boot))
	if err != nil || name == "" {
		name = rand.Text() // every start is then a reboot
	}
	return func() Machine {
		var t unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
			return Machine{"without boot time " + name, awake()}
		}
		return Machine{name, time.Duration(t.Nano())}
	}, awake
}
