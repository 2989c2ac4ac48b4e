// Package android reads the compiled resources of Android: tables and XML (ResourceTypes.h in
// AOSP's frameworks/base). Both are chunks, each with its kind and length, among them pools of
// strings that the others refer to by number. What is damaged is left out.
package android

import (
	"encoding/binary"
	"iter"
	"unicode/utf16"
)

const maxString = 8 << 10 // of a string, that is looked at

// Strings yields the strings of all pools, a line for each.
func Strings(table []byte) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, chunk := range chunks(table, int(binary.LittleEndian.Uint16(table[2:]))) {
			pool := poolOf(chunk)
			for i := range pool.count {
				if !yield(pool.at(i)+"\n", nil) {
					return
				}
			}
		}
	}
}

// chunks yields the chunks of a resource from an offset on, with their kinds.
func chunks(data []byte, offset int) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for offset >= 8 && offset+8 <= len(data) {
			length := int(binary.LittleEndian.Uint32(data[offset+4:]))
			if length < 8 || length > len(data)-offset || !yield(binary.LittleEndian.Uint16(data[offset:]), data[offset:offset+length]) {
				return
			}
			offset += length
		}
	}
}

// A pool is a list of strings.
type pool struct {
	chunk        []byte
	count, start int
	utf8         bool
}

// poolOf answers the pool that a chunk is; an empty one if it is none.
func poolOf(chunk []byte) pool {
	if len(chunk) < 28 || binary.LittleEndian.Uint16(chunk) != 1 {
		return pool{}
	}
	p := pool{chunk: chunk, count: int(binary.LittleEndian.Uint32(chunk[8:])), start: int(binary.LittleEndian.Uint32(chunk[20:])), utf8: binary.LittleEndian.Uint32(chunk[16:])&0x100 != 0}
	if p.count > len(chunk)/4-7 || p.start > len(chunk) {
		return pool{}
	}
	return p
}

// at answers a string; "" if there is none.
func (p pool) at(i int) string {
	if i < 0 || i >= p.count {
		return ""
	}
	offset := p.start + int(binary.LittleEndian.Uint32(p.chunk[28+4*i:]))
	if offset >= len(p.chunk) {
		return ""
	}
	return poolString(p.chunk[offset:], p.utf8)
}

// poolString answers the string at the beginning of data.
func poolString(data []byte, utf8 bool) string {
	length := func(wide int) (n int, ok bool) { // one unit, or two if the first one's highest bit is set
		if len(data) < 2*wide {
			return 0, false
		}
		if wide == 1 {
			n, data = int(data[0]), data[1:]
			if n&0x80 != 0 {
				n, data = n&0x7f<<8|int(data[0]), data[1:]
			}
			return n, true
		}
		n, data = int(binary.LittleEndian.Uint16(data)), data[2:]
		if n&0x8000 != 0 {
			n, data = n&0x7fff<<16|int(binary.LittleEndian.Uint16(data)), data[2:]
		}
		return n, true
	}
	if utf8 {
		if _, ok := length(1); !ok { // in UTF-16 units
			return ""
		}
		n, ok := length(1)
		if !ok {
			return ""
		}
		return string(data[:min(n, len(data), maxString)])
	}
	n, ok := length(2)
	if !ok {
		return ""
	}
	units := make([]uint16, min(n, len(data)/2, maxString))
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(data[2*i:])
	}
	return string(utf16.Decode(units))
}

// Values yields "name=value" for each entry of a table whose value is a string: the
// table's own pool has the values, each package has a pool of names.
func Values(table []byte) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		var values pool
		for kind, chunk := range chunks(table, 12) {
			switch kind {
			case 1:
				values = poolOf(chunk)
			case 0x200:
				if !packageValues(chunk, values, yield) {
					return
				}
			}
		}
	}
}

func packageValues(pkg []byte, values pool, yield func(string, error) bool) bool {
	if len(pkg) < 288 {
		return true
	}
	namesAt := int(binary.LittleEndian.Uint32(pkg[276:])) // after the header, id, 128 units of name, and the pool of types
	if namesAt+8 > len(pkg) {
		return true
	}
	names := poolOf(pkg[namesAt:])
	for kind, chunk := range chunks(pkg, int(binary.LittleEndian.Uint16(pkg[2:]))) {
		if kind == 0x201 && !typeValues(chunk, names, values, yield) {
			return false
		}
	}
	return true
}

// typeValues yields the entries of one type in one configuration.
func typeValues(chunk []byte, names, values pool, yield func(string, error) bool) bool {
	if len(chunk) < 20 {
		return true
	}
	header, count, start := int(binary.LittleEndian.Uint16(chunk[2:])), int(binary.LittleEndian.Uint32(chunk[12:])), int(binary.LittleEndian.Uint32(chunk[16:]))
	if count > (len(chunk)-header)/4 {
		return true
	}
	for i := range count {
		offset := start + int(binary.LittleEndian.Uint32(chunk[header+4*i:]))
		if offset+16 > len(chunk) {
			continue // 0xffffffff: there is none
		}
		entry := chunk[offset:]
		if binary.LittleEndian.Uint16(entry[2:])&1 != 0 { // a map of values
			continue
		}
		name, value := int(binary.LittleEndian.Uint32(entry[4:])), int(binary.LittleEndian.Uint32(entry[12:]))
		if entry[11] == stringValue && name < names.count && value < values.count && !yield(names.at(name)+"="+values.at(value)+"\n", nil) {
			return false
		}
	}
	return true
}

const stringValue = 3 // of an entry or an attribute

// Attributes yields, for each element of compiled XML, "name=value" for what two attributes
// say that belong together, as <meta-data android:name android:value> does, and for each
// attribute by itself.
func Attributes(xml []byte) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		var strings pool
		for kind, chunk := range chunks(xml, 8) {
			switch kind {
			case 1:
				strings = poolOf(chunk)
			case 0x102:
				if !elementAttributes(chunk, strings, yield) {
					return
				}
			}
		}
	}
}

func elementAttributes(chunk []byte, strings pool, yield func(string, error) bool) bool {
	if len(chunk) < 36 {
		return true
	}
	start, size, count := 16+int(binary.LittleEndian.Uint16(chunk[24:])), int(binary.LittleEndian.Uint16(chunk[26:])), int(binary.LittleEndian.Uint16(chunk[28:]))
	called := ""
	for i := range count {
		at := start + i*size
		if size < 20 || at+20 > len(chunk) {
			return true
		}
		name, value := strings.at(int(binary.LittleEndian.Uint32(chunk[at+4:]))), strings.at(int(binary.LittleEndian.Uint32(chunk[at+16:])))
		if chunk[at+15] != stringValue {
			continue
		}
		switch name {
		case "name", "key":
			called = value
		case "value":
			name = called
		}
		if !yield(name+"="+value+"\n", nil) {
			return false
		}
	}
	return true
}
