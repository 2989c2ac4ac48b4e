package pdf

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"encoding/ascii85"
	"encoding/hex"
	"io"
	"strings"
)

// stream calls with the stream that begins here, decoded as far as it is whole, unless it is
// empty or a picture. How it is encoded its dictionary says.
func (f *File) stream(r *bufio.Reader, dictionary string, with func([]byte) error) error {
	names := filters(dictionary)
	if len(names) == 1 && names[0] == "FlateDecode" { // which knows its end; other bytes may look like one
		if z, err := zlib.NewReader(r); err == nil {
			return f.looked(z, with)
		}
		return nil
	}
	raw := &body{r: r}
	defer func() { _, _ = io.Copy(io.Discard, raw) }() // what it meets, the reader of the file meets
	var decoded io.Reader = raw
	for _, name := range names {
		switch name {
		case "FlateDecode":
			z, err := zlib.NewReader(decoded)
			if err != nil {
				return nil
			}
			decoded = z
		case "ASCII85Decode":
			decoded = ascii85.NewDecoder(&untilMark{r: decoded, mark: '~'})
		case "ASCIIHexDecode":
			decoded = hex.NewDecoder(&untilMark{r: decoded, mark: '>'})
		case "DCTDecode", "JPXDecode", "CCITTFaxDecode", "JBIG2Decode":
			return nil
		default:
			f.unknown = name
			return nil
		}
	}
	return f.looked(decoded, with)
}

// filters answers the names of a stream's filters in their order.
func filters(dictionary string) (names []string) {
	_, rest, found := strings.Cut(dictionary, "/Filter")
	if !found {
		return nil
	}
	rest = strings.TrimLeft(rest, " \r\n\t")
	list, isList := strings.CutPrefix(rest, "[")
	if isList {
		rest, _, _ = strings.Cut(list, "]")
	}
	for _, part := range strings.Split(rest, "/")[1:] {
		end := strings.IndexAny(part, " \r\n\t>[<")
		if end < 0 {
			end = len(part)
		}
		names = append(names, part[:end])
		if !isList {
			break
		}
	}
	return names
}

// looked calls with what a reader has, as far as it is looked at.
func (f *File) looked(r io.Reader, with func([]byte) error) error {
	if f.buffer == nil {
		f.buffer = make([]byte, freeStream)
	}
	n, err := io.ReadFull(r, f.buffer) // of a damaged stream, what there is
	data := f.buffer[:n]
	if err == nil {
		release, err := f.window(maxStream)
		if err != nil {
			return err
		}
		defer release()
		long := make([]byte, maxStream)
		n, _ := io.ReadFull(r, long[copy(long, data):])
		data = long[:len(data)+n]
	}
	if len(data) == 0 {
		return nil
	}
	return with(data)
}

// A body reads a stream up to the word that ends it.
type body struct {
	r     *bufio.Reader
	line  []byte
	ended bool
}

func (b *body) Read(p []byte) (int, error) {
	for len(b.line) == 0 {
		if b.ended {
			return 0, io.EOF
		}
		line, err := b.r.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			b.ended = true
		}
		if end := bytes.Index(line, []byte("endstream")); end >= 0 {
			b.ended, line = true, line[:end]
		}
		b.line = line
	}
	n := copy(p, b.line)
	b.line = b.line[n:]
	return n, nil
}

// untilMark reads what stands before a mark, without white space.
type untilMark struct {
	r     io.Reader
	mark  byte
	ended bool
}

func (u *untilMark) Read(p []byte) (int, error) {
	for !u.ended {
		n, err := u.r.Read(p)
		kept := p[:0]
		for _, c := range p[:n] {
			if c == u.mark {
				u.ended = true
				break
			}
			if c > ' ' {
				kept = append(kept, c)
			}
		}
		if len(kept) > 0 || err != nil {
			return len(kept), err
		}
		if n == 0 {
			return 0, nil
		}
	}
	return 0, io.EOF
}
