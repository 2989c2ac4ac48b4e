// Package pdf reads the text of PDF files (ISO 32000-1) without reading their object graph:
// every stream is decoded, the tables that map a font's codes to characters are collected,
// and then the text operators of every page are read. Which font has which table only the
// graph says; so a page is read once for its plain codes and once with each table, which is
// cheap, and wrong readings hold nothing that looks like a credential. What stands between
// the streams is text as well: titles, links, values of forms.
//
// Memory is bounded, whatever a file says: of a stream a few megabytes are looked at, and
// those are asked for.
package pdf

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/keyward/keyward/internal/leak"
)

const (
	maxStream  = 4 << 20   // of a stream, decoded, that is looked at
	freeStream = 256 << 10 // of that, what needs no leave for its memory
	maxMaps    = 16
	maxOutside = 64 << 10 // of a line between streams
)

// ErrEncrypted is what is reported of a file that nobody reads without a password.
var ErrEncrypted = leak.Text{English: "it is encrypted", Chinese: "已加密"}

// A File reads the streams of a file.
type File struct {
	at      io.ReaderAt
	size    int64
	window  func(int64) (func(), error)
	buffer  []byte
	maps    []codeMap
	codes   int
	unknown string // a filter that is not understood
	secret  bool   // it is encrypted
}

// New answers the file of so many bytes. Memory beyond a little is asked for with window, until
// it is released.
func New(at io.ReaderAt, size int64, window func(int64) (func(), error)) *File {
	return &File{at: at, size: size, window: window}
}

// A Part is something with text in it. Its reader is valid until the visitor returns.
type Part struct {
	Name   string
	Text   bool // it is text that was taken out of its notation; otherwise it is a file of its own
	Reader io.Reader
}

// Visit visits the pages, what is between the streams, and the files that are embedded. An
// error of the visitor ends it.
func (f *File) Visit(visit func(Part) error) error {
	if err := f.walk(func(_ string, data []byte) error {
		if m := f.parseCodeMap(data); m != nil && len(f.maps) < maxMaps {
			f.maps = append(f.maps, m)
		}
		return nil
	}, nil); err != nil {
		return err
	}
	if f.secret {
		return ErrEncrypted
	}
	n := 0
	var outside bytes.Buffer
	flush := func() error {
		defer outside.Reset()
		if outside.Len() == 0 {
			return nil
		}
		return visit(Part{Name: "objects", Text: true, Reader: &outside})
	}
	err := f.walk(func(dictionary string, data []byte) error {
		n++
		return f.part(n, dictionary, data, visit)
	}, func(line []byte) error {
		if outside.Write(line); outside.Len() >= maxOutside {
			return flush()
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := flush(); err != nil {
		return err
	}
	if f.unknown != "" {
		return fmt.Errorf("a stream has the filter %s, which is not known", f.unknown)
	}
	return nil
}

// encrypted tells whether a line refers to the dictionary of an encryption, which only trailers do.
func encrypted(line []byte) bool {
	_, reference, found := bytes.Cut(line, []byte("/Encrypt "))
	return found && len(reference) > 0 && reference[0] >= '0' && reference[0] <= '9'
}

// part visits a stream.
func (f *File) part(n int, dictionary string, data []byte, visit func(Part) error) error {
	switch {
	case bytes.Contains(data, []byte("BT")) && (bytes.Contains(data, []byte("Tj")) || bytes.Contains(data, []byte("TJ"))):
		for i := -1; i < len(f.maps); i++ {
			p := &page{data: data}
			if i >= 0 {
				p.codes = f.maps[i]
			}
			if err := visit(Part{Name: fmt.Sprintf("text %d", n), Text: true, Reader: p}); err != nil {
				return err
			}
		}
		return nil
	case bytes.Contains(data, []byte("beginbf")), strings.Contains(dictionary, "/Image"), strings.Contains(dictionary, "/XRef"), strings.Contains(dictionary, "/FontFile"):
		return nil
	}
	return visit(Part{Name: fmt.Sprintf("stream %d", n), Reader: bytes.NewReader(data)})
}

// walk calls with each stream of a file, decoded, and the dictionary before it, and with each
// line, or piece of a long one, that is outside of streams. They are valid until it returns.
func (f *File) walk(stream func(dictionary string, data []byte) error, outside func(line []byte) error) error {
	r := bufio.NewReaderSize(io.NewSectionReader(f.at, 0, f.size), 64<<10)
	var recent []byte // what was read last, where a stream's dictionary stands
	for {
		line, err := r.ReadSlice('\n')
		recent = append(recent, line...)
		if n := len(recent) - 4096; n > 0 {
			recent = append(recent[:0], recent[n:]...)
		}
		f.secret = f.secret || encrypted(line)
		if trimmed := bytes.TrimRight(line, "\r\n"); len(trimmed) < len(line) && bytes.HasSuffix(trimmed, []byte("stream")) && !bytes.HasSuffix(trimmed, []byte("endstream")) {
			dictionary := string(recent[max(0, bytes.LastIndex(recent, []byte("obj"))):])
			recent = recent[:0]
			if err := f.stream(r, dictionary, func(data []byte) error { return stream(dictionary, data) }); err != nil {
				return err
			}
		} else if outside != nil && len(line) > 0 {
			if err := outside(line); err != nil {
				return err
			}
		}
		switch err {
		case nil, bufio.ErrBufferFull:
		case io.EOF:
			return nil
		default:
			return err
		}
	}
}
