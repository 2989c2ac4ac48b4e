package tune

import (
	"runtime"
	"testing"
)

// Servers of one process, one after the other, do not add up.
func TestProcessorsAreSpared(t *testing.T) {
	t.Setenv("GOMAXPROCS", "")
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	runtime.SetDefaultGOMAXPROCS()
	usual := runtime.GOMAXPROCS(0)
	for range 3 {
		done := Server()
		if n := runtime.GOMAXPROCS(0); n != usual+spare {
			t.Errorf("there are %d processors, want %d and %d more", n, usual, spare)
		}
		if n := Processors(); n != usual {
			t.Errorf("there are %d processors for work, want %d", n, usual)
		}
		done()
	}
}

func TestGOMAXPROCSIsHeeded(t *testing.T) {
	t.Setenv("GOMAXPROCS", "3")
	before := runtime.GOMAXPROCS(3)
	defer runtime.GOMAXPROCS(before)
	defer Server()()
	if n := runtime.GOMAXPROCS(0); n != 3 {
		t.Errorf("there are %d processors, want 3", n)
	}
}
