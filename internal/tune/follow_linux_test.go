package tune

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// What the server may use becomes less, and more again. Of a thread that may use one processor
// Go believes that the machine has no other.
func TestALimitIsFollowed(t *testing.T) {
	t.Setenv("GOMAXPROCS", "")
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	defer Server()()
	usual := Processors()
	synctest.Test(t, func(t *testing.T) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		var all, one unix.CPUSet
		if err := unix.SchedGetaffinity(0, &all); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := unix.SchedSetaffinity(0, &all); err != nil {
				t.Error(err)
			}
		}()
		for cpu := 0; one.Count() == 0; cpu++ {
			if all.IsSet(cpu) {
				one.Set(cpu)
			}
		}
		follow := func(limit *unix.CPUSet, want int) {
			t.Helper()
			if err := unix.SchedSetaffinity(0, limit); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), pace+time.Second)
			defer cancel()
			if err := Follow(ctx); err != nil {
				t.Error(err)
			}
			if n := runtime.GOMAXPROCS(0); n != want+spare || Processors() != want {
				t.Errorf("there are %d processors and %d for work, want %d and %d more", n, Processors(), want, spare)
			}
		}
		follow(&one, 1)
		follow(&all, usual)
	})
}
