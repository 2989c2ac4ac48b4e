// Package plist reads Apple's binary property lists, as apps for iOS and macOS keep their
// settings: objects one behind the other, a table of their offsets, and 32 bytes that say where
// the table is (CFBinaryPList.c in Apple's CoreFoundation).
package plist

import (
	"encoding/binary"
	"iter"
	"unicode/utf16"

	"github.com/keyward/keyward/internal/leak"
)

var errDamaged = leak.Text{English: "its table is damaged", Chinese: "其索引表已损坏"}

// Magic is what a binary property list begins with.
const Magic = "bplist00"

// Lines answers the texts of a property list as lines of "key=value", nothing of parts that
// are damaged. A container is visited once, so that cycles end.
func Lines(data []byte) (iter.Seq2[string, error], error) {
	const trailer = 32
	if len(data) < 8+trailer {
		return nil, errDamaged
	}
	end := data[len(data)-trailer:]
	p := &plist{data: data[:len(data)-trailer], offsetSize: int(end[6]), referenceSize: int(end[7]), seen: map[int]bool{}}
	count, top, table := binary.BigEndian.Uint64(end[8:]), binary.BigEndian.Uint64(end[16:]), binary.BigEndian.Uint64(end[24:])
	if p.offsetSize < 1 || p.offsetSize > 8 || p.referenceSize < 1 || p.referenceSize > 8 || table > uint64(len(p.data)) || count > (uint64(len(p.data))-table)/uint64(p.offsetSize) || top >= count {
		return nil, errDamaged
	}
	p.offsets, p.count = p.data[table:], int(count)
	return func(yield func(string, error) bool) { p.object(int(top), "", 0, yield) }, nil
}

// A plist is a binary property list in memory.
type plist struct {
	data, offsets             []byte
	offsetSize, referenceSize int
	count                     int
	seen                      map[int]bool // containers that were visited, so that cycles end
}

const (
	maxNesting = 64      // of containers that are visited
	maxString  = 8 << 10 // of a text, that is looked at
)

func (p *plist) object(number int, key string, depth int, yield func(string, error) bool) bool {
	kind, n, body := p.header(number)
	switch kind {
	case 4, 5, 6: // bytes, ASCII, UTF-16
		if text := textOf(kind, n, body); text != "" {
			if key != "" {
				text = key + "=" + text
			}
			return yield(text+"\n", nil)
		}
	case 10, 12: // an array, a set
		if p.seen[number] || depth == maxNesting {
			return true
		}
		p.seen[number] = true
		for i := range min(n, len(body)/p.referenceSize) {
			if !p.object(p.reference(body, i), key, depth+1, yield) {
				return false
			}
		}
	case 13: // a dictionary: all keys, then all values
		if p.seen[number] || depth == maxNesting {
			return true
		}
		p.seen[number] = true
		for i := range min(n, len(body)/p.referenceSize/2) {
			name := ""
			if kind, n, body := p.header(p.reference(body, i)); kind == 5 || kind == 6 {
				name = textOf(kind, n, body)
			}
			if !p.object(p.reference(body, n+i), name, depth+1, yield) {
				return false
			}
		}
	}
	return true
}

// header answers what an object is, how many bytes, characters or members it has, and what
// follows; nothing of one that is none.
func (p *plist) header(number int) (kind byte, n int, body []byte) {
	if number < 0 || number >= p.count {
		return 0, 0, nil
	}
	at := bigEndian(p.offsets[number*p.offsetSize:][:p.offsetSize])
	if at >= uint64(len(p.data)) {
		return 0, 0, nil
	}
	mark := p.data[at]
	kind, n, body = mark>>4, int(mark&15), p.data[at+1:]
	if n == 15 && len(body) > 0 { // the number is an object of its own, of 1, 2, 4 or 8 bytes
		size := 1 << (body[0] & 3)
		if body = body[1:]; len(body) < size {
			return 0, 0, nil
		}
		n, body = int(min(bigEndian(body[:size]), uint64(len(p.data)))), body[size:]
	}
	return kind, n, body
}

// reference answers the number of a member; -1 if there is none.
func (p *plist) reference(body []byte, i int) int {
	if (i+1)*p.referenceSize > len(body) {
		return -1
	}
	return int(min(bigEndian(body[i*p.referenceSize:][:p.referenceSize]), uint64(p.count)))
}

func bigEndian(b []byte) (v uint64) {
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	return v
}

// textOf answers the text of an object, as much as is looked at.
func textOf(kind byte, n int, body []byte) string {
	if kind != 6 {
		return string(body[:min(n, len(body), maxString)])
	}
	units := make([]uint16, min(n, len(body)/2, maxString))
	for i := range units {
		units[i] = binary.BigEndian.Uint16(body[2*i:])
	}
	return string(utf16.Decode(units))
}
