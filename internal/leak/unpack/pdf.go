package unpack

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf16"
)

// The text of PDF files, without reading their object graph: every stream is inflated, the
// tables that map a font's codes to characters are collected, and then the text operators
// of every page are read. Which font has which table only the graph says; so a page is read
// once for its plain codes and once with each table, which is cheap, and wrong readings
// hold nothing that looks like a credential.

const (
	maxStream  = 4 << 20   // of a stream, inflated, that is looked at
	freeStream = 256 << 10 // of that, what needs no leave for its memory
	maxMaps    = 16
	maxCodes   = 1 << 15 // of all tables
	maxMeaning = 8       // characters of a code
)

// A document reads the streams of a file.
type document struct {
	at     io.ReaderAt
	size   int64
	window func(int64) (func(), error)
	buffer []byte
	maps   []codeMap
	codes  int
}

func unpdf(s Source, visit Visit) error {
	at, size, err := s.Random()
	if err != nil {
		return err
	}
	d := &document{at: at, size: size, window: s.Window}
	if err := d.streams(func(_ string, data []byte) error {
		if m := d.parseCodeMap(data); m != nil && len(d.maps) < maxMaps {
			d.maps = append(d.maps, m)
		}
		return nil
	}); err != nil {
		return err
	}
	n := 0
	return d.streams(func(dictionary string, data []byte) error {
		n++
		switch {
		case bytes.Contains(data, []byte("BT")) && (bytes.Contains(data, []byte("Tj")) || bytes.Contains(data, []byte("TJ"))):
			for i := -1; i < len(d.maps); i++ {
				p := &page{data: data}
				if i >= 0 {
					p.codes = d.maps[i]
				}
				if err := visit(Member{Name: fmt.Sprintf("text %d", n), Plain: true, Reader: p}); err != nil {
					return err
				}
			}
			return nil
		case bytes.Contains(data, []byte("beginbf")), strings.Contains(dictionary, "/Image"), strings.Contains(dictionary, "/XRef"), strings.Contains(dictionary, "/FontFile"):
			return nil
		}
		return visit(Member{Name: fmt.Sprintf("stream %d", n), Reader: bytes.NewReader(data)})
	})
}

// streams calls with each stream of a file, inflated, and the dictionary before it. They are
// valid until it returns.
func (d *document) streams(with func(dictionary string, data []byte) error) error {
	r := bufio.NewReaderSize(io.NewSectionReader(d.at, 0, d.size), 64<<10)
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
				if err := d.inflate(r, func(data []byte) error { return with(dictionary, data) }); err != nil {
					return err
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

// inflate calls with a stream, as far as it is whole, unless it is empty. It reads no byte too
// many of r, which reads single bytes.
func (d *document) inflate(r *bufio.Reader, with func([]byte) error) error {
	z, err := zlib.NewReader(r)
	if err != nil {
		return nil
	}
	defer z.Close()
	if d.buffer == nil {
		d.buffer = make([]byte, freeStream)
	}
	n, err := io.ReadFull(z, d.buffer) // of a damaged stream, what there is
	data := d.buffer[:n]
	if err == nil {
		release, err := d.window(maxStream)
		if err != nil {
			return err
		}
		defer release()
		long := make([]byte, maxStream)
		n, _ := io.ReadFull(z, long[copy(long, data):])
		data = long[:len(data)+n]
	}
	if len(data) == 0 {
		return nil
	}
	return with(data)
}

// A codeMap has the text of a font's codes, which have one or two bytes.
type codeMap map[uint32]string

// parseCodeMap reads a ToUnicode table (Adobe Technical Note 5411); nil if it is none.
func (d *document) parseCodeMap(data []byte) codeMap {
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
			d.add(m, body, section.size)
			rest = next
		}
	}
	return m
}

// add adds the entries of a section, which are so many strings each.
func (d *document) add(m codeMap, body []byte, size int) {
	var entry [3][]byte
	for d.codes < maxCodes {
		for i := range size {
			_, after, found := bytes.Cut(body, []byte("<"))
			if !found {
				return
			}
			digits, rest, _ := bytes.Cut(after, []byte(">"))
			entry[i], body = unhex(digits[:min(len(digits), 4*maxMeaning)]), rest
		}
		from, to, text := number(entry[0]), number(entry[size-2]), []rune(utf16be(entry[size-1]))
		for code := from; code <= to && code-from < 1<<16 && len(text) > 0 && d.codes < maxCodes; code++ {
			m[code] = string(text)
			text[len(text)-1]++
			d.codes++
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
	data    []byte // what is not read yet
	codes   codeMap
	out     []byte
	unread  []byte    // of out
	pending []byte    // the strings since the last operator
	numbers []float64 // and the numbers
	lineY   float64
}

func (p *page) Read(into []byte) (int, error) {
	if len(p.unread) == 0 {
		p.out = p.out[:0]
	}
	for len(p.out) == 0 {
		if len(p.data) == 0 {
			return 0, io.EOF
		}
		p.data = p.token(p.data)
		if len(p.pending) > maxShown { // a text that no operator shows goes on, so that it takes no memory
			p.out, p.pending = append(p.out, p.pending...), p.pending[:0]
		}
		p.unread = p.out
	}
	n := copy(into, p.unread)
	p.unread = p.unread[n:]
	return n, nil
}

// maxShown is how much of a string is looked at, and how much text waits for the operator that
// shows it. PDF's own limit of a string is half of that.
const maxShown = 64 << 10

// token reads one token and answers what follows it.
func (p *page) token(data []byte) []byte {
	switch c := data[0]; {
	case c == '(':
		text, rest := literal(data[1:])
		p.pending = append(p.pending, p.codes.decode(text)...)
		return rest
	case c == '<' && len(data) > 1 && data[1] != '<':
		digits, rest, _ := bytes.Cut(data[1:], []byte(">"))
		p.pending = append(p.pending, p.codes.decode(unhex(digits[:min(len(digits), 2*maxShown)]))...)
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
		if len(text) < maxShown {
			text = append(text, c)
		}
	}
	return text, nil
}
