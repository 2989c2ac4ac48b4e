package tune

import (
	"os"
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// No page of a ballast is resident, also where the memory was used before.
func TestNothingIsResident(t *testing.T) {
	const size = 96 << 20
	for range 4 {
		used := make([]byte, size+8<<20)
		for i := range used {
			used[i] = 1
		}
		runtime.GC()
		b := ballast(size)
		pages := make([]byte, size/os.Getpagesize())
		if _, _, errno := unix.Syscall(unix.SYS_MINCORE, address(b), uintptr(len(b)), address(pages)); errno != 0 {
			t.Fatal(errno)
		}
		resident := 0
		for _, p := range pages {
			resident += int(p & 1)
		}
		if resident > 0 {
			t.Fatalf("%d of %d pages are resident", resident, len(pages))
		}
		runtime.KeepAlive(b)
	}
}

func address(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }
