// Package tune fits Go's runtime to a server: how often it collects garbage, and how many of its
// processors there are.
package tune

import (
	"os"
	"runtime"
	"runtime/debug"
	"sync/atomic"
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
// There are [spare] processors beyond those that the machine, or the cgroup, has at the start,
// unless the environment variable GOMAXPROCS says how many there are to be. A cgroup whose limit
// changes later is not followed.
func Server() (done func()) {
	weight := ballast(960 << 20)
	debug.SetGCPercent(6)
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.SetDefaultGOMAXPROCS() // an earlier server of this process may have changed it
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + spare)
		spared.Store(spare)
	}
	return func() { runtime.KeepAlive(weight) }
}

var spared atomic.Int64 // what of GOMAXPROCS is spare

// Processors answers how many there are for work that computes.
func Processors() int { return max(1, runtime.GOMAXPROCS(0)-int(spared.Load())) }

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
