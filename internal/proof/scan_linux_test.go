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
	"iter"
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
// it includes what the process keeps out of one. Pages that were never touched, such as those of
// the collector's ballast, are passed over. It needs root, or CAP_SYS_PTRACE.
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
	pages, err := os.Open(fmt.Sprintf("/proc/%d/pagemap", pid))
	if err != nil {
		cannot(t, err)
	}
	defer pages.Close()
	var areas []area
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		from, to, _ := strings.Cut(fields[0], "-")
		start, errStart := strconv.ParseUint(from, 16, 63)
		end, errEnd := strconv.ParseUint(to, 16, 63)
		if errStart != nil || errEnd != nil || fields[1][0] != 'r' || fields[len(fields)-1] == "[vvar]" {
			continue
		}
		for from, to := range touched(pages, start, end) {
			content := make([]byte, to-from)
			n, err := memory.ReadAt(content, int64(from))
			if err != nil && !errors.Is(err, io.EOF) && n == 0 {
				continue // the kernel's own page, or gone meanwhile
			}
			areas = append(areas, area{fmt.Sprintf("%x-%x %s", from, to, strings.Join(fields[5:], " ")), content[:n]})
		}
	}
	if len(areas) < 10 {
		t.Fatalf("read only %d areas of memory", len(areas))
	}
	return areas
}

// touched yields, from and to, the runs of pages of a mapping that are in memory or in swap, as
// proc_pid_pagemap(5) tells.
func touched(pagemap *os.File, start, end uint64) iter.Seq2[uint64, uint64] {
	const present, swapped = 1 << 63, 1 << 62
	size := uint64(os.Getpagesize())
	return func(yield func(from, to uint64) bool) {
		entries := make([]byte, (end-start)/size*8)
		n, _ := pagemap.ReadAt(entries, int64(start/size*8)) // the kernel's own pages have none
		from := end
		for at := start; at <= end; at += size {
			i := (at - start) / size * 8
			in := i+8 <= uint64(n) && binary.LittleEndian.Uint64(entries[i:])&(present|swapped) != 0
			if in {
				from = min(from, at)
			} else if from < at {
				if !yield(from, at) {
					return
				}
				from = end
			}
		}
	}
}

// An area is a run of pages of a process.
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
