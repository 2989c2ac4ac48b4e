package tune

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// discard gives back the whole pages among the bytes.
func discard(b []byte) {
	page := uintptr(os.Getpagesize())
	begin := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	skip := int((page - begin%page) % page)
	whole := (len(b) - skip) &^ (int(page) - 1)
	if skip < len(b) && whole > 0 {
		_ = unix.Madvise(b[skip:skip+whole], unix.MADV_DONTNEED) // else it costs memory, and works as well
	}
}
