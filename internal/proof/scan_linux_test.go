package proof

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// cannot skips a test that the machine forbids; in CI nothing may be skipped.
func cannot(t *testing.T, why error) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// readMemory reads all memory of a process that can be read, more than a core dump would hold:
// it includes what the process keeps out of one. It needs root, or CAP_SYS_PTRACE.
func readMemory(t *testing.T, pid int) []area {
	t.Helper()
	maps, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		cannot(t, err)
	}
	defer maps.Close()
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		cannot(t, err)
	}
	defer memory.Close()
	var areas []area
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		from, to, _ := strings.Cut(fields[0], "-")
		start, errStart := strconv.ParseUint(from, 16, 63)
		end, errEnd := strconv.ParseUint(to, 16, 63)
		if errStart != nil || errEnd != nil || fields[1][0] != 'r' || fields[len(fields)-1] == "[vvar]" {
			continue
		}
		content := make([]byte, end-start)
		n, err := memory.ReadAt(content, int64(start))
		if err != nil && !errors.Is(err, io.EOF) && n == 0 {
			continue // the kernel's own page, or gone meanwhile
		}
		areas = append(areas, area{fields[0] + " " + strings.Join(fields[5:], " "), content[:n]})
	}
	if len(areas) < 10 {
		t.Fatalf("read only %d areas of memory", len(areas))
	}
	return areas
}

// An area is one mapping of a process.
type area struct {
	name    string
	content []byte
}

func total(areas []area) (sum int) {
	for _, a := range areas {
		sum += len(a.content)
	}
	return sum
}

// A known is a secret that a test knows, and the forms in which it could lie in memory.
type known struct {
	name  string
	forms map[string][]byte
}

// knownBytes is a secret of any bytes.
func knownBytes(name string, secret []byte) known {
	return known{name, map[string][]byte{
		"as it is": secret, "hex": []byte(hex.EncodeToString(secret)),
		"base64": []byte(strings.TrimRight(base64.StdEncoding.EncodeToString(secret), "=")),
	}}
}

// reversed is a number as little-endian limbs keep it.
func reversed(b []byte) []byte {
	b = slices.Clone(b)
	slices.Reverse(b)
	return b
}

// swapped is a sequence of 32-bit words of the other byte order.
func swapped(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for word := range slices.Chunk(b, 4) {
		out = append(out, reversed(word)...)
	}
	return out
}

// shown is how many bytes of a form must be found: its first or its last ones.
const shown = 16

// A scanner looks for many secrets at once.
type scanner struct {
	filter []uint64              // a bit for the hash of each window's first 8 bytes
	starts map[uint64][]*finding // by a window's first 8 bytes
}

// A finding is a window of a form of a secret.
type finding struct {
	of     int // index of the secret
	form   string
	window []byte
}

const filterBits = 24

func filterBit(head uint64) uint64 { return head * 0x9e3779b97f4a7c15 >> (64 - filterBits) }

func newScanner(t *testing.T, secrets []known) *scanner {
	s := &scanner{make([]uint64, 1<<filterBits/64), map[uint64][]*finding{}}
	for i, k := range secrets {
		for name, form := range k.forms {
			if len(form) < shown {
				t.Fatalf("%s is too short to be looked for", k.name)
			}
			for _, w := range [][]byte{form[:shown], form[len(form)-shown:]} {
				head := binary.LittleEndian.Uint64(w)
				bit := filterBit(head)
				s.filter[bit/64] |= 1 << (bit % 64)
				s.starts[head] = append(s.starts[head], &finding{i, name, w})
			}
		}
	}
	return s
}

// scan answers how often each secret was found, and calls saw for each place.
func (s *scanner) scan(areas []area, saw func(where string, f *finding)) map[int]int {
	found := map[int]int{}
	const page = 4096
	empty := make([]byte, page)
	for _, a := range areas {
		for i := 0; i+shown <= len(a.content); i++ {
			if i%page == 0 && i+page <= len(a.content) && bytes.Equal(a.content[i:i+page], empty) {
				i += page - shown // what begins in this page and ends in the next may be a secret
				continue
			}
			head := binary.LittleEndian.Uint64(a.content[i:])
			if bit := filterBit(head); s.filter[bit/64]&(1<<(bit%64)) == 0 {
				continue
			}
			for _, f := range s.starts[head] {
				if bytes.Equal(a.content[i:i+shown], f.window) {
					found[f.of]++
					saw(fmt.Sprintf("%s +%#x", a.name, i), f)
				}
			}
		}
	}
	return found
}
