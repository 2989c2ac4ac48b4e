package pdf

import (
	"bytes"
	"encoding/hex"
	"io"
	"strconv"
	"unicode/utf16"
)

const (
	maxCodes   = 1 << 15 // of all tables
	maxMeaning = 8       // characters of a code
)

// A codeMap has the text of a font's codes, which have one or two bytes.
type codeMap map[uint32]string

// parseCodeMap reads a ToUnicode table (Adobe Technical Note 5411); nil if it is none.
func (f *File) parseCodeMap(data []byte) codeMap {
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
			f.add(m, body, section.size)
			rest = next
		}
	}
	return m
}

// add adds the entries of a section, which are so many strings each.
func (f *File) add(m codeMap, body []byte, size int) {
	var entry [3][]byte
	for f.codes < maxCodes {
		for i := range size {
			_, after, found := bytes.Cut(body, []byte("<"))
			if !found {
				return
			}
			digits, rest, _ := bytes.Cut(after, []byte(">"))
			entry[i], body = unhex(digits[:min(len(digits), 4*maxMeaning)]), rest
		}
		from, to, text := number(entry[0]), number(entry[size-2]), []rune(utf16be(entry[size-1]))
		for code := from; code <= to && code-from < 1<<16 && len(text) > 0 && f.codes < maxCodes; code++ {
			m[code] = string(text)
			text[len(text)-1]++
			f.codes++
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
