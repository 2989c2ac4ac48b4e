package leaktest

import (
	"bytes"
	"cmp"
	"math/bits"
	"slices"
)

// Bzip2 answers content compressed, in the simplest form that every reader takes: one block of
// at most 900,000 bytes, and codes that differ in length by one bit at most. The standard
// library only reads the format.
func Bzip2(content []byte) []byte {
	w := &bitWriter{}
	w.bytes("BZh9")
	sum := bzip2Sum(content)
	if len(content) > 0 {
		w.bytes("1AY&SY")
		w.bits(32, uint64(sum))
		w.bits(1, 0) // not randomised
		runs := shortRuns(content)
		last, origin := sortedRotations(runs)
		w.bits(24, uint64(origin))
		w.symbols(last)
	}
	w.bits(24, 0x177245)
	w.bits(24, 0x385090)
	w.bits(32, uint64(sum)) // of all blocks: of one, its own
	w.bits(7, 0)
	return w.out.Bytes()
}

// A bitWriter writes the highest bit first.
type bitWriter struct {
	out  bytes.Buffer
	left uint
	last byte
}

func (w *bitWriter) bits(n int, v uint64) {
	for i := n - 1; i >= 0; i-- {
		w.last = w.last<<1 | byte(v>>i&1)
		if w.left++; w.left == 8 {
			w.out.WriteByte(w.last)
			w.left, w.last = 0, 0
		}
	}
}

func (w *bitWriter) bytes(s string) {
	for _, c := range []byte(s) {
		w.bits(8, uint64(c))
	}
}

// bzip2Sum is CRC-32 with the highest bit first.
func bzip2Sum(content []byte) uint32 {
	sum := ^uint32(0)
	for _, c := range content {
		sum ^= uint32(c) << 24
		for range 8 {
			if sum&(1<<31) != 0 {
				sum = sum<<1 ^ 0x04c11db7
			} else {
				sum <<= 1
			}
		}
	}
	return ^sum
}

// shortRuns writes runs as four bytes and the number of more.
func shortRuns(content []byte) (out []byte) {
	for i := 0; i < len(content); {
		n := 1
		for i+n < len(content) && n < 255 && content[i+n] == content[i] {
			n++
		}
		out = append(out, bytes.Repeat(content[i:i+1], min(n, 4))...)
		if n >= 4 {
			out = append(out, byte(n-4))
		}
		i += n
	}
	return out
}

// sortedRotations answers the last bytes of all rotations in their order, and which one is
// the text itself.
func sortedRotations(text []byte) (last []byte, origin int) {
	twice, order := slices.Concat(text, text), make([]int, len(text))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(bytes.Compare(twice[a:a+len(text)], twice[b:b+len(text)]), cmp.Compare(a, b))
	})
	for i, at := range order {
		last = append(last, twice[at+len(text)-1])
		if at == 0 {
			origin = i
		}
	}
	return last, origin
}

// symbols writes which bytes there are, the codes, and the bytes as places in a list whose
// latest stands first, with runs of the first in numbers of two digits.
func (w *bitWriter) symbols(last []byte) {
	var used [256]bool
	for _, c := range last {
		used[c] = true
	}
	var list []byte
	for i := range 16 {
		w.bits(1, oneIf(slices.Contains(used[16*i:16*i+16], true)))
	}
	for i := range 16 {
		if slices.Contains(used[16*i:16*i+16], true) {
			for k := range 16 {
				w.bits(1, oneIf(used[16*i+k]))
			}
		}
	}
	for c, is := range used {
		if is {
			list = append(list, byte(c))
		}
	}
	symbols, n := frontMoved(last, list), len(list)+2 // two digits, the places but the first, the end
	groups := (len(symbols) + 49) / 50
	w.bits(3, 2)
	w.bits(15, uint64(groups))
	w.bits(groups, 0) // all with the first of two tables
	long := bits.Len(uint(n - 1))
	short := 1<<long - n
	for range 2 {
		length := long
		if short > 0 {
			length--
		}
		w.bits(5, uint64(length))
		for i := range n {
			if i == short && short > 0 {
				w.bits(2, 2) // one bit more
			}
			w.bits(1, 0)
		}
	}
	for _, s := range symbols {
		if s < short {
			w.bits(long-1, uint64(s))
		} else {
			w.bits(long, uint64(s+short))
		}
	}
}

func oneIf(is bool) uint64 {
	if is {
		return 1
	}
	return 0
}

// frontMoved answers the symbols of a text over a list of its bytes.
func frontMoved(text, list []byte) (symbols []int) {
	end, run := len(list)+1, 0
	flush := func() {
		for ; run > 0; run = (run - 1) / 2 {
			symbols = append(symbols, (run-1)%2)
		}
	}
	for _, c := range text {
		i := bytes.IndexByte(list, c)
		if i == 0 {
			run++
			continue
		}
		flush()
		symbols = append(symbols, i+1)
		copy(list[1:], list[:i])
		list[0] = c
	}
	flush()
	return append(symbols, end)
}
