package decode

import (
	"bytes"
	"encoding/base64"
)

// kubernetes finds the data of Secrets: stretches with all their names, and with the values as
// they were before they were encoded.
func kubernetes(text []byte, with func(Stretch)) {
	key := []byte("data")
	for at := 0; ; {
		i := bytes.Index(text[at:], key)
		if i < 0 {
			return
		}
		start := at + i + len(key)
		at = start
		end := indented(text, start)
		if start > len(key) && text[start-len(key)-1] == '"' {
			end = braced(text, start)
		}
		if end == 0 {
			continue
		}
		if data := valuesDecoded(text[start:end]); data != nil {
			with(Stretch{Start: start, End: end, How: "base64", Data: data, Whole: true, Lines: true})
		}
		at = end
	}
}

// indented answers the end of the lines of YAML that stand further in than the key before
// them, which ends at an offset; 0 if it is no key of that kind.
func indented(text []byte, at int) int {
	begin := bytes.LastIndexByte(text[:at], '\n') + 1
	line := bytes.TrimLeft(text[begin:], " -")
	rest, is := bytes.CutPrefix(line, []byte("data:"))
	if end := bytes.IndexByte(rest, '\n'); !is || end < 0 || len(bytes.TrimSpace(rest[:end])) > 0 {
		return 0
	}
	indent := len(text) - begin - len(line)
	end := at
	for end < len(text) {
		next := bytes.IndexByte(text[end:], '\n') + 1
		if next == 0 {
			return len(text)
		}
		end += next
		inner := bytes.TrimLeft(text[end:], " ")
		if deep := len(text) - end - len(inner); deep <= indent && len(inner) > 0 && inner[0] != '\n' && inner[0] != '\r' && inner[0] != '#' {
			return end
		}
	}
	return end
}

// braced answers the end of the object of JSON whose quoted key ends at an offset.
func braced(text []byte, at int) int {
	rest, is := bytes.CutPrefix(text[at:], []byte(`"`))
	rest, colon := bytes.CutPrefix(bytes.TrimLeft(rest, " \t\r\n"), []byte(":"))
	rest = bytes.TrimLeft(rest, " \t\r\n")
	if end := bytes.IndexByte(rest, '}'); is && colon && end > 0 && rest[0] == '{' {
		return len(text) - len(rest) + end
	}
	return 0
}

// minValue is how many characters of base64 a value has at least; shorter ones may be words.
const minValue = 8

// valuesDecoded answers a block with the values decoded that are text, in as many lines; nil
// if there is none.
func valuesDecoded(block []byte) (out []byte) {
	passed := 0
	for at := 0; at < len(block); at++ {
		if block[at] != ':' {
			continue
		}
		start := at + 1
		for start < len(block) && (block[start] == ' ' || block[start] == '\t') {
			start++
		}
		quote := start < len(block) && (block[start] == '"' || block[start] == '\'')
		if quote {
			start++
		}
		end := start
		for end < len(block) && (digits64[block[end]] || block[end] == '=') {
			end++
		}
		value, err := base64.StdEncoding.DecodeString(string(block[start:end]))
		value = bytes.TrimRight(value, "\r\n")
		if err != nil || end-start < minValue || !Readable(value) {
			continue
		}
		out = append(out, block[passed:start]...)
		out = appendLine(out, value, quote)
		passed, at = end, end-1
	}
	if passed == 0 {
		return nil
	}
	return append(out, block[passed:]...)
}

// appendLine adds a value in one line.
func appendLine(out, value []byte, quoted bool) []byte {
	if bytes.IndexByte(value, '\n') < 0 {
		return append(out, value...)
	}
	value = bytes.ReplaceAll(bytes.ReplaceAll(value, []byte("\r"), nil), []byte("\n"), []byte(`\n`))
	if quoted {
		return append(out, value...)
	}
	return append(append(append(out, '"'), value...), '"')
}
