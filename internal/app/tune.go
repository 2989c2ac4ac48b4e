package app

import (
	"os"
	"runtime"
	"runtime/debug"

	"github.com/keyward/keyward/internal/ballast"
)

// spare is how many goroutines are in the hands of the disk nearly all the time when there is
// much to do: the writer of the audit journal, and that of the database. Each keeps one of the
// runtime's processors there, until the runtime notices that it could be of use elsewhere.
const spare = 2

// tune fits the runtime to a server, until the answer is called.
//
// Almost all that requests allocate is garbage at once, and the live heap is small:
// collecting less often saves a quarter of the CPU of a request for some megabytes. The
// collector counts a ballast as live, which costs no memory, and so waits for 58 MB of
// garbage and 6 % of what lives. A percentage without ballast would do the same with a small
// heap, but let a large one, such as ten thousand connections make, grow without measure.
//
// There are spare processors, unless GOMAXPROCS says how many there are to be.
func tune() (done func()) {
	weight := ballast.New(960 << 20)
	debug.SetGCPercent(6)
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.SetDefaultGOMAXPROCS() // what an earlier server of this process has set
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + spare)
	}
	return func() { runtime.KeepAlive(weight) }
}
