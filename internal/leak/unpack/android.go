package unpack

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"

	"github.com/keyward/keyward/internal/leak/unpack/android"
	"github.com/keyward/keyward/internal/leak/unpack/plist"
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
	table, release, err := s.whole()
	if err != nil {
		return err
	}
	defer release()
	named := Member{Name: "attributes", Plain: true}
	pieces := android.Attributes(table)
	if binary.LittleEndian.Uint16(table) == 2 {
		named.Name, pieces = "values", android.Values(table)
	}
	if err := visitText(named, pieces, visit); err != nil {
		return err
	}
	return visitText(Member{Name: "strings", Pool: true, Plain: true}, android.Strings(table), visit)
}

// unplist visits a binary property list of Apple's as lines of "key=value".
func unplist(s Source, visit Visit) error {
	data, release, err := s.whole()
	if err != nil {
		return err
	}
	defer release()
	lines, err := plist.Lines(data)
	if err != nil {
		return err
	}
	return visitText(Member{Name: "values", Plain: true}, lines, visit)
}

// freeWhole is how long a container may be that is read as a whole without leave for its memory.
const freeWhole = 256 << 10

// whole answers all of a container, until it is released.
func (s Source) whole() (data []byte, release func(), err error) {
	at, size, err := s.Random()
	if err != nil {
		return nil, nil, err
	}
	release = func() {}
	if size > freeWhole {
		if release, err = s.Window(size); err != nil {
			return nil, nil, err
		}
	}
	data = make([]byte, size)
	n, err := io.ReadFull(io.NewSectionReader(at, 0, size), data)
	if err != nil {
		release()
		return nil, nil, err
	}
	return data[:n], release, nil
}
