package erase_test

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"unsafe"

	"github.com/keyward/keyward/internal/erase"
)

// memory answers what is at an address of this process, nil if nothing is there any more.
func memory(t *testing.T, address uintptr, size int) []byte {
	t.Helper()
	self, err := os.Open("/proc/self/mem")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skipf("this needs Linux: %v", err)
	}
	defer self.Close()
	content := make([]byte, size)
	if _, err := self.ReadAt(content, int64(address)); err != nil {
		return nil
	}
	return content
}

const size = 256

func pattern() []byte { return bytes.Repeat([]byte("fake secret on the stack"), 20)[:size] }

// leave leaves the pattern on the stack, deeper than what looks for it will come, and
// answers where.
//
//go:noinline
func leave(content []byte) uintptr {
	var room [16 << 10]byte
	copy(room[:], content) // the stack grows down: this is its far end
	return address(&room[0])
}

//go:noinline
func address(of *byte) uintptr { return uintptr(unsafe.Pointer(of)) }

func TestStackIsErased(t *testing.T) {
	want := pattern()
	for name, run := range map[string]func(func()){"Do": erase.Do, "After": erase.After} {
		var at uintptr
		run(func() { at = leave(want) })
		if found := bytes.Equal(memory(t, at, size), want); found && erase.Enabled {
			t.Errorf("%s leaves the stack as it is", name)
		}
	}
	// What is not erased must be found, or the test proves nothing.
	if at := leave(want); !bytes.Equal(memory(t, at, size), want) {
		t.Error("what was left on the stack is not found, so this test proves nothing")
	}
}

//go:noinline
func allocate(content []byte) uintptr {
	room := new([size]byte)
	copy(room[:], content)
	kept = room
	return address(&room[0])
}

var kept *[size]byte // so that it is on the heap

func TestHeapIsErased(t *testing.T) {
	want := pattern()
	var at uintptr
	erase.Do(func() { at = allocate(want) })
	if !bytes.Equal(memory(t, at, size), want) {
		t.Fatal("what is in use was erased")
	}
	kept = nil
	erase.Heap()
	if found := bytes.Equal(memory(t, at, size), want); found && erase.Enabled {
		t.Error("Do leaves the heap as it is")
	}
}

func TestResultsErrorsAndPanicsPass(t *testing.T) {
	injected := errors.New("injected")
	for name, with := range map[string]func(func() (int, error)) (int, error){"With": erase.With[int], "AfterWith": erase.AfterWith[int]} {
		if n, err := with(func() (int, error) { return 7, injected }); n != 7 || !errors.Is(err, injected) {
			t.Errorf("%s answers %d, %v", name, n, err)
		}
		func() {
			defer func() {
				if p := recover(); p != injected { //nolint:errorlint // the same value
					t.Errorf("%s panics with %v", name, p)
				}
			}()
			_, _ = with(func() (int, error) { panic(injected) })
		}()
	}
}
