package unpack

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"unicode/utf16"
)

// The text of PDF files, without reading their object graph: every stream is inflated, the
// tables that map a font's codes to characters are collected, and then the text operators
// of every page are read. Which font has which table only the graph says; so a page is read
// once for its plain codes and once with each table, which is cheap, and wrong readings
// hold nothing that looks like a credential.

const (
	maxStream = 8 << 20 // of a stream, inflated, that is looked at
	maxMaps   = 16
)

func unpdf(s Source, visit Visit) error {
	at, size, err := s.Random()
	if err != nil {
		return err
	}
	var maps []codeMap
	if err := streams(at, size, func(_ string, data []byte) error {
		if m := parseCodeMap(data); m != nil && len(maps) < maxMaps {
			maps = append(maps, m)
		}
		return nil
	}); err != nil {
		return err
	}
	n := 0
	return streams(at, size, func(dictionary string, data []byte) error {
		n++
		switch {
		case bytes.Contains(data, []byte("BT")) && (bytes.Contains(data, []byte("Tj")) || bytes.Contains(data, []byte("TJ"))):
			for i := -1; i < len(maps); i++ {
				var m codeMap
				if i >= 0 {
					m = maps[i]
				}
				if err := visit(Member{Name: fmt.Sprintf("text %d", n), Plain: true, Reader: bytes.NewReader(pageText(data, m))}); err != nil {
					return err
				}
			}
			return nil
		case bytes.Contains(data, []byte("beginbf")), bytes.Contains([]byte(dictionary), []byte("/Image")), bytes.Contains([]byte(dictionary), []byte("/XRef")), bytes.Contains([]byte(dictionary), []byte("/FontFile")):
			return nil
		}
		return visit(Member{Name: fmt.Sprintf("stream %d", n), Reader: bytes.NewReader(data)})
	})
}

// streams calls with each stream of a file, inflated, and the dictionary before it.
func streams(at io.ReaderAt, size int64, with func(dictionary string, data []byte) error) error {
	r := bufio.NewReaderSize(io.NewSectionReader(at, 0, size), 64<<10)
	var recent []byte // what was read last, where a stream's dictionary stands
	for {
		line, err := r.ReadSlice('\n')
		recent = append(recent, line...)
		if n := len(recent) - 4096; n > 0 {
			recent = append(recent[:0], recent[n:]...)
		}
		if trimmed := bytes.TrimRight(line, "\r\n"); len(trimmed) < len(line) && bytes.HasSuffix(trimmed, []byte("stream")) && !bytes.HasSuffix(trimmed, []byte("endstream")) {
			dictionary := string(recent[max(0, bytes.LastIndex(recent, []byte("obj"))):])
			recent = recent[:0]
			if bytes.Contains([]byte(dictionary), []byte("FlateDecode")) {
				if data := inflate(r); len(data) > 0 {
					if err := with(dictionary, data); err != nil {
						return err
					}
				}
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

// inflate answers a stream, as far as it is whole. It reads no byte too many of r, which
// reads single bytes.
func inflate(r *bufio.Reader) []byte {
	z, err := zlib.NewReader(r)
	if err != nil {
		return nil
	}
	defer z.Close()
	data, _ := io.ReadAll(io.LimitReader(z, maxStream)) // of a damaged stream, what there is
	return data
}

// A codeMap has the text of a font's codes, which have one or two bytes.
type codeMap map[uint32]string

// parseCodeMap reads a ToUnicode table (Adobe Technical Note 5411); nil if it is none.
func parseCodeMap(data []byte) codeMap {
	if !bytes.Contains(data, []byte("beginbfchar")) && !bytes.Contains(data, []byte("beginbfrange")) {
		return nil
	}
	m := codeMap{}
	for _, section := range []struct {
		name string
		size int
	}{{"bfchar", 2}, {"bfrange", 3}} {
		rest := data
		for {
			_, after, found := bytes.Cut(rest, []byte("begin"+section.name))
			if !found {
				break
			}
			body, next, _ := bytes.Cut(after, []byte("end"+section.name))
			m.add(hexStrings(body), section.size)
			rest = next
		}
	}
	return m
}

func (m codeMap) add(strings [][]byte, size int) {
	for ; len(strings) >= size && len(m) < 1<<16; strings = strings[size:] {
		from, to := number(strings[0]), number(strings[size-2])
		text := utf16be(strings[size-1])
		if size == 2 {
			m[from] = text
			continue
		}
		for code := from; code <= to && code-from < 1<<16 && len(text) > 0; code++ {
			runes := []rune(text)
			runes[len(runes)-1] += rune(code - from)
			m[code] = string(runes)
		}
	}
}

func number(b []byte) (n uint32) {
	for _, c := range b {
		n = n<<8 | uint32(c)
	}
	return n
}

func utf16be(b []byte) string {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = uint16(b[2*i])<<8 | uint16(b[2*i+1])
	}
	return string(utf16.Decode(units))
}

// hexStrings answers the <…> of a text.
func hexStrings(text []byte) (out [][]byte) {
	for {
		_, after, found := bytes.Cut(text, []byte("<"))
		if !found {
			return out
		}
		digits, rest, _ := bytes.Cut(after, []byte(">"))
		out = append(out, unhex(digits))
		text = rest
	}
}

func unhex(digits []byte) []byte {
	digits = bytes.Map(func(r rune) rune {
		if r == ' ' || r == '\n' || r == '\r' {
			return -1
		}
		return r
	}, digits)
	if len(digits)%2 == 1 {
		digits = append(digits, '0')
	}
	out := make([]byte, len(digits)/2)
	n, _ := hex.Decode(out, digits)
	return out[:n]
}

// decode answers the text of a string's codes.
func (m codeMap) decode(codes []byte) []byte {
	if m == nil {
		return codes
	}
	var out []byte
	for i := 0; i < len(codes); {
		if i+1 < len(codes) {
			if text, ok := m[number(codes[i:i+2])]; ok {
				out = append(out, text...)
				i += 2
				continue
			}
		}
		out = append(out, m[uint32(codes[i])]...)
		i++
	}
	return out
}

// A page reads the text of a content stream.
type page struct {
	codes   codeMap
	out     []byte
	pending []byte    // the strings since the last operator
	numbers []float64 // and the numbers
	lineY   float64
}

func pageText(data []byte, m codeMap) []byte {
	p := page{codes: m}
	for len(data) > 0 {
		data = p.token(data)
	}
	return p.out
}

// token reads one token and answers what follows it.
func (p *page) token(data []byte) []byte {
	switch c := data[0]; {
	case c == '(':
		text, rest := literal(data[1:])
		p.pending = append(p.pending, p.codes.decode(text)...)
		return rest
	case c == '<' && len(data) > 1 && data[1] != '<':
		digits, rest, _ := bytes.Cut(data[1:], []byte(">"))
		p.pending = append(p.pending, p.codes.decode(unhex(digits))...)
		return rest
	case c >= '0' && c <= '9' || c == '-' || c == '.' || c == '+':
		n := 1
		for n < len(data) && (data[n] >= '0' && data[n] <= '9' || data[n] == '.') {
			n++
		}
		v, _ := strconv.ParseFloat(string(data[:n]), 64) // what is no number counts as 0
		if v < -200 && len(p.pending) > 0 {              // a gap as wide as a space, in thousandths
			p.pending = append(p.pending, ' ')
		}
		if p.numbers = append(p.numbers, v); len(p.numbers) > 8 {
			p.numbers = p.numbers[1:]
		}
		return data[n:]
	case c|0x20 >= 'a' && c|0x20 <= 'z' || c == '\'' || c == '"':
		n := 1
		for n < len(data) && (data[n]|0x20 >= 'a' && data[n]|0x20 <= 'z' || data[n] == '*') {
			n++
		}
		p.operator(string(data[:n]))
		return data[n:]
	}
	return data[1:]
}

func (p *page) operator(name string) {
	last := func(n int) float64 {
		if len(p.numbers) < n {
			return 0
		}
		return p.numbers[len(p.numbers)-n]
	}
	switch name {
	case "Tj", "TJ":
		p.out = append(p.out, p.pending...)
	case "'", `"`:
		p.out = append(append(p.out, '\n'), p.pending...)
	case "T*", "ET":
		p.out = append(p.out, '\n')
	case "Td", "TD":
		if last(1) != 0 {
			p.out = append(p.out, '\n')
		} else {
			p.out = append(p.out, ' ')
		}
	case "Tm":
		if y := last(1); y != p.lineY {
			p.out, p.lineY = append(p.out, '\n'), y
		}
	}
	p.pending, p.numbers = p.pending[:0], p.numbers[:0]
}

// literal reads a string in parentheses, of which the first is gone.
func literal(data []byte) (text, rest []byte) {
	depth := 1
	for i := 0; i < len(data); i++ {
		c := data[i]
		switch c {
		case '\\':
			if i++; i == len(data) {
				return text, nil
			}
			n := 0
			for n < 3 && i+n < len(data) && data[i+n] >= '0' && data[i+n] <= '7' {
				n++
			}
			if n > 0 {
				v, _ := strconv.ParseUint(string(data[i:i+n]), 8, 16) // at most 0777
				text = append(text, byte(v))
				i += n - 1
				continue
			}
			if at := bytes.IndexByte([]byte("nrtbf"), data[i]); at >= 0 {
				text = append(text, "\n\r\t\b\f"[at])
			} else if data[i] != '\n' && data[i] != '\r' {
				text = append(text, data[i])
			}
			continue
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return text, data[i+1:]
			}
		}
		text = append(text, c)
	}
	return text, nil
}
