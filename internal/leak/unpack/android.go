package unpack

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"unicode/utf16"
)

// isDEX tells whether something is a Dalvik executable.
func isDEX(head []byte) bool {
	return len(head) >= 0x70 && bytes.HasPrefix(head, []byte("dex\n0")) && head[7] == 0
}

// undex visits the strings of a Dalvik executable. They are sorted, so that what belongs
// together in the source does not stand together; but each has its exact length.
func undex(s Source, visit Visit) error {
	at, size, err := s.Random()
	if err != nil {
		return err
	}
	count, table := int64(binary.LittleEndian.Uint32(s.Head[0x38:])), int64(binary.LittleEndian.Uint32(s.Head[0x3c:]))
	if count < 0 || table < 0x70 || table+4*count > size {
		return io.ErrUnexpectedEOF
	}
	return visit(Member{Name: "strings", Pool: true, Plain: true, Reader: &dexStrings{
		offsets: bufio.NewReaderSize(io.NewSectionReader(at, table, 4*count), 32<<10), data: at, size: size}})
}

// dexStrings reads strings line by line. Their data lies in the order of the table, so that
// a window that moves forward has nearly all of them.
type dexStrings struct {
	offsets *bufio.Reader
	data    io.ReaderAt
	size    int64
	window  []byte
	base    int64
	line    []byte
}

const (
	maxString  = 8 << 10 // of a pool, that is looked at
	poolWindow = 64 << 10
)

func (d *dexStrings) Read(p []byte) (int, error) {
	for len(d.line) == 0 {
		var offset [4]byte
		if _, err := io.ReadFull(d.offsets, offset[:]); err != nil {
			return 0, io.EOF
		}
		text, err := d.at(int64(binary.LittleEndian.Uint32(offset[:])))
		if err != nil {
			return 0, err
		}
		_, n := binary.Uvarint(text) // ULEB128, the length in UTF-16 units
		text = text[max(n, 0):]
		if end := bytes.IndexByte(text, 0); end >= 0 {
			text = text[:end]
		}
		d.line = append(append(d.line[:0], bytes.ReplaceAll(text, []byte("\n"), []byte(" "))...), '\n')
	}
	n := copy(p, d.line)
	d.line = d.line[n:]
	return n, nil
}

// at answers the data from an offset on, as much as a string may have.
func (d *dexStrings) at(offset int64) ([]byte, error) {
	if offset <= 0 || offset >= d.size {
		return nil, io.ErrUnexpectedEOF
	}
	if offset < d.base || offset+maxString > d.base+int64(len(d.window)) && d.base+int64(len(d.window)) < d.size {
		if d.window == nil {
			d.window = make([]byte, poolWindow)
		}
		d.window = d.window[:cap(d.window)]
		n, err := d.data.ReadAt(d.window, offset)
		if n == 0 {
			return nil, err
		}
		d.window, d.base = d.window[:n], offset
	}
	return d.window[offset-d.base : min(int64(len(d.window)), offset-d.base+maxString)], nil
}

// isResources tells whether something is a compiled resource table or compiled XML of
// Android: a chunk whose header's and own length fit.
func isResources(head []byte) bool {
	if len(head) < 12 {
		return false
	}
	kind, header := binary.LittleEndian.Uint16(head), binary.LittleEndian.Uint16(head[2:])
	return kind == 2 && header == 12 || kind == 3 && header == 8
}

// unresources visits the strings of the pools in a compiled resource, each pool by itself:
// in a table the first has the values and another one the names of the entries.
func unresources(s Source, visit Visit) error {
	at, size, err := s.Random()
	if err != nil {
		return err
	}
	table, err := io.ReadAll(io.NewSectionReader(at, 0, min(size, maxTable)))
	if err != nil {
		return err
	}
	if binary.LittleEndian.Uint16(table) == 2 {
		if text := resourceValues(table); len(text) > 0 {
			if err := visit(Member{Name: "values", Plain: true, Reader: bytes.NewReader(text)}); err != nil {
				return err
			}
		}
	}
	var pool bytes.Buffer
	for offset := int(binary.LittleEndian.Uint16(table[2:])); offset+8 <= len(table); {
		length := int(binary.LittleEndian.Uint32(table[offset+4:]))
		if length < 8 || offset+length > len(table) {
			break
		}
		for _, text := range poolStrings(table[offset : offset+length]) {
			pool.WriteString(text + "\n")
		}
		offset += length
	}
	return visit(Member{Name: "strings", Pool: true, Plain: true, Reader: &pool})
}

const (
	maxTable    = 32 << 20
	maxPoolSize = 1 << 20 // strings of a pool
)

// poolStrings answers the strings of a chunk, if it is a pool.
func poolStrings(chunk []byte) (out []string) {
	if len(chunk) < 28 || binary.LittleEndian.Uint16(chunk) != 1 {
		return nil
	}
	count, flags, start := int(binary.LittleEndian.Uint32(chunk[8:])), binary.LittleEndian.Uint32(chunk[16:]), int(binary.LittleEndian.Uint32(chunk[20:]))
	if count > maxPoolSize || 28+4*count > len(chunk) || start > len(chunk) || start < 0 {
		return nil
	}
	for i := range count {
		offset := start + int(binary.LittleEndian.Uint32(chunk[28+4*i:]))
		if offset < start || offset >= len(chunk) {
			return out
		}
		out = append(out, poolString(chunk[offset:], flags&0x100 != 0))
	}
	return out
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

// resourceValues answers "name=value" for each entry of a table whose value is a string:
// the table's own pool has the values, each package has a pool of names.
func resourceValues(table []byte) (text []byte) {
	var values []string
	for offset := 12; offset+8 <= len(table); {
		length := int(binary.LittleEndian.Uint32(table[offset+4:]))
		if length < 8 || offset+length > len(table) {
			return text
		}
		switch chunk := table[offset : offset+length]; binary.LittleEndian.Uint16(chunk) {
		case 1:
			values = poolStrings(chunk)
		case 0x200:
			text = packageValues(text, chunk, values)
		}
		offset += length
	}
	return text
}

func packageValues(text, pkg []byte, values []string) []byte {
	if len(pkg) < 288 {
		return text
	}
	namesAt := int(binary.LittleEndian.Uint32(pkg[276:])) // after the header, id, 128 units of name, and the pool of types
	if namesAt < 0 || namesAt+8 > len(pkg) {
		return text
	}
	names := poolStrings(pkg[namesAt:])
	for offset := int(binary.LittleEndian.Uint16(pkg[2:])); offset+8 <= len(pkg); {
		length := int(binary.LittleEndian.Uint32(pkg[offset+4:]))
		if length < 8 || offset+length > len(pkg) {
			return text
		}
		if chunk := pkg[offset : offset+length]; binary.LittleEndian.Uint16(chunk) == 0x201 {
			text = typeValues(text, chunk, names, values)
		}
		offset += length
	}
	return text
}

// typeValues adds the entries of one type in one configuration.
func typeValues(text, chunk []byte, names, values []string) []byte {
	if len(chunk) < 20 {
		return text
	}
	header, count, start := int(binary.LittleEndian.Uint16(chunk[2:])), int(binary.LittleEndian.Uint32(chunk[12:])), int(binary.LittleEndian.Uint32(chunk[16:]))
	if count > maxPoolSize || header+4*count > len(chunk) {
		return text
	}
	for i := range count {
		offset := start + int(binary.LittleEndian.Uint32(chunk[header+4*i:]))
		if offset < 0 || offset+16 > len(chunk) || offset < start {
			continue // 0xffffffff: there is none
		}
		entry := chunk[offset:]
		if binary.LittleEndian.Uint16(entry[2:])&1 != 0 { // a map of values
			continue
		}
		name, kind, value := int(binary.LittleEndian.Uint32(entry[4:])), entry[11], int(binary.LittleEndian.Uint32(entry[12:]))
		if kind == 3 && name < len(names) && value < len(values) { // 3 is a string
			text = append(text, names[name]+"="+values[value]+"\n"...)
		}
	}
	return text
}
