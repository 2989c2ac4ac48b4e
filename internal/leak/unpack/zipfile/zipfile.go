// Package zipfile reads zip files (PKWARE's APPNOTE.TXT, 6.3.10) member by member, in the order
// of the list at their end. Package archive/zip keeps that list, which of a hostile file is ten
// times the file; here memory does not depend on the number of members.
package zipfile

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"

	"github.com/klauspost/compress/zstd"

	"github.com/keyward/keyward/internal/leak"
)

// A File is a zip file. It is for any number of goroutines.
type File struct {
	at         io.ReaderAt
	base       int64 // what stands before the archive
	start, end int64 // of the list
}

// ErrDamaged is of what is no zip file, or not all of one.
var ErrDamaged = leak.Text{English: "it is no whole zip file", Chinese: "不是完整的 zip 文件"}

// Open finds the list of members in a file of so many bytes.
func Open(at io.ReaderAt, size int64) (*File, error) {
	const least, most = 22, 22 + 1<<16 // of the last record, with its comment
	tail := make([]byte, min(size, most))
	if _, err := at.ReadAt(tail, size-int64(len(tail))); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	i := bytes.LastIndex(tail[:max(0, len(tail)-least+4)], []byte("PK\x05\x06"))
	if i < 0 {
		return nil, ErrDamaged
	}
	z := &File{at: at, end: size - int64(len(tail)-i)}
	length, offset := int64(binary.LittleEndian.Uint32(tail[i+12:])), int64(binary.LittleEndian.Uint32(tail[i+16:]))
	if locator := tail[max(0, i-20):i]; bytes.HasPrefix(locator, []byte("PK\x06\x07")) { // numbers of eight bytes
		var last [56]byte
		z.end = int64(binary.LittleEndian.Uint64(locator[8:]))
		if _, err := at.ReadAt(last[:], z.end); err != nil || !bytes.HasPrefix(last[:], []byte("PK\x06\x06")) {
			return nil, ErrDamaged
		}
		length, offset = int64(binary.LittleEndian.Uint64(last[40:])), int64(binary.LittleEndian.Uint64(last[48:]))
	}
	z.base = z.end - length - offset
	if z.start = z.end - length; length < 0 || offset < 0 || z.base < 0 {
		return nil, ErrDamaged
	}
	return z, nil
}

// A Member is what the list says of one.
type Member struct {
	Name           string // as it is written there, in whatever characters
	Size           int64  // unpacked, if the list is right
	Encrypted      bool
	method         uint16
	sum            uint32
	packed, offset int64
}

// Members answers what the list has. An error ends it.
func (z *File) Members() iter.Seq2[Member, error] {
	return func(yield func(Member, error) bool) {
		r := bufio.NewReader(io.NewSectionReader(z.at, z.start, z.end-z.start))
		var head [46]byte
		for {
			if _, err := io.ReadFull(r, head[:]); errors.Is(err, io.EOF) {
				return
			} else if err != nil || !bytes.HasPrefix(head[:], []byte("PK\x01\x02")) {
				yield(Member{}, ErrDamaged)
				return
			}
			u16, u32 := binary.LittleEndian.Uint16, binary.LittleEndian.Uint32
			name, extra := make([]byte, u16(head[28:])), make([]byte, u16(head[30:]))
			for _, part := range [][]byte{name, extra} {
				if _, err := io.ReadFull(r, part); err != nil {
					yield(Member{}, ErrDamaged)
					return
				}
			}
			m := Member{Name: string(name), method: u16(head[10:]), Encrypted: head[8]&1 != 0, sum: u32(head[16:]),
				packed: int64(u32(head[20:])), Size: int64(u32(head[24:])), offset: int64(u32(head[42:]))}
			m.widen(extra)
			if _, err := r.Discard(int(u16(head[32:]))); err != nil || !yield(m, nil) {
				return
			}
		}
	}
}

// widen takes the numbers of eight bytes that stand where four are too few.
func (m *Member) widen(extra []byte) {
	for len(extra) >= 4 {
		tag, n := binary.LittleEndian.Uint16(extra), int(binary.LittleEndian.Uint16(extra[2:]))
		field := extra[4:min(len(extra), 4+n)]
		extra = extra[4+len(field):]
		if tag != 1 {
			continue
		}
		for _, number := range []*int64{&m.Size, &m.packed, &m.offset} {
			if *number == 1<<32-1 && len(field) >= 8 {
				*number, field = int64(binary.LittleEndian.Uint64(field)), field[8:]
			}
		}
	}
}

// window is what an unpacker of members may have in memory, in bytes.
const window = 8 << 20

// Open answers the content of a member, until it is released. Reading tells at the end if it is
// not what the list says. Memory is asked for with need, in bytes, where a method takes much.
func (z *File) Open(m Member, need func(int64) (func(), error)) (content io.Reader, release func(), err error) {
	var head [30]byte
	at := z.base + m.offset
	if _, err := z.at.ReadAt(head[:], at); err != nil || at < 0 || !bytes.HasPrefix(head[:], []byte("PK\x03\x04")) {
		return nil, nil, ErrDamaged
	}
	at += 30 + int64(binary.LittleEndian.Uint16(head[26:])) + int64(binary.LittleEndian.Uint16(head[28:]))
	data := io.NewSectionReader(z.at, at, m.packed)
	release = func() {}
	switch m.method {
	case 0:
		content = data
	case 8:
		content = flate.NewReader(data)
	case 12, zstd.ZipMethodWinZip:
		if release, err = need(window); err != nil {
			return nil, nil, err
		}
		if m.method == 12 {
			content = bzip2.NewReader(data)
			break
		}
		d, err := zstd.NewReader(data, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(window), zstd.WithDecoderLowmem(true))
		if err != nil {
			release()
			return nil, nil, err
		}
		free := release
		content, release = d, func() { d.Close(); free() }
	default:
		return nil, nil, fmt.Errorf("it is compressed in a way (%d) that is not known", m.method)
	}
	return &summed{r: content, left: m.Size, want: m.sum}, release, nil
}

// summed reads a member, and tells at its end if it is not what the list says.
type summed struct {
	r    io.Reader
	left int64
	sum  uint32
	want uint32
}

var errSum = leak.Text{English: "its checksum is wrong", Chinese: "校验和不符"}

func (s *summed) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.sum, s.left = crc32.Update(s.sum, crc32.IEEETable, p[:n]), s.left-int64(n)
	switch {
	case !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return n, err
	case s.left > 0:
		return n, io.ErrUnexpectedEOF
	case s.sum != s.want:
		return n, errSum
	}
	return n, io.EOF
}
