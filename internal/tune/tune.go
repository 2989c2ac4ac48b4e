// Package tune fits Go's runtime to a server: how often it collects garbage, and how many of its
// processors there are.
package tune

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// spare is how many goroutines are in the hands of the disk nearly all the time when there is
// much to do: the writer of the audit journal, and that of the database. Each keeps one of the
// runtime's processors there, until the runtime notices that it could be of use elsewhere.
const spare = 2

// Server fits the runtime to a server, until the answer is called.
//
// Almost all that requests allocate is garbage at once, and the live heap is small:
// collecting less often saves a quarter of the CPU of a request for some megabytes. The
// collector counts a ballast as live, which costs no memory, and so waits for 58 MB of
// garbage and 6 % of what lives. A percentage without ballast would do the same with a small
// heap, but let a large one, such as ten thousand connections make, grow without measure.
//
// There are [spare] processors beyond those that the machine, or the cgroup, has, unless the
// environment variable GOMAXPROCS says how many there are to be. [Follow] follows a limit that
// changes later.
func Server() (done func()) {
	weight := ballast(960 << 20)
	debug.SetGCPercent(6)
	if os.Getenv("GOMAXPROCS") == "" {
		share()
	} else {
		shared.Store(0)
	}
	return func() { runtime.KeepAlive(weight) }
}

var (
	sharing sync.Mutex   // held while GOMAXPROCS is set, which takes two steps
	shared  atomic.Int64 // processors without the spare ones; 0 if GOMAXPROCS was not set here
)

// share sets GOMAXPROCS to what the machine, or the cgroup, has now and [spare] more.
func share() {
	sharing.Lock()
	defer sharing.Unlock()
	runtime.SetDefaultGOMAXPROCS() // the only way to learn the number
	n := runtime.GOMAXPROCS(0)
	shared.Store(int64(n))
	runtime.GOMAXPROCS(n + spare)
}

// pace is how often [Follow] looks. Each time the world stops twice, for some 70 µs together.
const pace = 30 * time.Second

// Follow sets the processors that [Server] has set again and again, until ctx ends: Go itself
// follows a limit only as long as nobody sets GOMAXPROCS.
func Follow(ctx context.Context) error {
	if shared.Load() == 0 {
		return nil
	}
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			share()
		}
	}
}

// Processors answers how many there are for work that computes.
func Processors() int {
	if n := shared.Load(); n > 0 {
		return int(n)
	}
	return runtime.GOMAXPROCS(0)
}

// ballast answers so many bytes that are zero and that nobody may write to. On Linux none of
// their pages are resident.
//
// Memory that was never written takes no page of the machine, but Go clears an allocation by
// writing to it when any part of it may have been used before, which depends on what the
// process did earlier: one start of five had all of the ballast resident. So its pages are
// given back to the system after it was allocated; they read as zeros, as they did.
func ballast(bytes int) []byte {
	b := make([]byte, bytes)
	discard(b)
	return b
}
